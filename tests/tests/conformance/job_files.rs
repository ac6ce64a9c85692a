//! JO-19: files of named jobs with mistakes. Rows that need a file that the nodes read.

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::wire::{self, Request};

/// How long a node may take to look at a file that has changed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The file of named jobs of all nodes.
pub(crate) struct JobFile {
    directory: TempDir,
}

const GOOD: &str = "jobs:\n- name: kept\n  job: {inputs: b, query: []}\n";

/// What is wrong with a file, the file, and the mistakes that are told of it: place, member, a word.
const BAD: [(&str, &str, &[[&str; 3]]); 7] = [
    ("it is empty", "", &[["1:", "", "empty"]]),
    ("it has two documents", "jobs: []\n---\njobs: []\n", &[["2:", "", "second document"]]),
    (
        "a name is there twice",
        "jobs:\n- name: a\n  job: {inputs: b, query: []}\n- name: a\n  job: {inputs: b, query: []}\n",
        &[["4:", "jobs[1].name", "earlier"]],
    ),
    (
        "a job has no query",
        "jobs:\n- name: a\n  job:\n    inputs: b\n",
        &[["3:", "jobs[0].job.query", "required"]],
    ),
    (
        "a parameter has an odd name",
        "jobs:\n- name: a\n  params:\n  - name: $$Invalid$$\n  job: {inputs: b, query: []}\n",
        &[["4:", "jobs[0].params[0].name", "$$Invalid$$"]],
    ),
    (
        "there are several mistakes",
        "jobs:\n- name: a\n  job:\n    inputs: b\n    query: []\n    rate: -1\n    shard: 3\n- job: {}\n",
        &[
            ["6:", "jobs[0].job.rate", "number"],
            ["7:", "jobs[0].job.shard", "unknown"],
            ["8:", "jobs[1].name", "required"],
        ],
    ),
    ("it is no YAML", "jobs: [\n", &[["", "", ""]]),
];

impl JobFile {
    /// A file with one named job.
    pub(crate) fn good() -> Self {
        let directory = tempfile::Builder::new().prefix("mapring-jobs-").tempdir().unwrap();
        let file = Self { directory };
        file.write(GOOD);
        file
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> String {
        self.directory.path().join("jobs.yaml").to_str().unwrap().to_owned()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    /// Puts all rows to all servers, which keep the job that was there before, and tell of the mistakes.
    pub(crate) async fn check(&self, authorities: &[String]) {
        for (what, text, mistakes) in BAD {
            self.write(text);
            for authority in authorities {
                let told = listed(authority, what, |told| told["file_error"].is_string()).await;
                let error = told["file_error"].as_str().unwrap_or_default();
                for word in mistakes.iter().flatten() {
                    assert!(error.contains(word), "{what}: {error} has no {word:?}");
                }
                assert!(is_kept(&told), "{what}: {told}");
            }
            self.write(GOOD);
            for authority in authorities {
                let is_good = |told: &Value| told["file_error"].is_null() && is_kept(told);
                listed(authority, "it is mended", is_good).await;
            }
        }
    }
}

/// Whether the job of the good file is there, and none of others.
fn is_kept(told: &Value) -> bool {
    let from_file = told["configs"].as_array().into_iter().flatten();
    let mut from_file = from_file.filter(|config| config["from"] == "file");
    from_file.next().is_some_and(|config| config["name"] == "kept") && from_file.next().is_none()
}

/// The list of named jobs, once it is so.
async fn listed(authority: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = wire::send(authority, &Request::new("GET", "/job-configs")).await.unwrap();
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if is_so(&told) {
            return told;
        }
        assert!(began.elapsed() < PATIENCE, "{authority}: {what}: still {told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
