//! Connections: keeping, pipelining, limits, slow clients, stopping.

use std::future::{pending, ready};
use std::time::Duration;

use super::Fixture;
use crate::HttpConfig;
use mapring_types::limits;

const TEXT: &[&str] = &["Content-Type: text/plain"];

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let put = "PUT /riak/b/k HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx";
    let get = "GET /riak/b/k HTTP/1.1\r\n\r\n";
    let wrong = "PUT /riak/b/k HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";
    client.send([put, get, wrong, get].concat().as_bytes()).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.response(false).await.status);
    }
    assert_eq!(statuses, [204, 200, 400, 200]);
}

#[tokio::test]
async fn large_bodies_are_refused_and_the_answer_arrives() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let whole = vec![b'x'; limits::OBJECT_BYTES];
    let put = client.request("PUT", "/riak/b/k", TEXT, &whole).await;
    assert_eq!(put.status, 204);
    let head = client.request("HEAD", "/riak/b/k", &[], b"").await;
    assert_eq!(head.header("content-length"), Some(limits::OBJECT_BYTES.to_string().as_str()));
    let large = vec![b'x'; limits::OBJECT_BYTES + 1];
    assert_eq!(client.request("PUT", "/riak/b/l", TEXT, &large).await.status, 413);
    // The connection is still good.
    assert_eq!(client.get("/riak/b/l").await.status, 404);
}

#[tokio::test]
async fn chunked_bodies_are_taken_up_to_the_limit() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let head = "PUT /riak/b/k HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}5\r\nchunk\r\n4\r\nbody\r\n0\r\n\r\n").as_bytes()).await;
    assert_eq!(client.response(false).await.status, 204);
    assert_eq!(client.get("/riak/b/k").await.text(), "chunkbody");
    client.send(head.as_bytes()).await;
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(vec![b'x'; 1 << 20]);
    chunk.extend(b"\r\n");
    for _ in 0..=limits::OBJECT_BYTES >> 20 {
        client.send(&chunk).await;
    }
    // The body has no end yet, and the answer is there.
    assert_eq!(client.response(false).await.status, 413);
}

#[tokio::test]
async fn permission_to_send_is_given_only_when_the_body_is_wanted() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let lines = ["Content-Type: text/plain", "Expect: 100-continue"];
    assert_eq!(client.request("PUT", "/riak/b/k", &lines, b"x").await.status, 204);
    let head = "PUT /riak/b/k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    client.send(head.as_bytes()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn many_headers_are_taken_and_too_many_refused() {
    let fixture = Fixture::start().await;
    for (count, status) in [(900, "HTTP/1.1 404"), (1_100, "HTTP/1.1 431")] {
        let mut client = fixture.connect().await;
        let lines: String = (0..count).map(|number| format!("X-{number}: y\r\n")).collect();
        client.send(format!("GET /riak/b/k HTTP/1.1\r\n{lines}\r\n").as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with(status), "{head}");
    }
    let mut client = fixture.connect().await;
    let key = "k".repeat(65_000);
    assert_eq!(client.get(&format!("/riak/b/{key}")).await.status, 404);
    assert_eq!(client.get(&format!("/riak/b/{key}{key}")).await.status, 414);
    let mut client = fixture.connect().await;
    let line = format!("X: {}\r\n", "y".repeat(2 * crate::limits::HEAD_BYTES));
    client.send(format!("GET /riak/b/k HTTP/1.1\r\n{line}\r\n").as_bytes()).await;
    // The reset may overtake the answer, because not all was read.
    let answer = client.closed().await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
}

#[tokio::test]
async fn nonsense_and_silence_are_closed() {
    let idle = Duration::from_millis(50);
    let fixture = Fixture::with(HttpConfig { idle, ..HttpConfig::default() }).await;
    let mut client = fixture.connect().await;
    client.send(b"nonsense\r\n\r\n").await;
    assert!(client.closed().await.starts_with(b"HTTP/1.1 400"));
    let silent = fixture.connect().await;
    assert!(silent.closed().await.is_empty());
    let mut slow = fixture.connect().await;
    slow.send(b"GET /riak/b/k HTTP/1.1\r\nX: ").await;
    assert!(slow.closed().await.is_empty());
}

#[tokio::test]
async fn connections_above_the_limit_wait() {
    let fixture = Fixture::with(HttpConfig { connections: 1, ..HttpConfig::default() }).await;
    let mut first = fixture.connect().await;
    assert_eq!(first.get("/ping").await.status, 200);
    let mut second = fixture.connect().await;
    second.send(b"GET /ping HTTP/1.1\r\n\r\n").await;
    assert_eq!(first.get("/ping").await.status, 200);
    drop(first);
    assert_eq!(second.response(false).await.status, 200);
}

#[tokio::test]
async fn requests_under_way_are_finished_when_the_server_stops() {
    let fixture = Fixture::start().await;
    let address = fixture.server.local_addr();
    let mut idle = fixture.connect().await;
    assert_eq!(idle.get("/ping").await.status, 200);
    let mut client = fixture.connect().await;
    *fixture.store.hold.lock() = true;
    client.send(b"GET /riak/b/k HTTP/1.1\r\n\r\n").await;
    fixture.store.waiting.notified().await;
    let Fixture { server, store, .. } = fixture;
    let stopping = tokio::spawn(server.shutdown(Duration::from_secs(60), pending()));
    // Idle connections are closed at once.
    assert!(idle.closed().await.is_empty());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    store.go_on.notify_one();
    let answer = client.response(false).await;
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    stopping.await.unwrap();
}

/// Stops a server whose requests do not end by themselves: at once, or as soon as it is hurried.
async fn stop(fixture: Fixture, hurried: bool) {
    let Fixture { server, store, .. } = fixture;
    match hurried {
        true => server.shutdown(Duration::from_secs(600), ready(())).await,
        false => server.shutdown(Duration::ZERO, pending()).await,
    }
    drop(store);
}

#[tokio::test]
async fn requests_that_do_not_end_in_time_are_answered() {
    for hurried in [false, true] {
        let fixture = Fixture::start().await;
        let mut read = fixture.connect().await;
        *fixture.store.hold.lock() = true;
        read.send(b"GET /riak/b/k HTTP/1.1\r\n\r\n").await;
        fixture.store.waiting.notified().await;
        let mut list = fixture.connect().await;
        list.send(b"GET /buckets/b/keys?keys=true HTTP/1.1\r\n\r\n").await;
        fixture.store.waiting.notified().await;
        let mut write = fixture.connect().await;
        write.send(b"PUT /riak/b/k HTTP/1.1\r\nContent-Type: text/plain\r\n").await;
        write.send(b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
        let mut query = fixture.connect().await;
        query.send(b"POST /mapred HTTP/1.1\r\nExpect: 100-continue\r\n").await;
        query.send(b"Content-Length: 5\r\n\r\n").await;
        // Their bodies are being waited for.
        for client in [&mut write, &mut query] {
            assert!(client.head().await.starts_with("HTTP/1.1 100"));
        }
        stop(fixture, hurried).await;
        for client in [&mut read, &mut list, &mut write, &mut query] {
            let answer = client.response(false).await;
            let expect = (503, "this node is stopping: ask another node\n".to_owned());
            assert_eq!((answer.status, answer.text()), expect);
            assert_eq!(answer.header("connection"), Some("close"));
        }
    }
}

#[tokio::test]
async fn queries_and_listings_that_have_begun_end_with_an_error() {
    let fixture = Fixture::start().await;
    let mut list = fixture.connect().await;
    assert_eq!(list.request("PUT", "/riak/b/k", TEXT, b"x").await.status, 204);
    *fixture.store.hold.lock() = true;
    list.send(b"GET /buckets/b/keys?keys=stream HTTP/1.1\r\n\r\n").await;
    assert!(list.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(list.chunk().await.as_deref(), Some(&b"{\"keys\":[\"k\"]}"[..]));
    let mut query = fixture.connect().await;
    query.send(b"POST /mapred?chunked=true HTTP/1.1\r\nContent-Type: application/json\r\n").await;
    query.send(b"Content-Length: 2\r\n\r\n{}").await;
    assert!(query.head().await.starts_with("HTTP/1.1 200"));
    stop(fixture, false).await;
    let error = "{\"error\":\"insufficient_vnodes_available\"}";
    for (client, error) in [(&mut list, error), (&mut query, "{\"error\":\"stopping\"}")] {
        assert_eq!(client.chunk().await.as_deref(), Some(error.as_bytes()));
        assert_eq!(client.chunk().await, None, "the end of the answer is there");
    }
}
