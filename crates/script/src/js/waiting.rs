//! Pairs of a batch that wait for a combiner in JavaScript.

use std::collections::HashMap;

use boa_engine::JsValue;

/// The values of keys, in the order in which the keys came.
#[derive(Default)]
pub(super) struct Waiting {
    places: HashMap<Box<[u8]>, usize>,
    pub(super) groups: Vec<WaitingGroup>,
    /// Groups that have enough values for a call.
    full: Vec<usize>,
    /// How many that are.
    batch: usize,
    /// About the bytes that are held.
    bytes: u64,
    /// How many pairs came, and about their bytes.
    pub(super) made: u64,
    pub(super) made_bytes: u64,
}

/// The values of a key.
pub(super) struct WaitingGroup {
    pub(super) key: Box<[u8]>,
    /// The input that the first value came of.
    pub(super) input: u32,
    pub(super) fresh: Vec<JsValue>,
    pub(super) old: Vec<JsValue>,
}

impl Waiting {
    pub(super) fn new(batch: usize) -> Self {
        Self { batch: batch.max(1), ..Self::default() }
    }

    /// Takes a pair; the value weighs so much.
    pub(super) fn push(&mut self, input: u32, key: &[u8], value: JsValue, weight: u64) {
        self.made += 1;
        self.made_bytes += key.len() as u64 + weight;
        self.bytes += weight;
        let at = match self.places.get(key) {
            Some(&at) => at,
            None => {
                self.bytes += 2 * key.len() as u64 + size_of::<WaitingGroup>() as u64;
                self.places.insert(key.into(), self.groups.len());
                let (fresh, old) = (Vec::new(), Vec::new());
                self.groups.push(WaitingGroup { key: key.into(), input, fresh, old });
                self.groups.len() - 1
            }
        };
        if let Some(group) = self.groups.get_mut(at) {
            group.fresh.push(value);
            if group.fresh.len() == self.batch {
                self.full.push(at);
            }
        }
    }

    /// About the bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// The groups that have enough for a call.
    pub(super) fn take_full(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.full)
    }

    /// Values that weighed so much have become others.
    pub(super) fn shrank(&mut self, from: u64, to: u64) {
        self.bytes = self.bytes.saturating_sub(from).saturating_add(to);
    }
}
