//! What is stored of a job, each with the version of its format.

use bytes::Bytes;
use mapring_mapred::{PhaseResults, Place, Row};
use mapring_types::versioned::{self, Nothing};
use mapring_types::{Error, Release, Result, Versioned};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::{JobDetail, JobErrors, JobEvent};
use crate::store;

/// What a job was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredDocument {
    /// The job document, with its parameters put in.
    pub(crate) document: Value,
    /// The hash of what was asked for.
    pub(crate) digest: u64,
    /// When, in milliseconds since 1970 began.
    pub(crate) since_ms: u64,
}

/// What is shown of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredRecord {
    /// See [`StoredDocument::digest`].
    pub(crate) digest: u64,
    /// The epoch in which it was written.
    pub(crate) epoch: u64,
    /// When it was written, in milliseconds since 1970 began.
    pub(crate) stored_ms: u64,
    /// How it ended, and until when it is kept; before, `None`.
    pub(crate) end: Option<End>,
    /// The pieces of its results, in order.
    pub(crate) pieces: Vec<Pieces>,
    /// Of a job that has ended, what happened to it last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<JobEvent>,
    /// Of how many shards hooks have been told.
    #[serde(default, skip_serializing_if = "crate::report::is_zero")]
    pub(crate) shards_told: u64,
    /// What is shown. Of a job that has not ended its document is stored by itself.
    pub(crate) detail: JobDetail,
}

/// The end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// How it ended.
    pub(crate) result: mapring_cluster::JobResult,
    /// Until when it is kept, in milliseconds since 1970 began.
    pub(crate) keep_until_ms: u64,
}

/// Pieces of results that were made in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pieces {
    /// The epoch.
    pub(crate) epoch: u64,
    /// The first.
    pub(crate) from: u64,
    /// How many.
    pub(crate) count: u64,
}

/// Where a job goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCheckpoint {
    /// The epoch in which it was written.
    pub(crate) epoch: u64,
    /// What it had given by then.
    pub(crate) given: Given,
    /// What the query goes on with, as it wrote it.
    pub(crate) query: Bytes,
}

/// Rows that a job has given, in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Given {
    /// The pieces that have them.
    pub(crate) pieces: Vec<Pieces>,
    /// How many rows count.
    pub(crate) rows: u64,
    /// How many of them lie in other pieces than the last one, which may have more than count.
    pub(crate) rows_before_last: u64,
}

/// Inputs that failed or were left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredErrors {
    pub(crate) errors: JobErrors,
}

/// A piece of results.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StoredPiece {
    pub(crate) results: Vec<StoredResults>,
}

/// Results of one phase that came together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredResults {
    phase: u64,
    rows: Vec<StoredRow>,
    /// Where each row belongs, where they are told apart by shards.
    places: Vec<Place>,
}

/// A row: whether it is a pair, and its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredRow(bool, String);

impl StoredResults {
    /// What a query gave.
    pub(crate) fn of(results: PhaseResults) -> Self {
        let PhaseResults { phase, values, places } = results;
        let row = |row: Row| StoredRow(matches!(row, Row::Pair(_)), row.into_text());
        Self { phase: phase as u64, rows: values.into_iter().map(row).collect(), places }
    }

    /// The same, as it was.
    ///
    /// # Errors
    /// `Corrupt` for a phase that no query has.
    pub(crate) fn results(self) -> Result<PhaseResults> {
        let phase = usize::try_from(self.phase).ok();
        let phase = phase.filter(|phase| *phase < mapring_mapred::limits::PHASES.max(1));
        let phase = phase.ok_or_else(|| {
            Error::corrupt(format!("results are of phase {}, which no query has", self.phase))
        })?;
        let row = |StoredRow(is_pair, text): StoredRow| match is_pair {
            true => Row::pair_of(text),
            false => Row::value(text),
        };
        if ![0, self.rows.len()].contains(&self.places.len()) {
            return Err(Error::corrupt("results belong in other places than there are"));
        }
        let results = PhaseResults::new(phase, self.rows.into_iter().map(row).collect());
        Ok(PhaseResults { places: self.places, ..results })
    }

    /// About the bytes that it takes.
    pub(crate) fn bytes(results: &PhaseResults) -> usize {
        let places: usize = results.places.iter().map(|place| place.len() + 1).sum();
        results.values.iter().map(|row| row.bytes() + 6).sum::<usize>() + places + 13
    }
}

/// A piece of version 1: nothing was told apart by shards.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FirstPiece {
    results: Vec<FirstResults>,
}

/// See [`StoredResults`].
#[derive(Debug, Serialize, Deserialize)]
struct FirstResults {
    phase: u64,
    rows: Vec<StoredRow>,
}

impl Versioned for StoredPiece {
    const WHAT: &'static str = FirstPiece::WHAT;
    const VERSION: u8 = 2;
    const SINCE: Release = Release::JOBS;
    type Previous = FirstPiece;

    fn read(body: &[u8]) -> Result<Self> {
        versioned::from_postcard(body)
    }

    fn migrate(previous: FirstPiece) -> Result<Self> {
        let results =
            |FirstResults { phase, rows }| StoredResults { phase, rows, places: Vec::new() };
        Ok(Self { results: previous.results.into_iter().map(results).collect() })
    }
}

/// Formats of which there is one version yet.
macro_rules! first_version {
    ($($format:ty = $what:literal by $read:path),+ $(,)?) => {$(
        impl Versioned for $format {
            const WHAT: &'static str = $what;
            const VERSION: u8 = 1;
            const SINCE: Release = Release::JOBS;
            type Previous = Nothing;

            fn read(body: &[u8]) -> Result<Self> {
                $read(body)
            }

            fn migrate(previous: Nothing) -> Result<Self> {
                match previous {}
            }
        }
    )+};
}
pub(crate) use first_version;

first_version!(
    StoredDocument = "the document of a job" by store::from_json,
    StoredRecord = "the record of a job" by store::from_json,
    StoredErrors = "the errors of a job" by store::from_json,
    StoredCheckpoint = "the checkpoint of a job" by versioned::from_postcard,
    FirstPiece = "a piece of a job's results" by versioned::from_postcard,
);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::EventId;

    #[track_caller]
    fn check<T: Versioned + PartialEq + std::fmt::Debug>(value: &T, bytes: &[u8]) {
        assert_eq!(bytes[0], T::VERSION);
        assert_eq!(&T::decode(bytes).unwrap(), value);
        assert!(T::decode(&bytes[..bytes.len() - 1]).is_err(), "it is cut");
        let later = [&[T::VERSION + 1], &bytes[1..]].concat();
        let error = T::decode(&later).unwrap_err();
        assert_eq!(error.kind(), mapring_types::ErrorKind::Unavailable, "{error}");
    }

    #[test]
    fn what_is_stored_is_read() {
        let document = json!({"inputs": "b", "query": []});
        let document = StoredDocument { document, digest: u64::MAX, since_ms: 7 };
        check(&document, &store::to_json(&document).unwrap());
        let end = End { result: mapring_cluster::JobResult::Failed, keep_until_ms: 9 };
        let record = StoredRecord {
            digest: 1,
            epoch: 2,
            stored_ms: 3,
            end: Some(end),
            pieces: vec![Pieces { epoch: 1, from: 0, count: 2 }],
            events: Vec::new(),
            shards_told: 0,
            detail: JobDetail { id: "j".into(), ..JobDetail::default() },
        };
        check(&record, &store::to_json(&record).unwrap());
        let id = EventId { epoch: 2, number: 7 };
        let event = JobEvent { id, time_ms: 5, kind: "end".into(), data: json!({"error": null}) };
        let told = StoredRecord { events: vec![event], shards_told: 3, ..record.clone() };
        check(&told, &store::to_json(&told).unwrap());
        let given = Given { pieces: record.pieces, rows: 70, rows_before_last: 60 };
        let checkpoint = StoredCheckpoint { epoch: 2, given, query: Bytes::from_static(b"opaque") };
        check(&checkpoint, &versioned::to_postcard(&checkpoint).unwrap());
    }

    fn comes_back<T, B>(bytes: &[u8], write: fn(&T) -> Result<B>)
    where
        T: Versioned + PartialEq + std::fmt::Debug,
        B: AsRef<[u8]>,
    {
        let Ok(read) = T::decode(bytes) else { return };
        assert_eq!(T::decode(write(&read).unwrap().as_ref()).unwrap(), read);
    }

    #[test]
    fn fuzz_what_is_stored() {
        let document = json!({"inputs": "b", "query": []});
        let document = StoredDocument { document, digest: u64::MAX, since_ms: 7 };
        let record = StoredRecord {
            digest: 1,
            epoch: 2,
            stored_ms: 3,
            end: None,
            pieces: vec![Pieces { epoch: 1, from: 0, count: 2 }],
            events: Vec::new(),
            shards_told: 4,
            detail: JobDetail { id: "j".into(), ..JobDetail::default() },
        };
        let checkpoint =
            StoredCheckpoint { epoch: 2, given: Given::default(), query: Bytes::from_static(b"q") };
        let values = vec![Row::value("1"), Row::pair("\"a\"", "2")];
        let results = StoredResults::of(PhaseResults::new(1, values));
        let piece = StoredPiece { results: vec![results] };
        mapring_fuzz::Corpus::made("stored_jobs")
            .and(store::to_json(&document).unwrap())
            .and(store::to_json(&record).unwrap())
            .and(versioned::to_postcard(&checkpoint).unwrap())
            .and(versioned::to_postcard(&piece).unwrap())
            .run(|bytes| {
                comes_back::<StoredDocument, _>(bytes, store::to_json);
                comes_back::<StoredRecord, _>(bytes, store::to_json);
                comes_back::<StoredErrors, _>(bytes, store::to_json);
                comes_back::<StoredCheckpoint, _>(bytes, versioned::to_postcard);
                comes_back::<StoredPiece, _>(bytes, versioned::to_postcard);
                let piece = StoredPiece::decode(bytes).unwrap_or_default();
                piece.results.into_iter().for_each(|results| {
                    let _ = results.results();
                });
            });
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let values = vec![Row::value("1"), Row::pair("\"a\"", "2"), Row::value("{\"a\":2}")];
        let results = PhaseResults::new(1, values);
        let places: Vec<Place> = [b"1", b"2", b"3"].map(|place| place[..].into()).into();
        for results in [results.clone(), PhaseResults { places, ..results.clone() }] {
            let piece = StoredPiece { results: vec![StoredResults::of(results.clone())] };
            let bytes = versioned::to_postcard(&piece).unwrap();
            check(&piece, &bytes);
            let read = StoredPiece::decode(&bytes).unwrap();
            assert_eq!(read.results[0].clone().results().unwrap(), results);
        }
        let StoredResults { phase, rows, .. } = StoredResults::of(results.clone());
        let former = FirstPiece { results: vec![FirstResults { phase, rows }] };
        let bytes = versioned::to_postcard(&former).unwrap();
        let read = StoredPiece::decode(&bytes).unwrap();
        assert_eq!((bytes[0], read.results[0].clone().results().unwrap()), (1, results.clone()));
        let no_phase = StoredResults { phase: u64::MAX, rows: Vec::new(), places: Vec::new() };
        assert!(no_phase.results().is_err());
        let places = vec![Place::default()];
        assert!(StoredResults { places, ..StoredResults::of(results) }.results().is_err());
    }
}
