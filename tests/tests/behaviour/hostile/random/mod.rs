//! Requests that nobody would send, thousands of them over raw sockets: the node goes on, answers in HTTP,
//! says why where it fails, and does not grow (invariants I6 and I9).
//!
//! `MAPRING_SEED` gives the requests of a run again, `ROUNDS` says how many there are.

mod answer;
mod request;

use std::time::Duration;

use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use mapring_tests::harness::{Memory, Node};

use super::rig::Rig;
use request::Requests;

/// How many requests there are.
const ROUNDS: usize = 3_000;

/// Requests at once.
const AT_ONCE: usize = 16;

/// What the node may grow by once it has seen a sixth of them: what they store is much less, and its cache
/// is full or small.
const GROWTH: u64 = 96 << 20;

/// After which a node that says nothing is told that no more comes.
const QUIET: Duration = Duration::from_secs(3);

/// After how many of these the answer is due, whatever it is.
const QUIET_TIMES: usize = 10;

fn given<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_are_answered_and_cost_nothing() {
    let seed: u64 = given("MAPRING_SEED").unwrap_or_else(rand::random);
    println!("MAPRING_SEED={seed}");
    let rig = Rig::start(1, &[]).await;
    let node = rig.node();
    let mut requests = Requests::new(seed);
    let rounds: usize = given("ROUNDS").unwrap_or(ROUNDS);
    let all: Vec<Vec<u8>> = (0..rounds).map(|_| requests.next()).collect();
    let (first, rest) = all.split_at(rounds / 6);
    let mut wrong = run(node, first).await;
    let before = Memory::of(node.pid()).now;
    wrong.extend(run(node, rest).await);
    let after = Memory::of(node.pid()).now;
    println!("{rounds} requests; {} MB before, {} MB after", before >> 20, after >> 20);
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rig.client().is_live().await.unwrap(), "the node lives");
    assert!(!node.log().contains("panicked at"), "nothing in it has panicked");
    assert!(after < before + GROWTH, "{} MB before, {} MB after", before >> 20, after >> 20);
}

/// Sends requests, and tells which answers are wrong.
async fn run(node: &Node, requests: &[Vec<u8>]) -> Vec<String> {
    let address = &node.settings.http;
    let asked = futures::stream::iter(requests).map(|request| async move {
        let why = match ask(address, request).await {
            Ok(received) => answer::wrong(request, &received)?,
            Err(why) => why,
        };
        Some(format!("{why}\n    {}", request.escape_ascii()))
    });
    let wrong: Vec<Option<String>> = asked.buffer_unordered(AT_ONCE).collect().await;
    wrong.into_iter().flatten().collect()
}

/// All that comes back until the connection ends, which the node does.
async fn ask(address: &str, request: &[u8]) -> Result<Vec<u8>, String> {
    let connected = TcpStream::connect(address).await;
    let mut stream = connected.map_err(|error| format!("no connection: {error}"))?;
    // Who refuses what it has read does not read on.
    let _ = stream.write_all(request).await;
    let mut received = Vec::new();
    for _ in 0..QUIET_TIMES {
        match timeout(QUIET, read_all(&mut stream, &mut received)).await {
            Ok(()) => return Ok(received),
            // It may wait for more of a body. Who has gone away gets no answer.
            Err(_) => {
                let _ = stream.shutdown().await;
            }
        }
    }
    // Some answers never end, as that of events.
    if received.is_empty() { Err("no answer, and no end".to_owned()) } else { Ok(received) }
}

async fn read_all(stream: &mut TcpStream, received: &mut Vec<u8>) {
    // A connection that breaks has ended.
    while stream.read_buf(received).await.is_ok_and(|count| count > 0) {}
}
