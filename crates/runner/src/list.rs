//! Lists of jobs, the newest first: those that have not ended from the metadata, the others as they are
//! stored. A list takes as long for a few jobs as for many.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use mapring_cluster::{JobKind, JobRecord, JobResult};
use mapring_types::{Error, Result};

use crate::error::JobsError;
use crate::live::{DONE, STATES};
use crate::report::{JobSummary, result_word};
use crate::request::{JobList, ListRequest};
use crate::runner::Runner;
use crate::store::{ListQuery, Listed, Shelf, newest_first, time_of};
use crate::{limits, record, show};

/// The place of a job in lists: by its start, the newest first, and then by its id.
type Place = (String, String);

/// The term of a time.
type TermOf = Box<dyn Fn(&str) -> String + Send + Sync>;

/// Which jobs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    /// Those that have not ended.
    Active,
    /// … in one of their states.
    In(&'static str),
    /// Those that have ended.
    Done,
    /// … in one way.
    Ended(JobResult),
}

/// Lists jobs.
///
/// # Errors
/// `Invalid` for a state or a cursor that is none; those of the store.
pub(crate) async fn list(runner: &Arc<Runner>, request: ListRequest) -> Result<JobList, JobsError> {
    let most = page(request.count)?;
    let wanted = wanted(request.state.as_deref())?;
    let after = request.cursor.as_deref().map(read_cursor).transpose()?;
    let name = request.name;
    let active = active(runner, wanted, after.as_ref());
    let (told, ended, met) = (VecDeque::new(), None, BTreeSet::new());
    let mut lister = Lister { runner, wanted, name, after, active, told, ended, met };
    let mut jobs = Vec::new();
    // One more tells whether the list goes on.
    while jobs.len() <= most {
        let Some(next) = lister.next().await? else { break };
        jobs.push(next);
    }
    let goes_on = jobs.len() > most;
    jobs.truncate(most);
    let last = jobs.last().filter(|_| goes_on);
    let cursor = last.map(|last| {
        let (at, id) = place_of(last);
        format!("{at}.{id}")
    });
    Ok(JobList { jobs, cursor })
}

/// How many a page has at most.
///
/// # Errors
/// `Invalid` where that is none, or too many.
pub(crate) fn page(count: Option<usize>) -> Result<usize, JobsError> {
    let count = count.unwrap_or(limits::LIST_JOBS);
    match (1..=limits::MOST_LISTED).contains(&count) {
        true => Ok(count),
        false => {
            let message = format!("is a number from 1 to {}, not {count}", limits::MOST_LISTED);
            Err(JobsError::invalid("count", message))
        }
    }
}

fn wanted(state: Option<&str>) -> Result<Wanted, JobsError> {
    let results = [JobResult::Success, JobResult::Failed, JobResult::Aborted];
    match state {
        None | Some("" | "all") => Ok(Wanted::All),
        Some("active") => Ok(Wanted::Active),
        Some(DONE) => Ok(Wanted::Done),
        Some(state) => {
            if let Some(word) = STATES.into_iter().find(|word| *word == state) {
                return Ok(Wanted::In(word));
            }
            let result = results.into_iter().find(|result| result_word(*result) == state);
            result.map(Wanted::Ended).ok_or_else(|| {
                let words = results.map(result_word);
                let known: Vec<&str> = ["active"].into_iter().chain(STATES).chain(words).collect();
                JobsError::invalid("state", format!("is one of {}", known.join(", ")))
            })
        }
    }
}

pub(crate) fn read_cursor(cursor: &str) -> Result<Place, JobsError> {
    let (at, id) = cursor
        .split_once('.')
        .filter(|(at, _)| time_of(at).is_some_and(|ms| newest_first(ms) == *at))
        .ok_or_else(|| JobsError::invalid("cursor", "is what a list before has given"))?;
    Ok((at.to_owned(), id.to_owned()))
}

/// The jobs that have not ended, in order.
fn active(runner: &Runner, wanted: Wanted, after: Option<&Place>) -> VecDeque<(Place, JobRecord)> {
    if matches!(wanted, Wanted::Done | Wanted::Ended(_)) {
        return VecDeque::new();
    }
    let view = runner.view();
    let jobs = view.state.jobs.iter().filter(|(_, job)| job.kind == JobKind::Job);
    let placed = jobs.map(|(id, job)| ((newest_first(job.since_ms), id.clone()), job.clone()));
    let mut jobs: Vec<_> =
        placed.filter(|(place, _)| after.is_none_or(|after| place > after)).collect();
    jobs.sort_by(|(a, _), (b, _)| a.cmp(b));
    jobs.into()
}

struct Lister<'r> {
    runner: &'r Arc<Runner>,
    wanted: Wanted,
    name: Option<String>,
    /// Where the list goes on among those that have ended.
    after: Option<Place>,
    /// Those that have not ended and are still to be asked about, …
    active: VecDeque<(Place, JobRecord)>,
    /// … and what was told of those before.
    told: VecDeque<(Place, JobSummary)>,
    /// Those that have ended and were read, and whether there are more.
    ended: Option<(VecDeque<(Place, JobSummary)>, bool)>,
    /// Ids that were listed: a job may end meanwhile.
    met: BTreeSet<String>,
}

impl Lister<'_> {
    /// The next job.
    async fn next(&mut self) -> Result<Option<JobSummary>> {
        loop {
            let ended = self.next_ended().await?;
            let active = self.next_active().await;
            let is_active = match (&active, &ended) {
                (None, None) => return Ok(None),
                (Some(active), Some(ended)) => active <= ended,
                (active, None) => active.is_some(),
                (None, Some(_)) => false,
            };
            let first = match (is_active, &mut self.ended) {
                (true, _) => self.told.pop_front(),
                (false, Some((read, _))) => read.pop_front(),
                (false, None) => None,
            };
            let Some((_, summary)) = first else { return Ok(None) };
            if self.wants(&summary) && self.met.insert(summary.id.clone()) {
                return Ok(Some(summary));
            }
        }
    }

    fn wants(&self, summary: &JobSummary) -> bool {
        let named = self.name.is_none() || self.name == summary.name;
        named
            && match self.wanted {
                Wanted::All => true,
                Wanted::Active => summary.active,
                Wanted::In(word) => summary.active && summary.state == word,
                Wanted::Done => !summary.active,
                Wanted::Ended(result) => {
                    !summary.active && summary.result_status.as_deref() == Some(result_word(result))
                }
            }
    }

    /// The place of the next that has not ended. Several are asked about at once.
    async fn next_active(&mut self) -> Option<Place> {
        if self.told.is_empty() {
            let count = self.active.len().min(limits::LIST_JOBS);
            let jobs: Vec<(String, JobRecord)> =
                self.active.drain(..count).map(|((_, id), job)| (id, job)).collect();
            let told = show::summaries(self.runner, &jobs).await;
            self.told = told.into_iter().map(|summary| (place_of(&summary), summary)).collect();
        }
        self.told.front().map(|(place, _)| place.clone())
    }

    /// The place of the next that has ended.
    async fn next_ended(&mut self) -> Result<Option<Place>> {
        if matches!(self.wanted, Wanted::Active | Wanted::In(_)) {
            return Ok(None);
        }
        loop {
            match &self.ended {
                Some((read, _)) if !read.is_empty() => {
                    return Ok(read.front().map(|(place, _)| place.clone()));
                }
                Some((_, false)) => return Ok(None),
                _ => {}
            }
            self.read_ended().await?;
        }
    }

    /// Reads on among those that have ended.
    async fn read_ended(&mut self) -> Result<()> {
        let (field, term_of): (_, TermOf) = match (self.wanted, self.name.clone()) {
            (Wanted::Ended(result), _) => {
                (record::STATE, Box::new(move |at: &str| record::of_result(result, at)))
            }
            (_, Some(name)) => (record::NAME, Box::new(move |at: &str| record::of_name(&name, at))),
            (_, None) => (record::AT, Box::new(str::to_owned)),
        };
        let query = ListQuery {
            shelf: Shelf::Records,
            field: Some(field),
            from: term_of(""),
            // Behind all times.
            to: term_of("g"),
            after: self.after.as_ref().map(|(at, id)| (term_of(at), id.clone())),
            most: limits::LIST_JOBS,
            brief: true,
        };
        let found = self.runner.store.list(&query).await?;
        let more = found.len() >= query.most;
        let read: Result<VecDeque<(Place, JobSummary)>> = found.iter().map(summary).collect();
        let read = read?;
        if let Some((place, _)) = read.back() {
            self.after = Some(place.clone());
        }
        self.ended = Some((read, more));
        Ok(())
    }
}

fn summary(listed: &Listed) -> Result<(Place, JobSummary)> {
    let summary: JobSummary = serde_json::from_slice(&listed.value).map_err(|error| {
        Error::corrupt(format!("the summary of job {} is damaged", listed.key)).with_source(error)
    })?;
    Ok((place_of(&summary), summary))
}

fn place_of(summary: &JobSummary) -> Place {
    (newest_first(summary.start_timestamp_ms), summary.id.clone())
}
