//! Whether sled still works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use ::sled as db;
use mapring_types::{Error, ErrorKind, Result};

/// What went wrong for good. Never forgotten: the engine has to be opened again.
#[derive(Default)]
pub(super) struct Health {
    writes_failed: OnceLock<String>,
    panicked: OnceLock<String>,
}

impl Health {
    /// Whether a write may be tried.
    pub(super) fn check_writes(&self) -> Result<()> {
        self.writes_failed.get().map_or(Ok(()), |why| Err(refused(why)))
    }

    /// Whether sled has panicked.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.get().is_some()
    }

    /// From now on writes are refused.
    pub(super) fn fail_writes(&self, why: &str) {
        if self.writes_failed.set(why.to_owned()).is_ok() {
            tracing::error!(why, "the storage failed: no writes until it is opened again");
        }
    }

    /// Makes a call of sled; a panic becomes an error, and the last call.
    pub(super) fn call<T>(&self, what: &str, call: impl FnOnce() -> db::Result<T>) -> Result<T> {
        if let Some(why) = self.panicked.get() {
            return Err(refused(why));
        }
        // After a panic nothing is called again, so nobody sees what it left behind.
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => result.map_err(|error| {
                if is_full(&error) {
                    // From a read too: sled's own thread met it, and every call ends with it now.
                    self.fail_writes(&error.to_string());
                }
                translate(what, error)
            }),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("no message");
                let why = format!("the storage engine panicked: {text}");
                self.fail_writes(&why);
                let error = Error::new(ErrorKind::Storage, format!("cannot {what}: {why}"));
                // A second panic at the same time changes nothing.
                let _ = self.panicked.set(why);
                Err(error)
            }
        }
    }
}

/// An error of sled in our words.
fn translate(what: &str, error: db::Error) -> Error {
    let kind = match error {
        db::Error::Corruption { .. } | db::Error::ReportableBug(_) => ErrorKind::Corrupt,
        // A page beyond the end of the file.
        db::Error::Io(ref error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ErrorKind::Corrupt
        }
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("cannot {what}")).with_source(error)
}

fn is_full(error: &db::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, db::Error::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded))
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Storage, format!("the storage has failed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_that_a_read_meets_is_one_for_writes() {
        let health = Health::default();
        let failed = |kind: std::io::ErrorKind| Err(db::Error::Io(kind.into()));
        assert!(health.call::<()>("read", || failed(std::io::ErrorKind::Other)).is_err());
        assert!(health.check_writes().is_ok());
        assert!(health.call::<()>("read", || failed(std::io::ErrorKind::StorageFull)).is_err());
        assert!(health.check_writes().is_err());
        assert_eq!(health.call("read", || Ok(2)).unwrap(), 2);
    }

    #[test]
    fn a_panic_is_an_error_and_the_last_call() {
        let health = Health::default();
        assert_eq!(health.call("add", || Ok(2)).unwrap(), 2);
        assert!(health.check_writes().is_ok());
        let error = health.call::<()>("break", || panic!("for the test")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("for the test"), "{error}");
        assert!(health.call("add", || Ok(2)).is_err());
        assert!(health.check_writes().is_err());
    }
}
