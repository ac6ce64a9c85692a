//! What clients are told when a query cannot be run, or fails.

use mapring_script::{FailureCause, ScriptError};
use mapring_types::quote;
use serde_json::{Map, Value};

use crate::json;

/// A query that cannot be run as it is written: answered with 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The body.
    pub body: String,
    /// Whether the body is JSON (else plain text).
    pub json: bool,
    /// Whether it is answered with 500 after all, as Riak does with unknown key filters.
    pub failure: bool,
}

impl Rejection {
    /// A rejection in plain text.
    pub(crate) fn text(body: impl Into<String>) -> Self {
        Self { body: body.into(), json: false, failure: false }
    }

    /// A key filter that does not exist: Riak's words, which clients compare.
    pub(crate) fn bad_filter(name: &str) -> Self {
        let body =
            json::encode(&serde_json::json!({ "bad_filter": name }).to_string()).into_owned();
        Self { body, json: true, failure: true }
    }

    /// A rejection that names the phase, as JSON.
    pub(crate) fn phase(phase: usize, error: &str) -> Self {
        let body = Report::new(error).phase(phase).to_json();
        Self { body, json: true, failure: false }
    }
}

/// A query that failed: answered with 500 and this JSON, or with this JSON appended to a chunked
/// answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The JSON object: `phase`, `error`, `input`, `type`, `stack`, `bucket`, `key`, `node`.
    pub body: String,
    /// Whether it failed only because the node that coordinates it stops: then answered with 503,
    /// so that clients and proxies ask another node.
    pub stopping: bool,
}

impl Failure {
    /// The query's time is over. Clients compare this text.
    pub(crate) fn timeout() -> Self {
        Self { body: r#"{"error":"timeout"}"#.to_owned(), stopping: false }
    }

    /// The node that coordinates the query stops before the query has ended.
    pub(crate) fn stopping(node: &str) -> Self {
        let error = "this node is stopping and ends its queries: ask another node";
        Self { stopping: true, ..Report::new(error).node(node).into() }
    }

    /// A failure outside any phase.
    pub(crate) fn query(error: impl std::fmt::Display) -> Self {
        Report::new(error).into()
    }

    /// A failure of one phase, outside its function.
    pub(crate) fn phase(phase: usize, error: impl std::fmt::Display) -> Self {
        Report::new(error).phase(phase).into()
    }
}

/// The parts of a failure's JSON.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    error: String,
    phase: Option<usize>,
    input: Option<String>,
    kind: Option<&'static str>,
    stack: Option<String>,
    object: Option<(String, String)>,
    node: Option<String>,
}

impl Report {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self { error: error.to_string(), ..Self::default() }
    }

    /// What a function's failure says.
    pub(crate) fn script(error: &ScriptError) -> Self {
        Self {
            error: error.message.clone(),
            kind: Some(cause(error.cause)),
            stack: error.stack.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn phase(mut self, phase: usize) -> Self {
        self.phase = Some(phase);
        self
    }

    /// What the function was given, as text.
    pub(crate) fn input(mut self, input: &str) -> Self {
        self.input = Some(quote(input));
        self
    }

    pub(crate) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(crate) fn object(mut self, bucket: &str, key: &str) -> Self {
        self.object = Some((bucket.to_owned(), key.to_owned()));
        self
    }

    pub(crate) fn node(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Riak's members come first and are always there when a phase is named: clients read them
    /// without looking whether they exist.
    fn to_json(&self) -> String {
        let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::from);
        let mut out = Map::new();
        if let Some(phase) = self.phase {
            out.insert("phase".into(), phase.into());
        }
        out.insert("error".into(), self.error.clone().into());
        let detailed = self.input.is_some() || self.kind.is_some() || self.stack.is_some();
        if detailed {
            out.insert("input".into(), text(&self.input));
            out.insert("type".into(), self.kind.map_or(Value::Null, Value::from));
            out.insert("stack".into(), text(&self.stack));
        }
        if let Some((bucket, key)) = &self.object {
            out.insert("bucket".into(), bucket.clone().into());
            out.insert("key".into(), key.clone().into());
        }
        if let Some(node) = &self.node {
            out.insert("node".into(), node.clone().into());
        }
        json::encode(&Value::Object(out).to_string()).into_owned()
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self { body: report.to_json(), stopping: false }
    }
}

fn cause(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::Syntax => "syntax",
        FailureCause::Thrown => "exception",
        FailureCause::Undefined => "undefined",
        FailureCause::Time => "timeout",
        FailureCause::Memory => "memory",
        FailureCause::Stack => "stack",
        FailureCause::ResultSize => "result_size",
        FailureCause::NotAList => "non_list_result",
        FailureCause::NotJson => "bad_json",
        FailureCause::NotUtf8 => "bad_utf8_character_code",
        FailureCause::BadArgument => "badarg",
        FailureCause::Worker => "worker",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_riaks_members_first() {
        let error = ScriptError {
            cause: FailureCause::Thrown,
            message: "TypeError: é".into(),
            stack: Some("at f (1:2)".into()),
            input: Some(0),
        };
        let report = Report::script(&error).phase(1).input("[\"b\",\"k\"]");
        let failure = Failure::from(report.object("b", "k").node("n2"));
        assert_eq!(
            failure.body,
            "{\"phase\":1,\"error\":\"TypeError: \\u00e9\",\"input\":\"[\\\"b\\\",\\\"k\\\"]\",\
             \"type\":\"exception\",\"stack\":\"at f (1:2)\",\"bucket\":\"b\",\"key\":\"k\",\
             \"node\":\"n2\"}"
        );
        assert_eq!(Failure::timeout().body, r#"{"error":"timeout"}"#);
        assert_eq!(Failure::phase(3, "no").body, r#"{"phase":3,"error":"no"}"#);
        let stopping = Failure::stopping("n1");
        assert!(stopping.stopping && stopping.body.ends_with(r#"node","node":"n1"}"#));
    }
}
