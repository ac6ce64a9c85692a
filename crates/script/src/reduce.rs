//! When a reduce calls its function: the timing of riak_kv_w_reduce, over any kind of values.

use std::collections::VecDeque;

use crate::{ReduceTiming, ScriptError};

/// One reduce: the results of the last call, the inputs since, and those not looked at yet.
#[derive(Debug)]
pub(crate) struct Timer<V> {
    every: Option<usize>,
    /// The accumulator, then the inputs since the last call.
    items: Vec<V>,
    fresh: usize,
    backlog: VecDeque<V>,
    started: bool,
}

/// A reduce put aside: accumulator, inputs since, whether there has been any.
pub(crate) type Parts<V> = (Vec<V>, Vec<V>, bool);

impl<V> Timer<V> {
    /// Begins, or goes on with, a reduce.
    pub(crate) fn new(timing: ReduceTiming, (accumulator, pending, started): Parts<V>) -> Self {
        let every = match timing {
            ReduceTiming::Every(count) => Some(usize::try_from(count.max(1)).unwrap_or(usize::MAX)),
            ReduceTiming::AtEnd => None,
        };
        Self { every, items: accumulator, fresh: 0, backlog: pending.into(), started }
    }

    /// Takes inputs and makes the calls that they complete. A call that fails leaves the state as
    /// it was before it, with the inputs kept.
    pub(crate) fn push(
        &mut self,
        inputs: Vec<V>,
        call: &mut impl FnMut(&[V]) -> Result<Vec<V>, ScriptError>,
    ) -> Result<(), ScriptError> {
        self.started |= !inputs.is_empty();
        self.backlog.extend(inputs);
        while self.every.is_some_and(|every| self.fresh >= every) || self.take_one() {
            if self.every.is_some_and(|every| self.fresh >= every) {
                self.call(call)?;
            }
        }
        Ok(())
    }

    /// Makes the last call where one is due and gives the results.
    pub(crate) fn finish(
        &mut self,
        call: &mut impl FnMut(&[V]) -> Result<Vec<V>, ScriptError>,
    ) -> Result<Vec<V>, ScriptError> {
        self.push(Vec::new(), call)?;
        if self.fresh > 0 || !self.started {
            self.call(call)?;
        }
        Ok(std::mem::take(&mut self.items))
    }

    /// Takes the reduce apart.
    pub(crate) fn into_parts(mut self) -> Parts<V> {
        let mut pending = self.items.split_off(self.items.len().saturating_sub(self.fresh));
        pending.extend(self.backlog);
        (self.items, pending, self.started)
    }

    fn take_one(&mut self) -> bool {
        match self.backlog.pop_front() {
            Some(input) => {
                self.items.push(input);
                self.fresh += 1;
                true
            }
            None => false,
        }
    }

    fn call(
        &mut self,
        call: &mut impl FnMut(&[V]) -> Result<Vec<V>, ScriptError>,
    ) -> Result<(), ScriptError> {
        self.items = call(&self.items)?;
        self.fresh = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureCause;

    /// Which lists the function was called with, for pushes of the given sizes; the function
    /// returns the count of its list.
    #[track_caller]
    fn check(timing: ReduceTiming, pushes: &[usize], calls: &[usize]) {
        let mut seen = Vec::new();
        let mut call = |items: &[usize]| {
            seen.push(items.len());
            Ok(vec![items.len()])
        };
        let mut timer = Timer::new(timing, Parts::default());
        for &size in pushes {
            timer.push(vec![1; size], &mut call).unwrap();
            // Putting it aside and going on must change nothing.
            timer = Timer::new(timing, timer.into_parts());
        }
        timer.finish(&mut call).unwrap();
        assert_eq!(seen, calls, "{timing:?} {pushes:?}");
    }

    #[test]
    fn calls_come_as_in_riak() {
        use ReduceTiming::{AtEnd, Every};
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
    }

    #[test]
    fn a_failed_call_can_be_made_again_elsewhere() {
        let failure = || ScriptError::new(FailureCause::BadArgument, "no");
        let mut timer = Timer::new(ReduceTiming::Every(2), Parts::default());
        let failed = timer.push(vec![1, 2, 3, 4, 5], &mut |items: &[i32]| {
            if items.len() < 3 { Ok(vec![items.iter().sum()]) } else { Err(failure()) }
        });
        assert_eq!(failed, Err(failure()));
        assert_eq!(timer.into_parts(), (vec![3], vec![3, 4, 5], true));
    }
}
