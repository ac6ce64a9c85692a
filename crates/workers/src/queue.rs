//! Who is served next: fair shares of the workers among queries.
//!
//! Each query is charged the time that its calls take. A worker that becomes free goes to the query
//! that has had least, so that a small query is not held up by the thousand calls of a huge one; to
//! the query that it worked for last, as long as that is not more than [`limits::SLICE`] ahead, since going
//! on there costs no new context. Within a query later phases come first, then first come, first
//! served. A clock says what a query has had that always got its share, no more and no less; one that
//! comes anew, or back, starts there: nobody saves up, and new ones cannot go before a waiting one for
//! ever. A query with a smaller share than the others is charged more for the same time, and so has its turn
//! less often, but has it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mapring_script::QueryTag;

use crate::limits;

/// Calls that wait, by query.
pub(crate) struct FairQueue<T> {
    queries: BTreeMap<QueryTag, Share<T>>,
    /// The queries that wait, least served first, then the one that has waited longest.
    order: BTreeSet<Rank>,
    /// The shares of these together.
    shares: u64,
    /// Queries whose share is not [`limits::WHOLE_SHARE`].
    small: BTreeMap<QueryTag, u32>,
    clock: Duration,
    next: u64,
    length: usize,
}

/// What a query has had, since when it waits, and which it is.
type Rank = (Duration, u64, QueryTag);

struct Share<T> {
    served: Duration,
    /// Its share, as it was when it began to wait.
    share: u32,
    /// The number of the call with which it began to wait.
    since: u64,
    waiting: BTreeMap<(Reverse<usize>, u64), T>,
}

/// Where a call stands in the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueKey {
    query: QueryTag,
    phase: Reverse<usize>,
    number: u64,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            queries: BTreeMap::new(),
            order: BTreeSet::new(),
            shares: 0,
            small: BTreeMap::new(),
            clock: Duration::ZERO,
            next: 0,
            length: 0,
        }
    }
}

impl<T> FairQueue<T> {
    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The share that a query has from when it next begins to wait.
    pub(crate) fn set_share(&mut self, query: QueryTag, share: u32) {
        let share = share.max(1);
        if share == limits::WHOLE_SHARE {
            self.small.remove(&query);
        } else {
            self.small.insert(query, share);
        }
    }

    fn share_of(&self, query: QueryTag) -> u32 {
        self.small.get(&query).copied().unwrap_or(limits::WHOLE_SHARE)
    }

    /// Queues a call of a query's phase.
    pub(crate) fn push(&mut self, query: QueryTag, phase: usize, call: T) -> QueueKey {
        let (clock, number, own) = (self.clock, self.next, self.share_of(query));
        let key = QueueKey { query, phase: Reverse(phase), number };
        let share = self.share(query);
        let began = share.waiting.is_empty();
        if began {
            (share.served, share.since) = (share.served.max(clock), number);
            share.share = own;
        }
        share.waiting.insert((key.phase, key.number), call);
        let rank = (share.served, share.since, query);
        if began {
            self.order.insert(rank);
            self.shares += u64::from(own);
        }
        self.next += 1;
        self.length += 1;
        assert!(self.order.len() <= self.queries.len(), "a query waits twice");
        key
    }

    /// Takes a call back.
    pub(crate) fn remove(&mut self, key: QueueKey) -> Option<T> {
        let share = self.queries.get_mut(&key.query)?;
        let call = share.waiting.remove(&(key.phase, key.number))?;
        self.taken(key.query);
        Some(call)
    }

    /// The call that is served next, by a worker that has worked for the given query.
    pub(crate) fn pop(&mut self, last: Option<QueryTag>) -> Option<T> {
        let &(least, _, first) = self.order.first()?;
        self.clock = self.clock.max(least);
        let goes_on = |query: &QueryTag| {
            let share = self.queries.get(query);
            share.is_some_and(|share| {
                !share.waiting.is_empty() && share.served < least + limits::SLICE
            })
        };
        let query = last.filter(goes_on).unwrap_or(first);
        let (_, call) = self.queries.get_mut(&query)?.waiting.pop_first()?;
        self.taken(query);
        Some(call)
    }

    /// Charges a query for the time of a call.
    pub(crate) fn charge(&mut self, query: QueryTag, time: Duration) {
        let share = self.share(query);
        let (before, waits) = ((share.served, share.since, query), !share.waiting.is_empty());
        let own = u64::from(share.share);
        share.served += scaled(time, own);
        let after = share.served;
        if waits {
            self.order.remove(&before);
            self.order.insert((after, before.1, query));
        }
        // Those that wait share the time with it.
        let others = self.shares - if waits { own } else { 0 };
        self.clock += scaled(time, others + own);
        self.forget(query, after);
    }

    /// Forgets a query that stands where a new one would.
    fn forget(&mut self, query: QueryTag, served: Duration) {
        let idle = |share: &Share<T>| share.waiting.is_empty();
        if served <= self.clock && self.queries.get(&query).is_some_and(idle) {
            self.queries.remove(&query);
        }
        if self.queries.len() > self.order.len() + limits::REMEMBERED_QUERIES {
            let clock = self.clock;
            self.queries.retain(|_, share| !share.waiting.is_empty() || share.served > clock);
            if self.queries.len() > self.order.len() + limits::REMEMBERED_QUERIES {
                self.queries.retain(|_, share| !share.waiting.is_empty());
            }
        }
    }

    /// Takes all calls.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.order.clear();
        (self.length, self.shares) = (0, 0);
        std::mem::take(&mut self.queries)
            .into_values()
            .flat_map(|share| share.waiting.into_values())
            .collect()
    }

    fn share(&mut self, query: QueryTag) -> &mut Share<T> {
        let share = self.share_of(query);
        let new = Share { served: self.clock, share, since: 0, waiting: BTreeMap::new() };
        self.queries.entry(query).or_insert(new)
    }

    /// One call of the query waits no longer.
    fn taken(&mut self, query: QueryTag) {
        assert!(self.length > 0, "a call leaves an empty queue");
        self.length -= 1;
        let Some(share) = self.queries.get(&query) else { return };
        if share.waiting.is_empty() {
            self.order.remove(&(share.served, share.since, query));
            self.shares -= u64::from(share.share);
        }
    }
}

/// What a time counts for shares that together are so large.
fn scaled(time: Duration, shares: u64) -> Duration {
    let shares = u32::try_from(shares.max(1)).unwrap_or(u32::MAX);
    time.saturating_mul(limits::WHOLE_SHARE) / shares
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
        let most = usize::try_from(limits::SLICE.as_millis() / CALL.as_millis()).unwrap() + 2;
        assert!(serve(&mut queue, most).contains(&2), "after one slice of the huge one at most");
    }

    #[test]
    fn nobody_saves_up_and_nobody_loses_its_debt() {
        let mut queue = FairQueue::default();
        queue.push(1, 0, 1);
        assert_eq!(serve(&mut queue, 1), [1]);
        queue.charge(1, Duration::from_secs(1));
        queue.push(1, 0, 1);
        queue.push(2, 0, 2);
        assert_eq!(
            serve(&mut queue, 1),
            [1],
            "what it had while nobody else wanted it costs nothing"
        );
        queue.charge(1, Duration::from_secs(1));
        queue.push(1, 0, 1);
        assert_eq!(serve(&mut queue, 2), [2, 1], "what it had while another waited does");
        for _ in 0..500 {
            queue.push(2, 0, 2);
            queue.push(3, 0, 3);
        }
        let served = serve(&mut queue, 400);
        let of = |query| served.iter().filter(|&&served| served == query).count();
        assert!(of(3).abs_diff(of(2)) <= 4, "{} and {}", of(2), of(3));
    }

    #[test]
    fn new_queries_do_not_go_before_a_waiting_one_for_ever() {
        let mut queue = FairQueue::default();
        for _ in 0..1_000 {
            queue.push(u64::MAX, 0, u64::MAX);
        }
        let (mut last, mut waits, mut new, mut waiting) = (None, 0, 0, 0);
        for _ in 0..1_000 {
            // Two others wait at any time, each of them new.
            while waiting < 2 {
                queue.push(new, 0, new);
                (new, waiting) = (new + 1, waiting + 1);
            }
            let query = queue.pop(last).unwrap();
            queue.charge(query, CALL);
            if query == u64::MAX {
                waits = 0;
            } else {
                (waits, waiting) = (waits + 1, waiting - 1);
            }
            assert!(waits < 20, "it has waited for {waits} calls of queries that came after it");
            last = Some(query);
        }
    }

    #[test]
    fn ended_queries_are_forgotten() {
        let mut queue = FairQueue::<()>::default();
        for query in 0..100_000 {
            queue.charge(query, CALL);
        }
        assert_eq!(queue.queries.len(), 0);
        // Also while others wait.
        queue.push(1, 0, ());
        queue.push(2, 0, ());
        for query in 0..100_000 {
            queue.charge(query, CALL);
        }
        assert!(queue.queries.len() <= limits::REMEMBERED_QUERIES + 2, "{}", queue.queries.len());
    }

    #[test]
    fn smaller_shares_have_their_turn_less_often_but_have_it() {
        let mut queue = FairQueue::default();
        for (query, share) in [(2, limits::NORMAL_SHARE), (3, limits::LOW_SHARE)] {
            queue.set_share(query, share);
        }
        for query in [1, 2, 3] {
            for _ in 0..3_000 {
                queue.push(query, 0, query);
            }
        }
        let served = serve(&mut queue, 2_100);
        let of = |query| served.iter().filter(|&&served| served == query).count();
        for (query, share) in [(1, 1_600), (2, 400), (3, 100)] {
            assert!(of(query).abs_diff(share) <= 5, "{} calls of {query}", of(query));
        }
        let gaps = served.split(|&query| query == 3).map(<[QueryTag]>::len).max().unwrap();
        assert!(gaps <= 30, "one waited for {gaps} others");
        // Alone it has everything, and what it had costs nothing when another comes.
        let mut queue = FairQueue::default();
        queue.set_share(3, limits::LOW_SHARE);
        for _ in 0..1_000 {
            queue.push(3, 0, 3);
        }
        assert_eq!(serve(&mut queue, 500), [3; 500]);
        for _ in 0..200 {
            queue.push(1, 0, 1);
        }
        let first = serve(&mut queue, 200).iter().filter(|&&query| query == 3).count();
        assert!((10..20).contains(&first), "{first}");
        queue.set_share(3, limits::WHOLE_SHARE);
        assert!(queue.small.is_empty());
    }

    #[test]
    fn within_a_query_later_phases_come_first() {
        let mut queue = FairQueue::default();
        let keys: Vec<QueueKey> =
            [(0, "a"), (2, "b"), (1, "c"), (2, "d")].map(|(p, c)| queue.push(7, p, c)).to_vec();
        assert_eq!(queue.remove(keys[3]), Some("d"));
        assert_eq!(queue.remove(keys[3]), None);
        assert_eq!(queue.len(), 3);
        let order: Vec<&str> = std::iter::from_fn(|| queue.pop(None)).collect();
        assert_eq!(order, ["b", "c", "a"]);
        queue.push(7, 0, "e");
        assert_eq!(queue.drain(), ["e"]);
        assert_eq!(queue.pop(None), None);
    }
}
