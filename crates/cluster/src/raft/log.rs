//! raft's log and vote in files: the log is one append-only file of records, each fsynced before
//! it is acknowledged; entries are kept in memory too, since snapshots keep them few.
//!
//! One append is one record, so that a crash can tear the last record only; what is torn was never
//! acknowledged.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mapring_types::{Error, Result, Versioned};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::files::{self, Mark};
use super::memory::Position;
use super::{Entry, LogId, StorageError, StorageIoError, TypeConfig, Vote, blocking};
use crate::limits;

const LOG_MARK: Mark = *b"mrlg";
const VOTE_MARK: Mark = *b"mrvt";
const COMMITTED_MARK: Mark = *b"mrcm";

/// Mark and version.
const FILE_HEADER: usize = 5;
/// Length and checksum.
const RECORD_HEADER: usize = 8;

/// The log's file as a whole: records follow the version, see [`decode`].
struct LogFile;

mapring_types::first_version!(LogFile, 1, "the log of the metadata", LogFile);

/// One record of the log file.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    /// Everything up to this entry is in a snapshot; the first record only.
    Purged(LogId),
    /// Entries appended together.
    Entries(Vec<Entry>),
}

/// The log of one node; clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Arc<Mutex<Log>>,
    /// How far the log has come, apart from it: that is locked while it is written.
    tip: Arc<Mutex<Position>>,
}

struct Log {
    directory: PathBuf,
    file: File,
    /// Bytes of the file that are known to be good.
    length: u64,
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

impl LogStore {
    /// Opens the log in `directory`, which must exist. A torn last record is cut off.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, when anything before the last record is damaged.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let log = Log::open(directory)?;
        let tip = Arc::new(Mutex::new(log.position()));
        Ok(Self { log: Arc::new(Mutex::new(log)), tip })
    }

    /// The highest vote given and the last entry, both durable.
    pub(crate) fn position(&self) -> Position {
        *self.tip.lock()
    }

    /// The entries after `after`.
    pub(crate) fn entries_after(&self, after: Option<LogId>) -> Vec<Entry> {
        let from = after.map_or(0, |after| after.index.saturating_add(1));
        self.log.lock().entries.range(from..).map(|(_, entry)| entry.clone()).collect()
    }

    /// The id of the entry `index`, where it is still there.
    pub(crate) fn id_at(&self, index: u64) -> Option<LogId> {
        self.log.lock().entries.get(&index).map(|entry| entry.log_id)
    }

    /// Takes back that `me` leads: it would go on in the same term, and if what it has written in it
    /// is forgotten, it would give the same places to other entries. The vote itself stays given.
    pub(crate) fn resign(&self, me: u64) {
        let mut log = self.log.lock();
        if let Some(vote) = log.vote.as_mut().filter(|vote| vote.leader_id().node_id == me) {
            vote.committed = false;
        }
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Log) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (log, tip) = (self.log.clone(), self.tip.clone());
        blocking(move || {
            let mut log = log.lock();
            let done = work(&mut log);
            *tip.lock() = log.position();
            done
        })
        .await
    }
}

impl Log {
    fn open(directory: &Path) -> Result<Self> {
        let path = log_path(directory);
        let fail = |error| files::storage("cannot open", &path, error);
        if !path.try_exists().map_err(fail)? {
            files::replace_raw(&path, &file_header())?;
        }
        let read = Reading::of(&fs::read(&path).map_err(fail)?, &path)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(fail)?;
        if file.metadata().map_err(fail)?.len() > read.length {
            tracing::warn!(file = %path.display(), "cut off a torn record at the end");
            file.set_len(read.length).and_then(|()| file.sync_all()).map_err(fail)?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            file,
            length: read.length,
            entries: read.entries,
            purged: read.purged,
            vote: read_json(&directory.join("vote"), VOTE_MARK)?,
            committed: read_json(&directory.join("committed"), COMMITTED_MARK)?,
        })
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let record = Record::Entries(entries);
        let bytes = encode(&record)?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Nothing may follow a half-written record. openraft stops at this error.
            let _ = self.file.set_len(self.length);
            return Err(files::storage("cannot append to", &log_path(&self.directory), error));
        }
        self.length += bytes.len() as u64;
        if let Record::Entries(entries) = record {
            self.entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        }
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<()> {
        let cut = self.entries.split_off(&from);
        if cut.is_empty() { Ok(()) } else { self.rewrite() }
    }

    fn purge(&mut self, upto: LogId) -> Result<()> {
        self.entries = self.entries.split_off(&(upto.index.saturating_add(1)));
        self.purged = Some(self.purged.map_or(upto, |purged| purged.max(upto)));
        let first = self.entries.keys().next();
        let begins = first.is_none_or(|first| *first > upto.index);
        assert!(begins, "the log begins with {first:?} after {upto}");
        self.rewrite()
    }

    fn rewrite(&mut self) -> Result<()> {
        let mut bytes = file_header();
        if let Some(purged) = self.purged {
            bytes.extend(encode(&Record::Purged(purged))?);
        }
        for entry in self.entries.values() {
            bytes.extend(encode(&Record::Entries(vec![entry.clone()]))?);
        }
        let path = log_path(&self.directory);
        files::replace_raw(&path, &bytes)?;
        self.file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|error| files::storage("cannot open", &path, error))?;
        self.length = bytes.len() as u64;
        Ok(())
    }

    fn save_vote(&mut self, vote: Vote) -> Result<()> {
        files::replace(&self.directory.join("vote"), VOTE_MARK, &to_json(&vote)?)?;
        self.vote = Some(vote);
        Ok(())
    }

    fn save_committed(&mut self, committed: Option<LogId>) -> Result<()> {
        if committed != self.committed {
            let content = to_json(&committed)?;
            files::replace(&self.directory.join("committed"), COMMITTED_MARK, &content)?;
            self.committed = committed;
        }
        Ok(())
    }

    fn position(&self) -> Position {
        let vote = self.vote.map(|vote| *vote.leader_id());
        Position { vote, log: self.state().last_log_id }
    }

    fn state(&self) -> LogState<TypeConfig> {
        let last = self.entries.values().next_back().map(|entry| entry.log_id);
        LogState { last_purged_log_id: self.purged, last_log_id: last.or(self.purged) }
    }
}

/// What was found in a log file.
#[derive(Default)]
struct Reading {
    length: u64,
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
}

impl Reading {
    fn of(bytes: &[u8], path: &Path) -> Result<Self> {
        let Some(rest) = bytes.strip_prefix(&LOG_MARK) else {
            return Err(Error::corrupt(format!("the file {} is no log", path.display())));
        };
        LogFile::split(rest).map_err(|error| error.context(path.display()))?;
        let mut reading = Self::default();
        let mut position = FILE_HEADER;
        while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
            let Some((record, length)) = decode(rest) else {
                if (1..rest.len()).any(|skipped| decode(&rest[skipped..]).is_some()) {
                    return Err(Error::corrupt(format!(
                        "the file {} is damaged at byte {position}, before its end",
                        path.display()
                    )));
                }
                break;
            };
            reading.take(record).map_err(|error| {
                error.context(format!("the file {} at byte {position}", path.display()))
            })?;
            position += length;
        }
        reading.length = position as u64;
        Ok(reading)
    }

    fn take(&mut self, record: Record) -> Result<()> {
        match record {
            Record::Purged(upto) => self.purged = Some(upto),
            Record::Entries(entries) => {
                for entry in entries {
                    let last = self.entries.keys().next_back().copied();
                    let index = follow(last.or(self.purged.map(|purged| purged.index)), &entry)?;
                    self.entries.insert(index, entry);
                }
            }
        }
        Ok(())
    }
}

/// The index of an entry of a file that is to follow upon the last one: the next, or any where there is
/// none.
fn follow(last: Option<u64>, entry: &Entry) -> Result<u64> {
    let index = entry.log_id.index;
    if last.is_some_and(|last| last.checked_add(1) != Some(index)) {
        return Err(Error::corrupt(format!("entry {index} is out of order")));
    }
    Ok(index)
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn file_header() -> Vec<u8> {
    let mut header = LOG_MARK.to_vec();
    header.push(LogFile::VERSION);
    header
}

fn encode(record: &Record) -> Result<Vec<u8>> {
    let content = to_json(record)?;
    let length = u32::try_from(content.len())
        .ok()
        .filter(|_| content.len() <= limits::RECORD_BYTES)
        .ok_or_else(|| Error::internal("a record of the log is too long"))?;
    let mut bytes = Vec::with_capacity(RECORD_HEADER + content.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(bytes)
}

/// The record that `bytes` begin with, and its length in the file.
fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length == 0 || length > limits::RECORD_BYTES {
        return None;
    }
    let content = rest.get(..length)?;
    if u32::from_le_bytes(*checksum) != crc32fast::hash(content) {
        return None;
    }
    Some((serde_json::from_slice(content).ok()?, RECORD_HEADER + length))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::internal("cannot encode what raft stores").with_source(error))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path, mark: Mark) -> Result<Option<T>> {
    let Some(content) = files::read(path, mark)? else { return Ok(None) };
    serde_json::from_slice::<Option<T>>(&content).map_err(|error| {
        Error::corrupt(format!("the file {} is damaged", path.display())).with_source(error)
    })
}

fn cannot_write(error: &Error) -> StorageError {
    StorageIoError::write_logs(AnyError::new(error)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.log.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        Ok(self.log.lock().state())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.change(move |log| log.save_vote(vote))
            .await
            .map_err(|error| StorageIoError::write_vote(AnyError::new(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.log.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.change(move |log| log.save_committed(committed))
            .await
            .map_err(|error| cannot_write(&error))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.log.lock().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let appended = self.change(move |log| log.append(entries)).await;
        match appended {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                callback.log_io_completed(Err(std::io::Error::other(error.to_string())));
                Err(cannot_write(&error))
            }
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.change(move |log| log.truncate(log_id.index))
            .await
            .map_err(|error| cannot_write(&error))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.change(move |log| log.purge(log_id)).await.map_err(|error| cannot_write(&error))
    }
}

/// Makes the last entry of the log in `directory` another one of the same id.
#[cfg(test)]
pub(crate) fn change_last_entry(directory: &Path, change: crate::Change) {
    let mut log = Log::open(directory).unwrap();
    let last = log.entries.values().next_back().unwrap().log_id;
    log.truncate(last.index).unwrap();
    let payload = openraft::EntryPayload::Normal(change);
    log.append(vec![Entry { log_id: last, payload }]).unwrap();
}

#[cfg(test)]
mod tests {
    use mapring_types::ErrorKind;
    use openraft::{CommittedLeaderId, EntryPayload};

    use super::*;
    use crate::Change;

    fn entry(index: u64) -> Entry {
        let payload = EntryPayload::Normal(Change::Seal);
        Entry { log_id: LogId::new(CommittedLeaderId::new(1, 7), index), payload }
    }

    fn indexes(directory: &Path) -> Result<Vec<u64>> {
        Ok(Log::open(directory)?.entries.keys().copied().collect())
    }

    /// A log of three records: entries 0 and 1, then 2, then 3.
    fn written(directory: &Path) -> Vec<u8> {
        let mut log = Log::open(directory).unwrap();
        log.append(vec![entry(0), entry(1)]).unwrap();
        log.append(vec![entry(2)]).unwrap();
        log.append(vec![entry(3)]).unwrap();
        fs::read(log_path(directory)).unwrap()
    }

    #[test]
    fn entries_votes_and_cuts_survive_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        written(path);
        let mut log = Log::open(path).unwrap();
        log.truncate(3).unwrap();
        log.save_vote(Vote::new(4, 7)).unwrap();
        log.save_committed(Some(entry(1).log_id)).unwrap();
        log.append(vec![entry(3), entry(4)]).unwrap();
        log.purge(entry(1).log_id).unwrap();
        log.append(vec![entry(5)]).unwrap();
        drop(log);

        let log = Log::open(path).unwrap();
        assert_eq!(log.entries.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(log.purged, Some(entry(1).log_id));
        assert_eq!(log.vote, Some(Vote::new(4, 7)));
        assert_eq!(log.committed, Some(entry(1).log_id));
    }

    /// What former releases have stored is read: one of each change, and what raft adds.
    #[test]
    fn the_log_of_former_releases_is_read() {
        let kept = |name: &str| format!("{}/fixtures/raft-1-{name}", env!("CARGO_MANIFEST_DIR"));
        let directory = tempfile::tempdir().unwrap();
        for name in ["log", "vote", "committed"] {
            fs::copy(kept(name), directory.path().join(name)).unwrap();
        }
        let mut log = Log::open(directory.path()).unwrap();
        let id = |index| LogId::new(CommittedLeaderId::new(3, 7), index);
        assert_eq!(log.purged, Some(id(0)));
        assert_eq!(log.vote, Some(Vote::new_committed(4, 7)));
        assert_eq!(log.committed, Some(id(2)));
        let changes = crate::formats::changes();
        let count = changes.len() as u64;
        let node = |name: &str, address: &str| super::super::RaftNode {
            address: address.to_owned(),
            name: name.to_owned(),
        };
        let nodes = BTreeMap::from([(7, node("n1", "a:1")), (8, node("n2", "b:1"))]);
        let group = openraft::Membership::new(vec![[7].into()], nodes);
        let payloads = changes.into_iter().map(EntryPayload::Normal);
        let added = [EntryPayload::Blank, EntryPayload::Membership(group)];
        let expected: Vec<Entry> = (0..)
            .zip(payloads.chain(added))
            .skip(1)
            .map(|(index, payload)| Entry { log_id: id(index), payload })
            .collect();
        let read: Vec<Entry> = log.entries.values().cloned().collect();
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));

        // As it is written now, it is written the same.
        log.purge(id(0)).unwrap();
        assert_eq!(fs::read(directory.path().join("log")).unwrap(), fs::read(kept("log")).unwrap());
        assert_eq!(log.entries.len() as u64, count + 1);
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_the_log_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let whole = written(path);
        let third = whole.len() - encode(&Record::Entries(vec![entry(3)])).unwrap().len();
        for cut in third + 1..whole.len() {
            fs::write(log_path(path), &whole[..cut]).unwrap();
            assert_eq!(indexes(path).unwrap(), [0, 1, 2], "cut at {cut}");
            Log::open(path).unwrap().append(vec![entry(3)]).unwrap();
            assert_eq!(indexes(path).unwrap(), [0, 1, 2, 3], "cut at {cut}");
        }
        // A file that grew before its data arrived ends in zeros.
        fs::write(log_path(path), [&whole[..third], &[0; 100]].concat()).unwrap();
        assert_eq!(indexes(path).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn damage_before_the_tail_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let whole = written(path);
        let third = whole.len() - encode(&Record::Entries(vec![entry(3)])).unwrap().len();
        for position in 0..third {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x01;
            fs::write(log_path(path), &damaged).unwrap();
            let error = indexes(path).unwrap_err();
            // Another version is none that is known, and no damage.
            let version = position == LOG_MARK.len();
            let kind = if version { ErrorKind::Unavailable } else { ErrorKind::Corrupt };
            assert_eq!(error.kind(), kind, "byte {position}");
            assert!(error.message().contains("log"), "{error}");
        }
    }
}
