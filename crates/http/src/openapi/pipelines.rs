//! Pipelines.

use http::Method;
use mapring_jobs::limits as jobs;

use super::answers::cursor;
use super::interface::Interface;
use super::jobs::{aborts, lists, removes, starts};
use super::mapred::function;
use super::operation::Op;
use super::schema::{
    Member, NONE, Schema, any, by_name, flag, list, named, number, number_or_null, object, real,
    text, text_or_null, text_up_to, word,
};
use crate::reply::media;

pub(super) const TAG: &str = "pipelines";

const PIPELINES: [&str; 1] = ["/pipelines"];
const PIPELINE: [&str; 1] = ["/pipelines/{name}"];
const APPROVE: [&str; 1] = ["/pipelines/{name}/steps/{step}/approve"];

pub(super) fn describe(interface: &mut Interface) {
    let listed = lists(Op::new(TAG, "listPipelines", "Lists pipelines, the newest first"))
        .shows("A page of them.", named("PipelineList"))
        .refuses(&[400]);
    interface.add(&Method::GET, &PIPELINES, &listed);
    let start = starts(Op::new(TAG, "startPipeline", "Starts a pipeline"), "Pipeline")
        .header("Idempotency-Key", "Sent again, it is the same one; 409 with another body.");
    interface.add(&Method::POST, &PIPELINES, &start);
    let start = Op::new(TAG, "startPipelineAs", "Starts a pipeline under an id of the client's");
    interface.add(&Method::PUT, &PIPELINE, &starts(start, "Pipeline"));
    let shown = Op::new(TAG, "getPipeline", "Shows where each step of a pipeline stands")
        .shows("It.", named("ShownPipeline"))
        .refuses(&[400, 404]);
    interface.add(&Method::GET, &PIPELINE, &shown);
    let removed = Op::new(TAG, "removePipeline", "Removes a pipeline and its jobs; outputs stay");
    interface.add(&Method::DELETE, &PIPELINE, &removes(removed));
    let abort =
        aborts(Op::new(TAG, "abortPipeline", "Aborts a pipeline and the jobs of its steps"));
    interface.add(&Method::POST, &["/pipelines/{name}/abort"], &abort);
    let approved = Op::new(TAG, "approveStep", "Consents to a step that waits for it")
        .gives(202, "It is done.", [(media::JSON, named("Told"))], &[])
        .refuses(&[400, 404, 409]);
    interface.add(&Method::POST, &APPROVE, &approved);
}

pub(super) fn schemas() -> Vec<Member> {
    let listed = object("", summary(), NONE);
    let list_of = [("pipelines", list(listed, "The newest first.")), ("cursor", cursor())];
    let mut shown = summary();
    shown.push(("steps", by_name(shown_step(), "Where each step stands.")));
    let steps = by_name(named("Step"), "Its steps, by their names.");
    vec![
        ("PipelineList", object("", list_of, NONE)),
        ("ShownPipeline", object("", shown, NONE)),
        ("Pipeline", object("", [("steps", steps)], pipeline())),
        ("Step", object("One of `job`, `script`, `delay_ms`, `approve`.", NONE, step())),
    ]
}

fn pipeline() -> Vec<Member> {
    let finally = object("Who is told of its end.", [("callback", named("Callback"))], NONE);
    vec![
        ("name", text_up_to(jobs::NAME_BYTES, "What it is called.")),
        ("retries", retries()),
        ("in_order", flag("Whether each step waits for the one before.")),
        ("finally", finally),
    ]
}

fn retries() -> Schema {
    let members = [
        ("max_attempts", number("How often a step is tried.")),
        ("backoff_ms", number("The pause before the second attempt.")),
        ("backoff_factor", real("What the pause grows by.")),
    ];
    object("How often steps are tried.", NONE, members)
}

fn step() -> Vec<Member> {
    let approve = object("Waits for consent.", NONE, [("message", text("What to."))]);
    vec![
        ("job", any("A job document, or a named job; with references `{\"$from\": \"step\"}`.")),
        ("script", object("A function of what the steps before gave.", NONE, function())),
        ("delay_ms", number("Waits so long.")),
        ("approve", approve),
        ("after", list(text(""), "Steps that it waits for.")),
        ("abort_if", any("A reference: where it is true the pipeline is aborted.")),
        ("retries", retries()),
    ]
}

fn status() -> Schema {
    word(&["waiting", "run", "retry", "finalizing", "done", "aborted"], "")
}

fn summary() -> Vec<Member> {
    vec![
        ("id", text("Its id.")),
        ("name", text_or_null("What it is called.")),
        ("active", flag("Whether it has not ended yet.")),
        ("status", status()),
        ("result_status", text_or_null("`success`, `failed` or `aborted`.")),
        ("abort_message", text_or_null("Why it was aborted.")),
        ("start_time_ms", number("When it began, in milliseconds since 1970.")),
        ("end_time_ms", number_or_null("When it ended.")),
        ("updated_time_ms", number("When anything was last heard of it.")),
    ]
}

fn shown_step() -> Schema {
    let always = [
        ("status", status()),
        ("job_id", text_or_null("Its job.")),
        ("after", list(text(""), "Steps that it waits for.")),
        ("children", list(text(""), "Steps that it has added.")),
        ("current_attempt", number("Which attempt this is.")),
        ("max_attempts", number("How many there may be.")),
        ("backoff_ms", number("The pause before the second.")),
        ("backoff_factor", real("What the pause grows by.")),
        ("start_time_ms", number_or_null("When it began.")),
        ("end_time_ms", number_or_null("When it ended.")),
        ("last_retry_message", text_or_null("Why it was tried again last.")),
        ("message", text_or_null("What it says.")),
        ("links", any("Links that it shows.")),
        ("outputs", by_name(any(""), "What it gave.")),
    ];
    object("", always, NONE)
}
