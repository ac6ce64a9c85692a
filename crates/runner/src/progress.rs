//! What the query of a job has done so far, as users see it.

use mapring_cluster::JobResult;
use mapring_mapred::{PhaseDetail as Phase, QueryDetail, ShardDetail as Shard};
use serde_json::Value;

use crate::report::{Chart, JobDetail, PhaseDetail, Rate, ShardDetail, result_word};

/// Fills in what a query tells, of a job that ended so, or has not ended.
pub(crate) fn fill(
    detail: &mut JobDetail,
    told: &QueryDetail,
    result: Option<JobResult>,
    now_ms: u64,
) {
    for (name, counter) in &told.counters {
        detail.counters.insert(name.clone(), counter.count);
        let now_per_sec = if result.is_none() { rounded(counter.now_per_sec) } else { 0.0 };
        let rate = Rate { avg_per_sec: rounded(counter.avg_per_sec), now_per_sec };
        detail.rates.insert(name.clone(), rate);
    }
    let groups = detail.counters.get("groups").and_then(|groups| u64::try_from(*groups).ok());
    // The stages that bring pairs together are part of the reduce that follows.
    let stages = told.phases.iter().filter(|stage| stage.kind != "gather");
    detail.phases = stages.map(|stage| phase(stage, groups, result)).collect();
    let grouped =
        |of: &Shard| told.phases.iter().any(|stage| stage.group && stage.phase == of.phase);
    let shown = told.shards.iter().enumerate().map(|(number, of)| {
        let calls = if grouped(of) { REDUCER_CALLS } else { MAPPER_CALLS };
        shard(detail, number, (of, calls), result, now_ms)
    });
    detail.shards = shown.collect();
    detail.shard_count = count(told.shards_known);
    let left = count(told.shards_active);
    match result {
        None => detail.active_shards = running(&detail.shards),
        Some(JobResult::Success) => {}
        Some(JobResult::Failed) => detail.failed_shards = left,
        Some(JobResult::Aborted) => detail.aborted_shards = left,
    }
    detail.chart = chart(&detail.shards);
}

/// Keeps what was shown before, while the query does not run.
pub(crate) fn keep(detail: &mut JobDetail, before: &JobDetail) {
    detail.counters.clone_from(&before.counters);
    detail.phases.clone_from(&before.phases);
    detail.shards.clone_from(&before.shards);
    detail.chart.clone_from(&before.chart);
    detail.shard_count = before.shard_count;
    if detail.outputs.is_empty() {
        detail.outputs.clone_from(&before.outputs);
        detail.outputs_left_out = before.outputs_left_out;
    }
    if detail.error.is_none() {
        detail.error.clone_from(&before.error);
    }
    let still = |rate: &Rate| Rate { now_per_sec: 0.0, ..*rate };
    detail.rates = before.rates.iter().map(|(name, rate)| (name.clone(), still(rate))).collect();
}

fn phase(stage: &Phase, groups: Option<u64>, result: Option<JobResult>) -> PhaseDetail {
    let state = match (stage.state.as_str(), result) {
        // What an end leaves waiting has not been part of it.
        ("running", Some(result)) if result != JobResult::Success => result_word(result),
        (_, Some(JobResult::Success)) => "done",
        (state, _) => state,
    };
    PhaseDetail {
        phase: stage.phase,
        kind: stage.kind.clone(),
        group: stage.group.then_some(true),
        state: state.to_owned(),
        inputs: stage.inputs,
        groups: groups.filter(|_| stage.group),
        out: stage.results,
        skipped: stage.skipped,
    }
}

fn shard(
    detail: &JobDetail,
    number: usize,
    (told, calls): (&Shard, &str),
    result: Option<JobResult>,
    now_ms: u64,
) -> ShardDetail {
    let done = told.state == "done";
    let ended = if done { Some(JobResult::Success) } else { result };
    let counters = [(calls, told.inputs), ("results", told.results)];
    let counters = counters
        .into_iter()
        .map(|(name, count)| (name.to_owned(), i64::try_from(count).unwrap_or(i64::MAX)));
    ShardDetail {
        shard_number: number,
        shard_id: format!("{}-{number}", detail.id),
        phase: told.phase,
        node: told.node.clone(),
        active: !done && result.is_none() && told.state == "running",
        result_status: ended.map(|result| result_word(result).to_owned()),
        attempt: told.attempt,
        slice: u64::from(told.slice),
        epoch: detail.epoch,
        progress: if done { 1.0 } else { 0.0 },
        shard_description: told.description.clone(),
        last_work_item: told.last_input.clone(),
        updated_timestamp_ms: now_ms.saturating_sub(told.idle_ms),
        counters: counters.collect(),
        last_error: told.last_error.clone().map(Value::from),
    }
}

/// What a shard of a map has done, …
const MAPPER_CALLS: &str = "mapper-calls";
/// … and one of a grouped reduce.
const REDUCER_CALLS: &str = "reducer-calls";

fn running(shards: &[ShardDetail]) -> usize {
    shards.iter().filter(|shard| shard.active).count()
}

fn chart(shards: &[ShardDetail]) -> Chart {
    let processed = |shard: &ShardDetail| {
        let calls = [MAPPER_CALLS, REDUCER_CALLS].map(|calls| shard.counters.get(calls));
        let calls = calls.into_iter().flatten().next();
        calls.and_then(|calls| u64::try_from(*calls).ok()).unwrap_or(0)
    };
    let status = |shard: &ShardDetail| match &shard.result_status {
        Some(status) => status.clone(),
        None => "running".to_owned(),
    };
    Chart {
        processed: shards.iter().map(processed).collect(),
        status: shards.iter().map(status).collect(),
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// With two decimals, as they are shown.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mapring_mapred::CounterDetail;

    use super::*;

    fn told() -> QueryDetail {
        let phase = |number, kind: &str, group, state: &str| Phase {
            phase: number,
            kind: kind.to_owned(),
            group,
            state: state.to_owned(),
            inputs: 4,
            results: 3,
            skipped: 0,
            partitions_done: 0,
            partitions: 0,
        };
        let shard = |number: u32, state: &str| Shard {
            phase: usize::from(number == 2),
            number,
            description: format!("b partition {number}"),
            node: Some("n1".into()),
            state: state.to_owned(),
            attempt: 1,
            slice: 2,
            inputs: 2,
            results: 2,
            last_input: Some("b/k".into()),
            last_error: None,
            idle_ms: 30,
        };
        let counter = |count| CounterDetail { count, avg_per_sec: 3.254, now_per_sec: 1.0 };
        QueryDetail {
            phases: vec![
                phase(0, "map", false, "done"),
                phase(1, "gather", false, "done"),
                phase(1, "reduce", true, "running"),
            ],
            counters: BTreeMap::from([
                ("mapper-calls".to_owned(), counter(4)),
                ("groups".to_owned(), counter(3)),
            ]),
            shards: vec![shard(0, "done"), shard(1, "running"), shard(2, "waiting")],
            shards_known: 3,
            shards_active: 2,
            ..QueryDetail::default()
        }
    }

    #[track_caller]
    fn check(
        result: Option<JobResult>,
        phases: &[&str],
        shards: (usize, usize, usize),
    ) -> JobDetail {
        let mut detail = JobDetail { id: "j".into(), epoch: 2, ..JobDetail::default() };
        fill(&mut detail, &told(), result, 1_000);
        let states: Vec<&str> = detail.phases.iter().map(|phase| phase.state.as_str()).collect();
        assert_eq!(states, phases, "{result:?}");
        let JobDetail { active_shards, failed_shards, aborted_shards, .. } = detail;
        assert_eq!((active_shards, failed_shards, aborted_shards), shards, "{result:?}");
        detail
    }

    #[test]
    fn what_a_query_tells_is_shown() {
        let detail = check(None, &["done", "running"], (1, 0, 0));
        assert_eq!((detail.phases[1].group, detail.phases[1].groups), (Some(true), Some(3)));
        let rate = detail.rates["mapper-calls"];
        assert_eq!((rate.avg_per_sec, rate.now_per_sec), (3.25, 1.0));
        let calls = |at: usize| detail.shards[at].counters.keys().next().unwrap().as_str();
        assert_eq!((calls(0), calls(2)), ("mapper-calls", "reducer-calls"));
        let first = &detail.shards[0];
        assert_eq!((first.shard_id.as_str(), first.updated_timestamp_ms), ("j-0", 970));
        assert_eq!(detail.chart.processed, [2, 2, 2]);
        assert_eq!(detail.chart.status, ["success", "running", "running"]);
        check(Some(JobResult::Success), &["done", "done"], (0, 0, 0));
        check(Some(JobResult::Failed), &["done", "failed"], (0, 2, 0));
        let aborted = check(Some(JobResult::Aborted), &["done", "aborted"], (0, 0, 2));
        assert_eq!(aborted.chart.status, ["success", "aborted", "aborted"]);
        assert_eq!(aborted.rates["groups"].now_per_sec, 0.0);
    }
}
