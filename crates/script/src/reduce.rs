//! When a reduce calls its function: the timing of riak_kv_w_reduce, over any kind of values, and one
//! that follows what the function makes of its inputs ([`ReduceTiming::Adaptive`]).
//!
//! A reduce walks through its accumulator with each call. With a call after every 20 inputs that is
//! inputs × accumulator in all: nothing for a sum, everything for the counts of the words of a book.
//! The adaptive timing waits until the inputs since the last call weigh as much as the accumulator, so
//! that all calls together see at most twice what came in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::{ReduceTiming, ScriptError, limits};

/// One reduce: the results of the last call, the inputs since, and those not looked at yet.
#[derive(Debug)]
pub(crate) struct Timer<V> {
    due: Due,
    /// The accumulator, then the inputs since the last call.
    items: Vec<V>,
    fresh: usize,
    backlog: VecDeque<(V, u64)>,
    started: bool,
    called: bool,
    /// What the accumulator weighs, and what the inputs since do.
    weighs: (u64, u64),
}

/// A reduce to go on with: the accumulator with its weight, inputs since with theirs, whether there
/// has been any.
pub(crate) type Parts<V> = (Vec<V>, u64, Vec<(V, u64)>, bool);

/// A reduce put aside: accumulator, inputs since, whether there has been any.
pub(crate) type Aside<V> = (Vec<V>, Vec<V>, bool);

/// What a call gives, and its weight.
pub(crate) type Called<V> = Result<(Vec<V>, u64), ScriptError>;

/// What a value weighs: about its bytes as JSON, and something for each value that has hardly any.
pub(crate) fn weight(bytes: usize) -> u64 {
    (bytes as u64).saturating_add(8)
}

/// When the next call is due.
#[derive(Debug)]
enum Due {
    /// At so many inputs.
    Every(usize),
    /// At the end.
    Never,
    Adaptive(Adaptive),
}

#[derive(Debug)]
struct Adaptive {
    accumulator: u64,
    fresh: u64,
    /// What the inputs of a call may weigh, by how long the last one took.
    most: u64,
    /// How long a call may take, where that is looked at.
    patience: Option<Duration>,
}

impl Due {
    fn new(timing: ReduceTiming, accumulator: u64, patience: Option<Duration>) -> Self {
        match timing {
            ReduceTiming::Every(count) => {
                Self::Every(usize::try_from(count.max(1)).unwrap_or(usize::MAX))
            }
            ReduceTiming::AtEnd => Self::Never,
            ReduceTiming::Adaptive | ReduceTiming::IfSmaller => {
                Self::Adaptive(Adaptive { accumulator, fresh: 0, most: u64::MAX, patience })
            }
        }
    }

    fn take(&mut self, weight: u64) {
        if let Self::Adaptive(adaptive) = self {
            adaptive.fresh = adaptive.fresh.saturating_add(weight);
        }
    }

    fn is_now(&self, fresh: usize) -> bool {
        match self {
            Self::Every(every) => fresh >= *every,
            Self::Never => false,
            Self::Adaptive(Adaptive { accumulator, fresh: weight, most, .. }) => {
                let wanted = *accumulator.min(most).min(&limits::ADAPTIVE_BYTES);
                fresh >= limits::ADAPTIVE_INPUTS && *weight >= wanted
            }
        }
    }

    /// Whether it wants to know how long calls take.
    fn is_timed(&self) -> bool {
        matches!(self, Self::Adaptive(Adaptive { patience: Some(_), .. }))
    }

    /// A call took so long and gave results of that weight.
    fn called(&mut self, results: u64, took: Duration) {
        let Self::Adaptive(adaptive) = self else { return };
        let before = adaptive.accumulator.saturating_add(adaptive.fresh);
        (adaptive.accumulator, adaptive.fresh) = (results, 0);
        if let Some(patience) = adaptive.patience {
            let affordable = u128::from(before) * patience.as_micros() / took.as_micros().max(1);
            let affordable = u64::try_from(affordable).unwrap_or(u64::MAX);
            // The accumulator is walked through in any case: a few inputs more do little harm, and with
            // hardly any its size would count for each of them again.
            adaptive.most = affordable.saturating_sub(results).max(results / 8);
        }
    }
}

impl<V> Timer<V> {
    /// Begins, or goes on with, a reduce. With a patience the adaptive timing gives calls no more
    /// inputs than they are likely to get through in that time, beside the accumulator.
    pub(crate) fn new(timing: ReduceTiming, parts: Parts<V>, patience: Option<Duration>) -> Self {
        let (items, weight, pending, started) = parts;
        let due = Due::new(timing, weight, patience);
        let backlog = pending.into();
        Self { due, items, fresh: 0, backlog, started, called: false, weighs: (weight, 0) }
    }

    /// Takes inputs, each with its [`weight`], and makes the calls that they complete. A call that
    /// fails leaves the state as it was before it, with the inputs kept.
    pub(crate) fn push(
        &mut self,
        inputs: impl IntoIterator<Item = (V, u64)>,
        call: &mut impl FnMut(&[V]) -> Called<V>,
    ) -> Result<(), ScriptError> {
        let before = self.backlog.len();
        self.backlog.extend(inputs);
        self.started |= self.backlog.len() > before;
        while self.due.is_now(self.fresh) || self.take_one() {
            if self.due.is_now(self.fresh) {
                self.call(call)?;
            }
        }
        Ok(())
    }

    /// Makes the last call where one is due and gives the results.
    pub(crate) fn finish(
        &mut self,
        call: &mut impl FnMut(&[V]) -> Called<V>,
    ) -> Result<Vec<V>, ScriptError> {
        self.push(Vec::new(), call)?;
        if self.fresh > 0 || !self.started {
            self.call(call)?;
        }
        Ok(std::mem::take(&mut self.items))
    }

    /// The values that there are when there will be no more inputs: the results of a last call if
    /// there has been any, else the inputs, too few for one.
    pub(crate) fn give_up(
        mut self,
        call: &mut impl FnMut(&[V]) -> Called<V>,
    ) -> Result<Vec<V>, ScriptError> {
        if self.called && self.fresh > 0 {
            self.call(call)?;
        }
        Ok(self.items)
    }

    /// What the accumulator and the inputs since weigh, under the adaptive timing.
    pub(crate) fn holds(&self) -> u64 {
        match &self.due {
            Due::Adaptive(adaptive) => adaptive.accumulator.saturating_add(adaptive.fresh),
            Due::Every(_) | Due::Never => 0,
        }
    }

    /// What all that it has weighs.
    pub(crate) fn weighs(&self) -> u64 {
        let waiting = self.backlog.iter().map(|(_, weight)| weight);
        waiting.chain([&self.weighs.0, &self.weighs.1]).fold(0, |all, one| all.saturating_add(*one))
    }

    /// As [`Timer::into_parts`], of one that goes on.
    pub(crate) fn parts(&self) -> Aside<V>
    where
        V: Clone,
    {
        let (accumulator, fresh) = self.items.split_at(self.items.len().saturating_sub(self.fresh));
        let backlog = self.backlog.iter().map(|(value, _)| value.clone());
        (accumulator.to_vec(), fresh.iter().cloned().chain(backlog).collect(), self.started)
    }

    /// Takes the reduce apart.
    pub(crate) fn into_parts(mut self) -> Aside<V> {
        let mut pending = self.items.split_off(self.items.len().saturating_sub(self.fresh));
        pending.extend(self.backlog.into_iter().map(|(value, _)| value));
        (self.items, pending, self.started)
    }

    fn take_one(&mut self) -> bool {
        match self.backlog.pop_front() {
            Some((input, weight)) => {
                self.due.take(weight);
                self.weighs.1 = self.weighs.1.saturating_add(weight);
                self.items.push(input);
                self.fresh += 1;
                true
            }
            None => false,
        }
    }

    fn call(&mut self, call: &mut impl FnMut(&[V]) -> Called<V>) -> Result<(), ScriptError> {
        let began = self.due.is_timed().then(Instant::now);
        let (items, weight) = call(&self.items)?;
        self.due.called(weight, began.map_or(Duration::ZERO, |began| began.elapsed()));
        self.weighs = (weight, 0);
        self.items = items;
        self.fresh = 0;
        self.called = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureCause;

    fn again<V>(timing: ReduceTiming, timer: Timer<V>) -> Timer<V> {
        let (accumulator, pending, started) = timer.into_parts();
        let weighed = accumulator.len() as u64 * weight(1);
        let pending = pending.into_iter().map(|value| (value, weight(1))).collect();
        Timer::new(timing, (accumulator, weighed, pending, started), None)
    }

    /// Which lists the function was called with, for pushes of the given sizes; the function
    /// returns the count of its list.
    #[track_caller]
    fn check(timing: ReduceTiming, pushes: &[usize], calls: &[usize]) {
        let mut seen = Vec::new();
        let mut call = |items: &[usize]| {
            seen.push(items.len());
            Ok((vec![items.len()], weight(1)))
        };
        let mut timer = Timer::new(timing, Parts::default(), None);
        for &size in pushes {
            timer.push(vec![(1, weight(1)); size], &mut call).unwrap();
            let (accumulator, pending, _) = timer.parts();
            assert_eq!(timer.weighs(), (accumulator.len() + pending.len()) as u64 * weight(1));
            // Putting it aside and going on must change nothing.
            timer = again(timing, timer);
        }
        timer.finish(&mut call).unwrap();
        assert_eq!(seen, calls, "{timing:?} {pushes:?}");
    }

    #[test]
    fn calls_come_as_in_riak() {
        use ReduceTiming::{Adaptive, AtEnd, Every, IfSmaller};
        check(Every(20), &[], &[0]);
        check(Every(20), &[0], &[0]);
        check(Every(20), &[20], &[20]);
        check(Every(20), &[19, 1], &[20]);
        check(Every(20), &[21], &[20, 2]);
        check(Every(20), &[45], &[20, 21, 6]);
        check(Every(1), &[3], &[1, 2, 2]);
        check(Every(0), &[2], &[1, 2]);
        check(AtEnd, &[], &[0]);
        check(AtEnd, &[30, 30], &[60]);
        // An accumulator that stays small is given inputs as in Riak.
        check(Adaptive, &[], &[0]);
        check(Adaptive, &[45], &[20, 21, 6]);
        check(IfSmaller, &[19, 1, 21], &[20, 21, 2]);
    }

    /// A function whose result is as large as everything that it ever saw.
    fn sizes_of_calls(values: u64) -> Vec<usize> {
        let mut seen = Vec::new();
        let mut call = |items: &[u64]| {
            seen.push(items.len());
            Ok((items.to_vec(), items.len() as u64 * weight(1)))
        };
        let mut timer = Timer::new(ReduceTiming::Adaptive, Parts::default(), None);
        for value in 0..values {
            timer.push([(value, weight(1))], &mut call).unwrap();
        }
        assert_eq!(timer.finish(&mut call).unwrap(), (0..values).collect::<Vec<_>>());
        seen
    }

    #[test]
    fn an_accumulator_that_grows_is_walked_through_twice_at_most() {
        let seen = sizes_of_calls(100_000);
        assert_eq!(seen[..4], [20, 40, 80, 160]);
        assert!(seen.iter().sum::<usize>() <= 4 * 100_000, "{seen:?}");
        assert!(seen.len() < 20, "{seen:?}");
    }

    #[test]
    fn what_a_call_gets_is_bounded_by_bytes() {
        let mut most = 0;
        let large = limits::ADAPTIVE_BYTES / 64;
        let mut call = |items: &[u64]| {
            most = most.max(items.iter().skip(1).sum::<u64>());
            Ok((vec![items.iter().sum()], items.iter().sum()))
        };
        let mut timer = Timer::new(ReduceTiming::Adaptive, Parts::default(), None);
        timer.push((0..1_000).map(|_| (large, large)), &mut call).unwrap();
        timer.finish(&mut call).unwrap();
        assert!((limits::ADAPTIVE_BYTES..limits::ADAPTIVE_BYTES + large).contains(&most));
    }

    #[test]
    fn slow_functions_get_no_more_than_they_get_through() {
        // A microsecond a value, of those that it gave before too: 2,000 in the time that a call may take.
        let mut due = Due::new(ReduceTiming::Adaptive, 0, Some(Duration::from_millis(2)));
        let (mut all, mut fresh, mut seen) = (0, 0, Vec::new());
        for _ in 0..20_000 {
            due.take(weight(1));
            (all, fresh) = (all + 1, fresh + 1);
            if due.is_now(fresh) {
                due.called(all * weight(1), Duration::from_micros(all));
                seen.push(all);
                fresh = 0;
            }
        }
        assert_eq!(seen[..8], [20, 40, 80, 160, 320, 640, 1_280, 2_000]);
        // Beyond it an accumulator is still not walked through for each handful of inputs.
        let late: Vec<f64> =
            seen[7..].windows(2).map(|pair| pair[1] as f64 / pair[0] as f64).collect();
        assert!(late.iter().all(|&grown| (1.1..1.2).contains(&grown)), "{seen:?}");
        assert!(seen.iter().sum::<u64>() < 10 * 20_000, "{seen:?}");
    }

    #[test]
    fn a_failed_call_can_be_made_again_elsewhere() {
        let failure = || ScriptError::new(FailureCause::BadArgument, "no");
        let mut timer = Timer::new(ReduceTiming::Every(2), Parts::default(), None);
        let inputs = [1, 2, 3, 4, 5].map(|value| (value, 1));
        let failed = timer.push(inputs, &mut |items: &[i32]| {
            if items.len() < 3 { Ok((vec![items.iter().sum()], 1)) } else { Err(failure()) }
        });
        assert_eq!(failed, Err(failure()));
        assert_eq!(timer.into_parts(), (vec![3], vec![3, 4, 5], true));
    }
}
