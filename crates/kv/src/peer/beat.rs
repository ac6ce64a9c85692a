//! Whether this node stood still a moment ago: stopped, swapped out, or with its machine asleep.
//!
//! Requests that reached it meanwhile lie in its sockets and are worked on when it goes on, long
//! after their senders have turned elsewhere. A write that another node was to coordinate would then
//! be made again, over what has been written since.

use std::sync::Weak;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{Shared, limits};

/// See the module.
pub(crate) struct Beat(Mutex<State>);

struct State {
    last: Instant,
    /// When it went on.
    woke: Option<Instant>,
}

impl Beat {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { last: Instant::now(), woke: None }))
    }

    /// Whether it has stood still, and went on less than [`limits::AWAKE_AFTER`] ago.
    pub(crate) fn stood_still(&self) -> bool {
        let mut state = self.0.lock();
        let now = Instant::now();
        if now.duration_since(state.last) >= limits::STOOD_STILL {
            state.woke = Some(now);
            state.last = now;
        }
        state.woke.is_some_and(|woke| now.duration_since(woke) < limits::AWAKE_AFTER)
    }

    fn beat(&self) {
        self.stood_still();
        self.0.lock().last = Instant::now();
    }
}

/// The background task.
pub(crate) async fn run(shared: Weak<Shared>) {
    loop {
        sleep(limits::BEAT).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.beat.beat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gap_between_beats_is_noticed_for_a_while() {
        let beat = Beat::new();
        for _ in 0..20 {
            tokio::time::advance(limits::BEAT).await;
            beat.beat();
        }
        assert!(!beat.stood_still(), "it has beaten all the time");
        tokio::time::advance(limits::STOOD_STILL).await;
        assert!(beat.stood_still(), "asked before the first beat");
        beat.beat();
        assert!(beat.stood_still());
        tokio::time::advance(limits::AWAKE_AFTER).await;
        assert!(!beat.stood_still());
    }
}
