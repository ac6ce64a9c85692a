//! The counters that the store itself keeps of every query. Functions cannot count under these names:
//! whoever reads one knows who has counted.

use std::fmt;

macro_rules! counters {
    ($($(#[$doc:meta])+ $counter:ident => $name:literal,)+) => {
        /// A counter of the store's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter {
            $($(#[$doc])+ $counter,)+
        }

        impl Counter {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$counter),+];

            /// The name that users read.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$counter => $name,)+
                }
            }
        }
    };
}

counters! {
    /// Inputs that map functions were called with.
    MapperCalls => "mapper-calls",
    /// How often combiners were called; one of `Job` once for each key that it is given values of.
    CombinerCalls => "combiner-calls",
    /// Groups that grouped reduces were called with.
    ReducerCalls => "reducer-calls",
    /// Groups that there were.
    Groups => "groups",
    /// Time that map functions took, without the wait for a worker.
    MapperWalltime => "mapper-walltime-ms",
    /// Bytes of the objects that were read for map and link phases.
    IoReadBytes => "io-read-bytes",
    /// Time for reading them.
    IoRead => "io-read-msec",
    /// Bytes of values that functions and outputs stored.
    IoWriteBytes => "io-write-bytes",
    /// Time for storing them.
    IoWrite => "io-write-msec",
    /// Bytes of pairs that went to the owners of their groups.
    ShuffleBytes => "shuffle-bytes",
    /// Objects that functions stored or deleted.
    Writes => "writes",
    /// Batches in which that was done.
    WriteBatches => "write-batches",
    /// Inputs that were left out because a map function failed for them.
    MapErrors => "map-errors",
    /// Objects that were named as inputs and are not there.
    InputsMissing => "inputs-missing",
}

impl Counter {
    /// The counter of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|counter| counter.name() == name)
    }

    /// Whether it counts time, which is shown in milliseconds.
    pub fn is_time(self) -> bool {
        matches!(self, Self::MapperWalltime | Self::IoRead | Self::IoWrite)
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        for &counter in Counter::ALL {
            assert_eq!(Counter::find(counter.name()), Some(counter));
            let unit = counter.name().ends_with("-ms") || counter.name().ends_with("-msec");
            assert_eq!(counter.is_time(), unit, "{counter}");
        }
        assert_eq!(Counter::find("lowered"), None);
    }
}
