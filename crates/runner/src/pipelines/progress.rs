//! How far a pipeline is: what is stored at each change, so that whoever takes it over goes on.

use mapring_jobs::{Pipeline, Status, Step, StepKind, StepRetries};
use mapring_types::versioned::Nothing;
use mapring_types::{Release, Result, Versioned};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::plan::Plan;
use crate::formats::first_version;
use crate::{ids, limits, store};

/// What stands between the name of a step and that of a child of it: no step has it in its own name, and
/// ids may have it.
pub(super) const CHILD: char = '~';

/// A pipeline on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Its id.
    pub(super) id: String,
    /// The epoch of the owner who wrote this.
    pub(super) epoch: u64,
    /// The pipeline as it was given.
    pub(super) document: Value,
    /// A hash of that.
    pub(super) digest: u64,
    /// When it was started, in milliseconds since 1970, as all times here.
    pub(super) started_ms: u64,
    /// When it changed last.
    pub(super) updated_ms: u64,
    /// When it ended.
    pub(super) ended_ms: Option<u64>,
    /// Where it stands.
    #[serde(with = "status_word")]
    pub(super) status: Status,
    /// Why it is aborted, once it is.
    pub(super) abort: Option<Abort>,
    /// Its steps, each behind the one whose child it is.
    pub(super) steps: Vec<StepProgress>,
}

/// Why a pipeline is aborted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Abort {
    /// In words.
    pub(super) message: String,
    /// Whether a step failed, rather than that somebody wanted it.
    pub(super) failed: bool,
}

/// A step on its way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StepProgress {
    /// Its name: that of a child behind those of the steps whose child it is.
    pub(super) name: String,
    /// Where it stands.
    #[serde(with = "status_word")]
    pub(super) status: Status,
    /// The present attempt, from 1; 0 before the first.
    pub(super) attempt: u32,
    /// The job of the present attempt.
    pub(super) job: Option<String>,
    /// When it began.
    pub(super) started_ms: Option<u64>,
    /// When it ended.
    pub(super) ended_ms: Option<u64>,
    /// When a pause is over, its own or the one before an attempt.
    pub(super) due_ms: Option<u64>,
    /// Why the attempt before failed.
    pub(super) last_retry_message: Option<String>,
    /// What a function said of it.
    pub(super) message: Option<String>,
    /// Where a function said more is to be seen.
    pub(super) links: Option<Value>,
    /// The pipeline that its children are, which its function returned.
    pub(super) children: Option<Value>,
    /// What it gave, by name of the output.
    pub(super) outputs: Option<Map<String, Value>>,
    /// The bytes of that as JSON.
    pub(super) output_bytes: usize,
}

first_version!(Progress = "a pipeline" by store::from_json);

impl StepProgress {
    fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// The name of the step whose child it is, and its own.
    pub(super) fn scope_and_name(&self) -> (&str, &str) {
        self.name.rsplit_once(CHILD).unwrap_or(("", &self.name))
    }
}

impl Progress {
    /// A pipeline that has not begun.
    pub(super) fn new(id: &str, pipeline: &Pipeline, digest: u64, started_ms: u64) -> Self {
        Self {
            id: id.to_owned(),
            epoch: 0,
            document: pipeline.value().clone(),
            digest,
            started_ms,
            updated_ms: started_ms,
            ended_ms: None,
            status: Status::Run,
            abort: None,
            steps: new_steps("", pipeline).collect(),
        }
    }

    /// What it is called.
    pub(super) fn name(&self) -> Option<&str> {
        self.document.get("name").and_then(Value::as_str)
    }

    pub(super) fn step(&self, name: &str) -> Option<&StepProgress> {
        self.steps.iter().find(|step| step.name == name)
    }

    pub(super) fn step_mut(&mut self, name: &str) -> Option<&mut StepProgress> {
        self.steps.iter_mut().find(|step| step.name == name)
    }

    /// The children of a step, in their order; of none: the steps of the document.
    pub(super) fn within<'p>(
        &'p self,
        scope: &'p str,
    ) -> impl DoubleEndedIterator<Item = &'p StepProgress> {
        self.steps.iter().filter(move |step| step.scope_and_name().0 == scope)
    }

    /// Adds the children of a step.
    pub(super) fn add_children(&mut self, parent: &str, pipeline: &Pipeline) {
        let at = self.steps.iter().position(|step| step.name == parent);
        let at = at.map_or(self.steps.len(), |at| at + 1);
        self.steps.splice(at..at, new_steps(parent, pipeline));
    }

    /// The ids of all jobs that its steps have begun, those of former attempts too.
    pub(super) fn jobs(&self) -> Vec<String> {
        let of = |step: &StepProgress| {
            let name = step.name.clone();
            let attempts = if step.job.is_some() { step.attempt } else { 0 };
            (1..=attempts).map(move |attempt| job_id(&self.id, &name, attempt))
        };
        self.steps.iter().flat_map(of).collect()
    }

    /// How it ended, in the words that jobs have for it; `None` as long as it has not.
    pub(super) fn result_status(&self) -> Option<&'static str> {
        match self.status {
            Status::Done => Some("success"),
            Status::Aborted => {
                let failed = self.abort.as_ref().is_some_and(|abort| abort.failed);
                Some(if failed { "failed" } else { "aborted" })
            }
            Status::Waiting | Status::Run | Status::Retry | Status::Finalizing => None,
        }
    }

    /// What lists show of it.
    pub(super) fn summary(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name(),
            "active": self.ended_ms.is_none(),
            "status": self.status.word(),
            "result_status": self.result_status(),
            "abort_message": self.abort.as_ref().map(|abort| abort.message.as_str()),
            "start_time_ms": self.started_ms,
            "end_time_ms": self.ended_ms,
            "updated_time_ms": self.updated_ms,
        })
    }

    /// The status tree.
    pub(super) fn tree(&self, plan: &Plan) -> Value {
        let steps = self.steps.iter().filter_map(|step| {
            let (scope, _) = step.scope_and_name();
            Some((step.name.clone(), self.node(step, plan.step(&step.name)?, scope)))
        });
        let mut tree = self.summary();
        tree["steps"] = Value::Object(steps.collect());
        tree
    }

    fn node(&self, step: &StepProgress, written: &Step, scope: &str) -> Value {
        let after = written.after.iter().map(|name| full_name(scope, name));
        let children = self.within(&step.name).map(|child| child.name.as_str());
        let StepRetries { max_attempts, backoff, factor } = written.retries;
        let filled = |value: &Value| json!({"status": "filled", "value": value});
        let outputs = step.outputs.iter().flatten();
        let mut outputs: Map<String, Value> =
            outputs.map(|(name, value)| (name.clone(), filled(value))).collect();
        outputs.entry("default").or_insert_with(|| json!({"status": "waiting"}));
        let waits = written.kind == StepKind::Approve && step.status == Status::Run;
        let said = waits.then(|| written.approval_message()).flatten();
        json!({
            "status": step.status.word(),
            "job_id": step.job,
            "after": after.collect::<Vec<_>>(),
            "children": children.collect::<Vec<_>>(),
            "current_attempt": step.attempt,
            "max_attempts": max_attempts,
            "backoff_ms": u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX),
            "backoff_factor": factor,
            "start_time_ms": step.started_ms,
            "end_time_ms": step.ended_ms,
            "last_retry_message": step.last_retry_message,
            "message": step.message.as_deref().or(said),
            "links": step.links,
            "outputs": outputs,
        })
    }
}

/// The steps of a pipeline that is `scope`'s children, before they begin.
fn new_steps<'p>(scope: &'p str, pipeline: &'p Pipeline) -> impl Iterator<Item = StepProgress> {
    pipeline.steps().iter().map(move |step| StepProgress::new(full_name(scope, &step.name)))
}

/// The name of a step among those of all.
pub(super) fn full_name(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}{CHILD}{name}") }
}

/// The id of the job of an attempt at a step: whoever owns the pipeline starts the same job.
pub(super) fn job_id(pipeline: &str, step: &str, attempt: u32) -> String {
    let id = format!("{pipeline}.{step}.{attempt}");
    if id.len() <= limits::ID_BYTES { id } else { ids::id_of_key(&id) }
}

/// A status is stored as the word that users see.
mod status_word {
    use mapring_jobs::Status;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(status: &Status, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(status.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Status, D::Error> {
        let word = String::deserialize(from)?;
        Status::of(&word).ok_or_else(|| D::Error::custom(format!("{word} is no status")))
    }
}
