//! What single clients need.

use mapring_mapred::{PhaseResults, Row};
use mapring_types::{Error, ErrorKind};

use super::Fixture;

const TEXT: &[&str] = &["Content-Type: text/plain"];
const NOT_FOUND: &str = r#"{"error":"not_found","message":"not found"}"#;

/// openriak (fact R340).
#[tokio::test]
async fn who_accepts_json_alone_is_told_so_that_nothing_is_there() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let json = &["Accept: application/json"][..];
    let python = &["Accept: multipart/mixed, application/json, */*;q=0.5"][..];
    for path in ["/buckets/b/keys/k", "/types/default/buckets/b/keys/k", "/riak/b/k"] {
        for (lines, kind, body) in
            [(json, "application/json", NOT_FOUND), (python, "text/plain", "not found\n")]
        {
            for method in ["GET", "DELETE"] {
                let missing = client.request(method, path, lines, b"").await;
                assert_eq!((missing.status, missing.text().as_str()), (404, body));
                assert_eq!(missing.header("content-type"), Some(kind), "{method} {path}");
            }
        }
    }
    let missing = client.request("GET", "/riak/b/k", json, b"").await;
    assert_eq!(missing.header("vary"), Some("Accept, Accept-Encoding"));
    for (path, message) in [
        ("/types/t/buckets/b/keys/k", "Unknown bucket type: t"),
        ("/nothing", "there is nothing at this path"),
    ] {
        let missing = client.request("GET", path, json, b"").await;
        let body = format!(r#"{{"error":"not_found","message":"{message}"}}"#);
        assert_eq!((missing.status, missing.text()), (404, body));
    }
    *fixture.store.failure.lock() = Some(Error::new(ErrorKind::Timeout, "late"));
    let late = client.request("GET", "/riak/b/k", json, b"").await;
    let body = r#"{"error":"unavailable","message":"request timed out"}"#;
    assert_eq!((late.status, late.text().as_str()), (503, body));
    // What is wrong with a request is told as ever.
    let wrong = client.request("GET", "/riak/b/k?r=x", json, b"").await;
    assert_eq!((wrong.status, wrong.header("content-type")), (400, Some("text/plain")));
    // What was deleted keeps its clock.
    assert_eq!(client.request("PUT", "/riak/b/k", TEXT, b"x").await.status, 204);
    assert_eq!(client.request("DELETE", "/riak/b/k", &[], b"").await.status, 204);
    let deleted = client.request("GET", "/riak/b/k", json, b"").await;
    assert_eq!((deleted.status, deleted.text().as_str()), (404, NOT_FOUND));
    assert_eq!(deleted.header("x-riak-deleted"), Some("true"));
    assert!(deleted.header("x-riak-vclock").is_some());
}

/// txriak, riakasaurus (fact R341).
#[tokio::test]
async fn a_query_without_a_type_is_json_unless_a_page_of_another_site_sends_it() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let play = async {
        fixture.queries.started.notified().await;
        fixture.queries.send(Ok(PhaseResults::new(0, vec![Row::value("1")])));
        fixture.queries.finish();
    };
    let (answer, ()) = tokio::join!(client.request("POST", "/mapred", &[], b"{}"), play);
    assert_eq!((answer.status, answer.text().as_str()), (200, "[1]"));
    let page = &["Origin: http://pages.example"][..];
    let refused = client.request("POST", "/mapred", page, b"{}").await;
    let text = "the header Content-Type is missing; it must be application/json";
    assert_eq!(refused.status, 415);
    assert!(refused.text().contains(text), "{}", refused.text());
}
