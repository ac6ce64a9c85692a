//! The documents of `docs/examples/jobs` are what they say they are.

use serde_json::{Map, json};

use crate::{Configs, Document, Pipeline, Schedule, Start, Syntax};

macro_rules! example {
    ($name:literal) => {
        include_str!(concat!("../../../docs/examples/jobs/", $name))
    };
}

#[test]
fn jobs_are_jobs() {
    for job in [example!("lower-case-posts.json"), example!("several-buckets.json")] {
        let document = Document::parse(job.as_bytes()).unwrap();
        assert!(document.name().is_some());
        document.query(|_| unreachable!("it has no inputs of other jobs")).unwrap();
    }
}

#[test]
fn the_pipeline_is_two_steps() {
    let pipeline = Pipeline::parse(example!("random-strings.json").as_bytes()).unwrap();
    let steps: Vec<_> =
        pipeline.steps().iter().map(|step| (step.name.as_str(), &step.after[..])).collect();
    assert_eq!(steps, [("dedupe", &[][..]), ("index", &["dedupe".to_owned()])]);
}

#[test]
fn the_file_has_what_the_schedule_starts() {
    let configs = Configs::parse(example!("jobs.yaml"), Syntax::Yaml).unwrap();
    let schedule = Schedule::parse(example!("backfill-nightly.json").as_bytes()).unwrap();
    let Start::Config { name, params, .. } = schedule.start else { panic!("a document") };
    let config = configs.jobs.iter().find(|config| config.name == name).unwrap();
    let document = config.start(&params).unwrap();
    assert_eq!(document.value()["inputs"]["bucket"], "users");
    // The second is started with nothing said.
    let document = configs.jobs[1].start(&Map::new()).unwrap();
    assert_eq!(document.value()["inputs"]["filters"], json!([["active", "=", true]]));
}
