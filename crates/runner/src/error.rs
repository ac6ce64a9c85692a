//! Why something that is asked of the jobs of a cluster is not done.

use std::fmt;

use mapring_jobs::Invalid;
use mapring_mapred::Rejection;
use mapring_types::{Error, ErrorKind};

/// See the module. A protocol makes its words of it.
#[derive(Debug)]
pub enum JobsError {
    /// A document is refused, with all that is wrong with it.
    Invalid(Invalid),
    /// The query of a job is refused.
    Query(Rejection),
    /// There is no such thing: what it is (`job`, `job config`, `schedule`, `pipeline`), and its id.
    NotFound(&'static str, String),
    /// What is asked does not go with what is there.
    Conflict(String),
    /// There are as many as may be: later there may be room.
    Full(String),
    /// Nodes could not do their part.
    Node(Error),
}

impl JobsError {
    /// A document with one thing wrong.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(Invalid::one(field, message))
    }

    /// Whether the same may be done a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Node(error) => !is_final(error.kind()),
            Self::Invalid(_) | Self::Query(_) | Self::NotFound(..) | Self::Conflict(_) => false,
        }
    }

    /// There is no such job.
    pub fn no_job(id: &str) -> Self {
        Self::NotFound("job", id.to_owned())
    }
}

/// Whether an error of the store is the same however often it is asked: what lies there is damaged, or what
/// is to lie there is too large.
pub(crate) fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Corrupt | ErrorKind::TooLarge | ErrorKind::Invalid)
}

impl fmt::Display for JobsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Query(rejection) => rejection.fmt(f),
            Self::NotFound(what, id) => {
                write!(f, "there is no {what} \"{}\"", mapring_types::quote(id))
            }
            Self::Conflict(why) | Self::Full(why) => f.write_str(why),
            Self::Node(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JobsError {}

impl From<Error> for JobsError {
    fn from(error: Error) -> Self {
        Self::Node(error)
    }
}

impl From<Invalid> for JobsError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Rejection> for JobsError {
    fn from(rejection: Rejection) -> Self {
        Self::Query(rejection)
    }
}
