//! What the steps of a pipeline are to do, children that were decided under way included.

use std::collections::BTreeMap;

use mapring_jobs::{Invalid, Pipeline, Step};
use serde_json::Value;

use super::progress::{CHILD, Progress};
use crate::limits;

/// The steps of a pipeline as they were written: those of the document, and those that functions
/// returned, by the name of the step whose children they are.
#[derive(Debug, Default)]
pub(super) struct Plan {
    scopes: BTreeMap<String, Pipeline>,
}

impl Plan {
    /// The plan of a pipeline on its way.
    ///
    /// # Errors
    /// What is wrong with a document that is stored: a later program may take less than it took.
    pub(super) fn of(progress: &Progress) -> Result<Self, Invalid> {
        let mut scopes = BTreeMap::new();
        let document = Pipeline::parse(progress.document.to_string().as_bytes())?;
        scopes.insert(String::new(), document);
        for step in &progress.steps {
            if let Some(children) = &step.children {
                let pipeline = Pipeline::parse(children.to_string().as_bytes())?;
                scopes.insert(step.name.clone(), pipeline);
            }
        }
        Ok(Self { scopes })
    }

    /// The pipeline of the document.
    pub(super) fn document(&self) -> Option<&Pipeline> {
        self.scopes.get("")
    }

    /// A step, by its full name.
    pub(super) fn step(&self, name: &str) -> Option<&Step> {
        let (scope, name) = name.rsplit_once(CHILD).unwrap_or(("", name));
        self.scopes.get(scope)?.steps().iter().find(|step| step.name == name)
    }

    /// All pipelines, with the name of the step whose children each is.
    pub(super) fn scopes(&self) -> impl Iterator<Item = (&str, &Pipeline)> {
        self.scopes.iter().map(|(scope, pipeline)| (scope.as_str(), pipeline))
    }

    /// The children that a function returned, as a pipeline that is tried as often as the document says
    /// where it does not say itself.
    ///
    /// # Errors
    /// Why they cannot be, in words.
    pub(super) fn children(
        &self,
        parent: &str,
        mut returned: Value,
        present: usize,
    ) -> Result<Pipeline, String> {
        let depth = parent.split(CHILD).count();
        if depth >= limits::PIPELINE_DEPTH {
            let most = limits::PIPELINE_DEPTH;
            return Err(format!("returned steps, and lies {most} deep already"));
        }
        let usual = self.document().and_then(|pipeline| pipeline.value().get("retries"));
        if let (Some(members), Some(usual)) = (returned.as_object_mut(), usual) {
            members.entry("retries").or_insert_with(|| usual.clone());
        }
        let pipeline = Pipeline::parse(returned.to_string().as_bytes())
            .map_err(|invalid| format!("returned steps that are none: {invalid}"))?;
        let count = present + pipeline.steps().len();
        if count > mapring_jobs::limits::STEPS {
            let most = mapring_jobs::limits::STEPS;
            return Err(format!("returned steps with which there are {count}, more than {most}"));
        }
        let bytes: usize = self.scopes.values().chain([&pipeline]).map(bytes).sum();
        if bytes > limits::PLAN_BYTES {
            let most = limits::PLAN_BYTES;
            return Err(format!(
                "returned steps with which all have {bytes} bytes, more than {most}: have them read what is \
                 long from objects"
            ));
        }
        Ok(pipeline)
    }

    pub(super) fn add(&mut self, parent: &str, pipeline: Pipeline) {
        self.scopes.insert(parent.to_owned(), pipeline);
    }
}

/// The bytes of a pipeline as JSON.
fn bytes(pipeline: &Pipeline) -> usize {
    pipeline.value().to_string().len()
}
