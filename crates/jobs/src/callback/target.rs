//! The URL of a callback.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::limits;

/// Where a callback goes: a URL that has been read.
///
/// Only what has one meaning for everybody is taken: numbers that some resolvers take for addresses
/// (`2130706433`, `0x7f.1`, `127.1`) are refused, as are user names, fragments, and names that are not
/// written in ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: String,
    host: Host,
    port: u16,
    tls: bool,
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name to resolve, in lower case, without a full stop at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl Host {
    /// Reads a host as it stands in a URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is no host", mapring_types::quote(text));
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
            return address.map(|v6: Ipv6Addr| Self::Address(v6.into())).ok_or_else(wrong);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(wrong());
        }
        // What ends in a number is an address to some resolvers, in octal, in hexadecimal or with
        // parts left out to some of those.
        let last = name.rsplit('.').next().unwrap_or_default();
        let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
        if !numeric {
            return Ok(Self::Name(name));
        }
        name.parse().map(|v4: Ipv4Addr| Self::Address(v4.into())).map_err(|_| wrong())
    }
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// Why it is none that a callback can have.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.len() > limits::URL_BYTES {
            return Err(format!("is longer than {} bytes", limits::URL_BYTES));
        }
        if let Some(c) = url.chars().find(|c| !c.is_ascii_graphic() || "\\\"<>^`{|}".contains(*c)) {
            return Err(format!("has the character {c:?}, which is to be percent-encoded"));
        }
        if url.contains('#') {
            return Err("has a fragment (\"#\"), which is never sent".to_owned());
        }
        let uri: Uri = url.parse().map_err(|error| format!("is no URL: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("begins with http:// or https://".to_owned()),
        };
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("has a user name or password: they are not sent".to_owned());
        }
        let (host, port) = host_and_port(authority.as_str())?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { url: url.to_owned(), host, port, tls })
    }

    /// The URL as it was written.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whom it names.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, be it written or usual.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.tls
    }
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn host_and_port(text: &str) -> Result<(Host, Option<u16>), String> {
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    let colon = text.get(after_brackets..).and_then(|rest| rest.find(':'));
    let Some(colon) = colon.map(|at| at + after_brackets) else {
        return Ok((Host::parse(text)?, None));
    };
    let (host, port) = text.split_at(colon);
    let digits = port.get(1..).unwrap_or_default();
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
    match number.flatten().filter(|port| *port > 0) {
        Some(port) => Ok((Host::parse(host)?, Some(port))),
        None => Err(format!("\"{}\" is no port", mapring_types::quote(digits))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, host: &str, port: u16) {
        let target = Target::parse(url).unwrap_or_else(|why| panic!("{url} {why}"));
        assert_eq!((target.host().to_string().as_str(), target.port()), (host, port), "{url}");
        assert_eq!(target.url(), url);
        assert_eq!(target.is_https(), url.to_ascii_lowercase().starts_with("https"));
    }

    #[track_caller]
    fn refused(url: &str, said: &str) {
        let why = Target::parse(url).expect_err(url);
        assert!(why.contains(said), "{url}: {why}");
    }

    #[test]
    fn urls_are_read() {
        check("http://example.com/done?x=1&y=%20", "example.com", 80);
        check("https://Example.COM", "example.com", 443);
        check("http://example.com.:8080/", "example.com", 8_080);
        check("http://a_b.internal:65535/", "a_b.internal", 65_535);
        check("http://127.0.0.1:9000/done", "127.0.0.1", 9_000);
        check("http://127.0.0.1./", "127.0.0.1", 80);
        check("http://[::1]:9000/", "[::1]", 9_000);
        check("https://[2001:DB8::1]/", "[2001:db8::1]", 443);
        check("HTTP://localhost/", "localhost", 80);
        check("http://1.example/", "1.example", 80);
        check("http://0x7f.example/", "0x7f.example", 80);
    }

    #[test]
    fn urls_with_two_meanings_are_refused() {
        refused("", "no URL");
        refused("/done", "http://");
        refused("example.com", "http://");
        refused("ftp://example.com/", "http://");
        refused("file:///etc/passwd", "");
        refused("http:///x", "");
        refused("http://", "");
        refused("http://user@example.com/", "user name");
        refused("http://user:word@example.com/", "user name");
        refused("http://127.0.0.1#@example.com/", "fragment");
        refused("http://example.com\\@127.0.0.1/", "character");
        refused("http://exa mple.com/", "character");
        refused("http://example.com/\r\nX: y", "character");
        refused("http://ex\u{e4}mple.com/", "character");
        for host in ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "0x7f.1", "1.2.3.4.5"] {
            refused(&format!("http://{host}/"), "no host");
        }
        refused("http://127.0.0.0x1/", "no host");
        refused("http://a..b/", "no host");
        refused("http://256.0.0.1/", "no host");
        refused("http://[fe80::1%25eth0]/", "");
        refused("http://example.com:0/", "no port");
        refused("http://example.com:/", "no port");
        refused("http://example.com:65536/", "");
        refused("http://example.com:+80/", "");
        refused(&format!("http://{}/", "a".repeat(64)), "no host");
        refused(&format!("http://a/{}", "x".repeat(limits::URL_BYTES)), "longer");
    }
}
