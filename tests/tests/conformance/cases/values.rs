//! Objects as they are written, read and deleted. Each row that writes has keys of its own.

use crate::case::{Case, Need, Topic};
use crate::check::Check;
use crate::fixtures::{BARE, FULL, SIBLINGS};
use crate::wire::{Request, delete, get, head, post, put};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("values");
    carried(&mut t);
    missing(&mut t);
    types_of_values(&mut t);
    writes(&mut t);
    made_keys(&mut t);
    siblings(&mut t);
    links(&mut t);
    no_links(&mut t);
    terms(&mut t);
    quorums(&mut t);
    reads(&mut t);
    t.cases
}

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

fn carried(t: &mut Topic) {
    t.fact(18);
    t.ask("the media type and the charset", get(FULL))
        .status(200)
        .has("Content-Type", "text/html; charset=utf-8");
    t.ask("the encoding", get(FULL)).status(200).has("Content-Encoding", "x-own").exactly("all");
    t.ask("the terms of each field in one header", get(FULL))
        .needs(Need::Indexes)
        .status(200)
        .has("x-riak-index-a_bin", "x, y")
        .has("x-riak-index-d_int", "3")
        .has("x-riak-index-n_int", "-12");
    t.ask("the tag and the time", get(BARE))
        .status(200)
        .begins("ETag", "\"")
        .check(Check::HeaderText("Last-Modified", " GMT".into()));
    t.ask("HEAD tells all but the value", head(FULL))
        .status(200)
        .has("Content-Length", "3")
        .has("X-Riak-Meta-Fruit", "apple")
        .has("Content-Encoding", "x-own")
        .begins("X-Riak-Vclock", "");
    t.fact(14);
    t.ask("names of metadata have capitals", get(FULL))
        .status(200)
        .has("X-Riak-Meta-Foobar", "mixed")
        .check(Check::Spelled("X-Riak-Meta-Foobar"))
        .check(Check::Spelled("X-Riak-Vclock"));
    t.fact(343);
    t.ask("names of index entries are small", get(FULL))
        .needs(Need::Indexes)
        .status(200)
        .check(Check::Spelled("x-riak-index-a_bin"))
        .check(Check::Spelled("x-riak-index-n_int"));
    t.fact(360);
    t.ask("the name of the tag", get(BARE)).status(200).check(Check::Spelled("ETag"));
    t.ask(
        "the name of the tag where nothing was changed",
        get(BARE).header("If-None-Match", Some("*")),
    )
    .status(304)
    .check(Check::Spelled("ETag"));
}

fn missing(t: &mut Topic) {
    t.fact(19);
    t.ask("what is not there", get("/buckets/mrc_one/keys/nope"))
        .status(404)
        .begins("Content-Type", "text/plain")
        .exactly("not found\n")
        .lacks("X-Riak-Vclock")
        .lacks("X-Riak-Deleted");
    t.ask("what is not there, by HEAD", head("/riak/mrc_one/nope"))
        .status(404)
        .begins("Content-Type", "text/plain");
    t.ask("what was deleted", get("/buckets/mrc_del/keys/gone"))
        .needs(Need::Tombstones)
        .status(404)
        .exactly("not found\n")
        .has("X-Riak-Deleted", "true")
        .begins("X-Riak-Vclock", "");
    t.ask("what was deleted, by HEAD", head("/buckets/mrc_del/keys/gone"))
        .needs(Need::Tombstones)
        .status(404)
        .has("X-Riak-Deleted", "true")
        .begins("X-Riak-Vclock", "");
    t.fact(25);
    t.ask("a deletion of nothing", delete("/buckets/mrc_one/keys/nope"))
        .status(404)
        .exactly("not found\n");
    t.ask("a deletion", put("/buckets/mrc_val/keys/d1", TEXT, "x"))
        .status(204)
        .then(delete("/buckets/mrc_val/keys/d1"))
        .status(204)
        .then(get("/buckets/mrc_val/keys/d1"))
        .status(404);
    t.ask("a deletion by the path of the first years", put("/riak/mrc_val/d2", TEXT, "x"))
        .status(204)
        .then(delete("/riak/mrc_val/d2?rw=all"))
        .status(204)
        .then(get("/buckets/mrc_val/keys/d2"))
        .status(404);
    t.ask("a second deletion", put("/buckets/mrc_val/keys/d3", TEXT, "x"))
        .status(204)
        .then(delete("/buckets/mrc_val/keys/d3"))
        .status(204)
        .then(delete("/buckets/mrc_val/keys/d3"))
        .status(404);
    t.ask("something again after a deletion", put("/buckets/mrc_val/keys/d4", TEXT, "x"))
        .status(204)
        .then(delete("/buckets/mrc_val/keys/d4"))
        .status(204)
        .then(put("/buckets/mrc_val/keys/d4", TEXT, "y"))
        .status(204)
        .then(get("/buckets/mrc_val/keys/d4"))
        .status(200)
        .exactly("y")
        .lacks("X-Riak-Deleted");
}

fn types_of_values(t: &mut Topic) {
    t.fact(22);
    t.ask(
        "PUT without a type",
        put("/buckets/mrc_val/keys/t", TEXT, "x").header("Content-Type", None),
    )
    .refused(&[])
    .exactly("Missing Content-Type request header");
    t.ask(
        "POST to a bucket without a type",
        post("/buckets/mrc_val/keys", TEXT, "x").header("Content-Type", None),
    )
    .status(400)
    .exactly("Missing Content-Type request header");
    t.ask("a type that cannot be read", put("/buckets/mrc_val/keys/t", "garbage", "x"))
        .status(415)
        .exactly("\"garbage\" is not a valid media type for the Content-type header.\n");
    t.ask(
        "a charset of its own",
        put("/buckets/mrc_val/keys/t1", "text/plain; charset=iso-8859-1", "x"),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/t1"))
    .status(200)
    .has("Content-Type", "text/plain; charset=iso-8859-1");
    t.ask("a type that nobody knows", put("/buckets/mrc_val/keys/t2", "x-own/odd+thing", "x"))
        .status(204)
        .then(get("/buckets/mrc_val/keys/t2"))
        .status(200)
        .has("Content-Type", "x-own/odd+thing");
    t.ask("JSON that is none", put("/buckets/mrc_val/keys/t3", JSON, "{not"))
        .status(204)
        .then(get("/buckets/mrc_val/keys/t3"))
        .ok()
        .exactly("{not");
    t.ask(
        "an encoding",
        put("/buckets/mrc_val/keys/t4", TEXT, "x").header("Content-Encoding", Some("x-odd")),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/t4"))
    .status(200)
    .has("Content-Encoding", "x-odd")
    .exactly("x");
}

fn writes(t: &mut Topic) {
    t.fact(23);
    t.ask("PUT without the body", put("/buckets/mrc_val/keys/w1", TEXT, "x"))
        .status(204)
        .lacks("X-Riak-Vclock");
    t.ask("PUT with the body", put("/buckets/mrc_val/keys/w2?returnbody=true", TEXT, "x"))
        .status(200)
        .exactly("x")
        .begins("X-Riak-Vclock", "")
        .begins("ETag", "\"")
        .has("Link", r#"</buckets/mrc_val>; rel="up""#);
    t.ask(
        "anything but true gives no body",
        put("/buckets/mrc_val/keys/w3?returnbody=yes", TEXT, "x"),
    )
    .status(204);
    t.ask("POST to a key", post("/buckets/mrc_val/keys/w4", TEXT, "x"))
        .status(204)
        .then(get("/buckets/mrc_val/keys/w4"))
        .status(200)
        .exactly("x");
    t.ask(
        "POST to a key with the body",
        post("/buckets/mrc_val/keys/w5?returnbody=true", TEXT, "y"),
    )
    .status(200)
    .exactly("y");
    t.ask("an empty value", put("/buckets/mrc_val/keys/w6", TEXT, ""))
        .status(204)
        .then(get("/buckets/mrc_val/keys/w6"))
        .status(200)
        .has("Content-Length", "0")
        .exactly("");
    t.fact(18);
    t.ask(
        "metadata are replaced as a whole",
        put("/buckets/mrc_val/keys/w7", TEXT, "x").header("X-Riak-Meta-A", Some("1")),
    )
    .status(204)
    .then(put("/buckets/mrc_val/keys/w7", TEXT, "x").header("X-Riak-Meta-B", Some("2")))
    .status(204)
    .then(get("/buckets/mrc_val/keys/w7"))
    .status(200)
    .lacks("X-Riak-Meta-A")
    .has("X-Riak-Meta-B", "2");
}

fn made_keys(t: &mut Topic) {
    t.fact(23);
    t.ask("POST makes a key in the first style", post("/riak/mrc_val", TEXT, "x"))
        .status(201)
        .begins("Location", "/riak/mrc_val/")
        .exactly("");
    t.ask("POST makes a key in the style of buckets", post("/buckets/mrc_val/keys", TEXT, "x"))
        .status(201)
        .begins("Location", "/buckets/mrc_val/keys/")
        .has("Content-Type", "text/plain");
    t.ask(
        "POST makes a key in the style of types",
        post("/types/conformance/buckets/mrc_val/keys", TEXT, "x"),
    )
    .needs(Need::BucketType)
    .status(201)
    .begins("Location", "/types/conformance/buckets/mrc_val/keys/");
    t.ask(
        "POST makes a key and gives the body",
        post("/buckets/mrc_val/keys?returnbody=true", TEXT, "new"),
    )
    .status(201)
    .exactly("new")
    .begins("X-Riak-Vclock", "");
}

fn siblings(t: &mut Topic) {
    t.fact(20);
    t.ask("a list of tags", get(SIBLINGS))
        .status(300)
        .begins("Content-Type", "text/plain")
        .says("Siblings:\n")
        .begins("X-Riak-Vclock", "")
        .begins("ETag", "\"")
        .lacks("Link");
    t.ask("a list of tags, by HEAD", head(SIBLINGS)).status(300).begins("X-Riak-Vclock", "");
    t.fact(21);
    t.ask("a part for each value", get(SIBLINGS).header("Accept", Some("multipart/mixed")))
        .status(300)
        .check(Check::Times("\r\nEtag: ".into(), 2))
        .check(Check::Times("\r\nLast-Modified: ".into(), 2))
        .check(Check::NoText("X-Riak-Vclock".into()));
    t.ask(
        "a part of a deletion",
        get("/buckets/mrc_sib/keys/dead").header("Accept", Some("multipart/mixed")),
    )
    .needs(Need::Tombstones)
    .status(300)
    .check(Check::Times("\r\nX-Riak-Deleted: true\r\n".into(), 1))
    .check(Check::Times("\r\nEtag: ".into(), 2));
    t.ask("a tag that there is not", get(&format!("{SIBLINGS}?vtag=nope"))).status(404);
    t.ask("another tag of a single value", get(&format!("{BARE}?vtag=nope"))).status(404);
    t.fact(24);
    t.ask(
        "a write without a clock where siblings are allowed",
        put("/buckets/mrc_val_sib/props", JSON, r#"{"props":{"allow_mult":true}}"#),
    )
    .status(204)
    .then(put("/buckets/mrc_val_sib/keys/k", TEXT, "a"))
    .status(204)
    .then(put("/buckets/mrc_val_sib/keys/k?returnbody=true", TEXT, "b"))
    .status(300)
    .begins("Content-Type", "multipart/mixed; boundary=")
    .then(get("/buckets/mrc_val_sib/keys/k"))
    .status(300);
    t.ask("a write without a clock where they are not", put("/buckets/mrc_val/keys/s1", TEXT, "a"))
        .status(204)
        .then(put("/buckets/mrc_val/keys/s1?returnbody=true", TEXT, "b"))
        .status(200)
        .exactly("b");
}

fn links(t: &mut Topic) {
    t.fact(26);
    t.ask(
        "the bucket itself is passed over",
        put("/buckets/mrc_val/keys/l1", TEXT, "x")
            .header("Link", Some(r#"</buckets/mrc_val>; rel="up""#)),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/l1"))
    .status(200)
    .has("Link", r#"</buckets/mrc_val>; rel="up""#);
    t.ask(
        "a link comes back before the bucket",
        put("/buckets/mrc_val/keys/l2", TEXT, "x")
            .header("Link", Some(r#"</buckets/b/keys/k>; riaktag="t""#)),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/l2"))
    .status(200)
    .has("Link", r#"</buckets/b/keys/k>; riaktag="t", </buckets/mrc_val>; rel="up""#)
    .then(get("/riak/mrc_val/l2"))
    .status(200)
    .has("Link", r#"</riak/b/k>; riaktag="t", </riak/mrc_val>; rel="up""#);
    t.ask(
        "a link without a space",
        put("/buckets/mrc_val/keys/l3", TEXT, "x")
            .header("Link", Some(r#"</buckets/b/keys/k>;riaktag="t""#)),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/l3"))
    .status(200)
    .check(Check::HeaderText("Link", r#"</buckets/b/keys/k>; riaktag="t""#.into()));
    t.ask(
        "a link of the first style",
        put("/riak/mrc_val/l4", TEXT, "x").header("Link", Some(r#"</riak/b/k>; riaktag="t""#)),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/l4"))
    .status(200)
    .check(Check::HeaderText("Link", r#"</buckets/b/keys/k>; riaktag="t""#.into()));
    t.ask(
        "a comma in a name",
        put("/buckets/mrc_val/keys/l8", TEXT, "x")
            .header("Link", Some(r#"</buckets/b/keys/a%2Cb>; riaktag="t""#)),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/l8"))
    .status(200)
    .check(Check::HeaderText("Link", r#"</buckets/b/keys/a%2Cb>; riaktag="t""#.into()));
}

fn no_links(t: &mut Topic) {
    t.fact(26);
    let form = "Invalid Link header. Links must be of the form\n\
                </buckets/BUCKET/keys/KEY>; riaktag=\"TAG\"\n";
    t.ask(
        "a link of the other style",
        put("/buckets/mrc_val/keys/l5", TEXT, "x")
            .header("Link", Some(r#"</riak/b/k>; riaktag="t""#)),
    )
    .refused(&[form])
    .then(get("/buckets/mrc_val/keys/l5"))
    .status(404);
    t.ask(
        "what is no link",
        put("/buckets/mrc_val/keys/l6", TEXT, "x").header("Link", Some("garbage")),
    )
    .status(400)
    .says("Invalid Link header. Links must be of the form\n");
    t.ask(
        "what is no link, in the first style",
        put("/riak/mrc_val/l6", TEXT, "x").header("Link", Some("garbage")),
    )
    .status(400)
    .says("</riak/BUCKET/KEY>; riaktag=\"TAG\"\n");
    t.ask(
        "a link without a tag",
        put("/buckets/mrc_val/keys/l7", TEXT, "x").header("Link", Some("</buckets/b/keys/k>")),
    )
    .status(400);
}

fn terms(t: &mut Topic) {
    t.fact(27);
    t.ask(
        "a field of no kind",
        put("/buckets/mrc_val/keys/i1", TEXT, "x").header("X-Riak-Index-n", Some("x")),
    )
    .needs(Need::Indexes)
    .refused(&[])
    .exactly("Unknown field type for field: 'n'.\n");
    t.ask(
        "a number that is none",
        put("/buckets/mrc_val/keys/i1", TEXT, "x").header("X-Riak-Index-n_int", Some("1.5")),
    )
    .needs(Need::Indexes)
    .status(400)
    .exactly("Could not parse field 'n_int', value '1.5'.\n");
    t.ask(
        "a field in capitals",
        put("/buckets/mrc_val/keys/i2", TEXT, "x").header("X-Riak-Index-ABC_Bin", Some("x")),
    )
    .needs(Need::Indexes)
    .status(204)
    .then(get("/buckets/mrc_val/keys/i2"))
    .status(200)
    .has("x-riak-index-abc_bin", "x");
    t.ask(
        "terms twice and in any order",
        put("/buckets/mrc_val/keys/i3", TEXT, "x").header("X-Riak-Index-f_int", Some("10, 2, 10")),
    )
    .needs(Need::Indexes)
    .status(204)
    .then(get("/buckets/mrc_val/keys/i3"))
    .status(200)
    .has("x-riak-index-f_int", "2, 10");
    t.ask(
        "a comma without white space",
        put("/buckets/mrc_val/keys/i4", TEXT, "x").header("X-Riak-Index-f_bin", Some("a, b,c")),
    )
    .needs(Need::Indexes)
    .status(204)
    .then(get("/buckets/mrc_val/keys/i4"))
    .status(200)
    .has("x-riak-index-f_bin", "a, b,c");
    t.ask(
        "a number of any size",
        put("/buckets/mrc_val/keys/i5", TEXT, "x")
            .header("X-Riak-Index-f_int", Some("-123456789012345678901234567890")),
    )
    .needs(Need::Indexes)
    .status(204)
    .then(get("/buckets/mrc_val/keys/i5"))
    .status(200)
    .has("x-riak-index-f_int", "-123456789012345678901234567890");
    t.ask(
        "a write replaces all terms",
        put("/buckets/mrc_val/keys/i6", TEXT, "x").header("X-Riak-Index-f_int", Some("1")),
    )
    .needs(Need::Indexes)
    .status(204)
    .then(put("/buckets/mrc_val/keys/i6", TEXT, "x"))
    .status(204)
    .then(get("/buckets/mrc_val/keys/i6"))
    .status(200)
    .lacks("x-riak-index-f_int");
    t.ask(
        "nothing is stored with a wrong term",
        put("/buckets/mrc_val/keys/i7", TEXT, "x").header("X-Riak-Index-f_int", Some("x")),
    )
    .needs(Need::Indexes)
    .status(400)
    .then(get("/buckets/mrc_val/keys/i7"))
    .status(404);
}

fn quorums(t: &mut Topic) {
    t.fact(17);
    let words = "must be an integer or one of the following words: 'one', 'quorum' or 'all'";
    for (method, name) in [("PUT", "w"), ("PUT", "dw"), ("PUT", "pw"), ("DELETE", "rw")] {
        let path = format!("/buckets/mrc_val/keys/q?{name}=evil");
        t.ask(&format!("{method} with {name}=evil"), Request::new(method, &path).body(TEXT, "x"))
            .refused(&[])
            .exactly(&format!("{name} query parameter {words}\n"));
    }
    for (method, name) in [("PUT", "w"), ("PUT", "pw"), ("GET", "r"), ("GET", "pr")] {
        let request = Request::new(method, &format!("{BARE}?{name}=4")).body(TEXT, "x");
        t.ask(&format!("{method} with {name}=4"), request)
            .refused(&[])
            .exactly("Specified w/dw/pw values invalid for bucket n value of 3\n");
    }
    t.ask("a deletion in no time", delete("/buckets/mrc_val/keys/q?timeout=x"))
        .refused(&[])
        .exactly("Bad timeout value \"x\"\n");
}

fn reads(t: &mut Topic) {
    t.fact(15);
    t.ask("a read in time", get(&format!("{BARE}?timeout=5000"))).status(200).exactly("bare");
    t.ask(
        "a write in time",
        put("/buckets/mrc_val/keys/q1?timeout=5000&w=all&dw=all&pw=one", TEXT, "x"),
    )
    .status(204)
    .then(get("/buckets/mrc_val/keys/q1?r=all&pr=one&basic_quorum=true&notfound_ok=false"))
    .status(200)
    .exactly("x");
    t.ask(
        "nothing is a failure where it does not count",
        get("/buckets/mrc_one/keys/nope?notfound_ok=false&basic_quorum=true"),
    )
    .status(404);
    t.ask("parameters that nobody knows", get(&format!("{BARE}?colour=blue")))
        .status(200)
        .exactly("bare");
    t.fact(28);
    t.ask(
        "a clock that cannot be read, in Riak",
        put("/buckets/mrc_val/keys/c1", TEXT, "x").header("X-Riak-Vclock", Some("notbase64!!")),
    )
    .riak_only("the request is at fault: 400 with what is wrong with the clock")
    .status(500);
    t.ask(
        "a clock that cannot be read",
        put("/buckets/mrc_val/keys/c1", TEXT, "x").header("X-Riak-Vclock", Some("notbase64!!")),
    )
    .own()
    .refused(&[])
    .says("vclock")
    .then(get("/buckets/mrc_val/keys/c1"))
    .status(404);
}
