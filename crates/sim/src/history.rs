//! What clients did, and what they may therefore see.
//!
//! Each key has one writer, which does one thing after the other and leaves a key alone for ever
//! once it does not know what became of a write. So the states of a key form a sequence, and a query
//! may see the last one acknowledged before it began, or any that was begun since (invariant I5).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

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

/// How many times a key is asked for.
pub(crate) type Times<'a> = &'a dyn Fn(&str) -> usize;

/// Whether a query must give everything that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It must.
    All,
    /// It ends early.
    Part,
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

    /// What was acknowledged after `since` may be lost: what became of it is not known.
    pub(crate) fn forgive(&mut self, since: Moment) {
        for write in self.keys.values_mut().flatten() {
            write.acknowledged = write.acknowledged.filter(|at| *at <= since);
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

    /// Checks what somebody found of a key.
    pub(crate) fn check_read(&self, key: &str, seen: Option<u64>, span: Span) -> Option<String> {
        let writes = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let visible = self.visible(writes, span);
        (!visible.contains(&seen)).then(|| format!("I1: {key} is {seen:?}, not one of {visible:?}"))
    }

    /// The values that a query gave, by the keys that they were written to, and a fault for each
    /// that nobody wrote.
    fn by_key(&self, seen: &[u64]) -> (BTreeMap<&str, Vec<u64>>, Vec<String>) {
        let (mut by_key, mut faults) = (BTreeMap::<&str, Vec<u64>>::new(), Vec::new());
        for value in seen {
            match self.owners.get(value) {
                Some(key) => by_key.entry(key).or_default().push(*value),
                None => faults.push(format!("I5: nobody ever wrote {value}")),
            }
        }
        (by_key, faults)
    }

    /// Checks the values that a query gave of objects that are asked for so many times each (I5).
    /// While an object is deleted or not yet there, it may be met fewer times.
    pub(crate) fn check_values(
        &self,
        seen: &[u64],
        times: Times<'_>,
        whole: Whole,
        span: Span,
    ) -> Vec<String> {
        let (by_key, mut faults) = self.by_key(seen);
        let others = by_key.keys().filter(|key| times(key) == 0);
        faults.extend(others.map(|key| format!("I5: nobody asked for {key}")));
        for (key, writes) in &self.keys {
            let times = times(key);
            let visible = self.visible(writes, span);
            let found = by_key.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
            let may_lack = whole == Whole::Part || visible.contains(&None);
            let fault = if found.len() > times {
                "is there more than once"
            } else if found.iter().any(|value| !visible.contains(&Some(*value))) {
                "has a value that it must not have"
            } else if found.len() < times && !may_lack {
                "is missing"
            } else {
                continue;
            };
            if times > 0 {
                faults.push(format!("I5: {key} {fault}: {found:?}, not one of {visible:?}"));
            }
        }
        faults
    }

    /// Checks the values of objects that are asked for by an index that has each object's value as
    /// its term: one that changes meanwhile may be met under old values, new ones or both.
    pub(crate) fn check_terms(
        &self,
        seen: &[u64],
        times: Times<'_>,
        range: RangeInclusive<u64>,
        span: Span,
    ) -> Vec<String> {
        let (by_key, mut faults) = self.by_key(seen);
        let others = by_key.keys().filter(|key| times(key) == 0);
        faults.extend(others.map(|key| format!("I5: nobody asked for {key}")));
        for (key, writes) in &self.keys {
            let visible = self.visible(writes, span);
            let found = by_key.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
            let mut once = BTreeSet::new();
            let right = |value: u64| visible.contains(&Some(value)) && range.contains(&value);
            let fault = if found.iter().any(|value| !right(*value)) {
                "is met with a value that it must not have"
            } else if found.iter().any(|value| !once.insert(*value)) {
                "is met twice with one value"
            } else if times(key) > 0 && found.is_empty() && must_be_met(&visible, &range) {
                "is not met"
            } else {
                continue;
            };
            faults.push(format!("I5: {key} {fault}: {found:?}, one of {visible:?}"));
        }
        faults
    }

    /// The same where names are given.
    pub(crate) fn check_term_keys(
        &self,
        seen: &[String],
        range: RangeInclusive<u64>,
        span: Span,
    ) -> Vec<String> {
        let (counts, mut faults) = self.counts(seen);
        for (key, writes) in &self.keys {
            let visible = self.visible(writes, span);
            let within = visible.iter().flatten().filter(|value| range.contains(*value)).count();
            let fault = match counts.get(key.as_str()).copied().unwrap_or(0) {
                found if found > within => "is met too often",
                0 if must_be_met(&visible, &range) => "is not met",
                _ => continue,
            };
            faults.push(format!("I5: {key} {fault}: one of {visible:?}"));
        }
        faults
    }

    /// How often each key is named, and a fault for each that nobody wrote.
    fn counts<'a>(&self, seen: &'a [String]) -> (BTreeMap<&'a str, usize>, Vec<String>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for key in seen {
            *counts.entry(key).or_default() += 1;
        }
        let strange = counts.keys().filter(|key| !self.keys.contains_key(**key));
        let faults = strange.map(|key| format!("I5: nobody ever wrote {key}")).collect();
        (counts, faults)
    }

    /// Checks names of objects: as [`Self::check_values`], without the values.
    pub(crate) fn check_keys(&self, seen: &[String], times: Times<'_>, span: Span) -> Vec<String> {
        let (counts, mut faults) = self.counts(seen);
        for (key, writes) in &self.keys {
            let visible = self.visible(writes, span);
            let (found, times) = (counts.get(key.as_str()).copied().unwrap_or(0), times(key));
            let fault = if found > 0 && times == 0 {
                "is listed, and nobody asked for it"
            } else if found > times {
                "is listed more than once"
            } else if found > 0 && visible.iter().all(Option::is_none) {
                "is listed, and does not exist"
            } else if found < times && !visible.contains(&None) {
                "is not listed"
            } else {
                continue;
            };
            faults.push(format!("I5: {key} {fault}: one of {visible:?}"));
        }
        faults
    }

    /// How many objects a query finds at least and at most. With tombstones those that are deleted
    /// may be among them.
    pub(crate) fn bounds(&self, times: Times<'_>, tombstones: bool, span: Span) -> (u64, u64) {
        let (mut least, mut most) = (0, 0);
        for (key, writes) in &self.keys {
            let visible = self.visible(writes, span);
            let times = times(key) as u64;
            least += if visible.contains(&None) { 0 } else { times };
            let there = visible.iter().any(Option::is_some);
            most += if there || (tombstones && was_deleted(writes, span)) { times } else { 0 };
        }
        (least, most)
    }

    /// How many tombstones a query may find.
    pub(crate) fn tombstones(&self, times: Times<'_>, span: Span) -> u64 {
        let deleted = self.keys.iter().filter(|(_, writes)| was_deleted(writes, span));
        deleted
            .filter(|(_, writes)| self.visible(writes, span).contains(&None))
            .map(|(key, _)| times(key) as u64)
            .sum()
    }

    /// Checks what a query summed up.
    pub(crate) fn check_sum(&self, seen: u64, times: Times<'_>, span: Span) -> Option<String> {
        let (mut least, mut most) = (0, 0);
        for (key, writes) in &self.keys {
            let visible = self.visible(writes, span);
            let values = || visible.iter().map(|value| value.unwrap_or(0));
            least += times(key) as u64 * values().min().unwrap_or(0);
            most += times(key) as u64 * values().max().unwrap_or(0);
        }
        check_total("summed up", seen, (least, most))
    }
}

/// Whether somebody had begun to delete an object.
fn was_deleted(writes: &[Write], span: Span) -> bool {
    writes.iter().any(|write| write.value.is_none() && write.begun <= span.to)
}

/// Whether an object did not change meanwhile and has a term of a range.
fn must_be_met(visible: &BTreeSet<Option<u64>>, range: &RangeInclusive<u64>) -> bool {
    let within = |value: &Option<u64>| value.is_some_and(|value| range.contains(&value));
    visible.len() == 1 && visible.iter().all(within)
}

/// Checks a number that must lie between two.
pub(crate) fn check_total(verb: &str, seen: u64, (least, most): (u64, u64)) -> Option<String> {
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
        let found = history().check_values(seen, &|_| 1, Whole::All, Span { from, to });
        assert_eq!(found.len(), faults.len(), "{found:?}");
        for (found, fault) in found.iter().zip(faults) {
            assert!(found.contains(fault), "{found} for {fault}");
        }
    }

    #[test]
    fn queries_are_checked_key_by_key() {
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
        let span = Span { from: 25, to: 28 };
        let times = |key: &str| usize::from(key == "a");
        let check = |seen: &[u64]| history().check_values(seen, &times, Whole::All, span);
        assert_eq!(check(&[1]), Vec::<String>::new());
        assert_eq!(check(&[]).len(), 1);
        assert_eq!(check(&[1, 5]), ["I5: nobody asked for b"]);
    }

    #[test]
    fn totals_are_checked_by_what_is_possible() {
        let history = history();
        let during = Span { from: 35, to: 45 };
        assert_eq!(history.bounds(&|_| 1, false, during), (1, 2));
        assert_eq!(history.bounds(&|_| 3, false, during), (3, 6));
        assert_eq!(history.tombstones(&|_| 1, during), 1);
        assert!(history.check_sum(7, &|_| 1, during).is_none());
        assert!(history.check_sum(8, &|_| 1, during).is_some());
        let after = Span { from: 60, to: 70 };
        assert_eq!(history.bounds(&|_| 1, false, after), (1, 1));
        assert_eq!(history.bounds(&|_| 1, true, after), (1, 2));
        assert!(history.check_sum(2, &|_| 1, after).is_none());
        assert!(history.check_sum(6, &|_| 1, after).is_some());
        assert!(check_total("gave", 3, (1, 2)).is_some_and(|fault| fault.contains("1 to 2")));
    }

    #[test]
    fn what_is_asked_for_twice_is_met_twice() {
        let check = |whole, from, to, seen: &[u64]| {
            history().check_values(seen, &|_| 2, whole, Span { from, to })
        };
        assert_eq!(check(Whole::All, 25, 28, &[1, 5, 1, 5]), Vec::<String>::new());
        assert_eq!(check(Whole::All, 25, 28, &[1, 5, 1]).len(), 1);
        assert_eq!(check(Whole::Part, 25, 28, &[1, 5, 1]), Vec::<String>::new());
        assert_eq!(check(Whole::Part, 25, 28, &[1, 1, 1]).len(), 1);
        // Each time with a value of its own.
        assert_eq!(check(Whole::All, 35, 45, &[1, 2, 5]), Vec::<String>::new());
    }

    #[test]
    fn terms_that_change_are_met_as_they_were_or_as_they_are() {
        #[track_caller]
        fn check(from: Moment, to: Moment, range: RangeInclusive<u64>, seen: &[u64], fault: &str) {
            let told = history().check_terms(seen, &|_| 1, range, Span { from, to });
            assert_eq!(told.is_empty(), fault.is_empty(), "{told:?}");
            assert!(told.iter().all(|told| told.contains(fault)), "{told:?}");
        }
        check(25, 28, 0..=9, &[1, 5], "");
        check(25, 28, 2..=9, &[5], "");
        check(25, 28, 2..=9, &[1, 5], "must not have");
        check(25, 28, 0..=9, &[1], "b is not met");
        check(25, 28, 0..=9, &[1, 1, 5], "twice");
        for seen in [&[][..], &[1], &[2], &[1, 2]] {
            check(60, 99, 0..=9, seen, "");
        }
        check(60, 99, 0..=9, &[5], "must not have");
        let names = |seen: &[&str], range| {
            let seen: Vec<String> = seen.iter().map(|key| (*key).to_owned()).collect();
            history().check_term_keys(&seen, range, Span { from: 25, to: 28 }).len()
        };
        assert_eq!(names(&["a", "b"], 0..=9), 0);
        assert_eq!(names(&["b"], 0..=9), 1);
        assert_eq!(names(&["a", "b"], 2..=9), 1);
        assert_eq!(names(&["a", "a", "b", "c"], 0..=9), 2);
    }

    #[test]
    fn reads_and_listings_are_checked() {
        let history = history();
        let after = Span { from: 60, to: 70 };
        assert_eq!(history.check_read("b", None, after), None);
        assert!(history.check_read("b", Some(5), after).is_some());
        assert_eq!(history.check_keys(&["a".into()], &|_| 1, after), Vec::<String>::new());
        let faults = history.check_keys(&["b".into(), "c".into()], &|_| 1, after);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
