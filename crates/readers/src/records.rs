//! Records: lines of JSON, or the blocks of [`crate::blocks`], as the document begins.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::blocks::{self, Blocks};
use crate::cursor::Places;
use crate::documents::{Documents, Position, gather, stop};
use crate::error::{Pull, Stop};
use crate::splitter::Splitter;

/// What the present document is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// None is open.
    Closed,
    /// Not known yet.
    New,
    Lines,
    Blocks,
}

/// The layer.
pub(crate) struct Records {
    inner: Box<dyn Documents>,
    kind: Kind,
    from: u64,
    start: Vec<u8>,
    lines: Splitter,
    blocks: Blocks,
    key: Option<String>,
    value: Option<String>,
    taken: usize,
}

impl Records {
    pub(crate) fn new(inner: Box<dyn Documents>, lines: Splitter, blocks: Blocks) -> Self {
        Self {
            inner,
            kind: Kind::Closed,
            from: 0,
            start: Vec::new(),
            lines,
            blocks,
            key: None,
            value: None,
            taken: 0,
        }
    }

    /// Whether the present document is lines of JSON.
    pub(crate) fn are_json(&self) -> bool {
        self.kind == Kind::Lines
    }

    fn recognise(&mut self) -> Pull<()> {
        gather(self.inner.as_mut(), &mut self.start, blocks::START)?;
        let from = std::mem::take(&mut self.from);
        if blocks::are_blocks(&self.start) {
            self.kind = Kind::Blocks;
            self.blocks.begin(from);
        } else {
            self.kind = Kind::Lines;
            self.lines.begin(from);
        }
        Ok(())
    }

    /// Reads the line; `false` when there is nothing in it.
    fn read_line(&mut self) -> Pull<bool> {
        let text = self.lines.text();
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(false);
        }
        match read(text) {
            Ok((key, value)) => {
                (self.key, self.value) = (key, Some(value));
                Ok(true)
            }
            Err(why) => stop(self.inner.as_ref(), self.lines.at(), why),
        }
    }

    fn step(&mut self) -> Pull<bool> {
        match self.kind {
            Kind::Closed => {
                if !self.inner.next()? {
                    return Ok(false);
                }
                self.start.clear();
                self.kind = Kind::New;
            }
            Kind::New => {
                let recognised = self.recognise();
                if matches!(recognised, Err(Stop::Broken(_))) {
                    self.kind = Kind::Closed;
                }
                recognised?;
            }
            Kind::Lines | Kind::Blocks => {}
        }
        Ok(true)
    }
}

impl Documents for Records {
    fn next(&mut self) -> Pull<bool> {
        (self.key, self.value) = (None, None);
        self.taken = 0;
        loop {
            if !self.step()? {
                return Ok(false);
            }
            match self.kind {
                Kind::Lines if !self.lines.next(self.inner.as_mut())? => self.kind = Kind::Closed,
                Kind::Lines => {
                    if self.read_line()? {
                        return Ok(true);
                    }
                }
                Kind::Blocks if self.blocks.next(self.inner.as_mut())? => return Ok(true),
                Kind::Blocks => self.kind = Kind::Closed,
                Kind::Closed | Kind::New => {}
            }
        }
    }

    fn fill(&mut self) -> Pull<bool> {
        Ok(!self.bytes().is_empty())
    }

    fn bytes(&self) -> &[u8] {
        let all = match &self.value {
            Some(value) => value.as_bytes(),
            None => self.blocks.bytes(),
        };
        &all[self.taken..]
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }

    fn at(&self) -> u64 {
        self.taken as u64
    }

    fn feed(&mut self, at: u64, bytes: Bytes) {
        self.inner.feed(at, bytes);
    }

    fn names(&self, within: &mut Vec<String>) {
        self.inner.names(within);
        let at = if self.are_json() { self.lines.at() } else { self.blocks.at() };
        within.push(format!("the record at byte {at}"));
    }

    fn position(&self, position: &mut Position) {
        self.inner.position(position);
        let at = if self.are_json() { self.lines.at() } else { self.blocks.at() };
        position.number("offset", at);
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref().or_else(|| self.inner.key())
    }

    fn place(&self, places: &mut Vec<u64>) {
        self.inner.place(places);
        places.push(if self.are_json() { self.lines.place() } else { self.blocks.place() });
    }

    fn place_after(&self, places: &mut Vec<u64>) {
        match self.kind {
            Kind::Closed => self.inner.place_after(places),
            _ => self.inner.place(places),
        }
        places.push(match self.kind {
            Kind::Closed | Kind::New => self.from,
            Kind::Lines => self.lines.place_after(),
            Kind::Blocks => self.blocks.place_after(),
        });
    }

    fn resume(&mut self, places: &mut Places) {
        self.inner.resume(places);
        self.from = places.take().unwrap_or(0);
    }
}

/// The key and the value of a line: the elements of a list of two; else no key, and all of it.
fn read(line: &[u8]) -> Result<(Option<String>, String), String> {
    let whole: &RawValue = serde_json::from_slice(line)
        .map_err(|error| format!("the line is no JSON: {error} of it"))?;
    let pair = || {
        let parts: Vec<&RawValue> = serde_json::from_str(whole.get()).ok()?;
        let [key, value] = parts.as_slice() else { return None };
        let key = serde_json::from_str(key.get()).unwrap_or_else(|_| key.get().to_owned());
        Some((Some(key), value.get().to_owned()))
    };
    let pair = if whole.get().starts_with('[') { pair() } else { None };
    Ok(pair.unwrap_or_else(|| (None, whole.get().to_owned())))
}
