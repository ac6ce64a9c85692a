//! Kept results that the client has not taken yet.

use std::collections::VecDeque;

use mapring_script::Row;

use crate::limits;
use crate::metered::count;
use crate::results::PhaseResults;

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    batches: VecDeque<PhaseResults>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether what fills it may go on.
    pub(super) fn has_room(&self) -> bool {
        self.batches.len() < limits::RESULTS_AHEAD && self.bytes < limits::RESULTS_AHEAD_BYTES
    }

    /// Takes results, in batches of [`limits::RESULTS_BYTES`].
    pub(super) fn push(&mut self, phase: usize, values: Vec<Row>) {
        self.push_of(phase, 0, values);
    }

    /// As [`Outbox::push`], of a partition that is told apart from others.
    pub(super) fn push_of(&mut self, phase: usize, partition: u32, values: Vec<Row>) {
        count("mapring_mapred_results_total", values.len() as u64);
        let mut batch = PhaseResults { phase, partition, values: Vec::new() };
        let mut bytes = 0;
        for value in values {
            bytes += value.bytes();
            batch.values.push(value);
            if bytes >= limits::RESULTS_BYTES {
                let values = std::mem::take(&mut batch.values);
                let full = PhaseResults { phase, partition, values };
                self.push_batch(full, bytes);
                bytes = 0;
            }
        }
        if !batch.values.is_empty() {
            self.push_batch(batch, bytes);
        }
    }

    /// Takes one result of the first phase, with those before it where there is room.
    pub(super) fn push_one(&mut self, value: Row) {
        match self.batches.back_mut() {
            Some(last) if last.values.len() < limits::BATCH_INPUTS => {
                self.bytes += value.bytes();
                last.values.push(value);
            }
            _ => self.push(0, vec![value]),
        }
    }

    fn push_batch(&mut self, batch: PhaseResults, bytes: usize) {
        count("mapring_mapred_result_bytes_total", bytes as u64);
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
