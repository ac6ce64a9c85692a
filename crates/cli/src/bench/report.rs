//! What was measured, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use super::usage::Used;
use crate::failure::{Failure, Outcome, print_line};
use crate::limits;

/// Times between these, in nanoseconds, are kept to three digits; longer ones count as the longest.
const TIMES: (u64, u64) = (1_000, 3_600_000_000_000);

/// What is told of a request that succeeded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answered {
    /// Bytes of the answer.
    pub(super) bytes: u64,
    /// When the first part came, for answers in parts.
    pub(super) first: Option<Duration>,
}

/// What came of the requests.
pub(super) struct Tally {
    /// Times of answers that came, in nanoseconds.
    times: Histogram<u64>,
    /// Times until the first part of answers that come in parts.
    firsts: Histogram<u64>,
    bytes: u64,
    /// By kind.
    errors: BTreeMap<String, u64>,
}

/// What happened, and what it took.
pub(super) struct Measurement {
    pub(super) tally: Tally,
    pub(super) elapsed: Duration,
    /// Or why it is not known.
    pub(super) used: Result<Used, String>,
    /// Processor time of this load generator.
    pub(super) own_time: Duration,
    /// Whether somebody ended it early.
    pub(super) interrupted: bool,
}

impl Tally {
    pub(super) fn new() -> Outcome<Self> {
        let histogram = || {
            Histogram::new_with_bounds(TIMES.0, TIMES.1, 3)
                .map_err(|error| Failure::failed(format!("no histogram: {error}")))
        };
        Ok(Self { times: histogram()?, firsts: histogram()?, bytes: 0, errors: BTreeMap::new() })
    }

    pub(super) fn add(&mut self, took: Duration, outcome: Result<Answered, String>) {
        match outcome {
            Ok(answered) => {
                self.times.saturating_record(nanoseconds(took));
                self.bytes += answered.bytes;
                if let Some(first) = answered.first {
                    self.firsts.saturating_record(nanoseconds(first));
                }
            }
            Err(error) => {
                let known =
                    self.errors.contains_key(&error) || self.errors.len() < limits::ERROR_KINDS;
                let kind = if known { error } else { "others".to_owned() };
                *self.errors.entry(kind).or_default() += 1;
            }
        }
    }

    /// Requests that were answered or failed.
    pub(super) fn requests(&self) -> u64 {
        self.times.len() + self.errors()
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The errors in one line.
    pub(super) fn errors_by_kind(&self) -> String {
        let kinds = self.errors.iter().map(|(kind, count)| format!("{count} × {kind}"));
        kinds.collect::<Vec<_>>().join(", ")
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Measurement {
    /// Prints it: as JSON together with `what` was asked, or for people under `title`. A request
    /// counts as `objects` objects.
    ///
    /// # Errors
    /// When it was interrupted, or nothing succeeded: what is printed is then not what was asked.
    pub(super) fn print(
        &self,
        json: bool,
        title: &str,
        what: Value,
        objects: Option<u64>,
    ) -> Outcome {
        if json {
            print_line(&self.to_json(what, objects).to_string())?;
        } else {
            print_line(self.text(title, objects).trim_end())?;
        }
        match self.tally.times.len() {
            _ if self.interrupted => Err(Failure::failed("interrupted")),
            0 => Err(Failure::failed(match self.tally.errors_by_kind() {
                errors if errors.is_empty() => "no request was answered in time".to_owned(),
                errors => format!("every request failed: {errors}"),
            })),
            _ => Ok(()),
        }
    }

    fn per_second(&self) -> f64 {
        self.tally.times.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Microseconds for each request, also for those that failed.
    fn micros_each(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.tally.requests().max(1) as f64
    }

    fn to_json(&self, what: Value, objects: Option<u64>) -> Value {
        let mut all = match what {
            Value::Object(what) => what,
            _ => Map::new(),
        };
        let tally = &self.tally;
        let mut add = |name: &str, value: Value| all.insert(name.to_owned(), value);
        add("seconds", json!(self.elapsed.as_secs_f64()));
        add("answered", json!(tally.times.len()));
        add("errors", json!(tally.errors()));
        add("errors_by_kind", json!(tally.errors));
        add("interrupted", json!(self.interrupted));
        add("per_second", json!(self.per_second()));
        add("answer_bytes", json!(tally.bytes));
        add("latency_us", micros(&tally.times));
        if !tally.firsts.is_empty() {
            add("first_part_us", micros(&tally.firsts));
        }
        add("generator_cpu_us_per_request", json!(self.micros_each(self.own_time.as_secs_f64())));
        match &self.used {
            Ok(used) => {
                let (node, workers) = (used.node_seconds(), used.workers_seconds());
                add("server_cpu_us_per_request", json!(self.micros_each(node + workers)));
                add("node_cpu_us_per_request", json!(self.micros_each(node)));
                add("workers_cpu_us_per_request", json!(self.micros_each(workers)));
                if let Some(objects) = objects {
                    let each = self.micros_each(node + workers) / objects as f64;
                    add("server_cpu_us_per_object", json!(each));
                }
                add("servers", used.to_json());
            }
            Err(error) => {
                add("server_cpu_unknown", json!(error));
            }
        }
        Value::Object(all)
    }

    fn text(&self, title: &str, objects: Option<u64>) -> String {
        let (tally, seconds) = (&self.tally, self.elapsed.as_secs_f64());
        let answered = HumanCount(tally.times.len());
        let mut text = format!(
            "{title}: {:.1} requests a second ({answered} in {seconds:.1} s)\n",
            self.per_second()
        );
        let mut line = |line: String| {
            let _ = writeln!(text, "{line}"); // Writing to a text cannot fail.
        };
        line(match tally.errors() {
            0 => "errors: none".to_owned(),
            errors => format!("errors: {}: {}", HumanCount(errors), tally.errors_by_kind()),
        });
        if !tally.times.is_empty() {
            line(format!("latency: {}", quantiles(&tally.times)));
        }
        if !tally.firsts.is_empty() {
            line(format!("first part: {}", quantiles(&tally.firsts)));
        }
        match &self.used {
            Ok(used) => {
                let [node, workers] = [used.node_seconds(), used.workers_seconds()]
                    .map(|seconds| self.micros_each(seconds));
                let both = node + workers;
                line(format!(
                    "servers: {both:.1} µs of processor time a request \
                     (nodes {node:.1}, script workers {workers:.1})"
                ));
                if let Some(objects) = objects {
                    line(format!("servers: {:.2} µs an object", both / objects as f64));
                }
            }
            Err(error) => line(format!("servers: their processor time is not known: {error}")),
        }
        let own = self.micros_each(self.own_time.as_secs_f64());
        line(format!("this load generator: {own:.1} µs a request"));
        text
    }
}

/// What is told of times, with the quantiles.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

fn micros(times: &Histogram<u64>) -> Value {
    let mut all = Map::new();
    for (name, quantile) in QUANTILES {
        all.insert(name.to_owned(), json!(times.value_at_quantile(quantile) as f64 / 1e3));
    }
    all.insert("max".to_owned(), json!(times.max() as f64 / 1e3));
    all.insert("mean".to_owned(), json!(times.mean() / 1e3));
    Value::Object(all)
}

fn quantiles(times: &Histogram<u64>) -> String {
    let millis = |nanoseconds: u64| format!("{:.2} ms", nanoseconds as f64 / 1e6);
    let mut parts: Vec<String> = QUANTILES
        .iter()
        .map(|(name, quantile)| format!("{name} {}", millis(times.value_at_quantile(*quantile))))
        .collect();
    parts.push(format!("max {}", millis(times.max())));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(answered: u64, errors: u64) -> Measurement {
        let mut tally = Tally::new().unwrap();
        for number in 1..=answered {
            tally.add(Duration::from_micros(number * 10), Ok(Answered { bytes: 3, first: None }));
        }
        for number in 0..errors {
            tally.add(Duration::ZERO, Err(format!("kind {number}")));
        }
        Measurement {
            tally,
            elapsed: Duration::from_secs(2),
            used: Ok(Used::default()),
            own_time: Duration::from_millis(1),
            interrupted: false,
        }
    }

    #[test]
    fn results_as_json() {
        let found = measurement(100, 1).to_json(json!({"kind": "kv"}), Some(10));
        assert_eq!(found["kind"], "kv");
        assert_eq!(found["per_second"], 50.0);
        assert_eq!((&found["answered"], &found["errors"]), (&json!(100), &json!(1)));
        assert_eq!(found["errors_by_kind"], json!({"kind 0": 1}));
        let p50 = found["latency_us"]["p50"].as_f64().unwrap();
        assert!((495.0..=505.0).contains(&p50), "{p50}");
        assert_eq!(found["server_cpu_us_per_object"], 0.0);
    }

    #[test]
    fn results_for_people() {
        let text = measurement(100, 2).text("get", None);
        assert!(text.starts_with("get: 50.0 requests a second (100 in 2.0 s)\n"), "{text}");
        assert!(text.contains("errors: 2: 1 × kind 0, 1 × kind 1\n"), "{text}");
        assert!(text.contains("max 1.00 ms"), "{text}");
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let tally = measurement(1, 100).tally;
        assert_eq!(tally.errors(), 100);
        assert_eq!(tally.errors.len(), limits::ERROR_KINDS + 1);
    }

    #[test]
    fn a_run_without_success_is_a_failure() {
        let found = measurement(0, 3);
        assert!(found.print(true, "get", json!({}), None).is_err());
    }
}
