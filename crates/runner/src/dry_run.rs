//! What a job would do, without starting it.

use std::sync::Arc;

use mapring_jobs::Start;
use mapring_mapred::FailureKind;
use mapring_types::Error;

use crate::configs::Configs;
use crate::error::JobsError;
use crate::request::{DryRun, PlannedShard};
use crate::runner::Runner;
use crate::{earlier, start};

/// Checks a job, and divides its inputs as it would.
///
/// # Errors
/// As of a start.
pub(crate) async fn dry_run(
    runner: &Arc<Runner>,
    configs: &Configs,
    body: &[u8],
) -> Result<DryRun, JobsError> {
    let document = start::document_of(runner, configs, Start::parse(body)?).await?;
    earlier::check(runner, &document).await?;
    let query = earlier::query(&runner.store, &document).await?;
    let planned = runner.mapred.shards(&query).await?.map_err(|failure| match failure.kind {
        FailureKind::Node(kind) => JobsError::Node(Error::new(kind, failure.to_string())),
        _ => JobsError::invalid("inputs", failure.to_string()),
    })?;
    let shards = planned.into_iter().enumerate();
    let shards = shards
        .map(|(shard_number, shard_description)| PlannedShard { shard_number, shard_description });
    Ok(DryRun { valid: true, shards: shards.collect() })
}
