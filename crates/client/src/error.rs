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
            Self::Status { status, .. } => matches!(status, 408 | 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    pub(crate) fn form(what: impl fmt::Display) -> Self {
        Self::Form(what.to_string())
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
