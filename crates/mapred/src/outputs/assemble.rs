//! Records, in the order of their names, as objects: whole, or piece by piece those that are large.

use std::collections::VecDeque;

use bytes::Bytes;
use mapring_kv::BodySizes;

use super::Names;
use super::record::SHARD_BYTES;
use crate::failure::{Failure, FailureKind};
use crate::grammar::{Format, Layout, ObjectsSpec};
use crate::limits;
use crate::spool::{Record, Sorted};

/// An object that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assembled {
    pub(super) name: String,
    /// Its bytes, or the first of them.
    pub(super) body: Bytes,
    /// Whether these are all: else [`Assembler::more`] gives the others, before the next object.
    pub(super) is_whole: bool,
}

/// See the module.
pub(super) struct Assembler<'s> {
    spec: &'s ObjectsSpec,
    names: &'s Names,
    /// How many shards there are: each has an object.
    shards: u32,
    sizes: BodySizes,
    sorted: Sorted,
    read: VecDeque<Record>,
    /// The key of the records of the object under construction.
    key: Option<Bytes>,
    /// The number of its piece.
    piece: u32,
    body: Vec<u8>,
    /// Bytes of the object that were given before these.
    given: u64,
    /// Whether it is given piece by piece.
    is_large: bool,
    /// Records in it.
    items: u64,
    ended: bool,
}

impl<'s> Assembler<'s> {
    pub(super) fn new(
        spec: &'s ObjectsSpec,
        names: &'s Names,
        shards: u32,
        sizes: BodySizes,
        sorted: Sorted,
    ) -> Self {
        let mut assembler = Self {
            spec,
            names,
            shards,
            sizes,
            sorted,
            read: VecDeque::new(),
            key: None,
            piece: 0,
            body: Vec::new(),
            given: 0,
            is_large: false,
            items: 0,
            ended: false,
        };
        assembler.rewind();
        assembler
    }

    /// Begins anew.
    pub(super) fn rewind(&mut self) {
        self.sorted.rewind();
        self.read.clear();
        // Some objects are there even without a result, so that they replace those before them.
        self.key = match self.spec.layout {
            Layout::PerKey => None,
            Layout::Single(_) => Some(Bytes::new()),
            Layout::PerShard(_) => self.shard(0),
        };
        (self.piece, self.items, self.ended) = (0, 0, false);
        (self.given, self.is_large) = (0, false);
        self.body.clear();
    }

    /// The next object; `None` at the end.
    ///
    /// # Errors
    /// When the records cannot be read, or an object would be too large.
    pub(super) async fn next(&mut self) -> Result<Option<Assembled>, Failure> {
        assert!(!self.is_large, "an object is still being given");
        while !self.ended {
            // With the bracket that may be to come.
            if self.body.len() >= self.sizes.whole_bytes
                && let Some(key) = &self.key
            {
                let name = self.spec.name(self.names, key, self.piece);
                self.is_large = true;
                return Ok(Some(Assembled { name, body: self.take(), is_whole: false }));
            }
            self.read_some().await?;
            let Some(record) = self.read.pop_front() else {
                let last = self.key.clone().map(|key| self.finish(&key));
                self.end();
                return Ok(last);
            };
            if self.belongs(&record) {
                self.add(&record.value)?;
                continue;
            }
            let done = self.key.clone().map(|key| self.finish(&key));
            self.turn_to(record)?;
            if done.is_some() {
                return Ok(done);
            }
        }
        Ok(None)
    }

    /// The next bytes of an object that was not whole; `None` at its end.
    ///
    /// # Errors
    /// As [`Assembler::next`].
    pub(super) async fn more(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.is_large && self.body.len() < limits::ANSWER_CHUNK {
            self.read_some().await?;
            match self.read.pop_front() {
                Some(record) if self.belongs(&record) => self.add(&record.value)?,
                next => {
                    self.close();
                    let last = self.take();
                    (self.is_large, self.items, self.given) = (false, 0, 0);
                    match next {
                        Some(record) => self.turn_to(record)?,
                        None => self.end(),
                    }
                    return Ok(Some(last));
                }
            }
        }
        Ok(self.is_large.then(|| self.take()))
    }

    async fn read_some(&mut self) -> Result<(), Failure> {
        if self.read.is_empty() {
            self.read = self.sorted.next(limits::ANSWER_CHUNK).await?.into();
            if matches!(self.spec.layout, Layout::PerShard(_)) {
                // What is behind the shard has put them in order.
                self.read.iter_mut().for_each(|record| record.key.truncate(SHARD_BYTES));
            }
        }
        Ok(())
    }

    /// What names the object of a shard, if there is that.
    fn shard(&self, number: u32) -> Option<Bytes> {
        let named = number < self.shards;
        named.then(|| Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    /// The shard behind that of the object under construction.
    fn next_shard(&self) -> Option<Bytes> {
        let key = self.key.as_ref()?.first_chunk()?;
        self.shard(u32::from_be_bytes(*key).checked_add(1)?)
    }

    /// There are no more records.
    fn end(&mut self) {
        self.key = self.next_shard();
        (self.piece, self.ended) = (0, self.key.is_none());
    }

    /// Whether a record goes into the object under construction.
    fn belongs(&self, record: &Record) -> bool {
        self.key.as_ref() == Some(&record.key) && !self.is_full(record)
    }

    /// Begins the next object.
    fn turn_to(&mut self, record: Record) -> Result<(), Failure> {
        let same = self.key.as_ref() == Some(&record.key);
        self.piece = if same { self.piece + 1 } else { 0 };
        if !same
            && matches!(self.spec.layout, Layout::PerShard(_))
            && let Some(empty) = self.next_shard().filter(|next| *next < record.key)
        {
            self.key = Some(empty);
            self.read.push_front(record);
            return Ok(());
        }
        self.key = Some(record.key);
        self.add(&record.value)
    }

    /// The bytes that are there.
    fn take(&mut self) -> Bytes {
        self.given += self.body.len() as u64;
        std::mem::take(&mut self.body).into()
    }

    /// Whether a record belongs to the next piece.
    fn is_full(&self, next: &Record) -> bool {
        let Some(most) = self.spec.max_bytes else { return false };
        // With the comma before it and the bracket behind.
        let around = if self.is_list() { 2 } else { 0 };
        self.items > 0 && self.given + (self.body.len() + next.value.len() + around) as u64 > most
    }

    fn is_list(&self) -> bool {
        self.spec.format == Format::Json && self.spec.layout != Layout::PerKey
    }

    fn add(&mut self, value: &[u8]) -> Result<(), Failure> {
        if self.is_list() {
            self.body.push(if self.items == 0 { b'[' } else { b',' });
        }
        self.body.extend_from_slice(value);
        self.items += 1;
        let most = self.sizes.max_bytes;
        if self.given + self.body.len() as u64 <= most {
            return Ok(());
        }
        let message = format!(
            "an object of the output would have more than {most} bytes: give \"max_bytes\", or a \
             layout of more objects"
        );
        Err(Failure::new(FailureKind::AnswerSize, message))
    }

    /// Ends the text of an object.
    fn close(&mut self) {
        if self.is_list() {
            self.body.extend_from_slice(if self.items == 0 { b"[]" } else { b"]" });
        }
    }

    fn finish(&mut self, key: &[u8]) -> Assembled {
        self.close();
        let (name, body) = (self.spec.name(self.names, key, self.piece), self.take());
        (self.items, self.given) = (0, 0);
        Assembled { name, body, is_whole: true }
    }
}
