//! What is wrong, told in JSON to those who read nothing else.
//!
//! Riak tells of errors in plain text or on a page, whatever a client accepts. Clients that are made
//! from a description of the interface read every error as JSON, and have an error of their parser
//! in place of "not found" (fact R340).

use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::listing::ascii;
use crate::reply::{Reply, VARY_BOTH, media};
use crate::{decision, negotiate, path};

/// What lies under these is told of in JSON, whatever the client accepts.
const PATHS: [&str; 4] = ["jobs", "job-configs", "schedules", "pipelines"];

/// As App Engine's handlers told, what lies under this.
const APP_ENGINE: [&str; 1] = ["mapreduce"];

/// The forms in which errors are told otherwise.
const OTHERS: [&str; 2] = [media::TEXT, media::HTML];

/// What is told of so to clients that accept JSON alone: what a client meets that does all as it
/// should. The others are mistakes in a request, and there the text is for whoever wrote it.
const MET: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE];

/// The answer to a request for a path, with what is wrong in JSON where that is due.
pub(crate) fn in_json(at: &str, headers: &HeaderMap, reply: Reply) -> Reply {
    let is_good = reply.status().is_success() || reply.status().is_redirection();
    if is_good || !OTHERS.iter().any(|other| other.as_bytes() == reply.media_type()) {
        return reply;
    }
    if path::begins(at, &PATHS) {
        return told(reply);
    }
    if path::begins(at, &APP_ENGINE) {
        return told_as_app_engine(reply);
    }
    match MET.contains(&reply.status()) && accepts_json_alone(headers) {
        true => told(reply).vary(VARY_BOTH),
        false => reply,
    }
}

fn told(reply: Reply) -> Reply {
    let told = json!({ "error": word(reply.status()), "message": message(&reply) });
    reply.saying(ascii(&told.to_string()))
}

fn told_as_app_engine(reply: Reply) -> Reply {
    let (class, message) = (class(reply.status()), message(&reply));
    let told = json!({ "error_class": class, "error_message": message });
    reply.saying(ascii(&told.to_string()))
}

fn accepts_json_alone(headers: &HeaderMap) -> bool {
    let Some(accept) = decision::accept(headers) else { return false };
    negotiate::choose(&OTHERS, Some(&accept)).is_none()
        && negotiate::choose(&[media::JSON], Some(&accept)).is_some()
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

/// The same as the name of a class, as what concerns jobs is told of there.
fn class(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "ValueError",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::NOT_ACCEPTABLE => "NotAcceptable",
        StatusCode::REQUEST_TIMEOUT => "Timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "TooLarge",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
        StatusCode::NOT_IMPLEMENTED => "NotImplemented",
        StatusCode::SERVICE_UNAVAILABLE => "Unavailable",
        _ => "Internal",
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn json_alone_is_accepted() {
        for (accept, alone) in [
            ("application/json", true),
            ("Application/*;q=0.3", true),
            ("application/json, image/png", true),
            ("application/json, text/plain;q=0", true),
            ("*/*", false),
            ("", false),
            ("multipart/mixed, application/json, */*;q=0.5", false),
            ("application/json, text/plain;q=0.1", false),
            ("application/json, text/html", false),
            ("image/png", false),
        ] {
            let mut headers = HeaderMap::new();
            assert!(!accepts_json_alone(&headers));
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepts_json_alone(&headers), alone, "{accept:?}");
        }
    }
}
