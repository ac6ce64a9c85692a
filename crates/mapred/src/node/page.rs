//! Gathering results into pages, and sending each page as one frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mapring_kv::Cursor;
use mapring_script::{CallContext, Combined, Effects, JsonText, Row, Span, push_pair};
use mapring_shuffle::Pairs;
use mapring_types::Error;
use tokio::time::Instant;

use super::handler::ShardCalls;
use super::lane::Lane;
use super::outcome::{Ending, MadePairs, Outcome, PairsError, UnitEnd};
use super::pairs::{PairsBuffer, StoredRun};
use super::work::Calls;
use crate::limits;
use crate::metered::count;
use crate::results::held_bytes;
use crate::unit::{self, Broken, Cost, Page, Progress, Run, RunId, Tally, Work};

/// What an input that is left out takes in a page, about.
fn skipped_bytes(broken: &Broken) -> usize {
    let input = broken.input.as_ref().map_or(0, |(id, keydata)| {
        let keydata = keydata.as_ref().map_or(0, |text| text.0.len());
        id.bucket.name.len() + id.key.len() + keydata
    });
    broken.error.message.len() + broken.error.stack.as_ref().map_or(0, String::len) + input + 64
}

/// Gathers the results of one unit.
pub(super) struct Pager<'l> {
    lane: &'l Lane,
    unit: u32,
    attempt: u32,
    /// The number of the page among those of its unit.
    page: u32,
    /// What the order of the unit's pairs begins with.
    order: Vec<u8>,
    context: Arc<CallContext>,
    results: Vec<Row>,
    /// How many results each input gave, where that is asked for.
    gave: Vec<u32>,
    /// Of groups, each key with the number of its results.
    groups: Vec<(Bytes, u32)>,
    /// What the pairs of the inputs, or of the group, that are added next are ordered by; empty when they
    /// come in their order.
    orders: Vec<Box<[u8]>>,
    /// What the pairs of the last input were ordered by.
    last_order: Option<Box<[u8]>>,
    /// Where the calls stand.
    shard: ShardCalls,
    /// The pairs, when the results are grouped.
    pairs: Option<PairsBuffer>,
    /// What is held of the node's memory for pairs.
    held: HeldPairs<'l>,
    effects: Effects,
    /// A call is under way whose effects belong to all of its inputs: no page ends in it.
    in_call: bool,
    /// Whether some of these are what the pre-reduce has made of them.
    combined: bool,
    /// How many results there were, and their bytes, whatever became of them here.
    made: (u64, u64),
    /// Bytes that are held, with those that lists of results take.
    bytes: usize,
    inputs: u64,
    /// The most inputs of the next call, while some fail.
    careful: usize,
    skipped: Vec<Broken>,
    cost: Cost,
    /// Without calls, which are all inputs but those that are not there.
    tally: Tally,
    absent: u64,
    reached: Option<Progress>,
    began: Instant,
}

impl<'l> Pager<'l> {
    /// Of a unit in an attempt, from a page on.
    pub(super) fn new(
        lane: &'l Lane,
        (unit, attempt): (u32, u32),
        page: u32,
        order: Vec<u8>,
    ) -> Self {
        Self {
            lane,
            unit,
            attempt,
            page,
            order,
            context: lane.context(unit, attempt, page),
            results: Vec::new(),
            gave: Vec::new(),
            groups: Vec::new(),
            orders: Vec::new(),
            last_order: None,
            shard: ShardCalls::default(),
            pairs: None,
            held: HeldPairs::new(&lane.node.pairs_held),
            effects: Effects::default(),
            in_call: false,
            combined: false,
            made: (0, 0),
            bytes: 0,
            inputs: 0,
            careful: usize::MAX,
            skipped: Vec::new(),
            cost: Cost::default(),
            tally: Tally::default(),
            absent: 0,
            reached: None,
            began: Instant::now(),
        }
    }

    /// Goes on with the state that a function has left with the page before this one.
    pub(super) fn resume(&mut self, state: Option<JsonText>) {
        self.shard = ShardCalls::new(state);
    }

    /// Where costs of the page are noted.
    pub(super) fn cost(&mut self) -> &mut Cost {
        &mut self.cost
    }

    /// Notes that so many objects that are named as inputs are not there, and give none.
    pub(super) fn missing(&mut self, objects: u64) {
        self.tally.missing += objects;
    }

    /// Notes that so many of the inputs that are added next are objects that are not there: the function
    /// is not called for them.
    pub(super) fn absent(&mut self, inputs: u64) {
        self.missing(inputs);
        self.uncalled(inputs);
    }

    /// Notes that a combiner was called so often.
    pub(super) fn combined(&mut self, calls: u64) {
        self.tally.combined += calls;
    }

    /// What the calls of the page have in common.
    pub(super) fn calls(&mut self) -> Calls<'_> {
        Calls {
            cost: &mut self.cost,
            careful: &mut self.careful,
            context: &self.context,
            shard: &mut self.shard,
        }
    }

    /// Takes what a call asked for beside its results, which are added next. All of them are one page's
    /// then.
    pub(super) fn begin_call(&mut self, effects: Effects) {
        self.in_call = !effects.is_empty() || self.lane.handler.is();
        self.bytes += effects.bytes();
        self.effects.merge(effects);
    }

    /// The results of a call have all been added.
    pub(super) async fn end_call(&mut self) -> Result<(), UnitEnd> {
        self.in_call = false;
        if self.is_full() || self.is_late() { self.send(Span::Slice).await } else { Ok(()) }
    }

    /// Says what the pairs of the inputs that are added next are ordered by, each input by its own.
    pub(super) fn order(&mut self, orders: Vec<Box<[u8]>>) {
        if self.lane.handler.may_be() {
            self.last_order = orders.last().cloned();
        }
        self.orders = orders;
    }

    /// Adds what became of one input, or of some together; `reached` is where to go on after it. Ends the page when it is
    /// full.
    pub(super) async fn add(&mut self, outcome: Outcome, reached: Progress) -> Result<(), UnitEnd> {
        self.inputs += outcome.inputs() as u64;
        let orders = std::mem::take(&mut self.orders);
        let tells = self.lane.request.tells_inputs;
        match outcome {
            Outcome::Results(results) => {
                let gave = u32::try_from(results.len()).unwrap_or(u32::MAX);
                self.gave.extend(tells.then_some(gave));
                let bytes = results.iter().map(Row::bytes).sum::<usize>();
                self.bytes += results.iter().map(held_bytes).sum::<usize>();
                self.made.0 += results.len() as u64;
                self.made.1 += bytes as u64;
                if self.lane.grouping.is_some() {
                    self.group(&results, orders)?;
                }
                if self.lane.request.results || self.lane.request.prereduce.is_some() {
                    self.results.extend(results);
                }
            }
            Outcome::Pairs(MadePairs { pairs, made, made_bytes, combined, .. }) => {
                self.combined(combined);
                self.made.0 += made;
                self.made.1 += made_bytes;
                self.add_pairs(pairs, made, orders)?;
            }
            Outcome::Combined(Combined { made, made_bytes, values, .. }) => {
                self.bytes += values.iter().map(held_bytes).sum::<usize>();
                self.made.0 += made;
                self.made.1 += made_bytes;
                self.combined |= (values.len() as u64) < made;
                self.results.extend(values);
            }
            Outcome::Skipped(broken) => {
                self.bytes += skipped_bytes(&broken);
                self.gave.extend(tells.then_some(0));
                self.skipped.push(*broken);
            }
        }
        self.reached = Some(reached);
        if self.is_full() && !self.in_call { self.send(Span::Slice).await } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        let enough = self.lane.request.options.most_results.is_some_and(|most| self.made.0 >= most);
        let inputs = match self.pairs {
            Some(_) => self.held.is_full(self.lane.node.page_pairs_bytes),
            None if self.is_of_groups() => {
                self.inputs >= self.lane.node.page_inputs.saturating_mul(limits::PAGE_GROUPS)
            }
            None => self.inputs >= self.lane.node.page_inputs,
        };
        enough || inputs || self.bytes >= limits::PAGE_RESULT_BYTES
    }

    fn is_of_groups(&self) -> bool {
        matches!(self.lane.request.work, Work::Groups(_))
    }

    fn is_late(&self) -> bool {
        let most = match (&self.pairs, self.lane.terms) {
            (None, _) => limits::PAGE_TIME,
            (Some(_), None) => limits::PAIRS_TIME,
            (Some(_), Some(_)) => {
                let longer = (self.page / limits::LONGER_PAGES).saturating_add(1);
                limits::PAIRS_TIME.saturating_mul(longer).min(limits::LONGEST_PAIRS_TIME)
            }
        };
        self.began.elapsed() >= most
    }

    /// Makes pairs of results.
    fn group(&mut self, results: &[Row], orders: Vec<Box<[u8]>>) -> Result<(), UnitEnd> {
        let string_keys = self.lane.grouping.as_ref().is_some_and(|group| group.string_keys);
        let mut pairs = Pairs::new();
        for row in results {
            if let Err(error) = push_pair(&mut pairs, 0, row, string_keys) {
                let phase = self.lane.request.phase;
                return Err(UnitEnd::Broken(Box::new(Broken { phase, error, input: None })));
            }
        }
        self.add_pairs(pairs, results.len() as u64, orders)
    }

    fn add_pairs(
        &mut self,
        pairs: Pairs,
        made: u64,
        orders: Vec<Box<[u8]>>,
    ) -> Result<(), UnitEnd> {
        let Some(shuffle) = &self.lane.request.shuffle else {
            return Err(Error::internal("pairs that nobody groups").into());
        };
        let buffer = match &mut self.pairs {
            Some(buffer) => buffer,
            None => {
                let page = self.page.to_be_bytes();
                // Units whose pairs have places of their own need no other order.
                let order = if self.order.is_empty() {
                    Vec::new()
                } else {
                    [&self.order[..], &page].concat()
                };
                self.pairs.insert(PairsBuffer::new(shuffle, order)?)
            }
        };
        buffer.add(pairs, made, orders)?;
        self.held.set(buffer.bytes());
        Ok(())
    }

    /// Adds what a group gave; ends the page when it is full.
    pub(super) async fn add_group(&mut self, key: Bytes, results: Vec<Row>) -> Result<(), UnitEnd> {
        let reached = Progress::After(Cursor::new(key.clone()));
        if self.lane.request.results {
            self.bytes += key.len() + limits::GROUP_PLACE_BYTES;
            self.groups.push((key.clone(), u32::try_from(results.len()).unwrap_or(u32::MAX)));
        }
        self.order(vec![Box::from(&key[..])]);
        self.add(Outcome::Results(results), reached).await
    }

    /// What functions are told in the calls of the page.
    pub(super) fn context(&self) -> &Arc<CallContext> {
        &self.context
    }

    /// Notes that the function is not called for so many of the inputs that are added next.
    pub(super) fn uncalled(&mut self, inputs: u64) {
        self.absent += inputs;
    }

    /// Everything up to a place has been looked at.
    pub(super) fn reach(&mut self, reached: Progress) {
        self.reached = Some(reached);
    }

    /// Ends the call and the page.
    pub(super) async fn end_now(&mut self) -> Result<(), UnitEnd> {
        self.in_call = false;
        self.send(Span::Slice).await
    }

    /// Ends the page when it has taken long.
    pub(super) async fn end_if_late(&mut self) -> Result<(), UnitEnd> {
        if self.is_late() { self.send(Span::Slice).await } else { Ok(()) }
    }

    /// Ends the page when it holds much: its unit gives up its permit.
    pub(super) async fn end_if_large(&mut self) -> Result<(), UnitEnd> {
        if self.bytes >= limits::PAGE_KEPT_BYTES { self.send(Span::Slice).await } else { Ok(()) }
    }

    /// Sends what was made before the lane had taken as many inputs as it may; another goes on behind that.
    pub(super) async fn settle(&mut self, end: Result<(), UnitEnd>) -> Result<(), UnitEnd> {
        if matches!(end, Err(UnitEnd::Spent)) {
            self.end_now().await?;
        }
        end
    }

    /// Ends the unit.
    pub(super) async fn end(&mut self, progress: Progress) -> Result<(), UnitEnd> {
        self.reached = Some(progress);
        self.send(Span::Shard).await
    }

    /// Takes what the end of a slice or shard gives.
    async fn end_span(&mut self, ends: Span) -> Result<(), UnitEnd> {
        let (shard, cost) = (&mut self.shard, &mut self.cost);
        let ending = self.lane.end_span(shard, ends, &self.context, cost).await?;
        let Some(Ending { rows, pairs, effects }) = ending else { return Ok(()) };
        self.effects.merge(effects);
        // It is as if the last input had given it.
        let orders: Vec<_> = self.last_order.iter().cloned().collect();
        if let Some(MadePairs { pairs, made, made_bytes, combined, .. }) = pairs {
            self.made.0 += made;
            self.made.1 += made_bytes;
            self.combined(combined);
            return if made > 0 { self.add_pairs(pairs, made, orders) } else { Ok(()) };
        }
        self.made.0 += rows.len() as u64;
        self.made.1 += rows.iter().map(|row| row.bytes() as u64).sum::<u64>();
        if self.lane.grouping.is_some() && !rows.is_empty() {
            self.group(&rows, orders)?;
        }
        if let Some(gave) = self.gave.last_mut() {
            *gave = gave.saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        }
        if self.lane.request.results || self.lane.request.prereduce.is_some() {
            self.results.extend(rows);
        }
        Ok(())
    }

    async fn send(&mut self, ends: Span) -> Result<(), UnitEnd> {
        let Some(progress) = self.reached.take() else { return Ok(()) };
        self.end_span(ends).await?;
        let results = std::mem::take(&mut self.results);
        let skipped = std::mem::take(&mut self.skipped);
        let inputs = std::mem::take(&mut self.inputs);
        let (made, made_bytes) = std::mem::take(&mut self.made);
        assert!(skipped.len() as u64 <= inputs, "{} of {inputs} inputs failed", skipped.len());
        self.bytes = 0;
        let began = Instant::now();
        let combined = std::mem::take(&mut self.combined);
        let (results, reduced) = match &self.lane.prereduce {
            Some(prereduce) => {
                let kept = if self.lane.request.results { results.clone() } else { Vec::new() };
                let (query, workers) = (self.lane.request.query, self.lane.node.workers.as_ref());
                let context = &self.context;
                let reduced = prereduce.run(query, workers, context, results, combined).await?;
                self.effects.merge(reduced.effects);
                (kept, Some(reduced.results))
            }
            None => (results, None),
        };
        let run = self.store().await?;
        let absent = std::mem::take(&mut self.absent);
        assert!(absent <= inputs, "{absent} of {inputs} inputs are not there");
        let tally = Tally { calls: inputs - absent, ..std::mem::take(&mut self.tally) };
        let mut cost = std::mem::take(&mut self.cost);
        if reduced.is_some() {
            cost.prereduce_us += unit::micros(began.elapsed());
        }
        if !matches!(self.lane.request.work, Work::Keys { .. }) {
            count("mapring_mapred_inputs_total", inputs);
        }
        let (unit, attempt) = (self.unit, self.attempt);
        let page = Page {
            unit,
            attempt,
            progress,
            results,
            gave: std::mem::take(&mut self.gave),
            reduced,
            inputs,
            made,
            made_bytes,
            skipped,
            cost,
            tally,
            effects: std::mem::take(&mut self.effects),
            run,
            groups: std::mem::take(&mut self.groups),
            state: self.shard.state(),
        };
        let frame = unit::encode_page(self.lane.version, page)?;
        let began = Instant::now();
        let sent = self.lane.frames.send(frame).await;
        // Waiting for the coordinator to take a page is no work on the next one.
        self.page = self.page.saturating_add(1);
        self.context = self.lane.context(self.unit, self.attempt, self.page);
        self.began = Instant::now();
        self.cost.held_back_us = unit::micros(self.began - began);
        sent.map_err(|_| UnitEnd::Gone)
    }

    /// Stores the pairs of the page where they belong.
    async fn store(&mut self) -> Result<Option<Run>, UnitEnd> {
        let (Some(buffer), Some(shuffle)) = (self.pairs.take(), &self.lane.request.shuffle) else {
            return Ok(None);
        };
        let id = RunId { unit: self.unit, attempt: self.attempt, page: self.page };
        let (node, query) = (self.lane.node.as_ref(), self.lane.request.query);
        let stored = buffer.store(node, query, shuffle, &self.context, id).await;
        self.held.set(0);
        match stored {
            Ok(StoredRun { run, beside }) => {
                self.effects.merge(beside.effects);
                self.combined(beside.calls);
                Ok(run)
            }
            Err(PairsError::Node(error)) => Err(UnitEnd::Unable(error)),
            Err(PairsError::Holder(node, error)) => Err(UnitEnd::HolderLost(node, error)),
            Err(PairsError::Row(_, error) | PairsError::Combiner(error)) => {
                let broken = Broken { phase: shuffle.phase, error, input: None };
                Err(UnitEnd::Broken(Box::new(broken)))
            }
        }
    }
}

/// What a page holds of the node's memory for pairs that are not stored yet.
struct HeldPairs<'l> {
    all: &'l AtomicUsize,
    own: usize,
}

impl<'l> HeldPairs<'l> {
    fn new(all: &'l AtomicUsize) -> Self {
        Self { all, own: 0 }
    }

    fn set(&mut self, bytes: usize) {
        self.all.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_sub(self.own, Ordering::Relaxed);
        self.own = bytes;
    }

    /// Whether the page has what it may, or its share where all pages together have theirs.
    fn is_full(&self, most: usize) -> bool {
        let all = self.all.load(Ordering::Relaxed);
        self.own >= most || (all >= limits::PAIRS_HELD_BYTES && self.own >= most / 16)
    }
}

impl Drop for HeldPairs<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}
