//! Whether what comes back is HTTP, and says why where the node fails.

/// Where 500 is Riak's answer: to queries whose functions fail, and to operations on data types that
/// make no sense for what is there.
const FAILING: [&[u8]; 2] = [b"/mapred", b"/datatypes"];

/// What is wrong with the first answer, or with how the next begins. What broke off with its connection,
/// and what the node said nothing to, is not.
pub(super) fn wrong(request: &[u8], received: &[u8]) -> Option<String> {
    let mut rest = received;
    loop {
        if rest.is_empty() {
            return None;
        }
        let answer = match Answer::read(rest) {
            Ok(answer) => answer,
            Err(why) => return Some(why),
        };
        if answer.status >= 200 {
            return answer.wrong(request);
        }
        rest = answer.rest;
    }
}

struct Answer<'a> {
    status: u16,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    /// What follows the head.
    rest: &'a [u8],
}

impl<'a> Answer<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let shown = || bytes[..bytes.len().min(200)].escape_ascii().to_string();
        let end =
            find(bytes, b"\r\n\r\n").ok_or_else(|| format!("a head without end: {}", shown()))?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let status = ["HTTP/1.1 ", "HTTP/1.0 "].iter().find_map(|begin| line.strip_prefix(begin));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| format!("no status: {}", shown()))?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let is_name = !name.is_empty() && name.bytes().all(token);
            is_name.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers: Option<Vec<_>> = lines.map(header).collect();
        let headers = headers.ok_or_else(|| format!("no header: {}", shown()))?;
        Ok(Self { status, headers, rest: &bytes[end + 4..] })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let known = self.headers.iter().find(|(known, _)| known == name);
        known.map(|(_, value)| value.as_str())
    }

    fn wrong(&self, request: &[u8]) -> Option<String> {
        let (status, request) = (self.status, request.trim_ascii_start());
        let bodiless = request.starts_with(b"HEAD ") || [204, 304].contains(&status);
        let (body, next) = match self.body(bodiless) {
            Ok(Some(parts)) => parts,
            // Broken off.
            Ok(None) => return None,
            Err(why) => return Some(format!("{status}: {why}")),
        };
        if !next.is_empty() && !next.starts_with(b"HTTP/1.") {
            let next = &next[..next.len().min(100)];
            return Some(format!("{status}: behind it stands {}", next.escape_ascii()));
        }
        if status >= 500 && !bodiless && body.trim_ascii().is_empty() {
            return Some(format!("{status}: without a word"));
        }
        let may_fail = FAILING.iter().any(|part| find(request, part).is_some());
        if status == 500 && !may_fail {
            let body = &body[..body.len().min(500)];
            return Some(format!("{status}: {}", body.escape_ascii()));
        }
        None
    }

    /// The body and what follows it; nothing where it has not come to its end.
    fn body(&self, bodiless: bool) -> Result<Option<Split<'a>>, String> {
        if bodiless {
            return Ok(Some((Vec::new(), self.rest)));
        }
        if self.header("transfer-encoding").is_some_and(|value| value == "chunked") {
            return chunks(self.rest);
        }
        let Some(length) = self.header("content-length") else {
            return Ok(Some((self.rest.to_vec(), Default::default())));
        };
        let length: usize = length.parse().map_err(|_| format!("of {length:?} bytes"))?;
        Ok(self.rest.split_at_checked(length).map(|(body, next)| (body.to_vec(), next)))
    }
}

/// A body, and what follows it.
type Split<'a> = (Vec<u8>, &'a [u8]);

/// What chunks hold, and what follows them.
fn chunks(mut rest: &[u8]) -> Result<Option<Split<'_>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(rest, b"\r\n") else { return Ok(None) };
        let length = String::from_utf8_lossy(&rest[..end]).into_owned();
        let length = usize::from_str_radix(&length, 16).map_err(|_| format!("chunk {length:?}"))?;
        let Some((chunk, next)) = rest[end + 2..].split_at_checked(length) else { return Ok(None) };
        let Some((line_end, next)) = next.split_at_checked(2) else { return Ok(None) };
        if line_end != b"\r\n" {
            return Err(format!("a chunk of {length} bytes is longer"));
        }
        if length == 0 {
            return Ok(Some((body, next)));
        }
        body.extend_from_slice(chunk);
        rest = next;
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[test]
fn wrong_answers_are_found() {
    let check = |request: &str, received: &str, words: Option<&str>| {
        let found = wrong(request.as_bytes(), received.as_bytes());
        let as_expected = match (&found, words) {
            (None, None) => true,
            (Some(found), Some(words)) => found.contains(words),
            _ => false,
        };
        assert!(as_expected, "{request} {received}: {found:?}");
    };
    let pong = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
    check("GET /x", "", None);
    check("GET /x", pong, None);
    check("GET /x", &format!("HTTP/1.1 100 Continue\r\n\r\n{pong}{pong}"), None);
    check("GET /x", &format!("{pong}more"), Some("behind it"));
    check("HEAD /x", &format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{pong}"), None);
    check(
        "GET /x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
        None,
    );
    check("GET /x", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", Some("chunk"));
    check("GET /x", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", None);
    check("GET /x", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Some("without a word"));
    check("GET /x", "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nwhy", None);
    check("GET /x", "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nwhy", Some("500: why"));
    check("POST /mapred", "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nwhy", None);
    check("GET /x", "HTTP/1.1 200 OK\r\nno header\r\n\r\n", Some("no header"));
    check("GET /x", "nonsense", Some("without end"));
}
