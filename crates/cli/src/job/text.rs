//! What is printed of jobs.

use mapring_client::{Job, JobEvent, JobList, JobPhase, JobShard, JobSummary};
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// A time in milliseconds since 1970 began, as `2024-06-01T03:00:00Z`; the number where it is beyond the
/// calendar.
pub(crate) fn time(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1_000).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| ms.to_string(), |time| time.to_string())
}

/// Jobs, one a line.
pub(super) fn list(listed: &JobList) -> String {
    page(listed.jobs.iter().map(summary), "jobs", listed.cursor.as_deref())
}

/// The lines of a page of such things, and where it goes on.
pub(crate) fn page(
    lines: impl Iterator<Item = String>,
    what: &str,
    cursor: Option<&str>,
) -> String {
    let mut text: String = lines.collect();
    if text.is_empty() {
        text.push_str(&format!("there are no {what}\n"));
    }
    if let Some(cursor) = cursor {
        text.push_str(&format!("more with --cursor {cursor}\n"));
    }
    text
}

fn summary(job: &JobSummary) -> String {
    let JobSummary { id, name, active_shards, shards, elapsed, .. } = job;
    let name = name.as_deref().unwrap_or("-");
    let state = job.result_status.as_deref().unwrap_or(&job.state);
    let start = time(job.start_timestamp_ms);
    format!("{id}  {name}  {state}  {active_shards}/{shards} shards  {start}  {elapsed}\n")
}

/// A job, in some lines. Of its shards those that work or have failed are shown, or all.
pub(super) fn job(job: &Job, all_shards: bool) -> String {
    let name = job.name.as_deref().unwrap_or("-");
    let state = job.result_status.as_deref().unwrap_or(&job.state);
    let start = time(job.start_timestamp_ms);
    let mut text = format!("{}  {name}  {state}  {start}  {}\n", job.id, job.elapsed);
    if let Some(why) = job.why() {
        text.push_str(&format!("error    {}\n", why.replace('\n', "\n         ")));
    }
    job.phases.iter().for_each(|each| text.push_str(&phase(each)));
    for (counter, count) in &job.counters {
        let rate = job.rates.get(counter);
        let rate =
            rate.map_or(String::new(), |rate| format!(" ({:.2}/sec avg.)", rate.avg_per_sec));
        text.push_str(&format!("counter  {counter}: {count}{rate}\n"));
    }
    for output in &job.outputs {
        let names = output.as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        text.push_str(&format!("output   {}\n", names.join("/")));
    }
    if !job.shards.is_empty() {
        text.push_str(&format!("shards   {}\n", counted(&job.shards)));
    }
    let telling = |each: &&JobShard| all_shards || each.active || each.why().is_some();
    job.shards.iter().filter(telling).for_each(|each| text.push_str(&shard(each)));
    text
}

/// How many shards there are, and how many of them are how far.
fn counted(shards: &[JobShard]) -> String {
    let states = ["running", "waiting", "success", "failed", "aborted"];
    let of = |state: &str| shards.iter().filter(|shard| shard_state(shard) == state).count();
    let parts = states.map(|state| (of(state), state));
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, state)| format!("{count} {state}")).collect();
    format!("{}: {}", shards.len(), parts.join(", "))
}

fn shard_state(shard: &JobShard) -> &str {
    match &shard.result_status {
        Some(status) => status,
        None if shard.active => "running",
        None => "waiting",
    }
}

fn phase(phase: &JobPhase) -> String {
    let counted = [(phase.inputs, "in"), (phase.groups, "groups"), (phase.results, "out")];
    let counted = counted.into_iter().filter_map(|(n, what)| Some(format!(", {} {what}", n?)));
    let counted: String = counted.collect();
    format!("phase    {} {}: {}{counted}\n", phase.phase, phase.kind, phase.state)
}

fn shard(shard: &JobShard) -> String {
    let JobShard { shard_number, attempt, shard_description, .. } = shard;
    let state = shard_state(shard);
    let node = shard.node.as_deref().unwrap_or("-");
    let percent = shard.progress.clamp(0.0, 1.0) * 100.0;
    let mut text = format!(
        "shard    {shard_number} {state} on {node}, attempt {attempt}, {percent:.0} %: \
         {shard_description}"
    );
    if let Some(last) = &shard.last_work_item {
        text.push_str(&format!(", last {last}"));
    }
    if let Some(why) = shard.why() {
        text.push_str(&format!("; {}", why.lines().next().unwrap_or_default()));
    }
    text + "\n"
}

/// An event, in one line.
pub(super) fn event(event: &JobEvent, json: bool) -> String {
    let JobEvent { id, event, data } = event;
    if json {
        return serde_json::json!({ "id": id, "event": event, "data": data }).to_string();
    }
    format!("{id}  {event}  {data}")
}

/// What `GET /jobs/ID/errors` gave, one a line.
pub(super) fn errors(json: &[u8]) -> Outcome<String> {
    let read: Value = parsed(json)?;
    let mut text = String::new();
    for error in read["errors"].as_array().into_iter().flatten() {
        let member = |name: &str| match &error[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let [phase, input, what] = ["phase", "input", "error"].map(member);
        text.push_str(&format!("phase {phase}  {input}  {what}\n"));
    }
    if let Some(more) = read["left_out"].as_u64().filter(|more| *more > 0) {
        text.push_str(&format!("and {more} more\n"));
    }
    if text.is_empty() { Ok("there are no errors\n".to_owned()) } else { Ok(text) }
}

/// What a dry run gave, one shard a line.
pub(super) fn planned(json: &[u8]) -> Outcome<String> {
    let read: Value = parsed(json)?;
    let shards = read["shards"].as_array().into_iter().flatten();
    let shards = shards.map(|shard| {
        let description = shard["shard_description"].as_str().unwrap_or_default();
        format!("shard    {}: {description}\n", shard["shard_number"])
    });
    let shards: String = shards.collect();
    Ok(format!("the job is valid\n{shards}"))
}

fn parsed(json: &[u8]) -> Outcome<Value> {
    serde_json::from_slice(json)
        .map_err(|error| Failure::failed(format!("cannot read the answer: {error}")))
}

#[cfg(test)]
mod tests {
    use mapring_client::Rate;
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, expect) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(ms), expect);
        }
    }

    #[test]
    fn a_list_has_a_line_for_each_job() {
        let mut listed = JobList { jobs: Vec::new(), cursor: None };
        assert_eq!(list(&listed), "there are no jobs\n");
        listed.jobs.push(JobSummary {
            id: "j1".into(),
            name: Some("ages".into()),
            state: "running".into(),
            elapsed: "00:00:04".into(),
            active_shards: 2,
            shards: 4,
            ..JobSummary::default()
        });
        listed.cursor = Some("c".into());
        let expect = "j1  ages  running  2/4 shards  1970-01-01T00:00:00Z  00:00:04\n\
                      more with --cursor c\n";
        assert_eq!(list(&listed), expect);
    }

    #[test]
    fn a_job_is_some_lines() {
        let mut shown = Job {
            id: "j".into(),
            state: "done".into(),
            result_status: Some("failed".into()),
            elapsed: "00:00:04".into(),
            phases: vec![JobPhase {
                kind: "map".into(),
                state: "failed".into(),
                inputs: Some(4),
                ..JobPhase::default()
            }],
            counters: [("mapper-calls".to_owned(), 13)].into(),
            rates: [("mapper-calls".to_owned(), Rate { avg_per_sec: 3.25, now_per_sec: 0.0 })]
                .into(),
            outputs: vec![json!(["out", "d500"])],
            shards: vec![JobShard {
                node: Some("n1".into()),
                result_status: Some("failed".into()),
                attempt: 2,
                progress: 0.25,
                shard_description: "b partitions 0-15".into(),
                last_work_item: Some("[\"b\",\"k\"]".into()),
                last_error: Some(json!("boom\nat f")),
                ..JobShard::default()
            }],
            error: Some(json!("boom\nat f")),
            ..Job::default()
        };
        let expect = "j  -  failed  1970-01-01T00:00:00Z  00:00:04\n\
            error    boom\n         at f\n\
            phase    0 map: failed, 4 in\n\
            counter  mapper-calls: 13 (3.25/sec avg.)\n\
            output   out/d500\n\
            shards   1: 1 failed\n\
            shard    0 failed on n1, attempt 2, 25 %: b partitions 0-15, last [\"b\",\"k\"]; boom\n";
        assert_eq!(job(&shown, false), expect);
        let done = JobShard { result_status: Some("success".into()), ..JobShard::default() };
        shown.shards = vec![done.clone(), JobShard { active: true, ..JobShard::default() }, done];
        let shards = |all: bool| {
            let text = job(&shown, all);
            text.lines().filter(|line| line.starts_with("shard ")).count()
        };
        assert_eq!((shards(false), shards(true)), (1, 3));
        assert!(job(&shown, false).contains("shards   3: 1 running, 2 success\n"));
    }

    #[test]
    fn errors_and_plans_are_lines() {
        let json =
            br#"{"errors":[{"phase":0,"input":"[\"b\",\"k\"]","error":"boom"}],"left_out":2}"#;
        assert_eq!(errors(json).unwrap(), "phase 0  [\"b\",\"k\"]  boom\nand 2 more\n");
        assert_eq!(errors(br#"{"errors":[]}"#).unwrap(), "there are no errors\n");
        let json = br#"{"valid":true,"shards":[{"shard_number":0,"shard_description":"files/q"}]}"#;
        assert_eq!(planned(json).unwrap(), "the job is valid\nshard    0: files/q\n");
        assert!(errors(b"x").is_err());
    }
}
