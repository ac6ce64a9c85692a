//! The directory of an archive.

use crate::cp437;
use crate::cursor::OVER;
use crate::documents::{Documents, gather, quoted, stop};
use crate::error::{Pull, ReadError, Stop};
use crate::limits;

const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const LARGE_LOCATOR: &[u8] = b"PK\x06\x07";
const LARGE_LOCATOR_BYTES: usize = 20;
const LARGE_END: &[u8] = b"PK\x06\x06";
const LARGE_END_BYTES: usize = 56;
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;

/// Flags of a member.
const ENCRYPTED: u16 = 1 << 0;
const NAME_IS_UTF8: u16 = 1 << 11;
const STRONGLY_ENCRYPTED: u16 = 1 << 6;

/// A member as the directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) name: String,
    pub(crate) raw_name: Vec<u8>,
    pub(crate) encrypted: bool,
    pub(crate) method: u16,
    pub(crate) checksum: u32,
    pub(crate) packed: u64,
    pub(crate) size: u64,
    /// Where its own header is, in the document.
    pub(crate) header_at: u64,
    /// Where its entry and the next one are.
    pub(crate) entry_at: u64,
    pub(crate) next_at: u64,
}

impl Entry {
    /// A folder: no data.
    pub(crate) fn is_folder(&self) -> bool {
        self.name.ends_with('/') && self.size == 0
    }

    pub(crate) fn shown(&self) -> String {
        let short: String = self.name.chars().take(limits::NAME_CHARS).collect();
        format!("member {}", quoted(&short))
    }
}

/// Where a walk stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    End,
    Entries,
}

/// A walk through the directory of the present document of a layer whose length is known.
pub(crate) struct Directory {
    phase: Phase,
    gathered: Vec<u8>,
    /// What is added to the places that the archive tells: something may stand before it.
    shift: u64,
    /// Where the directory begins and ends.
    pub(crate) starts_at: u64,
    ends_at: u64,
    entries: u64,
    counted_modulo: u64,
    /// Bytes of the directory from `buffer_at` on.
    buffer: Vec<u8>,
    buffer_at: u64,
    pub(crate) at: u64,
    pub(crate) index: u64,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::End,
            gathered: Vec::new(),
            shift: 0,
            starts_at: 0,
            ends_at: 0,
            entries: 0,
            counted_modulo: 0,
            buffer: Vec::new(),
            buffer_at: 0,
            at: 0,
            index: 0,
        }
    }

    /// Finds the directory; `from` is the entry to begin with.
    pub(crate) fn open(&mut self, inner: &mut dyn Documents, from: Option<(u64, u64)>) -> Pull<()> {
        if self.phase == Phase::Entries {
            return Ok(());
        }
        let length = inner.length().unwrap_or(0);
        let tail = length.min(limits::ZIP_TAIL_BYTES);
        let tail_at = length - tail;
        inner.seek(tail_at + self.gathered.len() as u64)?;
        let count = usize::try_from(tail).unwrap_or(usize::MAX);
        if !gather(inner, &mut self.gathered, count)? {
            return stop(inner, inner.at(), "the archive is shorter than it was");
        }
        let tail = std::mem::take(&mut self.gathered);
        if let Err((at, what)) = self.read_end(&tail, tail_at) {
            return stop(inner, at, what);
        }
        (self.index, self.at) = from.unwrap_or((0, self.starts_at));
        (self.buffer_at, self.phase) = (self.at, Phase::Entries);
        Ok(())
    }

    /// Reads the end record, and the large one before it.
    fn read_end(&mut self, tail: &[u8], tail_at: u64) -> Result<(), (u64, &'static str)> {
        let places = memchr::memmem::rfind_iter(tail, END);
        // The comment of the right one reaches to the archive's end.
        let mut fitting = places.filter(|&at| {
            let comment = tail.get(at + 20..at + END_BYTES);
            comment.is_some_and(|told| {
                at + END_BYTES + usize::from(u16::from_le_bytes([told[0], told[1]])) == tail.len()
            })
        });
        let nothing = "there is no end record: this is no archive, or it is cut off";
        let at = fitting.next().ok_or((tail_at + tail.len() as u64, nothing))?;
        let end = Record(&tail[at..]);
        let (mut entries, mut size, mut offset) =
            (u64::from(end.short(10)), u64::from(end.long(12)), u64::from(end.long(16)));
        let mut end_at = tail_at + at as u64;
        let parts = end.short(4) != 0 || end.short(6) != 0;
        self.counted_modulo = 1 << 16;
        let locator =
            at.checked_sub(LARGE_LOCATOR_BYTES).filter(|at| tail[*at..].starts_with(LARGE_LOCATOR));
        if let Some(locator) = locator {
            let large = locator.checked_sub(LARGE_END_BYTES);
            let large = large.filter(|at| tail[*at..].starts_with(LARGE_END));
            let large =
                large.ok_or((tail_at + locator as u64, "the large end record is missing"))?;
            let record = Record(&tail[large..]);
            (entries, size, offset) = (record.huge(32), record.huge(40), record.huge(48));
            end_at = tail_at + large as u64;
            self.counted_modulo = u64::MAX;
        } else if parts {
            return Err((end_at, "it is one of several parts of an archive"));
        }
        let starts_at = end_at.checked_sub(size);
        let starts_at = starts_at.ok_or((end_at, "the directory is larger than the archive"))?;
        let shift = starts_at.checked_sub(offset);
        self.shift = shift.ok_or((end_at, "the directory is not where the archive says"))?;
        (self.starts_at, self.ends_at, self.entries) = (starts_at, end_at, entries);
        Ok(())
    }

    /// The next entry. After an error of the directory there is none.
    pub(crate) fn next(&mut self, inner: &mut dyn Documents) -> Pull<Option<Entry>> {
        if self.index == OVER {
            return Ok(None);
        }
        if self.at >= self.ends_at {
            if self.index % self.counted_modulo != self.entries % self.counted_modulo {
                let (found, told) = (self.index, self.entries);
                self.index = OVER;
                let message =
                    format!("the directory has {found} entries and says that it has {told}");
                return stop(inner, self.ends_at, message);
            }
            return Ok(None);
        }
        self.buffer_up_to(inner, ENTRY_BYTES)?;
        let head = Record(self.buffered());
        let (name, extra, comment) = (head.short(28), head.short(30), head.short(32));
        let [name, extra, comment] = [name, extra, comment].map(usize::from);
        if head.0.len() < ENTRY_BYTES || !head.0.starts_with(ENTRY) {
            return self.damaged(inner);
        }
        let length = ENTRY_BYTES + name + extra + comment;
        self.buffer_up_to(inner, length)?;
        let Some(bytes) = self.buffered().get(..length) else { return self.damaged(inner) };
        let entry = self.read(bytes, name, extra);
        let at = self.at;
        (self.at, self.index) = (entry.next_at, self.index + 1);
        if entry.header_at >= self.starts_at {
            let error = ReadError {
                about: Some(entry.shown()),
                ..crate::documents::broken(inner, at, "its place lies behind the directory's start")
            };
            return Err(Stop::Broken(error));
        }
        Ok(Some(entry))
    }

    fn damaged(&mut self, inner: &mut dyn Documents) -> Pull<Option<Entry>> {
        let at = self.at;
        // Whatever follows, it is not known where it begins.
        (self.at, self.index) = (self.ends_at, OVER);
        stop(inner, at, "the directory is damaged")
    }

    /// What is there of the directory from the present entry on.
    fn buffered(&self) -> &[u8] {
        let passed = usize::try_from(self.at - self.buffer_at).unwrap_or(usize::MAX);
        self.buffer.get(passed..).unwrap_or_default()
    }

    /// Has so many bytes from the present entry on, as far as the directory has them.
    fn buffer_up_to(&mut self, inner: &mut dyn Documents, count: usize) -> Pull<()> {
        let left = usize::try_from(self.ends_at - self.at).unwrap_or(usize::MAX);
        if self.buffered().len() >= count.min(left) {
            return Ok(());
        }
        let passed = self.buffer.len() - self.buffered().len();
        self.buffer.drain(..passed);
        self.buffer_at = self.at;
        let wanted = left.min(limits::DIRECTORY_BYTES);
        inner.seek(self.at + self.buffer.len() as u64)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let whole = gather(inner, &mut buffer, wanted);
        self.buffer = buffer;
        whole.map(|_| ())
    }

    fn read(&self, bytes: &[u8], name: usize, extra: usize) -> Entry {
        let head = Record(bytes);
        let flags = head.short(8);
        let raw_name = bytes[ENTRY_BYTES..ENTRY_BYTES + name].to_vec();
        let name_text = match std::str::from_utf8(&raw_name) {
            Ok(text) if flags & NAME_IS_UTF8 != 0 || raw_name.is_ascii() => text.to_owned(),
            _ => cp437::decode(&raw_name),
        };
        let extra = &bytes[ENTRY_BYTES + name..ENTRY_BYTES + name + extra];
        let (packed, size, place) = (head.long(20), head.long(24), head.long(42));
        let [size, packed, place] = large([size, packed, place], extra);
        Entry {
            index: self.index,
            name: name_text,
            raw_name,
            encrypted: flags & (ENCRYPTED | STRONGLY_ENCRYPTED) != 0,
            method: head.short(10),
            checksum: head.long(16),
            packed,
            size,
            header_at: place.saturating_add(self.shift),
            entry_at: self.at,
            next_at: self.at + bytes.len() as u64,
        }
    }
}

/// Numbers that may be too large for their fields, and then stand in the extra field in this order.
fn large(numbers: [u32; 3], extra: &[u8]) -> [u64; 3] {
    const LARGE: u16 = 1;
    let mut rest = extra;
    let mut found: &[u8] = &[];
    while rest.len() >= 4 {
        let (kind, length) = (Record(rest).short(0), usize::from(Record(rest).short(2)));
        let data = rest.get(4..4 + length).unwrap_or(&rest[4..]);
        if kind == LARGE {
            found = data;
        }
        rest = &rest[4 + data.len()..];
    }
    numbers.map(|number| {
        if number == u32::MAX
            && let Some((first, left)) = found.split_first_chunk::<8>()
        {
            found = left;
            return u64::from_le_bytes(*first);
        }
        u64::from(number)
    })
}

/// Numbers of a record; 0 beyond its end.
pub(super) struct Record<'a>(pub(super) &'a [u8]);

impl Record<'_> {
    fn number<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
    }

    pub(super) fn short(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.number(at))
    }

    pub(super) fn long(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.number(at))
    }

    fn huge(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.number(at))
    }
}
