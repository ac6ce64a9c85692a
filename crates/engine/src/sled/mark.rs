//! The mark: how far the log was when the last write was acknowledged, in a file beside it.
//!
//! After each flush, and before those who wait for it are told, the end of sled's log is written
//! here: a log that ends before its mark has lost acknowledged writes. The file holds two slots,
//! written in turn, so that a torn write of one leaves the other.
//!
//! ```text
//! slot: checksum of the rest (u32), number (u64), position (u64), slots of the log (u32),
//!       clean (u8), checksum of the machine's boot identity (u32)
//! ```

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::Result;
use parking_lot::Mutex;

use crate::meta::{failed, sync_dir};

const SLOT_BYTES: usize = 32;
const USED_BYTES: usize = 29;

/// What a mark says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// All of the log before this position was acknowledged.
    pub(super) end: u64,
    /// Segments that the log's file had room for.
    pub(super) slots: u32,
    /// Whether the store was closed then.
    pub(super) clean: bool,
    /// Which start of the machine it was; 0 where that is unknown.
    pub(super) boot: u32,
}

/// The file, open for writing.
pub(super) struct Mark {
    path: PathBuf,
    file: File,
    fsync: bool,
    state: Mutex<(u64, Position)>,
    /// The end in the last position that was written: read without waiting for a write.
    end: AtomicU64,
}

/// Reads the mark at `path`; `None` when there is none, or none that is whole.
pub(super) fn read(path: &Path) -> Option<Position> {
    let bytes = fs::read(path).ok()?;
    let slots = bytes.chunks_exact(SLOT_BYTES).filter_map(decode);
    slots.max_by_key(|(number, _)| *number).map(|(_, position)| position)
}

/// The identity of the machine's present start; 0 where the system does not tell.
pub(super) fn boot() -> u32 {
    let text = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if text.is_empty() { 0 } else { crc32fast::hash(&text) }
}

impl Mark {
    /// Opens, or makes, the file. With `fsync` every position is fsynced.
    pub(super) fn open(path: &Path, fsync: bool) -> Result<Self> {
        let fail = |error| failed("open the mark", path, error);
        let file =
            File::options().create(true).truncate(false).write(true).open(path).map_err(fail)?;
        file.set_len(2 * SLOT_BYTES as u64).map_err(fail)?;
        path.parent().map_or(Ok(()), sync_dir).map_err(fail)?;
        let slots = fs::read(path).map_err(fail)?;
        let slots = slots.chunks_exact(SLOT_BYTES).filter_map(decode);
        let last = slots.max_by_key(|(number, _)| *number).unwrap_or_default();
        let end = AtomicU64::new(last.1.end);
        Ok(Self { path: path.to_owned(), file, fsync, state: Mutex::new(last), end })
    }

    /// Begins anew with `position`, also where it was further before.
    pub(super) fn begin(&self, position: Position) -> Result<()> {
        self.write(&mut self.state.lock(), position, true)
    }

    /// Moves the mark up to `end`; it never goes back.
    pub(super) fn advance(&self, end: u64, slots: u32) -> Result<()> {
        let mut state = self.state.lock();
        let known = state.1;
        if end <= known.end && slots == known.slots {
            return Ok(());
        }
        let position = Position { end: end.max(known.end), slots, ..known };
        self.rise(&mut state, position, self.fsync)
    }

    /// The end of what was acknowledged.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Says that the store was closed with everything in it.
    pub(super) fn close(&self, end: u64, slots: u32) -> Result<()> {
        let mut state = self.state.lock();
        let position = Position { end: end.max(state.1.end), slots, clean: true, ..state.1 };
        self.rise(&mut state, position, true)
    }

    /// Writes a position that is not before the last. What was acknowledged up to there has been told
    /// to others: they would take this node for one that has gone back.
    fn rise(&self, state: &mut (u64, Position), position: Position, fsync: bool) -> Result<()> {
        let (before, after) = (state.1.end, position.end);
        assert!(before <= after, "the mark would go back from {before} to {after}");
        self.write(state, position, fsync)?;
        let told = self.end();
        assert!(told == after, "the mark is at {after}, and {told} is told");
        Ok(())
    }

    fn write(&self, state: &mut (u64, Position), position: Position, fsync: bool) -> Result<()> {
        let number = state.0 + 1;
        let at = (number % 2) * SLOT_BYTES as u64;
        let fail = |error| failed("write the mark", &self.path, error);
        self.file.write_all_at(&encode(number, position), at).map_err(fail)?;
        *state = (number, position);
        if fsync {
            self.file.sync_data().map_err(fail)?;
        }
        self.end.store(position.end, Ordering::Release);
        Ok(())
    }
}

fn encode(number: u64, position: Position) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[4..12].copy_from_slice(&number.to_le_bytes());
    slot[12..20].copy_from_slice(&position.end.to_le_bytes());
    slot[20..24].copy_from_slice(&position.slots.to_le_bytes());
    slot[24] = u8::from(position.clean);
    slot[25..29].copy_from_slice(&position.boot.to_le_bytes());
    let checksum = crc32fast::hash(&slot[4..USED_BYTES]);
    slot[..4].copy_from_slice(&checksum.to_le_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<(u64, Position)> {
    let (checksum, rest) = slot.get(..USED_BYTES)?.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (end, rest) = rest.split_first_chunk::<8>()?;
    let (slots, rest) = rest.split_first_chunk::<4>()?;
    let (&[clean], boot) = rest.split_first_chunk::<1>()?;
    let whole = crc32fast::hash(slot.get(4..USED_BYTES)?) == u32::from_le_bytes(*checksum);
    let position = Position {
        end: u64::from_le_bytes(*end),
        slots: u32::from_le_bytes(*slots),
        clean: clean == 1,
        boot: u32::from_le_bytes(boot.try_into().ok()?),
    };
    (whole && clean <= 1).then_some((u64::from_le_bytes(*number), position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_position_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        assert_eq!(read(&path), None);
        let start = Position { end: 5, slots: 1, clean: false, boot: boot() };
        let begin = |position| {
            let mark = Mark::open(&path, false).unwrap();
            mark.begin(position).unwrap();
            mark
        };
        let mark = begin(start);
        assert_eq!(read(&path), Some(start));
        mark.advance(9, 2).unwrap();
        mark.advance(7, 2).unwrap();
        let now = Position { end: 9, slots: 2, ..start };
        assert_eq!(read(&path), Some(now));
        mark.close(9, 2).unwrap();
        assert_eq!(read(&path), Some(Position { clean: true, ..now }));
        drop(mark);
        let again = Position { end: 12, ..start };
        begin(again);
        assert_eq!(read(&path), Some(again));
        // Of two slots the damaged one does not count.
        let mut bytes = fs::read(&path).unwrap();
        let newest = if bytes[4..12] > bytes[36..44] { 0 } else { SLOT_BYTES };
        bytes[newest + 13] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), Some(Position { clean: true, ..now }));
        bytes[14] ^= 1;
        bytes[SLOT_BYTES + 14] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), None);
    }
}
