//! Partitions of keys that a query's own function chooses, asked for each key of a page once.

use std::sync::Arc;

use mapring_kv::executor;
use mapring_script::{CallContext, FailureCause, PhaseFunction, QueryTag, Row, ScriptError};
use mapring_shuffle::{Sorted, key};
use mapring_types::{Error, Result};

use super::outcome::{PairsError, worker_lost};
use super::resources::Node;
use crate::limits;
use crate::parts::{Caller, strange};
use crate::unit::Shuffle;

/// See the module.
pub(super) struct Spread<'s> {
    pub(super) node: &'s Node,
    pub(super) query: QueryTag,
    pub(super) shuffle: &'s Shuffle,
    pub(super) function: PhaseFunction,
    pub(super) context: &'s Arc<CallContext>,
}

const WHAT: &str = "the choice of a partition";

impl Spread<'_> {
    /// The pairs in the partitions that the function chooses.
    pub(super) async fn run(self, mut sorted: Sorted) -> Result<Sorted, PairsError> {
        let function = Arc::new(self.function.clone());
        let partitions = self.shuffle.holders.len();
        let phase = usize::try_from(self.shuffle.phase).unwrap_or(usize::MAX);
        let (workers, query, context) = (self.node.workers.as_ref(), self.query, self.context);
        let caller = Caller { workers, query, phase, context };
        let (mut chosen, mut at) = (Vec::new(), 0);
        while at < sorted.pairs() {
            let looking = move || {
                let (keys, next) = sorted.keys_from(at, limits::SPREAD_KEYS, limits::CALL_BYTES);
                let (count, asked) = (keys.len(), question(&keys, partitions)?);
                Ok((asked, count, next, sorted))
            };
            let (asked, count, next, rest) =
                executor::run(self.node.executor.as_ref(), looking).await?;
            (sorted, at) = (rest, next);
            let given = caller.ask(&function, WHAT, asked).await.map_err(failed)?;
            if given.len() != count {
                return Err(PairsError::Combiner(strange(WHAT)));
            }
            for row in given {
                let number = Row::into_text(row).parse::<u32>().ok();
                let number = number.filter(|number| (*number as usize) < partitions);
                chosen.push(number.ok_or_else(|| PairsError::Combiner(strange(WHAT)))?);
            }
        }
        let spreading = move || sorted.spread(&chosen);
        Ok(executor::run(self.node.executor.as_ref(), spreading).await?)
    }
}

/// What the function is asked.
fn question(keys: &[&[u8]], partitions: usize) -> Result<String> {
    let mut asked = format!("{{\"partitions\":{partitions},\"keys\":[");
    for (at, canonical) in keys.iter().enumerate() {
        if at > 0 {
            asked.push(',');
        }
        let key = key::decode(canonical).map_err(|error| Error::corrupt(error.to_string()))?;
        asked.push_str(&key);
    }
    asked.push_str("]}");
    Ok(asked)
}

fn failed(error: ScriptError) -> PairsError {
    match error.cause {
        FailureCause::Worker => PairsError::Node(worker_lost(&error)),
        FailureCause::Retry => PairsError::Node(Error::unavailable(error.message)),
        _ => PairsError::Combiner(error),
    }
}
