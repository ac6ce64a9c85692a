//! Data types: counters, sets, maps, HyperLogLogs; counters of Riak 1.4.

use http::Method;
use mapring_datatypes::Kind;

use super::interface::Interface;
use super::operation::{Content, EMPTY, Op};
use super::schema::{
    Member, NONE, Schema, any, by_name, either, flag_or, integer, list, named, object, text, word,
};
use crate::reply::media;

pub(super) const TAG: &str = "datatypes";

const ONE: [&str; 1] = ["/types/{type}/buckets/{bucket}/datatypes/{key}"];
const ALL: [&str; 1] = ["/types/{type}/buckets/{bucket}/datatypes"];
const COUNTER: [&str; 1] = ["/buckets/{bucket}/counters/{key}"];

pub(super) fn describe(interface: &mut Interface) {
    let read = shown("getDatatype", "Reads a data type")
        .reads_object()
        .gives(200, "What it is.", [(media::JSON, named("Datatype"))], &[])
        .gives(404, "There is none.", missing(), &[("X-Riak-Deleted", "`true` of a tombstone.")]);
    interface.add(&Method::GET, &ONE, &read);
    let update = written("updateDatatype", "Applies an operation to a data type")
        .gives(200, "It is applied, and this is what it is now.", datatype(), &[])
        .gives(204, "It is applied.", EMPTY, &[]);
    interface.add(&Method::POST, &ONE, &update);
    let nothing = shown("getNoDatatype", "There is nothing without a key").reads_object().gives(
        404,
        "Always.",
        missing(),
        &[],
    );
    interface.add(&Method::GET, &ALL, &nothing);
    let location = [("Location", "The path of the object.")];
    let created = written("createDatatype", "Applies an operation under a key that is made for it")
        .gives(201, "It is applied, and this is what it is if asked for.", datatype(), &location);
    interface.add(&Method::POST, &ALL, &created);
    counters(interface);
}

fn shown(id: &'static str, summary: &'static str) -> Op {
    Op::new(TAG, id, summary)
        .query("include_context", flag_or(true, ""), "Whether the context is there.")
        .query("returnbody", flag_or(false, ""), "Whether a write is answered with what it is now.")
        .gives(
            301,
            "Counters of the type `default` have a path of their own.",
            page(),
            &[("Location", "That path.")],
        )
        .refuses(&[400, 406])
}

fn written(id: &'static str, summary: &'static str) -> Op {
    shown(id, summary).writes_object().takes("The operation.", [(media::JSON, named("Operation"))])
}

fn page() -> [Content; 2] {
    [(media::TEXT, text("Why.")), (media::HTML, text("Why."))]
}

fn datatype() -> [Content; 1] {
    [(media::JSON, named("Datatype"))]
}

fn missing() -> [Content; 3] {
    let [plain, page] = page();
    [(media::JSON, either([named("NoDatatype"), named("Error")], "")), plain, page]
}

fn counters(interface: &mut Interface) {
    let number = || [(media::TEXT, text("A whole number."))];
    let read = Op::new(TAG, "getCounter", "Reads a counter of Riak 1.4")
        .reads_object()
        .gives(200, "What it counts.", number(), &[])
        .refuses(&[400, 404, 406]);
    interface.add(&Method::GET, &COUNTER, &read);
    let add = Op::new(TAG, "addToCounter", "Adds to a counter of Riak 1.4")
        .writes_object()
        .query(
            "returnvalue",
            flag_or(false, ""),
            "Whether it is answered with what it counts then.",
        )
        .takes("A whole number.", [("*/*", text("As `-3`."))])
        .gives(200, "It is added, and this is what it counts.", number(), &[])
        .gives(204, "It is added.", EMPTY, &[])
        .refuses(&[400, 406, 409]);
    interface.add(&Method::POST, &COUNTER, &add);
}

pub(super) fn schemas() -> Vec<Member> {
    let kinds = || word(&Kind::ALL.map(Kind::word), "Its kind.");
    let value = any("A number, a list of texts, or an object of fields.");
    let shown = object(
        "",
        [("type", kinds()), ("value", value)],
        [("context", text("What was read, to be given back with what is removed."))],
    );
    let missing = object("", [("type", kinds()), ("error", word(&["notfound"], ""))], NONE);
    vec![("Datatype", shown), ("NoDatatype", missing), ("Operation", operation())]
}

fn operation() -> Schema {
    let texts = || list(text(""), "");
    let set = object(
        "Of a set; gset and hll have `add` and `add_all` alone.",
        NONE,
        [
            ("add", text("Adds it.")),
            ("add_all", texts()),
            ("remove", text("Removes it.")),
            ("remove_all", texts()),
            ("context", text("What was read.")),
        ],
    );
    let counter = object(
        "Of a counter.",
        NONE,
        [("increment", integer("Adds it.")), ("decrement", integer("Takes it away."))],
    );
    let map = object(
        "Of a map: operations by fields, whose names end in their kinds; `enable` and `disable` of a flag, \
         a text of a register. Of a set: a list of operations.",
        NONE,
        [
            ("update", either([by_name(any(""), ""), list(any(""), "")], "")),
            ("remove", either([list(text(""), ""), text("")], "")),
            ("add", either([list(text(""), ""), text("")], "")),
            ("context", text("What was read.")),
        ],
    );
    let words = word(&["increment", "decrement"], "Of a counter, by 1.");
    either([integer("Of a counter."), words, counter, set, map], "")
}
