//! How many inputs the units of a lane may take together, where its job goes no faster than it may.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::outcome::UnitEnd;

/// See the module.
pub(super) struct Budget {
    /// How many are left; `None` for all.
    left: Option<AtomicU64>,
    /// Whether a unit ended for want of more.
    spent: AtomicBool,
}

impl Budget {
    pub(super) fn new(inputs: Option<u64>) -> Self {
        Self { left: inputs.map(AtomicU64::new), spent: AtomicBool::new(false) }
    }

    /// Takes so many, or as many as are left.
    ///
    /// # Errors
    /// None are.
    pub(super) fn take(&self, most: usize) -> Result<usize, UnitEnd> {
        let Some(left) = &self.left else { return Ok(most) };
        let taken = |left: u64| left.min(most as u64);
        let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left - taken(left)).filter(|_| left > 0)
        });
        before.map(|left| usize::try_from(taken(left)).unwrap_or(most)).map_err(|_| UnitEnd::Spent)
    }

    /// Gives back some that were taken and not used.
    pub(super) fn give_back(&self, inputs: usize) {
        if let Some(left) = &self.left {
            left.fetch_add(inputs as u64, Ordering::Relaxed);
        }
    }

    /// # Errors
    /// None are left.
    pub(super) fn check(&self) -> Result<(), UnitEnd> {
        let none = self.left.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) == 0);
        if none { Err(UnitEnd::Spent) } else { Ok(()) }
    }

    /// How many of so many are worth reading: at least one.
    pub(super) fn of(&self, most: usize) -> usize {
        let left = self.left.as_ref().map_or(u64::MAX, |left| left.load(Ordering::Relaxed));
        usize::try_from(left).unwrap_or(usize::MAX).clamp(1, most.max(1))
    }

    /// A unit has ended since none were left.
    pub(super) fn note_spent(&self) {
        self.spent.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_taken_than_there_are() {
        let budget = Budget::new(Some(5));
        assert_eq!((budget.take(3).ok(), budget.of(10)), (Some(3), 2));
        assert_eq!(budget.take(3).ok(), Some(2));
        assert!(budget.take(1).is_err() && budget.check().is_err() && budget.of(10) == 1);
        budget.give_back(2);
        assert!(budget.check().is_ok());
        assert_eq!(budget.take(3).ok(), Some(2));
        let unbounded = Budget::new(None);
        assert_eq!((unbounded.take(7).ok(), unbounded.of(7)), (Some(7), 7));
    }
}
