//! Record files: the framing of LevelDB's log, as App Engine's MapReduce and the exports of its
//! Datastore have it.
//!
//! A file is blocks of 32 KiB of *fragments*: a masked CRC-32C, a length, a kind, and data. A record is a
//! full fragment, or a first one, middle ones and a last one. No fragment crosses a block's end: what
//! is left there is padding, fewer than seven bytes, or more where a writer has flushed (kind 0).
//!
//! A record belongs to the piece `(start, end]` that holds its first byte. Behind a wrong checksum the
//! lengths cannot be trusted: the rest of the block is left out, and reported.

use crate::cursor::OVER;
use crate::documents::{Documents, gather, stop};
use crate::error::{Pull, Stop};
use crate::limits;

/// The bytes of a block.
const BLOCK: u64 = 32 << 10;
/// The bytes before the data of a fragment.
const HEADER: usize = 7;

/// Kinds of fragments.
const PADDING: u8 = 0;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Whether a file that begins with these bytes is one of blocks: text of JSON has no such characters in
/// the place of the kind.
pub(crate) fn are_blocks(start: &[u8]) -> bool {
    start.get(HEADER - 1).is_some_and(|kind| *kind <= LAST)
}

/// How long a start [`are_blocks`] looks at.
pub(crate) const START: usize = HEADER;

/// The checksum of a fragment, as it is stored.
fn masked(kind: u8, data: &[u8]) -> u32 {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), data);
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Seek(u64),
    Header,
    Data,
    /// A record is whole that another error had to be told before.
    Ready,
    Over,
}

/// Reads records.
pub(crate) struct Blocks {
    piece: Option<(u64, u64)>,
    phase: Phase,
    gathered: Vec<u8>,
    header_at: u64,
    header: [u8; HEADER],
    /// The fragments of a record so far, and where it begins.
    record: Vec<u8>,
    begun: Option<u64>,
    /// Whether fragments without a first one belong to a record that is none of this reader's, or has
    /// been reported.
    adrift: bool,
    /// Whether the last fragment was one that others must follow.
    unended: bool,
    /// Records that begin up to here belong to the piece before.
    before: Option<u64>,
    record_at: u64,
    next_at: u64,
}

impl Blocks {
    pub(crate) fn new(piece: Option<(u64, u64)>) -> Self {
        Self {
            piece,
            phase: Phase::Over,
            gathered: Vec::new(),
            header_at: 0,
            header: [0; HEADER],
            record: Vec::new(),
            begun: None,
            adrift: false,
            unended: false,
            before: None,
            record_at: 0,
            next_at: 0,
        }
    }

    /// Begins a document, from a place of [`Blocks::place_after`] on.
    pub(crate) fn begin(&mut self, place: u64) {
        (self.begun, self.adrift, self.unended, self.before) = (None, false, false, None);
        (self.record_at, self.next_at) = (0, 0);
        self.gathered.clear();
        if place != 0 && place != OVER {
            self.next_at = (place - 1) >> 1;
        }
        self.phase = match (place, self.piece) {
            (OVER, _) => Phase::Over,
            (0, Some((start, _))) if start > 0 => {
                (self.adrift, self.before) = (true, Some(start));
                Phase::Seek(start - start % BLOCK)
            }
            (1.., _) => {
                self.adrift = (place - 1) & 1 == 1;
                Phase::Seek(self.next_at)
            }
            (0, _) => Phase::Seek(0),
        };
    }

    /// The record.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.record
    }

    /// Where the record begins.
    pub(crate) fn at(&self) -> u64 {
        self.record_at
    }

    /// From where the record is met again.
    pub(crate) fn place(&self) -> u64 {
        (self.record_at << 1) + 1
    }

    /// From where the next record is met, and whether fragments there are adrift.
    pub(crate) fn place_after(&self) -> u64 {
        match self.phase {
            Phase::Over => OVER,
            Phase::Ready => self.place(),
            _ => ((self.next_at << 1) | u64::from(self.adrift)) + 1,
        }
    }

    /// Reads the next record; `false` when there is none.
    pub(crate) fn next(&mut self, inner: &mut dyn Documents) -> Pull<bool> {
        loop {
            match self.phase {
                Phase::Over => return Ok(false),
                Phase::Ready => {
                    self.phase = Phase::Header;
                    return Ok(true);
                }
                Phase::Seek(to) => {
                    self.below(|_| inner.seek(to))?;
                    self.phase = Phase::Header;
                }
                Phase::Header => self.read_header(inner)?,
                Phase::Data => {
                    if self.read_data(inner)? {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// What the document below says: what breaks it ends it.
    fn below<T>(&mut self, ask: impl FnOnce(&mut Self) -> Pull<T>) -> Pull<T> {
        let said = ask(self);
        if let Err(Stop::Broken(_)) = said {
            self.phase = Phase::Over;
        }
        said
    }

    /// Where the block of the present fragment ends.
    fn block_end(&self) -> u64 {
        (self.header_at / BLOCK + 1) * BLOCK
    }

    /// Where the present fragment's data ends, by its header.
    fn data_bytes(&self) -> usize {
        usize::from(u16::from_le_bytes([self.header[4], self.header[5]]))
    }

    fn kind(&self) -> u8 {
        self.header[HEADER - 1]
    }

    /// Whether the present fragment is of a record that this reader does not answer for.
    fn is_others(&self) -> bool {
        let begins = matches!(self.kind(), FULL | FIRST);
        let before = self.before.is_some_and(|start| self.header_at <= start);
        before || (self.adrift && !begins && self.kind() <= LAST)
    }

    fn read_header(&mut self, inner: &mut dyn Documents) -> Pull<()> {
        if self.gathered.is_empty() {
            self.header_at = inner.at();
        }
        let left = self.block_end() - self.header_at;
        if left < HEADER as u64 {
            self.phase = Phase::Seek(self.block_end());
            return Ok(());
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        let whole = self.below(|_| gather(inner, &mut gathered, HEADER));
        if matches!(whole, Err(Stop::Need(_))) {
            self.gathered = gathered;
            return whole.map(|_| ());
        }
        let Ok(header) = <[u8; HEADER]>::try_from(gathered.as_slice()) else {
            whole?;
            return self.end(inner, &gathered);
        };
        whole?;
        self.header = header;
        self.check_header(inner, left)
    }

    /// The file has ended, with these bytes behind the last fragment.
    fn end(&mut self, inner: &mut dyn Documents, rest: &[u8]) -> Pull<()> {
        self.phase = Phase::Over;
        if let Some(at) = self.begun.take() {
            return stop(inner, at, "the file ends within the record that begins here");
        }
        let beyond = self.piece.is_some_and(|(_, end)| self.header_at > end);
        let before = self.before.is_some_and(|start| self.header_at <= start);
        let others = beyond || before || (self.adrift && self.unended);
        if rest.iter().any(|byte| *byte != 0) && !others {
            return stop(inner, self.header_at, "the file ends within the record that begins here");
        }
        Ok(())
    }

    fn check_header(&mut self, inner: &mut dyn Documents, left: u64) -> Pull<()> {
        let (kind, length) = (self.kind(), self.data_bytes());
        let rest = self.block_end();
        let begins = matches!(kind, FULL | FIRST);
        let beyond = self.piece.is_some_and(|(_, end)| self.header_at > end);
        if beyond && (begins || kind > LAST) {
            self.phase = Phase::Over;
            return self.unfinished(inner);
        }
        if kind == PADDING && self.header == [0; HEADER] {
            (self.phase, self.next_at) = (Phase::Seek(rest), rest);
            return self.unfinished(inner);
        }
        let wrong = match kind {
            FULL..=LAST if (length + HEADER) as u64 > left => "a fragment reaches beyond its block",
            FULL..=LAST => {
                self.unended = matches!(kind, FIRST | MIDDLE);
                self.phase = Phase::Data;
                return Ok(());
            }
            _ => "a fragment has an unknown kind",
        };
        self.leave_block(inner, wrong)
    }

    /// Leaves out the rest of the block, and reports that.
    fn leave_block(&mut self, inner: &mut dyn Documents, what: &str) -> Pull<()> {
        let (rest, others) = (self.block_end(), self.is_others());
        self.phase = Phase::Seek(rest);
        (self.next_at, self.adrift) = (rest, true);
        let cut = self.begun.take();
        self.record.clear();
        if others {
            return Ok(());
        }
        let mut message = format!("{what}; the block is left out from here on, up to byte {rest}");
        if let Some(at) = cut {
            message.push_str(&format!(", with the record that begins at byte {at}"));
        }
        stop(inner, self.header_at, message)
    }

    /// Another record begins, or nothing more: one that has not ended is an error, unless it has no
    /// bytes yet, as some writers begin one in the last bytes of a block and then begin it again.
    fn unfinished(&mut self, inner: &mut dyn Documents) -> Pull<()> {
        let Some(at) = self.begun.take() else { return Ok(()) };
        if std::mem::take(&mut self.record).is_empty() {
            return Ok(());
        }
        stop(inner, at, "the record that begins here has no end")
    }

    fn read_data(&mut self, inner: &mut dyn Documents) -> Pull<bool> {
        let length = self.data_bytes();
        let mut gathered = std::mem::take(&mut self.gathered);
        let whole = self.below(|_| gather(inner, &mut gathered, length));
        if matches!(whole, Err(Stop::Need(_))) {
            self.gathered = gathered;
            return whole;
        }
        if !whole? {
            self.phase = Phase::Over;
            if self.is_others() {
                return Ok(false);
            }
            let at = self.begun.take().unwrap_or(self.header_at);
            return stop(inner, at, "the file ends within the record that begins here");
        }
        let [one, two, three, four, ..] = self.header;
        if masked(self.kind(), &gathered) != u32::from_le_bytes([one, two, three, four]) {
            self.leave_block(inner, "the checksum of a fragment is wrong")?;
            return Ok(false);
        }
        self.phase = Phase::Header;
        self.take_fragment(inner, &gathered)
    }

    /// Takes a fragment; says whether a record is whole with it.
    fn take_fragment(&mut self, inner: &mut dyn Documents, data: &[u8]) -> Pull<bool> {
        let others = self.is_others();
        let before = self.before.is_some_and(|start| self.header_at <= start);
        match self.kind() {
            _ if before => Ok(false),
            FULL | FIRST => {
                self.adrift = false;
                let cut = self.unfinished(inner);
                self.record.clear();
                self.record.extend_from_slice(data);
                let full = self.kind() == FULL;
                if full {
                    (self.record_at, self.next_at) = (self.header_at, inner.at());
                } else {
                    (self.begun, self.next_at) = (Some(self.header_at), self.header_at);
                }
                if cut.is_err() && full {
                    self.phase = Phase::Ready;
                }
                cut.map(|()| full)
            }
            _ if others => Ok(false),
            kind => {
                let Some(begun) = self.begun else {
                    self.adrift = true;
                    self.next_at = inner.at();
                    return stop(inner, self.header_at, "a record has no beginning");
                };
                if self.record.len() + data.len() > limits::ITEM_BYTES {
                    (self.begun, self.adrift, self.next_at) = (None, true, inner.at());
                    let most = limits::ITEM_BYTES;
                    return stop(inner, begun, format!("a record is longer than {most} bytes"));
                }
                self.record.extend_from_slice(data);
                if kind == MIDDLE {
                    return Ok(false);
                }
                (self.begun, self.record_at, self.next_at) = (None, begun, inner.at());
                Ok(true)
            }
        }
    }
}
