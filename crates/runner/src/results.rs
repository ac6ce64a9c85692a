//! What jobs have given, as it is kept.

use std::sync::Arc;

use mapring_cluster::JobResult;
use mapring_jobs::Document;
use mapring_mapred::{Answer, Failure, Query};
use mapring_types::Error;
use tokio::time::{sleep, timeout};

use crate::error::JobsError;
use crate::formats::StoredRecord;
use crate::request::JobResults;
use crate::runner::Runner;
use crate::{limits, pieces, record};

/// What a job has given.
///
/// # Errors
/// `NotFound`; `Conflict` where it has not ended, or not well.
pub(crate) async fn find(runner: &Arc<Runner>, id: &str) -> Result<JobResults, JobsError> {
    let record = match record::get(&*runner.store, id).await? {
        Some(record) if record.end.is_some() => record,
        _ if runner.job(id).is_some() => return Err(not_ended(id)),
        _ => return Err(JobsError::no_job(id)),
    };
    check_decided(runner, id).await?;
    of(runner, id, &record)
}

/// That the end of a job which is stored is decided. It may be although this node does not know it yet, and
/// others say it: that is waited for.
///
/// # Errors
/// `Conflict`.
pub(crate) async fn check_decided(runner: &Runner, id: &str) -> Result<(), JobsError> {
    let decided = async {
        while runner.job(id).is_some_and(|job| !job.is_decided()) {
            sleep(limits::RETRY).await;
        }
    };
    timeout(limits::LEARN_PATIENCE, decided).await.map_err(|_| not_ended(id))
}

pub(crate) fn not_ended(id: &str) -> JobsError {
    JobsError::Conflict(format!("the job \"{id}\" has not ended yet"))
}

/// What the record of a job leads to.
///
/// # Errors
/// `Conflict` where it has not ended well.
pub(crate) fn of(
    runner: &Arc<Runner>,
    id: &str,
    record: &StoredRecord,
) -> Result<JobResults, JobsError> {
    let result = record.end.map(|end| end.result);
    if result != Some(JobResult::Success) {
        let message = format!("the job \"{id}\" has no results: it has not succeeded");
        return Err(JobsError::Conflict(message));
    }
    let document = Document::of(&record.detail.spec)?;
    // How an answer is written does not depend on the inputs.
    let query = document.query(|_| serde_json::json!([["bucket", "key"]]))?;
    let kept: Query = query.clone();
    let keeps = move |phase: usize| kept.keeps(phase);
    let results = pieces::read(runner.store.clone(), id, &record.pieces, keeps);
    Ok(JobResults { query, results })
}

/// Results as the plain answer of their query.
///
/// # Errors
/// `Node` where it may be had a moment later; `Conflict` where it may not.
pub(crate) async fn collect(
    runner: &Arc<Runner>,
    JobResults { query, results }: JobResults,
) -> Result<Answer, JobsError> {
    let answer = runner.mapred.answer(&query, results).await;
    answer.map_err(|failure| unanswered(&failure))
}

/// Why there is no answer, and whether it may be asked for again: of what is damaged or too large it is in
/// vain.
fn unanswered(failure: &Failure) -> JobsError {
    match failure.kind.may_pass() {
        true => JobsError::Node(Error::unavailable(failure.to_string())),
        false => JobsError::Conflict(format!("the results cannot be had whole: {failure}")),
    }
}

#[cfg(test)]
mod tests {
    use mapring_mapred::FailureKind;
    use mapring_types::ErrorKind;

    use super::*;

    #[test]
    fn only_what_passes_is_asked_for_again() {
        for (kind, again) in [
            (FailureKind::Stopping, true),
            (FailureKind::Node(ErrorKind::Unavailable), true),
            (FailureKind::Node(ErrorKind::Timeout), true),
            (FailureKind::Node(ErrorKind::Corrupt), false),
            (FailureKind::Node(ErrorKind::Storage), false),
            (FailureKind::AnswerSize, false),
        ] {
            let error = unanswered(&Failure::new(kind, "why"));
            assert_eq!(error.may_pass(), again, "{kind:?}: {error}");
            assert!(error.to_string().contains("why"), "{error}");
        }
    }
}
