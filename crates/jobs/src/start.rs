//! What is posted to start a job: a document, or the name of a job and its parameters.

use serde_json::{Map, Value};

use crate::document::Document;
use crate::members::Members;
use crate::problem::{Invalid, Problems};
use crate::{json, limits};

/// How a job is to be started.
#[derive(Debug, Clone)]
pub enum Start {
    /// By its document.
    Document(Box<Document>),
    /// By name.
    Config {
        /// The name of a named job.
        name: String,
        /// Its parameters, yet to be checked ([`crate::Config::resolve`]).
        params: Map<String, Value>,
        /// Members of the job that are not as the named job says ([`crate::Config::fill`]).
        over: Map<String, Value>,
    },
}

const CONFIG: &str = "config";
const PARAMS: &str = "params";

/// Members that whoever starts a named job may give.
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

impl Start {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        Self::of(&json::read(body)?)
    }

    /// Reads a document: what a schedule has, or a step of a pipeline.
    ///
    /// # Errors
    /// Everything that was found to be wrong with it.
    pub fn of(value: &Value) -> Result<Self, Invalid> {
        if value.get(CONFIG).is_none() {
            return Document::of(value).map(|document| Self::Document(Box::new(document)));
        }
        let problems = Problems::default();
        let known: Vec<_> = [CONFIG, PARAMS].into_iter().chain(OVER).collect();
        let start = Members::of("", value, &known, &problems).and_then(|given| {
            let params = given.read(PARAMS, || "an object".to_owned(), Value::as_object);
            given.required(CONFIG)?;
            let name = given.text(CONFIG, limits::NAME_BYTES)?.to_owned();
            let over = OVER.iter().filter_map(|member| {
                given.get(member).map(|value| ((*member).to_owned(), value.clone()))
            });
            let params = params.cloned().unwrap_or_default();
            Some(Self::Config { name, params, over: over.collect() })
        });
        problems.unless(|| start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_started_by_its_document_or_by_name() {
        let document = Start::parse(br#"{"inputs":"b","query":[]}"#).unwrap();
        assert!(matches!(document, Start::Document(_)));
        let body = br#"{"config":"daily","params":{"bucket":"b"},"rate":5,"delay_ms":null}"#;
        let Start::Config { name, params, over } = Start::parse(body).unwrap() else {
            panic!("a document")
        };
        assert_eq!((name.as_str(), &params["bucket"]), ("daily", &Value::from("b")));
        assert_eq!(over.iter().collect::<Vec<_>>(), [(&"rate".to_owned(), &Value::from(5))]);
    }

    #[test]
    fn wrong_starts_are_named() {
        for (body, field) in [
            (r#"{"config":""}"#, "config"),
            (r#"{"config":7}"#, "config"),
            (r#"{"config":null,"inputs":"b","query":[]}"#, "inputs"),
            (r#"{"config":null}"#, "config"),
            (r#"{"config":"a","params":[]}"#, "params"),
            (r#"{"config":"a","inputs":"b"}"#, "inputs"),
            (r#"{"inputs":"b"}"#, "query"),
        ] {
            let invalid = Start::parse(body.as_bytes()).unwrap_err();
            assert_eq!(invalid.problems()[0].field, field, "{body}: {invalid}");
        }
    }
}
