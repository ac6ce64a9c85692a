//! What keeps a document from running that only the program knows: what it does not do, whom it may not
//! reach, which built-ins there are.

use mapring_jobs::{Document, Invalid, Problem};

use crate::error::JobsError;
use crate::runner::Runner;

/// Whether a document can run.
///
/// # Errors
/// `Invalid` and `Query` with what is wrong with it.
pub(crate) fn document(runner: &Runner, document: &Document) -> Result<(), JobsError> {
    if document.keep_groups {
        let message = "is not done: groups go when the reduce has had them. What is to be looked at later is \
                       what the reduce gives: function(key, values) { return [[key, values]]; } gives \
                       the groups";
        return Err(JobsError::invalid("keep_groups", message));
    }
    runner.callbacks.check(&document.hearers)?;
    // What only the planner knows: whether its built-ins exist. The inputs do not matter.
    let query = document.query(|_| serde_json::json!([["bucket", "key"]]))?;
    Ok(runner.mapred.check(&query)?)
}

/// What keeps a document from running that lies at a path within another.
pub(crate) fn within(runner: &Runner, at: &str, inner: &Document) -> Vec<Problem> {
    let invalid = match document(runner, inner) {
        Ok(()) => return Vec::new(),
        Err(JobsError::Invalid(invalid)) => invalid,
        Err(JobsError::Query(rejection)) => Invalid::rejected(&rejection),
        Err(other) => Invalid::one("", other.to_string()),
    };
    invalid.within(at).problems().to_vec()
}

/// Refuses what has problems.
///
/// # Errors
/// `Invalid` with all of them.
pub(crate) fn refuse(problems: Vec<Problem>) -> Result<(), JobsError> {
    Invalid::of(problems).map_or(Ok(()), |invalid| Err(JobsError::Invalid(invalid)))
}
