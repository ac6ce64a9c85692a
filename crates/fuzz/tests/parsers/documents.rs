//! Documents and files of jobs, and the configuration of a node.

use std::path::Path;

use mapring_fuzz::Corpus;
use mapring_jobs::callback::{Allowed, Host, Target};
use mapring_jobs::{Config, Configs, Document, Invalid, Pipeline, Schedule, Start, Syntax, limits};
use mapring_node::config::{self, Sources};
use serde_json::Value;

use crate::text;

/// What is wrong with a document is said, and where.
#[track_caller]
fn told(invalid: &Invalid) {
    let problems = invalid.problems();
    assert!((1..=limits::PROBLEMS).contains(&problems.len()), "{invalid}");
    assert!(problems.iter().all(|problem| !problem.message.is_empty()), "{invalid}");
    assert_eq!(invalid.json()["error"], "bad_request");
}

/// What is taken is given back, and taken again.
#[track_caller]
fn again<T>(given: &Value, parse: impl Fn(&[u8]) -> Result<T, Invalid>, value: fn(&T) -> &Value) {
    match parse(given.to_string().as_bytes()) {
        Ok(read) => assert_eq!(value(&read), given),
        Err(why) => panic!("{given} is refused: {why}"),
    }
}

#[test]
fn fuzz_jobs() {
    Corpus::of("jobs").run(|bytes| {
        match Document::parse(bytes) {
            Ok(document) => again(document.value(), Document::parse, Document::value),
            Err(invalid) => told(&invalid),
        }
        if let Err(invalid) = Start::parse(bytes) {
            told(&invalid);
        }
    });
}

#[test]
fn fuzz_pipelines() {
    Corpus::of("pipelines").run(|bytes| match Pipeline::parse(bytes) {
        Ok(pipeline) => {
            assert!((1..=limits::STEPS).contains(&pipeline.steps().len()));
            again(pipeline.value(), Pipeline::parse, Pipeline::value);
        }
        Err(invalid) => told(&invalid),
    });
}

#[test]
fn fuzz_schedules() {
    // The first of January 2026.
    const NOW: u64 = 1_767_225_600_000;
    Corpus::of("schedules").run(|bytes| match Schedule::parse(bytes) {
        Ok(schedule) => {
            again(schedule.value(), Schedule::parse, Schedule::value);
            let runs = schedule.next_runs(NOW, 3);
            assert!(runs.len() <= 3 && runs.is_sorted_by(|one, next| one < next), "{runs:?}");
            assert!(runs.iter().all(|run| *run > NOW), "{runs:?}");
        }
        Err(invalid) => told(&invalid),
    });
}

#[test]
fn fuzz_named_jobs() {
    Corpus::of("named_jobs").run(|bytes| match Config::parse("j", bytes) {
        Ok(config) => {
            assert_eq!(config.name, "j");
            if let Some(document) = config.usual() {
                again(document.value(), Document::parse, Document::value);
            }
        }
        Err(invalid) => told(&invalid),
    });
}

#[track_caller]
fn file(bytes: &[u8], syntax: Syntax) {
    let Some(text) = text(bytes) else { return };
    match Configs::parse(text, syntax) {
        Ok(read) => assert_eq!(Configs::parse(text, syntax), Ok(read)),
        Err(mistakes) => {
            // What ends too soon is noticed behind the last line; to YAML a carriage return ends one too.
            let lines = text.chars().filter(|c| ['\n', '\r'].contains(c)).count() + 2;
            assert!(!mistakes.all().is_empty());
            for mistake in mistakes.all() {
                let place = mistake.place;
                assert!((1..=lines).contains(&place.line) && place.column >= 1, "{mistake}");
                assert!(!mistake.message.is_empty(), "{mistake}");
            }
        }
    }
}

#[test]
fn fuzz_files_in_yaml() {
    Corpus::of("jobs_yaml").run(|bytes| file(bytes, Syntax::Yaml));
}

#[test]
fn fuzz_files_in_toml() {
    Corpus::of("jobs_toml").run(|bytes| file(bytes, Syntax::Toml));
}

#[test]
fn fuzz_urls_of_callbacks() {
    Corpus::of("urls").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        match Target::parse(given) {
            Ok(target) => {
                assert_eq!(target.url(), given);
                assert_eq!(target.is_https(), given.to_ascii_lowercase().starts_with("https:"));
                let Host::Name(name) = target.host() else { return };
                assert!((1..=253).contains(&name.len()) && name.is_ascii(), "{name}");
                // Nothing is allowed that nobody has listed.
                assert!(Allowed::default().check(&target).is_err());
            }
            Err(why) => assert!(!why.is_empty()),
        }
    });
}

#[test]
fn fuzz_allowed_callbacks() {
    Corpus::of("allowed").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        if let Err(invalid) = Allowed::parse(&[given]) {
            told(&invalid);
        }
    });
}

#[test]
fn fuzz_configuration() {
    let shown = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    Corpus::of("configuration").and_files(&shown).run(|bytes| {
        let Some(text) = text(bytes) else { return };
        let file = Some((Path::new("m.toml"), text));
        let sources = Sources { file, ..Sources::default() };
        if let Err(mistakes) = config::Config::load(&sources) {
            let config::Mistakes(all) = &mistakes;
            assert!(!all.is_empty());
            assert!(all.iter().all(|one| !one.place.is_empty() && !one.what.is_empty()));
        }
    });
}
