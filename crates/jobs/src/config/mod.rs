//! Named jobs: job documents with parameters, from a file or by HTTP.
//!
//! `{"name":…,"params":[…],"job":{…}}`, with `callback` and a `validator` perhaps. A file has a list of
//! them, `jobs`, in YAML or TOML. It is taken as a whole or refused, with all that is wrong and where.

mod appengine;
mod param;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub use param::{Param, ParamType};

use crate::document::{Document, check_with_holes};
use crate::members::Members;
use crate::problem::{Invalid, Problem, Problems, below, element};
use crate::tree::{Mistake, Mistakes, Syntax, Tree};
use crate::{code, json, limits};
use template::{Filler, references};

/// A named job.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What it is called.
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// What can be given when it is started.
    pub params: Vec<Param>,
    /// A function that looks at the parameters: it refuses them, or returns those to take.
    pub validator: Option<Value>,
    /// The job document, with places for parameters.
    job: Value,
}

/// The named jobs of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Configs {
    /// The jobs, in the order of the file.
    pub jobs: Vec<Config>,
    /// Words of App Engine's that have no meaning here, and what was made of others.
    pub notes: Vec<Mistake>,
}

const MEMBERS: [&str; 6] = ["name", "description", "params", "validator", "callback", "job"];
const JOB: &str = "job";
const CALLBACK: &str = "callback";

impl Configs {
    /// Reads a file: `jobs: […]`, or App Engine's `mapreduce: […]`.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it, in its order.
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, Mistakes> {
        let tree = Tree::read(text, syntax)?;
        let (problems, notes) = (Problems::default(), Problems::default());
        let foreign = tree.value.get(appengine::LIST).is_some();
        let known = if foreign { appengine::LIST } else { "jobs" };
        let jobs = Members::of("", &tree.value, &[known], &problems).and_then(|given| {
            given.required(known)?;
            let list = given.list(known)?;
            if list.len() > limits::CONFIGS {
                given.note(known, format!("has more than {} jobs", limits::CONFIGS));
                return None;
            }
            let read = list.iter().enumerate().map(|(at, job)| {
                let at = element(known, at);
                match foreign {
                    true => appengine::read(&at, job, &problems, &notes),
                    false => Config::read(&at, job, &problems),
                }
            });
            let read: Vec<_> = read.collect();
            unique(known, &read, &problems);
            read.into_iter().collect::<Option<Vec<_>>>()
        });
        let problems = problems.all();
        match jobs.filter(|_| problems.is_empty()) {
            Some(jobs) => Ok(Self { jobs, notes: tree.located(notes.all()) }),
            None => Err(Mistakes(tree.located(problems))),
        }
    }
}

/// Notes each name that an earlier job has.
fn unique(list: &str, jobs: &[Option<Config>], problems: &Problems) {
    let mut names = BTreeSet::new();
    for (at, job) in jobs.iter().enumerate() {
        if let Some(job) = job.as_ref().filter(|job| !names.insert(job.name.as_str())) {
            let name = mapring_types::quote(&job.name);
            let at = below(&element(list, at), "name");
            problems.note(at, format!("\"{name}\" is the name of an earlier job"));
        }
    }
}

impl Config {
    /// Reads a named job as it comes by HTTP. A `name` may be missing there: it is in the path.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it.
    pub fn parse(name: &str, body: &[u8]) -> Result<Self, Invalid> {
        let mut value = json::read(body)?;
        if let Some(members) = value.as_object_mut() {
            let given = members.entry("name").or_insert_with(|| Value::from(name));
            if given != name {
                return Err(Invalid::one("name", "is not the name in the path"));
            }
        }
        let problems = Problems::default();
        let config = Self::read("", &value, &problems);
        problems.unless(|| config)
    }

    fn read(at: &str, value: &Value, problems: &Problems) -> Option<Self> {
        let given = Members::of(at, value, &MEMBERS, problems)?;
        let name = name(&given);
        let params = params(&given);
        let validator = given.get("validator");
        if let Some(validator) = validator {
            code::check(&given.path("validator"), validator, problems);
        }
        let mut job = given.required(JOB)?.clone();
        if let (Some(callback), Some(members)) = (given.get(CALLBACK), job.as_object_mut())
            && members.insert(CALLBACK.to_owned(), callback.clone()).is_some()
        {
            given.note(CALLBACK, "is there twice: here and in the job");
        }
        let (description, validator) =
            (given.text("description", limits::URL_BYTES), validator.cloned());
        let description = description.map(str::to_owned);
        let config = Self { name: name?.to_owned(), description, params: params?, validator, job };
        config.check_job(&given);
        Some(config)
    }

    /// Notes what is wrong with the job, whatever its parameters will be.
    fn check_job(&self, given: &Members<'_>) {
        let mut holes = Vec::new();
        let at = given.path(JOB);
        references(&self.job, "", &mut |place, name| {
            holes.push(place.to_owned());
            if !self.params.iter().any(|param| param.name == name) {
                let message =
                    format!("there is no parameter \"{name}\" (write $${{ where ${{ is meant)");
                given.problems.note(below(&at, place), message);
            }
        });
        let placed = |Problem { field, message }: Problem| {
            // A callback that stands beside the job is told of where it stands.
            let beside = given.get(CALLBACK).is_some() && field.starts_with(CALLBACK);
            let field = below(if beside { &given.at } else { &at }, &field);
            given.problems.note(field, message);
        };
        let filled = with_inputs_in_holes(&self.job);
        let problems = check_with_holes(&filled, &holes);
        let good = problems.is_empty();
        problems.into_iter().for_each(placed);
        if good && self.params.iter().all(|param| param.default.is_some()) {
            let usual = self.resolve(&Map::new()).and_then(|usual| self.fill(&usual, &Map::new()));
            let wrong = usual.err().map(|invalid| invalid.problems().to_vec());
            wrong.unwrap_or_default().into_iter().for_each(placed);
        }
    }

    /// Checks what is given for the parameters, and adds what is usual for the others.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field, such as `params.min_age`.
    pub fn resolve(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, Invalid> {
        self.resolve_later(given, &BTreeMap::new())
    }

    /// As [`Config::resolve`], where some parameters are given `later`: of each a value that it will be
    /// like, where that is known.
    ///
    /// # Errors
    /// As [`Config::resolve`], and where a parameter is of another type.
    pub fn resolve_later(
        &self,
        given: &Map<String, Value>,
        later: &BTreeMap<String, Option<Value>>,
    ) -> Result<Map<String, Value>, Invalid> {
        let problems = Problems::default();
        let mut values = Map::new();
        for param in &self.params {
            let field = crate::problem::member("params", &param.name);
            if let Some(like) = later.get(&param.name) {
                if let Some(Err(why)) = like.as_ref().map(|like| param.check_type(like)) {
                    problems.note(field, why);
                }
                continue;
            }
            let value = given.get(&param.name).filter(|value| !value.is_null());
            match value {
                Some(value) => match param.check(value) {
                    Ok(()) => drop(values.insert(param.name.clone(), value.clone())),
                    Err(why) => problems.note(field, why),
                },
                None if param.required => problems.note(field, "is required"),
                None => {
                    if let Some(default) = &param.default {
                        values.insert(param.name.clone(), default.clone());
                    }
                }
            }
        }
        for name in given.keys().chain(later.keys()) {
            if !self.params.iter().any(|param| param.name == *name) {
                let known: Vec<_> = self.params.iter().map(|param| param.name.as_str()).collect();
                let field = crate::problem::member("params", name);
                problems.note(field, crate::members::unknown(&known));
            }
        }
        problems.unless(|| Some(values))
    }

    /// The job with these values of its parameters, which have been checked ([`Config::resolve`]), and
    /// with members that whoever starts it lays over its own ([`crate::Start`]). Its functions get the
    /// values, where the job does not say what else.
    ///
    /// # Errors
    /// What makes it no job.
    pub fn fill(
        &self,
        values: &Map<String, Value>,
        over: &Map<String, Value>,
    ) -> Result<Document, Invalid> {
        let problems = Problems::default();
        let mut job = Filler::new(values).fill(&self.job, "", &problems);
        if let Some(members) = job.as_object_mut() {
            members.entry("name").or_insert_with(|| Value::from(self.name.as_str()));
            members.entry("params").or_insert_with(|| Value::Object(values.clone()));
            members.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        problems.unless(|| Some(()))?;
        Document::of(&job)
    }

    /// The job that is started with these parameters: [`Config::resolve`], then [`Config::fill`].
    ///
    /// # Errors
    /// What is wrong with the parameters, or with the job that they make.
    pub fn start(&self, given: &Map<String, Value>) -> Result<Document, Invalid> {
        self.fill(&self.resolve(given)?, &Map::new())
    }

    /// The job with what is usual for its parameters; `None` where one of them has to be given.
    pub fn usual(&self) -> Option<Document> {
        let all = self.params.iter().all(|param| param.default.is_some());
        all.then(|| self.start(&Map::new()).ok()).flatten()
    }

    /// All of it: what lists show, the job, and the function that looks at the parameters.
    pub fn document(&self) -> Value {
        let mut shown = self.json();
        if let Some(members) = shown.as_object_mut() {
            let validator = self.validator.clone().map(|validator| ("validator", validator));
            let rest = validator.into_iter().chain([(JOB, self.job.clone())]);
            members.extend(rest.map(|(name, value)| (name.to_owned(), value)));
        }
        shown
    }

    /// What lists of named jobs show of it.
    pub fn json(&self) -> Value {
        let params = self.params.iter().map(|param| {
            let Param { name, description, kind, required, default, min, max, one_of } = param;
            let mut shown = json!({ "name": name, "type": kind.word(), "required": required });
            let mut add = |name: &str, value: Option<Value>| {
                if let (Some(value), Some(shown)) = (value, shown.as_object_mut()) {
                    shown.insert(name.to_owned(), value);
                }
            };
            add("default", default.clone());
            add("min", min.map(Value::from));
            add("max", max.map(Value::from));
            add("one_of", one_of.clone().map(Value::Array));
            add("description", description.clone().map(Value::from));
            shown
        });
        json!({ "name": self.name, "description": self.description, "params": params.collect::<Vec<_>>() })
    }
}

/// The name of a job.
fn name<'d>(given: &Members<'d>) -> Option<&'d str> {
    given.required("name")?;
    given.line("name", limits::NAME_BYTES)
}

fn params(given: &Members<'_>) -> Option<Vec<Param>> {
    if given.get("params").is_none() {
        return Some(Vec::new());
    }
    let list = given.list("params")?;
    if list.len() > limits::PARAMS {
        given.note("params", format!("has more than {} parameters", limits::PARAMS));
        return None;
    }
    let at = given.path("params");
    let read = list.iter().enumerate();
    let read: Vec<_> =
        read.map(|(n, value)| Param::read(&element(&at, n), value, given.problems)).collect();
    let mut names = BTreeSet::new();
    for (n, param) in read.iter().enumerate() {
        if let Some(param) = param.as_ref().filter(|param| !names.insert(param.name.as_str())) {
            let at = below(&element(&at, n), "name");
            given.problems.note(at, format!("\"{}\" is there twice", param.name));
        }
    }
    // What refers to one that cannot be read is no mistake beside.
    read.into_iter().collect()
}

/// The template with inputs in each place for a whole value: what is wrong because of that is at that
/// place.
fn with_inputs_in_holes(template: &Value) -> Value {
    match template {
        Value::String(text) if text.starts_with("${") && text.ends_with('}') => {
            let mut whole = false;
            references(template, "", &mut |_, name| whole = text.len() == name.len() + 3);
            if whole { json!([["bucket", "key"]]) } else { template.clone() }
        }
        Value::Array(list) => list.iter().map(with_inputs_in_holes).collect(),
        Value::Object(members) => {
            let filled = members.iter();
            filled.map(|(name, inner)| (name.clone(), with_inputs_in_holes(inner))).collect()
        }
        _ => template.clone(),
    }
}
