//! Why a call of a worker failed.

use mapring_script::{FailureCause, ScriptError};

/// See the module.
pub(crate) enum CallFailure {
    /// The function failed; the worker goes on.
    Failed(ScriptError),
    /// The worker has been ended.
    Ended(ScriptError),
    /// As `Ended`, and it is not known by which call.
    Lost(ScriptError),
}

impl CallFailure {
    pub(crate) fn into_error(self) -> ScriptError {
        match self {
            Self::Failed(error) | Self::Ended(error) | Self::Lost(error) => error,
        }
    }
}

/// The failure of a call that was answered, but not as it must be.
pub(crate) fn unexpected() -> ScriptError {
    ScriptError::new(FailureCause::Worker, "the script worker gave an answer of another kind")
}
