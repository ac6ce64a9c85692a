//! What clients did, and what they may therefore see.
//!
//! Each key has one writer, which does one thing after the other and leaves a key alone for ever
//! once it does not know what became of a write. So the states of a key form a sequence, and a query
//! may see the last one acknowledged before it began, or any that was begun since (invariant I5).

use std::collections::{BTreeMap, BTreeSet};

/// Moments are microseconds of simulated time.
pub(crate) type Moment = u64;

/// Everything that was written.
#[derive(Default)]
pub(crate) struct History {
    keys: BTreeMap<String, Vec<Write>>,
    /// Whose value a number is: every value is written once.
    owners: BTreeMap<u64, String>,
}

/// A write, or a delete when there is no value.
struct Write {
    value: Option<u64>,
    begun: Moment,
    acknowledged: Option<Moment>,
}

/// The span of a query or read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The last state acknowledged before this must be seen, or a later one.
    pub(crate) from: Moment,
    /// States begun after this cannot be seen.
    pub(crate) to: Moment,
}

impl History {
    /// A write begins. A value must not have been written before.
    pub(crate) fn begin(&mut self, key: &str, value: Option<u64>, begun: Moment) {
        if let Some(value) = value {
            self.owners.insert(value, key.to_owned());
        }
        let write = Write { value, begun, acknowledged: None };
        self.keys.entry(key.to_owned()).or_default().push(write);
    }

    /// The last write of a key has been acknowledged.
    pub(crate) fn acknowledge(&mut self, key: &str, at: Moment) {
        if let Some(write) = self.keys.get_mut(key).and_then(|writes| writes.last_mut()) {
            write.acknowledged = Some(at);
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.keys.keys()
    }

    /// What may be seen of a key; `None` stands for nothing.
    fn visible(&self, writes: &[Write], span: Span) -> BTreeSet<Option<u64>> {
        let settled = |write: &Write| write.acknowledged.is_some_and(|at| at < span.from);
        let base = writes.iter().rposition(settled);
        let first = base.and_then(|base| writes.get(base)).and_then(|write| write.value);
        let later = writes.iter().skip(base.map_or(0, |base| base + 1));
        let begun = later.filter(|write| write.begun <= span.to).map(|write| write.value);
        begun.chain([first]).collect()
    }

    /// Judges what somebody found of a key.
    pub(crate) fn judge_read(&self, key: &str, seen: Option<u64>, span: Span) -> Option<String> {
        let writes = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let visible = self.visible(writes, span);
        (!visible.contains(&seen)).then(|| format!("I1: {key} is {seen:?}, not one of {visible:?}"))
    }

    /// Judges the values that a query gave of all keys, or of some (I5).
    pub(crate) fn judge_values(
        &self,
        seen: &[u64],
        asked: Option<&BTreeSet<String>>,
        span: Span,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let mut by_key: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for value in seen {
            match self.owners.get(value) {
                Some(key) => by_key.entry(key).or_default().push(*value),
                None => faults.push(format!("I5: nobody ever wrote {value}")),
            }
        }
        let wanted = |key: &str| asked.is_none_or(|asked| asked.contains(key));
        let others = by_key.keys().filter(|key| !wanted(key));
        faults.extend(others.map(|key| format!("I5: nobody asked for {key}")));
        for (key, writes) in self.keys.iter().filter(|(key, _)| wanted(key)) {
            let visible = self.visible(writes, span);
            let found = by_key.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
            let fault = match found {
                [] if visible.contains(&None) => continue,
                [value] if visible.contains(&Some(*value)) => continue,
                [] => "is missing",
                [_] => "has a value that it must not have",
                _ => "is there more than once",
            };
            faults.push(format!("I5: {key} {fault}: {found:?}, not one of {visible:?}"));
        }
        faults
    }

    /// Judges a listing of keys: as [`Self::judge_values`], without the values.
    pub(crate) fn judge_keys(&self, seen: &[String], span: Span) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for key in seen {
            *counts.entry(key).or_default() += 1;
        }
        let mut faults: Vec<String> = counts
            .keys()
            .filter(|key| !self.keys.contains_key(**key))
            .map(|key| format!("I5: nobody ever wrote {key}"))
            .collect();
        for (key, writes) in &self.keys {
            let visible = self.visible(writes, span);
            let fault = match counts.get(key.as_str()).copied().unwrap_or(0) {
                0 if visible.contains(&None) => continue,
                1 if visible.iter().any(Option::is_some) => continue,
                0 => "is not listed",
                1 => "is listed, and does not exist",
                _ => "is listed more than once",
            };
            faults.push(format!("I5: {key} {fault}: one of {visible:?}"));
        }
        faults
    }

    /// Judges how many objects a query counted. Those that are deleted may be among them, as
    /// tombstones.
    pub(crate) fn judge_count(&self, seen: u64, span: Span) -> Option<String> {
        let (mut least, mut most) = (0, 0);
        for writes in self.keys.values() {
            least += u64::from(!self.visible(writes, span).contains(&None));
            most += u64::from(writes.iter().any(|write| write.begun <= span.to));
        }
        judge_total("counted", seen, least, most)
    }

    /// Judges what a query summed up.
    pub(crate) fn judge_sum(&self, seen: u64, span: Span) -> Option<String> {
        let (mut least, mut most) = (0, 0);
        for writes in self.keys.values() {
            let visible = self.visible(writes, span);
            let values = || visible.iter().map(|value| value.unwrap_or(0));
            least += values().min().unwrap_or(0);
            most += values().max().unwrap_or(0);
        }
        judge_total("summed up", seen, least, most)
    }
}

fn judge_total(verb: &str, seen: u64, least: u64, most: u64) -> Option<String> {
    (!(least..=most).contains(&seen))
        .then(|| format!("I5: a query {verb} {seen}, not {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` is 1 from 10 on and 2 at some time from 30; `b` is 5 from 20 and deleted from 50.
    fn history() -> History {
        let mut history = History::default();
        history.begin("a", Some(1), 5);
        history.acknowledge("a", 10);
        history.begin("b", Some(5), 15);
        history.acknowledge("b", 20);
        history.begin("a", Some(2), 30);
        history.begin("b", None, 40);
        history.acknowledge("b", 50);
        history
    }

    #[track_caller]
    fn check(from: Moment, to: Moment, seen: &[u64], faults: &[&str]) {
        let found = history().judge_values(seen, None, Span { from, to });
        assert_eq!(found.len(), faults.len(), "{found:?}");
        for (found, fault) in found.iter().zip(faults) {
            assert!(found.contains(fault), "{found} for {fault}");
        }
    }

    #[test]
    fn queries_are_judged_key_by_key() {
        check(0, 4, &[], &[]);
        check(25, 28, &[1, 5], &[]);
        check(25, 28, &[5, 1], &[]);
        check(25, 28, &[1], &["b is missing"]);
        check(25, 28, &[1, 1, 5], &["a is there more than once"]);
        check(25, 28, &[2, 5], &["a has a value that it must not"]);
        check(25, 28, &[1, 5, 99], &["nobody ever wrote 99"]);
        // During changes, and for ever after one of unknown end, both states are right, …
        check(25, 35, &[2, 5], &[]);
        check(60, 99, &[1], &[]);
        check(60, 99, &[2], &[]);
        check(35, 45, &[1], &[]);
        // … but never both at once, and never none.
        check(60, 99, &[1, 2], &["a is there more than once"]);
        check(60, 99, &[], &["a is missing"]);
        check(60, 99, &[1, 5], &["b has a value"]);
        // While it is first written an object may be there or not.
        check(7, 9, &[], &[]);
        check(7, 9, &[1], &[]);
    }

    #[test]
    fn a_query_for_some_keys_is_about_those_alone() {
        let (asked, span) = (["a".to_owned()].into(), Span { from: 25, to: 28 });
        let judge = |seen: &[u64]| history().judge_values(seen, Some(&asked), span);
        assert_eq!(judge(&[1]), Vec::<String>::new());
        assert_eq!(judge(&[]).len(), 1);
        assert_eq!(judge(&[1, 5]), ["I5: nobody asked for b"]);
    }

    #[test]
    fn totals_are_judged_by_what_is_possible() {
        let history = history();
        let during = Span { from: 35, to: 45 };
        assert!((1..=2).all(|count| history.judge_count(count, during).is_none()));
        assert!(history.judge_count(0, during).is_some());
        assert!(history.judge_count(3, during).is_some());
        assert!(history.judge_sum(7, during).is_none());
        assert!(history.judge_sum(8, during).is_some());
        let after = Span { from: 60, to: 70 };
        assert!(history.judge_sum(2, after).is_none());
        assert!(history.judge_sum(6, after).is_some());
    }

    #[test]
    fn reads_and_listings_are_judged() {
        let history = history();
        let after = Span { from: 60, to: 70 };
        assert_eq!(history.judge_read("b", None, after), None);
        assert!(history.judge_read("b", Some(5), after).is_some());
        assert_eq!(history.judge_keys(&["a".into()], after), Vec::<String>::new());
        let faults = history.judge_keys(&["b".into(), "c".into()], after);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
