//! The routes of folds.

use mapring_api::permission::Permission;

use crate::route::{Action, Handler, On, POST, READ, READ_METHODS, Resource, action, resource};

/// What only says that something is not offered.
const fn shown(handler: Handler) -> Action {
    action(READ, Permission::Observe, On::Cluster, handler)
}

/// A fold over a bucket, which tells of its keys.
const fn fold(handler: Handler) -> Action {
    action(READ, Permission::ListKeys, On::Bucket, handler).own_origin()
}

/// A fold that may change objects, by GET as in Riak.
const fn changing(handler: Handler) -> Action {
    action(READ, Permission::Administer, On::Cluster, handler).own_site()
}

const STATISTICS: &[Action] = &[fold(|app, request| Box::pin(super::statistics(app, request)))];
const SIBLINGS: &[Action] = &[fold(|app, request| Box::pin(super::siblings(app, request)))];
const SIZES: &[Action] = &[fold(|app, request| Box::pin(super::sizes(app, request)))];
const TOMBSTONES: &[Action] = &[fold(|app, request| Box::pin(super::tombstones(app, request)))];
const CLOCKS: &[Action] = &[fold(|app, request| Box::pin(super::clocks(app, request)))];
const RANGE_REPAIR: &[Action] = &[changing(|app, request| Box::pin(super::repair(app, request)))];
const REAP: &[Action] = &[changing(|app, request| Box::pin(super::reap(app, request)))];
const ERASE: &[Action] = &[changing(|app, request| Box::pin(super::erase(app, request)))];
const BUCKET_LIST: &[Action] =
    &[action(READ, Permission::ListBuckets, On::Cluster, |app, request| {
        Box::pin(super::buckets(app, request))
    })
    .own_origin()];
const NOT_OFFERED: &[Action] = &[shown(|_, _| Box::pin(super::not_offered()))];
const QUEUE: &[Action] = &[
    shown(|_, _| Box::pin(super::not_offered())),
    action(POST, Permission::Administer, On::Cluster, |_, _| Box::pin(super::not_offered()))
        .own_origin(),
];

/// What OpenRiak has for operators, beside the data.
pub(crate) static ROUTES: &[Resource] = &[
    resource("/objectstats/buckets/{bucket}", READ_METHODS, STATISTICS),
    resource("/objectstats/types/{type}/buckets/{bucket}", READ_METHODS, STATISTICS),
    resource("/siblings/buckets/{bucket}/counts/{count}", READ_METHODS, SIBLINGS),
    resource("/siblings/types/{type}/buckets/{bucket}/counts/{count}", READ_METHODS, SIBLINGS),
    resource("/objectsizes/buckets/{bucket}/sizes/{count}", READ_METHODS, SIZES),
    resource("/objectsizes/types/{type}/buckets/{bucket}/sizes/{count}", READ_METHODS, SIZES),
    resource("/tombs/buckets/{bucket}", READ_METHODS, TOMBSTONES),
    resource("/tombs/types/{type}/buckets/{bucket}", READ_METHODS, TOMBSTONES),
    resource("/rangetrees/buckets/{bucket}/keysclocks", READ_METHODS, CLOCKS),
    resource("/rangetrees/types/{type}/buckets/{bucket}/keysclocks", READ_METHODS, CLOCKS),
    resource("/rangerepair/buckets/{bucket}", READ_METHODS, RANGE_REPAIR),
    resource("/rangerepair/types/{type}/buckets/{bucket}", READ_METHODS, RANGE_REPAIR),
    resource("/reap/buckets/{bucket}", READ_METHODS, REAP),
    resource("/reap/types/{type}/buckets/{bucket}", READ_METHODS, REAP),
    resource("/erase/buckets/{bucket}", READ_METHODS, ERASE),
    resource("/erase/types/{type}/buckets/{bucket}", READ_METHODS, ERASE),
    resource("/aaebucketlist", READ_METHODS, BUCKET_LIST),
    resource("/cachedtrees/{*steps}", READ_METHODS, NOT_OFFERED),
    resource("/rangetrees/{*steps}", READ_METHODS, NOT_OFFERED),
    resource("/rangerepl/{*steps}", READ_METHODS, NOT_OFFERED),
    resource("/queuename/{*steps}", "GET, HEAD, POST", QUEUE),
    resource("/membership_request", READ_METHODS, NOT_OFFERED),
];
