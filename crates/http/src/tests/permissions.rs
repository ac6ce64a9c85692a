//! Whoever decides about permissions is asked for every request.

use std::sync::Arc;

use mapring_api::permission::{Caller, Permission, Permissions, Target};
use mapring_types::{BucketId, Error, ErrorKind, Result};
use parking_lot::Mutex;

use super::Fixture;
use crate::HttpConfig;
use crate::routes;

/// Has a defect where objects are written.
struct Defect;

impl Permissions for Defect {
    fn check(&self, _: &Caller, permission: Permission, _: Target<'_>) -> Result<()> {
        assert_ne!(permission, Permission::Put, "a defect");
        Ok(())
    }
}

#[tokio::test]
async fn a_defect_is_answered_and_the_node_serves_on() {
    let fixture = Fixture::permitting(HttpConfig::default(), Arc::new(Defect)).await;
    // A body that nobody has read ends the connection.
    for (body, lives_on) in [(&b""[..], true), (b"x", false)] {
        let mut client = fixture.connect().await;
        let failed = client.request("PUT", "/riak/b/k", &["Content-Type: text/plain"], body).await;
        assert_eq!(failed.status, 500);
        assert!(failed.text().starts_with("Error:\nthe request met a defect"), "{}", failed.text());
        assert!(failed.header("server").is_some());
        if !lives_on {
            client = fixture.connect().await;
        }
        assert_eq!(client.get("/riak/b/k").await.status, 404);
    }
}

/// Refuses all, and remembers what it was asked.
#[derive(Default)]
struct RefuseAll(Mutex<Vec<(Caller, Permission, String)>>);

impl Permissions for RefuseAll {
    fn check(&self, caller: &Caller, permission: Permission, target: Target<'_>) -> Result<()> {
        self.0.lock().push((*caller, permission, format!("{target:?}")));
        Err(Error::new(ErrorKind::Forbidden, "not you"))
    }
}

#[tokio::test]
async fn every_route_needs_a_permission() {
    let permissions = Arc::new(RefuseAll::default());
    let fixture = Fixture::permitting(HttpConfig::default(), permissions.clone()).await;
    let mut client = fixture.connect().await;
    for resource in routes::all() {
        let path = resource.path.replace(['{', '}', '*'], "");
        for action in resource.actions {
            let method = action.methods.last().map_or("PUT", http::Method::as_str);
            let refused = client.request(method, &path, &[], b"").await;
            assert_eq!(refused.status, 403, "{method} {path}");
            if method != "HEAD" {
                // Paths of jobs have all that is wrong in JSON, App Engine's in that of its pages.
                let of_jobs = ["/jobs", "/job-configs", "/schedules", "/pipelines"];
                let expected = if of_jobs.iter().any(|of| path.starts_with(of)) {
                    r#"{"error":"forbidden","message":"not you"}"#
                } else if path.starts_with("/mapreduce/") {
                    r#"{"error_class":"Forbidden","error_message":"not you"}"#
                } else {
                    "not you\n"
                };
                assert_eq!(refused.text(), expected, "{method} {path}");
            }
            let asked = std::mem::take(&mut *permissions.0.lock());
            let [(caller, permission, _)] = &asked[..] else {
                panic!("{method} {path}: {asked:?}")
            };
            assert_eq!(*permission, action.permission, "{method} {path}");
            assert!(caller.address.ip().is_loopback(), "{caller:?}");
        }
    }
    assert_eq!(client.get("/nothing").await.status, 404);
    assert_eq!(client.request("PATCH", "/riak/b/k", &[], b"").await.status, 501);
    assert!(permissions.0.lock().is_empty());
    client.get("/types/t/buckets/b/keys/k").await;
    let (_, _, target) = permissions.0.lock().pop().unwrap();
    assert_eq!(target, format!("{:?}", Target::Bucket(&BucketId::typed("t", "b"))));
}
