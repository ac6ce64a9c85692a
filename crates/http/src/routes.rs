//! The one table of routes: paths, what can be done with what they name, and what is looked at
//! before it is done.
//!
//! The first path of the table that a request's path is like is its route. Paths are matched and
//! decoded by [`path`], not by the router of a library: they are Riak's, in which empty segments do
//! not count, words may be escaped, and names are any bytes, slashes and what is not UTF-8 among
//! them.

use http::{Method, StatusCode};
use mapring_api::permission::Permission;

use crate::app::Upload;
use crate::reply::{Reply, Stop};
use crate::route::{
    Action, DELETE, Handler, On, POST, PUT, READ, READ_METHODS, Resource, action, resource,
};
use crate::{
    admin, bucket_query, bucket_types, buckets, datatypes, decision, folds, index, jobs, mapred,
    objects, openapi, path, props, queries, statistics, workers,
};

/// Finds what is done with a request, or else what is answered to it: 404, 405, 501.
pub(crate) fn find(
    method: &Method,
    path: &str,
) -> Result<(&'static Resource, &'static Action), Stop> {
    let resource = all().find(|resource| path::matches(resource.path, path));
    let resource = resource.ok_or_else(|| Reply::page(StatusCode::NOT_FOUND))?;
    let action = resource.actions.iter().find(|action| action.is_for(method));
    let action = action.ok_or_else(|| decision::wrong_method(method, resource.allow))?;
    Ok((resource, action))
}

/// Every route, in the order in which they are looked at.
pub(crate) fn all() -> impl Iterator<Item = &'static Resource> {
    ROUTES.iter().chain(jobs::ROUTES).chain(folds::ROUTES)
}

const WRITE: &[Method] = &[Method::PUT, Method::POST];
const ANY: &[Method] = &[];

const OBJECT_METHODS: &str = "HEAD, GET, POST, PUT, DELETE";
const OBJECT: &[Action] = &[
    action(READ, Permission::Get, On::Bucket, |app, request| Box::pin(objects::get(app, request)))
        .own_origin(),
    action(WRITE, Permission::Put, On::Bucket, |app, request| Box::pin(objects::put(app, request)))
        .own_origin()
        .takes(Upload::Value),
    action(DELETE, Permission::Delete, On::Bucket, |app, request| {
        Box::pin(objects::delete(app, request))
    })
    .own_origin(),
];

const CREATE: Action = action(POST, Permission::Put, On::Bucket, |app, request| {
    Box::pin(objects::create(app, request))
})
.own_origin()
.takes(Upload::Value);

const DATATYPE_METHODS: &str = "GET, HEAD, POST";
const COUNTER: &[Action] = &[
    action(READ, Permission::Get, On::Bucket, |app, request| {
        Box::pin(datatypes::counters::get(app, request))
    })
    .own_origin(),
    action(POST, Permission::Put, On::Bucket, |app, request| {
        Box::pin(datatypes::counters::add(app, request))
    })
    .own_origin()
    .takes(Upload::Message),
];

const DATATYPE: &[Action] = &[
    action(READ, Permission::Get, On::Bucket, |app, request| {
        Box::pin(datatypes::get(app, request))
    })
    .own_origin(),
    action(POST, Permission::Put, On::Bucket, |app, request| {
        Box::pin(datatypes::update(app, request))
    })
    .own_origin()
    .takes(Upload::Operation),
];

const DATATYPES: &[Action] = &[
    action(READ, Permission::Get, On::Bucket, |app, request| {
        Box::pin(datatypes::no_key(app, request))
    })
    .own_origin(),
    action(POST, Permission::Put, On::Bucket, |app, request| {
        Box::pin(datatypes::create(app, request))
    })
    .own_origin()
    .takes(Upload::Operation),
];

const KEYS: &[Action] = &[
    action(READ, Permission::ListKeys, On::Bucket, |app, request| {
        Box::pin(buckets::keys(app, request))
    })
    .own_origin(),
    CREATE,
];

const SET_PROPS: Action = action(PUT, Permission::SetBucket, On::Bucket, |app, request| {
    Box::pin(props::set(app, request))
})
.own_origin()
.takes(Upload::Properties);

const PROPS_METHODS: &str = "HEAD, GET, PUT, DELETE";
const PROPS: &[Action] = &[
    action(READ, Permission::GetBucket, On::Bucket, |app, request| {
        Box::pin(props::get(app, request))
    })
    .own_origin(),
    SET_PROPS,
    action(DELETE, Permission::SetBucket, On::Bucket, |app, request| {
        Box::pin(props::reset(app, request))
    })
    .own_origin(),
];

const OLD_BUCKET: &[Action] = &[
    action(READ, Permission::ListKeys, On::Bucket, |app, request| {
        Box::pin(buckets::old_bucket(app, request))
    })
    .own_origin(),
    SET_PROPS,
    CREATE,
];

const TYPE_PROPS: &[Action] = &[
    action(READ, Permission::GetBucketType, On::Type, |app, request| {
        Box::pin(props::get_type(app, request))
    })
    .own_origin(),
    action(PUT, Permission::SetBucketType, On::Type, |app, request| {
        Box::pin(props::set_type(app, request))
    })
    .own_origin()
    .takes(Upload::Properties),
];

const BUCKETS: &[Action] = &[action(READ, Permission::ListBuckets, On::Type, |app, request| {
    Box::pin(buckets::list(app, request))
})
.own_origin()];

const PREFERENCE_LIST: &[Action] =
    &[action(READ, Permission::GetPreferenceList, On::Bucket, |app, request| {
        Box::pin(buckets::preference_list(app, request))
    })
    .own_origin()];

const BUCKET_QUERY: &[Action] = &[
    action(READ, Permission::Index, On::Bucket, |_, request| {
        Box::pin(bucket_query::results(request))
    }),
    action(POST, Permission::Index, On::Bucket, |app, request| {
        Box::pin(bucket_query::run(app, request))
    })
    .own_origin()
    .takes(Upload::BucketQuery),
];

const INDEX: &[Action] = &[action(READ, Permission::Index, On::Bucket, |app, request| {
    Box::pin(index::get(app, request))
})
.own_origin()];

// What it reads lies in other buckets than its path says: who may do that may run queries.
const WALK: &[Action] = &[
    action(READ, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(objects::walk(app, request))
    })
    .own_origin(),
    action(POST, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(objects::post_walk(app, request))
    })
    .own_origin(),
    action(ANY, Permission::Get, On::Bucket, |_, request| Box::pin(objects::no_walk(request))),
];

const MAPRED: &[Action] = &[
    action(READ, Permission::MapReduce, On::Cluster, |_, _| Box::pin(mapred::usage())),
    action(POST, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(mapred::run(app, request))
    })
    .own_origin()
    .takes(Upload::Query)
    .telling_stop(),
];

const REPAIR: &[Action] = &[
    action(READ, Permission::Observe, On::Cluster, |app, request| {
        Box::pin(admin::repair(app, request))
    }),
    action(POST, Permission::Administer, On::Cluster, |app, request| {
        Box::pin(admin::start_repair(app, request))
    })
    .own_origin(),
];

const ONE_TYPE: &[Action] = &[
    action(READ, Permission::GetBucketType, On::Type, |app, request| {
        Box::pin(bucket_types::show(app, request))
    }),
    action(PUT, Permission::SetBucketType, On::Type, |app, request| {
        Box::pin(bucket_types::create(app, request))
    })
    .own_origin()
    .takes(Upload::Properties),
    action(POST, Permission::SetBucketType, On::Type, |app, request| {
        Box::pin(bucket_types::update(app, request))
    })
    .own_origin()
    .takes(Upload::Properties),
];

const ACTIVATE_TYPE: &[Action] =
    &[action(POST, Permission::SetBucketType, On::Type, |app, request| {
        Box::pin(bucket_types::activate(app, request))
    })
    .own_origin()];

const RESET_TYPE: &[Action] =
    &[action(POST, Permission::SetBucketType, On::Type, |app, request| {
        Box::pin(bucket_types::reset(app, request))
    })
    .own_origin()];

const QUERY: &[Action] = &[
    action(READ, Permission::Observe, On::Cluster, |app, request| {
        Box::pin(queries::show(app, request))
    }),
    action(DELETE, Permission::Administer, On::Cluster, |app, request| {
        Box::pin(queries::end(app, request))
    })
    .own_origin(),
];

const WORKER: &[Action] = &[action(PUT, Permission::Administer, On::Cluster, |app, request| {
    Box::pin(workers::throttle(app, request))
})
.own_origin()
.takes(Upload::Properties)];

const MEMBER: &[Action] = &[action(DELETE, Permission::Administer, On::Cluster, |app, request| {
    Box::pin(admin::member(app, request))
})
.own_origin()];

const CHOOSE: &[Action] = &[action(POST, Permission::Administer, On::Cluster, |app, request| {
    Box::pin(admin::choose(app, request))
})
.own_origin()];

/// What only shows how things are.
const fn shown(handler: Handler) -> Action {
    action(READ, Permission::Observe, On::Cluster, handler)
}

/// What is asked for most stands first; those of jobs and folds stand with their handlers.
static ROUTES: &[Resource] = &[
    resource("/buckets/{bucket}/keys/{key}", OBJECT_METHODS, OBJECT),
    resource("/riak/{bucket}/{key}", OBJECT_METHODS, OBJECT),
    resource("/types/{type}/buckets/{bucket}/keys/{key}", OBJECT_METHODS, OBJECT),
    resource("/mapred", "GET, HEAD, POST", MAPRED),
    resource("/buckets/{bucket}/keys", READ_METHODS, KEYS),
    resource("/types/{type}/buckets/{bucket}/keys", READ_METHODS, KEYS),
    resource("/riak/{bucket}", "HEAD, GET, PUT", OLD_BUCKET),
    resource("/buckets/{bucket}/props", PROPS_METHODS, PROPS),
    resource("/types/{type}/buckets/{bucket}/props", PROPS_METHODS, PROPS),
    resource("/types/{type}/props", "HEAD, GET, PUT", TYPE_PROPS),
    resource("/buckets", READ_METHODS, BUCKETS),
    resource("/riak", READ_METHODS, BUCKETS),
    resource("/types/{type}/buckets", READ_METHODS, BUCKETS),
    resource("/types/{type}/buckets/{bucket}/datatypes/{key}", DATATYPE_METHODS, DATATYPE),
    resource("/types/{type}/buckets/{bucket}/datatypes", DATATYPE_METHODS, DATATYPES),
    resource("/buckets/{bucket}/counters/{key}", DATATYPE_METHODS, COUNTER),
    resource("/buckets/{bucket}/keys/{key}/preflist", READ_METHODS, PREFERENCE_LIST),
    resource("/types/{type}/buckets/{bucket}/keys/{key}/preflist", READ_METHODS, PREFERENCE_LIST),
    resource("/buckets/{bucket}/query", "GET, HEAD, POST", BUCKET_QUERY),
    resource("/types/{type}/buckets/{bucket}/query", "GET, HEAD, POST", BUCKET_QUERY),
    resource("/buckets/{bucket}/index/{field}", READ_METHODS, INDEX),
    resource("/buckets/{bucket}/index/{field}/{*steps}", READ_METHODS, INDEX),
    resource("/types/{type}/buckets/{bucket}/index/{field}", READ_METHODS, INDEX),
    resource("/types/{type}/buckets/{bucket}/index/{field}/{*steps}", READ_METHODS, INDEX),
    resource("/buckets/{bucket}/keys/{key}/{*steps}", objects::WALK_METHODS, WALK),
    resource("/riak/{bucket}/{key}/{*steps}", objects::WALK_METHODS, WALK),
    resource("/types/{type}/buckets/{bucket}/keys/{key}/{*steps}", objects::WALK_METHODS, WALK),
    resource("/", READ_METHODS, const { &[shown(|_, request| Box::pin(admin::root(request)))] }),
    resource(
        "/ping",
        READ_METHODS,
        const { &[shown(|_, request| Box::pin(admin::ping(request)))] },
    ),
    resource(
        "/stats",
        READ_METHODS,
        const { &[shown(|app, request| Box::pin(statistics::stats(app, request)))] },
    ),
    resource(
        "/openapi.json",
        READ_METHODS,
        const { &[shown(|_, request| Box::pin(openapi::get(request, find)))] },
    ),
    resource("/metrics", READ_METHODS, const { &[shown(|app, _| Box::pin(admin::metrics(app)))] }),
    resource(
        "/admin/ready",
        READ_METHODS,
        const { &[shown(|app, _| Box::pin(admin::ready(app)))] },
    ),
    resource("/admin/live", READ_METHODS, const { &[shown(|app, _| Box::pin(admin::live(app)))] }),
    resource(
        "/admin/cluster",
        READ_METHODS,
        const { &[shown(|app, _| Box::pin(admin::cluster(app)))] },
    ),
    resource("/admin/cluster/choose/{name}", "POST", CHOOSE),
    resource("/admin/members/{name}", "DELETE", MEMBER),
    resource("/admin/repair/{name}", "GET, HEAD, POST", REPAIR),
    resource(
        "/admin/bucket-types",
        READ_METHODS,
        const {
            &[action(READ, Permission::GetBucketType, On::Cluster, |app, _| {
                Box::pin(bucket_types::list(app))
            })]
        },
    ),
    resource("/admin/bucket-types/{type}", "GET, HEAD, PUT, POST", ONE_TYPE),
    resource("/admin/bucket-types/{type}/activate", "POST", ACTIVATE_TYPE),
    resource("/admin/bucket-types/{type}/reset", "POST", RESET_TYPE),
    resource(
        "/admin/queries",
        READ_METHODS,
        const { &[shown(|app, _| Box::pin(queries::list(app)))] },
    ),
    resource("/admin/queries/{name}", "GET, HEAD, DELETE", QUERY),
    resource(
        "/admin/workers",
        READ_METHODS,
        const { &[shown(|app, _| Box::pin(workers::list(app)))] },
    ),
    resource("/admin/workers/{name}", "PUT", WORKER),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::app::Origin;
    use crate::path::names;

    /// A path that is like `pattern`.
    fn sample(pattern: &str) -> String {
        pattern.replace(['{', '}', '*'], "")
    }

    fn methods(list: &str) -> BTreeSet<&str> {
        list.split(", ").filter(|method| !method.is_empty()).collect()
    }

    #[test]
    fn no_route_hides_another() {
        for resource in all() {
            let Some(method) = resource.actions[0].methods.first() else { continue };
            let found = find(method, &sample(resource.path)).ok().unwrap();
            assert_eq!(found.0.path, resource.path);
        }
    }

    #[test]
    fn every_name_in_a_path_is_known() {
        let known =
            ["{type}", "{bucket}", "{key}", "{name}", "{field}", "{count}", "{step}", "{*steps}"];
        for resource in all() {
            let named = resource.path.split('/').filter(|segment| segment.contains(['{', '}']));
            assert!(named.clone().all(|name| known.contains(&name)), "{}", resource.path);
            for action in resource.actions {
                let needs: &[&str] = match action.on {
                    On::Cluster | On::Type => &[],
                    On::Bucket => &["{bucket}"],
                };
                let has = |name: &&str| named.clone().any(|there| there == *name);
                assert!(needs.iter().all(has), "{}", resource.path);
            }
        }
    }

    #[test]
    fn allowed_is_what_can_be_done() {
        for Resource { path, allow, actions } in all() {
            let taken: Vec<&str> =
                actions.iter().flat_map(|action| action.methods).map(Method::as_str).collect();
            let distinct: BTreeSet<&str> = taken.iter().copied().collect();
            assert_eq!(taken.len(), distinct.len(), "{path}: a method is there twice");
            assert_eq!(distinct.contains("GET"), distinct.contains("HEAD"), "{path}");
            let untold: Vec<&str> = distinct.difference(&methods(allow)).copied().collect();
            assert!(methods(allow).is_subset(&distinct), "{path}");
            // As in Riak.
            let keys = path.ends_with("/keys") || *path == "/riak/{bucket}";
            assert_eq!(untold, if keys { vec!["POST"] } else { vec![] }, "{path}");
        }
    }

    #[test]
    fn what_is_taken_comes_from_no_foreign_page() {
        for Resource { path, actions, .. } in all() {
            for action in *actions {
                let takes = action.upload != Upload::Nothing;
                let changes = takes || action.permission == Permission::Administer;
                assert!(!changes || action.origin != Origin::Any, "{path}");
                assert!(!takes || !action.is_for(&Method::GET), "{path}: GET with a body");
                let sent_for_any = changes && action.is_for(&Method::GET);
                assert!(!sent_for_any || action.origin == Origin::OwnSite, "{path}");
                let observes = action.permission == Permission::Observe;
                assert!(!observes || !action.is_for(&Method::POST), "{path}");
            }
        }
    }

    #[test]
    fn every_route_is_documented() {
        let text = include_str!("../../../docs/http.md");
        for Resource { path, .. } in all().filter(|route| !route.path.contains('*')) {
            let written = ["NODE", "ID", "NAME"].map(|name| {
                let path = path.replace("{bucket}", "B").replace("{key}", "K");
                let path = path
                    .replace("{type}", "T")
                    .replace("{step}", "STEP")
                    .replace("{field}", "F")
                    .replace("{count}", "N");
                format!("`{}", path.replace("{name}", name))
            });
            let ends = |told: &str| told.starts_with(['`', '?']);
            let told = |path: &String| {
                text.match_indices(path).any(|(at, path)| ends(&text[at + path.len()..]))
            };
            assert!(written.iter().any(told), "docs/http.md names none of {written:?}");
        }
    }

    #[track_caller]
    fn check(method: &str, path: &str, expect: (&str, Permission, Origin, Upload)) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (resource, action) = find(&method, path).ok().unwrap();
        let found = (resource.path, action.permission, action.origin, action.upload);
        assert_eq!(found, expect, "{method} {path}");
    }

    #[test]
    fn requests_find_their_routes() {
        use Origin::{Any, Own};
        use Permission::*;
        use Upload::{Nothing, Properties, Query, Value};
        let new = "/buckets/{bucket}/keys/{key}";
        check("HEAD", "/buckets/b/keys/k/", (new, Get, Own, Nothing));
        check("PUT", "//buckets/b%2F/keys/k%2Fl", (new, Put, Own, Value));
        check("POST", "/%62uckets/b/keys/k", (new, Put, Own, Value));
        check("DELETE", "/riak/b/k", ("/riak/{bucket}/{key}", Delete, Own, Nothing));
        let typed = "/types/{type}/buckets/{bucket}/keys/{key}";
        check("GET", "/types/t/buckets/b/keys/k", (typed, Get, Own, Nothing));
        check("POST", "/buckets/b/keys", ("/buckets/{bucket}/keys", Put, Own, Value));
        check("GET", "/buckets/b/keys/", ("/buckets/{bucket}/keys", ListKeys, Own, Nothing));
        check("POST", "/riak/b", ("/riak/{bucket}", Put, Own, Value));
        check("PUT", "/riak/b", ("/riak/{bucket}", SetBucket, Own, Properties));
        check("GET", "/riak/b", ("/riak/{bucket}", ListKeys, Own, Nothing));
        check("GET", "/riak", ("/riak", ListBuckets, Own, Nothing));
        check("GET", "/buckets//", ("/buckets", ListBuckets, Own, Nothing));
        let props = "/buckets/{bucket}/props";
        check("DELETE", "/buckets/b/props", (props, SetBucket, Own, Nothing));
        check("PUT", "/types/t/props", ("/types/{type}/props", SetBucketType, Own, Properties));
        let list = "/buckets/{bucket}/keys/{key}/preflist";
        check("GET", "/buckets/b/keys/k/preflist", (list, GetPreferenceList, Own, Nothing));
        let index = "/buckets/{bucket}/index/{field}/{*steps}";
        check("GET", "/buckets/b/index/f_int/1/2", (index, Index, Own, Nothing));
        let walk = "/riak/{bucket}/{key}/{*steps}";
        check("GET", "/riak/b/k/_,_,_", (walk, MapReduce, Own, Nothing));
        check("BREW", "/riak/b/k/preflist", (walk, Get, Any, Nothing));
        check("POST", "/mapred/", ("/mapred", MapReduce, Own, Query));
        check("GET", "/mapred", ("/mapred", MapReduce, Any, Nothing));
        check("GET", "", ("/", Observe, Any, Nothing));
        check("GET", "/ping/", ("/ping", Observe, Any, Nothing));
        let query = "/admin/queries/{name}";
        check("GET", "/admin/queries/1-2", (query, Observe, Any, Nothing));
        check("DELETE", "/admin/queries/1-2", (query, Administer, Own, Nothing));
        let create = "/admin/bucket-types/{type}";
        check("PUT", "/admin/bucket-types/t", (create, SetBucketType, Own, Properties));
        check("POST", "/admin/bucket-types/t", (create, SetBucketType, Own, Properties));
        let activate = "/admin/bucket-types/{type}/activate";
        check("POST", "/admin/bucket-types/t/activate", (activate, SetBucketType, Own, Nothing));
    }

    #[test]
    fn permissions_are_needed_on_what_the_path_names() {
        let target = |method: &Method, path: &str| {
            let (resource, action) = find(method, path).ok().unwrap();
            format!("{:?}", action.on.target(&names(resource.path, path)))
        };
        for (path, expect) in [
            ("/types/t/buckets/b/keys/k", r#"Bucket(t/b)"#),
            ("/types/t/buckets", r#"Type(b"t")"#),
            ("/riak", r#"Type(b"default")"#),
            ("/mapred", "Cluster"),
        ] {
            let found = target(&Method::GET, path);
            let bucket = format!("{:?}", mapring_types::BucketId::typed("t", "b"));
            assert_eq!(found, expect.replace("t/b", &bucket), "{path}");
        }
    }

    #[track_caller]
    fn refused(method: &str, path: &str, status: u16, allow: Option<&str>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let stop = find(&method, path).map(|(resource, _)| resource.path).unwrap_err();
        let response = Reply::from(stop).into_response();
        let told = response.headers().get("allow").map(|allow| allow.to_str().unwrap());
        assert_eq!((response.status().as_u16(), told), (status, allow), "{method} {path}");
    }

    #[test]
    fn other_requests_are_refused() {
        for path in ["/buckets/b", "/types", "/types/t", "/buckets/b/index", "/admin", "/x"] {
            refused("GET", path, 404, None);
            refused("BREW", path, 404, None);
        }
        refused("PATCH", "/riak/b/k", 501, None);
        refused("OPTIONS", "/riak/b/k", 405, Some("HEAD, GET, POST, PUT, DELETE"));
        refused("PUT", "/buckets/b/keys", 405, Some("GET, HEAD"));
        refused("DELETE", "/riak/b", 405, Some("HEAD, GET, PUT"));
        refused("POST", "/buckets/b/props", 405, Some("HEAD, GET, PUT, DELETE"));
        refused("DELETE", "/types/t/props", 405, Some("HEAD, GET, PUT"));
        refused("DELETE", "/buckets", 405, Some("GET, HEAD"));
        refused("PUT", "/mapred", 405, Some("GET, HEAD, POST"));
        refused("DELETE", "/buckets/b/keys/k/preflist", 405, Some("GET, HEAD"));
        refused("GET", "/admin/cluster/choose/n1", 405, Some("POST"));
        refused("GET", "/admin/members/n1", 405, Some("DELETE"));
        refused("DELETE", "/admin/repair/n1", 405, Some("GET, HEAD, POST"));
        refused("DELETE", "/admin/bucket-types/t", 405, Some("GET, HEAD, PUT, POST"));
        refused("GET", "/admin/bucket-types/t/reset", 405, Some("POST"));
        refused("POST", "/admin/queries/1-2", 405, Some("GET, HEAD, DELETE"));
    }
}
