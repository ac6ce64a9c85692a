//! What a receiver gets, and what nobody gets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use mapring_jobs::Document;
use mapring_jobs::callback::signature;
use serde_json::json;

use super::*;

/// A clock that stands.
struct Noon;

impl Clock for Noon {
    fn now_micros(&self) -> u64 {
        1_700_000_000_000_000
    }
}

/// A receiver of our own that shares no code with the sender: answers each connection with the next of
/// some texts, and tells what it was sent.
struct Receiver {
    port: u16,
    requests: mpsc::Receiver<(String, Vec<u8>)>,
}

impl Receiver {
    fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, requests) = mpsc::channel();
        let answers = answers.to_vec();
        thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                tell.send(receive(stream, answer)).unwrap();
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/done?a=1", self.port)
    }
}

fn receive(stream: TcpStream, answer: &str) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(bytes) = lower.strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    // One that hangs up says nothing.
    (&stream).write_all(answer.as_bytes()).unwrap();
    (head, body)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

fn callbacks(allowed: &[&str], secret: Option<&'static str>) -> Callbacks {
    let config = CallbackConfig {
        allowed: Allowed::parse(allowed).unwrap(),
        secret: secret.map(Bytes::from),
        attempts: 3,
        pause: Duration::from_millis(1),
        courier: None,
    };
    Callbacks::new(config, Arc::new(Noon))
}

fn hearers(url: &str, method: &str) -> Hearers {
    let document = json!({
        "inputs": "b", "query": [],
        "callback": {"url": url, "method": method},
        "hooks": {"started": {"url": url}, "done": {"language": "javascript", "source": "() => 1"}}
    });
    Document::of(&document).unwrap().hearers
}

fn callback(url: &str, method: &str) -> Callback {
    hearers(url, method).callback.unwrap()
}

fn notice() -> Notice {
    Notice::new("job-1", &json!({"id": "job-1", "result_status": "success"}))
}

#[track_caller]
fn has(head: &str, line: &str) {
    let lines = head.lines().map(str::to_ascii_lowercase);
    assert!(lines.into_iter().any(|found| found == line.to_ascii_lowercase()), "{line}: {head}");
}

#[tokio::test]
async fn a_receiver_gets_it_once_and_can_trust_it() {
    let receiver = Receiver::start(&[OK, OK]);
    let callbacks = callbacks(&["127.0.0.1"], Some("secret"));
    callbacks.deliver(&callback(&receiver.url(), "POST"), &notice()).await.unwrap();
    let (head, body) = receiver.requests.recv().unwrap();
    has(&head, "POST /done?a=1 HTTP/1.1");
    has(&head, &format!("host: 127.0.0.1:{}", receiver.port));
    has(&head, "mapreduce-id: job-1");
    has(&head, "content-type: application/json");
    has(&head, &format!("mapring-signature: {}", signature(b"secret", 1_700_000_000, &body)));
    assert_eq!(body, notice().body);
    callbacks.deliver(&callback(&receiver.url(), "GET"), &notice()).await.unwrap();
    let (head, body) = receiver.requests.recv().unwrap();
    has(&head, "GET /done?a=1 HTTP/1.1");
    has(&head, &format!("mapring-signature: {}", signature(b"secret", 1_700_000_000, b"")));
    assert!(body.is_empty() && receiver.requests.try_recv().is_err());
}

#[tokio::test]
async fn it_is_sent_again_until_it_has_arrived() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(&[BUSY, "", OK, moved, BUSY, BUSY]);
    let callbacks = callbacks(&["127.0.0.1"], None);
    let callback = callback(&receiver.url(), "PUT");
    callbacks.deliver(&callback, &notice()).await.unwrap();
    // Whom it may reach names somebody else: that is no arrival, and is not followed.
    let failure = callbacks.deliver(&callback, &notice()).await.unwrap_err();
    assert_eq!(failure, "is answered with 503 Service Unavailable");
    let requests: Vec<_> = receiver.requests.iter().collect();
    assert_eq!(requests.len(), 6);
    for (head, body) in &requests {
        has(head, "PUT /done?a=1 HTTP/1.1");
        assert_eq!((body, head.contains("ignature")), (&notice().body.to_vec(), false));
    }
}

#[tokio::test]
async fn what_is_told_in_passing_holds_up_no_end() {
    let receiver = Receiver::start(&[OK]);
    let callbacks = callbacks(&["127.0.0.1"], None);
    let all = u32::try_from(limits::PASSING_AT_ONCE).unwrap();
    let under_way = callbacks.0.passing.acquire_many(all).await.unwrap();
    let (callback, notice) = (callback(&receiver.url(), "POST"), notice());
    let mut passing = Box::pin(callbacks.deliver_in_passing(&callback, &notice));
    assert!(futures::poll!(&mut passing).is_pending());
    callbacks.deliver(&callback, &notice).await.unwrap();
    assert_eq!(receiver.requests.iter().count(), 1);
    drop(under_way);
}

#[tokio::test]
async fn nobody_is_reached_who_is_not_listed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for (allowed, host, said) in [
        (&[][..], "127.0.0.1", "leads to 127.0.0.1 (loopback)"),
        (&["0.0.0.0/0", "::/0"], "127.0.0.1", "leads to 127.0.0.1 (loopback)"),
        // A listed network lets names be looked up, and what they lead to is looked at again.
        (&["10.0.0.0/8"], "localhost", "(loopback), and jobs.callback_allow lists no such address"),
    ] {
        let callback = callback(&format!("http://{host}:{port}/"), "POST");
        let failure = callbacks(allowed, None).deliver(&callback, &notice()).await.unwrap_err();
        assert!(failure.contains(said), "{failure}");
    }
    assert!(listener.accept().is_err(), "somebody was reached");
}

#[test]
fn what_may_not_be_sent_is_named_when_a_job_is_taken() {
    let fields = |callbacks: &Callbacks, url: &str| -> Vec<String> {
        let refused = callbacks.check(&hearers(url, "POST"));
        let problems = refused.err().map(|refused| refused.problems().to_vec());
        problems.unwrap_or_default().into_iter().map(|problem| problem.field).collect()
    };
    let callbacks = callbacks(&["hooks.example.com", "127.0.0.1:9000"], None);
    let both = ["callback.url", "hooks.started.url"];
    assert_eq!(fields(&callbacks, "http://hooks.example.com/x"), [""; 0]);
    assert_eq!(fields(&callbacks, "http://other.example.com/x"), both);
    assert_eq!(fields(&callbacks, "http://127.0.0.1:9001/x"), both);
    assert_eq!(fields(&callbacks, "https://hooks.example.com/x"), both);
}

#[test]
fn those_whom_nobody_waits_for_are_bounded() {
    let callbacks = callbacks(&[], None);
    let places: Vec<_> = (0..limits::CALLBACK_QUEUE).map(|_| callbacks.place()).collect();
    assert!(places.iter().all(Option::is_some) && callbacks.place().is_none());
    drop(places);
    assert!(callbacks.place().is_some());
}
