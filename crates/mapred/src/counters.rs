//! What a query counts by itself: with what is accepted, and so exactly, whatever fails meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use mapring_script::Counter;

use crate::graph::Role;
use crate::handle::PageStats;

/// The counters of a query, those of time in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Counted([AtomicU64; Counter::ALL.len()]);

impl Counted {
    /// Adds to one.
    pub(crate) fn add(&self, counter: Counter, by: u64) {
        self.0[counter as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Adds what a page, or a step of a reduce, has done.
    pub(crate) fn count(&self, role: Role, stats: &PageStats) {
        let PageStats { inputs, result_bytes, skipped, ref cost, tally, .. } = *stats;
        self.add(Counter::CombinerCalls, tally.combined);
        match role {
            Role::Map => {
                self.add(Counter::MapperCalls, tally.calls);
                self.add(Counter::MapErrors, skipped);
                self.add(Counter::MapperWalltime, cost.function_us);
            }
            Role::Gather { .. } => self.add(Counter::ShuffleBytes, result_bytes),
            Role::Groups => {
                self.add(Counter::Groups, inputs);
                self.add(Counter::ReducerCalls, tally.calls);
            }
            Role::Echo | Role::Keys { .. } | Role::Link | Role::Reduce(_) => {}
        }
        if matches!(role, Role::Map | Role::Link | Role::Keys { .. }) {
            self.add(Counter::IoReadBytes, cost.read_bytes);
            self.add(Counter::IoRead, cost.read_us);
            self.add(Counter::InputsMissing, tally.missing);
        }
    }

    /// All of them, in the order of [`Counter::ALL`].
    pub(crate) fn save(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Goes on from what was saved; those that were not known then are at nothing.
    pub(crate) fn restore(&self, saved: &[u64]) {
        for (count, saved) in self.0.iter().zip(saved) {
            count.store(*saved, Ordering::Relaxed);
        }
    }

    /// All of them as users read them.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (String, i64)> {
        Counter::ALL.iter().map(|&counter| {
            let count = self.0[counter as usize].load(Ordering::Relaxed);
            let count = if counter.is_time() { count / 1_000 } else { count };
            (counter.name().to_owned(), i64::try_from(count).unwrap_or(i64::MAX))
        })
    }
}
