//! Numbers, bytes and dots, written one after another.
//!
//! Numbers are LEB128. Dots name their actor by its place in the clock, which is written first: a set of
//! many elements would consist of actors else.

use bytes::{BufMut as _, Bytes, BytesMut};
use mapring_types::{ActorId, Dot, Error, Result, VersionVector};

/// Writes. Nothing can fail.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: BytesMut,
    actors: Vec<ActorId>,
}

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.put_u8(byte);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.wide(number.into());
    }

    /// Small numbers of either sign are short.
    pub(crate) fn signed(&mut self, number: i128) {
        self.wide(((number << 1) ^ (number >> 127)).cast_unsigned());
    }

    fn wide(&mut self, mut number: u128) {
        loop {
            let low = u8::try_from(number & 0x7f).unwrap_or(0);
            number >>= 7;
            if number == 0 {
                return self.byte(low);
            }
            self.byte(low | 0x80);
        }
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The clock whose actors the dots after it name by their places.
    pub(crate) fn clock(&mut self, clock: &VersionVector) {
        let dots: Vec<Dot> = clock.entries().collect();
        self.entries(dots.iter().copied());
        self.actors = dots.iter().map(|dot| dot.actor).collect();
    }

    /// Dots of any actors.
    pub(crate) fn entries(&mut self, dots: impl ExactSizeIterator<Item = Dot>) {
        self.count(dots.len());
        for dot in dots {
            self.raw(&dot.actor.0.to_be_bytes());
            self.number(dot.counter);
        }
    }

    /// A dot that the clock covers.
    ///
    /// # Panics
    /// When the clock has no such actor: a state that is not sound must not be stored.
    pub(crate) fn dot(&mut self, dot: Dot) {
        let place = self.actors.binary_search(&dot.actor);
        let place = place.unwrap_or_else(|_| unreachable!("{dot:?} is not covered"));
        self.count(place);
        self.number(dot.counter);
    }

    pub(crate) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

/// Reads what a [`Writer`] wrote; whatever else it finds is an error.
pub(crate) struct Reader {
    bytes: Bytes,
    clock: VersionVector,
    actors: Vec<ActorId>,
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::corrupt(format!("a data type {what}"))
}

impl Reader {
    /// Shares the bytes: what is read of them is not copied.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, clock: VersionVector::new(), actors: Vec::new() }
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.raw(1)?[0])
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        u64::try_from(self.wide()?).map_err(|_| damaged("has a number that is too large"))
    }

    pub(crate) fn signed(&mut self) -> Result<i128> {
        let wide = self.wide()?;
        Ok((wide >> 1).cast_signed() ^ -(wide & 1).cast_signed())
    }

    fn wide(&mut self) -> Result<u128> {
        let mut number = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let low = u128::from(byte & 0x7f);
            let shifted = low << shift;
            if shifted >> shift != low {
                return Err(damaged("has a number that is too large"));
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged("has a number without an end"))
    }

    /// A number of things of which each takes a byte at least.
    pub(crate) fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.bytes.len() {
            return Err(damaged("is shorter than it says"));
        }
        Ok(count)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        let length = self.count()?;
        self.raw(length)
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<Bytes> {
        if length > self.bytes.len() {
            return Err(damaged("ends too soon"));
        }
        Ok(self.bytes.split_to(length))
    }

    pub(crate) fn clock(&mut self) -> Result<()> {
        let dots = self.entries()?;
        self.actors = dots.iter().map(|dot| dot.actor).collect();
        self.clock = crate::deferred::to_clock(&dots);
        Ok(())
    }

    pub(crate) fn entries(&mut self) -> Result<Vec<Dot>> {
        let count = self.count()?;
        let mut dots: Vec<Dot> = Vec::new();
        for _ in 0..count {
            let actor = self.raw(8)?.iter().fold(0, |actor, byte| actor << 8 | u64::from(*byte));
            let dot = Dot { actor: ActorId(actor), counter: self.number()? };
            if dot.counter == 0 || dots.last().is_some_and(|last| last.actor >= dot.actor) {
                return Err(damaged("has a clock out of order"));
            }
            dots.push(dot);
        }
        Ok(dots)
    }

    pub(crate) fn dot(&mut self) -> Result<Dot> {
        let place = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let actor =
            *self.actors.get(place).ok_or_else(|| damaged("names no actor of its clock"))?;
        let dot = Dot { actor, counter: self.number()? };
        if dot.counter == 0 || !self.clock.covers(dot) {
            return Err(damaged("has a dot that its clock does not cover"));
        }
        Ok(dot)
    }

    /// The clock, once all is read.
    pub(crate) fn finish(self) -> Result<VersionVector> {
        if self.bytes.is_empty() { Ok(self.clock) } else { Err(damaged("has bytes after its end")) }
    }
}
