//! JO-16: who hears of the end of a job. Rows that need somebody who is called.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::case::value;
use crate::phases::map_js;
use crate::wire::{self, Request};

/// What the nodes sign with.
pub(crate) const SECRET: &str = "conformance";

/// How long a request, and the end of a job, may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long nothing more may come of what has arrived.
const SILENCE: Duration = Duration::from_millis(500);

struct Row {
    id: &'static str,
    function: &'static str,
    /// What is answered, one after the other, and 200 then.
    answers: &'static [u16],
    result: &'static str,
}

const ROWS: [Row; 4] = [
    Row { id: "cb-good", function: "function(v){ return [1]; }", answers: &[], result: "success" },
    Row {
        id: "cb-bad",
        function: "function(v){ throw new Error('boom on ' + v.key); }",
        answers: &[],
        result: "failed",
    },
    Row {
        id: "cb-busy",
        function: "function(v){ return [1]; }",
        answers: &[503, 503],
        result: "success",
    },
    // Where it is sent on to is nobody's business.
    Row {
        id: "cb-moved",
        function: "function(v){ return [1]; }",
        answers: &[302],
        result: "success",
    },
];

/// A request that was told, with its head in small letters.
struct Told {
    head: String,
    body: Value,
}

/// Puts all rows to all servers.
pub(crate) async fn check(authorities: &[String]) {
    for authority in authorities {
        for row in &ROWS {
            check_row(authority, row).await;
        }
    }
}

async fn check_row(authority: &str, row: &Row) {
    let Row { id, function, answers, result } = row;
    let (url, mut told) = receiver(answers).await;
    let document = json!({
        "name": "told", "inputs": {"range": {"start": 0, "end": 3}},
        "query": [value(&map_js(function))], "callback": {"url": url},
        "retries": {"shard": 1, "slice": 1, "backoff_ms": 0},
    });
    let path = format!("/jobs/{id}");
    let start = Request::new("PUT", &path).body("application/json", document.to_string());
    assert_eq!(ask(authority, &start).await.0, 202, "{id}");
    let mut delivery = Value::Null;
    for attempt in 0..=answers.len() {
        let came = tokio::time::timeout(PATIENCE, told.recv()).await;
        let came = came.unwrap_or_else(|_| panic!("{id}: attempt {attempt} does not come"));
        let Told { head, body } = came.unwrap();
        assert!(head.starts_with("post /done?x=1 http/1.1\r\n"), "{id}: {head}");
        assert!(head.contains(&format!("\r\nmapreduce-id: {id}\r\n")), "{id}: {head}");
        assert!(is_signed(&head), "{id}: {head}");
        let names = (&body["id"], &body["name"], &body["result_status"]);
        assert_eq!(names, (&json!(id), &json!("told"), &json!(result)));
        assert!(body["counters"].is_object(), "{id}: {body}");
        if attempt == 0 {
            delivery = body["delivery"].clone();
            assert!(delivery.is_string(), "{id}: {body}");
        }
        assert_eq!(body["delivery"], delivery, "{id}: it is known again");
    }
    let began = Instant::now();
    loop {
        let (status, shown) = ask(authority, &Request::new("GET", &path)).await;
        if (status, &shown["active"]) == (200, &json!(false)) {
            assert_eq!(shown["result_status"], *result, "{id}");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{id} is still {status} {shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(SILENCE).await;
    assert!(told.try_recv().is_err(), "{id}: what has arrived is sent again");
    assert_eq!(ask(authority, &Request::new("DELETE", &path)).await.0, 204, "{id}");
}

/// Whether a request has the form of a signature.
fn is_signed(head: &str) -> bool {
    let signature = head.lines().find_map(|line| line.strip_prefix("mapring-signature: t="));
    let parts = signature.and_then(|signature| signature.split_once(",v1="));
    parts.is_some_and(|(seconds, hex)| {
        seconds.bytes().all(|byte| byte.is_ascii_digit())
            && hex.len() == 64
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

async fn ask(authority: &str, request: &Request) -> (u16, Value) {
    let answer = wire::send(authority, request).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Takes requests for as long as anybody asks.
async fn receiver(answers: &'static [u16]) -> (String, mpsc::UnboundedReceiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    let mut answers = answers.iter().copied();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let status = answers.next().unwrap_or(200);
            let Some(request) = take(stream, status).await else { continue };
            if tell.send(request).is_err() {
                return;
            }
        }
    });
    (format!("http://127.0.0.1:{port}/done?x=1"), told)
}

/// Reads a request and answers it; `None` where it breaks off.
async fn take(mut stream: TcpStream, status: u16) -> Option<Told> {
    let mut text = String::new();
    let told = loop {
        let mut bytes = [0; 4_096];
        let count = stream.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        text.push_str(std::str::from_utf8(&bytes[..count]).ok()?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            break Told { head: format!("{}\r\n", head.to_ascii_lowercase()), body };
        }
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    Some(told)
}
