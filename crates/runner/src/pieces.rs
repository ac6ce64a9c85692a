//! What a job has given, in pieces: written while it runs, with as much in memory as one piece has, and read
//! when it has ended.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use mapring_mapred::{Failure, PhaseResults, Results};
use mapring_types::versioned::to_postcard;
use mapring_types::{Error, ErrorKind, Result};

use crate::formats::{Given, Pieces, StoredPiece, StoredResults};
use crate::limits;
use crate::store::{self, Entry, ListQuery, Shelf, Store, aside_id, piece_key};

/// Where the results of a job go.
pub(crate) struct PieceWriter {
    store: Arc<dyn Store>,
    id: String,
    epoch: u64,
    /// Those that are stored, …
    pieces: Vec<Pieces>,
    /// … and how many rows there were when each of them was complete.
    ends: Vec<u64>,
    /// What the next one has so far.
    open: StoredPiece,
    bytes: usize,
    /// Rows that came, in all epochs.
    rows: u64,
    /// Most pieces that there may be, and what is said of more.
    most: (u64, &'static str),
}

impl PieceWriter {
    /// Of a job in an epoch, which has given nothing.
    pub(crate) fn new(store: Arc<dyn Store>, id: &str, epoch: u64) -> Self {
        let (pieces, ends, open) = (Vec::new(), Vec::new(), StoredPiece::default());
        let more = "its results are more than are kept with a job: give it an output";
        let most = (limits::PIECES, more);
        Self { store, id: id.to_owned(), epoch, pieces, ends, open, bytes: 0, rows: 0, most }
    }

    /// As [`PieceWriter::new`], of what the job puts aside.
    pub(crate) fn aside(store: Arc<dyn Store>, id: &str, epoch: u64) -> Self {
        let most = (limits::PIECES_ASIDE, "its results are more than are put aside");
        Self { most, ..Self::new(store, &aside_id(id), epoch) }
    }

    /// One that has given nothing, in the place of this.
    pub(crate) fn fresh(&self) -> Self {
        let new = Self::new(self.store.clone(), &self.id, self.epoch);
        Self { most: self.most, ..new }
    }

    /// Goes on behind the rows that count of those that were given, as one that has given nothing.
    ///
    /// # Errors
    /// Those of the store; `Corrupt` where they are not there.
    pub(crate) async fn resume(self, given: &Given) -> Result<Self> {
        let (mut writer, mut pieces) = (self, given.pieces.clone());
        let Some((last_epoch, last)) = take_last(&mut pieces) else { return Ok(writer) };
        // What lies before the last piece counts as a whole.
        let before: u64 = pieces.iter().map(|pieces| pieces.count).sum();
        writer.ends = vec![given.rows_before_last; usize::try_from(before).unwrap_or(usize::MAX)];
        (writer.pieces, writer.rows) = (pieces, given.rows_before_last);
        let key = piece_key(&writer.id, last_epoch, last);
        let piece: Option<StoredPiece> = store::read(&*writer.store, Shelf::Results, &key).await?;
        let gone = || Error::corrupt(format!("a piece of the results is gone: {key}"));
        let mut left = given.rows.saturating_sub(given.rows_before_last);
        for results in piece.ok_or_else(gone)?.results {
            let mut results = results.results()?;
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            results.values.truncate(most);
            results.places.truncate(most);
            left -= results.values.len() as u64;
            if !results.values.is_empty() {
                writer.take(results);
            }
        }
        match left {
            0 => Ok(writer),
            _ => Err(Error::corrupt(format!("{key} has fewer rows than it had"))),
        }
    }

    /// Takes results.
    ///
    /// # Errors
    /// Those of the store; `TooLarge` for more pieces than a job may have.
    pub(crate) async fn add(&mut self, results: PhaseResults) -> Result<()> {
        self.take(results);
        if self.bytes < limits::PIECE_BYTES { Ok(()) } else { self.flush().await }
    }

    fn take(&mut self, results: PhaseResults) {
        self.rows += results.values.len() as u64;
        self.bytes += StoredResults::bytes(&results);
        self.open.results.push(StoredResults::of(results));
    }

    /// Stores what has come.
    ///
    /// # Errors
    /// As [`PieceWriter::add`].
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if self.open.results.is_empty() {
            return Ok(());
        }
        let (most, more) = self.most;
        if self.ends.len() as u64 >= most {
            return Err(Error::new(ErrorKind::TooLarge, more));
        }
        let number = match self.pieces.last() {
            Some(last) if last.epoch == self.epoch => last.from + last.count,
            _ => 0,
        };
        let bytes = to_postcard(&self.open)?;
        let key = piece_key(&self.id, self.epoch, number);
        self.store.put(Shelf::Results, &key, bytes.into(), Entry::default()).await?;
        match self.pieces.last_mut() {
            Some(last) if last.epoch == self.epoch => last.count += 1,
            _ => self.pieces.push(Pieces { epoch: self.epoch, from: number, count: 1 }),
        }
        self.ends.push(self.rows);
        (self.open, self.bytes) = (StoredPiece::default(), 0);
        Ok(())
    }

    /// The pieces that are stored.
    pub(crate) fn pieces(&self) -> &[Pieces] {
        &self.pieces
    }

    /// How many rows have come, in all epochs.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The first so many rows, all of which are stored.
    pub(crate) fn given(&self, rows: u64) -> Given {
        let mut pieces = self.pieces.clone();
        let covering = self.ends.partition_point(|end| *end < rows) + usize::from(rows > 0);
        for _ in covering..self.ends.len() {
            take_last(&mut pieces);
        }
        let before = covering.checked_sub(2).and_then(|at| self.ends.get(at));
        Given { pieces, rows, rows_before_last: before.copied().unwrap_or(0) }
    }
}

/// Takes the last piece away: its epoch, and its number.
fn take_last(pieces: &mut Vec<Pieces>) -> Option<(u64, u64)> {
    let last = pieces.last_mut()?;
    last.count = last.count.saturating_sub(1);
    let taken = (last.epoch, last.from + last.count);
    if last.count == 0 {
        pieces.pop();
    }
    Some(taken)
}

/// The rows of some pieces, in order. What cannot be read ends them with an error.
pub(crate) fn read(
    store: Arc<dyn Store>,
    id: &str,
    pieces: &[Pieces],
    keeps: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> Results {
    let id = id.to_owned();
    let keeps = Arc::new(keeps);
    let numbers: Vec<(u64, u64)> = pieces
        .iter()
        .flat_map(|pieces| (0..pieces.count).map(|at| (pieces.epoch, pieces.from + at)))
        .collect();
    let read = move |(epoch, number)| {
        let (store, key, keeps) = (store.clone(), piece_key(&id, epoch, number), keeps.clone());
        async move {
            let piece: Option<StoredPiece> = store::read(&*store, Shelf::Results, &key).await?;
            let gone = || Error::corrupt(format!("a piece of the results is gone: {key}"));
            let piece = piece.ok_or_else(gone)?;
            let results = piece.results.into_iter().map(move |results| {
                let results = results.results()?;
                match keeps(results.phase) {
                    true => Ok(results),
                    false => Err(Error::corrupt(format!("{key} has results of another query"))),
                }
            });
            Ok::<_, Error>(stream::iter(results))
        }
    };
    stream::iter(numbers).then(read).try_flatten().map_err(Failure::from).boxed()
}

/// Removes the pieces of a job, those that it has put aside too, but some.
///
/// # Errors
/// Those of the store.
pub(crate) async fn remove(store: &dyn Store, id: &str, but: &[Pieces]) -> Result<()> {
    let kept = |key: &str| {
        but.iter().any(|pieces| {
            let mut numbers = pieces.from..pieces.from + pieces.count;
            numbers.any(|number| piece_key(id, pieces.epoch, number) == key)
        })
    };
    let mut query = ListQuery {
        shelf: Shelf::Results,
        field: None,
        from: format!("{id}/"),
        // What comes after all that begin so.
        to: format!("{id}0"),
        after: None,
        most: limits::MOST_LISTED,
        brief: true,
    };
    loop {
        let found = store.list(&query).await?;
        let ended = found.len() < query.most;
        query.after = found.last().map(|last| (last.term.clone(), last.key.clone()));
        let gone = found.into_iter().filter(|listed| !kept(&listed.key));
        let removed = stream::iter(gone)
            .map(|listed| async move { store.remove(Shelf::Results, &listed.key).await })
            .buffer_unordered(limits::REMOVED_AT_ONCE);
        removed.try_for_each(|_| async { Ok(()) }).await?;
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use mapring_mapred::Row;

    use super::*;
    use crate::store::memory::MemoryStore;

    fn results(from: usize, count: usize, bytes: usize) -> PhaseResults {
        let row = |number| Row::value(format!("\"{number}{}\"", "x".repeat(bytes)));
        PhaseResults::new(1, (from..from + count).map(row).collect())
    }

    async fn rows(store: &Arc<MemoryStore>, pieces: &[Pieces]) -> Vec<String> {
        let read = read(store.clone(), "j", pieces, |phase| phase == 1);
        let all: Vec<PhaseResults> = read.try_collect().await.unwrap();
        all.into_iter().flat_map(|some| some.values).map(Row::into_text).collect()
    }

    /// Two rows a piece.
    async fn write(writer: &mut PieceWriter, numbers: std::ops::Range<usize>) {
        for number in numbers {
            writer.add(results(number, 1, limits::PIECE_BYTES / 2)).await.unwrap();
        }
        writer.flush().await.unwrap();
    }

    fn numbers(rows: &[String]) -> String {
        rows.iter().filter_map(|row| row.chars().nth(1)).collect()
    }

    #[tokio::test]
    async fn rows_go_on_over_epochs_from_any_place() {
        for rows in 0..=5 {
            let store = MemoryStore::new();
            let mut writer = PieceWriter::new(store.clone(), "j", 1);
            write(&mut writer, 0..5).await;
            assert_eq!((writer.pieces()[0].count, writer.rows()), (3, 5));
            let given = writer.given(rows);
            let from = usize::try_from(rows).unwrap();
            for epoch in [1, 1, 2] {
                let again = PieceWriter::new(store.clone(), "j", epoch);
                let mut again = again.resume(&given).await.unwrap();
                assert_eq!(again.rows(), rows, "{given:?}");
                write(&mut again, from..8).await;
                let found = self::rows(&store, again.pieces()).await;
                assert_eq!(numbers(&found), "01234567", "{rows} rows, epoch {epoch}");
                assert_eq!(again.rows(), 8);
                // What others wrote behind the checkpoint counts for nothing.
                remove(&*store, "j", again.pieces()).await.unwrap();
                let kept: u64 = again.pieces().iter().map(|pieces| pieces.count).sum();
                assert_eq!(store.keys(Shelf::Results).len() as u64, kept);
            }
        }
    }

    #[tokio::test]
    async fn what_is_put_aside_is_bounded_and_goes_with_the_rest() {
        let store = MemoryStore::new();
        let mut aside = PieceWriter::aside(store.clone(), "j", 1);
        aside.most.0 = 2;
        for number in 0..2 {
            aside.add(results(0, 1, number)).await.unwrap();
            aside.flush().await.unwrap();
        }
        aside.add(results(0, 1, 2)).await.unwrap();
        let error = aside.flush().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        let mut other = PieceWriter::new(store.clone(), "j", 1);
        other.add(results(0, 1, 0)).await.unwrap();
        other.flush().await.unwrap();
        assert_eq!(store.keys(Shelf::Results).len(), 3);
        remove(&*store, "j", other.pieces()).await.unwrap();
        assert_eq!(store.keys(Shelf::Results), ["j/00000001/00000000"]);
    }

    #[tokio::test]
    async fn results_that_are_gone_or_of_another_query_are_errors() {
        let store = MemoryStore::new();
        let mut writer = PieceWriter::new(store.clone(), "j", 1);
        writer.add(results(0, 1, 0)).await.unwrap();
        writer.flush().await.unwrap();
        let of_another = read(store.clone(), "j", writer.pieces(), |phase| phase == 0);
        assert!(of_another.try_collect::<Vec<_>>().await.is_err());
        remove(&*store, "j", &[]).await.unwrap();
        let gone = read(store.clone(), "j", writer.pieces(), |_| true);
        let failure = gone.try_collect::<Vec<_>>().await.unwrap_err();
        assert!(failure.message.contains("j/00000001/00000000"), "{failure}");
    }
}
