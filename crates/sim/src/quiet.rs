//! When the cluster was in trouble, and what had settled before.

use crate::history::Moment;
use crate::limits;

/// The times of trouble so far.
pub(crate) struct Quiet {
    /// How long a write takes to settle.
    settling: Moment,
    /// Begin and end of each; the last may not have ended.
    troubles: Vec<(Moment, Option<Moment>)>,
}

impl Quiet {
    pub(crate) fn new(settling: Moment) -> Self {
        Self { settling, troubles: Vec::new() }
    }

    /// Takes note of whether there is trouble now.
    pub(crate) fn note(&mut self, trouble: bool, now: Moment) {
        match self.troubles.last_mut() {
            Some((_, end @ None)) if !trouble => *end = Some(now),
            Some((_, None)) => {}
            _ if trouble => self.troubles.push((now, None)),
            _ => {}
        }
    }

    /// Whether there has been trouble since `from`.
    pub(crate) fn disturbed_since(&self, from: Moment) -> bool {
        self.troubles.last().is_some_and(|(_, end)| end.is_none_or(|end| end > from))
    }

    /// What was acknowledged before this has reached all replicas by `now`: it was followed by quiet,
    /// and the trouble before that had been got over.
    pub(crate) fn settled(&self, now: Moment) -> Moment {
        let mut settled = 0;
        let mut calm_from = 0;
        for (begin, end) in self.troubles.iter().copied().chain([(now, None)]) {
            let until = begin.min(now);
            if until >= calm_from {
                settled = until.saturating_sub(self.settling).max(settled);
            }
            calm_from = end.map_or(Moment::MAX, |end| end + limits::RECOVERY_MS * 1_000);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Moment = 1_000_000;

    #[track_caller]
    fn check(quiet: &Quiet, now: Moment, settled: Moment) {
        assert_eq!(quiet.settled(now), settled.saturating_sub(2 * SECOND), "at {now}");
    }

    #[test]
    fn only_quiet_settles() {
        let mut quiet = Quiet::new(2 * SECOND);
        let recovery = limits::RECOVERY_MS * 1_000;
        check(&quiet, 50 * SECOND, 50 * SECOND);
        quiet.note(false, 60 * SECOND);
        quiet.note(true, 100 * SECOND);
        check(&quiet, 110 * SECOND, 100 * SECOND);
        quiet.note(true, 111 * SECOND);
        quiet.note(false, 120 * SECOND);
        check(&quiet, 120 * SECOND + recovery - 1, 100 * SECOND);
        check(&quiet, 120 * SECOND + recovery, 120 * SECOND + recovery);
        quiet.note(true, 130 * SECOND);
        check(&quiet, 500 * SECOND, 100 * SECOND);
        assert!(quiet.disturbed_since(490 * SECOND));
        quiet.note(false, 500 * SECOND);
        assert!(quiet.disturbed_since(499 * SECOND) && !quiet.disturbed_since(500 * SECOND));
        check(&quiet, 501 * SECOND, 100 * SECOND);
        check(&quiet, 900 * SECOND, 900 * SECOND);
    }
}
