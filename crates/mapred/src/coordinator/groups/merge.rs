//! The results of partitions, each of which come in the order of their keys, in the order of all.

use std::collections::VecDeque;

use bytes::Bytes;
use mapring_script::Row;
use mapring_types::{Error, Result};

/// See the module.
#[derive(Default)]
pub(super) struct Merge {
    partitions: Vec<Waiting>,
    /// The key whose results were handed on last, …
    last: Option<Bytes>,
    /// … and one that came of two partitions.
    torn: Option<Bytes>,
}

/// The last key of a partition, and its groups that wait.
pub(super) type Held = (Option<Bytes>, Vec<(Bytes, Vec<Row>)>);

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
        let partitions = (0..partitions).map(|_| Waiting::default()).collect();
        Self { partitions, last: None, torn: None }
    }

    /// Whether something of a partition is needed to go on.
    pub(super) fn wants(&self, partition: usize) -> bool {
        self.partitions[partition].groups.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.iter().all(|partition| partition.groups.is_empty())
    }

    /// A key of two partitions: what chose them is no function of the key alone.
    pub(super) fn torn(&self) -> Option<&Bytes> {
        self.torn.as_ref()
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

    /// What it holds, by partition: the last key that came, and the results of groups that wait; and the
    /// last key that was handed on.
    pub(super) fn parts(&self) -> (Vec<Held>, Option<Bytes>) {
        let held = |waiting: &Waiting| {
            (waiting.last.clone(), waiting.groups.iter().cloned().collect::<Vec<_>>())
        };
        (self.partitions.iter().map(held).collect(), self.last.clone())
    }

    /// Goes on with that.
    pub(super) fn of_parts(partitions: Vec<Held>, last: Option<Bytes>) -> Self {
        let waiting = |(last, groups): Held| Waiting { groups: groups.into(), last, ended: false };
        Self { partitions: partitions.into_iter().map(waiting).collect(), last, torn: None }
    }

    /// Bytes of the results that wait.
    pub(super) fn bytes(&self) -> usize {
        let groups = self.partitions.iter().flat_map(|partition| &partition.groups);
        groups.flat_map(|(_, rows)| rows).map(Row::bytes).sum()
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
            let Some((key, results)) = group else { return (partitions, rows) };
            if self.last.as_ref() == Some(&key) {
                self.torn.get_or_insert(key.clone());
            }
            self.last = Some(key);
            rows.extend(results);
            partitions.resize(rows.len(), u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
}
