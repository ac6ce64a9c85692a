//! In which order steps can run.

use std::collections::{BTreeMap, BTreeSet};

/// Steps with those that they depend on.
pub(super) type Dependencies<'s> = BTreeMap<&'s str, BTreeSet<&'s str>>;

/// The names of the steps of a circle, each depending on the next and the last on the first; `None`
/// where there is no circle.
pub(super) fn circle<'s>(dependencies: &Dependencies<'s>) -> Option<Vec<&'s str>> {
    let mut left = dependencies.clone();
    // What depends on nothing that is left is in no circle.
    loop {
        let free: Vec<_> = left
            .iter()
            .filter(|(_, on)| !on.iter().any(|step| left.contains_key(step)))
            .map(|(step, _)| *step)
            .collect();
        if free.is_empty() {
            break;
        }
        for step in free {
            left.remove(step);
        }
    }
    // Each that is left depends on another that is: so whoever follows them comes back.
    let mut way: Vec<&str> = Vec::new();
    let mut at = *left.keys().next()?;
    loop {
        if let Some(first) = way.iter().position(|step| *step == at) {
            return Some(way.split_off(first));
        }
        way.push(at);
        at = left.get(at)?.iter().copied().find(|step| left.contains_key(step))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arrows: &[(&'static str, &[&'static str])], expect: Option<&[&str]>) {
        let steps = arrows.iter().map(|(step, on)| (*step, on.iter().copied().collect()));
        assert_eq!(circle(&steps.collect()).as_deref(), expect, "{arrows:?}");
    }

    #[test]
    fn circles_are_found() {
        check(&[], None);
        check(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"])], None);
        check(&[("a", &["b"]), ("b", &["a"])], Some(&["a", "b"]));
        check(
            &[("a", &["b"]), ("b", &["c"]), ("c", &["d"]), ("d", &["b"])],
            Some(&["b", "c", "d"]),
        );
        check(&[("a", &["a"])], Some(&["a"]));
        // A step that nobody has is no circle.
        check(&[("a", &["x"])], None);
    }
}
