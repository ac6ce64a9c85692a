//! Records: lines of JSON, or the blocks of [`crate::blocks`], as the document begins.

use serde_json::value::RawValue;

use crate::blocks::{self, Blocks};
use crate::cursor::Places;
use crate::documents::{Documents, Position, stop};
use crate::error::{Pull, Stop};
use crate::peek::Peek;
use crate::splitter::Splitter;

/// What may stand before a text that is UTF-8, and is no JSON.
const MARK: &[u8] = "\u{feff}".as_bytes();

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
    inner: Peek,
    kind: Kind,
    from: u64,
    lines: Splitter,
    blocks: Blocks,
    key: Option<String>,
    value: Option<String>,
    taken: usize,
}

impl Records {
    pub(crate) fn new(inner: Box<dyn Documents>, lines: Splitter, blocks: Blocks) -> Self {
        Self {
            inner: Peek::new(inner),
            kind: Kind::Closed,
            from: 0,
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
        let are_blocks = blocks::are_blocks(self.inner.look(blocks::START)?);
        let from = std::mem::take(&mut self.from);
        if are_blocks {
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
        let mut text = self.lines.text();
        if self.lines.at() == 0 {
            text = text.strip_prefix(MARK).unwrap_or(text);
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(false);
        }
        match read(text) {
            Ok((key, value)) => {
                (self.key, self.value) = (key, Some(value));
                Ok(true)
            }
            Err(why) => stop(&self.inner, self.lines.at(), why),
        }
    }

    fn step(&mut self) -> Pull<bool> {
        match self.kind {
            Kind::Closed => {
                if !self.inner.next()? {
                    return Ok(false);
                }
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
    fn below(&self) -> Option<&dyn Documents> {
        Some(&self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(&mut self.inner)
    }

    fn next(&mut self) -> Pull<bool> {
        (self.key, self.value) = (None, None);
        self.taken = 0;
        loop {
            if !self.step()? {
                return Ok(false);
            }
            match self.kind {
                Kind::Lines if !self.lines.next(&mut self.inner)? => self.kind = Kind::Closed,
                Kind::Lines => {
                    if self.read_line()? {
                        return Ok(true);
                    }
                }
                Kind::Blocks if self.blocks.next(&mut self.inner)? => return Ok(true),
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
