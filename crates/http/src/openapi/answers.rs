//! Answers to what is not done, as many operations have them.

use utoipa::openapi::Response;

use super::operation::{Header, response};
use super::schema::{Member, NONE, Schema, list, named, object, open_object, text, text_or_null};
use crate::reply::media;

/// What is not done, and why.
const REFUSALS: [(u16, &str); 15] = [
    (400, "A parameter, header or body makes no sense; the text says which."),
    (403, "Who asks may not, or a page of another site asks."),
    (404, "There is nothing of that name."),
    (405, "The method does not fit; `Allow` has those that do."),
    (406, "`Accept` has none of the media types that there are."),
    (408, "The body, or the next bytes of it, did not arrive in time; nothing was stored."),
    (409, "It does not go with what is there."),
    (412, "A condition does not hold."),
    (413, "The body is too large; nothing was stored."),
    (415, "The body is of a type or an encoding that is not taken."),
    (416, "The `Range` lies beyond the value."),
    (429, "There are as many jobs as may be."),
    (500, "It failed; of a defect of the node its log tells."),
    (501, "That is not offered here."),
    (503, "Nodes are away, overloaded or stopping: it can be asked again, of another node too."),
];

/// The answers that operations refer to by their status, as `E404`.
pub(super) fn refusals() -> impl Iterator<Item = (String, Response)> {
    REFUSALS.into_iter().map(|(status, what)| {
        let headers: &[Header] = match status {
            405 => &[("Allow", "The methods that there are.")],
            429 => &[("Retry-After", "When to ask again, in seconds.")],
            _ => &[],
        };
        let texts = [
            (media::TEXT, text("Why, in a line or more.")),
            (media::HTML, text("The same as a page.")),
            (media::JSON, named("Error")),
        ];
        (format!("E{status}"), response(what, texts, headers))
    })
}

/// The schemas of what is told so.
pub(super) fn schemas() -> Vec<Member> {
    let problem = object(
        "A mistake in a document.",
        [("field", text("Where.")), ("message", text("What is wrong."))],
        NONE,
    );
    let error = open_object(
        "What is wrong, in JSON: of jobs and pipelines always, elsewhere to those who accept nothing else.",
        [("error", text("A word for the kind, or why."))],
        [
            ("message", text("Why, in words.")),
            ("field", text("Of a document or a parameter: the first member that is wrong.")),
            ("problems", list(problem, "All that are wrong, where there are several.")),
        ],
    );
    vec![("Error", error)]
}

/// Where a list goes on; `null` at its end.
pub(super) fn cursor() -> Schema {
    text_or_null("Where the list goes on; null at its end.")
}
