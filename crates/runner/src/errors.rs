//! Inputs of a job that failed or were left out: the newest of them.

use std::collections::VecDeque;

use crate::limits;
use crate::report::{JobErrorEntry, JobErrors};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    /// The newest last.
    entries: VecDeque<JobErrorEntry>,
    bytes: usize,
    left_out: u64,
    /// How many of the oldest are of a run that is gone on with: it may come by their inputs once more.
    of_before: usize,
    /// Goes up with each change.
    pub(crate) changes: u64,
}

impl Errors {
    /// Goes on with those that were stored before.
    pub(crate) fn of(stored: JobErrors) -> Self {
        let mut errors = Self { left_out: stored.left_out, ..Self::default() };
        stored.errors.into_iter().rev().for_each(|entry| errors.add(entry));
        errors.changes = 0;
        errors
    }

    /// A run begins that goes on from where the one before stood.
    pub(crate) fn go_on(&mut self) {
        self.of_before = self.entries.len();
    }

    /// A run begins that comes by all inputs once more.
    pub(crate) fn begin_anew(&mut self) {
        let was_empty = self.entries.is_empty() && self.left_out == 0;
        let changes = self.changes + u64::from(!was_empty);
        *self = Self { changes, ..Self::default() };
    }

    /// Adds one, unless the run before had it already.
    pub(crate) fn add(&mut self, entry: JobErrorEntry) {
        let mut before = self.entries.iter().take(self.of_before);
        if before.any(|known| is_same(known, &entry)) {
            return;
        }
        self.changes += 1;
        self.bytes += bytes(&entry);
        self.entries.push_back(entry);
        while self.entries.len() > limits::ERRORS || self.bytes > limits::ERRORS_BYTES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= bytes(&oldest);
            self.of_before = self.of_before.saturating_sub(1);
            self.left_out += 1;
        }
    }

    pub(crate) fn shown(&self) -> JobErrors {
        JobErrors { errors: self.entries.iter().rev().cloned().collect(), left_out: self.left_out }
    }
}

fn is_same(known: &JobErrorEntry, entry: &JobErrorEntry) -> bool {
    (known.phase, &known.input, &known.error) == (entry.phase, &entry.input, &entry.error)
}

fn bytes(entry: &JobErrorEntry) -> usize {
    let texts = [&entry.input, &entry.kind, &entry.stack].into_iter().flatten();
    size_of::<JobErrorEntry>() + entry.error.len() + texts.map(String::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize, bytes: usize) -> JobErrorEntry {
        JobErrorEntry {
            error: format!("{number}{}", "x".repeat(bytes)),
            ..JobErrorEntry::default()
        }
    }

    #[test]
    fn the_newest_are_kept() {
        let mut errors = Errors::default();
        (0..limits::ERRORS + 5).for_each(|number| errors.add(entry(number, 0)));
        let shown = errors.shown();
        assert_eq!((shown.errors.len(), shown.left_out), (limits::ERRORS, 5));
        assert_eq!(shown.errors[0].error, (limits::ERRORS + 4).to_string());
        let again = Errors::of(shown.clone());
        assert_eq!((again.shown(), again.changes), (shown, 0));
        errors.add(entry(0, limits::ERRORS_BYTES - 1_000));
        assert!(errors.shown().errors.len() < 20, "bytes are bounded as well");
    }

    #[test]
    fn what_another_run_comes_by_once_more_is_shown_once() {
        let shown = |errors: &Errors| -> Vec<String> {
            errors.shown().errors.into_iter().map(|entry| entry.error).collect()
        };
        let mut errors = Errors::default();
        errors.begin_anew();
        assert_eq!(errors.changes, 0, "nothing is to be stored");
        (0..3).for_each(|number| errors.add(entry(number, 0)));
        // The first run may have the same twice.
        errors.add(entry(2, 0));
        assert_eq!(shown(&errors), ["2", "2", "1", "0"]);
        let mut errors = Errors::of(errors.shown());
        errors.go_on();
        let later = |number| JobErrorEntry { time_ms: 9, ..entry(number, 0) };
        (1..5).for_each(|number| errors.add(later(number)));
        errors.add(JobErrorEntry { phase: Some(1), ..entry(0, 0) });
        assert_eq!(shown(&errors), ["0", "4", "3", "2", "2", "1", "0"]);
        assert_eq!(errors.changes, 3);
        errors.begin_anew();
        assert_eq!((shown(&errors).len(), errors.changes), (0, 4), "that is to be stored");
        errors.add(entry(1, 0));
        assert_eq!(shown(&errors), ["1"]);
    }
}
