//! Buckets: lists, properties, where replicas belong.

use http::Method;
use mapring_types::{BucketProps, limits as shared};
use serde_json::{Map, Value};

use super::interface::Interface;
use super::operation::{Content, EMPTY, Header, Op};
use super::schema::{
    Member, NONE, Schema, any, either, flag, list, named, number, object, open_like, text, word,
};
use crate::reply::media;

pub(super) const TAG: &str = "buckets";

const BUCKETS: [&str; 3] = ["/buckets", "/types/{type}/buckets", "/riak"];
const KEYS: [&str; 2] = ["/buckets/{bucket}/keys", "/types/{type}/buckets/{bucket}/keys"];
const OLD: [&str; 1] = ["/riak/{bucket}"];
const PROPS: [&str; 2] = ["/buckets/{bucket}/props", "/types/{type}/buckets/{bucket}/props"];
const PREFERENCE: [&str; 2] =
    ["/buckets/{bucket}/keys/{key}/preflist", "/types/{type}/buckets/{bucket}/keys/{key}/preflist"];

/// What is told of properties on which nothing acts.
pub(super) const UNHEEDED: [Header; 1] =
    [("Warning", "Properties that were stored and on which nothing acts.")];

pub(super) fn describe(interface: &mut Interface) {
    let lists = Op::new(TAG, "listBuckets", "Lists buckets")
        .query("buckets", listed(), "How they are listed; without it none are.")
        .timeout(shared::LIST_BUCKETS_TIMEOUT.as_millis())
        .gives(200, "The names.", document(named("Buckets")), &[])
        .refuses(&[400, 406]);
    interface.add(&Method::GET, &BUCKETS, &lists);
    let keys = Op::new(TAG, "listKeys", "Lists the keys of a bucket")
        .query("keys", listed(), "How they are listed; without it none are.")
        .timeout(shared::REQUEST_TIMEOUT.as_millis())
        .gives(200, "The keys.", document(named("Keys")), &[])
        .refuses(&[400, 406]);
    interface.add(&Method::GET, &KEYS, &keys);
    let bucket = Op::new(TAG, "getBucket", "Shows the properties and the keys of a bucket")
        .query("keys", listed(), "How keys are listed; without it none are.")
        .query("props", word(&["true", "false"], ""), "`false` leaves the properties out.")
        .timeout(shared::REQUEST_TIMEOUT.as_millis())
        .gives(200, "What was asked for.", document(named("Bucket")), &[])
        .refuses(&[400, 404, 406]);
    interface.add(&Method::GET, &OLD, &bucket);
    properties(interface);
    let placed = Op::new(TAG, "getPreferenceList", "Tells where the replicas of a key belong")
        .shows("The vnodes, in order.", named("PreferenceList"))
        .refuses(&[406]);
    interface.add(&Method::GET, &PREFERENCE, &placed);
}

fn properties(interface: &mut Interface) {
    let shown = Op::new(TAG, "getBucketProps", "Shows the properties of a bucket")
        .shows("The properties.", named("Properties"))
        .refuses(&[406]);
    interface.add(&Method::GET, &PROPS, &shown);
    let set = Op::new(TAG, "setBucketProps", "Changes properties of a bucket")
        .takes("The properties that change.", [(media::JSON, named("PropertyChanges"))])
        .gives(204, "They are changed.", EMPTY, &UNHEEDED)
        .refuses(&[400, 406, 415]);
    interface.add(&Method::PUT, &[PROPS[0], PROPS[1], OLD[0]], &set);
    let reset = Op::new(TAG, "resetBucketProps", "Gives a bucket the properties of its type again")
        .gives(204, "They are reset.", EMPTY, &[])
        .refuses(&[406]);
    interface.add(&Method::DELETE, &PROPS, &reset);
}

/// How something is listed.
fn listed() -> Schema {
    word(&["true", "stream"], "`true`: as one document; `stream`: as a document a page.")
}

/// One document, or several that follow each other, which both are called JSON.
fn document(schema: Schema) -> [Content; 1] {
    [(media::JSON, schema)]
}

pub(super) fn schemas() -> Vec<Member> {
    let names = |what| list(text(""), what);
    let props = || named("Props");
    let vnode = object(
        "",
        [
            ("partition", number("The vnode.")),
            ("node", text("Its owner, or who stands in.")),
            ("primary", flag("Whether it is the owner.")),
        ],
        NONE,
    );
    let bucket = object("", NONE, [("props", props()), ("keys", names("Keys."))]);
    vec![
        ("Buckets", object("", [("buckets", names("Buckets."))], NONE)),
        ("Keys", object("", NONE, [("keys", names("Keys, where they were asked for."))])),
        ("Bucket", bucket),
        ("Properties", object("", [("props", props())], NONE)),
        ("PropertyChanges", object("", [("props", props())], NONE)),
        ("Props", props_schema()),
        ("Hook", hook()),
        ("PreferenceList", object("", [("preflist", list(vnode, "In order."))], NONE)),
    ]
}

/// The properties that buckets and types have, those of both kinds.
fn props_schema() -> Schema {
    let mut sample: Map<String, Value> = BucketProps::default().to_json("");
    sample.extend(BucketProps::typed().to_json(""));
    let quorum = || either([number(""), word(&["one", "quorum", "all", "default"], "")], "");
    let quorums = ["r", "w", "dw", "rw", "pr", "pw", "node_confirms"];
    let mut known: Vec<Member> = quorums.into_iter().map(|name| (name, quorum())).collect();
    known.extend([
        ("precommit", list(named("Hook"), "Called before a write.")),
        ("postcommit", list(named("Hook"), "Called after a write.")),
        ("sync_on_write", word(&["backend", "one", "all"], "Which replicas are fsynced.")),
        ("active", flag("Of a type: whether it can be used.")),
        ("claimant", text("Of a type: who decides about it.")),
        ("datatype", word(&["counter", "set", "map", "gset", "hll"], "What objects are.")),
        ("hll_precision", number("Of HyperLogLogs: 4 to 16.")),
        ("consistent", flag("Whether writes are strongly consistent: `false`.")),
    ]);
    open_like(&sample, known)
}

/// What is called before or after a write.
fn hook() -> Schema {
    object(
        "A function: a name, its source, or an object that has it.",
        NONE,
        [
            ("name", text("One of the library, or a built-in.")),
            ("source", text("An expression that gives it.")),
            ("bucket", text("Of the object that has it.")),
            ("key", text("Of the object that has it.")),
            ("arg", any("Its second argument.")),
        ],
    )
}
