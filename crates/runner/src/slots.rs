//! Whose turn it is to run on this node: so many jobs at once, by their class and then by their age.

use std::collections::BTreeMap;
use std::sync::Arc;

use mapring_jobs::Priority;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// In the order in which they have their turn.
    waiting: BTreeMap<Turn, oneshot::Sender<Slot>>,
}

/// Before whom a job has its turn: what is smaller is first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    class: std::cmp::Reverse<Priority>,
    since_ms: u64,
    id: String,
}

/// The right to run; given to the next when it is dropped.
pub(crate) struct Slot(Slots);

impl Turn {
    pub(crate) fn new(class: Priority, since_ms: u64, id: &str) -> Self {
        Self { class: std::cmp::Reverse(class), since_ms, id: id.to_owned() }
    }
}

impl Slots {
    pub(crate) fn new(slots: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: slots, waiting: BTreeMap::new() })))
    }

    /// Waits for a turn. Dropping it withdraws.
    pub(crate) async fn turn(&self, turn: Turn) -> Slot {
        let (sender, receiver) = oneshot::channel();
        let waits = Waits { slots: self, turn: turn.clone() };
        self.0.lock().waiting.insert(turn, sender);
        self.give();
        match receiver.await {
            Ok(slot) => slot,
            // Another one waits under the same name: it has the turn.
            Err(_) => {
                drop(waits);
                std::future::pending().await
            }
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Gives free slots to those whose turn it is.
    fn give(&self) {
        loop {
            let next = {
                let mut state = self.0.lock();
                if state.free == 0 {
                    return;
                }
                let Some((_, next)) = state.waiting.pop_first() else { return };
                state.free -= 1;
                next
            };
            // Who has gone gives it back by dropping it, which has the next one's turn come.
            drop(next.send(Slot(self.clone())));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.lock().free += 1;
        self.0.give();
    }
}

struct Waits<'a> {
    slots: &'a Slots,
    turn: Turn,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.slots.0.lock().waiting.remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn turns_come_by_class_then_by_age() {
        let slots = Slots::new(1);
        let first = slots.turn(Turn::new(Priority::Low, 9, "first")).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let wait = |class, since, id: &'static str| {
            let (slots, order) = (slots.clone(), order.clone());
            async move {
                let slot = slots.turn(Turn::new(class, since, id)).await;
                order.lock().push(id);
                drop(slot);
            }
        };
        let waits = futures::future::join4(
            wait(Priority::Low, 1, "low"),
            wait(Priority::Normal, 2, "younger"),
            wait(Priority::Normal, 1, "older"),
            wait(Priority::High, 7, "high"),
        );
        let mut waits = Box::pin(waits);
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!(slots.waiting(), 4);
        drop(first);
        waits.await;
        assert_eq!(*order.lock(), ["high", "older", "younger", "low"]);
    }

    #[tokio::test]
    async fn who_goes_leaves_its_turn_to_the_next() {
        let slots = Slots::new(1);
        let held = slots.turn(Turn::new(Priority::Normal, 0, "held")).await;
        let mut gone = Box::pin(slots.turn(Turn::new(Priority::High, 0, "gone")));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut next = Box::pin(slots.turn(Turn::new(Priority::Low, 0, "next")));
        assert!(next.as_mut().now_or_never().is_none());
        drop(held);
        // It was given to one that goes before it takes it.
        drop(gone);
        drop(next.await);
        assert_eq!((slots.waiting(), slots.0.lock().free), (0, 1));
    }
}
