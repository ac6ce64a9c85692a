//! Room on the disk. sled does not survive a full disk: after one failed write it fails all others,
//! and the reads of what is not cached. So writes are refused before that, while a part of the disk
//! is still free, and taken again when there is more. Should another program take that part too,
//! the store is opened again, for which a file of some megabytes is kept to be given up.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use mapring_types::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::limits;

/// See the module.
pub(super) struct Space {
    dir: PathBuf,
    full: AtomicBool,
    /// Bytes written since the last look.
    written: AtomicU64,
    looked: Mutex<Instant>,
}

impl Space {
    pub(super) fn new(dir: &Path) -> Self {
        let space = Self {
            dir: dir.to_owned(),
            full: AtomicBool::new(false),
            written: AtomicU64::new(0),
            looked: Mutex::new(Instant::now()),
        };
        space.look();
        space
    }

    /// Whether `bytes` may be written.
    ///
    /// # Errors
    /// `Storage` when the disk is nearly full.
    pub(super) fn take(&self, bytes: usize) -> Result<()> {
        let written = self.written.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let full = self.full.load(Ordering::Relaxed);
        let due = full && self.looked.lock().elapsed() >= limits::SPACE_LOOK;
        if due || written >= limits::SPACE_LOOK_BYTES {
            self.look();
        }
        let nearly = |what: &str| {
            let message = format!(
                "the disk of {} is nearly full: no writes{what} until space is freed",
                self.dir.display()
            );
            Err(Error::new(ErrorKind::Storage, message))
        };
        if self.full.load(Ordering::Relaxed) {
            return nearly("");
        }
        let bytes = bytes as u64;
        let large = bytes >= limits::SPACE_LOOK_BYTES;
        if large && self.room().is_some_and(|(free, kept)| free < kept.saturating_add(bytes)) {
            return nearly(&format!(" of {bytes} bytes"));
        }
        Ok(())
    }

    /// Looks how much is free.
    pub(super) fn look(&self) {
        self.written.store(0, Ordering::Relaxed);
        *self.looked.lock() = Instant::now();
        let Some((free, kept)) = self.room() else { return };
        let full = free < kept;
        if self.full.swap(full, Ordering::Relaxed) != full {
            let dir = self.dir.display();
            if full {
                tracing::error!(%dir, free, kept, "the disk is nearly full: writes are refused");
            } else {
                tracing::info!(%dir, free, "the disk has room again: writes are taken");
            }
            metrics::gauge!("mapring_engine_disk_full").set(if full { 1.0 } else { 0.0 });
        }
    }

    /// Free bytes, and those that are kept free.
    fn room(&self) -> Option<(u64, u64)> {
        let disk = rustix::fs::statvfs(&self.dir).ok()?;
        let all = disk.f_blocks.saturating_mul(disk.f_frsize);
        let kept = (all / limits::SPACE_KEPT_SHARE)
            .clamp(limits::SPACE_KEPT_BYTES.start, limits::SPACE_KEPT_BYTES.end);
        Some((disk.f_bavail.saturating_mul(disk.f_frsize), kept))
    }

    fn reserve(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    /// Keeps a file that can be given up, where there is room for it.
    pub(super) fn keep_reserve(&self) {
        let path = self.reserve();
        let (bytes, room) = (limits::SPACE_RESERVE_BYTES, self.room());
        let has = fs::metadata(&path).is_ok_and(|data| data.len() >= bytes as u64);
        if has || room.is_none_or(|(free, kept)| free < kept + bytes as u64) {
            return;
        }
        let made = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0; bytes])?;
            file.sync_all()
        });
        if let Err(error) = made {
            tracing::warn!(%error, path = %path.display(), "no room is kept in reserve");
            self.give_reserve_up();
        }
    }

    /// Makes room for the store to be opened again.
    pub(super) fn give_reserve_up(&self) {
        // There may be none.
        let _ = fs::remove_file(self.reserve());
    }
}
