//! Folds: OpenRiak's counting, erasing, reaping and repairing.

use http::Method;
use mapring_types::limits as shared;

use super::interface::Interface;
use super::operation::Op;
use super::schema::{Member, NONE, Schema, any, list, named, number, object, positive, text};
use crate::limits;

pub(super) const TAG: &str = "folds";

pub(super) fn describe(interface: &mut Interface) {
    let shown = [
        ("countObjects", "Counts objects and their bytes", STATISTICS, "ObjectStatistics"),
        ("findSiblings", "Finds keys with more values than that", SIBLINGS, "KeysAndValues"),
        ("findLarge", "Finds keys of more bytes than that", SIZES, "KeysAndValues"),
        ("findTombstones", "Finds what was deleted and not reaped", TOMBSTONES, "KeysAndClocks"),
        ("listClocks", "Lists keys with their clocks", CLOCKS, "KeysAndClocks"),
    ];
    for (id, summary, paths, schema) in shown {
        let fold = fold(id, summary).shows("What was found.", named(schema));
        interface.add(&Method::GET, &paths, &fold);
    }
    let changing = [
        ("repairRange", "Reads all replicas of each object, which repairs them", REPAIR),
        ("reapRange", "Counts tombstones, or has them reaped", REAP),
        ("eraseRange", "Counts objects, or erases them as they were met", ERASE),
    ];
    for (id, summary, paths) in changing {
        let fold = fold(id, summary).shows("Of how many.", named("Dispatched"));
        interface.add(&Method::GET, &paths, &fold);
    }
    let buckets = Op::new(TAG, "listAllBuckets", "Lists the buckets of all types")
        .query("nval", positive(""), "Is checked, and has no effect.")
        .timeout(shared::LIST_BUCKETS_TIMEOUT.as_millis())
        .shows("Them.", named("AllBuckets"))
        .refuses(&[400, 406]);
    interface.add(&Method::GET, &["/aaebucketlist"], &buckets);
    for (id, path) in NOT_OFFERED {
        let summary = "Belongs to replication between clusters, which is not offered";
        let not_offered = Op::new(TAG, id, summary).refuses(&[501]);
        interface.add(&Method::GET, &[path], &not_offered);
    }
    let queue = Op::new(TAG, "postQueue", "Belongs to replication too").refuses(&[501]);
    interface.add(&Method::POST, &["/queuename/{steps}"], &queue);
}

const STATISTICS: [&str; 2] =
    ["/objectstats/buckets/{bucket}", "/objectstats/types/{type}/buckets/{bucket}"];
const SIBLINGS: [&str; 2] = [
    "/siblings/buckets/{bucket}/counts/{count}",
    "/siblings/types/{type}/buckets/{bucket}/counts/{count}",
];
const SIZES: [&str; 2] = [
    "/objectsizes/buckets/{bucket}/sizes/{count}",
    "/objectsizes/types/{type}/buckets/{bucket}/sizes/{count}",
];
const TOMBSTONES: [&str; 2] = ["/tombs/buckets/{bucket}", "/tombs/types/{type}/buckets/{bucket}"];
const CLOCKS: [&str; 2] = [
    "/rangetrees/buckets/{bucket}/keysclocks",
    "/rangetrees/types/{type}/buckets/{bucket}/keysclocks",
];
const REPAIR: [&str; 2] =
    ["/rangerepair/buckets/{bucket}", "/rangerepair/types/{type}/buckets/{bucket}"];
const REAP: [&str; 2] = ["/reap/buckets/{bucket}", "/reap/types/{type}/buckets/{bucket}"];
const ERASE: [&str; 2] = ["/erase/buckets/{bucket}", "/erase/types/{type}/buckets/{bucket}"];

/// Of any number of segments, all of them.
const NOT_OFFERED: [(&str, &str); 5] = [
    ("getCachedTrees", "/cachedtrees/{steps}"),
    ("getRangeTrees", "/rangetrees/{steps}"),
    ("replicateRange", "/rangerepl/{steps}"),
    ("getQueue", "/queuename/{steps}"),
    ("requestMembership", "/membership_request"),
];

fn fold(id: &'static str, summary: &'static str) -> Op {
    let filter = "JSON in base64: `key_range` and `date_range`, each with `start` and `end`, and \
        `change_method`, which is `local` where anything is to be changed and not only counted.";
    Op::new(TAG, id, summary)
        .query("filter", text(""), filter)
        .timeout(limits::FOLD_TIMEOUT.as_millis())
        .refuses(&[400, 404, 406, 501])
}

pub(super) fn schemas() -> Vec<Member> {
    let statistics = [
        ("total_count", number("Objects.")),
        ("total_size", number("Their bytes.")),
        (
            "sizes",
            any("How many objects have about so many bytes, by powers; an empty list for none."),
        ),
        ("siblings", any("How many objects have so many values; an empty list for none.")),
    ];
    let value = [("key", text("The key.")), ("value", number("How many, or how large."))];
    let bucket_type = || ("bucket-type", text("The type, unless it is `default`."));
    let clock = object(
        "",
        [("bucket", text("")), ("key", text("")), ("clock", text("As in `X-Riak-Vclock`."))],
        [bucket_type()],
    );
    let bucket = object("", [("bucket", text(""))], [bucket_type()]);
    let results = |of: Schema| object("", [("results", list(of, ""))], NONE);
    vec![
        ("ObjectStatistics", object("", statistics, NONE)),
        ("KeysAndValues", results(object("", value, NONE))),
        ("KeysAndClocks", object("", [("keys-clocks", list(clock, "By their keys."))], NONE)),
        ("Dispatched", object("", [("dispatched_count", number("How many."))], NONE)),
        ("AllBuckets", results(bucket)),
    ]
}
