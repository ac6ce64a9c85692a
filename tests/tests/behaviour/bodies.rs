//! Large bodies: written and read as streams in bounded memory, through nodes that are killed meanwhile.

use std::time::Duration;

use mapring_client::{NewObject, Place};
use mapring_tests::harness::{Cluster, Exchange, Node, Watch, eventually, holds, metrics};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Of every body: 200 blocks, more than what a node may take for it.
const BYTES: u64 = 200 << 20;

/// What a node may grow by while such a body goes through it, once one has: what the storage writes and
/// reads of it lies in files, of which it keeps nothing.
const GROWTH: u64 = 64 << 20;

/// What is left behind is removed soon.
const SETTINGS: [(&str, &str); 2] =
    [("MAPRING__OBJECTS__BODY_TIME", "60s"), ("MAPRING__OBJECTS__WHOLE_BODY_SIZE", "4 MB")];

const STEP: usize = 256 << 10;

async fn start(settings: &[(&str, &str)]) -> Cluster {
    let cluster = Cluster::start_with(3, settings).await;
    cluster.wait_formats().await;
    cluster
}

/// The bytes of a body from a place on; those of each seed are others.
fn fill(seed: u64, offset: u64, bytes: &mut [u8]) {
    for (at, words) in (offset / 8..).zip(bytes.chunks_mut(8)) {
        let word = (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        words.copy_from_slice(&word[..words.len()]);
    }
}

/// An upload under way. Dropping it breaks it off.
struct Upload {
    stream: TcpStream,
    seed: u64,
    sent: u64,
    chunked: bool,
}

impl Upload {
    async fn begin(node: &Node, key: &str, seed: u64, chunked: bool) -> Self {
        let mut stream = TcpStream::connect(&node.settings.http).await.unwrap();
        let length = match chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {BYTES}"),
        };
        let head = format!(
            "PUT /buckets/large/keys/{key} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
             Content-Type: application/octet-stream\r\n{length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, seed, sent: 0, chunked }
    }

    /// Sends up to a place of the body; whether it could be sent.
    async fn send_to(&mut self, end: u64) -> bool {
        let mut bytes = vec![0; STEP];
        while self.sent < end {
            fill(self.seed, self.sent, &mut bytes);
            let frame = match self.chunked {
                true => [format!("{STEP:x}\r\n").as_bytes(), &bytes, b"\r\n"].concat(),
                false => bytes.clone(),
            };
            if self.stream.write_all(&frame).await.is_err() {
                return false;
            }
            self.sent += STEP as u64;
        }
        true
    }

    /// Sends the rest; gives the status.
    async fn end(mut self) -> u16 {
        assert!(self.send_to(BYTES).await, "the upload broke off");
        if self.chunked {
            self.stream.write_all(b"0\r\n\r\n").await.unwrap();
        }
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }
}

async fn upload(node: &Node, key: &str, seed: u64, chunked: bool) {
    let status = Upload::begin(node, key, seed, chunked).await.end().await;
    assert_eq!(status, 204);
}

/// Reads a body and compares it; `at` is called when so many bytes have come. Gives how many came.
async fn download(node: &Node, key: &str, seed: u64, at: u64, call: impl AsyncFnOnce()) -> u64 {
    let mut exchange = Exchange::get(node, &format!("/buckets/large/keys/{key}")).await;
    let head = exchange.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_ascii_lowercase().contains(&format!("content-length: {BYTES}\r\n")), "{head}");
    let (mut bytes, mut expect) = (vec![0; STEP], vec![0; STEP]);
    let (mut read, mut call) = (0_u64, Some(call));
    loop {
        let mut filled = 0;
        while filled < STEP {
            match exchange.try_read(&mut bytes[filled..]).await {
                Some(count) if count > 0 => filled += count,
                _ => break,
            }
        }
        fill(seed, read, &mut expect);
        assert!(bytes[..filled] == expect[..filled], "other bytes from {read} on");
        read += filled as u64;
        if read >= at
            && let Some(call) = call.take()
        {
            call().await;
        }
        if filled < STEP {
            return read;
        }
    }
}

async fn read_all(node: &Node, key: &str, seed: u64) {
    assert_eq!(download(node, key, seed, u64::MAX, async || {}).await, BYTES);
}

async fn blocks(cluster: &Cluster) -> f64 {
    let mut sum = 0.0;
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        sum += metrics(node).await.get("mapring_kv_blocks").copied().unwrap_or(-1.0);
    }
    sum
}

#[tokio::test]
async fn large_bodies_go_through_in_bounded_memory() {
    let cluster = start(&SETTINGS).await;
    upload(&cluster.nodes[0], "told", 1, false).await;
    for node in &cluster.nodes {
        read_all(node, "told", 1).await;
    }
    let watches: Vec<Watch> = cluster.nodes.iter().map(|node| Watch::start(node.pid())).collect();
    upload(&cluster.nodes[1], "chunked", 2, true).await;
    for node in &cluster.nodes {
        read_all(node, "chunked", 2).await;
    }
    for watch in &watches {
        assert!(watch.growth() < GROWTH, "{watch}");
    }
    // A part is read as a part.
    let headers = ["Range: bytes=104857600-104857699"];
    let path = "/buckets/large/keys/told";
    let mut part = Exchange::with_headers(&cluster.nodes[2], "GET", path, &headers, "").await;
    let head = part.head().await;
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    let (mut bytes, mut expect) = (vec![0; 100], vec![0; 104]);
    let mut read = 0;
    while read < 100 {
        read += part.read(&mut bytes[read..]).await;
    }
    fill(1, 104_857_600, &mut expect);
    assert_eq!(bytes, expect[..100]);
    // No function gets it, and nothing else is disturbed by it.
    let map = r#"{"inputs":"large","query":[{"map":{"language":"javascript",
        "name":"Riak.mapValues"}}]}"#;
    let (status, text) = Exchange::query(&cluster.nodes[0], false, map).await.answer().await;
    assert_eq!(status, 500, "{text}");
    assert!(text.contains("more than a function gets whole"), "{text}");
    let keys = Exchange::get(&cluster.nodes[1], "/buckets/large/keys?keys=true").await.text().await;
    assert!(keys.contains("told") && keys.contains("chunked"), "{keys}");
}

#[tokio::test]
async fn an_upload_whose_node_is_killed_leaves_what_was_there() {
    let mut cluster = start(&SETTINGS).await;
    upload(&cluster.nodes[0], "k", 1, false).await;
    let mut broken = Upload::begin(&cluster.nodes[1], "k", 2, false).await;
    assert!(broken.send_to(BYTES / 2).await);
    cluster.nodes[1].kill().await;
    assert!(!broken.send_to(BYTES).await, "nobody takes it");
    for node in [&cluster.nodes[0], &cluster.nodes[2]] {
        read_all(node, "k", 1).await;
    }
    // Another node is killed while blocks come to it: the upload goes on.
    cluster.restart(1).await;
    let mut goes_on = Upload::begin(&cluster.nodes[0], "other", 3, true).await;
    assert!(goes_on.send_to(BYTES / 4).await);
    cluster.nodes[2].kill().await;
    assert_eq!(goes_on.end().await, 204);
    for node in &cluster.nodes[..2] {
        read_all(node, "other", 3).await;
    }
    cluster.restart(2).await;
    for node in &cluster.nodes {
        let what = format!("{} to hold nothing for others", node.settings.name);
        eventually(&what, || async {
            holds(metrics(node).await.get("mapring_kv_hinted_vnodes") == Some(&0.0))
        })
        .await;
    }
    cluster.nodes[0].kill().await;
    read_all(&cluster.nodes[2], "other", 3).await;
    read_all(&cluster.nodes[2], "k", 1).await;
}

#[tokio::test]
async fn a_download_goes_on_when_another_node_is_killed() {
    let mut cluster = start(&SETTINGS).await;
    upload(&cluster.nodes[0], "k", 1, false).await;
    let (serving, other) = cluster.nodes.split_at_mut(1);
    let read = download(&serving[0], "k", 1, BYTES / 4, async || other[1].kill().await).await;
    assert_eq!(read, BYTES);
    // The node that serves it: the client sees that something is missing, and another has all.
    let killed = &mut cluster.nodes[..1];
    let pid = rustix::process::Pid::from_raw(killed[0].pid()).unwrap();
    let kill = async || {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let read = download(&killed[0], "k", 1, BYTES / 4, kill).await;
    assert!(read < BYTES, "{read}");
    killed[0].kill().await;
    cluster.restart(0).await;
    cluster.restart(2).await;
    read_all(&cluster.nodes[1], "k", 1).await;
    read_all(&cluster.nodes[0], "k", 1).await;
}

#[tokio::test]
async fn blocks_of_replaced_and_broken_bodies_are_removed() {
    let settings = [SETTINGS[1], ("MAPRING__OBJECTS__BODY_TIME", "10s")];
    let cluster = start(&settings).await;
    let small = "v".repeat(5 << 20);
    let put = async |key: &str| {
        let path = format!("/buckets/small/keys/{key}");
        let headers = ["Content-Type: text/plain"];
        let answer = Exchange::with_headers(&cluster.nodes[0], "PUT", &path, &headers, &small);
        assert_eq!(answer.await.answer().await.0, 204);
    };
    for key in ["kept", "replaced", "replaced", "deleted"] {
        put(key).await;
    }
    let path = "/buckets/small/keys/deleted";
    let deleted = Exchange::with_headers(&cluster.nodes[1], "DELETE", path, &[""; 0], "").await;
    assert_eq!(deleted.answer().await.0, 204);
    // What was broken off goes at once.
    let mut broken = Upload::begin(&cluster.nodes[2], "broken", 1, false).await;
    assert!(broken.send_to(20 << 20).await);
    drop(broken);
    tokio::time::timeout(Duration::from_secs(90), async {
        while blocks(&cluster).await != 30.0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .expect("ten blocks are left, each on three nodes");
    for key in ["kept", "replaced"] {
        let path = format!("/buckets/small/keys/{key}");
        let (status, text) = Exchange::get(&cluster.nodes[2], &path).await.answer().await;
        assert!(status == 200 && text == small, "{key}: {status}");
    }
}

/// More than an object has that is not in blocks.
#[tokio::test]
async fn an_output_of_60_mb_is_one_object() {
    const LINES: usize = 60;
    const LINE: usize = 1_000_000;
    let cluster = start(&[]).await;
    let client = cluster.client(0);
    let line = |number: usize| format!("{number:02}").repeat(LINE / 2);
    for number in 0..LINES {
        let content_type = "text/plain".into();
        let object = NewObject { body: line(number).into(), content_type, ..NewObject::default() };
        client.put(&Place::new("texts", format!("{number:02}")), object).await.unwrap();
    }
    let query = json!({
        "inputs": (0..LINES).map(|number| ["texts".into(), format!("{number:02}")]).collect::<Vec<_>>(),
        "query": [
            {"map": {"language": "javascript", "source": "function(v) {
                return [v.values[0].data]; }"}},
        ],
        "output": {"bucket": "out", "layout": "single", "name": "all", "format": "lines"},
        "timeout": 120_000,
    });
    let answer = client.mapred(query.to_string()).await.unwrap();
    assert_eq!(answer, r#"[["out","all"]]"#);
    for node in &cluster.nodes {
        let mut exchange = Exchange::get(node, "/buckets/out/keys/all").await;
        let head = exchange.head().await.to_ascii_lowercase();
        let length = format!("content-length: {}\r\n", LINES * (LINE + 1));
        assert!(head.starts_with("http/1.1 200 ") && head.contains(&length), "{head}");
        let (mut body, mut bytes) = (Vec::new(), vec![0; STEP]);
        while let Some(count) = exchange.try_read(&mut bytes).await.filter(|&count| count > 0) {
            body.extend_from_slice(&bytes[..count]);
        }
        let mut found: Vec<&str> = std::str::from_utf8(&body).unwrap().lines().collect();
        found.sort_unstable();
        assert_eq!(found.len(), LINES);
        assert!(found.iter().enumerate().all(|(number, found)| **found == line(number)));
    }
}
