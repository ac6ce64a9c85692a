//! Objects: reading, writing, deleting; walks along links.

use http::Method;

use super::interface::Interface;
use super::operation::{Content, EMPTY, Header, Op};
use super::schema::{bytes, flag_or, named, text};
use crate::reply::media;

pub(super) const TAG: &str = "objects";

const OBJECT: [&str; 3] = [
    "/buckets/{bucket}/keys/{key}",
    "/types/{type}/buckets/{bucket}/keys/{key}",
    "/riak/{bucket}/{key}",
];
const KEYS: [&str; 3] =
    ["/buckets/{bucket}/keys", "/types/{type}/buckets/{bucket}/keys", "/riak/{bucket}"];
const WALK: [&str; 3] = [
    "/buckets/{bucket}/keys/{key}/{steps}",
    "/types/{type}/buckets/{bucket}/keys/{key}/{steps}",
    "/riak/{bucket}/{key}/{steps}",
];

/// Of whatever has a clock, …
const CLOCK: Header =
    ("X-Riak-Vclock", "The causal context, to be given back with the next write.");
/// … of a value, …
const VALUE: [Header; 8] = [
    CLOCK,
    ("ETag", "The tag of the value."),
    ("Last-Modified", "When it was written."),
    ("Link", "Its links, and one to its bucket."),
    ("Content-Encoding", "As it was stored."),
    ("X-Riak-Deleted", "`true` of a tombstone."),
    ("Accept-Ranges", "`bytes`, of a value that lies in blocks."),
    ("Content-Range", "Which bytes these are, of a part."),
];
/// … of several values, …
const VALUES: [Header; 3] =
    [CLOCK, ("ETag", "The tag of all of them."), ("Last-Modified", "When the last was written.")];
/// … and of what is not there.
const GONE: [Header; 2] = [CLOCK, ("X-Riak-Deleted", "`true` where there is a tombstone.")];

pub(super) fn describe(interface: &mut Interface) {
    interface.add(&Method::GET, &OBJECT, &read());
    interface.add(&Method::PUT, &OBJECT, &overwrite("putObject", "Stores an object"));
    // Clients of old post to a key; it is the same.
    interface.add(
        &Method::POST,
        &OBJECT,
        &overwrite("postObject", "Stores an object, as PUT does"),
    );
    let location = ("Location", "The path of the object.");
    let created = write("createObject", "Stores an object under a key that is made for it");
    let headers = [location, VALUE[0], VALUE[1], VALUE[2], VALUE[3]];
    let created =
        created.gives(201, "It is stored, and this is it if asked for.", value(), &headers);
    interface.add(&Method::POST, &KEYS, &created);
    interface.add(&Method::DELETE, &OBJECT, &delete());
    interface.add(&Method::GET, &WALK, &walk());
    let nothing = Op::new(TAG, "postWalk", "Does nothing, as in Riak")
        .gives(204, "Nothing was done.", EMPTY, &[])
        .refuses(&[400, 404, 406]);
    interface.add(&Method::POST, &WALK, &nothing);
}

fn value() -> [Content; 1] {
    [("*/*", bytes("The value, of the type that it was stored with."))]
}

fn siblings() -> [Content; 2] {
    [
        (media::TEXT, text("`Siblings:` and a tag a line, each to be asked for by `vtag`.")),
        (media::MULTIPART, bytes("A part for each value, with its headers.")),
    ]
}

fn read() -> Op {
    Op::new(TAG, "getObject", "Reads an object")
        .reads_object()
        .query("vtag", text(""), "The tag of one of several values.")
        .header("If-None-Match", "Tags that the client has: 304 where nothing has changed.")
        .header("If-Modified-Since", "304 where it has not changed since.")
        .header("Range", "One range of bytes.")
        .gives(200, "The value.", value(), &VALUE)
        .gives(206, "The bytes of the range.", value(), &VALUE)
        .gives(300, "There are several values.", siblings(), &VALUES)
        .gives(304, "The client has it.", EMPTY, &[VALUE[1]])
        .gives(404, "There is none, or it was deleted.", not_found(), &GONE)
        .refuses(&[400, 406, 412, 416])
}

fn not_found() -> [Content; 3] {
    let words = || text("`not found`.");
    [(media::TEXT, words()), (media::HTML, words()), (media::JSON, named("Error"))]
}

fn write(id: &'static str, summary: &'static str) -> Op {
    Op::new(TAG, id, summary)
        .about(
            "With its `Content-Type`, links, terms of indexes (headers `X-Riak-Index-` and the name of the index, which ends in `_int` or `_bin`) and whatever headers say whose names begin with `X-Riak-Meta-`. Both come back with it.",
        )
        .writes_object()
        .query("returnbody", flag_or(false, ""), "Whether the object is answered.")
        .header("X-Riak-Vclock", "What the client has read of it: replaces that.")
        .header("X-Riak-If-Not-Modified", "Writes only if its clock is still that one.")
        .header("Link", "Links: `</buckets/B/keys/K>; riaktag=\"T\"`.")
        .header("If-Match", "Writes only if it has one of these tags.")
        .header("If-None-Match", "`*` writes only if there is none.")
        .header("If-Unmodified-Since", "Writes only if it has not changed since.")
        .takes("The value, of any type.", value())
        .refuses(&[400, 406, 409, 412, 415])
}

fn overwrite(id: &'static str, summary: &'static str) -> Op {
    write(id, summary)
        .gives(200, "It is stored, and this is it.", value(), &VALUE)
        .gives(204, "It is stored.", EMPTY, &[])
        .gives(300, "It is stored, and there are several values.", siblings(), &VALUES)
}

fn delete() -> Op {
    Op::new(TAG, "deleteObject", "Deletes an object")
        .deletes_object()
        .header("X-Riak-Vclock", "What the client has read of it.")
        .header("X-Riak-If-Not-Modified", "Deletes only if its clock is still that one.")
        .header("If-Match", "Deletes only if it has one of these tags.")
        .gives(204, "It is deleted.", EMPTY, &[])
        .refuses(&[400, 404, 406, 409, 412])
}

fn walk() -> Op {
    let parts = bytes("A part for each kept step, in which each object is a part.");
    Op::new(TAG, "walkLinks", "Walks along the links of an object")
        .about("Any number of steps may follow the key, a segment each. Walks are within the type `default`.")
        .gives(
            200,
            "The objects of the steps that are kept.",
            [(media::MULTIPART, parts)],
            &[("Expires", "For how long it may be taken for true.")],
        )
        .refuses(&[400, 404, 406])
}
