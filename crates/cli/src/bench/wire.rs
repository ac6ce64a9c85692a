//! One HTTP/1.1 connection by hand: a load generator must cost little beside the server it loads.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits;

/// A connection that is made when it is needed, also after it broke.
pub(super) struct Connection {
    /// `host:port`.
    address: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body_bytes: u64,
}

impl Connection {
    pub(super) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: None,
            buffer: vec![0; limits::BENCH_BUFFER_BYTES],
        }
    }

    /// Sends a whole request and reads the whole answer.
    ///
    /// # Errors
    /// What went wrong, in a few words. The next request uses another connection.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        let outcome = timeout(limits::BENCH_ANSWER, self.try_exchange(request)).await;
        let outcome = outcome.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        if outcome.is_err() {
            self.stream = None;
        }
        outcome
    }

    async fn try_exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        let words = |error: std::io::Error| error.kind().to_string();
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address).await.map_err(words)?;
                stream.set_nodelay(true).map_err(words)?;
                none.insert(stream)
            }
        };
        stream.write_all(request).await.map_err(words)?;
        let mut filled = 0;
        let head = loop {
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = stream.read(room).await.map_err(words)?;
            if read == 0 {
                return Err("the connection ended".to_owned());
            }
            filled += read;
            if let Some(head) = Head::parse(self.buffer.get(..filled).unwrap_or_default())? {
                break head;
            }
        };
        let mut left = (head.bytes + head.body_bytes).saturating_sub(filled as u64);
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(limits::BENCH_BUFFER_BYTES)
                .min(limits::BENCH_BUFFER_BYTES);
            let room = self.buffer.get_mut(..most).unwrap_or_default();
            match stream.read(room).await.map_err(words)? {
                0 => return Err("the connection ended".to_owned()),
                read => left -= read as u64,
            }
        }
        if head.closes {
            self.stream = None;
        }
        Ok(Answer { status: head.status, body_bytes: head.body_bytes })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    bytes: u64,
    status: u16,
    body_bytes: u64,
    closes: bool,
}

impl Head {
    /// The head at the beginning of `bytes`; `None` when it is not all there.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(end) = bytes.windows(END.len()).position(|four| four == END) else {
            let full = bytes.len() >= limits::BENCH_BUFFER_BYTES;
            return if full { Err("an endless head".to_owned()) } else { Ok(None) };
        };
        let mut lines = bytes.get(..end).unwrap_or_default().split(|byte| *byte == b'\n');
        let status = lines.next().and_then(|line| {
            let code = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
            std::str::from_utf8(code).ok()?.parse().ok()
        });
        let status = status.ok_or("an answer that is not HTTP/1.1")?;
        let bytes = (end + END.len()) as u64;
        let mut head = Self { bytes, status, body_bytes: 0, closes: false };
        for line in lines {
            let mut parts = line.splitn(2, |byte| *byte == b':');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next());
            let value = value.unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"content-length") {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                head.body_bytes = number.ok_or("an answer of unknown length")?;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                return Err("an answer in chunks".to_owned());
            } else if name.eq_ignore_ascii_case(b"connection") {
                head.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        if matches!(status, 204 | 304) {
            head.body_bytes = 0;
        }
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn head(text: &str) -> Result<Option<(u16, u64, bool)>, String> {
        let head = Head::parse(text.as_bytes())?;
        Ok(head.map(|head| (head.status, head.body_bytes, head.closes)))
    }

    #[test]
    fn heads() {
        let found = "HTTP/1.1 200 OK\r\ncontent-LENGTH:  12\r\nX: y\r\n\r\nbody";
        assert_eq!(head(found), Ok(Some((200, 12, false))));
        for end in 0..found.len() - 4 {
            assert_eq!(head(&found[..end]), Ok(None), "{end}");
        }
        let stored = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        assert_eq!(head(stored), Ok(Some((204, 0, true))));
        assert!(head("HTTP/1.0 200 OK\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(head(&"x".repeat(limits::BENCH_BUFFER_BYTES)).is_err());
    }

    #[tokio::test]
    async fn answers_in_pieces_and_broken_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            // The second connection is the first one's replacement.
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_u8().await.unwrap();
                for piece in ["HTTP/1.1 200 OK\r\nConte", "nt-Length: 4\r\n\r\na", "bcd"] {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut connection = Connection::new(&address);
        let answer = Answer { status: 200, body_bytes: 4 };
        assert_eq!(connection.exchange(b"?").await, Ok(answer));
        assert!(connection.exchange(b"?").await.is_err());
        assert_eq!(connection.exchange(b"?").await.unwrap().status, 200);
    }
}
