//! The collector does not count lists and texts, so that it would come only when those that nothing
//! has any more fill the memory. Methods that make many count them here.

use std::cell::RefCell;
use std::time::Instant;

use crate::limits;

/// Bytes of lists and texts since the last collection for their sake.
#[derive(Default)]
struct Made {
    bytes: usize,
    /// How many may come before the next one.
    most: usize,
}

thread_local! {
    static MADE: RefCell<Made> = RefCell::default();
}

/// Takes note of a list or texts that an object has, or had until now.
pub(super) fn count(bytes: usize) {
    MADE.with_borrow_mut(|made| made.count(bytes));
}

impl Made {
    fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes < self.most.max(limits::MADE_BYTES) {
            return;
        }
        let began = Instant::now();
        boa_gc::force_collect();
        self.bytes = 0;
        // With much to go through, seldom: so that it takes no longer than making them does.
        let worth = began.elapsed().as_micros() as usize * limits::MADE_BYTES_PER_US;
        self.most = worth.clamp(limits::MADE_BYTES, limits::COLLECT_BYTES as usize);
    }
}
