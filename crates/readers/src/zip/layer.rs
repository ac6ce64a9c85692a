//! Members as documents.

use super::Span;
use super::directory::{Directory, Entry, Record};
use crate::cursor::{OVER, Places};
use crate::documents::{Documents, Position, broken, gather};
use crate::error::{Pull, ReadError, Stop};
use crate::inflate::Inflate;

const HEADER: &[u8] = b"PK\x03\x04";
const HEADER_BYTES: usize = 30;

/// How members are packed.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No archive is open.
    Closed,
    Directory,
    /// Between members.
    Entries,
    Header,
    Name,
    Body,
    Over,
}

/// The layer.
pub(crate) struct Zip {
    inner: Box<dyn Documents>,
    span: Option<Span>,
    /// The member to begin with, and its entry.
    from: (u64, u64),
    phase: Phase,
    directory: Directory,
    entry: Option<Entry>,
    gathered: Vec<u8>,
    body: Inflate,
    /// Packed bytes of the member that are left.
    left: u64,
    /// What is wrong with the member, and where: told when all before it has been taken.
    wrong: Option<(u64, String)>,
    ended: bool,
    at: u64,
}

impl Zip {
    /// Over documents whose length is known.
    pub(crate) fn new(inner: Box<dyn Documents>, span: Option<Span>) -> Self {
        Self {
            inner,
            span,
            from: (0, 0),
            phase: Phase::Closed,
            directory: Directory::new(),
            entry: None,
            gathered: Vec::new(),
            body: Inflate::new(),
            left: 0,
            wrong: None,
            ended: true,
            at: 0,
        }
    }

    /// Damage of the present member: the next one is as it is.
    fn fail<T>(&mut self, at: u64, what: impl Into<String>) -> Pull<T> {
        self.phase = Phase::Entries;
        self.ended = true;
        self.body.reset();
        let about = self.entry.as_ref().map(Entry::shown);
        Err(Stop::Broken(ReadError { about, ..broken(self.inner.as_ref(), at, what) }))
    }

    /// Where to begin in the archive.
    fn first(&self) -> Option<(u64, u64)> {
        let span = self.span.map(|span| (span.first, span.entry));
        if self.from.1 > 0 { Some(self.from) } else { span }
    }

    /// What breaks the directory ends the archive.
    fn below<T>(&mut self, said: Pull<T>) -> Pull<T> {
        if let Err(Stop::Broken(_)) = said {
            self.phase = Phase::Over;
        }
        said
    }

    /// Goes to the next member; `false` when there is none.
    fn next_member(&mut self) -> Pull<bool> {
        loop {
            match self.phase {
                Phase::Closed | Phase::Over => return Ok(false),
                Phase::Directory => {
                    let first = self.first();
                    let opened = self.directory.open(self.inner.as_mut(), first);
                    self.below(opened)?;
                    self.from = (0, 0);
                    self.phase = Phase::Entries;
                }
                Phase::Body => self.phase = Phase::Entries,
                Phase::Entries => {
                    let until = self.span.and_then(|span| span.until);
                    if until.is_some_and(|until| self.directory.index >= until) {
                        self.phase = Phase::Over;
                        continue;
                    }
                    let Some(entry) = self.directory.next(self.inner.as_mut())? else {
                        self.phase = Phase::Over;
                        continue;
                    };
                    if entry.is_folder() {
                        continue;
                    }
                    self.gathered.clear();
                    self.entry = Some(entry);
                    self.phase = Phase::Header;
                }
                Phase::Header => self.read_header()?,
                Phase::Name => {
                    self.read_name()?;
                    return Ok(true);
                }
            }
        }
    }

    /// Gathers the bytes of a member's own header.
    fn gather(&mut self, count: usize) -> Pull<()> {
        if gather(self.inner.as_mut(), &mut self.gathered, count)? {
            Ok(())
        } else {
            self.fail(self.inner.at(), "the archive is cut off")
        }
    }

    fn read_header(&mut self) -> Pull<()> {
        let Some(entry) = self.entry.clone() else { return Ok(()) };
        let at = entry.header_at;
        if entry.encrypted {
            return self.fail(at, "it is encrypted");
        }
        if !matches!(entry.method, STORED | DEFLATED) {
            let what = format!("it is packed with method {}; only deflate is read", entry.method);
            return self.fail(at, what);
        }
        self.inner.seek(at + self.gathered.len() as u64)?;
        self.gather(HEADER_BYTES)?;
        let header = Record(&self.gathered);
        let method = header.short(8);
        if !header.0.starts_with(HEADER) {
            return self.fail(at, "here is no member");
        }
        if method != entry.method {
            return self.fail(at, "its header and the directory differ in how it is packed");
        }
        self.phase = Phase::Name;
        Ok(())
    }

    fn read_name(&mut self) -> Pull<()> {
        let Some(entry) = self.entry.clone() else { return Ok(()) };
        let header = Record(&self.gathered);
        let (name, extra) = (usize::from(header.short(26)), usize::from(header.short(28)));
        let data_at = entry.header_at + (HEADER_BYTES + name + extra) as u64;
        self.gather(HEADER_BYTES + name)?;
        if self.gathered[HEADER_BYTES..] != entry.raw_name[..] {
            return self.fail(entry.header_at, "its header and the directory differ in its name");
        }
        let ends_at = data_at.saturating_add(entry.packed);
        if ends_at > self.directory.starts_at {
            return self
                .fail(entry.header_at, "it is longer than there is room before the directory");
        }
        if entry.method == STORED && entry.packed != entry.size {
            return self.fail(entry.header_at, "it is not packed and has two lengths");
        }
        self.inner.seek(data_at)?;
        self.body.reset();
        self.wrong = None;
        (self.left, self.ended, self.at) = (entry.packed, false, 0);
        self.phase = Phase::Body;
        Ok(())
    }

    /// Has more of the member.
    fn more(&mut self) -> Pull<()> {
        let Some(entry) = &self.entry else { return Ok(()) };
        let (size, stored, header_at) = (entry.size, entry.method == STORED, entry.header_at);
        if self.left == 0 {
            if stored {
                self.end();
                return Ok(());
            }
            return self.fail(self.inner.at(), "its compressed data is cut off");
        }
        if !self.inner.fill()? {
            return self.fail(self.inner.at(), "the archive is cut off");
        }
        let ready = self.inner.bytes();
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(ready.len());
        let done = if stored {
            self.body.copy(&ready[..most]);
            Ok((most, false))
        } else {
            self.body.more(&ready[..most])
        };
        let took = match done {
            Ok((took, _)) | Err(took) => took,
        };
        self.inner.consume(took);
        self.left -= took as u64;
        // How far the decompressor had come depends on how it was fed: the member's own place does not.
        if self.body.made().0 > size {
            self.body.cut(size);
            let what = format!("it has more than the {size} bytes that the directory says");
            self.wrong = Some((header_at, what));
        } else if done.is_err() {
            self.wrong = Some((header_at, "its compressed data is damaged".to_owned()));
        } else if done.is_ok_and(|(_, ended)| ended) {
            self.end();
        }
        Ok(())
    }

    /// The member is over: everything must agree.
    fn end(&mut self) {
        self.ended = true;
        let Some(entry) = &self.entry else { return };
        let (size, told) = (entry.size, entry.checksum);
        let (made, checksum) = self.body.made();
        let what = if made != size {
            format!("it has {made} bytes and the directory says {size}")
        } else if self.left > 0 {
            "its compressed data ends before its length".to_owned()
        } else if checksum != told {
            "its checksum is wrong".to_owned()
        } else {
            return;
        };
        self.wrong = Some((self.inner.at(), what));
    }
}

impl Documents for Zip {
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

    fn next(&mut self) -> Pull<bool> {
        loop {
            if self.phase == Phase::Closed {
                if !self.inner.next()? {
                    return Ok(false);
                }
                self.directory = Directory::new();
                self.phase = if self.from.0 == OVER { Phase::Over } else { Phase::Directory };
            }
            if self.next_member()? {
                return Ok(true);
            }
            self.from = (0, 0);
            self.phase = Phase::Closed;
        }
    }

    fn fill(&mut self) -> Pull<bool> {
        while self.body.bytes().is_empty() {
            if let Some((at, what)) = self.wrong.take() {
                return self.fail(at, what);
            }
            if self.ended {
                return Ok(false);
            }
            self.more()?;
        }
        Ok(true)
    }

    fn bytes(&self) -> &[u8] {
        self.body.bytes()
    }

    fn consume(&mut self, count: usize) {
        self.body.consume(count);
        self.at += count as u64;
    }

    fn at(&self) -> u64 {
        self.at
    }

    fn names(&self, within: &mut Vec<String>) {
        self.inner.names(within);
        within.extend(self.entry.as_ref().map(Entry::shown));
    }

    fn position(&self, position: &mut Position) {
        self.inner.position(position);
        if let Some(entry) = &self.entry {
            position.text("member", &entry.name);
            position.number("index", entry.index);
            position.number("size", entry.size);
        }
    }

    fn place(&self, places: &mut Vec<u64>) {
        self.inner.place(places);
        let entry = self.entry.as_ref();
        places.extend(entry.map_or([0, 0], |entry| [entry.index, entry.entry_at]));
    }

    fn place_after(&self, places: &mut Vec<u64>) {
        match self.phase {
            Phase::Closed => self.inner.place_after(places),
            _ => self.inner.place(places),
        }
        places.extend(match self.phase {
            Phase::Closed | Phase::Directory => [self.from.0, self.from.1],
            Phase::Over => [OVER, OVER],
            _ => [self.directory.index, self.directory.at],
        });
    }

    fn resume(&mut self, places: &mut Places) {
        self.inner.resume(places);
        self.from = (places.take().unwrap_or(0), places.take().unwrap_or(0));
    }
}
