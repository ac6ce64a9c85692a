//! One opening of a store: sled's database, its trees, the flushing thread, the mark.

use super::commit::GroupCommit;
use super::disk::DiskSync;
use super::files::{self, Files};
use super::log_end::LogEnd;
use super::mark::Position;
use super::tree::Apart;
use super::{log, mark, *};
use crate::record_files::{Directory, RecordFiles, Stock};
use crate::{key, value};

/// See the module.
pub(super) struct Store {
    /// Ends first: its thread uses the database.
    commit: Option<GroupCommit>,
    /// Where its flushes are not fsynced.
    disk: Option<DiskSync<Files>>,
    trees: RwLock<BTreeMap<u16, Arc<VnodeTree>>>,
    pub(super) db: db::Db,
    health: Arc<Health>,
    end: LogEnd,
    files: Arc<RecordFiles>,
}

struct Opened {
    db: db::Db,
    trees: BTreeMap<u16, Arc<VnodeTree>>,
    health: Arc<Health>,
    files: Arc<RecordFiles>,
    /// The files that are named, and what is wrong with them.
    stock: Stock,
    wrong: Option<Error>,
}

impl Store {
    /// Opens, or makes, the store in `dir`. What it lacks is noted in `losses` before anything is
    /// changed.
    pub(super) fn open(
        dir: &Path,
        config: &SledConfig,
        journal: &Arc<Journal>,
        losses: &Losses,
    ) -> Result<Self> {
        let known = mark::read(&dir.join("mark")).map_or(0, |known| known.end);
        let found = examine(dir, config)?;
        let before = if found.is_empty() { known } else { 0 };
        let hopeless = found.iter().find(|loss| loss.kind == LossKind::Damaged);
        let opened = match hopeless.filter(|_| config.set_aside) {
            Some(loss) => Err(Error::corrupt(&loss.what)),
            None => open_all(dir, config),
        };
        let Opened { db, trees, health, files: record_files, stock, wrong } = match opened {
            Err(error) if error.kind() == ErrorKind::Corrupt && config.set_aside => {
                let aside = files::set_aside(dir)?;
                let what = format!("{error}; what was there is now in {}", aside.display());
                losses.note(Loss::new(LossKind::Empty, what));
                open_all(dir, config)?
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let known: String =
                    found.into_iter().map(|loss| format!(" ({})", loss.what)).collect();
                return Err(error.context(format!(
                    "the store in {} cannot be opened{}; it can be moved aside at a start with \
                     storage.set_aside, and is then filled from the other nodes",
                    dir.display(),
                    known
                )));
            }
            other => {
                found.into_iter().for_each(|loss| losses.note(loss));
                other?
            }
        };
        let files = Files::open(dir, &dir.join("sled"))?;
        if let Some(error) = wrong {
            losses.note(Loss::new(LossKind::Damaged, error.to_string()));
        }
        // What the trees say is durable now. What they lack may be what names files: nothing is
        // removed on doubt.
        let doubt = losses.get().is_some_and(|loss| loss.kind != LossKind::Empty);
        stock.finish(doubt)?;
        let fsync = config.durability == Durability::Disk;
        let end = LogEnd::start(dir, &db, fsync, before)?;
        let start = |files| GroupCommit::start(&db, journal, files, &health, &end, &record_files);
        let (commit, disk) = match config.durability {
            Durability::None => (None, Some(DiskSync::new(files))),
            Durability::Process => (Some(start(None)?), Some(DiskSync::new(files))),
            Durability::Disk => (Some(start(Some(files))?), None),
        };
        Ok(Self { commit, disk, trees: RwLock::new(trees), db, health, end, files: record_files })
    }

    pub(super) fn check_writes(&self) -> Result<()> {
        self.health.check_writes()
    }

    pub(super) fn tree(&self, vnode: u16) -> Option<Arc<VnodeTree>> {
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
        let tree = Arc::new(VnodeTree::open(&self.db, vnode, &self.health, &self.files)?);
        trees.insert(vnode, Arc::clone(&tree));
        Ok(tree)
    }

    pub(super) fn read(
        &self,
        vnode: u16,
        key: &StoreKey,
        depth: ScanDepth,
    ) -> Result<Option<Record>> {
        match self.tree(vnode) {
            Some(tree) => tree.read(&key::head(key), depth),
            None => Ok(None),
        }
    }

    pub(super) fn put(
        &self,
        vnode: u16,
        key: &StoreKey,
        record: &Record,
        change: &IndexChange,
        files: bool,
    ) -> Result<()> {
        self.check_writes()?;
        let apart = || {
            if files && value::is_for_file(record) {
                return Ok(Apart::File);
            }
            self.health.call("number a write", || self.db.generate_id()).map(Apart::Chunks)
        };
        self.tree_or_new(vnode)?.put(key, record, change, apart)?;
        self.tidy()
    }

    pub(super) fn delete(&self, vnode: u16, key: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        self.check_writes()?;
        match self.tree(vnode) {
            Some(tree) => tree.delete(key, entries).and_then(|()| self.tidy()),
            None => Ok(()),
        }
    }

    /// Removes files where there are many to be removed and no flush that would do it.
    fn tidy(&self) -> Result<()> {
        if self.commit.is_some() || self.files.left() < limits::UNNAMED_FILES {
            return Ok(());
        }
        let left = self.files.take_left();
        self.health.call("flush", || self.db.flush())?;
        self.files.remove(&left);
        Ok(())
    }

    pub(super) fn change_index(
        &self,
        vnode: u16,
        key: &StoreKey,
        change: &IndexChange,
    ) -> Result<()> {
        self.check_writes()?;
        self.tree_or_new(vnode)?.change_index(key, change)
    }

    pub(super) fn walk(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        match self.tree(vnode) {
            Some(tree) => tree.walk(range, depth, visitor),
            None => Ok(()),
        }
    }

    pub(super) fn scan_terms(
        &self,
        vnode: u16,
        range: &TermRange,
        visit: &mut dyn FnMut(TermPlace) -> ControlFlow<()>,
    ) -> Result<()> {
        match self.tree(vnode) {
            Some(tree) => tree.scan_terms(range, visit),
            None => Ok(()),
        }
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.check_writes()?;
        self.commit.as_ref().map_or(Ok(()), GroupCommit::wait)
    }

    pub(super) fn sync_disk(&self, journal: &Journal) -> Result<()> {
        self.sync()?;
        let Some(disk) = &self.disk else { return Ok(()) };
        disk.wait(|files| {
            journal.write_out(true)?;
            self.health.call("flush", || self.db.flush())?;
            files.sync()
        })
    }

    pub(super) fn position(&self) -> u64 {
        self.end.acknowledged()
    }

    pub(super) fn vnodes(&self) -> Vec<u16> {
        let trees = self.trees.read();
        trees.iter().filter(|(_, tree)| tree.has_data()).map(|(&vnode, _)| vnode).collect()
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        let tree = self.health.call("measure the store", || self.db.size_on_disk()).unwrap_or(0);
        tree + self.files.bytes()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.commit.take());
        if self.check_writes().is_err() {
            return;
        }
        let left = self.files.take_left();
        let flushed = self.health.call("flush", || self.db.flush());
        match flushed.and_then(|_| self.end.close()) {
            Ok(()) => self.files.remove(&left),
            Err(error) => tracing::warn!(%error, "the store was not closed cleanly"),
        }
    }
}

/// Compares the files of records with what the trees name; gives what is wrong, too.
fn take_stock(
    trees: &BTreeMap<u16, Arc<VnodeTree>>,
    files: &Arc<RecordFiles>,
) -> Result<(Stock, Option<Error>)> {
    let (mut stock, mut wrong) = (files.take_stock()?, None);
    for tree in trees.values() {
        wrong = wrong.or(match tree.name_files(&mut stock) {
            // What can be read is read.
            Err(error) if error.kind() == ErrorKind::Corrupt => Some(error),
            other => other?,
        });
    }
    Ok((stock, wrong))
}

fn open_all(dir: &Path, config: &SledConfig) -> Result<Opened> {
    let health = Arc::new(Health::default());
    let fsync = config.durability == Durability::Disk;
    let files = Directory::open(dir.join("sled/records"), fsync)?;
    let files = Arc::new(RecordFiles::new(files));
    let opened = open_db(&dir.join("sled"), config, &health)
        .and_then(|db| Ok((open_trees(&db, &health, &files)?, db)))
        .and_then(|(trees, db)| Ok((take_stock(&trees, &files)?, trees, db)));
    match opened {
        Ok(((stock, wrong), trees, db)) => Ok(Opened { db, trees, health, files, stock, wrong }),
        // sled asserts what damage can contradict.
        Err(error) if health.has_panicked() => Err(Error::corrupt(error.to_string())),
        Err(error) => Err(error),
    }
}

/// What can be told to be missing before the store is opened.
fn examine(dir: &Path, config: &SledConfig) -> Result<Vec<Loss>> {
    let path = dir.join("sled/db");
    let path = path.display();
    let known = mark::read(&dir.join("mark"));
    if let Some(snapshot) = log::damaged_snapshot(&dir.join("sled"))? {
        let what = format!("{} is damaged", snapshot.display());
        return Ok(vec![Loss::new(LossKind::Damaged, what)]);
    }
    let reading = match (log::read(&dir.join("sled"), config.read_whole)?, known) {
        (None, None) => return Ok(vec![Loss::new(LossKind::Empty, format!("{path} is new"))]),
        (None, Some(_)) => {
            return Ok(vec![Loss::new(LossKind::Empty, format!("{path} is gone"))]);
        }
        (Some(reading), None) => {
            let what = format!("{} is gone: whether {path} is whole is unknown", "the mark");
            let damaged = reading.faults.len() > 1;
            let kind = if damaged { LossKind::Damaged } else { LossKind::Behind };
            return Ok(vec![Loss::new(kind, what)]);
        }
        (Some(reading), Some(known)) => (reading, known),
    };
    Ok(compare(&path.to_string(), &reading.0, &reading.1, config))
}

/// What a log lacks of what its mark says.
fn compare(path: &str, reading: &log::Reading, known: &Position, config: &SledConfig) -> Vec<Loss> {
    let mut found = Vec::new();
    // The end itself is judged below.
    let lost =
        |fault: &&log::Fault| fault.position.is_none_or(|at| at < known.end && at != reading.end);
    for fault in reading.faults.iter().filter(lost) {
        let what = format!("{path} is damaged at byte {}", fault.offset);
        found.push(Loss::new(LossKind::Damaged, what));
    }
    if reading.end < known.end {
        let what =
            format!("{path} ends at position {}, and was written to {}", reading.end, known.end);
        found.push(Loss::new(LossKind::Behind, what));
    }
    if reading.slots < known.slots {
        let what = format!("{path} has {} segments, and had {}", reading.slots, known.slots);
        found.push(Loss::new(LossKind::Behind, what));
    }
    let other_boot = known.boot != 0 && mark::boot() != 0 && known.boot != mark::boot();
    if other_boot && !known.clean && config.durability == Durability::Process {
        let what = "the machine was started anew without a clean stop of the node, and \
                    storage.durability is process";
        found.push(Loss::new(LossKind::Behind, what));
    }
    found
}
