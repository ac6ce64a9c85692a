//! How far a query or a job is, on standard error while it is waited for.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use mapring_client::{Client, RunningQuery};
use tokio::time::{Instant, sleep_until};

use crate::limits;

/// See the module.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Whether it is shown where standard error is no terminal: as lines.
    lines: bool,
    last: String,
    next: Instant,
}

impl Progress {
    /// On a terminal, if that is not `quiet`; elsewhere when lines are asked for.
    pub(crate) fn new(quiet: bool, lines: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
        if let Ok(style) = ProgressStyle::with_template("{elapsed}  {bar:20}  {msg}") {
            bar.set_style(style);
        }
        let lines = lines && bar.is_hidden();
        let next = Instant::now() + limits::PROGRESS_EVERY;
        Self { bar, lines, last: String::new(), next }
    }

    /// Waits for something, and shows meanwhile how far the query is.
    pub(crate) async fn during<T>(
        &mut self,
        client: &Client,
        id: Option<&str>,
        waited: impl Future<Output = T>,
    ) -> T {
        let Some(id) = id.filter(|_| self.lines || !self.bar.is_hidden()) else {
            return waited.await;
        };
        tokio::pin!(waited);
        loop {
            tokio::select! {
                biased;
                done = &mut waited => return done,
                () = sleep_until(self.next) => {}
            }
            // Who does not answer that may still answer the query.
            let asked = tokio::time::timeout(limits::PROGRESS_PATIENCE, client.query(id));
            let told = tokio::select! {
                biased;
                done = &mut waited => return done,
                told = asked => told,
            };
            if let Ok(Ok(Some(query))) = told {
                self.show(&query);
            }
            self.next = Instant::now() + limits::PROGRESS_EVERY;
        }
    }

    fn show(&mut self, query: &RunningQuery) {
        let parts =
            |of: fn(&mapring_client::RunningPhase) -> u64| query.phases.iter().map(of).sum();
        let (done, of) = (parts(|phase| phase.partitions_done), parts(|phase| phase.partitions));
        self.tell(done, of, &text(query));
    }

    /// Shows how much is done, and some words.
    pub(crate) fn tell(&mut self, done: u64, of: u64, text: &str) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(text.to_owned());
        if self.lines && text != self.last {
            eprintln!("{text}");
            self.last = text.to_owned();
        }
    }

    /// Makes room for a line of results.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// One line.
fn text(query: &RunningQuery) -> String {
    if query.state == "waiting" {
        let wait = Duration::from_millis(query.age_ms).as_secs();
        return format!("waits for its turn, {wait} s");
    }
    let phases = query.phases.iter().filter(|phase| phase.inputs > 0 || phase.partitions_done > 0);
    let mut parts: Vec<String> = phases
        .map(|phase| {
            let mut text = format!("{} {} in", phase.kind, HumanCount(phase.inputs));
            if phase.partitions > 0 {
                text.push_str(&format!(" ({}/{})", phase.partitions_done, phase.partitions));
            }
            text
        })
        .collect();
    let counted = |name: &str| {
        let count = query.counters.get(name).copied().unwrap_or(0);
        u64::try_from(count).ok().filter(|count| *count > 0)
    };
    for (name, what) in [("io-read-bytes", "read"), ("shuffle-bytes", "of pairs")] {
        parts.extend(counted(name).map(|bytes| format!("{} {what}", HumanBytes(bytes))));
    }
    parts.extend(counted("groups").map(|groups| format!("{} groups", HumanCount(groups))));
    if parts.is_empty() { "begins".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use mapring_client::RunningPhase;

    use super::*;

    #[track_caller]
    fn check(state: &str, phases: &[(&str, u64, u64)], counters: &[(&str, i64)], expect: &str) {
        let phase = |(kind, inputs, partitions): &(&str, u64, u64)| RunningPhase {
            phase: 0,
            kind: (*kind).to_owned(),
            function: String::new(),
            inputs: *inputs,
            results: 0,
            partitions_done: partitions / 2,
            partitions: *partitions,
        };
        let query = RunningQuery {
            id: "1-1".into(),
            node: "n1".into(),
            state: state.into(),
            age_ms: 2_500,
            inputs_done: 0,
            phases: phases.iter().map(phase).collect(),
            counters: counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            query: String::new(),
        };
        assert_eq!(text(&query), expect);
    }

    #[test]
    fn progress_is_one_line() {
        check("waiting", &[], &[], "waits for its turn, 2 s");
        check("running", &[("map", 0, 1)], &[("groups", 0)], "begins");
        let phases = [("map", 12_000, 64), ("gather", 700, 8), ("reduce", 0, 0)];
        let counters =
            [("io-read-bytes", 3 << 20), ("shuffle-bytes", 2_048), ("groups", 5), ("mine", 1)];
        let expect = "map 12,000 in (32/64), gather 700 in (4/8), 3.00 MiB read, 2.00 KiB of pairs, \
                      5 groups";
        check("running", &phases, &counters, expect);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_keeps_nobody_waiting() {
        let client = Client::new("http://127.0.0.1:1").unwrap();
        let mut progress = Progress { lines: true, ..Progress::new(true, false) };
        let waited = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            7
        };
        assert_eq!(progress.during(&client, Some("1-1"), waited).await, 7);
        progress.finish();
    }
}
