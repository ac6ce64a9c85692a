//! Pipelines: jobs and other steps that follow each other.
//!
//! `{"name":…,"steps":{"dedupe":{"job":{…}},"index":{"job":{"inputs":{"lines":{"$from":"dedupe"}},…}}}}`.
//! A step waits for those that it refers to or names in `after`; where the pipeline says `in_order`, for
//! the one before it too. What a step gave stands in place of references to it when it begins.

mod order;
mod reference;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::callback::Callback;
use crate::document::Document;
use crate::members::Members;
use crate::problem::{Invalid, Problems, below, element, member, overlap};
use crate::start::Start;
use crate::{code, limits};
use order::{Dependencies, circle};
use reference::{OUTPUTS, references, replaced, resolve};

/// A pipeline that has been checked.
#[derive(Debug, Clone)]
pub struct Pipeline {
    value: Value,
    steps: Vec<Step>,
    /// Who hears of its end, whatever that is.
    pub finally: Option<Callback>,
}

/// A step of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// What it does.
    pub kind: StepKind,
    /// The steps that it waits for, in the order of their names.
    pub after: Vec<String>,
    /// How often it is tried.
    pub retries: StepRetries,
    work: Value,
    abort_if: Option<Value>,
}

/// A named job that a step starts, as far as that is known before it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedJob {
    /// The name.
    pub config: String,
    /// Parameters that are given.
    pub params: Map<String, Value>,
    /// Parameters that other steps give: of each a value of its type, where that is known.
    pub later: BTreeMap<String, Option<Value>>,
    /// Members that are not as the named job says.
    pub over: Map<String, Value>,
    /// Whether anything is yet to be given by other steps.
    pub is_open: bool,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// It starts a job, and waits for its end.
    Job,
    /// It calls a function with what the steps gave that it waits for.
    Script,
    /// It waits for a time.
    Delay,
    /// It waits for somebody's consent.
    Approve,
}

/// How often a step is tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRetries {
    /// Attempts, at least 1.
    pub max_attempts: u32,
    /// The pause before the second attempt.
    pub backoff: Duration,
    /// What the pause grows by with each further attempt.
    pub factor: f64,
}

/// Where a step or a pipeline stands; App Engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// It has not begun.
    #[default]
    Waiting,
    /// It is under way.
    Run,
    /// An attempt has failed, and the next is to come.
    Retry,
    /// It has done its work, and others are told.
    Finalizing,
    /// It has succeeded.
    Done,
    /// It has failed, or was aborted.
    Aborted,
}

const STATUS: [(&str, Status); 6] = [
    ("waiting", Status::Waiting),
    ("run", Status::Run),
    ("retry", Status::Retry),
    ("finalizing", Status::Finalizing),
    ("done", Status::Done),
    ("aborted", Status::Aborted),
];

impl Status {
    /// The word for it.
    pub fn word(self) -> &'static str {
        STATUS.iter().find(|(_, status)| *status == self).map_or("waiting", |(word, _)| word)
    }

    /// What a word means.
    pub fn of(word: &str) -> Option<Self> {
        STATUS.iter().find(|(known, _)| *known == word).map(|(_, status)| *status)
    }
}

impl StepRetries {
    /// The pause when so many attempts, at least one, have failed.
    pub fn pause(&self, failed: u32) -> Duration {
        let factor = self.factor.powf(f64::from(failed.saturating_sub(1)));
        let longest = limits::LONGEST_BACKOFF;
        let seconds = (self.backoff.as_secs_f64() * factor).min(longest.as_secs_f64());
        Duration::try_from_secs_f64(seconds).unwrap_or(longest)
    }
}

const MEMBERS: [&str; 5] = ["name", "steps", "retries", "in_order", "finally"];
const STEP_MEMBERS: [&str; 7] =
    ["job", "script", "delay_ms", "approve", "after", "abort_if", RETRIES];
const RETRIES: &str = "retries";
const KINDS: [(&str, StepKind); 4] = [
    ("job", StepKind::Job),
    ("script", StepKind::Script),
    ("delay_ms", StepKind::Delay),
    ("approve", StepKind::Approve),
];

impl StepKind {
    /// The member of a step that says what it does.
    fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("job", |(word, _)| word)
    }

    /// Whether a step of this kind gives an output.
    fn gives(self, output: &str) -> bool {
        matches!(output, "default" | "result_status") || self == Self::Job
    }
}

impl Pipeline {
    /// Reads a pipeline.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let value = crate::json::read(body)?;
        let problems = Problems::default();
        let pipeline = Self::read(&value, &problems);
        problems.unless(|| pipeline)
    }

    fn read(value: &Value, problems: &Problems) -> Option<Self> {
        let given = Members::of("", value, &MEMBERS, problems)?;
        given.line("name", limits::NAME_BYTES);
        let retries = retries(
            &given,
            StepRetries {
                max_attempts: limits::STEP_ATTEMPTS,
                backoff: limits::STEP_BACKOFF,
                factor: limits::STEP_BACKOFF_FACTOR,
            },
        );
        let in_order = given.flag("in_order").unwrap_or(false);
        let finally = given.object("finally", &["callback"]).and_then(|finally| {
            let callback = finally.required("callback")?;
            Callback::read(&finally.path("callback"), callback, problems)
        });
        given.required("steps")?;
        let forms = || format!("an object with 1 to {} steps", limits::STEPS);
        let steps = given.read("steps", forms, |value| {
            value.as_object().filter(|steps| (1..=limits::STEPS).contains(&steps.len()))
        })?;
        let mut read: Vec<Step> = Vec::new();
        for (name, step) in steps {
            let at = member("steps", name);
            if !is_name(name) {
                problems.note(at, "a step has a name of letters, digits, \"_\" and \"-\"");
                continue;
            }
            let before = read.last().map(|step| step.name.clone()).filter(|_| in_order);
            read.extend(Step::read(name, &at, step, retries, before, problems));
        }
        check_references(steps, &read, problems);
        Some(Self { value: value.clone(), steps: read, finally })
    }

    /// The pipeline as it was given.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What it is called.
    pub fn name(&self) -> Option<&str> {
        self.value.get("name").and_then(Value::as_str)
    }

    /// Its steps, in the order of the document.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps that can begin: they wait, and all that they wait for are done.
    pub fn ready(&self, status: impl Fn(&str) -> Status) -> Vec<&Step> {
        let done = |step: &String| status(step) == Status::Done;
        let ready =
            |step: &&Step| status(&step.name) == Status::Waiting && step.after.iter().all(done);
        self.steps.iter().filter(ready).collect()
    }
}

impl Step {
    fn read(
        name: &str,
        at: &str,
        value: &Value,
        usual: StepRetries,
        before: Option<String>,
        problems: &Problems,
    ) -> Option<Self> {
        let given = Members::of(at, value, &STEP_MEMBERS, problems)?;
        let mut kinds = KINDS.iter().filter(|(word, _)| given.get(word).is_some());
        let (Some((word, kind)), None) = (kinds.next(), kinds.next()) else {
            let words: Vec<_> = KINDS.iter().map(|(word, _)| *word).collect();
            problems.note(at, format!("a step has one of {}", words.join(", ")));
            return None;
        };
        let work = given.get(word)?;
        check_work(*kind, &given, work);
        let mut after: BTreeSet<String> = before.into_iter().collect();
        for (number, step) in given.list("after").into_iter().flatten().enumerate() {
            match step.as_str() {
                Some(step) => drop(after.insert(step.to_owned())),
                None => {
                    problems.note(element(&given.path("after"), number), "is the name of a step")
                }
            }
        }
        let abort_if = given.get("abort_if");
        for (word, value) in [(*word, Some(work)), ("abort_if", abort_if)] {
            let Some(value) = value else { continue };
            references(value, &given.path(word), problems, &mut |_, reference| {
                after.insert(reference.step.to_owned());
            });
        }
        Some(Self {
            name: name.to_owned(),
            kind: *kind,
            after: after.into_iter().collect(),
            retries: retries(&given, usual),
            work: work.clone(),
            abort_if: abort_if.cloned(),
        })
    }

    /// What it does, with what others gave in place of references: a job to start ([`Start::of`]), a
    /// function, milliseconds, or `{"message":…}`. `outputs` has for each step that is done an object with
    /// `default`, `result_status`, `counters`, `job_id`.
    ///
    /// # Errors
    /// Each reference to something that was not given, and what is no such work then.
    pub fn resolve(&self, outputs: &BTreeMap<String, Value>) -> Result<Value, Invalid> {
        let problems = Problems::default();
        let at = format!("{}.{}", member("steps", &self.name), self.kind.word());
        let work = resolve(&self.work, &at, &|step| outputs.get(step), &problems);
        problems.unless(|| Some(()))?;
        let problems = Problems::default();
        note_work(self.kind, &at, &work, &problems);
        problems.unless(|| Some(work))
    }

    /// The document of the job that it starts, with some inputs in place of references. `None` where it
    /// starts none, or one by name, or where that makes no document: then it is known when it begins.
    pub fn document(&self) -> Option<Document> {
        if self.kind != StepKind::Job {
            return None;
        }
        let filled = replaced(&self.work, "", &mut |_, _| json!([["bucket", "key"]]));
        match Start::of(&filled) {
            Ok(Start::Document(document)) => Some(*document),
            Ok(Start::Config { .. }) | Err(_) => None,
        }
    }

    /// The named job that it starts; `None` where it starts none, or where others say which, or give all its
    /// parameters: then it is known when it begins.
    pub fn named(&self) -> Option<NamedJob> {
        if self.kind != StepKind::Job {
            return None;
        }
        let mut is_open = false;
        references(&self.work, "", &Problems::default(), &mut |_, _| is_open = true);
        let mut over = self.work.as_object()?.clone();
        let config = over.shift_remove("config")?.as_str()?.to_owned();
        let mut params = match over.shift_remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(given) if reference::of(&given).is_some() => return None,
            Some(Value::Object(given)) => given,
            Some(_) => return None,
        };
        let mut later = BTreeMap::new();
        for (name, value) in &params {
            let mut has_some = false;
            references(value, "", &Problems::default(), &mut |_, _| has_some = true);
            if has_some {
                later.insert(name.clone(), reference::of(value).and_then(|of| of.like()));
            }
        }
        params.retain(|name, _| !later.contains_key(name));
        over.retain(|_, value| !value.is_null());
        Some(NamedJob { config, params, later, over, is_open })
    }

    /// What somebody is asked for consent with.
    pub fn approval_message(&self) -> Option<&str> {
        self.work.get("message").filter(|_| self.kind == StepKind::Approve)?.as_str()
    }

    /// Whether the pipeline is to be aborted rather than that the step begins: what `abort_if` comes to is
    /// neither null nor false, zero or an empty text.
    ///
    /// # Errors
    /// Each reference to something that was not given.
    pub fn aborts(&self, outputs: &BTreeMap<String, Value>) -> Result<bool, Invalid> {
        let Some(condition) = &self.abort_if else { return Ok(false) };
        let problems = Problems::default();
        let at = format!("{}.abort_if", member("steps", &self.name));
        let value = resolve(condition, &at, &|step| outputs.get(step), &problems);
        problems.unless(|| {
            Some(match value {
                Value::Null => false,
                Value::Bool(truth) => truth,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(_) | Value::Object(_) => true,
            })
        })
    }
}

/// Whether a text names a step: it stands before a full stop in references.
fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=limits::PARAM_NAME_BYTES).contains(&text.len()) && text.bytes().all(letter)
}

fn retries(given: &Members<'_>, usual: StepRetries) -> StepRetries {
    let known = ["max_attempts", "backoff_ms", "backoff_factor"];
    let Some(given) = given.object(RETRIES, &known) else { return usual };
    let pauses = Duration::ZERO..=limits::LONGEST_BACKOFF;
    let factors = 1.0..=limits::MOST_BACKOFF_FACTOR;
    StepRetries {
        max_attempts: given
            .count("max_attempts", 1..=limits::MOST_ATTEMPTS)
            .unwrap_or(usual.max_attempts),
        backoff: given.millis("backoff_ms", pauses).unwrap_or(usual.backoff),
        factor: given.number("backoff_factor", factors).unwrap_or(usual.factor),
    }
}

/// Notes what is wrong with the work of a step, whatever its references will come to.
fn check_work(kind: StepKind, given: &Members<'_>, work: &Value) {
    let at = given.path(kind.word());
    let mut holes = Vec::new();
    // What is right as inputs is what most references are.
    let filled = replaced(work, &at, &mut |at, _| {
        holes.push(at.to_owned());
        json!([["bucket", "key"]])
    });
    let problems = Problems::default();
    note_work(kind, &at, &filled, &problems);
    let all = problems.all().into_iter();
    for problem in all.filter(|problem| !holes.iter().any(|hole| overlap(hole, &problem.field))) {
        given.problems.note(problem.field, problem.message);
    }
}

/// Notes what is wrong with work that has no references.
fn note_work(kind: StepKind, at: &str, work: &Value, problems: &Problems) {
    match kind {
        StepKind::Job => {
            if let Err(invalid) = Start::of(work) {
                problems.inside(at, invalid);
            }
        }
        StepKind::Script => {
            let mut code = work.clone();
            if let Some(members) = code.as_object_mut() {
                members.entry("language").or_insert_with(|| "javascript".into());
            }
            code::check(at, &code, problems);
        }
        StepKind::Delay => {
            let longest = limits::LONGEST.as_millis();
            if work.as_u64().is_none_or(|millis| u128::from(millis) > longest) {
                problems.note(at, format!("is a whole number of milliseconds up to {longest}"));
            }
        }
        StepKind::Approve => {
            if let Some(given) = Members::of(at, work, &["message"], problems) {
                given.text("message", limits::URL_BYTES);
            }
        }
    }
}

/// Notes references to what there is not, and circles.
fn check_references(steps: &Map<String, Value>, read: &[Step], problems: &Problems) {
    for step in read {
        let at = member("steps", &step.name);
        let Some(value) = steps.get(&step.name) else { continue };
        let known = |at: String, name: &str| {
            if name == step.name {
                problems.note(at, format!("is the step {name} itself"));
            } else if !steps.contains_key(name) {
                let name = mapring_types::quote(name);
                problems.note(at, format!("there is no step \"{name}\""));
            }
        };
        let after = value.get("after").and_then(Value::as_array);
        for (number, name) in after.into_iter().flatten().enumerate() {
            let at = element(&below(&at, "after"), number);
            name.as_str().into_iter().for_each(|name| known(at.clone(), name));
        }
        // Those that are none have been noted.
        let unheard = Problems::default();
        for word in [step.kind.word(), "abort_if"] {
            let Some(value) = value.get(word) else { continue };
            references(value, &below(&at, word), &unheard, &mut |at, reference| {
                let of = read.iter().find(|other| other.name == reference.step);
                match of.filter(|of| of.name != step.name) {
                    None => known(at, reference.step),
                    Some(of) if !OUTPUTS.contains(&reference.output) => {
                        let outputs = OUTPUTS.join(", ");
                        let output = mapring_types::quote(reference.output);
                        let message = format!("{} has no output \"{output}\": {outputs}", of.name);
                        problems.note(at, message);
                    }
                    Some(of) if !of.kind.gives(reference.output) => {
                        let Step { name, .. } = of;
                        problems
                            .note(at, format!("{name} is no job: it has no {}", reference.output));
                    }
                    Some(_) => {}
                }
            });
        }
    }
    let arrows = read.iter().map(|step| {
        let others = step.after.iter().map(String::as_str).filter(|other| *other != step.name);
        (step.name.as_str(), others.collect())
    });
    let arrows: Dependencies<'_> = arrows.collect();
    if let Some(steps) = circle(&arrows) {
        let first = steps.first().copied().unwrap_or_default();
        let way = steps.join(" waits for ");
        problems.note(member("steps", first), format!("{way} waits for {first}"));
    }
}
