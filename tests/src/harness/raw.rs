//! HTTP by hand: answers that are read at any pace or not at all, connections that break.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::Node;

/// What a node counts, by name; with several labels their sum.
pub async fn metrics(node: &Node) -> BTreeMap<String, f64> {
    let text = Exchange::get(node, "/metrics").await.text().await;
    let mut metrics = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let name = name.split('{').next().unwrap_or(name).to_owned();
        *metrics.entry(name).or_default() += value.parse().unwrap_or(0.0);
    }
    metrics
}

/// A request whose answer is read byte by byte. Dropping it breaks the connection.
pub struct Exchange {
    stream: BufReader<TcpStream>,
}

impl Exchange {
    /// Sends a query.
    pub async fn query(node: &Node, chunked: bool, body: &str) -> Self {
        Self::json(node, "POST", &format!("/mapred?chunked={chunked}"), body).await
    }

    /// Sends a query whose answer is wanted in some form.
    pub async fn query_as(node: &Node, accept: &str, body: &str) -> Self {
        let headers = ["Content-Type: application/json", &format!("Accept: {accept}")];
        Self::with_headers(node, "POST", "/mapred", &headers, body).await
    }

    /// Sends JSON, or what is called so.
    pub async fn json(node: &Node, method: &str, path: &str, body: &str) -> Self {
        Self::with_headers(node, method, path, &["Content-Type: application/json"], body).await
    }

    /// Sends a request with header lines of its own.
    pub async fn with_headers(
        node: &Node,
        method: &str,
        path: &str,
        headers: &[impl AsRef<str>],
        body: &str,
    ) -> Self {
        let mut stream = TcpStream::connect(&node.settings.http).await.unwrap();
        let headers = headers.iter().map(|line| format!("{}\r\n", line.as_ref()));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{}\
             Content-Length: {}\r\n\r\n",
            headers.collect::<String>(),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        Self { stream: BufReader::with_capacity(256 << 10, stream) }
    }

    /// Sends what may be a part of a request.
    pub async fn raw(node: &Node, bytes: &str) -> Self {
        let mut stream = TcpStream::connect(&node.settings.http).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Asks for a resource.
    pub async fn get(node: &Node, path: &str) -> Self {
        let mut stream = TcpStream::connect(&node.settings.http).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// The status and headers, when they come.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// All of the body.
    pub async fn text(self) -> String {
        self.answer().await.1
    }

    /// The status and all of the body.
    pub async fn answer(mut self) -> (u16, String) {
        let head = self.head().await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {head}")), self.rest().await)
    }

    /// What is left of the body.
    pub async fn rest(mut self) -> String {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// As [`Exchange::read`]; `None` where the connection breaks.
    pub async fn try_read(&mut self, bytes: &mut [u8]) -> Option<usize> {
        self.stream.read(bytes).await.ok()
    }

    /// Reads some bytes of the body; none at its end.
    pub async fn read(&mut self, bytes: &mut [u8]) -> usize {
        self.stream.read(bytes).await.unwrap()
    }
}
