//! Logs to standard error, and metrics for Prometheus.

use std::io::IsTerminal;
use std::sync::OnceLock;

use mapring_types::{Error, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::limits;

/// The recorder is the process's: several nodes in one process share it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// How the names of histograms of times end.
const OF_SECONDS: &str = "_seconds";

/// Bounds of the buckets of times, in seconds: from a cached read to the longest query.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0];

/// Bounds of the buckets of all other histograms, which count: siblings, writes of one flush.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Sends log lines to standard error from now on. Only the first call of a process counts.
///
/// # Errors
/// `Invalid` when the filter cannot be read.
pub fn start_logging(config: &LogConfig) -> Result<()> {
    let filter = EnvFilter::builder()
        .parse(&config.level)
        .map_err(|error| Error::invalid("log.level").with_source(error))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell of a line that cannot be written by a macro that panics when it cannot write
        // either: a closed terminal or pipe would end whatever logs.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // It fails when there is a subscriber already, as in tests: then that one goes on.
    let _ = match config.format {
        LogFormat::Plain => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder, once in a process.
    ///
    /// # Errors
    /// `Internal` when another recorder is installed already.
    pub fn install() -> Result<Self> {
        if let Some(handle) = RECORDER.get() {
            return Ok(Self(handle.clone()));
        }
        let builder = PrometheusBuilder::new()
            .set_buckets(&COUNTS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix(OF_SECONDS.to_owned()), &SECONDS)
            })
            .map_err(|error| Error::internal("cannot set up metrics").with_source(error))?;
        let handle = match builder.install_recorder() {
            Ok(handle) => RECORDER.get_or_init(|| handle).clone(),
            // Two nodes of one process may start at once; the other one installed it.
            Err(error) => RECORDER
                .get()
                .ok_or_else(|| Error::internal("cannot install metrics").with_source(error))?
                .clone(),
        };
        metrics::describe_gauge!("mapring_build_info", "1, with the version as a label");
        metrics::gauge!("mapring_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self(handle))
    }

    /// The text that `/metrics` answers.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the histograms small for as long as it runs; never returns.
    pub async fn upkeep(&self) {
        let mut ticks = tokio::time::interval(limits::METRICS_UPKEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorder_is_installed_once_and_renders() {
        let first = Metrics::install().unwrap();
        let second = Metrics::install().unwrap();
        metrics::counter!("mapring_test_total").increment(2);
        for metrics in [first, second] {
            let text = metrics.render();
            assert!(text.contains("mapring_test_total 2"), "{text}");
            assert!(text.contains("mapring_build_info"), "{text}");
        }
    }

    #[track_caller]
    fn check_bounds(text: &str, metric: &str, expected: &[f64]) {
        let start = format!("{metric}_bucket{{le=\"");
        let bounds: Vec<f64> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&start)?.split_once('"'))
            .filter(|(bound, _)| *bound != "+Inf")
            .map(|(bound, _)| bound.parse().unwrap())
            .collect();
        assert_eq!(bounds, expected, "{text}");
    }

    #[test]
    fn times_and_counts_have_buckets_of_their_own() {
        let metrics = Metrics::install().unwrap();
        metrics::histogram!("mapring_test_wait_seconds").record(0.002);
        metrics::histogram!("mapring_test_siblings").record(3.0);
        let text = metrics.render();
        check_bounds(&text, "mapring_test_wait_seconds", &SECONDS);
        check_bounds(&text, "mapring_test_siblings", &COUNTS);
    }
}
