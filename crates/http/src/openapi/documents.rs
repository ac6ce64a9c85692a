//! The documents of jobs: what starts one, what is shown of one, named jobs and schedules.

use std::time::Duration;

use mapring_jobs::limits as jobs;
use mapring_runner::{
    Chart, JobDetail, JobErrorEntry, JobErrors, JobList, JobSummary, PhaseDetail, Rate, STATES,
    ShardDetail, Stall, Unreachable,
};

use super::answers::cursor;
use super::mapred::{function, query_members};
use super::schema::{
    Member, NONE, Schema, any, by_name, either, flag, integer, like, list, named, number,
    number_or_null, number_within, object, real, sample, text, text_or_null, text_up_to, word,
};

/// Members of a query that a job does not have: they are asked for otherwise.
const NOT_OF_JOBS: [&str; 4] = ["explain", "profile", "timeout", "shards"];

pub(super) fn schemas() -> Vec<Member> {
    vec![
        ("JobStart", either([named("JobDocument"), named("NamedJobStart")], "")),
        ("JobDocument", document()),
        ("NamedJobStart", named_start()),
        ("Callback", callback()),
        (
            "JobConfig",
            object("", [("job", any("A job document, with `${name}` for parameters."))], config()),
        ),
        ("Param", object("", [("name", text("Its name."))], param())),
        ("Schedule", object("", [("cron", cron()), ("job", named("JobStart"))], schedule())),
        ("ShownSchedule", shown_schedule()),
        (
            "JobList",
            like(
                &sample(&JobList::default()),
                vec![
                    ("jobs", list(named("JobSummary"), "The newest first.")),
                    ("cursor", cursor()),
                ],
            ),
        ),
        ("JobSummary", like(&sample(&JobSummary::default()), ended())),
        ("Job", like(&sample(&JobDetail::default()), detail())),
        ("JobErrors", errors()),
    ]
}

/// What a job document may have beside its inputs.
fn document_members() -> Vec<Member> {
    let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let longest = millis(jobs::LONGEST);
    let attempts =
        |usual: u32| number_within(1, u64::from(jobs::MOST_ATTEMPTS), Some(u64::from(usual)), "");
    let backoff =
        number_within(0, millis(jobs::LONGEST_BACKOFF), Some(millis(jobs::BACKOFF)), "It doubles.");
    let retries = [
        ("shard", attempts(jobs::SHARD_ATTEMPTS)),
        ("slice", attempts(jobs::SLICE_ATTEMPTS)),
        ("backoff_ms", backoff),
    ];
    let calls = number_within(1, millis(jobs::LONGEST_CALL), Some(millis(jobs::CALL)), "");
    let limits = [
        ("call_ms", calls),
        ("memory_mb", number_within(1, jobs::MOST_MB, Some(jobs::MEMORY_MB), "")),
        ("group_mb", number_within(1, jobs::MOST_MB, Some(jobs::GROUP_MB), "")),
    ];
    let hook = || either([named("Callback"), named("Function")], "");
    let hooks = [("started", hook()), ("shard_done", hook()), ("done", hook())];
    let slice = number_within(
        millis(jobs::SHORTEST_SLICE),
        millis(jobs::LONGEST_SLICE),
        Some(millis(jobs::SLICE)),
        "How long a shard works between two checkpoints.",
    );
    let mut members = query_members();
    members.retain(|(name, _)| !NOT_OF_JOBS.contains(name));
    members.extend([
        ("shards", number("In how many pieces its inputs are worked on.")),
        ("timeout", number_within(1, longest, None, "The most milliseconds that it may take.")),
        ("partitions", number("In how many pieces pairs are grouped.")),
        ("slice_ms", slice),
        ("rate", real("Inputs a second; 0 is no limit.")),
        ("retries", object("How often work is tried.", NONE, retries)),
        ("limits", object("What a call may take.", NONE, limits)),
        ("callback", named("Callback")),
        ("hooks", object("What is done at points of its life.", NONE, hooks)),
        ("delay_ms", number_within(0, longest, None, "It begins so much later.")),
        ("run_at", text("It begins at that time, as `2030-06-01T03:00:00Z`.")),
        ("keep_ms", number_within(0, longest, Some(millis(jobs::KEEP)), "How long it is kept.")),
        ("keep_groups", flag("Whether its groups are kept with it, to be looked at.")),
        ("queue", word(&["low", "normal", "high"], "Before whom it has its turn.")),
    ]);
    members
}

fn document() -> Schema {
    object("A query, and how it is carried out.", [("inputs", named("Inputs"))], document_members())
}

fn named_start() -> Schema {
    const OVER: [&str; 10] = [
        "name",
        "callback",
        "hooks",
        "delay_ms",
        "run_at",
        "keep_ms",
        "keep_groups",
        "queue",
        "rate",
        "shards",
    ];
    let mut members = document_members();
    members.retain(|(name, _)| OVER.contains(name));
    members.push(("params", by_name(any(""), "Its parameters.")));
    object("A named job.", [("config", text_up_to(jobs::NAME_BYTES, "Its name."))], members)
}

fn callback() -> Schema {
    let url = text_up_to(jobs::URL_BYTES, "Begins with `http://` or `https://`.");
    object("A request.", [("url", url)], [("method", word(&["POST", "PUT", "GET"], ""))])
}

fn config() -> Vec<Member> {
    vec![
        ("name", text("Its name, as in the path.")),
        ("description", text_or_null("What it says of itself.")),
        ("params", list(named("Param"), "Its parameters.")),
        ("validator", object("Looks at the parameters.", NONE, function())),
        ("callback", named("Callback")),
    ]
}

fn param() -> Vec<Member> {
    let kinds = ["string", "integer", "number", "boolean", "list", "object", "any"];
    vec![
        ("type", word(&kinds, "What values it has.")),
        ("required", flag("Whether it must be given.")),
        ("default", any("What it is where it is not given.")),
        ("min", real("The least.")),
        ("max", real("The most.")),
        ("one_of", list(any(""), "The values that it may have.")),
        ("description", text("What it says of itself.")),
    ]
}

fn cron() -> Schema {
    text("Minute, hour, day of the month, month, day of the week.")
}

fn schedule() -> Vec<Member> {
    vec![
        ("time_zone", text("As `Europe/Berlin`; `UTC` where nothing is said.")),
        (
            "overlap",
            word(&["skip", "queue", "replace", "allow"], "What becomes of a run meanwhile."),
        ),
        ("missed", word(&["skip", "once", "all"], "What becomes of runs whose time went by.")),
    ]
}

fn shown_schedule() -> Schema {
    let mut perhaps = schedule();
    perhaps.extend([("cron", cron()), ("job", any("The job that it starts."))]);
    let always = [
        ("name", text("Its name.")),
        ("next_runs_ms", list(number(""), "When it runs next.")),
        ("dealt_with_until_ms", number("Until when its runs are dealt with.")),
        ("active_jobs", list(text(""), "Jobs that it has started and that are active.")),
        ("last_error", any("Why it could not start a job last; null where it could.")),
    ];
    object("", always, perhaps)
}

/// What a sample does not say of a job's end.
fn ended() -> Vec<Member> {
    vec![
        ("name", text_or_null("What it is called.")),
        ("state", word(&STATES, "")),
        ("result_status", text_or_null("`success`, `failed` or `aborted`.")),
    ]
}

fn detail() -> Vec<Member> {
    let shard = like(
        &sample(&ShardDetail::default()),
        vec![
            ("node", text_or_null("")),
            ("result_status", text_or_null("")),
            ("last_work_item", text_or_null("")),
            ("counters", by_name(integer(""), "")),
            ("last_error", any("")),
        ],
    );
    let phase = like(
        &sample(&PhaseDetail::default()),
        vec![
            ("group", flag("Whether it is one of groups.")),
            ("groups", number("Groups that it has reduced.")),
            ("skipped", number("Inputs that were left out.")),
        ],
    );
    let chart = like(
        &sample(&Chart::default()),
        vec![("processed", list(number(""), "")), ("status", list(text(""), ""))],
    );
    let stall = like(
        &sample(&Stall::default()),
        vec![("node", text_or_null("")), ("last_work_item", text_or_null(""))],
    );
    let mut members = ended();
    members.extend([
        ("spec", any("Its document.")),
        ("node", text_or_null("The node that runs it, or did last.")),
        ("phases", list(phase, "In order.")),
        ("counters", by_name(integer(""), "What it and its functions have counted.")),
        ("rates", by_name(like(&sample(&Rate::default()), Vec::new()), "How fast counters go up.")),
        ("chart", chart),
        ("shards", list(shard, "By their numbers.")),
        ("outputs", list(any(""), "Objects that it has written, as `[bucket, key]`.")),
        ("outputs_left_out", number("How many more there are.")),
        ("error", any("Why it failed or was aborted.")),
        ("stalled", stall),
        ("unreachable", like(&sample(&Unreachable::default()), Vec::new())),
    ]);
    members
}

fn errors() -> Schema {
    let entry = like(
        &sample(&JobErrorEntry::default()),
        vec![
            ("phase", number_or_null("The phase.")),
            ("shard", number_or_null("The shard.")),
            ("attempt", number_or_null("The attempt at it.")),
            ("input", text_or_null("The input.")),
            ("type", text_or_null("What kind of failure it is.")),
            ("stack", text_or_null("The stack, of JavaScript.")),
        ],
    );
    like(&sample(&JobErrors::default()), vec![("errors", list(entry, "The newest first."))])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mapring_jobs::{Config, Document, Invalid, Pipeline, Schedule, Start};
    use serde_json::{Value, json};

    use super::super::schemas;
    use super::*;

    /// The members that a schema names.
    fn described(name: &str) -> BTreeSet<String> {
        let schemas = schemas();
        let (_, schema) = schemas.iter().find(|(known, _)| *known == name).unwrap();
        let schema = json!(schema);
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    /// What a parser says that there may be in place of a member that there is not.
    #[track_caller]
    fn known<T>(read: Result<T, Invalid>, at: &str) -> BTreeSet<String> {
        let refused = read.err().unwrap();
        let problem = refused.problems().iter().find(|problem| problem.field == at).unwrap();
        let list = problem.message.strip_prefix("is unknown; known are ").unwrap();
        list.split(", ").map(str::to_owned).collect()
    }

    fn bytes(document: &Value) -> Vec<u8> {
        document.to_string().into_bytes()
    }

    #[test]
    fn the_members_of_documents_are_those_that_their_parsers_know() {
        let odd = bytes(&json!({"odd": 1}));
        assert_eq!(described("JobDocument"), known(Document::parse(&odd), "odd"));
        assert_eq!(described("Pipeline"), known(Pipeline::parse(&odd), "odd"));
        assert_eq!(described("Schedule"), known(Schedule::parse(&odd), "odd"));
        assert_eq!(described("JobConfig"), known(Config::parse("c", &odd), "odd"));
        let named = json!({"config": "c", "odd": 1});
        assert_eq!(described("NamedJobStart"), known(Start::of(&named), "odd"));
        let step = bytes(&json!({"steps": {"a": {"delay_ms": 1, "odd": 1}}}));
        assert_eq!(described("Step"), known(Pipeline::parse(&step), "steps.a.odd"));
        let finally = json!({"steps": {"a": {"delay_ms": 1}}, "finally": {"callback": {"odd": 1}}});
        let finally = known(Pipeline::parse(&bytes(&finally)), "finally.callback.odd");
        assert_eq!(described("Callback"), finally);
        let param = json!({"params": [{"name": "p", "odd": 1}], "job": {}});
        assert_eq!(described("Param"), known(Config::parse("c", &bytes(&param)), "params[0].odd"));
    }

    #[test]
    fn the_members_of_a_job_are_those_that_are_shown() {
        for (name, shown) in [
            ("Job", sample(&JobDetail::default())),
            ("JobSummary", sample(&JobSummary::default())),
            ("JobList", sample(&JobList::default())),
            ("JobErrors", sample(&JobErrors::default())),
        ] {
            let described = described(name);
            assert!(shown.keys().all(|member| described.contains(member)), "{name}");
            assert!(!shown.is_empty(), "{name}");
        }
    }
}
