//! The results of partitions, each of which come in the order of their keys, in the order of all.

use std::collections::VecDeque;

use bytes::Bytes;
use mapring_script::Row;
use mapring_types::{Error, Result};

/// See the module.
#[derive(Default)]
pub(super) struct Merge {
    partitions: Vec<Waiting>,
}

/// What a partition has given that is not handed on yet.
#[derive(Default)]
struct Waiting {
    groups: VecDeque<(Bytes, Vec<Row>)>,
    /// The last key that came.
    last: Option<Bytes>,
    ended: bool,
}

impl Merge {
    pub(super) fn new(partitions: usize) -> Self {
        Self { partitions: (0..partitions).map(|_| Waiting::default()).collect() }
    }

    /// Whether something of a partition is needed to go on.
    pub(super) fn wants(&self, partition: usize) -> bool {
        self.partitions[partition].groups.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.iter().all(|partition| partition.groups.is_empty())
    }

    /// There will be nothing more of a partition.
    pub(super) fn end(&mut self, partition: usize) {
        self.partitions[partition].ended = true;
    }

    /// Takes the results of some groups of a partition: each key, and how many of the results are
    /// its.
    ///
    /// # Errors
    /// `Corrupt` when the keys do not go up, or the numbers do not add up.
    pub(super) fn push(
        &mut self,
        partition: usize,
        groups: Vec<(Bytes, u32)>,
        results: Vec<Row>,
    ) -> Result<()> {
        let waiting = &mut self.partitions[partition];
        let counted: usize =
            groups.iter().map(|(_, rows)| usize::try_from(*rows).unwrap_or(0)).sum();
        if counted != results.len() {
            let message = format!("groups have {counted} results, and {} came", results.len());
            return Err(Error::corrupt(message));
        }
        let mut results = results.into_iter();
        for (key, rows) in groups {
            if waiting.last.as_ref().is_some_and(|last| key <= *last) {
                return Err(Error::corrupt(format!("partition {partition}: a key comes late")));
            }
            waiting.last = Some(key.clone());
            let rows = results.by_ref().take(usize::try_from(rows).unwrap_or(0)).collect();
            waiting.groups.push_back((key, rows));
        }
        Ok(())
    }

    /// The results whose turn has come, and the partition of each: of all keys up to the first of which a partition has not
    /// told its next.
    pub(super) fn ready(&mut self) -> (Vec<u32>, Vec<Row>) {
        let (mut partitions, mut rows) = (Vec::new(), Vec::new());
        loop {
            let mut first: Option<(usize, &Bytes)> = None;
            for (number, partition) in self.partitions.iter().enumerate() {
                match partition.groups.front() {
                    Some((key, _)) if first.is_none_or(|(_, least)| key < least) => {
                        first = Some((number, key));
                    }
                    None if !partition.ended => return (partitions, rows),
                    Some(_) | None => {}
                }
            }
            let Some((number, _)) = first else { return (partitions, rows) };
            let group = self.partitions[number].groups.pop_front();
            rows.extend(group.into_iter().flat_map(|(_, rows)| rows));
            partitions.resize(rows.len(), u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
}
