//! Lists of buckets and keys; properties as they are set and put back.

use crate::case::{Case, Need, Topic, value};
use crate::check::Check;
use crate::wire::{delete, get, put};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("lists");
    buckets(&mut t);
    keys(&mut t);
    properties(&mut t);
    wrong_properties(&mut t);
    t.cases
}

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
/// What a body of properties must be.
const SHAPE: &str =
    "bucket PUT must be a JSON object of the form:\n{\"props\":{...bucket properties...}}";

fn buckets(t: &mut Topic) {
    t.fact(33);
    t.ask("buckets", get("/buckets?buckets=true"))
        .ok()
        .says(r#"{"buckets":["#)
        .says(r#""mrc_n""#)
        .says(r#""mrc_u/1""#);
    t.ask("buckets of the type default", get("/types/default/buckets?buckets=true"))
        .status(200)
        .says(r#""mrc_n""#);
    t.ask("buckets of a type", get("/types/conformance/buckets?buckets=true"))
        .needs(Need::BucketType)
        .status(200)
        .says(r#""mrc_n""#)
        .check(Check::NoText(r#""mrc_fd""#.into()));
    t.fact(34);
    t.ask("buckets as they come", get("/buckets?buckets=stream"))
        .ok()
        .has("Transfer-Encoding", "chunked")
        .says(r#""mrc_n""#)
        .says(r#"{"buckets":[]}"#)
        .check(Check::NoText("\n".into()));
    t.fact(265);
    t.ask("a timeout of a list that is none", get("/buckets?buckets=true&timeout=x"))
        .status(400)
        .says(r#"Bad timeout value "x""#);
}

fn keys(t: &mut Topic) {
    t.fact(33);
    t.ask("keys of a bucket without any", get("/buckets/mrc_never/keys?keys=true"))
        .ok()
        .exactly(r#"{"keys":[]}"#);
    t.ask("keys of the type default", get("/types/default/buckets/mrc_v/keys?keys=true"))
        .status(200)
        .says(r#"{"keys":["#)
        .says(r#""plain""#);
    t.ask("keys of a bucket with a type", get("/types/conformance/buckets/mrc_i/keys?keys=true"))
        .needs(Need::BucketType)
        .status(200)
        .exactly(r#"{"keys":["ti"]}"#);
    t.ask("keys with a slash, a space and an accent", get("/buckets/mrc_u/keys?keys=true"))
        .status(200)
        .says(r#""a/b""#)
        .says(r#""a b""#)
        .says("\"\\u00e9\"");
    t.ask("keys without properties", get("/riak/mrc_u%2F1?keys=true&props=false"))
        .status(200)
        .exactly(r#"{"keys":["k"]}"#);
    t.fact(34);
    t.ask("keys as they come", get("/buckets/mrc_u%2F1/keys?keys=stream"))
        .ok()
        .has("Transfer-Encoding", "chunked")
        .says(r#"{"keys":["k"]}"#)
        .says(r#"{"keys":[]}"#)
        .check(Check::NoText("\n".into()));
    t.ask("keys as they come, after nothing", get("/riak/mrc_u%2F1?keys=stream&props=false"))
        .status(200)
        .check(Check::NoText(r#""props""#.into()))
        .says(r#"{"keys":["k"]}"#)
        .says(r#"{"keys":[]}"#);
    t.ask("no keys as they come", get("/buckets/mrc_never/keys?keys=stream"))
        .status(200)
        .says(r#"{"keys":[]}"#);
    t.fact(265);
    t.ask("a timeout of keys that is none", get("/buckets/mrc_n/keys?keys=true&timeout=x"))
        .status(400)
        .says(r#"Bad timeout value "x""#);
}

fn properties(t: &mut Topic) {
    t.fact(29);
    t.ask(
        "set, shown and put back",
        put("/buckets/mrc_set/props", JSON, r#"{"props":{"n_val":2}}"#),
    )
    .status(204)
    .has("Content-Type", "application/json")
    .then(get("/riak/mrc_set"))
    .status(200)
    .at("/props/n_val", "2")
    .then(delete("/buckets/mrc_set/props"))
    .status(204)
    .has("Content-Type", "application/json")
    .then(get("/types/default/buckets/mrc_set/props"))
    .status(200)
    .at("/props/n_val", "3");
    t.ask(
        "set by the path of the first years",
        put("/riak/mrc_set2", JSON, r#"{"props":{"r":"one"}}"#),
    )
    .status(204)
    .then(get("/buckets/mrc_set2/props"))
    .status(200)
    .at("/props/r", r#""one""#);
    t.ask(
        "set by the path of types",
        put("/types/default/buckets/mrc_set3/props", JSON, r#"{"props":{"w":2}}"#),
    )
    .status(204)
    .then(get("/buckets/mrc_set3/props"))
    .status(200)
    .at("/props/w", "2");
    t.ask(
        "of a bucket with a type",
        put("/types/conformance/buckets/mrc_set4/props", JSON, r#"{"props":{"rw":"all"}}"#),
    )
    .needs(Need::BucketType)
    .status(204)
    .then(get("/types/conformance/buckets/mrc_set4/props"))
    .status(200)
    .at("/props/rw", r#""all""#)
    .then(get("/buckets/mrc_set4/props"))
    .status(200)
    .at("/props/rw", r#""quorum""#);
}

fn wrong_properties(t: &mut Topic) {
    t.fact(30);
    t.ask("no props around it", put("/buckets/mrc_set/props", JSON, r#"{"n_val":2}"#))
        .refused(&[])
        .exactly(SHAPE);
    t.ask("properties that are no JSON", put("/buckets/mrc_set/props", JSON, "{nope"))
        .status(400)
        .exactly(SHAPE);
    t.ask("properties that are a list", put("/riak/mrc_set", JSON, "[]"))
        .status(400)
        .exactly(SHAPE);
    t.ask(
        "no props around those of a type",
        put("/types/conformance/props", JSON, r#"{"n_val":2}"#),
    )
    .needs(Need::BucketType)
    .refused(&[])
    .says("bucket type PUT must be");
    t.ask(
        "one that is wrong refuses all",
        put("/buckets/mrc_set5/props", JSON, r#"{"props":{"w":1,"n_val":0}}"#),
    )
    .status(400)
    .check(Check::Json(value(r#"{"n_val":"not_integer"}"#)))
    .then(get("/buckets/mrc_set5/props"))
    .status(200)
    .at("/props/w", r#""quorum""#);
    t.fact(31);
    t.ask(
        "a data type for a bucket without a type, in Riak",
        put("/buckets/mrc_set6/props", JSON, r#"{"props":{"datatype":"map"}}"#),
    )
    .riak_only("it would be taken, and nothing would act on it")
    .status(204);
    t.ask(
        "a data type for a bucket without a type",
        put("/buckets/mrc_set6/props", JSON, r#"{"props":{"datatype":"map"}}"#),
    )
    .own()
    .status(400);
    t.fact(32);
    t.ask(
        "a write to a type that there is not",
        put("/types/mrc_none/buckets/b/keys/k", TEXT, "x"),
    )
    .status(404)
    .exactly("Unknown bucket type: mrc_none");
    t.ask(
        "properties for a type that there is not",
        put("/types/mrc_none/props", JSON, r#"{"props":{"n_val":2}}"#),
    )
    .status(404);
    t.ask(
        "properties for a bucket of a type that there is not",
        put("/types/mrc_none/buckets/b/props", JSON, r#"{"props":{"n_val":2}}"#),
    )
    .status(404);
}
