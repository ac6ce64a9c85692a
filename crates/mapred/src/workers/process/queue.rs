//! Who is served next: fair shares of the workers among queries.
//!
//! Each query is charged the time that its calls take. A worker that becomes free goes to the query
//! that has had least, so that a small query is not held up by the thousand calls of a huge one; to
//! the query that it worked for last, as long as that is not more than [`SLICE`] ahead, since going
//! on there costs no new context. Within a query later phases come first, then first come, first
//! served. A query that comes anew, or back, starts where the least served stands: nobody saves up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mapring_script::QueryTag;

/// How far a query may get ahead of others before its worker goes to them. A context for another
/// query costs some 0.6 ms, a call much less.
const SLICE: Duration = Duration::from_millis(10);

/// Calls that wait, by query.
pub(super) struct FairQueue<T> {
    queries: BTreeMap<QueryTag, Share<T>>,
    /// The queries that wait, least served first.
    order: BTreeSet<(Duration, QueryTag)>,
    /// What the least served has had: where others begin.
    clock: Duration,
    next: u64,
    length: usize,
}

struct Share<T> {
    served: Duration,
    waiting: BTreeMap<(Reverse<usize>, u64), T>,
}

/// A call's place in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    query: QueryTag,
    phase: Reverse<usize>,
    number: u64,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        let (queries, order) = (BTreeMap::new(), BTreeSet::new());
        Self { queries, order, clock: Duration::ZERO, next: 0, length: 0 }
    }
}

impl<T> FairQueue<T> {
    /// How many calls wait.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Queues a call of a query's phase.
    pub(super) fn push(&mut self, query: QueryTag, phase: usize, call: T) -> Place {
        let clock = self.clock;
        if !self.queries.contains_key(&query) {
            self.queries.retain(|_, share| !share.waiting.is_empty() || share.served > clock);
        }
        let place = Place { query, phase: Reverse(phase), number: self.next };
        let share = self.share(query);
        if share.waiting.is_empty() {
            share.served = share.served.max(clock);
            let served = share.served;
            self.order.insert((served, query));
        }
        self.share(query).waiting.insert((place.phase, place.number), call);
        self.next += 1;
        self.length += 1;
        place
    }

    /// Takes a call back.
    pub(super) fn remove(&mut self, place: Place) -> Option<T> {
        let share = self.queries.get_mut(&place.query)?;
        let call = share.waiting.remove(&(place.phase, place.number))?;
        self.taken(place.query);
        Some(call)
    }

    /// The call that is served next, by a worker that has worked for the given query.
    pub(super) fn pop(&mut self, last: Option<QueryTag>) -> Option<T> {
        let &(least, first) = self.order.first()?;
        self.clock = self.clock.max(least);
        let goes_on = |query: &QueryTag| {
            let share = self.queries.get(query);
            share.is_some_and(|share| !share.waiting.is_empty() && share.served < least + SLICE)
        };
        let query = last.filter(goes_on).unwrap_or(first);
        let (_, call) = self.queries.get_mut(&query)?.waiting.pop_first()?;
        self.taken(query);
        Some(call)
    }

    /// Charges a query for the time of a call.
    pub(super) fn charge(&mut self, query: QueryTag, time: Duration) {
        let share = self.share(query);
        let (before, waits) = (share.served, !share.waiting.is_empty());
        share.served += time;
        let after = share.served;
        if waits {
            self.order.remove(&(before, query));
            self.order.insert((after, query));
        }
    }

    /// Takes all calls.
    pub(super) fn drain(&mut self) -> Vec<T> {
        self.order.clear();
        self.length = 0;
        std::mem::take(&mut self.queries)
            .into_values()
            .flat_map(|share| share.waiting.into_values())
            .collect()
    }

    fn share(&mut self, query: QueryTag) -> &mut Share<T> {
        let new = Share { served: self.clock, waiting: BTreeMap::new() };
        self.queries.entry(query).or_insert(new)
    }

    /// One call of the query waits no longer.
    fn taken(&mut self, query: QueryTag) {
        self.length -= 1;
        let Some(share) = self.queries.get(&query) else { return };
        if share.waiting.is_empty() {
            self.order.remove(&(share.served, query));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Duration = Duration::from_millis(4);

    /// Serves calls as one worker does; gives the queries in the order in which they were served.
    fn serve(queue: &mut FairQueue<QueryTag>, calls: usize) -> Vec<QueryTag> {
        let mut served = Vec::new();
        for _ in 0..calls {
            let Some(query) = queue.pop(served.last().copied()) else { break };
            queue.charge(query, CALL);
            served.push(query);
        }
        served
    }

    #[test]
    fn a_worker_stays_with_a_query_for_a_slice() {
        let mut queue = FairQueue::default();
        for query in [1, 1, 1, 1, 1, 1, 2, 2, 2, 2] {
            queue.push(query, 0, query);
        }
        assert_eq!(serve(&mut queue, 20), [1, 1, 1, 2, 2, 2, 2, 1, 1, 1]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_small_query_does_not_wait_for_a_huge_one() {
        let mut queue = FairQueue::default();
        for _ in 0..1_000 {
            queue.push(1, 0, 1);
        }
        assert_eq!(serve(&mut queue, 100), [1; 100]);
        queue.push(2, 0, 2);
        let most = usize::try_from(SLICE.as_millis() / CALL.as_millis()).unwrap() + 2;
        assert!(serve(&mut queue, most).contains(&2), "after one slice of the huge one at most");
    }

    #[test]
    fn nobody_saves_up_and_nobody_loses_its_debt() {
        let mut queue = FairQueue::default();
        queue.push(1, 0, 1);
        serve(&mut queue, 1);
        queue.charge(1, Duration::from_secs(1));
        queue.push(2, 0, 2);
        queue.push(1, 0, 1);
        assert_eq!(serve(&mut queue, 1), [2], "what the first had while alone counts");
        for _ in 0..500 {
            queue.push(2, 0, 2);
            queue.push(3, 0, 3);
        }
        let served = serve(&mut queue, 400);
        let of = |query| served.iter().filter(|&&served| served == query).count();
        assert!(of(3).abs_diff(of(2)) <= 4, "{} and {}", of(2), of(3));
    }

    #[test]
    fn within_a_query_later_phases_come_first() {
        let mut queue = FairQueue::default();
        let places: Vec<Place> =
            [(0, "a"), (2, "b"), (1, "c"), (2, "d")].map(|(p, c)| queue.push(7, p, c)).to_vec();
        assert_eq!(queue.remove(places[3]), Some("d"));
        assert_eq!(queue.remove(places[3]), None);
        assert_eq!(queue.len(), 3);
        let order: Vec<&str> = std::iter::from_fn(|| queue.pop(None)).collect();
        assert_eq!(order, ["b", "c", "a"]);
        queue.push(7, 0, "e");
        assert_eq!(queue.drain(), ["e"]);
        assert_eq!(queue.pop(None), None);
    }
}
