//! Clients that do not wait for an answer before they send the next request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use mapring_tests::harness::Cluster;

/// Rounds of a write, a read of what it wrote, and requests that fail in between.
const ROUNDS: usize = 200;

fn request(method: &str, key: &str, body: Option<&str>) -> String {
    let head = format!("{method} /buckets/b/keys/{key} HTTP/1.1\r\nHost: h\r\n");
    match body {
        Some(body) => {
            let length = body.len();
            format!("{head}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
        }
        None => format!("{head}\r\n"),
    }
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let cluster = Cluster::start(3).await;
    let stream = TcpStream::connect(&cluster.nodes[1].settings.http).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let (mut requests, mut expected) = (String::new(), Vec::new());
    for round in 0..ROUNDS {
        // One object for all, so that an answer out of its turn tells another round's value.
        let value = format!("value {round} {}", "x".repeat(round));
        requests.push_str(&request("PUT", "k", Some(&value)));
        expected.push((204, String::new()));
        requests.push_str(&request("GET", "k", None));
        expected.push((200, value));
        requests.push_str(&request("GET", "none", None));
        expected.push((404, "not found\n".to_owned()));
    }
    let sending = tokio::spawn(async move {
        writing.write_all(requests.as_bytes()).await.unwrap();
        writing
    });
    let mut received = Vec::new();
    for (at, expected) in expected.into_iter().enumerate() {
        let answer = loop {
            if let Some(answer) = take(&mut received) {
                break answer;
            }
            let read = reading.read_buf(&mut received).await.unwrap();
            assert!(read > 0, "the connection ended before answer {at}");
        };
        assert_eq!(answer, expected, "answer {at}");
    }
    assert!(received.is_empty(), "something more came");
    drop(sending.await.unwrap());
}

/// The first answer's status and body, taken out, if all of it is there.
fn take(received: &mut Vec<u8>) -> Option<(u16, String)> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().unwrap());
    if received.len() < end + length {
        return None;
    }
    let body = String::from_utf8(received[end..end + length].to_vec()).unwrap();
    received.drain(..end + length);
    Some((status, body))
}
