//! What clients know of the jobs that they have started.

use std::collections::BTreeMap;

use mapring_runner::JobDetail;
use parking_lot::Mutex;
use serde_json::Value;

use crate::orders::{Expected, Order};
use crate::storage;

/// See the module: jobs that were accepted, by their ids.
#[derive(Default)]
pub(crate) struct Book(Mutex<BTreeMap<String, Entry>>);

/// A job that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) order: Order,
    /// How often it was asked for until then, and since.
    pub(crate) attempts: u64,
    /// Whether somebody has asked for its end.
    pub(crate) aborted: bool,
    /// Whether somebody has asked for its removal.
    pub(crate) removed: bool,
    /// Whether anything was wrong from when it was accepted until its end was seen.
    pub(crate) disturbed: bool,
    /// How it has ended, as a client was told.
    pub(crate) status: Option<String>,
}

impl Book {
    /// A job was accepted after so many attempts.
    pub(crate) fn accept(&self, id: &str, order: &Order, attempts: u64) {
        let order = order.clone();
        let entry = Entry {
            order,
            attempts,
            aborted: false,
            removed: false,
            disturbed: true,
            status: None,
        };
        self.0.lock().insert(id.to_owned(), entry);
    }

    pub(crate) fn change(&self, id: &str, how: impl FnOnce(&mut Entry)) {
        self.0.lock().get_mut(id).map(how);
    }

    pub(crate) fn get(&self, id: &str) -> Option<Entry> {
        self.0.lock().get(id).cloned()
    }

    pub(crate) fn all(&self) -> BTreeMap<String, Entry> {
        self.0.lock().clone()
    }
}

impl Entry {
    /// What is wrong with what is shown of the job when it has ended.
    pub(crate) fn check_end(&self, detail: &JobDetail) -> Vec<String> {
        let JobDetail { result_status, error, counters, .. } = detail;
        let status = result_status.as_deref().unwrap_or("no end");
        let mut faults = Vec::new();
        match status {
            "success" => {}
            "aborted" if self.aborted => return faults,
            // That is final, and may be of a single node.
            "failed" if cannot_be_read(error.as_ref()) => return faults,
            _ => return vec![format!("it has ended with {status}: {error:?}")],
        }
        if self.status.as_deref().is_some_and(|before| before != status) {
            faults.push(format!("it has ended with {:?}, and then with {status}", self.status));
        }
        let Expected { counters: expected, .. } = self.order.expected(&detail.id);
        for (name, count) in expected {
            let counted = counters.get(&name).copied().unwrap_or(0);
            if counted != count {
                faults.push(format!("it has counted {counted} {name}, not {count}"));
            }
        }
        faults
    }

    /// What is wrong with its results.
    pub(crate) fn check_rows(&self, id: &str, mut rows: Vec<String>) -> Option<String> {
        rows.sort();
        let expected = self.order.expected(id).rows;
        if rows == expected {
            return None;
        }
        let count = |row: &String| rows.iter().filter(|known| *known == row).count();
        let wanted = |row: &String| expected.iter().filter(|known| *known == row).count();
        let mut strange: Vec<&String> =
            rows.iter().chain(&expected).filter(|row| count(row) != wanted(row)).collect();
        strange.dedup();
        let first = strange.first().map(|row| (*row, count(row), wanted(row)));
        Some(format!(
            "each input once: it has given {} results, not {}: {first:?} times",
            rows.len(),
            expected.len()
        ))
    }
}

/// Whether a job has failed because a disk refused to be read for what it wrote.
fn cannot_be_read(error: Option<&Value>) -> bool {
    let said = error.and_then(|error| error["error"].as_str());
    said.is_some_and(|said| said.ends_with(storage::UNREADABLE))
}
