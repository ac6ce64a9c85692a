//! Whether this node stood still a moment ago: stopped, swapped out, or with its machine asleep.
//!
//! Requests that reached it meanwhile lie in its sockets and are worked on when it goes on, long
//! after their senders have turned to other nodes. A write that another node was to coordinate
//! would then be made again, over what has been written since.

use std::sync::Weak;

use async_trait::async_trait;
use mapring_background::{Context, Next, Worker};
use mapring_types::Result;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::limits;

/// See the module.
pub(crate) struct PauseDetector(Mutex<State>);

struct State {
    last: Instant,
    /// When it went on.
    woke: Option<Instant>,
}

impl PauseDetector {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { last: Instant::now(), woke: None }))
    }

    /// Whether it has stood still, and went on less than [`limits::AFTER_PAUSE`] ago.
    pub(crate) fn was_paused(&self) -> bool {
        let mut state = self.0.lock();
        let now = Instant::now();
        if now.duration_since(state.last) >= limits::PAUSE {
            state.woke = Some(now);
            state.last = now;
        }
        state.woke.is_some_and(|woke| now.duration_since(woke) < limits::AFTER_PAUSE)
    }

    fn tick(&self) {
        self.was_paused();
        self.0.lock().last = Instant::now();
    }
}

/// Ticks.
pub(crate) struct PauseWorker(pub(crate) Weak<PauseDetector>);

#[async_trait]
impl Worker for PauseWorker {
    fn name(&self) -> &'static str {
        "pause-detector"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(pauses) = self.0.upgrade() else { return Ok(Next::End) };
        pauses.tick();
        context.say(if pauses.was_paused() { "this node stood still a moment ago" } else { "" });
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        sleep(limits::PAUSE_TICK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gap_between_ticks_is_noticed_for_a_while() {
        let pauses = PauseDetector::new();
        for _ in 0..20 {
            tokio::time::advance(limits::PAUSE_TICK).await;
            pauses.tick();
        }
        assert!(!pauses.was_paused(), "it has ticked all the time");
        tokio::time::advance(limits::PAUSE).await;
        assert!(pauses.was_paused(), "asked before the first tick");
        pauses.tick();
        assert!(pauses.was_paused());
        tokio::time::advance(limits::AFTER_PAUSE).await;
        assert!(!pauses.was_paused());
    }
}
