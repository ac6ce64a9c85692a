//! What an error means to a client: the one table from kinds of errors.
//!
//! A protocol makes of the class what it has for it (a status code, an error code) and sends the
//! words with it.

use mapring_types::{Error, ErrorKind};

/// What a client can make of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request is wrong; it will fail again.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The request is understood and refused.
    Forbidden,
    /// A condition of the request does not hold.
    Precondition,
    /// It does not go with what is there.
    Conflict,
    /// There are as many as may be; later there may be room.
    Full,
    /// It cannot be done now; it may be later, or at another node.
    Unavailable,
    /// It failed by no fault of the request.
    Failed,
}

/// What kind of answer an error is.
pub fn class(kind: ErrorKind) -> Class {
    match kind {
        ErrorKind::Invalid => Class::Invalid,
        ErrorKind::NotFound => Class::NotFound,
        ErrorKind::Forbidden => Class::Forbidden,
        ErrorKind::Precondition => Class::Precondition,
        ErrorKind::Timeout
        | ErrorKind::Quorum { .. }
        | ErrorKind::Unavailable
        | ErrorKind::Overloaded
        | ErrorKind::WrongPlan
        | ErrorKind::OtherCoordinator
        | ErrorKind::Cancelled => Class::Unavailable,
        // An object may become too large through its siblings, which is not the request's fault; a
        // request that is itself too large never gets to the store.
        ErrorKind::TooLarge | ErrorKind::Corrupt | ErrorKind::Storage | ErrorKind::Internal => {
            Class::Failed
        }
    }
}

/// What is said of an error: Riak's words where it has some, by which clients tell them apart.
pub fn words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Timeout => "request timed out".into(),
        ErrorKind::Quorum { what, got, want } => format!("{what}-value unsatisfied: {got}/{want}"),
        _ => error.to_string(),
    }
}

/// What is said of an error in the midst of a listing, where Riak has words of its own.
pub fn listing_words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Timeout => "timeout".into(),
        ErrorKind::Unavailable | ErrorKind::Quorum { .. } => "insufficient_vnodes_available".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::error::QuorumKind;

    use super::*;

    #[track_caller]
    fn check(kind: ErrorKind, expect: Class, said: &str, in_listing: &str) {
        let error = Error::new(kind, "why");
        assert_eq!(class(kind), expect);
        assert_eq!((words(&error).as_str(), listing_words(&error).as_str()), (said, in_listing));
    }

    #[test]
    fn kinds_have_classes_and_words() {
        check(ErrorKind::Invalid, Class::Invalid, "why", "why");
        check(ErrorKind::NotFound, Class::NotFound, "why", "why");
        check(ErrorKind::Forbidden, Class::Forbidden, "why", "why");
        check(ErrorKind::Precondition, Class::Precondition, "why", "why");
        check(ErrorKind::Timeout, Class::Unavailable, "request timed out", "timeout");
        let quorum = ErrorKind::Quorum { what: QuorumKind::Pr, got: 2, want: 3 };
        let few = "insufficient_vnodes_available";
        check(quorum, Class::Unavailable, "PR-value unsatisfied: 2/3", few);
        check(ErrorKind::Unavailable, Class::Unavailable, "why", few);
        check(ErrorKind::Overloaded, Class::Unavailable, "why", "why");
        check(ErrorKind::WrongPlan, Class::Unavailable, "why", "why");
        check(ErrorKind::OtherCoordinator, Class::Unavailable, "why", "why");
        check(ErrorKind::Cancelled, Class::Unavailable, "why", "why");
        check(ErrorKind::TooLarge, Class::Failed, "why", "why");
        check(ErrorKind::Corrupt, Class::Failed, "why", "why");
        check(ErrorKind::Storage, Class::Failed, "why", "why");
        check(ErrorKind::Internal, Class::Failed, "why", "why");
    }
}
