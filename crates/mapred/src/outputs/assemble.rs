//! Records, in the order of their names, as whole objects.

use std::collections::VecDeque;

use bytes::Bytes;
use mapring_types::limits as common;

use super::Names;
use crate::failure::{Failure, FailureKind};
use crate::grammar::{Format, Layout, ObjectsSpec};
use crate::limits;
use crate::spool::{Record, Sorted};

/// An object that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assembled {
    pub(super) name: String,
    pub(super) body: Bytes,
}

/// See the module.
pub(super) struct Assembler<'s> {
    spec: &'s ObjectsSpec,
    names: &'s Names,
    sorted: Sorted,
    read: VecDeque<Record>,
    /// The key of the records of the object under construction.
    key: Option<Bytes>,
    /// The number of its piece.
    piece: u32,
    body: Vec<u8>,
    /// Records in it.
    items: u64,
    ended: bool,
}

impl<'s> Assembler<'s> {
    pub(super) fn new(spec: &'s ObjectsSpec, names: &'s Names, sorted: Sorted) -> Self {
        let mut assembler = Self {
            spec,
            names,
            sorted,
            read: VecDeque::new(),
            key: None,
            piece: 0,
            body: Vec::new(),
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
        // The only object is there even without a result, so that it replaces the one before it.
        self.key = matches!(self.spec.layout, Layout::Single(_)).then(Bytes::new);
        (self.piece, self.items, self.ended) = (0, 0, false);
        self.body.clear();
    }

    /// The next object; `None` at the end.
    ///
    /// # Errors
    /// When the records cannot be read, or an object would be too large.
    pub(super) async fn next(&mut self) -> Result<Option<Assembled>, Failure> {
        while !self.ended {
            if self.read.is_empty() {
                self.read = self.sorted.next(limits::ANSWER_CHUNK).await?.into();
            }
            let Some(record) = self.read.pop_front() else {
                self.ended = true;
                return Ok(self.key.take().map(|key| self.finish(&key)));
            };
            let same = self.key.as_ref() == Some(&record.key);
            if same && !self.is_full(&record) {
                self.add(&record.value)?;
                continue;
            }
            let before = self.key.replace(record.key.clone());
            let done = before.map(|key| self.finish(&key));
            self.piece = if same { self.piece + 1 } else { 0 };
            self.add(&record.value)?;
            if done.is_some() {
                return Ok(done);
            }
        }
        Ok(None)
    }

    /// Whether a record belongs to the next piece.
    fn is_full(&self, next: &Record) -> bool {
        let Some(most) = self.spec.max_bytes else { return false };
        // With the comma before it and the bracket behind.
        let around = if self.is_list() { 2 } else { 0 };
        self.items > 0 && (self.body.len() + next.value.len() + around) as u64 > most
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
        let most = common::OBJECT_BYTES;
        if self.body.len() < most {
            return Ok(());
        }
        let message = format!(
            "an object of the output would have more than {most} bytes: give \"max_bytes\", or a \
             layout of more objects"
        );
        Err(Failure::new(FailureKind::AnswerSize, message))
    }

    fn finish(&mut self, key: &[u8]) -> Assembled {
        let mut body = std::mem::take(&mut self.body);
        if self.is_list() {
            body.extend_from_slice(if self.items == 0 { b"[]" } else { b"]" });
        }
        self.items = 0;
        let name = self.spec.name(self.names, key, self.piece);
        Assembled { name, body: body.into() }
    }
}
