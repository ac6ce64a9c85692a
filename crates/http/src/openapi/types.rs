//! Bucket types: as clients see them, and as operators make them.

use http::Method;

use super::buckets::UNHEEDED;
use super::interface::Interface;
use super::operation::{EMPTY, Op};
use super::schema::{Member, NONE, list, named, object, text, word};
use crate::reply::media;

pub(super) const TAG: &str = "types";

const PROPS: [&str; 1] = ["/types/{type}/props"];
const TYPES: [&str; 1] = ["/admin/bucket-types"];
const ONE: [&str; 1] = ["/admin/bucket-types/{type}"];
const ACTIVATE: [&str; 1] = ["/admin/bucket-types/{type}/activate"];
const RESET: [&str; 1] = ["/admin/bucket-types/{type}/reset"];

pub(super) fn describe(interface: &mut Interface) {
    let changes = || [(media::JSON, named("PropertyChanges"))];
    let shown = Op::new(TAG, "getTypeProps", "Shows the properties of a bucket type")
        .shows("The properties.", named("Properties"))
        .refuses(&[406]);
    interface.add(&Method::GET, &PROPS, &shown);
    let set = Op::new(TAG, "setTypeProps", "Changes properties of a bucket type")
        .takes("The properties that change.", changes())
        .gives(204, "They are changed.", EMPTY, &UNHEEDED)
        .refuses(&[400, 406, 415]);
    interface.add(&Method::PUT, &PROPS, &set);
    let types = Op::new(TAG, "listBucketTypes", "Lists bucket types")
        .shows("The names of all, and of those that are not active.", named("BucketTypes"));
    interface.add(&Method::GET, &TYPES, &types);
    let one = Op::new(TAG, "getBucketType", "Shows a bucket type")
        .shows("Whether it can be used, and its properties.", named("BucketType"));
    interface.add(&Method::GET, &ONE, &one);
    let created = Op::new(TAG, "createBucketType", "Creates a bucket type")
        .about("It is in use at once unless its properties say `\"active\": false`.")
        .may_take("Its properties.", changes())
        .gives(204, "It is there.", EMPTY, &UNHEEDED)
        .refuses(&[400, 409]);
    interface.add(&Method::PUT, &ONE, &created);
    let updated =
        Op::new(TAG, "updateBucketType", "Changes a bucket type, also one that is not active")
            .may_take("The properties that change.", changes())
            .gives(204, "It is changed.", EMPTY, &UNHEEDED)
            .refuses(&[400]);
    interface.add(&Method::POST, &ONE, &updated);
    let activated = Op::new(TAG, "activateBucketType", "Puts a bucket type in use")
        .gives(204, "It is active.", EMPTY, &[])
        .refuses(&[400]);
    interface.add(&Method::POST, &ACTIVATE, &activated);
    let reset = Op::new(TAG, "resetBucketType", "Gives a bucket type the usual properties again")
        .gives(204, "They are reset, but for those that cannot change.", EMPTY, &[])
        .refuses(&[400]);
    interface.add(&Method::POST, &RESET, &reset);
}

pub(super) fn schemas() -> Vec<Member> {
    let names = |what| list(text(""), what);
    let types =
        [("bucket_types", names("All.")), ("inactive", names("Those that are not active."))];
    let one = [
        ("name", text("Its name.")),
        ("status", word(&["active", "created"], "Whether it can be used.")),
        ("props", named("Props")),
    ];
    vec![("BucketTypes", object("", types, NONE)), ("BucketType", object("", one, NONE))]
}
