//! `mapring job start`.

use std::path::Path;

use clap::Args;
use mapring_client::{Once, StartedJob};
use mapring_types::Entropy as _;
use mapring_types::env::SystemEntropy;
use serde_json::{Map, Value, json};

use super::io::{read, results};
use super::nodes::Clients;
use super::wait;
use crate::failure::{Failure, Outcome, print, print_json, print_line};

#[derive(Args)]
pub(super) struct Arguments {
    /// The file with the job document (- is standard input), or the name of a job
    #[arg(value_name = "JOB.json|NAME")]
    job: String,

    /// A parameter: JSON, or else a text; may be repeated
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = member)]
    params: Vec<(String, Value)>,

    /// Another member of the job, such as rate=100; may be repeated
    #[arg(long = "set", value_name = "MEMBER=VALUE", value_parser = member)]
    members: Vec<(String, Value)>,

    #[command(flatten)]
    start: Started,

    /// Only say what the job would be divided into
    #[arg(long, conflicts_with_all = ["wait", "results"])]
    dry_run: bool,

    /// Print its results when it has succeeded
    #[arg(long, requires = "wait")]
    results: bool,

    #[command(flatten)]
    shown: wait::Shown,
}

/// What jobs and pipelines are both started with.
#[derive(Args)]
pub(crate) struct Started {
    /// The id that it is to have: started once, however often that is asked
    #[arg(long)]
    pub(crate) id: Option<String>,

    /// A text that names this start: another start with it gives the same job
    #[arg(long, value_name = "TEXT", conflicts_with = "id")]
    pub(crate) key: Option<String>,

    /// Wait for its end; the exit status tells how it ended
    #[arg(long, short)]
    pub(crate) wait: bool,
}

pub(super) async fn run(arguments: &Arguments, nodes: &Clients, json: bool) -> Outcome {
    let document = arguments.document()?;
    if arguments.dry_run {
        let planned = nodes.ask(async |node| node.dry_run_job(document.clone()).await).await?;
        return if json {
            print_json(&planned)
        } else {
            print(super::text::planned(&planned)?.as_bytes())
        };
    }
    let once = once(&arguments.start);
    let job = nodes.ask(async |node| node.start_job(document.clone(), &once).await).await?;
    if !arguments.start.wait {
        return tell_started(&job, json);
    }
    if !arguments.results && !json {
        print_line(&job.id)?;
    }
    wait::until_its_end(&job.id, nodes, &arguments.shown, json).await?;
    if arguments.results { results(&job.id, false, nodes).await } else { Ok(()) }
}

/// Says what has been started, where nobody waits for its end.
pub(crate) fn tell_started(StartedJob { id, href }: &StartedJob, json: bool) -> Outcome {
    match json {
        true => print_line(&json!({ "id": id, "href": href }).to_string()),
        false => print_line(id),
    }
}

/// Makes that the job is started once even if the first node that was asked is lost before it answers.
pub(crate) fn once(start: &Started) -> Once {
    match (&start.id, &start.key) {
        (Some(id), _) => Once::Id(id.clone()),
        (None, Some(key)) => Once::Key(key.clone()),
        (None, None) => {
            let entropy = SystemEntropy;
            Once::Key(format!("{:016x}{:016x}", entropy.next_u64(), entropy.next_u64()))
        }
    }
}

impl Arguments {
    /// What is posted.
    fn document(&self) -> Outcome<Vec<u8>> {
        let Self { job, params, members, .. } = self;
        if !is_file(job) {
            let mut start = json!({ "config": job, "params": object(params) });
            add(&mut start, members);
            return Ok(start.to_string().into_bytes());
        }
        let mut all = members.clone();
        if !params.is_empty() {
            all.push(("params".to_owned(), object(params)));
        }
        document(job, &all)
    }
}

/// The document of a file, with further members. Without any it goes as it is.
pub(crate) fn document(file: &str, members: &[(String, Value)]) -> Outcome<Vec<u8>> {
    let text = read(file)?;
    if members.is_empty() {
        return Ok(text);
    }
    let mut document: Value = serde_json::from_slice(&text)
        .map_err(|error| Failure::failed(format!("{file} is no JSON document: {error}")))?;
    if !document.is_object() {
        return Err(Failure::failed(format!("{file} holds no JSON object")));
    }
    add(&mut document, members);
    Ok(document.to_string().into_bytes())
}

/// Parameters that are in the document already stay, unless they are given anew.
fn add(document: &mut Value, members: &[(String, Value)]) {
    let Some(document) = document.as_object_mut() else { return };
    for (name, value) in members {
        match (document.get_mut(name), value) {
            (Some(Value::Object(there)), Value::Object(given)) if name == "params" => {
                there.extend(given.clone());
            }
            _ => drop(document.insert(name.clone(), value.clone())),
        }
    }
}

fn object(members: &[(String, Value)]) -> Value {
    Value::Object(members.iter().cloned().collect::<Map<_, _>>())
}

/// Whether a job is given by a file.
fn is_file(job: &str) -> bool {
    let ending = Path::new(job).extension().is_some_and(|ending| ending == "json");
    job == "-" || ending || job.contains('/') || Path::new(job).is_file()
}

/// Reads `NAME=VALUE`. What is no JSON is a text.
fn member(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            Ok((name.to_owned(), value))
        }
        _ => Err(format!("{text:?} is not of the form NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_texts() {
        for (text, name, value) in [
            ("a=21", "a", json!(21)),
            ("a=\"21\"", "a", json!("21")),
            ("bucket=people", "bucket", json!("people")),
            ("f=[[\"age\",\">\",3]]", "f", json!([["age", ">", 3]])),
            ("q=a=b", "q", json!("a=b")),
            ("e=", "e", json!("")),
        ] {
            assert_eq!(member(text), Ok((name.to_owned(), value)), "{text}");
        }
        assert!(member("=1").is_err() && member("a").is_err());
    }

    #[test]
    fn documents_take_further_members() {
        let mut document = json!({"inputs": "b", "params": {"a": 1, "b": 2}, "rate": 5});
        let members = [
            ("params".to_owned(), json!({"b": 3})),
            ("rate".to_owned(), json!(7)),
            ("name".to_owned(), json!("x")),
        ];
        add(&mut document, &members);
        let expect = json!({"inputs": "b", "params": {"a": 1, "b": 3}, "rate": 7, "name": "x"});
        assert_eq!(document, expect);
    }

    #[test]
    fn files_and_names_are_told_apart() {
        for (job, file) in [("-", true), ("job.json", true), ("./job", true), ("daily", false)] {
            assert_eq!(is_file(job), file, "{job}");
        }
    }

    #[test]
    fn every_start_has_a_key_of_its_own() {
        let start = |id: Option<&str>, key: Option<&str>| Started {
            id: id.map(str::to_owned),
            key: key.map(str::to_owned),
            wait: false,
        };
        assert_eq!(once(&start(Some("j"), None)), Once::Id("j".into()));
        assert_eq!(once(&start(None, Some("k"))), Once::Key("k".into()));
        assert_ne!(once(&start(None, None)), once(&start(None, None)));
    }
}
