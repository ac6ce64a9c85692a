//! What can go wrong, as far as a caller can act on it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL of the node is not one.
    #[error("{url:?} is not a URL of the form http://HOST:PORT")]
    Url {
        /// The URL.
        url: String,
    },
    /// No connection could be made.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// `host:port`.
        address: String,
        /// Why.
        reason: String,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the connection to {address} broke: {reason}")]
    Broken {
        /// `host:port`.
        address: String,
        /// Why.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("{address} did not answer within {after:?}")]
    Timeout {
        /// `host:port`.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// There is no such object.
    #[error("not found")]
    NotFound,
    /// The object has several values that had not seen each other.
    #[error("the object has {} siblings: {}", tags.len(), tags.join(", "))]
    Siblings {
        /// Their tags; each can be read alone by `vtag`.
        tags: Vec<String>,
    },
    /// The node refused the request or could not do it.
    #[error("{status}: {text}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What the node said.
        text: String,
    },
    /// The node refused the request or could not do it, and said in JSON why.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// A query failed.
    #[error("{0}")]
    Query(Box<QueryFailure>),
    /// An answer is larger than the client takes.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// An answer does not have the form that it should have.
    #[error("cannot read the answer: {0}")]
    Form(String),
    /// A streamed answer ended before its end.
    #[error("the answer ended before it was complete")]
    Incomplete,
}

impl Error {
    /// Whether the same request may succeed a little later: the node could not be reached, was too
    /// busy, or had too few replicas.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => is_transient(*status),
            Self::Refused(refusal) => is_transient(refusal.status),
            _ => false,
        }
    }

    pub(crate) fn form(what: impl fmt::Display) -> Self {
        Self::Form(what.to_string())
    }
}

fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 502 | 503 | 504)
}

/// The JSON with which a node refuses what concerns jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Everything that is wrong with what was sent, at least one thing.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Problem {
    /// The path of the member of the document; empty for all of it, or for no document.
    #[serde(default)]
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl Refusal {
    /// Reads an answer; `None` where it has another form.
    pub(crate) fn read(status: u16, text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(flatten)]
            first: Problem,
            #[serde(default)]
            problems: Vec<Problem>,
        }
        let Answer { first, problems } = serde_json::from_str(text).ok()?;
        let problems = if problems.is_empty() { vec![first] } else { problems };
        Some(Self { status, problems })
    }
}

impl fmt::Display for Refusal {
    /// One problem stands in the line, several each in a line of their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, problems } = self;
        match &problems[..] {
            [one] => write!(f, "{status}: {one}"),
            many => {
                write!(f, "{status}: {} things are wrong", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, message } = self;
        if field.is_empty() { f.write_str(message) } else { write!(f, "{field}: {message}") }
    }
}

/// The JSON that a failed query answers with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct QueryFailure {
    /// What happened.
    pub error: serde_json::Value,
    /// The phase, from 0.
    #[serde(default)]
    pub phase: Option<u64>,
    /// The bucket of the input.
    #[serde(default)]
    pub bucket: Option<String>,
    /// The key of the input.
    #[serde(default)]
    pub key: Option<String>,
    /// The JavaScript stack.
    #[serde(default)]
    pub stack: Option<String>,
    /// The node on which it happened.
    #[serde(default)]
    pub node: Option<String>,
}

impl fmt::Display for QueryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the query failed")?;
        if let Some(phase) = self.phase {
            write!(f, " in phase {phase}")?;
        }
        if let (Some(bucket), Some(key)) = (&self.bucket, &self.key) {
            write!(f, " at {bucket}/{key}")?;
        }
        if let Some(node) = &self.node {
            write!(f, " on {node}")?;
        }
        match &self.error {
            serde_json::Value::String(text) => write!(f, ": {text}")?,
            other => write!(f, ": {other}")?,
        }
        // Most engines begin a stack with the message.
        let stack = self.stack.as_deref().unwrap_or_default().trim_end();
        if stack.is_empty() { Ok(()) } else { write!(f, "\n{stack}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_tell_all_that_is_wrong() {
        let read = |text: &str| Refusal::read(400, text).map(|refusal| refusal.to_string());
        let one = r#"{"error":"bad_request","field":"rate","message":"is a number"}"#;
        assert_eq!(read(one).as_deref(), Some("400: rate: is a number"));
        let none = r#"{"error":"not_found","message":"there is no job x"}"#;
        assert_eq!(read(none).as_deref(), Some("400: there is no job x"));
        let two = r#"{"error":"bad_request","field":"a","message":"b",
            "problems":[{"field":"a","message":"b"},{"field":"","message":"d"}]}"#;
        assert_eq!(read(two).as_deref(), Some("400: 2 things are wrong\n  a: b\n  d"));
        assert_eq!(read("busy"), None);
        let busy = Error::Refused(Box::new(Refusal { status: 503, problems: Vec::new() }));
        assert!(busy.is_transient());
    }

    #[test]
    fn failures_are_told_in_words() {
        let failure: QueryFailure = serde_json::from_str(
            r#"{"phase":1,"error":"TypeError: x","input":"…","bucket":"b","key":"k","node":"n2",
                "type":"map","stack":null}"#,
        )
        .unwrap();
        assert_eq!(failure.to_string(), "the query failed in phase 1 at b/k on n2: TypeError: x");
        let failure: QueryFailure = serde_json::from_str(r#"{"error":"timeout"}"#).unwrap();
        assert_eq!(failure.to_string(), "the query failed: timeout");
    }
}
