//! What changes do to jobs: what is refused, and that whatever arrives late or twice does no harm.

use std::collections::BTreeMap;

use mapring_ring::RingSize;
use mapring_types::NodeId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::limits;

fn state() -> ClusterState {
    let mut state = ClusterState::new("c", RingSize::new(8).unwrap());
    for id in 1..=3 {
        let member = crate::fixed::FixedGroup::member(&format!("n{id}"), NodeId(id));
        state.apply(&Change::Join { id: NodeId(id), member, replaces: None });
    }
    state
}

fn run(schedule: &str, planned_ms: u64) -> ScheduleRun {
    ScheduleRun { schedule: schedule.to_owned(), planned_ms }
}

fn start(id: &str, digest: u64, now_ms: u64) -> Change {
    let (id, kind, owner) = (id.to_owned(), JobKind::Job, NodeId(1));
    Change::StartJob { id, kind, owner, digest, now_ms, run: None, after_epoch: None }
}

/// As [`start`], by who knows what had ended up to an epoch.
fn start_after(id: &str, now_ms: u64, after_epoch: u64) -> Change {
    let (id, kind, owner) = (id.to_owned(), JobKind::Job, NodeId(1));
    let after_epoch = Some(after_epoch);
    Change::StartJob { id, kind, owner, digest: 5, now_ms, run: None, after_epoch }
}

fn start_run(id: &str, now_ms: u64, run: ScheduleRun) -> Change {
    let (id, kind, owner) = (id.to_owned(), JobKind::Job, NodeId(1));
    let (run, after_epoch) = (Some(run), None);
    Change::StartJob { id, kind, owner, digest: 7, now_ms, run, after_epoch }
}

fn take(id: &str, epoch: u64, owner: u64) -> Change {
    Change::TakeJob { id: id.to_owned(), epoch, owner: NodeId(owner), trusts: None }
}

fn abort(id: &str, message: &str) -> Change {
    Change::AbortJob { id: id.to_owned(), message: message.to_owned() }
}

fn decide(id: &str, epoch: u64, result: JobResult) -> Change {
    Change::DecideJob { id: id.to_owned(), epoch, result }
}

fn forget(id: &str, epoch: u64) -> Change {
    Change::ForgetJob { id: id.to_owned(), epoch }
}

/// Applies a change twice: the second time changes nothing, and says the same. What only counts is applied
/// once: one more does no harm.
#[track_caller]
fn check(state: &mut ClusterState, change: &Change, refusal: Option<&str>) {
    let before = state.clone();
    let outcome = state.apply(change);
    match (&outcome, refusal) {
        (Outcome::Applied, None) => {}
        (Outcome::Refused(why), Some(words)) => {
            assert!(why.contains(words), "{change:?}: {why}");
            assert_eq!(*state, before);
        }
        _ => panic!("{change:?}: {outcome:?}"),
    }
    if *change == Change::TrustOwners {
        return;
    }
    let once = state.clone();
    assert_eq!(state.apply(change), outcome, "{change:?}, the second time");
    assert_eq!(*state, once, "{change:?}, the second time");
}

#[track_caller]
fn check_job(state: &ClusterState, id: &str, owner: u64, epoch: u64, expect: JobState) {
    let job = &state.jobs[id];
    assert_eq!((job.owner, job.epoch, &job.state), (NodeId(owner), epoch, &expect));
}

#[test]
fn a_job_lives_from_its_start_until_all_is_done() {
    let success = JobState::Decided { result: JobResult::Success };
    let mut state = state();
    check(&mut state, &start("a", 5, 1), None);
    check_job(&state, "a", 1, 1, JobState::Active);
    // Asked for elsewhere, it is the same job.
    check(&mut state, &start("a", 5, 9), None);
    check(&mut state, &start("a", 6, 1), Some("job a: there is one of this id with another"));
    let pipeline = Change::StartJob {
        id: "a".to_owned(),
        kind: JobKind::Pipeline,
        owner: NodeId(1),
        digest: 5,
        now_ms: 1,
        run: None,
        after_epoch: None,
    };
    check(&mut state, &pipeline, Some("job a"));
    check(&mut state, &forget("a", 1), Some("job a has not come to its end"));
    check(&mut state, &decide("a", 1, JobResult::Success), None);
    check_job(&state, "a", 1, 1, success.clone());
    check(&mut state, &decide("a", 1, JobResult::Failed), Some("job a has come to another end"));
    check(&mut state, &abort("a", "late"), Some("job a has come to its end"));
    // Whoever takes over finishes what is decided.
    check(&mut state, &take("a", 1, 2), None);
    check_job(&state, "a", 2, 2, success);
    check(&mut state, &forget("a", 1), Some("in epoch 2, not 1"));
    check(&mut state, &forget("a", 2), None);
    assert!(state.jobs.is_empty() && state.ended_jobs.len() == 1);
    for change in [take("a", 2, 1), abort("a", ""), decide("a", 2, JobResult::Success)] {
        check(&mut state, &change, Some("job a is not among the unfinished ones"));
    }
}

#[test]
fn a_start_that_arrives_late_starts_nothing_again() {
    let mut state = state();
    check(&mut state, &start("a", 5, 1), None);
    check(&mut state, &decide("a", 1, JobResult::Success), None);
    check(&mut state, &forget("a", 1), None);
    check(&mut state, &start("a", 5, 1), None);
    assert!(state.jobs.is_empty());
    // Somebody means it: it was removed, and is started anew. What the former one left behind is of
    // an earlier epoch.
    check(&mut state, &start("a", 5, 2), None);
    check_job(&state, "a", 1, 2, JobState::Active);
    check(&mut state, &decide("a", 1, JobResult::Failed), Some("in epoch 2, not 1"));
}

#[test]
fn of_two_that_are_asked_for_at_once_one_starts_though_it_ends_first() {
    let mut state = state();
    // Both were asked for when there was none.
    let (one, other) = (start_after("a", 1, 0), start_after("a", 2, 0));
    check(&mut state, &one, None);
    check(&mut state, &other, None);
    check(&mut state, &decide("a", 1, JobResult::Success), None);
    check(&mut state, &other, None);
    check(&mut state, &forget("a", 1), None);
    assert_eq!((state.ended_epoch("a"), state.ended_epoch("b")), (1, 0));
    check(&mut state, &other, Some("job a: one of this id has ended meanwhile"));
    check(&mut state, &one, None);
    assert!(state.jobs.is_empty());
    // Who knows of that means it.
    check(&mut state, &start_after("a", 3, 1), None);
    check_job(&state, "a", 1, 2, JobState::Active);
}

#[test]
fn only_the_present_owner_decides() {
    let mut state = state();
    check(&mut state, &start("a", 5, 1), None);
    check(&mut state, &take("a", 1, 2), None);
    check_job(&state, "a", 2, 2, JobState::Active);
    check(&mut state, &take("a", 1, 3), Some("job a is of node 0000000000000002 in epoch 2"));
    check(&mut state, &take("a", 3, 3), Some("in epoch 2, not 3"));
    check(&mut state, &take("a", 2, 9), Some("node 0000000000000009 is no member"));
    check(&mut state, &decide("a", 1, JobResult::Success), Some("in epoch 2, not 1"));
    check(&mut state, &take("a", 2, 2), None);
    check(&mut state, &decide("a", 3, JobResult::Failed), None);
}

#[test]
fn what_members_said_of_an_owner_counts_until_one_trusts_owners_again() {
    let mut state = state();
    check(&mut state, &start("a", 1, 1), None);
    let take = |epoch, owner, trusts| {
        let (id, owner, trusts) = ("a".to_owned(), NodeId(owner), Some(trusts));
        Change::TakeJob { id, epoch, owner, trusts }
    };
    check(&mut state, &take(1, 2, 0), None);
    check(&mut state, &Change::TrustOwners, None);
    // Node 3 asked, stood still, and goes on.
    check(&mut state, &take(2, 3, 0), Some("go by what its owner says again"));
    // What is so already is so.
    check(&mut state, &take(1, 2, 0), None);
    check(&mut state, &take(2, 3, 1), None);
    assert_eq!((state.job_takes, state.job_trusts), (2, 1));
}

#[test]
fn what_is_to_be_ended_stays_so_until_its_end() {
    let mut state = state();
    let aborting = || JobState::Aborting { message: "why".to_owned() };
    check(&mut state, &abort("a", "why"), Some("job a is not among"));
    check(&mut state, &start("a", 5, 1), None);
    let long = "x".repeat(limits::ABORT_BYTES + 1);
    check(&mut state, &abort("a", &long), Some("job a: the message exceeds 1024 bytes"));
    check(&mut state, &abort("a", "why"), None);
    check(&mut state, &abort("a", "another reason"), None);
    check(&mut state, &take("a", 1, 3), None);
    check(&mut state, &start("a", 5, 1), None);
    check_job(&state, "a", 3, 2, aborting());
    check(&mut state, &decide("a", 2, JobResult::Aborted), None);
    check(&mut state, &abort("a", "why"), None);
    check_job(&state, "a", 3, 2, JobState::Decided { result: JobResult::Aborted });
}

#[test]
fn a_run_of_a_schedule_starts_once() {
    let mut state = state();
    check(&mut state, &Change::SkipRun { run: run("daily", 100) }, None);
    check(
        &mut state,
        &start_run("a", 1, run("daily", 100)),
        Some("schedule daily at 100 has been"),
    );
    assert!(state.jobs.is_empty());
    check(&mut state, &start_run("b", 1, run("daily", 200)), None);
    // The same run, as another node asks for it, by the same id.
    check(&mut state, &start_run("b", 2, run("daily", 200)), None);
    check(&mut state, &start_run("c", 2, run("daily", 200)), Some("job c: the run of schedule"));
    check(&mut state, &start_run("c", 2, run("daily", 150)), Some("job c"));
    check(&mut state, &Change::SkipRun { run: run("daily", 150) }, None);
    assert_eq!(state.schedule_runs["daily"], 200);
    check(&mut state, &decide("b", 1, JobResult::Failed), None);
    check(&mut state, &forget("b", 1), None);
    check(&mut state, &start_run("b", 2, run("daily", 200)), Some("job b"));
    check(&mut state, &start_run("b", 1, run("daily", 200)), None);
    assert!(state.jobs.is_empty(), "what arrives late has been done");
    check(&mut state, &start_run("d", 1, run("hourly", 1)), None);
    check(&mut state, &Change::ForgetRuns { schedule: "daily".to_owned() }, None);
    assert_eq!(state.schedule_runs, BTreeMap::from([("hourly".to_owned(), 1)]));
}

#[test]
fn what_is_kept_of_jobs_is_bounded() {
    let mut state = state();
    for id in ["", "x".repeat(limits::JOB_ID_BYTES + 1).as_str()] {
        check(&mut state, &start(id, 1, 1), Some("the id of a job is a text of 1 to 256 bytes"));
        let skip = Change::SkipRun { run: run(id, 1) };
        check(&mut state, &skip, Some("the name of a schedule is a text of 1 to 256 bytes"));
    }
    for number in 0..limits::SCHEDULES {
        let skip = Change::SkipRun { run: run(&number.to_string(), 1) };
        assert_eq!(state.apply(&skip), Outcome::Applied);
    }
    check(&mut state, &Change::SkipRun { run: run("more", 1) }, Some("1000 schedules already"));
    check(&mut state, &start_run("a", 1, run("more", 1)), Some("1000 schedules already"));
    for number in 0..limits::ENDED_JOBS + 10 {
        let id = number.to_string();
        for change in [start(&id, 1, 1), decide(&id, 1, JobResult::Success), forget(&id, 1)] {
            assert_eq!(state.apply(&change), Outcome::Applied);
        }
    }
    assert_eq!(state.ended_jobs.len(), limits::ENDED_JOBS);
    assert_eq!(state.ended_jobs[0].id, "10");
    for number in 0..limits::JOBS {
        let job = JobRecord {
            kind: JobKind::Job,
            owner: NodeId(1),
            epoch: 1,
            digest: 1,
            since_ms: 1,
            state: JobState::Active,
        };
        state.jobs.insert(format!("many-{number}"), job);
    }
    check(&mut state, &start("more", 1, 1), Some("10000 unfinished jobs already"));
    assert!(state.check_sound().is_ok());
    let job = state.jobs["many-1"].clone();
    state.jobs.insert("more".to_owned(), job);
    let error = state.check_sound().unwrap_err();
    assert!(error.message().contains("10001 unfinished jobs"), "{error}");
}

/// What a later program must still read: entries of the log, and the state in snapshots.
#[test]
fn what_is_stored_of_jobs_keeps_its_form() {
    let stored = [
        r#"{"StartJob":{"id":"a","kind":"job","owner":1,"digest":18446744073709551615,"now_ms":3,
            "run":{"schedule":"s","planned_ms":2}}}"#,
        r#"{"StartJob":{"id":"p","kind":"pipeline","owner":2,"digest":1,"now_ms":4,"run":null}}"#,
        r#"{"SkipRun":{"run":{"schedule":"s","planned_ms":9}}}"#,
        r#"{"SkipRun":{"run":{"schedule":"gone","planned_ms":9}}}"#,
        r#"{"ForgetRuns":{"schedule":"gone"}}"#,
        r#"{"TakeJob":{"id":"p","epoch":1,"owner":3}}"#,
        r#"{"AbortJob":{"id":"p","message":"why"}}"#,
        r#"{"DecideJob":{"id":"a","epoch":1,"result":"success"}}"#,
        r#"{"ForgetJob":{"id":"a","epoch":1}}"#,
        r#""TrustOwners""#,
        r#"{"TakeJob":{"id":"p","epoch":2,"owner":1,"trusts":1}}"#,
        r#"{"StartJob":{"id":"f","kind":"job","owner":1,"digest":1,"now_ms":4,"run":null,
            "after_epoch":0}}"#,
        r#"{"DecideJob":{"id":"f","epoch":1,"result":"failed"}}"#,
    ];
    let mut state = state();
    let plain = serde_json::to_value(&state).unwrap();
    for text in stored {
        let text: String = text.split_whitespace().collect();
        let change: Change = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), text);
        assert_eq!(change.since(), mapring_types::Release::JOBS);
        check(&mut state, &change, None);
    }
    let expect = serde_json::json!({
        "jobs": {
            "f": {"kind": "job", "owner": 1, "epoch": 1, "digest": 1, "since_ms": 4,
                "state": {"decided": {"result": "failed"}}},
            "p": {"kind": "pipeline", "owner": 1, "epoch": 3, "digest": 1, "since_ms": 4,
                "state": {"aborting": {"message": "why"}}}
        },
        "ended_jobs": [{"id": "a", "epoch": 1, "digest": u64::MAX, "since_ms": 3}],
        "job_takes": 2,
        "job_trusts": 1,
        "schedule_runs": {"s": 9}
    });
    let mut written = serde_json::to_value(&state).unwrap();
    assert_eq!(serde_json::from_value::<ClusterState>(written.clone()).unwrap(), state);
    for (name, value) in expect.as_object().unwrap() {
        assert_eq!(written.as_object_mut().unwrap().shift_remove(name).as_ref(), Some(value));
    }
    // Without any, the metadata are as former releases have them.
    assert_eq!(written, plain);
}

/// What nodes would propose who know some earlier state, or have slept, or ask again.
struct Nodes {
    random: StdRng,
    /// All states so far: each node knows one of the last ones.
    known: Vec<ClusterState>,
    /// Everything proposed so far: it may be decided again.
    proposed: Vec<Change>,
}

impl Nodes {
    fn propose(&mut self) -> Change {
        let Self { random, known, proposed } = self;
        if !proposed.is_empty() && random.random_bool(0.2) {
            return proposed[random.random_range(0..proposed.len())].clone();
        }
        let late = random.random_range(0..known.len().min(8));
        let known = &known[known.len() - 1 - late];
        let id = ["a", "b", "c", "d"][random.random_range(0..4)];
        let epoch = known.jobs.get(id).map_or(1, |job| job.epoch);
        let now_ms = proposed.len() as u64;
        // Near the last run, before it and after it.
        let last = known.schedule_runs.get("s").copied().unwrap_or(10);
        let planned = random.random_range(last.saturating_sub(2)..last + 4);
        match random.random_range(0..10) {
            0 | 1 => start(id, random.random_range(0..2), now_ms),
            2 => {
                let id = format!("run-{planned}-{}", random.random_range(0..2));
                start_run(&id, now_ms, run("s", planned))
            }
            3 => Change::SkipRun { run: run("s", planned) },
            4 | 5 => take(id, epoch, random.random_range(1..=3)),
            6 => abort(id, "why"),
            7 | 8 => {
                let results = [JobResult::Success, JobResult::Failed, JobResult::Aborted];
                decide(id, epoch, results[random.random_range(0..3)])
            }
            _ => forget(id, epoch),
        }
    }
}

/// What must never happen twice, or in two ways.
#[derive(Default)]
struct Seen {
    owners: BTreeMap<(String, u64), NodeId>,
    ends: BTreeMap<(String, u64), JobState>,
    starts: BTreeMap<(String, u64), usize>,
    runs: BTreeMap<u64, usize>,
}

impl Seen {
    fn look(&mut self, before: &ClusterState, change: &Change, after: &ClusterState) {
        for (id, job) in &after.jobs {
            let owner = *self.owners.entry((id.clone(), job.epoch)).or_insert(job.owner);
            assert_eq!(owner, job.owner, "one owner an epoch");
            let key = (id.clone(), job.since_ms);
            if job.is_decided() {
                assert_eq!(self.ends.entry(key).or_insert(job.state.clone()), &job.state);
            } else {
                assert!(!self.ends.contains_key(&key), "an end is final");
            }
            if let Some(former) = before.jobs.get(id) {
                assert!(former.epoch <= job.epoch, "epochs never fall");
            }
        }
        let Change::StartJob { id, run, now_ms, .. } = change else { return };
        if before.jobs.contains_key(id) || !after.jobs.contains_key(id) {
            return;
        }
        let started = self.starts.entry((id.clone(), *now_ms)).or_default();
        *started += 1;
        assert_eq!(*started, 1, "what is asked for once starts once");
        if let Some(run) = run {
            let started = self.runs.entry(run.planned_ms).or_default();
            *started += 1;
            assert_eq!(*started, 1, "a run starts once");
        }
    }
}

#[test]
fn late_and_repeated_changes_of_several_nodes_do_no_harm() {
    let seed: u64 = match std::env::var("SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => rand::random(),
    };
    eprintln!("SEED={seed}");
    let (mut runs, mut ends) = (0, 0);
    for round in 0..50 {
        let random = StdRng::seed_from_u64(seed.wrapping_add(round));
        let mut nodes = Nodes { random, known: vec![state()], proposed: Vec::new() };
        let mut seen = Seen::default();
        for _ in 0..300 {
            let change = nodes.propose();
            let before = nodes.known[nodes.known.len() - 1].clone();
            let mut after = before.clone();
            let outcome = after.apply(&change);
            seen.look(&before, &change, &after);
            let mut again = after.clone();
            assert_eq!(again.apply(&change), outcome, "{change:?}, the second time");
            assert_eq!(again, after, "{change:?}, the second time");
            nodes.proposed.push(change);
            nodes.known.push(after);
        }
        (runs, ends) = (runs + seen.runs.len(), ends + seen.ends.len());
    }
    assert!(runs > 50 && ends > 50, "{runs} runs and {ends} ends are too few to say anything");
}
