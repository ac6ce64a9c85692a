//! The tombstones that wait to be reaped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mapring_types::ObjectId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits;

/// Tombstones to be reaped.
pub(crate) struct Reaper {
    pub(crate) after: Option<Duration>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Instant, ObjectId)>,
    /// The number of tries, for each object in `due`.
    tries: BTreeMap<ObjectId, u32>,
}

impl Reaper {
    pub(crate) fn new(after: Option<Duration>) -> Self {
        Self { after, queue: Mutex::default() }
    }

    /// Has a tombstone reaped after a time; never when that is `None`.
    pub(crate) fn schedule(&self, id: &ObjectId, after: Option<Duration>) {
        if let Some(after) = after {
            self.enqueue(id.clone(), Instant::now() + after, 0);
        }
    }

    /// A read has met a tombstone written at `last_modified`, both in microseconds.
    pub(crate) fn met(&self, id: &ObjectId, last_modified: u64, now: u64) {
        let age = Duration::from_micros(now.saturating_sub(last_modified));
        self.schedule(id, self.after.map(|after| after.saturating_sub(age)));
    }

    /// Has a tombstone reaped at a time; returns whether it waits for that.
    pub(crate) fn enqueue(&self, id: ObjectId, at: Instant, tries: u32) -> bool {
        let mut queue = self.queue.lock();
        if queue.tries.contains_key(&id) {
            return true;
        }
        if queue.tries.len() >= limits::REAPS {
            metrics::counter!("mapring_kv_reaps_dropped_total").increment(1);
            return false;
        }
        queue.tries.insert(id.clone(), tries);
        queue.due.insert((at, id));
        assert_eq!(queue.due.len(), queue.tries.len(), "tombstones that wait for nothing");
        true
    }

    /// How many tombstones wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().tries.len()
    }

    pub(crate) fn any_due(&self, now: Instant) -> bool {
        self.queue.lock().due.first().is_some_and(|(at, _)| *at <= now)
    }

    pub(crate) fn take_due(&self, now: Instant) -> Vec<(ObjectId, u32)> {
        let mut queue = self.queue.lock();
        let mut taken = Vec::new();
        while queue.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = queue.due.pop_first() else { break };
            let tries = queue.tries.remove(&id).unwrap_or_default();
            taken.push((id, tries));
        }
        taken
    }
}
