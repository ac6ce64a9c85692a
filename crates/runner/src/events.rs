//! What has happened to a job: a bounded ring, with numbers that go on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use crate::limits;
use crate::report::{EventId, JobEvent};

/// The events of a job in one epoch.
#[derive(Debug)]
pub(crate) struct Events {
    epoch: u64,
    ring: Mutex<VecDeque<JobEvent>>,
    /// The number of the last one.
    last: watch::Sender<u64>,
    /// Whether no more will come.
    over: AtomicBool,
}

impl Events {
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            ring: Mutex::default(),
            last: watch::Sender::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Notes an event.
    pub(crate) fn note(&self, time_ms: u64, kind: &str, data: Value) {
        let mut ring = self.ring.lock();
        let number = *self.last.borrow() + 1;
        let id = EventId { epoch: self.epoch, number };
        if ring.len() >= limits::EVENTS {
            ring.pop_front();
        }
        ring.push_back(JobEvent { id, time_ms, kind: kind.to_owned(), data });
        self.last.send_replace(number);
    }

    /// Those after one, of this epoch or of one before.
    pub(crate) fn after(&self, after: EventId) -> Vec<JobEvent> {
        self.ring.lock().iter().filter(|event| event.id > after).cloned().collect()
    }

    /// The last of them, within the bytes that are kept with a job that has ended.
    pub(crate) fn last(&self) -> Vec<JobEvent> {
        let (ring, mut bytes) = (self.ring.lock(), 0);
        let newest = ring.iter().rev().take_while(|event| {
            bytes += size_of::<JobEvent>() + event.kind.len() + event.data.to_string().len();
            bytes <= limits::KEPT_EVENTS_BYTES
        });
        let mut kept: Vec<JobEvent> = newest.cloned().collect();
        kept.reverse();
        kept
    }

    /// No more will come: whoever waits goes on.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::Release);
        self.last.send_modify(|_| {});
    }

    /// Waits until there are some after one; none where no more will come.
    pub(crate) async fn wait(&self, after: EventId) -> Vec<JobEvent> {
        let mut last = self.last.subscribe();
        loop {
            let over = self.over.load(Ordering::Acquire);
            let found = self.after(after);
            if !found.is_empty() || over || last.changed().await.is_err() {
                return found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_are_kept_within_some_bytes() {
        let events = Events::new(1);
        assert!(events.last().is_empty());
        (0..10).for_each(|number| events.note(number, "state", json!(number)));
        assert_eq!(events.last(), events.after(EventId::default()));
        events.note(10, "end", json!("x".repeat(limits::KEPT_EVENTS_BYTES - 500)));
        let kept = events.last();
        assert!((1..5).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.last().map(|event| event.time_ms), Some(10));
    }

    #[tokio::test]
    async fn events_are_numbered_and_bounded() {
        let events = Events::new(2);
        for number in 0..limits::EVENTS as u64 + 10 {
            events.note(number, "state", json!(number));
        }
        let all = events.after(EventId { epoch: 1, number: 999 });
        assert_eq!((all.len(), all[0].id.number), (limits::EVENTS, 11));
        let last = all[all.len() - 1].id;
        assert!(events.after(last).is_empty());
        let waits = events.wait(last);
        let (found, ()) = futures::future::join(waits, async {
            events.note(7, "end", Value::Null);
        })
        .await;
        assert_eq!((found.len(), found[0].kind.as_str()), (1, "end"));
        let (found, ()) = futures::future::join(events.wait(found[0].id), async {
            events.close();
        })
        .await;
        assert!(found.is_empty() && events.wait(last).await.len() == 1);
    }
}
