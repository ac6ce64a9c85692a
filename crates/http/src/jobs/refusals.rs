//! What is said when something that concerns jobs is not done: always in JSON, also by the rest of the
//! server ([`in_json`](crate::in_json)).

use http::header::RETRY_AFTER;
use mapring_api::jobs::{self as said, Refusal};
use mapring_api::meaning::Class;
use mapring_runner::JobsError;

use crate::limits;
use crate::params::Params;
use crate::reply::{Reply, Stop, status_of};

/// The answer to what is not done.
pub(super) fn refused(error: JobsError) -> Stop {
    let Refusal { class, body } = said::refusal(&error);
    if class == Class::Failed {
        tracing::warn!(%error, "what concerns jobs failed");
    }
    let reply = Reply::json(status_of(class), body);
    match class {
        Class::Full => reply.header(RETRY_AFTER, limits::RETRY_AFTER.as_secs().to_string()).into(),
        _ => reply.into(),
    }
}

/// Refuses parameters that are not known: what is written wrong would count for nothing.
///
/// # Errors
/// 400.
pub(crate) fn check_params(given: &Params, known: &[&str]) -> Result<(), Stop> {
    let unknown = given.all().find(|(name, _)| !known.contains(name));
    let Some((name, _)) = unknown else { return Ok(()) };
    let message = match known {
        [] => "is unknown: this takes no parameters".to_owned(),
        known => format!("is unknown; known are {}", known.join(", ")),
    };
    Err(refused(JobsError::invalid(name, message)))
}

/// Whether a parameter says `true`.
///
/// # Errors
/// 400 for anything but `true` and `false`.
pub(super) fn flag(params: &Params, name: &str) -> Result<bool, Stop> {
    match params.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(given) => {
            let given = mapring_types::quote(given);
            let message = format!("is true or false, not \"{given}\"");
            Err(refused(JobsError::invalid(name, message)))
        }
    }
}
