//! Runs of pairs as they are kept with a checkpoint: they stay where they lie, under the query for which
//! they were made. What that query still sends cannot be taken for what the next one makes.

use std::sync::Arc;

use mapring_script::QueryTag;
use mapring_types::Result;

use super::GatheredRun;
use crate::limits;
use crate::saved::{SavedRun, SavedRuns, wrong};
use crate::segments::Bits;
use crate::unit::{Holders, Shuffle};

/// The place of something in a list of all that there are.
fn number<T>(all: &mut Vec<T>, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> u32 {
    let at = all.iter().rposition(is_it).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Some runs, of a job that is this query now.
pub(in super::super) fn save(runs: &[GatheredRun], query: QueryTag) -> SavedRuns {
    let (mut queries, mut shuffles) = (Vec::new(), Vec::<Arc<Shuffle>>::new());
    let run = |run: &GatheredRun| {
        let of = run.query.unwrap_or(query);
        let same = |shuffle: &Arc<Shuffle>| Arc::ptr_eq(shuffle, &run.shuffle);
        SavedRun {
            id: run.id,
            made_by: run.made_by,
            query: number(&mut queries, |query| *query == of, || of),
            holders: number(&mut shuffles, same, || Arc::clone(&run.shuffle)),
            partitions: Bits::of(run.partitions.iter().copied()),
        }
    };
    let runs = runs.iter().map(run).collect();
    let holders = shuffles.iter().map(|shuffle| shuffle.holders.clone()).collect();
    SavedRuns { queries, holders, runs }
}

/// What was kept, of pairs that are gathered so.
///
/// # Errors
/// When it makes no sense.
pub(in super::super) fn restore(
    saved: SavedRuns,
    shuffle: &Arc<Shuffle>,
) -> Result<Vec<GatheredRun>> {
    let SavedRuns { queries, holders, runs } = saved;
    let partitions = shuffle.holders.len();
    if holders.iter().any(|holders| holders.len() != partitions) || runs.len() > limits::RUNS {
        return Err(wrong("has pairs in other partitions"));
    }
    let shuffle = |holders| Arc::new(Shuffle { holders, ..Shuffle::clone(shuffle) });
    let shuffles: Vec<Arc<Shuffle>> = holders.into_iter().map(shuffle).collect();
    let run = |SavedRun { id, made_by, query, holders, partitions: bits }: SavedRun| {
        let query = usize::try_from(query).ok().and_then(|at| queries.get(at)).copied();
        let shuffle = usize::try_from(holders).ok().and_then(|at| shuffles.get(at)).cloned();
        let of: Vec<u32> = bits.partitions().collect();
        let fits =
            of.last().is_none_or(|last| usize::try_from(*last).is_ok_and(|at| at < partitions));
        match (query, shuffle) {
            (Some(query), Some(shuffle)) if fits => {
                Ok(GatheredRun { id, query: Some(query), made_by, shuffle, partitions: of })
            }
            _ => Err(wrong("has a run of pairs that lies nowhere")),
        }
    };
    runs.into_iter().map(run).collect()
}

/// Whether these may be the holders of all partitions.
///
/// # Errors
/// When there are none, or too many.
pub(in super::super) fn check(holders: &[Holders]) -> Result<()> {
    let most = usize::try_from(limits::PARTITIONS).unwrap_or(usize::MAX);
    if (1..=most).contains(&holders.len()) { Ok(()) } else { Err(wrong("has no partitions")) }
}
