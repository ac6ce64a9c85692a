//! Lines of a document, or of a piece of it.
//!
//! A line belongs to the piece `(start, end]` that holds its first byte; the first byte of all belongs
//! to the first piece. So a reader of a later piece goes over the line that `start` lies in, and every
//! reader reads a line to its end wherever that is: pieces have each line exactly once.

use crate::cursor::OVER;
use crate::documents::{Documents, gather, stop};
use crate::encoding::Encoding;
use crate::error::{FormatError, Pull, Stop};
use crate::limits;

/// What ends lines, and what is left of it.
pub(crate) struct Separator {
    text: String,
    keep_cr: bool,
    encoding: Encoding,
    bytes: Vec<u8>,
}

/// What ends a line where nothing else is said.
const LINE_FEED: &str = "\n";

impl Separator {
    /// For lines that end with `text`, or with a line feed that may have a carriage return before it.
    ///
    /// # Errors
    /// When there can be no such separator.
    pub(crate) fn new(
        text: Option<&str>,
        encoding: Encoding,
        keep_cr: bool,
    ) -> Result<Self, FormatError> {
        let keep_cr = keep_cr || text.is_some();
        let text = text.unwrap_or(LINE_FEED).to_owned();
        let refuse = |why: &str| FormatError::new("separator", why);
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        let bytes = encoding.encode(&text);
        let bytes = bytes.ok_or_else(|| refuse("it cannot be told apart in the encoding"))?;
        if bytes.len() > limits::SEPARATOR_BYTES {
            return Err(refuse("it is too long"));
        }
        Ok(Self { text, keep_cr, encoding, bytes })
    }

    /// Whether it is found again from any place of a text: not when one may begin inside of another,
    /// nor when only the start of the text says how it is written.
    pub(crate) fn splits(&self) -> bool {
        let overlaps = |with: usize| self.bytes.ends_with(&self.bytes[..with]);
        !self.encoding.needs_mark() && !(1..self.bytes.len()).any(overlaps)
    }

    fn learn(&mut self, start: &[u8]) -> u64 {
        let (encoding, length) = self.encoding.marked(start);
        self.encoding = encoding;
        if let Some(bytes) = encoding.encode(&self.text) {
            self.bytes = bytes;
        }
        length
    }
}

/// Where a splitter stands in its document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// At its start, which may say how it is written.
    Mark,
    /// About to go to a place, and whether that is in the middle of a line.
    Seek(u64, bool),
    /// Between lines.
    Between,
    In(Use),
    Over,
}

/// What becomes of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Keep,
    /// It belongs to another piece.
    PassOver,
    TooLong,
}

/// Splits documents.
pub(crate) struct Splitter {
    separator: Separator,
    original: Encoding,
    /// The piece, as `(start, end]`.
    piece: Option<(u64, u64)>,
    phase: Phase,
    from: u64,
    line: Vec<u8>,
    text: Vec<u8>,
    line_at: u64,
    next_at: u64,
}

impl Splitter {
    pub(crate) fn new(separator: Separator, piece: Option<(u64, u64)>) -> Self {
        let original = separator.encoding;
        Self {
            separator,
            original,
            piece,
            phase: Phase::Over,
            from: 0,
            line: Vec::new(),
            text: Vec::new(),
            line_at: 0,
            next_at: 0,
        }
    }

    /// Begins a document, from a place of [`Splitter::place`] on.
    pub(crate) fn begin(&mut self, place: u64) {
        self.separator.encoding = self.original;
        self.from = place;
        (self.line_at, self.next_at) = (0, 0);
        self.phase = match place {
            OVER => Phase::Over,
            _ if self.original.needs_mark() => Phase::Mark,
            _ => self.first_place(0),
        };
    }

    /// Where to go first in a document with a mark of so many bytes.
    fn first_place(&self, mark: u64) -> Phase {
        if self.from > 0 {
            return Phase::Seek(self.from - 1, false);
        }
        match self.piece {
            Some((start, _)) if start > 0 => {
                // A separator that begins before may end behind the start.
                let back = start + 1 - (self.separator.bytes.len() as u64).min(start + 1);
                Phase::Seek(back.next_multiple_of(self.separator.encoding.unit()), true)
            }
            _ => Phase::Seek(mark, false),
        }
    }

    /// The line, without what ends it.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The place of the line in the document.
    pub(crate) fn at(&self) -> u64 {
        self.line_at
    }

    /// From where the line is met again.
    pub(crate) fn place(&self) -> u64 {
        self.line_at + 1
    }

    /// From where the next line is met.
    pub(crate) fn place_after(&self) -> u64 {
        if self.phase == Phase::Over { OVER } else { self.next_at + 1 }
    }

    /// Reads the next line; `false` when there is none. An error of the document below ends it; one
    /// that is the line's own does not.
    pub(crate) fn next(&mut self, inner: &mut dyn Documents) -> Pull<bool> {
        loop {
            match self.phase {
                Phase::Over => return Ok(false),
                Phase::Mark => {
                    let unit = usize::try_from(self.separator.encoding.unit()).unwrap_or(1);
                    let mut start = std::mem::take(&mut self.text);
                    let gathered = gather(inner, &mut start, unit);
                    self.text = start;
                    self.below(gathered)?;
                    let mark = self.separator.learn(&self.text);
                    let start = std::mem::take(&mut self.text);
                    if mark > 0 || self.from > 0 {
                        self.phase = self.first_place(mark);
                        continue;
                    }
                    // No mark: these bytes belong to the first line.
                    self.line = start;
                    self.phase = Phase::In(Use::Keep);
                    if self.line == self.separator.bytes && self.end(inner, Use::Keep)? {
                        return Ok(true);
                    }
                }
                Phase::Seek(to, inside) => {
                    let gone = inner.seek(to);
                    self.below(gone)?;
                    self.line.clear();
                    self.line_at = to;
                    self.phase = if inside { Phase::In(Use::PassOver) } else { Phase::Between };
                }
                Phase::Between => {
                    if self.piece.is_some_and(|(_, end)| self.line_at > end) {
                        self.phase = Phase::Over;
                    } else {
                        self.line.clear();
                        self.phase = Phase::In(Use::Keep);
                    }
                }
                Phase::In(becomes) => {
                    let filled = inner.fill();
                    let ended = if self.below(filled)? {
                        self.take(inner, becomes)
                    } else {
                        self.phase = Phase::Over;
                        // Behind the last separator there is no line.
                        inner.at() > self.line_at
                    };
                    if ended && self.end(inner, becomes)? {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// What the document below has said: what breaks it ends it.
    fn below<T>(&mut self, said: Pull<T>) -> Pull<T> {
        if let Err(Stop::Broken(_)) = said {
            self.phase = Phase::Over;
        }
        said
    }

    /// Takes what is ready up to the end of the line; says whether that was there.
    fn take(&mut self, inner: &mut dyn Documents, becomes: Use) -> bool {
        let separator = &self.separator.bytes;
        let Some(&last) = separator.last() else { return false };
        let ready = inner.bytes();
        let end = memchr::memchr(last, ready);
        let taken = end.map_or(ready.len(), |end| end + 1);
        let kept = match becomes {
            Use::Keep => &ready[..taken],
            // Enough to know its end by.
            _ => &ready[taken - taken.min(separator.len())..taken],
        };
        self.line.extend_from_slice(kept);
        inner.consume(taken);
        if end.is_some()
            && self.line.ends_with(separator)
            && inner.at().is_multiple_of(self.separator.encoding.unit())
        {
            return true;
        }
        if becomes == Use::Keep {
            if self.line.len() > limits::ITEM_BYTES {
                self.phase = Phase::In(Use::TooLong);
            }
        } else {
            let over = self.line.len() - self.line.len().min(separator.len());
            self.line.drain(..over);
        }
        false
    }

    /// Ends the line: whether it is one of this piece.
    fn end(&mut self, inner: &dyn Documents, becomes: Use) -> Pull<bool> {
        self.next_at = inner.at();
        if self.phase != Phase::Over {
            self.phase = Phase::Seek(self.next_at, false);
        }
        let most = limits::ITEM_BYTES + self.separator.bytes.len();
        match becomes {
            Use::Keep if self.line.len() > most => self.end(inner, Use::TooLong),
            Use::PassOver => Ok(false),
            Use::TooLong => {
                let message = format!("a line is longer than {} bytes", limits::ITEM_BYTES);
                stop(inner, self.line_at, message)
            }
            Use::Keep => self.decode(inner).map(|()| true),
        }
    }

    fn decode(&mut self, inner: &dyn Documents) -> Pull<()> {
        let separator = &self.separator;
        let line = self.line.strip_suffix(separator.bytes.as_slice()).unwrap_or(&self.line);
        let Some(text) = separator.encoding.decode(line) else {
            return stop(inner, self.line_at, "the line is no text in its encoding");
        };
        self.text.clear();
        self.text.extend_from_slice(&text);
        if !separator.keep_cr && self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        Ok(())
    }
}
