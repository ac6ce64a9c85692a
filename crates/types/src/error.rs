//! One error type for everything that crosses a crate or a node: a kind, a message, a source.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of an operation that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which requirement of a quorum was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuorumKind {
    /// Replicas that answered a read.
    R,
    /// Primary replicas that answered a read.
    Pr,
    /// Replicas that took a write.
    W,
    /// Replicas that stored a write as durably as configured.
    Dw,
    /// Primary replicas that took a write.
    Pw,
    /// Distinct nodes that took a write, or answered a read.
    NodeConfirms,
}

impl fmt::Display for QuorumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::R => "R",
            Self::Pr => "PR",
            Self::W => "W",
            Self::Dw => "DW",
            Self::Pw => "PW",
            Self::NodeConfirms => "node_confirms",
        })
    }
}

/// What went wrong, as far as a caller can act on it. The `api` crate says what each means to a
/// client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request makes no sense; it will fail again.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The request is understood and refused.
    Forbidden,
    /// A condition of the request does not hold.
    Precondition,
    /// The request or an object is larger than its limit.
    TooLarge,
    /// The deadline passed.
    Timeout,
    /// Too few replicas answered.
    Quorum {
        /// The requirement that was missed.
        what: QuorumKind,
        /// How many were had.
        got: u32,
        /// How many were asked for.
        want: u32,
    },
    /// A peer or a service cannot be reached at present.
    Unavailable,
    /// A queue is full; trying again later may help.
    Overloaded,
    /// The request was routed by a plan that is no longer, or not yet, this node's.
    WrongPlan,
    /// Stored or received bytes are not what they should be.
    Corrupt,
    /// The storage failed: disk full, I/O error.
    Storage,
    /// The work was cancelled because nobody waits for it.
    Cancelled,
    /// A defect of mapring.
    Internal,
    /// The write is to be coordinated by the first primary that is up: the object is near a limit,
    /// which holds exactly only where one node decides.
    OtherCoordinator,
}

/// An error: its kind, what happened in words (lower case, no full stop, naming the key or the
/// node), and what caused it.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a source.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds what caused this error.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts words before the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without its sources.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A request that makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// A passed deadline.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Timeout, message)
    }

    /// A peer or service out of reach.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Damaged bytes.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A defect.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// What goes to another node: the kind, and the message with its sources as text.
    pub fn to_wire(&self) -> WireError {
        WireError { kind: self.kind, message: self.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut source = self.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {}

/// An [`Error`] as it travels between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// The kind.
    pub kind: ErrorKind,
    /// The message with its sources.
    pub message: String,
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        Self::new(wire.kind, wire.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_context_and_every_source() {
        let inner = std::io::Error::other("disk on fire");
        let error =
            Error::new(ErrorKind::Storage, "cannot write").with_source(inner).context("b/k");
        assert_eq!(error.to_string(), "b/k: cannot write: disk on fire");
        let back = Error::from(error.to_wire());
        assert_eq!(back.kind(), ErrorKind::Storage);
        assert_eq!(back.to_string(), "b/k: cannot write: disk on fire");
    }
}
