//! The order of events: hashed, and kept for humans.

use std::fmt::Write;

use mapring_net::simulated::Message;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits;

/// Takes note of all that happens.
pub(crate) struct Trace {
    start: Instant,
    verbose: bool,
    state: Mutex<State>,
}

struct State {
    hash: u64,
    events: u64,
    history: Vec<String>,
    violations: Vec<String>,
}

/// What a trace amounts to.
pub(crate) struct Outcome {
    pub(crate) hash: u64,
    pub(crate) events: u64,
    pub(crate) history: Vec<String>,
    pub(crate) violations: Vec<String>,
}

/// The beginning of FNV-1a, 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn mix(hash: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Trace {
    pub(crate) fn new(verbose: bool) -> Self {
        let state = State { hash: BASIS, events: 0, history: Vec::new(), violations: Vec::new() };
        Self { start: Instant::now(), verbose, state: Mutex::new(state) }
    }

    /// Microseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Something that a human wants to read when the run has failed.
    pub(crate) fn note(&self, what: impl AsRef<str>) {
        let line = format!("{:>12} {}", self.now(), what.as_ref());
        if self.verbose {
            println!("{line}");
        }
        let mut state = self.state.lock();
        state.add(line.as_bytes());
        state.history.push(line);
    }

    /// A message between nodes.
    pub(crate) fn message(&self, message: &Message<'_>) {
        let Message { from, to, method, leg, body, fate } = message;
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "{:>12} message {from} -> {to} {:?}/{} {leg:?} {fate:?} {} bytes {:016x}",
            self.now(),
            method.service,
            method.operation,
            body.len(),
            mix(BASIS, body)
        );
        if self.verbose {
            println!("{line} {}", words(body));
        }
        self.state.lock().add(line.as_bytes());
    }

    /// Something that must not be.
    pub(crate) fn violation(&self, what: String) {
        self.note(format!("VIOLATION {what}"));
        self.state.lock().violations.push(what);
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let mut state = self.state.lock();
        Outcome {
            hash: state.hash,
            events: state.events,
            history: std::mem::take(&mut state.history),
            violations: std::mem::take(&mut state.violations),
        }
    }
}

/// What a human can read of a message: names and values.
fn words(body: &[u8]) -> String {
    let readable = |byte: &u8| byte.is_ascii_graphic();
    let runs = body.chunk_by(|one, other| readable(one) == readable(other));
    let words = runs.filter(|run| run.len() > 1 && run.iter().all(readable));
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    words.join(" ").chars().take(limits::TRACE_CHARS).collect()
}

impl State {
    fn add(&mut self, line: &[u8]) {
        self.hash = mix(mix(self.hash, line), b"\n");
        self.events += 1;
    }
}
