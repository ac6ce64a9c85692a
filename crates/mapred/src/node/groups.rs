//! The groups of a partition: merged from its segments, combined, and reduced page by page.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use mapring_net::{Call, Class};
use mapring_script::{
    CallContext, Combiner, FailureCause, Group, JsonText, PhaseFunction, Reduced, ScriptError,
    Values, native,
};
use mapring_shuffle::{Merge, MergeBounds, key};
use mapring_types::{Error, Release, Result, quote};
use mapring_workers::GroupStream;
use tokio::time::Instant;

use super::combine::{Beside, Combine, Part, parts};
use super::lane::Lane;
use super::outcome::{UnitEnd, worker_lost};
use super::page::Pager;
use super::pairs::{keep, name, off_reactor};
use crate::limits;
use crate::segments::{FetchSegment, StoreSegments};
use crate::unit::{self, Broken, GroupUnit, GroupWork, Progress, RunPlace, Work};
use crate::wire;

/// A group, or the beginning of one, on its way to its function.
struct Gathering {
    group: Group,
    bytes: usize,
}

/// How the groups of a partition are reduced.
struct Reducing<'l> {
    lane: &'l Lane,
    work: &'l GroupWork,
    function: Arc<PhaseFunction>,
    combiner: Option<Arc<Combiner>>,
    phase: usize,
    /// The group that goes on in the next batch.
    open: Option<Gathering>,
    /// The same, of one whose values are streamed.
    stream: Option<Streaming>,
}

/// A group whose function takes its values one after another.
struct Streaming {
    stream: Box<dyn GroupStream>,
    /// Whether it wants more.
    wants: bool,
}

impl Lane {
    pub(super) async fn run_groups(&self, unit: &GroupUnit) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        let Work::Groups(work) = &self.request.work else {
            return Err(Error::invalid("groups are reduced, and nothing else").into());
        };
        let fetch = |place| -> BoxFuture<'_, Result<()>> { Box::pin(self.fetch(unit, place)) };
        let fetches: Vec<_> = unit.runs.iter().map(fetch).collect();
        stream::iter(fetches).buffer_unordered(limits::FETCHES).try_collect::<()>().await?;
        let mut merge = self.open(unit).await?;
        // What is grouped again comes in the order of the keys.
        let mut pager = Pager::new(self, (unit.unit, unit.attempt), unit.page, Vec::new());
        let mut reducing = Reducing {
            lane: self,
            work,
            function: Arc::new(work.function.clone()),
            combiner: work
                .combine
                .clone()
                .filter(|own| !(own.lenient && work.stream))
                .map(Arc::new),
            phase: usize::try_from(self.request.phase).unwrap_or(usize::MAX),
            open: None,
            stream: None,
        };
        let mut permit = None;
        loop {
            if permit.is_none() {
                permit = Some(self.permits.acquire().await?);
            }
            let began = Instant::now();
            let next = off_reactor(&self.node, move || {
                let groups = merge.next_groups(limits::GROUP_VALUES, limits::GROUP_BYTES)?;
                let parts = groups.map(|groups| parts(&groups)).transpose()?;
                Ok((parts, merge))
            });
            let (next, rest) = next.await?;
            merge = rest;
            pager.cost().read_us += unit::micros(began.elapsed());
            let Some(parts) = next else { break };
            reducing.batch(parts, &mut pager).await?;
            // A group that is streamed has a worker for itself: nothing is waited for meanwhile that may
            // itself wait for one, neither that the coordinator takes a page nor a permit.
            if reducing.stream.is_none() {
                pager.end_call().await?;
                pager.end_if_large().await?;
                permit = None;
            }
        }
        if reducing.open.is_some() || reducing.stream.is_some() {
            return Err(Error::internal("a group has no end").into());
        }
        pager.end(Progress::Done).await
    }

    /// The segments of a partition, from the key on where it stands.
    async fn open(&self, unit: &GroupUnit) -> Result<Merge> {
        let (store, query) = (self.node.pairs.clone(), self.request.query);
        let names: Vec<_> = unit
            .runs
            .iter()
            .map(|place| {
                let of = place.query.unwrap_or(query);
                name(of, unit.stage, place.run, unit.unit)
            })
            .collect();
        let after = unit.after.clone();
        off_reactor(&self.node, move || {
            let sources = names.into_iter().map(|name| store.source(name));
            let counts = |source: &Result<_>| {
                source.is_ok() || !mapring_types::failpoint!(AbsentPairsAreNone)
            };
            let sources = sources.filter(counts).collect::<Result<Vec<_>>>()?;
            let bounds = MergeBounds { bytes: limits::GROUP_MERGE_BYTES, ..MergeBounds::default() };
            Merge::open(&store, query, sources, after.as_deref(), bounds)
        })
        .await
    }

    /// Gets a segment that is not here from a node that has it.
    async fn fetch(&self, unit: &GroupUnit, place: &RunPlace) -> Result<()> {
        let (stage, run, partition) = (unit.stage, place.run, unit.unit);
        let query = place.query.unwrap_or(self.request.query);
        let segment = name(query, stage, run, partition);
        let store = self.node.pairs.clone();
        // One that was found at the start is read through.
        if off_reactor(&self.node, move || Ok(store.source(segment).is_ok())).await? {
            return Ok(());
        }
        let view = self.node.cluster.view();
        let call = FetchSegment { query, stage, run, partition };
        let mut last = Error::unavailable("no node has a segment of the pairs");
        for node in place.nodes.iter().filter(|node| **node != view.me) {
            let Some(peer) = view.peer(*node) else { continue };
            let body = wire::encode(wire::version_at(Release::GROUPS), &call)?;
            let (method, patience) = (FetchSegment::method(), limits::STORE_PATIENCE);
            let class = Class::Foreground;
            let answer = self.node.transport.call(&peer, class, method, body, patience).await;
            match answer.and_then(|answer| wire::decode::<Option<Bytes>>(&answer)) {
                Ok(Some(bytes)) => {
                    let segments = vec![(partition, bytes)];
                    return keep(&self.node, StoreSegments { query, stage, run, segments }).await;
                }
                Ok(None) => {}
                Err(error) => last = error,
            }
        }
        if mapring_types::failpoint!(AbsentPairsAreNone) {
            return Ok(());
        }
        Err(last.context(format!("partition {partition} of the pairs is not whole")))
    }
}

impl<'l> Reducing<'l> {
    /// Takes a batch of groups and reduces those that are whole.
    async fn batch(&mut self, parts: Vec<Part>, pager: &mut Pager<'_>) -> Result<(), UnitEnd> {
        let (mut beside, context) = (Beside::default(), pager.context().clone());
        let mut groups = self.combined(parts, &context, &mut beside).await?;
        pager.begin_call(beside.effects);
        pager.combined(beside.calls);
        if self.stream.is_some() && !groups.is_empty() {
            let (group, last) = groups.remove(0);
            self.streamed(group, last, &context, pager).await?;
        }
        // One that is larger than a batch, if its function takes it so. It begins when all before it
        // are done: while it is under way it has a worker for itself.
        let large = self.work.stream && self.combiner.is_none();
        let large = groups.pop_if(|(_, last)| large && !*last);
        let mut whole = Vec::with_capacity(groups.len());
        for (group, last) in groups {
            let group = match self.open.take() {
                Some(open) => open.and(group),
                None => Gathering::new(group),
            };
            let most = self.lane.whole_group_bytes();
            if group.bytes > most {
                return Err(self.broken(too_large(&group.group, most), &group.group.key));
            }
            if last { whole.push(group.group) } else { self.open = Some(group) }
        }
        self.reduce(whole, &context, pager).await?;
        match large {
            Some((group, last)) => {
                pager.end_now().await?;
                self.streamed(group, last, &context, pager).await
            }
            None => Ok(()),
        }
    }

    /// Calls the function with groups that are whole.
    async fn reduce(
        &mut self,
        mut whole: Vec<Group>,
        context: &Arc<CallContext>,
        pager: &mut Pager<'_>,
    ) -> Result<(), UnitEnd> {
        if let Some(descending) = self.work.descending {
            for group in &mut whole {
                let plain = native::plain(std::mem::take(&mut group.values));
                group.values = plain.map_err(|error| self.end(error))?;
                sort(&mut group.values, descending)?;
            }
        }
        let values = if self.work.stream { Values::Stream } else { Values::List };
        while !whole.is_empty() {
            let given = whole.clone();
            let (query, workers) = (self.lane.request.query, &self.lane.node.workers);
            let began = Instant::now();
            let mapped = workers
                .reduce_groups(query, self.phase, &self.function, values, context, given)
                .await;
            pager.cost().work_us += unit::micros(began.elapsed());
            let mapped = mapped.map_err(|error| self.failed(error, &whole))?;
            let done = mapped.results.len();
            if !(1..=whole.len()).contains(&done) {
                let message = format!("{done} answers for {} groups", whole.len());
                return Err(Error::internal(message).into());
            }
            pager.begin_call(mapped.effects);
            for (group, results) in whole.drain(..done).zip(mapped.results) {
                pager.add_group(group.key, results).await?;
            }
        }
        Ok(())
    }

    /// Gives the values of a group that is larger than a batch to its function as they come.
    async fn streamed(
        &mut self,
        group: Group,
        last: bool,
        context: &Arc<CallContext>,
        pager: &mut Pager<'_>,
    ) -> Result<(), UnitEnd> {
        let (began, key) = (Instant::now(), group.key.clone());
        let done = self.stream(group, last, context).await;
        pager.cost().work_us += unit::micros(began.elapsed());
        let failed = |error| self.failed(error, &[Group { key: key.clone(), ..Group::default() }]);
        if let Some(Reduced { results, effects }) = done.map_err(failed)? {
            pager.begin_call(effects);
            pager.add_group(key, results).await?;
            pager.end_call().await?;
        }
        Ok(())
    }

    /// Goes on with the group that is streamed, or begins it; the results when it is over.
    async fn stream(
        &mut self,
        group: Group,
        last: bool,
        context: &Arc<CallContext>,
    ) -> Result<Option<Reduced>, ScriptError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let (query, workers) = (self.lane.request.query, &self.lane.node.workers);
                let (key, function) = (group.key.clone(), &self.function);
                let stream =
                    workers.reduce_stream(query, self.phase, function, context, key).await?;
                Streaming { stream, wants: true }
            }
        };
        if stream.wants {
            stream.wants = stream.stream.push(group.values).await?;
        }
        if last {
            return stream.stream.finish().await.map(Some);
        }
        self.stream = Some(stream);
        Ok(None)
    }

    /// The groups of a batch with what stands for their values, and whether each ends here.
    async fn combined(
        &mut self,
        mut parts: Vec<Part>,
        context: &Arc<CallContext>,
        beside: &mut Beside,
    ) -> Result<Vec<(Group, bool)>, UnitEnd> {
        let Some(combiner) = self.combiner.clone() else {
            return Ok(parts.into_iter().map(|part| (part.group, part.last)).collect());
        };
        if let (Some(open), Some(first)) = (self.open.take(), parts.first_mut()) {
            first.group.old = open.group.values;
        }
        if combiner.lenient {
            return self.shortened(&combiner, parts, context, beside).await;
        }
        let ends: Vec<(Bytes, bool)> =
            parts.iter().map(|part| (part.group.key.clone(), part.last)).collect();
        let groups: Vec<Group> = parts.into_iter().map(|part| part.group).collect();
        let combine = self.combine(&combiner, context);
        let combined = combine.groups(groups, beside).await;
        let combined = combined.map_err(|error| self.failed(error, &[]))?;
        let group = |((key, last), values)| (Group { key, values, old: Vec::new() }, last);
        Ok(ends.into_iter().zip(combined).map(group).collect())
    }

    /// As [`Self::combined`], by a combiner that the reduce is itself: it takes values as they are, and
    /// only a group that goes on need not grow.
    async fn shortened(
        &mut self,
        combiner: &Arc<Combiner>,
        parts: Vec<Part>,
        context: &Arc<CallContext>,
        beside: &mut Beside,
    ) -> Result<Vec<(Group, bool)>, UnitEnd> {
        let mut groups = Vec::with_capacity(parts.len());
        for Part { group: Group { key, values, old }, last, .. } in parts {
            let mut all = old;
            all.extend(values);
            if !last {
                let given = Group { key: key.clone(), values: all, old: Vec::new() };
                let combine = self.combine(combiner, context);
                let combined = combine.groups(vec![given], beside).await;
                all = combined.map_err(|error| self.end(error))?.pop().unwrap_or_default();
            }
            groups.push((Group { key, values: all, old: Vec::new() }, last));
        }
        Ok(groups)
    }

    fn combine<'c>(&self, combiner: &'c Arc<Combiner>, context: &'c Arc<CallContext>) -> Combine<'c>
    where
        'l: 'c,
    {
        let lane: &'l Lane = self.lane;
        let (query, phase) = (lane.request.query, self.phase);
        Combine { node: &lane.node, query, phase, combiner, context }
    }

    /// The end of a unit whose function failed, for one of these groups.
    fn failed(&self, error: ScriptError, groups: &[Group]) -> UnitEnd {
        if error.cause == FailureCause::Worker {
            return UnitEnd::Unable(worker_lost(&error));
        }
        let error = self.advised(error, groups);
        let at = error.input.and_then(|at| groups.get(usize::try_from(at).ok()?));
        match at.or(groups.first().filter(|_| groups.len() == 1)) {
            Some(group) => self.broken(error, &group.key),
            None => self.end(error),
        }
    }

    /// The failure of a function that got lists of values, with the way out where these were too much
    /// for its worker. Which of the groups it was the worker cannot tell any more.
    fn advised(&self, error: ScriptError, groups: &[Group]) -> ScriptError {
        let largest = groups.iter().max_by_key(|group| group.bytes());
        let of_lists = !self.work.stream && !native::is_job(&self.function);
        let memory = error.cause == FailureCause::Memory && of_lists;
        let Some(Group { key, values, .. }) = largest.filter(|_| memory) else { return error };
        let (key, values) = (key::decode(key).unwrap_or_default(), values.len());
        let message = format!(
            "{}: it got lists of values, of which that of the key {} has {values}; with \
             \"values\":\"stream\" they come one after another, and with a combiner they are fewer. The \
             \"limits\" of a job say how much memory it has, \"memory_mb\", and from what size on a list is \
             refused before that, \"group_mb\"",
            error.message,
            quote(&key)
        );
        ScriptError { message, ..error }
    }

    fn broken(&self, error: ScriptError, key: &[u8]) -> UnitEnd {
        self.end(error.of_key(key))
    }

    fn end(&self, error: ScriptError) -> UnitEnd {
        let phase = self.lane.request.phase;
        UnitEnd::broken(Broken { phase, error, input: None })
    }
}

impl Gathering {
    fn new(group: Group) -> Self {
        let bytes = group.bytes();
        Self { group, bytes }
    }

    /// With the part that follows.
    fn and(mut self, part: Group) -> Self {
        self.bytes += part.bytes();
        self.group.values.extend(part.values);
        self
    }
}

fn too_large(group: &Group, most: usize) -> ScriptError {
    let values = group.values.len();
    let said = match most < limits::WHOLE_GROUP_BYTES {
        true => " (the \"limits\" of the job say so: \"group_mb\")",
        false => "",
    };
    let message = format!(
        "a group has more than {values} values, and more than {most} bytes: a combiner makes it \
         smaller, and with \"values\":\"stream\" its values come one after another{said}"
    );
    ScriptError::new(FailureCause::GroupSize, message)
}

/// Sorts values by the order of keys.
fn sort(values: &mut Vec<JsonText>, descending: bool) -> Result<()> {
    let keyed = std::mem::take(values).into_iter().map(|value| {
        let mut order = Vec::new();
        key::encode(&value.0, &mut order).map(|()| (order, value))
    });
    let mut keyed: Vec<(Vec<u8>, JsonText)> = keyed.collect::<Result<_>>()?;
    match descending {
        false => keyed.sort_by(|one, other| one.0.cmp(&other.0)),
        true => keyed.sort_by(|one, other| other.0.cmp(&one.0)),
    }
    values.extend(keyed.into_iter().map(|(_, value)| value));
    Ok(())
}
