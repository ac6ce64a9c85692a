//! Bugs planted on purpose, to see that the simulation catches them.
//!
//! They exist only with the feature `planted-bugs`, which nothing but tests of the tests turns on;
//! without it [`planted!`](crate::planted!) is the word `false`. With it nothing is wrong either
//! until one is chosen for a thread with `plant`.

#[cfg(feature = "planted-bugs")]
pub use chosen::{Bug, is_planted, plant};

/// Whether a bug, one of `planted::Bug`, is planted here.
#[cfg(feature = "planted-bugs")]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_planted($crate::planted::Bug::$bug)
    };
}

/// Whether a bug is planted here: never.
#[cfg(not(feature = "planted-bugs"))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

#[cfg(feature = "planted-bugs")]
mod chosen {
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// The bugs that can be planted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Bug {
        /// A coordinator that has given a replica up keeps no hint for it.
        LostHint,
        /// A vnode goes on with its counter after a crash as if it had lost nothing.
        ReusedDot,
        /// A page of a unit is accepted although the unit was given to another node meanwhile.
        OldFrameAccepted,
        /// A unit that goes on elsewhere does so one object too far on.
        PageSkipped,
        /// A fallback's not-found counts before all primaries have answered.
        NotFoundOutvotes,
        /// What is handed back is forgotten although its owner has not taken it.
        HandBackForgets,
        /// A replica that is known to lack writes is read by queries.
        UnfitTrusted,
        /// A tombstone is removed while a replica may still hold an old value.
        ReapedTooSoon,
        /// An entry of an index counts without a look at its object.
        StaleEntryTrusted,
        /// Where the replicas of a merged fold differ the one at hand counts.
        MergeTakesLocal,
        /// A repair removes what the replica that it compares with lacks.
        RepairDeletes,
        /// A data directory that is older than what its node had acknowledged is taken for whole.
        OldCopyTrusted,
        /// A primary that refuses or is away counts as one that lacks the object.
        RefusalIsMissing,
    }

    impl Bug {
        /// All of them.
        pub const ALL: [Self; 13] = [
            Self::LostHint,
            Self::ReusedDot,
            Self::OldFrameAccepted,
            Self::PageSkipped,
            Self::NotFoundOutvotes,
            Self::HandBackForgets,
            Self::UnfitTrusted,
            Self::ReapedTooSoon,
            Self::StaleEntryTrusted,
            Self::MergeTakesLocal,
            Self::RepairDeletes,
            Self::OldCopyTrusted,
            Self::RefusalIsMissing,
        ];

        /// Its name, as on a command line.
        pub fn name(self) -> &'static str {
            match self {
                Self::LostHint => "lost-hint",
                Self::ReusedDot => "reused-dot",
                Self::OldFrameAccepted => "old-frame-accepted",
                Self::PageSkipped => "page-skipped",
                Self::NotFoundOutvotes => "not-found-outvotes",
                Self::HandBackForgets => "hand-back-forgets",
                Self::UnfitTrusted => "unfit-trusted",
                Self::ReapedTooSoon => "reaped-too-soon",
                Self::StaleEntryTrusted => "stale-entry-trusted",
                Self::MergeTakesLocal => "merge-takes-local",
                Self::RepairDeletes => "repair-deletes",
                Self::OldCopyTrusted => "old-copy-trusted",
                Self::RefusalIsMissing => "refusal-is-missing",
            }
        }
    }

    /// Plants a bug in what this thread runs from now on, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether a bug is planted in this thread.
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_bug_is_there_only_when_it_is_planted() {
            assert!(!crate::planted!(LostHint));
            plant(Some(Bug::LostHint));
            assert!(crate::planted!(LostHint) && !crate::planted!(ReusedDot));
            plant(None);
            assert!(Bug::ALL.iter().all(|bug| !is_planted(*bug)));
        }
    }
}
