//! How much is measured for how long.

use std::time::Duration;

/// The sizes of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Turns of what is compared; the median counts.
    pub(crate) turns: usize,
    /// Of load without measurement, each turn.
    pub(crate) warm_up: Duration,
    /// Of measurement, each turn.
    pub(crate) duration: Duration,
    /// Objects of the groups of which it is not the point.
    pub(crate) objects: u64,
    /// Texts whose words are counted.
    pub(crate) texts: u64,
    /// The numbers of objects that a cost per object is compared for.
    pub(crate) flat: Vec<u64>,
    /// What is grouped by key.
    pub(crate) group: GroupPlan,
    /// What jobs are measured with.
    pub(crate) jobs: JobsPlan,
    /// Bytes of a body that a node does not hold.
    pub(crate) body_bytes: u64,
}

/// What jobs are measured with.
#[derive(Debug, Clone)]
pub(crate) struct JobsPlan {
    /// Objects of the job that is compared with a query.
    pub(crate) objects: u64,
    /// Small jobs that are started as fast as they are taken, a multiple of three.
    pub(crate) small: u64,
    /// Nodes that are killed while they run a job.
    pub(crate) kills: u64,
}

/// How much is grouped by key.
#[derive(Debug, Clone)]
pub(crate) struct GroupPlan {
    /// Texts whose words are counted.
    pub(crate) texts: u64,
    /// Documents a field of which is added up.
    pub(crate) documents: u64,
    /// Pairs of a query that is larger than memory, a whole number for each key.
    pub(crate) pairs: u64,
    /// Keys of these pairs.
    pub(crate) keys: u64,
}

/// Bytes of the objects that are read, written and scanned.
pub(crate) const VALUE_BYTES: u64 = 200;

/// Connections, each with one request under way.
pub(crate) const CONNECTIONS: u16 = 32;

/// Keys that are read and written at random.
pub(crate) const KEYS: u64 = 10_000;

impl Plan {
    /// Less of each, for groups with many rows.
    pub(crate) fn brief(&self) -> Self {
        Self {
            turns: self.turns.min(3),
            warm_up: self.warm_up / 10,
            duration: self.duration / 6,
            ..self.clone()
        }
    }

    pub(crate) fn new(quick: bool, most: Option<u64>) -> Self {
        let most = most.unwrap_or(if quick { 50_000 } else { 1_000_000 });
        let sizes = std::iter::successors(Some(10_000), |size| Some(size * 10));
        let mut flat: Vec<u64> = sizes.take_while(|size| *size < most).collect();
        flat.push(most);
        if quick {
            Self {
                turns: 1,
                warm_up: Duration::from_millis(300),
                duration: Duration::from_millis(900),
                objects: 20_000,
                texts: 2_000,
                flat,
                group: GroupPlan { texts: 5_000, documents: 50_000, pairs: 500_000, keys: 100_000 },
                jobs: JobsPlan { objects: 50_000, small: 1_500, kills: 1 },
                body_bytes: 200_000_000,
            }
        } else {
            Self {
                turns: 5,
                warm_up: Duration::from_millis(500),
                duration: Duration::from_millis(1_500),
                objects: 100_000,
                texts: 10_000,
                flat,
                group: GroupPlan {
                    texts: 100_000,
                    documents: 1_000_000,
                    pairs: 50_000_000,
                    keys: 10_000_000,
                },
                jobs: JobsPlan { objects: 1_000_000, small: 9_000, kills: 5 },
                body_bytes: 2_000_000_000,
            }
        }
    }
}
