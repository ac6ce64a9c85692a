//! What several clients did to the same keys, where concurrent values stay beside each other, and
//! what they may therefore see.
//!
//! A write replaces the values that its writer had read, and stays beside all others. So an
//! acknowledged value must be in every later answer until somebody who had read it writes; and once
//! such a write is acknowledged, the value must not come back. A node that had to pass a write on
//! twice may have made two values of it, which are told apart by their tags.

use std::collections::{BTreeMap, BTreeSet};

use mapring_types::Object;

use crate::history::{Moment, Span};

/// Everything that was written to shared keys.
#[derive(Default)]
pub(crate) struct Shared {
    keys: BTreeMap<String, Vec<Deed>>,
    /// Which value of which key bears a tag.
    tags: BTreeMap<(String, String), u64>,
}

/// A write, or a delete.
struct Deed {
    /// The value, or a number of its own for a delete.
    value: u64,
    deletes: bool,
    /// The values that its writer had read.
    replaces: Found,
    begun: Moment,
    acknowledged: Option<Moment>,
}

/// What somebody finds of an object: its values, tombstones left out, each with its tag, which
/// stands for the write's dot.
pub(crate) type Found = Vec<(u64, String)>;

/// The values of an object.
pub(crate) fn found(object: Option<&Object>) -> Found {
    let siblings = object.iter().flat_map(|object| &object.siblings);
    let number = |body: &[u8]| std::str::from_utf8(body).ok()?.parse().ok();
    // What is no number becomes one that nobody wrote.
    siblings
        .filter(|sibling| !sibling.deleted)
        .map(|sibling| (number(&sibling.body).unwrap_or(u64::MAX), sibling.vtag()))
        .collect()
}

impl Shared {
    /// A write or delete begins. Its number must not have been used before.
    pub(crate) fn begin(
        &mut self,
        key: &str,
        value: u64,
        deletes: bool,
        replaces: Found,
        begun: Moment,
    ) {
        let deed = Deed { value, deletes, replaces, begun, acknowledged: None };
        self.keys.entry(key.to_owned()).or_default().push(deed);
    }

    pub(crate) fn acknowledge(&mut self, key: &str, value: u64, at: Moment) {
        let deeds = self.keys.get_mut(key).map(Vec::as_mut_slice).unwrap_or_default();
        if let Some(deed) = deeds.iter_mut().find(|deed| deed.value == value) {
            deed.acknowledged = Some(at);
        }
    }

    /// What was acknowledged after `since` may be lost: what became of it is not known.
    pub(crate) fn forgive(&mut self, since: Moment) {
        for deed in self.keys.values_mut().flatten() {
            deed.acknowledged = deed.acknowledged.filter(|at| *at <= since);
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.keys.keys()
    }

    /// Checks what was found of a key by one who must see what was acknowledged before.
    pub(crate) fn check(&mut self, key: &str, found: &Found, span: Span) -> Vec<String> {
        let mut faults = Vec::new();
        for (value, tag) in found {
            let known = *self.tags.entry((key.to_owned(), tag.clone())).or_insert(*value);
            if known != *value {
                faults.push(format!("siblings: {key}: {known} and {value} have one tag, {tag}"));
            }
        }
        let deeds = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let seen: BTreeSet<u64> = found.iter().map(|(value, _)| *value).collect();
        let written = |value: &u64| deeds.iter().any(|deed| deed.value == *value && !deed.deletes);
        let strange = seen.iter().filter(|value| !written(value));
        faults.extend(strange.map(|value| format!("siblings: nobody wrote {value} to {key}")));
        if found.iter().collect::<BTreeSet<_>>().len() < found.len() {
            faults.push(format!("siblings: {key} has a value twice: {found:?}"));
        }
        let acknowledged = |deed: &&Deed| deed.acknowledged.is_some_and(|at| at < span.from);
        for deed in deeds.iter().filter(acknowledged) {
            let replaced =
                deeds.iter().any(|other| other.begun <= span.to && other.replaced(deed.value));
            if !deed.deletes && !replaced && !seen.contains(&deed.value) {
                faults.push(format!("siblings: {} is lost from {key}: {seen:?}", deed.value));
            }
            for (risen, _) in found.iter().filter(|value| deed.replaces.contains(value)) {
                let by = deed.value;
                faults.push(format!("siblings: {risen} has risen in {key}, replaced by {by}"));
            }
        }
        faults
    }
}

impl Deed {
    fn replaced(&self, value: u64) -> bool {
        self.replaces.iter().any(|(replaced, _)| *replaced == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[u64]) -> Found {
        values.iter().map(|value| (*value, format!("tag {value}"))).collect()
    }

    /// 1 and 2 are written beside each other, 3 replaces 1 (unknown), 4 deletes 2 (acknowledged).
    fn shared() -> Shared {
        let mut shared = Shared::default();
        let deeds: [(u64, bool, &[u64], u64); 4] =
            [(1, false, &[], 10), (2, false, &[], 20), (3, false, &[1], 30), (4, true, &[2], 40)];
        for (value, deletes, replaces, at) in deeds {
            shared.begin("k", value, deletes, found(replaces), at);
            if value != 3 {
                shared.acknowledge("k", value, at + 5);
            }
        }
        shared
    }

    #[track_caller]
    fn check(at: Moment, seen: &[u64], faults: &[&str]) {
        let told = shared().check("k", &found(seen), Span { from: at, to: at });
        assert_eq!(told.len(), faults.len(), "{told:?}");
        assert!(told.iter().zip(faults).all(|(told, fault)| told.contains(fault)), "{told:?}");
    }

    #[test]
    fn values_stay_until_they_are_replaced_and_then_stay_away() {
        check(28, &[1, 2], &[]);
        check(28, &[2], &["1 is lost"]);
        check(28, &[1, 2, 7], &["nobody wrote 7"]);
        check(28, &[1, 2, 2], &["twice"]);
        // A write of unknown end may have replaced what it had read, or not.
        check(35, &[2, 3], &[]);
        check(35, &[1, 2], &[]);
        check(35, &[2], &[]);
        check(50, &[3], &[]);
        check(50, &[], &[]);
        check(50, &[2, 3], &["2 has risen"]);
    }

    #[test]
    fn a_tag_names_one_value_and_a_value_may_have_two() {
        let (mut shared, span) = (shared(), Span { from: 0, to: 100 });
        let mut found = |value, tag: &str| shared.check("k", &vec![(value, tag.to_owned())], span);
        assert_eq!(found(1, "a"), Vec::<String>::new());
        assert_eq!(found(1, "b"), Vec::<String>::new());
        assert!(found(3, "a").iter().any(|fault| fault.contains("one tag")));
    }
}
