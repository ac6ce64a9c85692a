//! The engine on sled 0.34: one database a node, one tree a vnode.
//!
//! Only plain inserts and removes are used: sled's batches and transactions take one lock for the
//! whole process, and once one was used every later operation takes its read side.
//!
//! sled ends every later write with the same error after one failed write to its log (a full disk,
//! a broken one), so the engine must be opened again, normally by restarting the node. Where sled
//! panics instead (damage that its checksums miss, internal assertions), the panic is caught here
//! and the engine refuses all further work.

mod commit;
mod files;
mod health;
mod tree;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ::sled as db;
use bytes::Bytes;
use mapring_types::{Error, ErrorKind, Record, Result};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::meta::{self, MetaFiles};
use crate::{Engine, EngineStats, ScanDepth, ScanRange, StoreKey, key, limits};

use self::commit::GroupCommit;
use self::files::{Files, StoreLock};
use self::health::Health;
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
}

impl Default for SledConfig {
    fn default() -> Self {
        Self { durability: Durability::default(), cache_bytes: 1 << 30 }
    }
}

/// The name of the meta value that says how the files are laid out.
const FORMAT_NAME: &str = "engine-format";
/// Its value: the engine, and the version of keys and values.
const FORMAT: &[u8] = b"sled 1";
/// The smallest cache that sled works with, in bytes.
const LEAST_CACHE: u64 = 1 << 20;

/// The engine that keeps a node's objects on disk.
pub struct SledEngine {
    /// Ends first: its thread uses the database.
    commit: Option<GroupCommit>,
    trees: RwLock<BTreeMap<u16, Arc<VnodeTree>>>,
    db: db::Db,
    meta: MetaFiles,
    journal: Arc<Journal>,
    health: Arc<Health>,
    /// Let go last, when the database is closed.
    _lock: StoreLock,
}

impl SledEngine {
    /// Opens, or makes, the store in `dir`, for this process alone.
    ///
    /// # Errors
    /// `Storage` when another process holds the store or a file cannot be used, `Corrupt` when
    /// what is there cannot be read.
    pub fn open(dir: &Path, config: SledConfig) -> Result<Self> {
        describe_metrics();
        std::fs::create_dir_all(dir).map_err(|error| meta::failed("make", dir, error))?;
        let lock = StoreLock::take(dir)?;
        let meta = MetaFiles::open(dir.join("meta"))?;
        match meta.get(FORMAT_NAME)? {
            Some(format) if format != FORMAT => {
                let format = String::from_utf8_lossy(&format).into_owned();
                let message = format!("the store in {} has format {format}", dir.display());
                return Err(Error::corrupt(message));
            }
            Some(_) => {}
            None => meta.set(FORMAT_NAME, FORMAT)?,
        }
        let health = Arc::new(Health::default());
        let path = dir.join("sled");
        let db = open_db(&path, &config, &health)?;
        // Before the store's directory is fsynced, so that its name survives too.
        let journal = Arc::new(Journal::open(dir.join("journal"))?);
        let files = Files::open(dir, &path)?;
        let trees = open_trees(&db, &health)?;
        let commit = match config.durability {
            Durability::None => None,
            Durability::Process => Some(GroupCommit::start(&db, &journal, None, &health)?),
            Durability::Disk => Some(GroupCommit::start(&db, &journal, Some(files), &health)?),
        };
        Ok(Self { commit, trees: RwLock::new(trees), db, meta, journal, health, _lock: lock })
    }

    fn tree(&self, vnode: u16) -> Option<Arc<VnodeTree>> {
        self.trees.read().get(&vnode).cloned()
    }

    fn tree_or_new(&self, vnode: u16) -> Result<Arc<VnodeTree>> {
        if let Some(tree) = self.tree(vnode) {
            return Ok(tree);
        }
        let mut trees = self.trees.write();
        if let Some(tree) = trees.get(&vnode) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(VnodeTree::open(&self.db, vnode, &self.health)?);
        trees.insert(vnode, Arc::clone(&tree));
        Ok(tree)
    }
}

impl Engine for SledEngine {
    fn get(&self, vnode: u16, key: &StoreKey) -> Result<Option<Record>> {
        match self.tree(vnode) {
            Some(tree) => tree.get(&key::head(key)),
            None => Ok(None),
        }
    }

    fn put(&self, vnode: u16, key: &StoreKey, record: &Record) -> Result<()> {
        self.health.check_writes()?;
        let generation = || self.health.call("number a write", || self.db.generate_id());
        self.tree_or_new(vnode)?.put(&key::head(key), record, generation)
    }

    fn delete(&self, vnode: u16, key: &StoreKey) -> Result<()> {
        self.health.check_writes()?;
        match self.tree(vnode) {
            Some(tree) => tree.delete(&key::head(key)),
            None => Ok(()),
        }
    }

    fn scan(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visit: &mut dyn FnMut(StoreKey, Record) -> ControlFlow<()>,
    ) -> Result<()> {
        match self.tree(vnode) {
            Some(tree) => tree.scan(range, depth, visit),
            None => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        self.health.check_writes()?;
        self.commit.as_ref().map_or(Ok(()), GroupCommit::wait)
    }

    fn vnodes(&self) -> Vec<u16> {
        let trees = self.trees.read();
        trees.iter().filter(|(_, tree)| tree.has_data()).map(|(&vnode, _)| vnode).collect()
    }

    fn meta(&self, name: &str) -> Result<Option<Bytes>> {
        self.meta.get(name)
    }

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<()> {
        self.meta.set(name, value)
    }

    fn append(&self, segment: u64, entry: &[u8]) -> Result<()> {
        self.health.check_writes()?;
        self.journal.append(segment, entry)
    }

    fn journal(&self) -> Result<Vec<(u64, Vec<Bytes>)>> {
        self.journal.read()
    }

    fn remove_segment(&self, segment: u64) -> Result<()> {
        self.journal.remove(segment)
    }

    fn stats(&self) -> EngineStats {
        let disk_bytes = self.health.call("measure the store", || self.db.size_on_disk());
        EngineStats { name: "sled", disk_bytes: disk_bytes.unwrap_or(0) }
    }
}

fn open_db(path: &Path, config: &SledConfig, health: &Health) -> Result<db::Db> {
    let flusher = u64::try_from(limits::FLUSHER_INTERVAL.as_millis()).unwrap_or(u64::MAX);
    let settings = db::Config::new()
        .path(path)
        .segment_size(limits::SEGMENT_BYTES)
        .cache_capacity(config.cache_bytes.max(LEAST_CACHE))
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

fn open_trees(db: &db::Db, health: &Arc<Health>) -> Result<BTreeMap<u16, Arc<VnodeTree>>> {
    let vnodes = db.tree_names().into_iter().filter_map(|name| tree::vnode_of(&name));
    vnodes.map(|vnode| Ok((vnode, Arc::new(VnodeTree::open(db, vnode, health)?)))).collect()
}

/// An error of sled in our words.
fn translate(what: &str, error: db::Error) -> Error {
    let kind = match error {
        db::Error::Corruption { .. } => ErrorKind::Corrupt,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("cannot {what}")).with_source(error)
}

fn describe_metrics() {
    metrics::describe_counter!("mapring_engine_syncs_total", "Writers that waited for a flush");
    metrics::describe_counter!("mapring_engine_flushes_total", "Flushes that writers shared");
    metrics::describe_histogram!(
        "mapring_engine_flush_seconds",
        metrics::Unit::Seconds,
        "Time of a flush, with its fsyncs where durability is disk"
    );
}

#[cfg(test)]
mod tests;
