//! What is said, always in JSON, when something that concerns jobs is not done.

use http::StatusCode;
use http::header::RETRY_AFTER;
use mapring_api::jobs::{self as said, Refusal};
use mapring_api::meaning::Class;
use mapring_runner::JobsError;
use serde_json::json;

use crate::limits;
use crate::listing::ascii;
use crate::params::Params;
use crate::path;
use crate::reply::{Reply, Stop, media, status_of};

/// What lies under these is told of in JSON, whatever kept it from being done.
const PATHS: [&str; 4] = ["jobs", "job-configs", "schedules", "pipelines"];

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

/// The answer to a request for a path. Where that concerns jobs, what the server says of requests in
/// general, in plain text or on a page, is told in JSON as well.
pub(crate) fn in_json(at: &str, reply: Reply) -> Reply {
    let is_told = |media_type: &[u8]| {
        media_type != media::TEXT.as_bytes() && media_type != media::HTML.as_bytes()
    };
    let is_good = reply.status().is_success() || reply.status().is_redirection();
    if is_good || is_told(reply.media_type()) || !path::begins(at, &PATHS) {
        return reply;
    }
    let told = json!({ "error": word(reply.status()), "message": message(&reply) });
    reply.saying(ascii(&told.to_string()))
}

/// The word for the kind of what is wrong.
fn word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "bad_request",
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::NOT_ACCEPTABLE => "not_acceptable",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::NOT_IMPLEMENTED => "not_implemented",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "internal",
    }
}

/// What an answer says, in words: those of its text, where it has one.
fn message(reply: &Reply) -> String {
    if let Some(words) = reply.words() {
        return words.trim_end().to_owned();
    }
    match (reply.status(), reply.allowed()) {
        (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)) => {
            format!("the method is none of {allowed}")
        }
        (StatusCode::NOT_FOUND, _) => "there is nothing at this path".to_owned(),
        (StatusCode::FORBIDDEN, _) => "a page of another site may not ask for this".to_owned(),
        (StatusCode::NOT_ACCEPTABLE, _) => {
            "the answer has none of the media types that the header Accept names".to_owned()
        }
        (StatusCode::NOT_IMPLEMENTED, _) => "the method is not known".to_owned(),
        (status, _) => status.canonical_reason().unwrap_or("Error").to_lowercase(),
    }
}
