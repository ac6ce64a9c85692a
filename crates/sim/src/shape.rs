//! What kind of cluster a seed makes.

use std::fmt;

use crate::limits;
use crate::random::Random;

/// The choices that hold for a whole run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Nodes of the cluster.
    pub(crate) nodes: u64,
    pub(crate) partitions: u16,
    /// Replicas of the objects that have one writer each.
    pub(crate) n_val: u32,
    /// Whether clients delete.
    pub(crate) deletes: bool,
    /// Whether clocks are seconds off, and are set.
    pub(crate) bad_clocks: bool,
    /// Whether storage takes its time.
    pub(crate) slow_disks: bool,
    /// Most time that an input of a function takes, in milliseconds.
    pub(crate) slowest_ms: u64,
    /// The usual delay of a message, in milliseconds.
    pub(crate) delay_ms: u64,
    /// Inputs after which a page ends.
    pub(crate) page_inputs: usize,
    /// Units of a lane that run at once.
    pub(crate) units_at_once: usize,
    /// Queries that a node coordinates at once.
    pub(crate) concurrent_queries: usize,
    /// Whether clients update data types.
    pub(crate) datatypes: bool,
    /// What there is of jobs.
    pub(crate) jobs: Option<JobShape>,
}

/// What holds of jobs for a whole run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobShape {
    /// Jobs that a node runs at once.
    pub(crate) concurrent: usize,
    /// Answers to decisions that are lost, of a thousand.
    pub(crate) lost_answers: u64,
    /// How many objects there are as inputs.
    pub(crate) flock: u64,
    /// Whether the pairs of grouped jobs are fsynced.
    pub(crate) fsyncs: bool,
    /// How far a minute has come when all begins, in microseconds: so that the next one begins in the
    /// midst of the faults.
    pub(crate) past_minute: u64,
}

impl JobShape {
    /// What a seed says: whether there are jobs, unless that is `given`.
    pub(crate) fn new(random: &Random, given: Option<bool>) -> Option<Self> {
        let there_are = random.per_mille(limits::WITH_JOBS);
        let shape = Self {
            concurrent: random.choose(&[1, 2, 4]).copied().unwrap_or(1),
            lost_answers: random.choose(&limits::LOST_ANSWERS).copied().unwrap_or(0),
            flock: random.within(limits::FLOCK),
            past_minute: random.within(limits::PAST_MINUTE_MS) * 1_000,
            fsyncs: random.per_mille(500),
        };
        given.unwrap_or(there_are).then_some(shape)
    }
}

impl Shape {
    pub(crate) fn new(random: &Random) -> Self {
        let one_of = |choices: &[u64]| random.choose(choices).copied().unwrap_or(1);
        let small = |choices: &[u64]| usize::try_from(one_of(choices)).unwrap_or(1);
        Self {
            nodes: one_of(&[3, 3, 5]),
            partitions: u16::try_from(one_of(&[8, 16, 32, 64])).unwrap_or(8),
            n_val: u32::try_from(one_of(&[3, 3, 3, 3, 2, 1])).unwrap_or(3),
            deletes: random.per_mille(500),
            bad_clocks: random.per_mille(300),
            slow_disks: random.per_mille(500),
            slowest_ms: one_of(&[0, 4, 50]),
            delay_ms: random.within(1..6),
            page_inputs: small(&[3, 10, 100]),
            units_at_once: small(&[1, 4]),
            concurrent_queries: small(&[1, 8]),
            datatypes: false,
            jobs: None,
        }
    }

    /// How far a clock is off at most, in microseconds, to either side.
    pub(crate) fn skew_micros(&self) -> u64 {
        if self.bad_clocks { limits::WIDE_SKEW_MICROS } else { limits::SKEW_MICROS }
    }

    /// How many replicas must know of something so that every other such number has one that does.
    pub(crate) fn majority(n_val: u32) -> usize {
        usize::try_from(n_val / 2 + 1).unwrap_or(1)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, partitions, n_val, slowest_ms, page_inputs, .. } = self;
        write!(f, "{nodes} nodes, {partitions} partitions, {n_val} replicas, ")?;
        write!(f, "up to {slowest_ms} ms an input, pages of {page_inputs}")?;
        for (word, holds) in [
            ("deletes", self.deletes),
            ("bad clocks", self.bad_clocks),
            ("slow disks", self.slow_disks),
            ("data types", self.datatypes),
        ] {
            if holds {
                write!(f, ", {word}")?;
            }
        }
        if let Some(JobShape { concurrent, lost_answers, fsyncs, .. }) = self.jobs {
            write!(f, ", {concurrent} jobs at once, {lost_answers} ‰ of the answers lost")?;
            write!(f, ", pairs {}", if fsyncs { "fsynced" } else { "written" })?;
        }
        Ok(())
    }
}
