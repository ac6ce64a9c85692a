//! An input that takes for ever is shown, and its test ends.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use crate::limits;

/// Since when which input is at work.
type Running = Mutex<Option<(Instant, Vec<u8>)>>;

/// Watches one target, until it is dropped.
pub(crate) struct Watch(Arc<Running>);

impl Watch {
    pub(crate) fn start(name: &'static str) -> Self {
        let running = Arc::new(Mutex::new(None));
        let watched = Arc::downgrade(&running);
        thread::spawn(move || look(name, &watched));
        Self(running)
    }

    /// Runs a check.
    pub(crate) fn over(&self, input: &[u8], check: fn(&[u8])) {
        self.note(Some((Instant::now(), input.to_vec())));
        check(input);
        self.note(None);
    }

    fn note(&self, running: Option<(Instant, Vec<u8>)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}

fn look(name: &str, watched: &Weak<Running>) {
    while let Some(running) = watched.upgrade() {
        if let Some((since, input)) = &*running.lock().unwrap_or_else(PoisonError::into_inner)
            && since.elapsed() > limits::ONE_INPUT
        {
            eprintln!("{name}: no end after {:?} with {}", limits::ONE_INPUT, input.escape_ascii());
            // Nothing else ends a thread that does not come back.
            std::process::abort();
        }
        drop(running);
        thread::sleep(limits::LOOK);
    }
}
