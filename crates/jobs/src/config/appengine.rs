//! App Engine's own `mapreduce.yaml`: as far as its words have a meaning here, they are taken; what was
//! made of them, and what has none, is noted.
//!
//! A handler is a Python function by its dotted name. It becomes the JavaScript function that is
//! stored under that name in the bucket `handlers`: so a file can be taken over as it is, and functions
//! be written one after the other.

use serde_json::{Map, Value, json};

use super::{Config, Param, ParamType, param};
use crate::document::check_with_holes;
use crate::limits;
use crate::members::Members;
use crate::problem::{Problem, Problems, below, element};

/// The member of a file that has the list.
pub(super) const LIST: &str = "mapreduce";

/// The bucket of functions that handlers become.
const HANDLERS: &str = "handlers";

/// What a parameter of a reader becomes: its name, its type, and what it is usually.
type ReaderParam = (&'static str, ParamType, Option<u64>);

/// A reader with inputs of ours: its name, the inputs with places for its parameters, and those.
type Reader = (&'static str, &'static str, &'static [ReaderParam]);

const KIND: ReaderParam = ("entity_kind", ParamType::String, None);
const BLOBS: ReaderParam = ("blob_keys", ParamType::List, None);
const SCAN: &str = r#"{"bucket":"${entity_kind}"}"#;
const RANDOM: &str = r#"{"random":{"count":"${count}","string_length":"${string_length}"}}"#;
const RANDOM_PARAMS: &[ReaderParam] =
    &[("count", ParamType::Integer, None), ("string_length", ParamType::Integer, Some(10))];

const READERS: [Reader; 11] = [
    ("DatastoreInputReader", SCAN, &[KIND]),
    ("RawDatastoreInputReader", SCAN, &[KIND]),
    ("DatastoreEntityInputReader", SCAN, &[KIND]),
    ("ModelDatastoreInputReader", SCAN, &[KIND]),
    ("DatastoreKeyInputReader", r#"{"bucket":"${entity_kind}","keys_only":true}"#, &[KIND]),
    ("BlobstoreLineInputReader", r#"{"lines":"${blob_keys}","keep_cr":true}"#, &[BLOBS]),
    ("BlobstoreZipLineInputReader", r#"{"lines":{"zip":"${blob_keys}"}}"#, &[BLOBS]),
    ("BlobstoreZipInputReader", r#"{"zip":"${blob_key}"}"#, &[("blob_key", ParamType::List, None)]),
    ("RecordsReader", r#"{"records":"${files}"}"#, &[("files", ParamType::List, None)]),
    ("RandomStringInputReader", RANDOM, RANDOM_PARAMS),
    ("SampleInputReader", RANDOM, RANDOM_PARAMS),
];

/// Writers with outputs of ours.
const WRITERS: [(&str, &str); 4] = [
    ("FileOutputWriter", "text"),
    ("BlobstoreOutputWriter", "text"),
    ("FileRecordsOutputWriter", "ndjson"),
    ("BlobstoreRecordsOutputWriter", "ndjson"),
];

/// Parameters that say how a job is carried out, and the members that they are here.
const EXECUTION: [(&str, &str); 7] = [
    ("shard_count", "shards"),
    ("processing_rate", "rate"),
    ("queue_name", "queue"),
    ("shard_max_attempts", "retries.shard"),
    ("task_max_data_processing_attempts", "retries.slice"),
    ("done_callback", "callback.url"),
    ("done_callback_method", "callback.method"),
];

/// Parameters without a meaning here.
const FOREIGN: [&str; 10] = [
    "done_callback_queue",
    "task_max_attempts",
    "force_writes",
    "force_ops_writes",
    "base_path",
    "app_id",
    "api_version",
    "filters",
    "oversplit_factor",
    "namespace",
];

/// Reads one of App Engine's configurations.
pub(super) fn read(
    at: &str,
    value: &Value,
    problems: &Problems,
    notes: &Problems,
) -> Option<Config> {
    let given =
        Members::of(at, value, &["name", "params", "params_validator", "mapper"], problems)?;
    let name = super::name(&given);
    given.required("mapper")?;
    let known = ["handler", "input_reader", "output_writer", "params_validator", "params"];
    let mapper = given.object("mapper", &known)?;
    let mut reading = Reading { job: Map::new(), params: Vec::new(), problems, notes };
    for members in [&given, &mapper] {
        if members.get("params_validator").is_some() {
            let why = "is Python code: write a \"validator\" in JavaScript in its place";
            notes.note(members.path("params_validator"), why);
        }
    }
    let reader = reading.reader(&mapper);
    reading.params_of(&mapper, reader.unwrap_or_default());
    reading.params_of(&given, &[]);
    reading.missing(&mapper, reader.unwrap_or_default());
    reading.writer(&mapper);
    reading.handler(&mapper);
    let Reading { job, params, .. } = reading;
    let (name, job) = (name?.to_owned(), Value::Object(job));
    reader?;
    mapper.get("handler")?;
    let holes = ["inputs".to_owned()];
    for Problem { field, message } in check_with_holes(&super::with_inputs_in_holes(&job), &holes) {
        problems.note(at, format!("makes the member {field}, which {message}"));
    }
    Some(Config { name, description: None, params, validator: None, job })
}

struct Reading<'p> {
    job: Map<String, Value>,
    params: Vec<Param>,
    problems: &'p Problems,
    notes: &'p Problems,
}

impl Reading<'_> {
    fn reader(&mut self, mapper: &Members<'_>) -> Option<&'static [ReaderParam]> {
        mapper.required("input_reader")?;
        let given = mapper.text("input_reader", limits::NAME_BYTES)?;
        let class = given.rsplit('.').next().unwrap_or(given);
        let Some((_, inputs, params)) = READERS.iter().find(|(name, ..)| *name == class) else {
            let known: Vec<_> = READERS.iter().map(|(name, ..)| *name).collect();
            let message =
                format!("has no inputs that stand for it; these have: {}", known.join(", "));
            mapper.note("input_reader", message);
            return None;
        };
        let inputs: Value = serde_json::from_str(inputs).unwrap_or_default();
        self.notes.note(mapper.path("input_reader"), format!("is read as the inputs {inputs}"));
        self.job.insert("inputs".to_owned(), inputs);
        Some(params)
    }

    fn handler(&mut self, mapper: &Members<'_>) {
        if mapper.required("handler").is_none() {
            return;
        }
        let Some(handler) = mapper.text("handler", limits::NAME_BYTES) else { return };
        let map = json!({ "language": "javascript", "bucket": HANDLERS, "key": handler });
        self.job.insert("query".to_owned(), json!([{ "map": map }]));
        let message = format!(
            "is the function stored in the bucket {HANDLERS} under the key {handler}: write it in \
             JavaScript"
        );
        self.notes.note(mapper.path("handler"), message);
    }

    fn writer(&mut self, mapper: &Members<'_>) {
        let Some(given) = mapper.text("output_writer", limits::NAME_BYTES) else { return };
        let class = given.rsplit('.').next().unwrap_or(given);
        match WRITERS.iter().find(|(name, _)| *name == class) {
            None => {
                let known: Vec<_> = WRITERS.iter().map(|(name, _)| *name).collect();
                let message =
                    format!("has no output that stands for it; have: {}", known.join(", "));
                mapper.note("output_writer", message);
            }
            Some((_, format)) => {
                let output = json!({ "bucket": "output", "layout": "single",
                    "name": "$name/$id/output", "format": format });
                self.notes.note(mapper.path("output_writer"), format!("is the output {output}"));
                self.job.insert("output".to_owned(), output);
            }
        }
    }

    /// The parameters that one of the two lists has.
    fn params_of(&mut self, given: &Members<'_>, reader: &[ReaderParam]) {
        let Some(list) = given.list("params") else { return };
        for (number, value) in list.iter().enumerate() {
            let at = element(&given.path("params"), number);
            let Some(one) = Members::of(&at, value, &["name", "default", "value"], self.problems)
            else {
                continue;
            };
            one.required("name");
            let forms = || "a name of letters, digits, \"_\", \".\" and \"-\"".to_owned();
            let name =
                one.read("name", forms, |value| value.as_str().filter(|name| param::is_name(name)));
            if let Some(name) = name {
                self.param(&one, name, reader);
            }
        }
    }

    fn param(&mut self, one: &Members<'_>, name: &str, reader: &[ReaderParam]) {
        let given = one.get("value").or_else(|| one.get("default"));
        if self.params.iter().any(|param| param.name == name) {
            one.note("name", format!("\"{name}\" is there twice"));
            return;
        }
        if FOREIGN.contains(&name) {
            self.notes.note(one.path("name"), format!("{name} has no meaning here"));
            return;
        }
        if let Some((_, member)) = EXECUTION.iter().find(|(known, _)| *known == name) {
            if let Some(given) = given {
                self.execute(one, name, member, given);
            }
            return;
        }
        let kind = reader.iter().find(|(known, ..)| *known == name).map(|(_, kind, _)| *kind);
        let kind = kind.unwrap_or_default();
        let default = given.and_then(|given| {
            let typed = typed(given, kind);
            if typed.is_none() {
                one.note("default", format!("is no {}", kind.word()));
            }
            typed
        });
        let fixed = one.get("value").is_some();
        let one_of = default.clone().filter(|_| fixed).map(|only| vec![only]);
        let required = default.is_none();
        self.params.push(Param { required, default, one_of, ..plain(name, kind) });
    }

    /// Puts a parameter where it belongs in the job.
    fn execute(&mut self, one: &Members<'_>, name: &str, member: &str, given: &Value) {
        let value = match member {
            "callback.url" => Some(given.clone()),
            "callback.method" => typed(given, ParamType::String),
            // App Engine's queues are the operator's; the first of them is everybody's.
            "queue" => typed(given, ParamType::String)
                .map(|queue| if queue == "default" { json!("normal") } else { queue }),
            _ => typed(given, ParamType::Integer),
        };
        let Some(value) = value else {
            one.note("default", "is no number");
            return;
        };
        self.notes.note(one.path("name"), format!("{name} is the member {member}"));
        match member.split_once('.') {
            None => drop(self.job.insert(member.to_owned(), value)),
            Some((outer, inner)) => {
                let outer = self.job.entry(outer).or_insert_with(|| json!({}));
                outer[inner] = value;
            }
        }
    }

    /// What the reader needs and no list has.
    fn missing(&mut self, mapper: &Members<'_>, reader: &[ReaderParam]) {
        for (name, kind, usual) in reader {
            if self.params.iter().any(|param| param.name == *name) {
                continue;
            }
            let default = usual.map(Value::from);
            let required = default.is_none();
            let at = below(&mapper.at, "params");
            if required {
                self.notes.note(at, format!("{name} is to be given when the job is started"));
            }
            self.params.push(Param { required, default, ..plain(name, *kind) });
        }
        for param in self.params.iter().filter(|param| param.kind == ParamType::List) {
            let at = below(&mapper.at, "params");
            self.notes.note(at, format!("{} is a list of [bucket,key]", param.name));
        }
    }
}

fn plain(name: &str, kind: ParamType) -> Param {
    Param {
        name: name.to_owned(),
        description: None,
        kind,
        required: false,
        default: None,
        min: None,
        max: None,
        one_of: None,
    }
}

/// A value of App Engine's, which are texts however they are written, as one of a type.
fn typed(given: &Value, kind: ParamType) -> Option<Value> {
    let text = match given {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => given.to_string(),
        _ => return None,
    };
    match kind {
        ParamType::Integer => text.trim().parse::<i64>().ok().map(Value::from),
        // Keys of blobs become keys in a bucket of that name.
        ParamType::List => {
            let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
            Some(keys.map(|key| json!(["blobs", key])).collect())
        }
        _ => Some(Value::String(text)),
    }
}
