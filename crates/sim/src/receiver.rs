//! The receiver of callbacks, in place of one on the network: hears of the ends of jobs and pipelines, but is
//! busy now and then, and not always does the sender learn that it was heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_cluster::JobResult;
use mapring_runner::Courier;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::limits;
use crate::random::Random;
use crate::trace::Trace;

/// Where callbacks go: nothing is ever sent there by the network.
pub(crate) const URL: &str = "http://127.0.0.1:9/ended";

/// See the module.
pub(crate) struct Receiver {
    trace: Arc<Trace>,
    ledger: Arc<Ledger>,
    random: Random,
    heard: Mutex<BTreeMap<String, Heard>>,
}

/// What came of a job or a pipeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// How often its end was heard of.
    times: u64,
    /// Of these, how often the sender did not learn it.
    unanswered: u64,
    /// How often it was not heard.
    refused: u64,
}

impl Receiver {
    pub(crate) fn new(trace: Arc<Trace>, ledger: Arc<Ledger>, random: Random) -> Self {
        Self { trace, ledger, random, heard: Mutex::default() }
    }

    /// What is wrong with how often the end of a job or pipeline was heard of: at least once, unless it was
    /// refused until the sender had to give up; and not again where nothing was `disturbed`.
    pub(crate) fn check(&self, id: &str, disturbed: bool) -> Option<String> {
        self.heard.lock().get(id).copied().unwrap_or_default().check(disturbed)
    }

    async fn on_its_way(&self) {
        sleep(Duration::from_millis(self.random.within(limits::CALLBACK_MS))).await;
    }

    fn note(&self, id: &str, how: impl FnOnce(&mut Heard)) {
        how(self.heard.lock().entry(id.to_owned()).or_default());
    }

    /// What is said of an end must be what was decided, before.
    fn hear(&self, id: &str, said: &Value) {
        self.note(id, |heard| heard.times += 1);
        let told = said["result_status"].as_str().unwrap_or_default();
        self.trace.note(format!("the receiver hears of {id}: {told}"));
        let decided = self.ledger.known(id).result.map(|result| match result {
            JobResult::Success => "success",
            JobResult::Failed => "failed",
            JobResult::Aborted => "aborted",
        });
        if decided != Some(told) {
            let what = format!("callbacks: {id} is said to be {told}, and is {decided:?}");
            self.trace.violation(what);
        }
    }
}

#[async_trait]
impl Courier for Receiver {
    async fn bring(&self, _url: &str, id: &str, body: &Bytes) -> Result<(), String> {
        self.on_its_way().await;
        if self.random.per_mille(limits::BUSY_RECEIVER) {
            self.note(id, |heard| heard.refused += 1);
            return Err("is answered with 503".to_owned());
        }
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        self.hear(id, &said);
        if self.random.per_mille(limits::SILENT_RECEIVER) {
            self.note(id, |heard| heard.unanswered += 1);
            return Err("is broken off".to_owned());
        }
        self.on_its_way().await;
        Ok(())
    }
}

impl Heard {
    fn check(self, disturbed: bool) -> Option<String> {
        let Self { times, unanswered, refused } = self;
        let attempts = u64::from(mapring_runner::limits::CALLBACK_ATTEMPTS);
        if times == 0 && refused < attempts {
            return Some(format!("nobody is told of its end: {refused} attempts"));
        }
        let again = times.saturating_sub(unanswered) > 1;
        (again && !disturbed).then(|| format!("its end is told {times} times"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_to_be_heard_of_once() {
        for (times, unanswered, refused, disturbed, fault) in [
            (1, 0, 0, false, None),
            (1, 1, 3, false, None),
            (2, 1, 0, false, None),
            (2, 0, 0, true, None),
            (2, 0, 0, false, Some("its end is told 2 times")),
            (0, 0, 0, true, Some("nobody is told of its end: 0 attempts")),
            (0, 0, 8, false, None),
        ] {
            let found = Heard { times, unanswered, refused }.check(disturbed);
            assert_eq!(found.as_deref(), fault);
        }
    }
}
