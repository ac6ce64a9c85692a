//! Which worker processes there are, for those that look at what they use.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// The ids of the worker processes that have been started and not been waited for.
#[derive(Debug, Default)]
pub(crate) struct Processes(Mutex<BTreeSet<u32>>);

/// A process in the list, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    processes: Arc<Processes>,
    id: u32,
}

impl Processes {
    pub(crate) fn enter(self: &Arc<Self>, id: u32) -> Entry {
        self.0.lock().insert(id);
        Entry { processes: Arc::clone(self), id }
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        self.0.lock().iter().copied().collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.processes.0.lock().remove(&self.id);
    }
}
