//! Failpoints: places with a bug on purpose, to see that the simulation catches it.
//!
//! They exist only with the feature `failpoints`, which nothing but tests of the tests turns on;
//! without it [`failpoint!`](crate::failpoint!) is the word `false`. With it nothing is wrong either
//! until one is enabled for a thread with `enable`.

#[cfg(feature = "failpoints")]
pub use enabled::{Failpoint, enable, is_enabled};

/// Whether a failpoint, one of `failpoint::Failpoint`, is enabled here.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! failpoint {
    ($name:ident) => {
        $crate::failpoint::is_enabled($crate::failpoint::Failpoint::$name)
    };
}

/// Whether a failpoint is enabled here: never.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:ident) => {
        false
    };
}

#[cfg(feature = "failpoints")]
mod enabled {
    use std::cell::Cell;

    thread_local! {
        static ENABLED: Cell<Option<Failpoint>> = const { Cell::new(None) };
    }

    /// The bugs that there can be.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Failpoint {
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
        StaleReplicaTrusted,
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
        /// What is held for a vnode is forgotten when it turns out to have another owner, which has been
        /// filled already.
        FilledNeedsNothing,
        /// A record is stored before the file that it lies in is synced.
        FileNamedTooSoon,
        /// The file of a record that was replaced goes before that is durable.
        FileRemovedTooSoon,
        /// A job that goes on from a checkpoint does all of its inputs again, behind the results that it had.
        ResumedAnew,
        /// A job that goes on from a checkpoint has forgotten what accepted pages had counted before.
        CountsForgotten,
        /// An owner does not look whether it may still go on before it stores.
        LeaseIgnored,
        /// Who takes a job over goes on in the epoch of its owner.
        EpochKept,
        /// A run of a schedule is started without a decision about that run.
        RunUndecided,
        /// The jobs of a node that is gone are left to it.
        OwnerAwaited,
        /// What a job went on from stays when it has ended.
        CheckpointLeft,
        /// Of the values that a data type has from several coordinators the last one counts, in place of all.
        LastReplaces,
        /// An update of a data type whose coordinator does not answer is brought to another one.
        UpdateRepeated,
        /// Pairs that no node has any more count as none.
        AbsentPairsAreNone,
        /// Who takes a pipeline over starts the jobs of its steps under other ids.
        StepBegunAnew,
        /// A callback is sent once, whether it arrives or not.
        CallbackGivenUp,
    }

    impl Failpoint {
        /// All of them.
        pub const ALL: [Self; 28] = [
            Self::LostHint,
            Self::ReusedDot,
            Self::OldFrameAccepted,
            Self::PageSkipped,
            Self::NotFoundOutvotes,
            Self::HandBackForgets,
            Self::StaleReplicaTrusted,
            Self::ReapedTooSoon,
            Self::StaleEntryTrusted,
            Self::MergeTakesLocal,
            Self::RepairDeletes,
            Self::OldCopyTrusted,
            Self::RefusalIsMissing,
            Self::FilledNeedsNothing,
            Self::FileNamedTooSoon,
            Self::FileRemovedTooSoon,
            Self::ResumedAnew,
            Self::CountsForgotten,
            Self::LeaseIgnored,
            Self::EpochKept,
            Self::RunUndecided,
            Self::OwnerAwaited,
            Self::CheckpointLeft,
            Self::LastReplaces,
            Self::UpdateRepeated,
            Self::AbsentPairsAreNone,
            Self::StepBegunAnew,
            Self::CallbackGivenUp,
        ];

        /// Whether only data types can show it.
        pub fn is_of_datatypes(self) -> bool {
            matches!(self, Self::LastReplaces | Self::UpdateRepeated)
        }

        /// Whether only jobs can show it.
        pub fn is_of_jobs(self) -> bool {
            matches!(
                self,
                Self::ResumedAnew
                    | Self::CountsForgotten
                    | Self::LeaseIgnored
                    | Self::EpochKept
                    | Self::RunUndecided
                    | Self::OwnerAwaited
                    | Self::CheckpointLeft
                    | Self::AbsentPairsAreNone
                    | Self::StepBegunAnew
                    | Self::CallbackGivenUp
            )
        }

        /// Its name, as on a command line.
        pub fn name(self) -> &'static str {
            match self {
                Self::LostHint => "lost-hint",
                Self::ReusedDot => "reused-dot",
                Self::OldFrameAccepted => "old-frame-accepted",
                Self::PageSkipped => "page-skipped",
                Self::NotFoundOutvotes => "not-found-outvotes",
                Self::HandBackForgets => "hand-back-forgets",
                Self::StaleReplicaTrusted => "stale-replica-trusted",
                Self::ReapedTooSoon => "reaped-too-soon",
                Self::StaleEntryTrusted => "stale-entry-trusted",
                Self::MergeTakesLocal => "merge-takes-local",
                Self::RepairDeletes => "repair-deletes",
                Self::OldCopyTrusted => "old-copy-trusted",
                Self::RefusalIsMissing => "refusal-is-missing",
                Self::FilledNeedsNothing => "filled-needs-nothing",
                Self::FileNamedTooSoon => "file-named-too-soon",
                Self::FileRemovedTooSoon => "file-removed-too-soon",
                Self::ResumedAnew => "resumed-anew",
                Self::CountsForgotten => "counts-forgotten",
                Self::LeaseIgnored => "lease-ignored",
                Self::EpochKept => "epoch-kept",
                Self::RunUndecided => "run-undecided",
                Self::OwnerAwaited => "owner-awaited",
                Self::CheckpointLeft => "checkpoint-left",
                Self::LastReplaces => "last-replaces",
                Self::UpdateRepeated => "update-repeated",
                Self::AbsentPairsAreNone => "absent-pairs-are-none",
                Self::StepBegunAnew => "step-begun-anew",
                Self::CallbackGivenUp => "callback-given-up",
            }
        }
    }

    /// Enables a failpoint in what this thread runs from now on, or none.
    pub fn enable(failpoint: Option<Failpoint>) {
        ENABLED.set(failpoint);
    }

    /// Whether a failpoint is enabled in this thread.
    pub fn is_enabled(failpoint: Failpoint) -> bool {
        ENABLED.get() == Some(failpoint)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_bug_is_there_only_when_it_is_enabled() {
            assert!(!crate::failpoint!(LostHint));
            enable(Some(Failpoint::LostHint));
            assert!(crate::failpoint!(LostHint) && !crate::failpoint!(ReusedDot));
            enable(None);
            assert!(Failpoint::ALL.iter().all(|failpoint| !is_enabled(*failpoint)));
        }
    }
}
