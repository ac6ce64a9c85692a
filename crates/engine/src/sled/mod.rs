//! The engine on sled 0.34: one database a node, one tree a vnode.
//!
//! Only plain inserts and removes are used: sled's batches and transactions take one lock for the
//! whole process, and once one was used every later operation takes its read side.
//!
//! sled ends every later write with the same error after one failed write to its log (a full disk,
//! a broken one), so the engine is opened again, see [`Engine::reopen`]. Where sled panics instead
//! (damage that its checksums miss, internal assertions), the panic is caught here and the engine
//! refuses all further work.
//!
//! `log` and `mark` notice what sled loses silently; see `docs/adr/007`. Large records lie in files
//! beside sled's, in its directory; see `docs/adr/023`.

mod commit;
mod disk;
mod files;
mod health;
mod log;
mod log_end;
mod mark;
mod space;
mod store;
mod tree;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ::sled as db;
use bytes::Bytes;
use mapring_types::{Error, ErrorKind, Record, Release, Result};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::loss::{Loss, LossKind, Losses};
use crate::meta::{self, MetaFiles};
use crate::record_files::RecordFiles;
use crate::{
    Engine, EngineStats, IndexChange, IndexEntry, ScanDepth, ScanRange, StoreKey, TermPlace,
    TermRange, Visitor, limits,
};

use self::files::StoreLock;
use self::health::Health;
use self::space::Space;
use self::store::Store;
use self::tree::VnodeTree;

/// What [`Engine::sync`] waits for: what an acknowledged write survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing: the last seconds of writes may be lost with the process.
    None,
    /// Writes are handed to the operating system: they survive the end of the process.
    #[default]
    Process,
    /// Every file written is fsynced: writes survive a loss of power.
    Disk,
}

/// How a [`SledEngine`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SledConfig {
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Memory for cached pages, in bytes. sled counts about four times the bytes of the objects.
    pub cache_bytes: u64,
    /// Whether a store that is found damaged when it is opened is moved aside, and an empty one
    /// begun in its place, to be filled from other nodes. Else it is opened as far as it can be.
    pub set_aside: bool,
    /// Whether all of the log is read and checked before the store is opened, not only what its
    /// recovery reads.
    pub read_whole: bool,
}

impl Default for SledConfig {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            cache_bytes: 1 << 30,
            set_aside: false,
            read_whole: false,
        }
    }
}

/// The name of the meta value that says how the files are laid out.
const FORMAT_NAME: &str = "engine-format";
/// Its values: the engine, and the version of keys and values. In the first no record lies in a file.
const FORMATS: [&[u8]; 2] = [b"sled 1", b"sled 2"];

/// The engine that keeps a node's objects on disk.
pub struct SledEngine {
    dir: PathBuf,
    config: SledConfig,
    /// `None` while it is closed to be opened again.
    store: RwLock<Option<Arc<Store>>>,
    /// Goes up each time it is opened again.
    generation: AtomicU64,
    meta: Arc<MetaFiles>,
    journal: Arc<Journal>,
    losses: Losses,
    space: Space,
    /// Whether records may be written into files.
    files: AtomicBool,
    /// Let go last, when the database is closed.
    _lock: StoreLock,
}

impl SledEngine {
    /// Opens, or makes, the store in `dir`, for this process alone. What it is found to lack is told
    /// by [`Engine::loss`].
    ///
    /// # Errors
    /// `Storage` when another process holds the store or a file cannot be used, `Corrupt` when
    /// what is there cannot be read.
    pub fn open(dir: &Path, config: SledConfig) -> Result<Self> {
        describe_metrics();
        std::fs::create_dir_all(dir).map_err(|error| meta::failed("make", dir, error))?;
        let lock = StoreLock::take(dir)?;
        let meta = Arc::new(MetaFiles::open(dir.join("meta"))?);
        let files = AtomicBool::new(format(&meta, dir)? == FORMATS[1]);
        let losses = Losses::open(&meta);
        let journal = Arc::new(Journal::open(dir.join("journal"))?);
        let space = Space::new(dir);
        let store = match Store::open(dir, &config, &journal, &losses) {
            Err(error) if error.kind() == ErrorKind::Storage => {
                // A disk that is full keeps a store from being opened.
                space.give_reserve_up();
                Store::open(dir, &config, &journal, &losses)?
            }
            other => other?,
        };
        space.keep_reserve();
        Ok(Self {
            dir: dir.to_owned(),
            config,
            store: RwLock::new(Some(Arc::new(store))),
            generation: AtomicU64::new(0),
            meta,
            journal,
            losses,
            space,
            files,
            _lock: lock,
        })
    }

    fn store(&self) -> Result<Arc<Store>> {
        self.store.read().clone().ok_or_else(|| {
            Error::new(ErrorKind::Storage, "the storage is closed, to be opened again")
        })
    }

    /// Passes on what a call gave; of damage that it met a note is kept.
    fn heed<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::Corrupt
        {
            self.losses.note(Loss::new(LossKind::Damaged, error.to_string()));
        }
        outcome
    }

    /// Closes the store and opens it again after `between`.
    fn close_and_open(&self, between: impl FnOnce() -> Result<()>) -> Result<()> {
        let closed = self.store.write().take();
        if let Some(mut store) = closed {
            let begun = Instant::now();
            // Readers end at their next page; a scan holds its store for long.
            let store = loop {
                match Arc::try_unwrap(store) {
                    Ok(store) => break store,
                    Err(shared) if begun.elapsed() < limits::REOPEN_PATIENCE => store = shared,
                    Err(shared) => {
                        *self.store.write() = Some(shared);
                        return Err(Error::new(ErrorKind::Storage, "the storage is in use"));
                    }
                }
                std::thread::sleep(limits::FLUSH_LOOK);
            };
            drop(store);
        }
        let done = between();
        let opened = Store::open(&self.dir, &self.config, &self.journal, &self.losses)?;
        self.generation.fetch_add(1, Ordering::AcqRel);
        *self.store.write() = Some(Arc::new(opened));
        done
    }
}

impl Engine for SledEngine {
    fn read(&self, vnode: u16, key: &StoreKey, depth: ScanDepth) -> Result<Option<Record>> {
        self.heed(self.store()?.read(vnode, key, depth))
    }

    fn put(&self, vnode: u16, key: &StoreKey, record: &Record, change: &IndexChange) -> Result<()> {
        let files = self.files.load(Ordering::Acquire);
        self.space.take(record.len() + change.added_bytes())?;
        self.heed(self.store()?.put(vnode, key, record, change, files))
    }

    fn delete(&self, vnode: u16, key: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        self.heed(self.store()?.delete(vnode, key, entries))
    }

    fn change_index(&self, vnode: u16, key: &StoreKey, change: &IndexChange) -> Result<()> {
        if change.added_bytes() > 0 {
            self.space.take(change.added_bytes())?;
        }
        self.heed(self.store()?.change_index(vnode, key, change))
    }

    fn walk(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        self.heed(self.store()?.walk(vnode, range, depth, visitor))
    }

    fn scan_terms(
        &self,
        vnode: u16,
        range: &TermRange,
        visit: &mut dyn FnMut(TermPlace) -> ControlFlow<()>,
    ) -> Result<()> {
        self.heed(self.store()?.scan_terms(vnode, range, visit))
    }

    fn sync(&self) -> Result<()> {
        self.store()?.sync()
    }

    fn sync_disk(&self) -> Result<()> {
        self.store()?.sync_disk(&self.journal)
    }

    fn vnodes(&self) -> Vec<u16> {
        self.store().map(|store| store.vnodes()).unwrap_or_default()
    }

    fn meta(&self, name: &str) -> Result<Option<Bytes>> {
        self.meta.get(name)
    }

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<()> {
        self.meta.set(name, value)
    }

    fn append(&self, segment: u64, entry: &[u8]) -> Result<()> {
        self.space.take(entry.len())?;
        self.store()?.check_writes()?;
        self.journal.append(segment, entry)
    }

    fn journal(&self) -> Result<Vec<(u64, Vec<Bytes>)>> {
        self.journal.read()
    }

    fn remove_segment(&self, segment: u64) -> Result<()> {
        self.journal.remove(segment)
    }

    fn stats(&self) -> EngineStats {
        let disk_bytes = self.store().map_or(0, |store| store.disk_bytes());
        EngineStats { name: "sled", disk_bytes }
    }

    fn loss(&self) -> Option<Loss> {
        self.losses.get()
    }

    fn clear_loss(&self, loss: &Loss) -> Result<bool> {
        self.losses.clear(loss)
    }

    fn reset(&self) -> Result<()> {
        // Before anything is closed.
        files::place_aside(&self.dir)?;
        self.close_and_open(|| {
            let aside = files::set_aside(&self.dir)?;
            let what = format!("what was there is now in {}", aside.display());
            self.losses.replace(Loss::new(LossKind::Empty, what))
        })
    }

    fn reopen(&self) -> Result<bool> {
        let failed = match self.store.read().as_ref() {
            Some(store) => store.check_writes().is_err(),
            None => true,
        };
        if !failed {
            self.space.keep_reserve();
            return Ok(false);
        }
        self.space.give_reserve_up();
        self.close_and_open(|| Ok(()))?;
        self.space.look();
        tracing::info!("the store was opened again after it had failed");
        Ok(true)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn position(&self) -> u64 {
        self.store().map_or(0, |store| store.position())
    }

    fn raise_release(&self, release: Release) -> Result<()> {
        if release >= limits::FILES_SINCE && !self.files.load(Ordering::Acquire) {
            // Before there is any: a program that does not know them is to say so at its start.
            self.meta.set(FORMAT_NAME, FORMATS[1])?;
            self.files.store(true, Ordering::Release);
        }
        Ok(())
    }
}

/// The format of the store in `dir`: noted here, where it is new, for the programs of before.
fn format(meta: &MetaFiles, dir: &Path) -> Result<&'static [u8]> {
    let [first, second] = FORMATS;
    let Some(there) = meta.get(FORMAT_NAME)? else {
        meta.set(FORMAT_NAME, first)?;
        return Ok(first);
    };
    FORMATS.into_iter().find(|known| there == *known).ok_or_else(|| {
        let [there, first, second] = [&there, first, second].map(<[u8]>::escape_ascii);
        let dir = dir.display();
        Error::corrupt(format!(
            "the store in {dir} has format {there}, and {first} and {second} are understood here"
        ))
    })
}

fn open_db(path: &Path, config: &SledConfig, health: &Health) -> Result<db::Db> {
    let flusher = u64::try_from(limits::FLUSHER_INTERVAL.as_millis()).unwrap_or(u64::MAX);
    let settings = db::Config::new()
        .path(path)
        .segment_size(limits::SEGMENT_BYTES)
        .cache_capacity(config.cache_bytes.max(limits::LEAST_CACHE_BYTES))
        .flush_every_ms(Some(flusher));
    let what = format!("open the store in {}", path.display());
    let begun = Instant::now();
    loop {
        match health.call(&what, || settings.open()) {
            Err(error) if files::is_locked(&error) && begun.elapsed() < limits::REOPEN_PATIENCE => {
                // This process holds the store's lock, so only threads of an engine that was
                // dropped a moment ago can hold the file's.
                std::thread::sleep(limits::FLUSH_LOOK);
            }
            other => return other,
        }
    }
}

fn open_trees(
    db: &db::Db,
    health: &Arc<Health>,
    files: &Arc<RecordFiles>,
) -> Result<BTreeMap<u16, Arc<VnodeTree>>> {
    let vnodes = db.tree_names().into_iter().filter_map(|name| tree::vnode_of(&name));
    let open = |vnode| Ok((vnode, Arc::new(VnodeTree::open(db, vnode, health, files)?)));
    vnodes.map(open).collect()
}

fn describe_metrics() {
    metrics::describe_counter!("mapring_engine_syncs_total", "Writers that waited for a flush");
    metrics::describe_counter!("mapring_engine_flushes_total", "Flushes that writers shared");
    metrics::describe_counter!(
        "mapring_engine_losses_total",
        "Times that the store was found to lack or to have damaged what it held"
    );
    metrics::describe_gauge!(
        "mapring_engine_disk_full",
        "1 while writes are refused because the disk is nearly full"
    );
    metrics::describe_gauge!(
        "mapring_engine_record_files",
        "Large records that lie in files of their own"
    );
    metrics::describe_gauge!(
        "mapring_engine_record_file_bytes",
        metrics::Unit::Bytes,
        "Bytes of these files"
    );
    metrics::describe_histogram!(
        "mapring_engine_flush_duration_seconds",
        metrics::Unit::Seconds,
        "Time of a flush, with its fsyncs where durability is disk"
    );
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod filed;
#[cfg(test)]
mod indexes;
#[cfg(test)]
mod tests;
