//! The end of the log, and the mark that follows it.

use std::path::Path;
use std::sync::Arc;

use ::sled as db;
use mapring_types::Result;

use super::log;
use super::mark::{self, Mark, Position};
use crate::meta;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct LogEnd {
    db: db::Db,
    file: Arc<std::fs::File>,
    mark: Arc<Mark>,
    /// What the mark said when the store was opened, if nothing was missing.
    before: u64,
}

impl LogEnd {
    pub(super) fn start(dir: &Path, db: &db::Db, fsync: bool, before: u64) -> Result<Self> {
        let path = dir.join("sled/db");
        let file =
            std::fs::File::open(&path).map_err(|error| meta::failed("open", &path, error))?;
        let path = dir.join("mark");
        let end = Self {
            db: db.clone(),
            file: Arc::new(file),
            mark: Arc::new(Mark::open(&path, fsync)?),
            before,
        };
        let (position, slots) = end.now();
        end.mark.begin(Position { end: position, slots, clean: false, boot: mark::boot() })?;
        Ok(end)
    }

    /// Moves the mark to `place`, which has been flushed.
    pub(super) fn advance(&self, place: (u64, u32)) -> Result<()> {
        self.mark.advance(place.0, place.1)
    }

    /// Up to where the log is acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        // What sled takes for its end right after it was opened may lie a little before it.
        self.mark.end().max(self.before)
    }

    pub(super) fn close(&self) -> Result<()> {
        let (end, slots) = self.now();
        self.mark.close(end, slots)
    }

    /// Up to where the log is written, and how many segments its file has room for.
    pub(super) fn now(&self) -> (u64, u32) {
        let stable = self.db.context.pagecache.log.stable_offset();
        let bytes = self.file.metadata().map_or(0, |data| data.len());
        // sled tells the last position that is on disk.
        (u64::try_from(stable + 1).unwrap_or(0), log::slots(bytes))
    }
}
