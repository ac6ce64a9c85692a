//! What all queries of a node share: memory, disk, and figures of them.

use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::{Error, ErrorKind, Result};

use crate::limits::SEGMENT_MEMORY;

/// The budget of a store.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) memory_limit: u64,
    pub(super) disk_limit: u64,
    memory: AtomicU64,
    /// Memory that was taken for bytes which are just being put where they can be seen.
    underway: AtomicU64,
    disk: AtomicU64,
    segments: AtomicU64,
    spilled: AtomicU64,
}

impl Budget {
    pub(super) fn new(memory_limit: u64, disk_limit: u64) -> Self {
        let (memory, underway, disk) = Default::default();
        let (segments, spilled) = Default::default();
        Self { memory_limit, disk_limit, memory, underway, disk, segments, spilled }
    }

    /// Takes memory, be there as much or not; [`Budget::excess`] says what is to be freed then.
    pub(super) fn take_memory(&self, bytes: u64) {
        self.memory.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes memory for bytes that are put away at once, if there is as much; returns whether.
    pub(super) fn begin_put(&self, bytes: u64) -> bool {
        self.underway.fetch_add(bytes, Ordering::AcqRel);
        let room = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.memory_limit);
        let taken = self.memory.fetch_update(Ordering::AcqRel, Ordering::Relaxed, room).is_ok();
        if !taken {
            self.end_put(bytes);
        }
        taken
    }

    /// They are put away.
    pub(super) fn end_put(&self, bytes: u64) {
        self.underway.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Whether somebody is just putting bytes away.
    pub(super) fn is_put_underway(&self) -> bool {
        self.underway.load(Ordering::Acquire) > 0
    }

    pub(super) fn give_memory(&self, bytes: u64) {
        let before = self.memory.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "memory that nobody took comes back");
    }

    /// How much more memory is in use than there is.
    pub(super) fn excess(&self) -> u64 {
        self.memory().saturating_sub(self.memory_limit)
    }

    /// # Errors
    /// When there is not as much: says how much there is, and what the limit is called.
    pub(super) fn take_disk(&self, bytes: u64) -> Result<()> {
        let limit = self.disk_limit;
        let room = |used: u64| used.checked_add(bytes).filter(|used| *used <= limit);
        match self.disk.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => Ok(()),
            Err(used) => Err(Error::new(
                ErrorKind::Storage,
                format!(
                    "the files of groups on this node have {used} of the {limit} bytes that their \
                     disk budget allows, and {bytes} more are needed"
                ),
            )),
        }
    }

    pub(super) fn give_disk(&self, bytes: u64) {
        let before = self.disk.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "disk that nobody took comes back");
    }

    /// # Errors
    /// When what segments need beside their bytes would be all the memory that there is.
    pub(super) fn add_segment(&self) -> Result<()> {
        let limit = self.memory_limit / SEGMENT_MEMORY;
        let room = |count: u64| (count < limit).then_some(count + 1);
        match self.segments.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => {
                self.take_memory(SEGMENT_MEMORY);
                Ok(())
            }
            Err(count) => Err(Error::new(
                ErrorKind::Overloaded,
                format!(
                    "{count} segments of groups are on this node, as many as its {} bytes of \
                     memory for them allow",
                    self.memory_limit
                ),
            )),
        }
    }

    pub(super) fn remove_segments(&self, count: u64) {
        self.segments.fetch_sub(count, Ordering::Relaxed);
        self.give_memory(count * SEGMENT_MEMORY);
    }

    pub(super) fn add_spilled(&self, bytes: u64) {
        self.spilled.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    pub(super) fn disk(&self) -> u64 {
        self.disk.load(Ordering::Relaxed)
    }

    pub(super) fn segments(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }

    pub(super) fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }
}
