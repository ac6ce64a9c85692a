//! What is said of a query that fails, or that is not run: Riak's words, which its clients compare.

use mapring_mapred::{
    FailedInput, Failure, FailureKind, Rejection, RejectionFacts, RejectionKind, json,
};
use mapring_types::quote;
use serde_json::{Map, Value};

use crate::meaning::Class;

/// What kind of answer a failure is.
pub fn class(failure: &Failure) -> Class {
    match failure.kind {
        FailureKind::Stopping => Class::Unavailable,
        FailureKind::Exists => Class::Precondition,
        _ => Class::Failed,
    }
}

/// The JSON of a failure: `phase`, `error`, `input`, `type`, `stack`, `bucket`, `key`, `node` (facts
/// R70 to R72).
pub fn failure(failure: &Failure) -> String {
    told(failure, str::to_owned)
}

/// The JSON of an input that was left out, of which there may be many: long names are cut.
pub fn skipped(failure: &Failure) -> String {
    told(failure, quote)
}

/// Riak's members come first, and are always there when a function failed: clients read them
/// without looking whether they exist.
fn told(failure: &Failure, name: fn(&str) -> String) -> String {
    let text = |value: Option<String>| value.map_or(Value::Null, Value::from);
    let mut out = Map::new();
    if let Some(phase) = failure.phase {
        out.insert("phase".into(), phase.into());
    }
    out.insert("error".into(), error(failure).into());
    if let Some(kind) = failure.kind.word() {
        let input = match &failure.input {
            Some(FailedInput::Object { id, keydata }) => {
                Some(mapring_mapred::key_form(id, keydata.as_ref()))
            }
            Some(FailedInput::Row(row)) => Some(row.text().to_owned()),
            Some(FailedInput::Code(_)) | None => None,
        };
        out.insert("input".into(), text(input.map(|input| quote(&input))));
        out.insert("type".into(), kind.into());
        out.insert("stack".into(), text(failure.stack.clone()));
    }
    if let Some(FailedInput::Object { id, .. } | FailedInput::Code(id)) = &failure.input {
        out.insert("bucket".into(), name(&id.bucket.to_string()).into());
        out.insert("key".into(), name(&String::from_utf8_lossy(&id.key)).into());
    }
    if let Some(node) = &failure.node {
        out.insert("node".into(), node.clone().into());
    }
    ascii(&Value::Object(out))
}

fn ascii(document: &Value) -> String {
    json::encode(&document.to_string()).into_owned()
}

fn error(failure: &Failure) -> String {
    match failure.kind {
        // Clients compare this text.
        FailureKind::Timeout => "timeout".to_owned(),
        // Clients look for this word.
        FailureKind::NoFunction => format!("worker_startup_failed: {}", failure.message),
        _ => failure.message.clone(),
    }
}

/// What is answered to a query that is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of answer it is.
    pub class: Class,
    /// Whether the body is JSON, or plain text.
    pub json: bool,
    /// The body.
    pub body: String,
}

/// What is answered to a query that is not run. Key filters that cannot be run fail the query, as
/// in Riak, which finds them only when it starts it.
pub fn refusal(rejection: &Rejection) -> Refusal {
    let json = |class, document| Refusal { class, json: true, body: ascii(&document) };
    let RejectionFacts { kind, message, .. } = &**rejection;
    match kind {
        RejectionKind::UnknownFilter { name } => {
            json(Class::Failed, serde_json::json!({ "bad_filter": name }))
        }
        RejectionKind::UnusableFilter => {
            json(Class::Failed, serde_json::json!({ "phase": 0, "error": message }))
        }
        RejectionKind::UnknownFunction { phase, module, function, arity } => {
            let name = format!("{module}:{function}/{arity}");
            let error = format!("PhaseSpec specifies {name}, which is not exported");
            json(Class::Invalid, serde_json::json!({ "phase": phase, "error": error }))
        }
        _ => Refusal { class: Class::Invalid, json: false, body: text(rejection) },
    }
}

/// The plain text of a rejection. A part of the query is named, and where it stands.
fn text(rejection: &Rejection) -> String {
    let RejectionFacts { kind, place, message, given, .. } = &**rejection;
    let shown = given.as_ref().map_or(String::new(), |json| format!("   {json}\n"));
    match kind {
        RejectionKind::Empty => "This resource takes queries: POST a JSON object with the fields \
                                 \"inputs\" and \"query\".\n"
            .to_owned(),
        RejectionKind::NotJson => format!(
            "The POST body was not valid JSON.\nThe error from the parser was:\n{message}\n"
        ),
        RejectionKind::NotAnObject => "The POST body was not a JSON object.\n".to_owned(),
        RejectionKind::Incomplete => {
            "The post body was missing the \"inputs\" or \"query\" field.\n".to_owned()
        }
        RejectionKind::Option(name) => {
            format!("The member \"{name}\" of a query {message}, not:\n{shown}")
        }
        _ => {
            let field = place.split(['.', '[']).next().unwrap_or_default();
            let what = complaint(rejection, &shown);
            format!("An error occurred parsing the \"{field}\" field.\n{what}Found at {place}.\n")
        }
    }
}

/// What is wrong with a part of a query: Riak's words, and then plain ones.
fn complaint(rejection: &Rejection, shown: &str) -> String {
    let RejectionFacts { kind, message, given, hint, .. } = &**rejection;
    match kind {
        RejectionKind::UnknownIndex { field } => {
            format!("[{{unknown_field_type,<<\"{}\">>}}]\n", quote(field))
        }
        RejectionKind::IndexTerm { field, text } => {
            let (field, given) = (quote(field), given.as_deref().unwrap_or_default());
            let term = match text {
                Some(text) => format!("<<\"{}\">>", quote(text)),
                None => given.to_owned(),
            };
            let riaks = format!("[{{field_parsing_failed,{{<<\"{field}\">>,{term}}}}}]");
            format!("{riaks}\n{field} takes {message}, not {given}.\n")
        }
        RejectionKind::LinkSpec => format!(
            "Invalid link step specification:\n{shown}\n \"bucket\" and \"tag\" fields must have \
             string values.\n"
        ),
        _ => {
            let colon = if given.is_some() { ":" } else { "" };
            let hint = if hint.is_empty() { String::new() } else { format!("{hint}\n") };
            format!("{message}{colon}\n{shown}{hint}")
        }
    }
}

#[cfg(test)]
mod tests {
    use mapring_mapred::{FailureCause, JsonText, Query, Row};
    use mapring_types::{BucketId, ObjectId};

    use super::*;

    fn id() -> ObjectId {
        ObjectId::new(BucketId::typed("t", "b"), "ké")
    }

    fn thrown() -> Failure {
        Failure::new(FailureKind::Function(FailureCause::Thrown), "TypeError: é").in_phase(1)
    }

    #[track_caller]
    fn said(failure: &Failure, expect: &str) {
        assert_eq!(super::failure(failure), expect);
    }

    #[test]
    fn failures_have_riaks_members_first() {
        let object = FailedInput::Object { id: id(), keydata: Some(JsonText("7".into())) };
        let failure = thrown().of(object).on("n2");
        let expect = "{\"phase\":1,\"error\":\"TypeError: \\u00e9\",\
             \"input\":\"[\\\"b\\\",\\\"k\\\\u00e9\\\",7,\\\"t\\\"]\",\"type\":\"exception\",\
             \"stack\":STACK,\"bucket\":\"t/b\",\"key\":\"k\\u00e9\",\"node\":\"n2\"}";
        said(&failure, &expect.replace("STACK", "null"));
        let stack = Some("at f (1:2)\u{7f}".into());
        said(&failure.with_stack(stack), &expect.replace("STACK", r#""at f (1:2)\u007f""#));
        said(
            &thrown(),
            r#"{"phase":1,"error":"TypeError: \u00e9","input":null,"type":"exception","stack":null}"#,
        );
    }

    #[test]
    fn failures_of_other_kinds() {
        said(&Failure::new(FailureKind::Timeout, "late"), r#"{"error":"timeout"}"#);
        let code = Failure::new(FailureKind::NoFunction, "it does not exist").in_phase(0);
        said(
            &code.of(FailedInput::Code(ObjectId::new(BucketId::untyped("c"), "f"))),
            r#"{"phase":0,"error":"worker_startup_failed: it does not exist","bucket":"c","key":"f"}"#,
        );
        let row = FailedInput::Row(Row::pair("\"a\"", "1"));
        said(
            &Failure::new(FailureKind::BadInput, "it is no input").in_phase(2).of(row),
            r#"{"phase":2,"error":"it is no input","input":"{\"a\":1}","type":"bad_input","stack":null}"#,
        );
        let stopping = Failure::new(FailureKind::Stopping, "ask another node").on("n1");
        said(&stopping, r#"{"error":"ask another node","node":"n1"}"#);
        assert_eq!((class(&stopping), class(&thrown())), (Class::Unavailable, Class::Failed));
    }

    #[test]
    fn long_names_of_skipped_inputs_are_cut() {
        let id = ObjectId::new(BucketId::untyped("b"), "k".repeat(600));
        let failure = thrown().of(FailedInput::Object { id, keydata: None });
        let key = |json: &str| {
            let json: Value = serde_json::from_str(json).unwrap();
            json["key"].as_str().unwrap().chars().count()
        };
        assert_eq!((key(&super::failure(&failure)), key(&skipped(&failure))), (600, 501));
    }

    /// What a query is refused with.
    #[track_caller]
    fn refused(query: &str, expect: &str) {
        let Refusal { class, json, body } = refusal(&Query::parse(query.as_bytes()).unwrap_err());
        assert_eq!((body.as_str(), class, json), (expect, Class::Invalid, false), "{query}");
    }

    #[test]
    fn whole_queries_are_refused_in_riaks_words() {
        let empty = "This resource takes queries: POST a JSON object with the fields \"inputs\" and \
                     \"query\".\n";
        refused(" \n", empty);
        refused(
            r#"{"inputs":"b",}, "query":[]}"#,
            "The POST body was not valid JSON.\nThe error from the parser was:\nkey must be a string \
             at line 1 column 15\n",
        );
        refused("[]", "The POST body was not a JSON object.\n");
        refused("{}", "The post body was missing the \"inputs\" or \"query\" field.\n");
        refused(
            r#"{"inputs":"b","query":[],"limit":0}"#,
            "The member \"limit\" of a query is a whole number above 0, not:\n   0\n",
        );
    }

    /// What inputs are refused with.
    #[track_caller]
    fn inputs_refused(inputs: &str, expect: &str) {
        let field = "An error occurred parsing the \"inputs\" field.\n";
        refused(&format!(r#"{{"inputs":{inputs},"query":[]}}"#), &format!("{field}{expect}"));
    }

    #[test]
    fn inputs_are_refused_in_riaks_words() {
        inputs_refused(
            "7",
            "Unrecognized format of \"inputs\" field:\n   7\nInputs are \"bucket\", \
             [\"type\",\"bucket\"], a list of keys such as [[\"bucket\",\"key\"]], or an object with \
             \"bucket\" and perhaps \"index\", \"key_filters\" or \"filters\", or with \
             \"lines\", \"gzip\", \"zip\", \"base64\", \"csv\", \"records\", \"fields\", \
             \"random\", \"range\", \"items\", \"concat\", \"sample\", \"reader\", \"job\", \
             \"buckets\" or \"bucket_types\".\nFound at inputs.\n",
        );
        inputs_refused("[]", "No inputs were given.\nFound at inputs.\n");
        inputs_refused(
            r#"{"bucket":"b","index":"Foo","key":"x"}"#,
            "[{unknown_field_type,<<\"foo\">>}]\nFound at inputs.index.\n",
        );
        inputs_refused(
            r#"{"bucket":"b","index":"f_int","start":1,"end":"x"}"#,
            "[{field_parsing_failed,{<<\"f_int\">>,<<\"x\">>}}]\nf_int takes whole numbers, not \
             \"x\".\nFound at inputs.end.\n",
        );
        inputs_refused(
            r#"{"bucket":"b","index":"f_bin","key":5}"#,
            "[{field_parsing_failed,{<<\"f_bin\">>,5}}]\nf_bin takes texts, not 5.\nFound at \
             inputs.key.\n",
        );
        inputs_refused(
            r#"{"bucket":"b","key_filters":[["eq"]]}"#,
            "key_filters[0]: \"eq\" needs 1 argument and has 0:\n   [[\"eq\"]]\nFound at \
             inputs.key_filters.\n",
        );
    }

    #[test]
    fn phases_and_timeouts_are_refused_in_riaks_words() {
        refused(
            r#"{"inputs":"b","query":[{"link":{"tag":5}}]}"#,
            "An error occurred parsing the \"query\" field.\nInvalid link step specification:\n   \
             {\"tag\":5}\n\n \"bucket\" and \"tag\" fields must have string values.\nFound at \
             query[0].link.tag.\n",
        );
        refused(
            r#"{"inputs":"b","query":[{"map":{"language":"ruby"}}]}"#,
            "An error occurred parsing the \"query\" field.\nUnknown language \"ruby\" in phase:\n   \
             {\"language\":\"ruby\"}\nFound at query[0].map.language.\n",
        );
        refused(
            r#"{"inputs":"b","query":[],"timeout":-1}"#,
            "An error occurred parsing the \"timeout\" field.\n\"timeout\" is a number of \
             milliseconds above zero, not:\n   -1\nFound at timeout.\n",
        );
    }

    #[test]
    fn filters_and_functions_that_are_none_are_json() {
        let filtered = |filters: &str| {
            let inputs = format!(r#"{{"bucket":"b","key_filters":{filters}}}"#);
            let query = format!(r#"{{"inputs":{inputs},"query":[]}}"#);
            refusal(&Query::parse(query.as_bytes()).unwrap_err())
        };
        let unknown = filtered(r#"[["eq","a"],["bogus"]]"#);
        assert_eq!(unknown.body, r#"{"bad_filter":"bogus"}"#);
        let unusable = filtered(r#"[["sounds_like","a"]]"#);
        let error = r#"key_filters[0]: \"sounds_like\" is not defined, as in Riak"#;
        assert_eq!(unusable.body, format!(r#"{{"phase":0,"error":"{error}"}}"#));
        for refusal in [unknown, unusable] {
            assert_eq!((refusal.class, refusal.json), (Class::Failed, true));
        }
        let (module, function) = ("m".into(), "f".into());
        let kind = RejectionKind::UnknownFunction { phase: 1, module, function, arity: 2 };
        let expect = Refusal {
            class: Class::Invalid,
            json: true,
            body: r#"{"phase":1,"error":"PhaseSpec specifies m:f/2, which is not exported"}"#
                .into(),
        };
        assert_eq!(refusal(&Rejection::new(kind)), expect);
    }
}
