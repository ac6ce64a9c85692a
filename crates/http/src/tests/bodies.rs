//! Bodies that go through the node as streams, over the real store.

use std::sync::Arc;
use std::time::Duration;

use mapring_api::figures::SystemFacts;
use mapring_api::permission::AllowAll;
use mapring_cluster::fixed::FixedGroup;
use mapring_cluster::{Change, Cluster, Member};
use mapring_engine::memory::MemoryEngine;
use mapring_kv::executor::ThreadPool;
use mapring_kv::{BodySizes, Kv, KvConfig, KvParts, PutOptions};
use mapring_net::simulated::Network;
use mapring_ring::RingSize;
use mapring_types::env::{SystemClock, SystemEntropy};
use mapring_types::{BucketId, ObjectId, Releases};
use tokio::net::TcpListener;

use super::fake::Script;
use super::wire::Client;
use crate::{HttpConfig, HttpParts, HttpServer, NodeFacts, SandboxFacts, StorageFacts};

const TEXT: &[&str] = &["Content-Type: text/plain"];

const SIZES: BodySizes = BodySizes {
    whole_bytes: 2_000,
    max_bytes: 100_000,
    block_bytes: 1_000,
    time: Duration::from_secs(600),
};

/// A node alone that stores bodies of more than 2,000 bytes in blocks of 1,000.
async fn start() -> (HttpServer, Kv) {
    let cluster = FixedGroup::start(1, RingSize::new(8).unwrap()).remove(0);
    let me = cluster.view().me;
    let kv = Kv::open(KvParts {
        workers: mapring_background::Workers::default(),
        cluster: cluster.clone(),
        engine: Arc::new(MemoryEngine::new()),
        transport: Network::new().transport(me),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        executor: Arc::new(ThreadPool::start("storage", 2, 1_000).unwrap()),
        config: KvConfig { bodies: SIZES, ..KvConfig::default() },
    })
    .await
    .unwrap();
    let member = cluster.view().state.members[&me].clone();
    let member = Member { releases: Some(Releases::own()), ..member };
    cluster.propose(Change::Join { id: me, member, replaces: None }).await.unwrap();
    cluster.propose(Change::Seal).await.unwrap();
    let id = ObjectId::new(BucketId::untyped("b"), "k");
    // No round of telling is waited for.
    kv.upload(&id, &PutOptions::default()).await.unwrap();
    let parts = HttpParts {
        objects: Arc::new(kv.clone()),
        hooks: Arc::new(super::fake::Store::new()),
        queries: Arc::new(Script::default()),
        jobs: Arc::new(super::fake_jobs::PlayedJobs::default()),
        permissions: Arc::new(AllowAll),
        node: NodeFacts {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            serving: Arc::new(|| true),
            storage: Arc::new(StorageFacts::default),
            system: Arc::new(SystemFacts::default),
            sandbox: Arc::new(SandboxFacts::default),
        },
        metrics: Arc::new(String::new),
        config: HttpConfig::default(),
    };
    (HttpServer::start(parts, TcpListener::bind("127.0.0.1:0").await.unwrap()), kv)
}

async fn connect(server: &HttpServer) -> Client {
    Client::connect(server.local_addr()).await
}

fn text(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|at| b'a' + ((at * 7 + at / 1_000 + seed) % 26) as u8).collect()
}

/// Sends a body in chunks of `step` bytes.
async fn put_chunked(client: &mut Client, path: &str, body: &[u8], step: usize) {
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    client.send(head.as_bytes()).await;
    for piece in body.chunks(step) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        client.send(&[piece, b"\r\n"].concat()).await;
    }
    client.send(b"0\r\n\r\n").await;
}

#[tokio::test]
async fn what_is_put_is_read() {
    let (server, _kv) = start().await;
    let mut client = connect(&server).await;
    for bytes in [2_000, 2_001, 3_000, 50_500, 100_000] {
        let body = text(bytes, 1);
        let put = client.request("PUT", "/buckets/b/keys/k", TEXT, &body).await;
        assert_eq!(put.status, 204, "{}", put.text());
        let got = client.get("/buckets/b/keys/k").await;
        assert_eq!((got.status, got.header("content-type")), (200, Some("text/plain")));
        assert_eq!(got.header("content-length"), Some(bytes.to_string().as_str()));
        assert!(got.body == body, "{bytes}");
        let in_blocks = (bytes > 2_000).then_some("bytes");
        assert_eq!(got.header("accept-ranges"), in_blocks);
        let head = client.request("HEAD", "/buckets/b/keys/k", &[], b"").await;
        assert_eq!(head.header("content-length"), Some(bytes.to_string().as_str()));
        for name in ["etag", "last-modified", "x-riak-vclock", "link"] {
            assert_eq!(head.header(name), got.header(name), "{name}");
            assert!(got.header(name).is_some(), "{name}");
        }
        put_chunked(&mut client, "/buckets/b/keys/c", &body, 700).await;
        assert_eq!(client.response(false).await.status, 204);
        assert!(client.get("/buckets/b/keys/c").await.body == body);
        let returned = client.request("PUT", "/riak/b/k?returnbody=true", TEXT, &body).await;
        assert_eq!(returned.status, 200);
        assert!(returned.body == body);
    }
}

#[tokio::test]
async fn ranges_and_conditions() {
    let (server, _kv) = start().await;
    let mut client = connect(&server).await;
    for bytes in [1_500, 10_500_usize] {
        let body = text(bytes, 3);
        client.request("PUT", "/riak/b/k", TEXT, &body).await;
        let whole = client.get("/riak/b/k").await;
        let (tag, last) = (whole.header("etag").unwrap(), bytes - 1);
        for (asked, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=999-1000".to_owned(), 999, 1_001),
            ("bytes=500-".to_owned(), 500, bytes),
            ("bytes=-700".to_owned(), bytes - 700, bytes),
            (format!("bytes={last}-{last}"), last, bytes),
        ] {
            let range = format!("Range: {asked}");
            for lines in [
                vec![range.clone()],
                vec![range.clone(), format!("If-Range: {tag}")],
                vec![range.clone(), "Accept-Encoding: gzip".to_owned()],
            ] {
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                let part = client.request("GET", "/riak/b/k", &lines, b"").await;
                assert_eq!(part.status, 206, "{lines:?}");
                assert!(part.body == body[from..to], "{lines:?}");
                let told = format!("bytes {from}-{}/{bytes}", to - 1);
                assert_eq!(part.header("content-range"), Some(told.as_str()));
                assert_eq!(part.header("etag"), Some(tag));
            }
        }
        for lines in [
            &["Range: bytes=0-1", "If-Range: \"other\""][..],
            &["Range: bytes=0-1,4-5"],
            &["Range: words=0-1"],
        ] {
            let all = client.request("GET", "/riak/b/k", lines, b"").await;
            assert_eq!((all.status, all.body.len()), (200, bytes), "{lines:?}");
        }
        let beyond = format!("Range: bytes={bytes}-");
        let beyond = client.request("GET", "/riak/b/k", &[&beyond], b"").await;
        let told = format!("bytes */{bytes}");
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(told.as_str())));
        let same = format!("If-None-Match: {tag}");
        assert_eq!(client.request("GET", "/riak/b/k", &[&same], b"").await.status, 304);
        let other = ["Content-Type: text/plain", "If-Match: \"other\""];
        assert_eq!(client.request("PUT", "/riak/b/k", &other, &body).await.status, 412);
        let own = format!("If-Match: {tag}");
        let own = ["Content-Type: text/plain", own.as_str()];
        assert_eq!(client.request("PUT", "/riak/b/k", &own, &body).await.status, 204);
    }
}

#[tokio::test]
async fn gzip_is_made_as_the_body_is_read() {
    let (server, _kv) = start().await;
    let mut client = connect(&server).await;
    let body = text(90_000, 5);
    client.request("PUT", "/riak/b/k", TEXT, &body).await;
    let got = client.request("GET", "/riak/b/k", &["Accept-Encoding: gzip"], b"").await;
    assert_eq!((got.status, got.header("content-encoding")), (200, Some("gzip")));
    assert!(got.header("etag").unwrap().starts_with("W/"));
    let mut read = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&got.body[..]);
    std::io::Read::read_to_end(&mut decoder, &mut read).unwrap();
    assert!(read == body && got.body.len() < body.len());
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_changes_nothing() {
    let (server, _kv) = start().await;
    let mut client = connect(&server).await;
    client.request("PUT", "/riak/b/k", TEXT, b"before").await;
    let large = text(100_001, 1);
    let refused = client.request("PUT", "/riak/b/k", TEXT, &large).await;
    assert_eq!(
        (refused.status, refused.text()),
        (413, "the body is larger than 100000 bytes\n".into())
    );
    put_chunked(&mut client, "/riak/b/k", &large, 5_000).await;
    let refused = client.response(false).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("larger than 100000 bytes"), "{}", refused.text());
    // One that breaks off.
    let mut other = connect(&server).await;
    let head =
        "PUT /riak/b/k HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 50000\r\n\r\n";
    other.send(head.as_bytes()).await;
    other.send(&large[..20_000]).await;
    drop(other);
    let mut client = connect(&server).await;
    assert_eq!(client.get("/riak/b/k").await.text(), "before");
}

#[tokio::test]
async fn values_beside_each_other() {
    let (server, _kv) = start().await;
    let mut client = connect(&server).await;
    let props = b"{\"props\":{\"allow_mult\":true}}";
    client.request("PUT", "/buckets/b/props", &["Content-Type: application/json"], props).await;
    let bodies = [text(5_500, 1), text(2_500, 2), b"small".to_vec()];
    for body in &bodies {
        client.request("PUT", "/riak/b/k", TEXT, body).await;
    }
    let list = client.get("/riak/b/k").await;
    assert_eq!(list.status, 300);
    let parts = client.request("GET", "/riak/b/k", &["Accept: multipart/mixed"], b"").await;
    assert_eq!(parts.status, 300);
    let told = parts.header("content-length").unwrap();
    assert_eq!(told, parts.body.len().to_string());
    let boundary = parts.header("content-type").unwrap().split("boundary=").nth(1).unwrap();
    let whole = parts.text();
    let found: Vec<&str> = whole
        .split(&format!("\r\n--{boundary}"))
        .filter_map(|part| part.split_once("\r\n\r\n"))
        .map(|(_, body)| body)
        .collect();
    let (mut found, mut expect) = (found, bodies.each_ref().map(|b| str::from_utf8(b).unwrap()));
    found.sort_unstable();
    expect.sort_unstable();
    assert!(found == expect, "{} parts", found.len());
    let text = list.text();
    for tag in text.lines().skip(1) {
        let one = client.get(&format!("/riak/b/k?vtag={tag}")).await;
        assert_eq!(one.status, 200);
        assert!(bodies.contains(&one.body));
    }
    let clock = format!("X-Riak-Vclock: {}", parts.header("x-riak-vclock").unwrap());
    let lines = ["Content-Type: text/plain", clock.as_str()];
    assert_eq!(client.request("PUT", "/riak/b/k", &lines, &bodies[0]).await.status, 204);
    assert!(client.get("/riak/b/k").await.body == bodies[0]);
    assert_eq!(client.request("DELETE", "/riak/b/k", &[], b"").await.status, 204);
    assert_eq!(client.get("/riak/b/k").await.status, 404);
}
