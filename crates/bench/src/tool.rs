//! `mapring bench` as a process of its own: the same load generator for all that is compared.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::outcome::Outcome;
use crate::plan::{CONNECTIONS, KEYS, Plan, VALUE_BYTES};

/// The program that is measured, and measures.
pub(crate) struct Tool {
    pub(crate) program: PathBuf,
}

/// What came of one load.
pub(crate) struct Run(Value);

/// What came of several.
#[derive(Default)]
pub(crate) struct Runs(Vec<Run>);

impl Tool {
    pub(crate) fn new(program: PathBuf) -> Outcome<Self> {
        if !program.is_file() {
            return Err(format!("there is no program {}", program.display()).into());
        }
        Ok(Self { program })
    }

    /// Stores objects under each of so many keys, in a bucket with so many replicas.
    pub(crate) async fn fill(
        &self,
        urls: &str,
        bucket: &str,
        n_val: u64,
        objects: u64,
    ) -> Outcome<Run> {
        self.fill_with(urls, bucket, n_val, objects, &[]).await
    }

    /// The same with headers, as `mapring bench` takes them.
    pub(crate) async fn fill_with(
        &self,
        urls: &str,
        bucket: &str,
        n_val: u64,
        objects: u64,
        headers: &[&str],
    ) -> Outcome<Run> {
        let [n_val, objects, bytes] =
            [n_val, objects, VALUE_BYTES].map(|number| number.to_string());
        let arguments = [
            "kv",
            "--op",
            "fill",
            "--bucket",
            bucket,
            "--n-val",
            &n_val,
            "--keys",
            &objects,
            "--value-size",
            &bytes,
            "--connections",
            "64",
            "--url",
            urls,
        ];
        let run = self.run(&[&arguments, flags(headers).as_slice()].concat()).await?;
        if run.errors() > 0.0 {
            return Err(format!("not all of {bucket} could be stored").into());
        }
        Ok(run)
    }

    /// One turn of reads or writes.
    pub(crate) async fn kv(&self, plan: &Plan, urls: &str, op: &str, bucket: &str) -> Outcome<Run> {
        self.kv_with(plan, urls, op, bucket, &[]).await
    }

    /// The same with headers, as `mapring bench` takes them.
    pub(crate) async fn kv_with(
        &self,
        plan: &Plan,
        urls: &str,
        op: &str,
        bucket: &str,
        headers: &[&str],
    ) -> Outcome<Run> {
        self.kv_more(plan, urls, op, bucket, &flags(headers)).await
    }

    /// The same with more flags of `mapring bench kv`.
    pub(crate) async fn kv_more(
        &self,
        plan: &Plan,
        urls: &str,
        op: &str,
        bucket: &str,
        more: &[&str],
    ) -> Outcome<Run> {
        let [keys, bytes] = [KEYS, VALUE_BYTES].map(|number| number.to_string());
        let connections = CONNECTIONS.to_string();
        let [warm_up, duration] =
            [plan.warm_up, plan.duration].map(|time| time.as_secs_f64().to_string());
        let arguments = [
            "kv",
            "--op",
            op,
            "--no-fill",
            "--bucket",
            bucket,
            "--keys",
            &keys,
            "--value-size",
            &bytes,
            "--connections",
            &connections,
            "--url",
            urls,
            "--warm-up",
            &warm_up,
            "--duration",
            &duration,
        ];
        self.run(&[&arguments, more].concat()).await
    }

    /// One turn of a query over so many objects.
    pub(crate) async fn query(
        &self,
        plan: &Plan,
        url: &str,
        query: &str,
        objects: u64,
        more: &[&str],
    ) -> Outcome<Run> {
        let objects = objects.to_string();
        let [warm_up, duration] =
            [plan.warm_up, plan.duration].map(|time| time.as_secs_f64().to_string());
        let arguments = [
            "mapred",
            "--text",
            query,
            "--objects",
            &objects,
            "--url",
            url,
            "--warm-up",
            &warm_up,
            "--duration",
            &duration,
        ];
        self.run(&[&arguments, more].concat()).await
    }

    async fn run(&self, arguments: &[&str]) -> Outcome<Run> {
        let output = Command::new(&self.program)
            .arg("bench")
            .args(arguments)
            .args(["--json", "--quiet"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(format!("mapring bench {}: {words}", arguments.join(" ")).into());
        }
        Ok(Run(serde_json::from_slice(&output.stdout)?))
    }
}

/// The flags of headers.
fn flags<'a>(headers: &[&'a str]) -> Vec<&'a str> {
    headers.iter().flat_map(|header| ["--header", header]).collect()
}

impl Run {
    /// A number of the result, by its JSON pointer; not a number where it is not told.
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        self.0.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    pub(crate) fn errors(&self) -> f64 {
        self.number("/errors")
    }

    /// Each server with its processor time, node and workers, in microseconds a request.
    pub(crate) fn servers(&self) -> Vec<(String, f64)> {
        let servers = self.0.get("servers").and_then(Value::as_array);
        let one = |server: &Value| {
            let address = server.get("address")?.as_str()?.to_owned();
            let seconds = |name: &str| server.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
            let both = seconds("node_cpu_seconds") + seconds("workers_cpu_seconds");
            Some((address, both * 1e6 / self.number("/answered")))
        };
        servers.into_iter().flatten().filter_map(one).collect()
    }
}

impl Runs {
    pub(crate) fn push(&mut self, run: Run) {
        self.0.push(run);
    }

    /// The median of a number.
    pub(crate) fn median(&self, pointer: &str) -> f64 {
        self.median_of(|run| run.number(pointer))
    }

    pub(crate) fn median_of(&self, number: impl Fn(&Run) -> f64) -> f64 {
        median(self.0.iter().map(number))
    }

    /// All requests that failed.
    pub(crate) fn errors(&self) -> f64 {
        self.0.iter().map(Run::errors).sum()
    }
}

/// The middle one of some numbers; not a number when there is none.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    if sorted.len().is_multiple_of(2) && half > 0 {
        (at(half - 1) + at(half)) / 2.0
    } else {
        at(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (numbers, expected) in [(&[3.0][..], 3.0), (&[5.0, 1.0, 2.0], 2.0), (&[4.0, 1.0], 2.5)]
        {
            assert_eq!(median(numbers.iter().copied()), expected);
        }
        assert!(median(std::iter::empty()).is_nan());
    }
}
