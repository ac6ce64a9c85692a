//! In-doubt writes: their coordinator is gone or has been started anew, so that those who have them
//! in flight bring them to all replicas.

use std::sync::Arc;

use mapring_types::Result;

use crate::limits;
use crate::staleness::state::Staleness;
use crate::storage::inflight::Source;

/// The sources whose writes are in doubt: of nodes that are down or started anew, of this node
/// when no hint could be kept, and what is suspiciously old.
pub(crate) fn in_doubt(staleness: &Staleness) -> Vec<Source> {
    let view = staleness.node.view();
    let in_flight = staleness.node.vnodes.in_flight();
    let mut due = in_flight.sources_older_than(limits::IN_FLIGHT_AGE);
    let gone = |source: &Source| {
        source.node == staleness.node.me
            || !view.is_up(source.node)
            || staleness
                .statuses
                .incarnation_of(source.node)
                .is_some_and(|incarnation| incarnation != source.incarnation)
    };
    due.extend(in_flight.sources_older_than(limits::RECOVER_AFTER).into_iter().filter(gone));
    due.sort_unstable();
    due.dedup();
    due
}

/// Recovers the in-doubt writes of some sources that are logged by now: returns when hints of them
/// are durable.
///
/// # Errors
/// What kept it from recovering some of them: `Storage`, `Overloaded`, `Corrupt`, `NotFound` (a
/// bucket type that this node does not know yet). The rest is recovered all the same.
pub(crate) async fn recover(staleness: &Arc<Staleness>, sources: &[Source]) -> Result<()> {
    let in_flight = staleness.node.vnodes.in_flight();
    // Who finds nothing need not wait for others: what they recover is forgotten once it is
    // durable.
    let upto = in_flight.last_of(sources);
    if upto.is_empty() {
        return Ok(());
    }
    let _one_at_a_time = staleness.recovering.lock().await;
    let (mut after, mut outcome) = (None, Ok(()));
    loop {
        let writes = in_flight.some_upto(&upto, after, limits::RECOVER_WRITES);
        let Some((last, _)) = writes.last() else { return outcome };
        after = Some(*last);
        let (recovered, failure) = staleness.node.vnodes.recover(writes).await?;
        staleness.node.stats.count_recovered(recovered);
        staleness.wake.notify_one();
        outcome = failure.map_or(outcome, Err);
    }
}
