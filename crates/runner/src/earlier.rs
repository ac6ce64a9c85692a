//! Inputs that are the results of earlier jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use futures::TryStreamExt;
use mapring_cluster::JobResult;
use mapring_jobs::Document;
use mapring_mapred::{EarlierJobs, EarlierResults, Query};
use mapring_types::{Error, ErrorKind, Result as NodeResult};
use serde_json::{Value, json};

use crate::error::JobsError;
use crate::formats::StoredRecord;
use crate::runner::Runner;
use crate::store::Store;
use crate::{limits, pieces, record, results};

/// Checks that a job can have the results that it names.
///
/// # Errors
/// `Invalid` where there is no such job; `Conflict` where it has not succeeded, or not yet.
pub(crate) async fn check(runner: &Runner, document: &Document) -> Result<(), JobsError> {
    for id in document.earlier_jobs() {
        succeeded(&*runner.store, id).await?;
        results::check_decided(runner, id).await?;
    }
    Ok(())
}

/// The query of a job, with the results of those that it names.
///
/// # Errors
/// As [`check`]; those of the store; `Invalid` for more results than a query can hold.
pub(crate) async fn query(store: &Arc<dyn Store>, document: &Document) -> Result<Query, JobsError> {
    let mut results: BTreeMap<&str, Value> = BTreeMap::new();
    for id in document.earlier_jobs() {
        let record = succeeded(&**store, id).await?;
        let rows = rows(store, id, &record).await?;
        // What names objects is told from values by what was shown of it.
        let inputs = match record.detail.outputs.is_empty() {
            true => json!({ "items": rows }),
            false => Value::from(rows),
        };
        results.insert(id, inputs);
    }
    Ok(document.query(|id| results.get(id).cloned().unwrap_or_default())?)
}

/// What queries that are no jobs get of those that were. It keeps no node that has stopped.
pub(crate) struct Earlier(pub(crate) Weak<Runner>);

#[async_trait]
impl EarlierJobs for Earlier {
    async fn results(&self, id: &str) -> NodeResult<EarlierResults> {
        let stopping = || Error::unavailable("this node is stopping: ask another node");
        let runner = self.0.upgrade().ok_or_else(stopping)?;
        let found = async {
            let record = succeeded(&*runner.store, id).await?;
            results::check_decided(&runner, id).await?;
            let rows = texts(&runner.store, id, &record).await?;
            Ok(EarlierResults { rows, are_names: !record.detail.outputs.is_empty() })
        };
        found.await.map_err(|error| match error {
            JobsError::Node(error) => error,
            wrong => Error::new(ErrorKind::Invalid, wrong.to_string()),
        })
    }
}

async fn succeeded(store: &dyn Store, id: &str) -> Result<StoredRecord, JobsError> {
    let Some(record) = record::get(store, id).await? else {
        return Err(JobsError::invalid("inputs.job", format!("there is no job \"{id}\"")));
    };
    match record.end.map(|end| end.result) {
        Some(JobResult::Success) => Ok(record),
        Some(_) => Err(JobsError::Conflict(format!("the job \"{id}\" has not succeeded"))),
        None => Err(results::not_ended(id)),
    }
}

/// The rows of a job as values.
async fn rows(
    store: &Arc<dyn Store>,
    id: &str,
    record: &StoredRecord,
) -> Result<Vec<Value>, JobsError> {
    let texts = texts(store, id, record).await?;
    let values = texts.iter().map(|text| {
        serde_json::from_str(text).map_err(|error| {
            let message = format!("a result of the job \"{id}\" is no JSON");
            Error::corrupt(message).with_source(error).into()
        })
    });
    values.collect()
}

/// The rows of a job, each as JSON.
async fn texts(
    store: &Arc<dyn Store>,
    id: &str,
    record: &StoredRecord,
) -> Result<Vec<String>, JobsError> {
    let mut results = pieces::read(store.clone(), id, &record.pieces, |_| true);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let failed =
        |failure: mapring_mapred::Failure| JobsError::Node(Error::unavailable(failure.to_string()));
    while let Some(some) = results.try_next().await.map_err(failed)? {
        for row in some.values {
            bytes += row.bytes();
            if bytes > limits::EARLIER_BYTES {
                let most = limits::EARLIER_BYTES >> 20;
                let message = format!(
                    "the results of \"{id}\" are more than {most} MB: give that job an output, whose \
                     objects can be inputs of any length"
                );
                return Err(JobsError::invalid("inputs.job", message));
            }
            rows.push(row.into_text());
        }
    }
    Ok(rows)
}
