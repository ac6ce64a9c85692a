//! gzip (RFC 1952): every member of the file, one after another as one document.
//!
//! Zeros between and behind members are padding, as tape and `gzip` itself have it. Anything else there
//! is an error: readers differ in what they make of it, and some lose the rest in silence.

use crate::documents::{Documents, gather, stop};
use crate::error::Pull;
use crate::inflate::Inflate;

/// Flags of a member's header.
const HAS_CHECKSUM: u8 = 0x02;
const HAS_EXTRA: u8 = 0x04;
const HAS_NAME: u8 = 0x08;
const HAS_COMMENT: u8 = 0x10;
const RESERVED: u8 = 0xe0;

/// What a member consists of, in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before a member; the file has begun with one if not `first`.
    Padding {
        first: bool,
    },
    Header,
    ExtraLength,
    Extra(usize),
    Name,
    Comment,
    HeaderChecksum,
    Body,
    Trailer,
    /// Behind the last of what comes of a body that is damaged.
    Damage,
    End,
}

/// The layer.
pub(crate) struct Gzip {
    inner: Box<dyn Documents>,
    part: Part,
    gathered: Vec<u8>,
    flags: u8,
    header: crc32fast::Hasher,
    member_at: u64,
    body: Inflate,
    at: u64,
}

impl Gzip {
    pub(crate) fn new(inner: Box<dyn Documents>) -> Self {
        Self {
            inner,
            part: Part::End,
            gathered: Vec::new(),
            flags: 0,
            header: crc32fast::Hasher::new(),
            member_at: 0,
            body: Inflate::new(),
            at: 0,
        }
    }

    /// An error at the present place of the file. Nothing is known of what follows.
    fn fail<T>(&mut self, what: &str) -> Pull<T> {
        self.fail_at(self.inner.at(), what)
    }

    fn fail_at<T>(&mut self, at: u64, what: &str) -> Pull<T> {
        let message = format!("{what}, in the gzip member that begins at byte {}", self.member_at);
        self.part = Part::End;
        stop(self.inner.as_ref(), at, message)
    }

    /// Gathers so many bytes of the header or the trailer.
    fn gather(&mut self, count: usize) -> Pull<()> {
        if gather(self.inner.as_mut(), &mut self.gathered, count)? {
            Ok(())
        } else {
            self.fail("the file is cut off")
        }
    }

    /// The next part of the header behind one.
    fn after(&mut self, part: Part) -> Part {
        self.header.update(&self.gathered);
        self.gathered.clear();
        let has = |flag| self.flags & flag != 0;
        match part {
            Part::Header if has(HAS_EXTRA) => Part::ExtraLength,
            Part::Header | Part::Extra(_) if has(HAS_NAME) => Part::Name,
            Part::Header | Part::Extra(_) | Part::Name if has(HAS_COMMENT) => Part::Comment,
            _ if has(HAS_CHECKSUM) && part != Part::HeaderChecksum => Part::HeaderChecksum,
            _ => Part::Body,
        }
    }

    /// Goes on with the present part.
    fn step(&mut self) -> Pull<()> {
        match self.part {
            Part::Padding { first } => self.padding(first)?,
            Part::Header => {
                self.gather(10)?;
                self.read_header()?;
                self.part = self.after(Part::Header);
            }
            Part::ExtraLength => {
                self.gather(2)?;
                let length = u16::from_le_bytes([self.gathered[0], self.gathered[1]]);
                self.header.update(&self.gathered);
                self.gathered.clear();
                self.part = Part::Extra(usize::from(length));
            }
            Part::Extra(length) => {
                self.gather(length)?;
                self.part = self.after(Part::Extra(length));
            }
            Part::Name | Part::Comment => self.text()?,
            Part::HeaderChecksum => {
                self.gather(2)?;
                let told = u16::from_le_bytes([self.gathered[0], self.gathered[1]]);
                let found = self.header.clone().finalize().to_le_bytes();
                if told != u16::from_le_bytes([found[0], found[1]]) {
                    return self.fail("the checksum of the header is wrong");
                }
                self.part = self.after(Part::HeaderChecksum);
            }
            Part::Body => self.body()?,
            Part::Trailer => self.trailer()?,
            // How far it had come depends on how it was fed: the member's place does not.
            Part::Damage => self.fail_at(self.member_at, "the compressed data is damaged")?,
            Part::End => {}
        }
        Ok(())
    }

    fn padding(&mut self, first: bool) -> Pull<()> {
        self.member_at = self.inner.at();
        if !self.inner.fill()? {
            if first {
                return self.fail("there is nothing");
            }
            self.part = Part::End;
            return Ok(());
        }
        let ready = self.inner.bytes();
        let zeros = if first { 0 } else { ready.iter().take_while(|byte| **byte == 0).count() };
        if zeros == 0 {
            self.begin_member();
        } else {
            self.inner.consume(zeros);
        }
        Ok(())
    }

    fn begin_member(&mut self) {
        self.gathered.clear();
        self.header.reset();
        self.body.reset();
        self.part = Part::Header;
    }

    fn read_header(&mut self) -> Pull<()> {
        let [one, two, method, flags, ..] = self.gathered[..] else { return Ok(()) };
        self.flags = flags;
        if [one, two] != [0x1f, 0x8b] {
            let at = self.member_at;
            self.part = Part::End;
            return stop(self.inner.as_ref(), at, "here is neither a gzip member nor padding");
        }
        if method != 8 {
            return self.fail("it is compressed in an unknown way");
        }
        if flags & RESERVED != 0 {
            return self.fail("the header has unknown flags");
        }
        Ok(())
    }

    /// Goes over a text that ends with a zero.
    fn text(&mut self) -> Pull<()> {
        if !self.inner.fill()? {
            return self.fail("the file is cut off");
        }
        let ready = self.inner.bytes();
        let end = memchr::memchr(0, ready);
        let taken = end.map_or(ready.len(), |end| end + 1);
        self.header.update(&ready[..taken]);
        self.inner.consume(taken);
        if end.is_some() {
            self.part = self.after(self.part);
        }
        Ok(())
    }

    fn body(&mut self) -> Pull<()> {
        if !self.inner.fill()? {
            return self.fail("the file is cut off");
        }
        match self.body.more(self.inner.bytes()) {
            Ok((took, ended)) => {
                self.inner.consume(took);
                if ended {
                    self.part = Part::Trailer;
                }
                Ok(())
            }
            Err(took) => {
                self.inner.consume(took);
                self.part = Part::Damage;
                Ok(())
            }
        }
    }

    fn trailer(&mut self) -> Pull<()> {
        self.gather(8)?;
        let told = self.gathered.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four));
        let told: Vec<u32> = told.collect();
        let (made, checksum) = self.body.made();
        let [told_checksum, told_length] = told[..] else { return Ok(()) };
        if told_checksum != checksum {
            return self.fail("the checksum is wrong");
        }
        if u64::from(told_length) != made & u64::from(u32::MAX) {
            return self.fail("the length is wrong");
        }
        self.gathered.clear();
        self.part = Part::Padding { first: false };
        Ok(())
    }
}

impl Documents for Gzip {
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

    fn next(&mut self) -> Pull<bool> {
        self.body.reset();
        self.gathered.clear();
        self.part = Part::End;
        let some = self.inner.next()?;
        self.at = 0;
        if some {
            self.part = Part::Padding { first: true };
        }
        Ok(some)
    }

    fn fill(&mut self) -> Pull<bool> {
        while self.body.bytes().is_empty() {
            if self.part == Part::End {
                return Ok(false);
            }
            self.step()?;
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
        within.push("decompressed".to_owned());
    }
}
