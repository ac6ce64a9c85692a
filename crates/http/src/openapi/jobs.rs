//! Jobs, named jobs, schedules, and App Engine's URLs of jobs.

use http::Method;
use mapring_runner::limits as runner;

use super::answers::cursor;
use super::documents;
use super::interface::Interface;
use super::mapred::results;
use super::operation::{Content, EMPTY, Header, Op};
use super::schema::{
    Member, NONE, Schema, any, bytes, flag, flag_or, list, named, number, object, open_object,
    text, text_or_null, text_up_to, word,
};
use crate::limits;
use crate::reply::media;

pub(super) const TAG: &str = "jobs";

const JOBS: [&str; 1] = ["/jobs"];
const JOB: [&str; 1] = ["/jobs/{name}"];
const CONFIGS: [&str; 1] = ["/job-configs"];
const CONFIG: [&str; 1] = ["/job-configs/{name}"];
const SCHEDULES: [&str; 1] = ["/schedules"];
const SCHEDULE: [&str; 1] = ["/schedules/{name}"];

/// Of what was started.
const STARTED: [Header; 2] = [("Location", "Where it is shown."), ("X-Job-Id", "The id of a job.")];

pub(super) fn describe(interface: &mut Interface) {
    let listed = lists(Op::new(TAG, "listJobs", "Lists jobs, the newest first"))
        .shows("A page of them.", named("JobList"))
        .refuses(&[400]);
    interface.add(&Method::GET, &JOBS, &listed);
    let start = starts(Op::new(TAG, "startJob", "Starts a job"), "JobStart")
        .header("Idempotency-Key", "Sent again, it is the same job; 409 with another body.");
    interface.add(&Method::POST, &JOBS, &dry(start));
    let start =
        starts(Op::new(TAG, "startJobAs", "Starts a job under an id of the client's"), "JobStart");
    interface.add(&Method::PUT, &JOB, &dry(start));
    let shown = Op::new(TAG, "getJob", "Shows a job")
        .shows("All of it.", named("Job"))
        .refuses(&[400, 404]);
    interface.add(&Method::GET, &JOB, &shown);
    let removed = removes(Op::new(TAG, "removeJob", "Removes a job; its outputs stay"));
    interface.add(&Method::DELETE, &JOB, &removed);
    let abort = aborts(Op::new(TAG, "abortJob", "Aborts a job"));
    interface.add(&Method::POST, &["/jobs/{name}/abort"], &abort);
    let errors = Op::new(TAG, "getJobErrors", "Shows the inputs that failed or were left out")
        .shows("The newest of them.", named("JobErrors"))
        .refuses(&[400, 404]);
    interface.add(&Method::GET, &["/jobs/{name}/errors"], &errors);
    interface.add(&Method::GET, &["/jobs/{name}/results"], &given());
    interface.add(&Method::GET, &["/jobs/{name}/events"], &events());
    by_name_and_clock(interface);
    appengine(interface);
}

/// The parameters of a list of jobs or pipelines.
pub(super) fn lists(operation: Op) -> Op {
    let states = text("`active`, a state, or a result.");
    operation
        .in_pages(runner::MOST_LISTED as u64, runner::LIST_JOBS as u64)
        .query("state", states, "Only those of that state.")
        .query("name", text(""), "Only those of that name.")
}

/// What a start of a job or a pipeline takes and is answered with.
pub(super) fn starts(operation: Op, document: &str) -> Op {
    operation
        .query("dry_run", flag_or(false, ""), "Whether it is only checked; not done of pipelines.")
        .takes("What is to be done.", [(media::JSON, named(document))])
        .gives(202, "It is started.", [(media::JSON, named("Started"))], &STARTED)
        .refuses(&[400, 409, 415, 429])
}

fn dry(start: Op) -> Op {
    start.gives(200, "It would be divided so.", [(media::JSON, named("DryRun"))], &[])
}

/// What a removal takes and is answered with.
pub(super) fn removes(operation: Op) -> Op {
    operation
        .query("abort", flag_or(false, ""), "Whether one that is active is aborted first.")
        .gives(204, "It is removed.", EMPTY, &[])
        .refuses(&[400, 404, 409])
}

/// What an abort takes and is answered with.
pub(super) fn aborts(operation: Op) -> Op {
    operation
        .may_take("Why.", [(media::JSON, named("AbortMessage"))])
        .gives(202, "It is told to end.", [(media::JSON, named("Told"))], &[])
        .refuses(&[400, 404, 409, 415])
}

fn given() -> Op {
    Op::new(TAG, "getJobResults", "Gives the results of a job that has succeeded")
        .query("chunked", flag_or(false, ""), "Whether they come in parts, as they are read.")
        .gives(200, "Its results.", results(), &[])
        .refuses(&[400, 404, 406, 409])
}

fn events() -> Op {
    let events = [
        (media::EVENTS, bytes("Events, whose data are `JobEvent`s.")),
        (media::LINES, bytes("A `JobEvent` a line.")),
    ];
    Op::new(TAG, "followJob", "Tells what happens in a job, until it has ended")
        .query("after", text(""), "The id of the last event that is known.")
        .header("Last-Event-ID", "The same, as browsers send it.")
        .gives(200, "Events as they happen.", events, &[("Cache-Control", "`no-store`.")])
        .gives(204, "It has ended, and there is nothing more.", EMPTY, &[])
        .refuses(&[400, 404, 406])
}

fn by_name_and_clock(interface: &mut Interface) {
    let most = runner::MOST_LISTED as u64;
    let listed = Op::new(TAG, "listJobConfigs", "Lists named jobs")
        .in_pages(most, most)
        .shows("A page of them.", named("JobConfigList"))
        .refuses(&[400]);
    interface.add(&Method::GET, &CONFIGS, &listed);
    let shown = Op::new(TAG, "getJobConfig", "Shows a named job")
        .shows("It.", named("JobConfig"))
        .refuses(&[400, 404]);
    interface.add(&Method::GET, &CONFIG, &shown);
    let stored = Op::new(TAG, "putJobConfig", "Stores a named job")
        .takes("It.", [(media::JSON, named("JobConfig"))])
        .gives(204, "It is stored.", EMPTY, &[])
        .refuses(&[400, 409, 415]);
    interface.add(&Method::PUT, &CONFIG, &stored);
    let removed = Op::new(TAG, "removeJobConfig", "Removes a named job")
        .gives(204, "It is removed.", EMPTY, &[])
        .refuses(&[400, 404, 409]);
    interface.add(&Method::DELETE, &CONFIG, &removed);
    let listed = Op::new(TAG, "listSchedules", "Lists schedules")
        .in_pages(most, most)
        .shows("A page of them.", named("ScheduleList"))
        .refuses(&[400]);
    interface.add(&Method::GET, &SCHEDULES, &listed);
    let shown = Op::new(TAG, "getSchedule", "Shows a schedule")
        .shows("It, and when it runs.", named("ShownSchedule"))
        .refuses(&[400, 404]);
    interface.add(&Method::GET, &SCHEDULE, &shown);
    let stored = Op::new(TAG, "putSchedule", "Stores a schedule")
        .takes("It.", [(media::JSON, named("Schedule"))])
        .gives(204, "It is stored.", EMPTY, &[])
        .refuses(&[400, 404, 409, 415]);
    interface.add(&Method::PUT, &SCHEDULE, &stored);
    let removed =
        Op::new(TAG, "removeSchedule", "Removes a schedule; jobs that it has started go on")
            .gives(204, "It is removed.", EMPTY, &[])
            .refuses(&[400, 404, 409]);
    interface.add(&Method::DELETE, &SCHEDULE, &removed);
}

fn appengine(interface: &mut Interface) {
    let jobs = object("", [("jobs", list(any(""), "Jobs."))], [("cursor", cursor())]);
    let listed = lists(Op::new(TAG, "appEngineListJobs", "Lists jobs, in App Engine's words"))
        .shows("A page of them.", jobs);
    interface.add(&Method::GET, &["/mapreduce/command/list_jobs"], &told(listed));
    let shown = Op::new(TAG, "appEngineGetJobDetail", "Shows a job, in App Engine's words")
        .needs("mapreduce_id", text(""), "Its id.")
        .shows("It.", open_object("", [("mapreduce_id", text("Its id."))], NONE));
    interface.add(&Method::GET, &["/mapreduce/command/get_job_detail"], &told(shown));
    let configs = object("", [("configs", list(any(""), "Named jobs."))], [("cursor", cursor())]);
    let most = runner::MOST_LISTED as u64;
    let listed = Op::new(TAG, "appEngineListConfigs", "Lists named jobs, in App Engine's words")
        .in_pages(most, most)
        .shows("A page of them.", configs);
    interface.add(&Method::GET, &["/mapreduce/command/list_configs"], &told(listed));
    let named_job = open_object("", [("name", text("Of the named job."))], NONE);
    let form = |what: Schema| [("application/x-www-form-urlencoded", what)];
    let started = Op::new(TAG, "appEngineStartJob", "Starts a named job by a form")
        .takes("Its name, and `mapper_params.NAME` for each parameter.", form(named_job))
        .shows("Its id.", object("", [("mapreduce_id", text("Its id."))], NONE))
        .refuses(&[415]);
    interface.add(&Method::POST, &["/mapreduce/command/start_job"], &told(started));
    for (id, path, summary) in [
        ("appEngineAbortJob", "/mapreduce/command/abort_job", "Aborts a job"),
        ("appEngineCleanUpJob", "/mapreduce/command/cleanup_job", "Removes a job that has ended"),
    ] {
        let id_of = open_object("", [("mapreduce_id", text("Its id."))], NONE);
        let done = Op::new(TAG, id, summary)
            .takes("Its id.", form(id_of))
            .shows("What was done.", named("Told"))
            .gives(408, "The form did not come in time.", app_engine(), &[])
            .gives(413, "The form is too large.", app_engine(), &[])
            .gives(415, "It is no form.", app_engine(), &[]);
        interface.add(&Method::POST, &[path], &told(done));
    }
}

fn app_engine() -> [Content; 1] {
    [(media::JSON, named("AppEngineError"))]
}

/// What is not done is told in App Engine's words, what the node itself refuses among it.
fn told(operation: Op) -> Op {
    let after = [("Retry-After", "When to ask again, in seconds.")];
    operation
        .gives(400, "A parameter is wrong.", app_engine(), &[])
        .gives(403, "Who asks may not.", app_engine(), &[])
        .gives(404, "There is none of that name or id.", app_engine(), &[])
        .gives(409, "It does not go with what is there.", app_engine(), &[])
        .gives(429, "There are as many jobs as may be.", app_engine(), &after)
        .gives(500, "A defect, or a store that fails.", app_engine(), &[])
        .gives(503, "Nodes are away, overloaded or stopping.", app_engine(), &[])
}

pub(super) fn schemas() -> Vec<Member> {
    let message = text_up_to(limits::MESSAGE_BYTES, "It is kept.");
    let event = object(
        "Something that has happened in a job.",
        [
            ("id", text("Its place.")),
            (
                "event",
                word(&["state", "checkpoint", "shard", "retry", "stall", "end", "ended"], ""),
            ),
            ("time_ms", number("When, in milliseconds since 1970.")),
            ("data", any("What is said of it.")),
        ],
        NONE,
    );
    let shard = object(
        "",
        [
            ("shard_number", number("From 0.")),
            ("shard_description", text("What it would work on.")),
        ],
        NONE,
    );
    let dry = [("valid", flag("`true`.")), ("shards", list(shard, "How it would be divided."))];
    let started = [("id", text("Its id.")), ("href", text("Where it is shown."))];
    let error = [("error_class", text("The kind.")), ("error_message", text("Why."))];
    let error = open_object("What is wrong, in App Engine's words.", NONE, error);
    let mut schemas = documents::schemas();
    schemas.extend([
        ("Started", object("", started, NONE)),
        ("Told", object("", [("status", text("What was done."))], NONE)),
        ("AbortMessage", object("", NONE, [("message", message)])),
        ("DryRun", object("", dry, NONE)),
        ("JobEvent", event),
        ("AppEngineError", error),
        ("JobConfigList", configs()),
        ("ScheduleList", schedules()),
    ]);
    schemas
}

fn configs() -> Schema {
    let config = object(
        "",
        [
            ("name", text("Its name.")),
            ("description", text_or_null("What it says of itself.")),
            ("params", list(named("Param"), "Its parameters.")),
            ("from", word(&["file", "stored"], "Where it comes from.")),
        ],
        NONE,
    );
    object(
        "",
        [("configs", list(config, "By their names.")), ("cursor", cursor())],
        [
            ("file_error", text("What is wrong with the file of named jobs.")),
            ("file_notes", list(text(""), "What of that file means nothing here.")),
        ],
    )
}

fn schedules() -> Schema {
    let schedules = list(named("ShownSchedule"), "By their names.");
    object("", [("schedules", schedules), ("cursor", cursor())], NONE)
}
