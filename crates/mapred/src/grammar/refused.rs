//! What is told of a query that cannot be taken.

use mapring_types::quote;
use serde_json::value::RawValue;

/// Why a part of a query cannot be taken: what is wrong, and where below its field it stands
/// (`[1].map.arg`).
pub(super) struct Refused {
    pub(super) at: String,
    pub(super) what: String,
}

impl Refused {
    pub(super) fn part(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }

    /// The same, seen from further out.
    pub(super) fn below(self, outer: &str) -> Self {
        Self { at: format!("{outer}{}", self.at), ..self }
    }
}

/// A complaint with the JSON in question below it.
pub(super) fn complaint(what: &str, json: &RawValue) -> String {
    format!("{what}\n   {}\n", quote(json.get()))
}
