//! Kept results that the client has not taken yet.

use std::collections::VecDeque;

use mapring_script::Row;

use crate::limits;
use crate::metered::count;
use crate::results::{PhaseResults, Place, held_bytes};

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    batches: VecDeque<PhaseResults>,
    /// Bytes that they take in memory, about.
    bytes: usize,
    /// How many results came in all.
    rows: u64,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// How many results came, whether they have been taken or not.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// So many came before, and were taken.
    pub(super) fn begin_at(&mut self, rows: u64) {
        self.rows = rows;
    }

    /// Whether what fills it may go on.
    pub(super) fn has_room(&self) -> bool {
        self.batches.len() < limits::RESULTS_AHEAD && self.bytes < limits::RESULTS_AHEAD_BYTES
    }

    /// Takes results, in batches of [`limits::RESULTS_BYTES`], each with its place if they are told
    /// apart.
    pub(super) fn push(&mut self, phase: usize, values: Vec<Row>, places: Vec<Place>) {
        count("mapring_mapred_results_total", values.len() as u64);
        let text: usize = values.iter().map(Row::bytes).sum();
        count("mapring_mapred_result_bytes_total", text as u64);
        self.rows += values.len() as u64;
        let mut batch = PhaseResults::new(phase, Vec::new());
        let (mut bytes, mut places) = (0, places.into_iter());
        for value in values {
            bytes += held_bytes(&value);
            batch.values.push(value);
            batch.places.extend(places.next());
            if bytes >= limits::RESULTS_BYTES {
                let full = std::mem::replace(&mut batch, PhaseResults::new(phase, Vec::new()));
                self.push_batch(full, bytes);
                bytes = 0;
            }
        }
        if !batch.values.is_empty() {
            self.push_batch(batch, bytes);
        }
    }

    /// Takes one result of the first phase, with those before it where there is room.
    pub(super) fn push_one(&mut self, value: Row, place: Option<Place>) {
        match self.batches.back_mut() {
            Some(last) if last.values.len() < limits::BATCH_INPUTS => {
                self.bytes += held_bytes(&value);
                self.rows += 1;
                last.values.push(value);
                last.places.extend(place);
            }
            _ => self.push(0, vec![value], place.into_iter().collect()),
        }
    }

    fn push_batch(&mut self, batch: PhaseResults, bytes: usize) {
        self.bytes += bytes;
        self.batches.push_back(batch);
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<PhaseResults> {
        let oldest = self.batches.pop_front()?;
        let bytes = oldest.bytes();
        assert!(!oldest.values.is_empty(), "a batch of no results");
        assert!(bytes <= self.bytes, "{bytes} bytes leave an outbox of {}", self.bytes);
        self.bytes -= bytes;
        assert!(self.bytes == 0 || !self.batches.is_empty(), "{} bytes of nothing", self.bytes);
        Some(oldest)
    }
}
