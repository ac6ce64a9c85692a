//! A client that shows what is on the wire.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The head as it came.
    pub(crate) head: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The headers that `names` lists, as `name: value` lines; `-` for those that are not there.
    pub(crate) fn shape(&self, names: &[&str]) -> String {
        let lines: Vec<String> = names
            .iter()
            .map(|name| format!("{name}: {}", self.header(name).unwrap_or("-")))
            .collect();
        lines.join("\n")
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a request with the headers of curl, those in `lines` and a length.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        lines: &[&str],
        body: &[u8],
    ) -> Response {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: h:8098\r\n");
        if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("accept:")) {
            head.push_str("Accept: */*\r\n");
        }
        for line in lines {
            head.push_str(&format!("{line}\r\n"));
        }
        if !body.is_empty() || method == "PUT" || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.send(head.as_bytes()).await;
        self.send(body).await;
        self.response(method == "HEAD").await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"").await
    }

    /// Reads one response.
    pub(crate) async fn response(&mut self, head_only: bool) -> Response {
        let head = self.until(b"\r\n\r\n").await;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        if status == 100 {
            return Box::pin(self.response(head_only)).await;
        }
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut response = Response { status, headers, body: Vec::new(), head: head.clone() };
        if head_only || matches!(status, 204 | 304) {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                response.body.extend_from_slice(&chunk);
            }
        } else {
            let length = response.header("content-length").unwrap().parse().unwrap();
            response.body = self.take(length).await;
        }
        response
    }

    /// Reads one chunk; `None` is the last.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n").await;
        let line = String::from_utf8_lossy(&line).into_owned();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut data = self.take(length + 2).await;
        data.truncate(length);
        (length > 0).then_some(data)
    }

    pub(crate) async fn head(&mut self) -> String {
        String::from_utf8_lossy(&self.until(b"\r\n\r\n").await).into_owned()
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            assert!(self.fill().await, "the connection ended: {:?}", self.buffer);
        }
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill().await, "the connection ended");
        }
        self.buffer.drain(..length).collect()
    }

    async fn fill(&mut self) -> bool {
        self.stream.read_buf(&mut self.buffer).await.unwrap() > 0
    }

    /// Waits until the server closes the connection; gives what came before.
    pub(crate) async fn closed(mut self) -> Vec<u8> {
        // A reset is an end, too.
        while matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if read > 0) {}
        self.buffer
    }
}
