//! What a phase does with a handful of objects.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use mapring_script::{
    CallContext, CombineError, Combined, FailureCause, Grouping, MapInput, Mapped, MappedPairs,
    PhaseFunction, Row, ScriptError,
};
use mapring_types::{Error, Link, Record, Result};
use tokio::time::Instant;

use super::handler::ShardCalls;
use super::lane::Lane;
use super::outcome::{Called, MadePairs, Outcome, UnitEnd, worker_lost};
use crate::grammar::{KeyInput, LinkSpec};
use crate::unit::{self, Broken, Cost, Units, Work};
use crate::{keys, limits};

/// What the calls of a page have in common.
pub(super) struct Calls<'p> {
    pub(super) cost: &'p mut Cost,
    /// The most inputs of the next call, while some fail.
    pub(super) careful: &'p mut usize,
    pub(super) context: &'p Arc<CallContext>,
    /// Where they stand in their unit.
    pub(super) shard: &'p mut ShardCalls,
}

impl Lane {
    /// Works on the first of `items`, as many as a call takes, at least one; gives what became of
    /// them in order.
    ///
    /// Where the query leaves out inputs that fail, the failing one of a call is looked for: those
    /// before it are given to a call of their own, and it is then the first of the next.
    pub(super) async fn work(
        &self,
        items: &mut VecDeque<MapInput>,
        Calls { cost, careful, context, shard }: Calls<'_>,
    ) -> Result<Called, UnitEnd> {
        let mut most = self.size.next().min(*careful);
        loop {
            let granted = self.budget.take(most.min(items.len()))?;
            let call = take(items, granted);
            self.budget.give_back(granted - call.len());
            let broken = match self.call(&call, context, shard, cost).await {
                // Only a function of inputs can fail for one of them: not the reduce that follows.
                Err(UnitEnd::Broken(broken))
                    if self.request.options.skip
                        && broken.phase == self.request.phase
                        && !matches!(
                            broken.error.cause,
                            FailureCause::Failed | FailureCause::Retry
                        ) =>
                {
                    broken
                }
                Err(other) => {
                    self.budget.give_back(call.len());
                    return Err(other);
                }
                Ok(called) => {
                    // Where results became large the call ended before its inputs did.
                    let done = called.outcomes.iter().map(Outcome::inputs).sum();
                    self.budget.give_back(call.len().saturating_sub(done));
                    give_back(items, call, done);
                    *careful = careful.saturating_mul(2);
                    return Ok(called);
                }
            };
            let (inputs, at) = (call.len(), broken.error.input);
            // Where one fails others may: a failing call costs what all of its inputs cost.
            *careful = 1;
            if inputs <= 1 || at == Some(0) {
                self.budget.give_back(inputs.saturating_sub(1));
                give_back(items, call, 1);
                return Ok(vec![Outcome::Skipped(broken)].into());
            }
            self.budget.give_back(inputs);
            give_back(items, call, 0);
            let before = at.and_then(|at| usize::try_from(at).ok()).filter(|&at| at < inputs);
            most = before.unwrap_or(inputs / 2).max(1);
        }
    }

    async fn call(
        &self,
        call: &[MapInput],
        context: &Arc<CallContext>,
        shard: &mut ShardCalls,
        cost: &mut Cost,
    ) -> Result<Called, UnitEnd> {
        let began = Instant::now();
        if let Some(error) = self.unread(call)? {
            return Err(self.failed(error, call));
        }
        let staged = self.handler.may_be().then(|| shard.context(context, None));
        let context = staged.as_ref().unwrap_or(context);
        let called = match (&self.request.work, &self.function) {
            (Work::Map(_), Some(function)) => match &self.grouping {
                Some(grouping) if !self.request.results => {
                    self.map_pairs(function, grouping, call, context, cost).await
                }
                _ => self.map(function, call, context, cost).await,
            },
            (Work::Link(spec), _) => each(call, |input| links(input, spec)),
            (Work::Keys { .. }, _) if matches!(self.request.units, Units::Shard(_)) => {
                each(call, |input| Ok(input.keydata.clone().map(Row::Value).into_iter().collect()))
            }
            (Work::Keys { pairs }, _) => each(call, |input| key(input, *pairs)),
            (Work::Map(_), None) => Err(Error::internal("a map phase without a function").into()),
            (Work::Groups(_), _) => Err(Error::internal("groups are no objects").into()),
        };
        cost.work_us += unit::micros(began.elapsed());
        let mut called = called?;
        if staged.is_some() {
            let begun = self.handled(shard, called.handled.take())?;
            if let Some(Outcome::Results(first)) = called.outcomes.first_mut() {
                first.splice(..0, begun);
            }
        }
        Ok(called)
    }

    /// The failure of the first input of which the query's conditions cannot be tested.
    fn unread(&self, call: &[MapInput]) -> Result<Option<ScriptError>> {
        let Some(refining) = &self.refining else { return Ok(None) };
        for (at, input) in call.iter().enumerate() {
            let Some(record) = &input.record else { continue };
            if let Some(bytes) = refining.unread(&input.id, record)? {
                let message = format!(
                    "the object {} has a body of {bytes} bytes, which is more than conditions on what \
                     objects hold are tested on: leave it out by a condition on its key, type, index or \
                     metadata",
                    input.id
                );
                return Ok(Some(ScriptError::new(FailureCause::Memory, message).at(at)));
            }
        }
        Ok(None)
    }

    /// Maps where the results are grouped: they stay packed.
    async fn map_pairs(
        &self,
        function: &Arc<PhaseFunction>,
        grouping: &Arc<Grouping>,
        call: &[MapInput],
        context: &Arc<CallContext>,
        cost: &mut Cost,
    ) -> Result<Called, UnitEnd> {
        if let Some(error) = in_blocks(call)? {
            return Err(self.failed(error, call));
        }
        let phase = usize::try_from(self.request.phase).unwrap_or(usize::MAX);
        let (query, workers) = (self.request.query, &self.node.workers);
        let inputs = call.to_vec();
        let (mapped, took) =
            workers.map_pairs(query, phase, function, grouping, context, inputs).await;
        cost.function_us += unit::micros(took);
        let mapped = mapped.map_err(|error| match error {
            CombineError::Map(error) => self.failed(error, call),
            CombineError::Reduce(error) => self.combiner_failed(error),
        })?;
        let MappedPairs { inputs, pairs, made, made_bytes, combined, effects, handled, .. } =
            mapped;
        self.size.took(call.len(), took);
        let inputs = usize::try_from(inputs).unwrap_or(usize::MAX);
        self.check_inputs(inputs, call)?;
        let outcome = MadePairs { inputs, pairs, made, made_bytes, combined };
        Ok(Called { outcomes: vec![Outcome::Pairs(outcome)], effects, handled })
    }

    /// Of a call at least one input is worked on, and none that it does not have.
    fn check_inputs(&self, inputs: usize, call: &[MapInput]) -> Result<(), UnitEnd> {
        if !(1..=call.len()).contains(&inputs) {
            let message = format!("{inputs} answers for {} inputs", call.len());
            return Err(Error::internal(message).into());
        }
        if inputs < call.len() {
            self.size.fits(inputs);
        }
        Ok(())
    }

    async fn map(
        &self,
        function: &Arc<PhaseFunction>,
        call: &[MapInput],
        context: &Arc<CallContext>,
        cost: &mut Cost,
    ) -> Result<Called, UnitEnd> {
        if let Some(error) = in_blocks(call)? {
            return Err(self.failed(error, call));
        }
        if let Some(mut combined) = self.combine(function, call, context, cost).await? {
            let effects = std::mem::take(&mut combined.effects);
            let outcomes = vec![Outcome::Combined(combined)];
            return Ok(Called { outcomes, effects, handled: None });
        }
        let phase = usize::try_from(self.request.phase).unwrap_or(usize::MAX);
        let (query, workers) = (self.request.query, &self.node.workers);
        let (mapped, took) =
            workers.map_timed(query, phase, function, context, call.to_vec()).await;
        cost.function_us += unit::micros(took);
        if mapped.is_ok() {
            self.size.took(call.len(), took);
        }
        let Mapped { results, effects, handled } =
            mapped.map_err(|error| self.failed(error, call))?;
        self.check_inputs(results.len(), call)?;
        let outcomes = results.into_iter().map(Outcome::Results).collect();
        Ok(Called { outcomes, effects, handled })
    }

    /// Maps and pre-reduces in one call of a worker, where that can be and is worth it.
    async fn combine(
        &self,
        function: &Arc<PhaseFunction>,
        call: &[MapInput],
        context: &Arc<CallContext>,
        cost: &mut Cost,
    ) -> Result<Option<Combined>, UnitEnd> {
        // Results that are wanted themselves must come here, and so must a state.
        let here = !self.request.results && !self.handler.may_be();
        let prereduce = self.prereduce.as_ref().filter(|_| here);
        let Some(prereduce) = prereduce.filter(|reduce| reduce.combines()) else {
            return Ok(None);
        };
        let phase = usize::try_from(self.request.phase).unwrap_or(usize::MAX);
        let (query, workers) = (self.request.query, &self.node.workers);
        let reduce = &prereduce.function;
        let done = workers.combine(query, phase, function, reduce, context, call).await;
        let Some((combined, took)) = done else {
            prereduce.keep_apart();
            return Ok(None);
        };
        cost.function_us += unit::micros(took);
        let combined = match combined {
            Ok(combined) => combined,
            Err(CombineError::Map(error)) => return Err(self.failed(error, call)),
            Err(CombineError::Reduce(error)) => return Err(prereduce.failed(error)),
        };
        let inputs = usize::try_from(combined.inputs).unwrap_or(usize::MAX);
        if !(1..=call.len()).contains(&inputs) {
            let message = format!("{inputs} inputs were combined of {}", call.len());
            return Err(Error::internal(message).into());
        }
        self.size.took(call.len(), took);
        if inputs < call.len() {
            self.size.fits(inputs);
        }
        prereduce.gave(combined.made, combined.made_bytes, &combined.values);
        Ok(Some(combined))
    }

    /// The end of a unit whose pairs cannot be combined.
    pub(super) fn combiner_failed(&self, error: ScriptError) -> UnitEnd {
        if error.cause == FailureCause::Worker {
            return UnitEnd::Unable(worker_lost(&error));
        }
        let phase = self.request.shuffle.as_ref().map_or(self.request.phase, |to| to.phase);
        UnitEnd::broken(Broken { phase, error, input: None })
    }

    /// The end of a unit whose map function failed.
    pub(super) fn failed(&self, error: ScriptError, call: &[MapInput]) -> UnitEnd {
        // A worker that was lost may do better elsewhere; user code that fails will not, unless it
        // asks for another attempt.
        if error.cause == FailureCause::Worker {
            return UnitEnd::Unable(worker_lost(&error));
        }
        let at = error.input.and_then(|at| usize::try_from(at).ok());
        let at = at.or((call.len() == 1).then_some(0));
        let input = at.and_then(|at| call.get(at));
        let input = input.map(|input| (input.id.clone(), input.keydata.clone()));
        UnitEnd::broken(Broken { phase: self.request.phase, error, input })
    }
}

/// The failure of the first input that is too large to be given to a function: its bytes lie in blocks
/// beside its object, and are never gathered for one call.
fn in_blocks(call: &[MapInput]) -> Result<Option<ScriptError>> {
    for (at, input) in call.iter().enumerate() {
        let Some(record) = input.record.as_ref().filter(|record| record.may_have_blocks()) else {
            continue;
        };
        let object = Record::decode_without_bodies(&record.head)
            .map_err(|error| error.context(format!("the object {}", input.id)))?;
        let mut large = object.siblings.iter().filter_map(|value| value.metadata.blocks.as_ref());
        if let Some(blocks) = large.next() {
            let message = format!(
                "the object {} has a body of {} bytes, which is more than a function gets whole: \
                 read it with an input that takes objects apart, such as lines",
                input.id, blocks.bytes
            );
            return Ok(Some(ScriptError::new(FailureCause::Memory, message).at(at)));
        }
    }
    Ok(None)
}

fn each(
    call: &[MapInput],
    work: impl Fn(&MapInput) -> Result<Vec<Row>>,
) -> Result<Called, UnitEnd> {
    let outcomes = call.iter().map(|input| work(input).map(Outcome::Results));
    Ok(outcomes.collect::<Result<Vec<_>>>()?.into())
}

/// Takes the inputs of the next call, at most so many: at least one, unless there is none.
fn take(items: &mut VecDeque<MapInput>, most: usize) -> Vec<MapInput> {
    let mut call = Vec::new();
    let mut bytes = 0;
    while call.len() < most.max(1) {
        let Some(next) = items.front() else { break };
        bytes += next.record.as_ref().map_or(0, Record::len);
        if bytes > limits::CALL_BYTES && !call.is_empty() {
            break;
        }
        call.extend(items.pop_front());
    }
    call
}

/// Puts the inputs of a call but for the first so many back in front of the others.
fn give_back(items: &mut VecDeque<MapInput>, mut call: Vec<MapInput>, done: usize) {
    call.drain(done.min(call.len())..).rev().for_each(|input| items.push_front(input));
}

/// The links of all values of an object that match, sorted, each once; a missing object has none.
fn links(input: &MapInput, spec: &LinkSpec) -> Result<Vec<Row>> {
    let Some(record) = &input.record else { return Ok(Vec::new()) };
    let object = Record::decode_without_bodies(&record.head)
        .map_err(|error| error.context(format!("the object {}", input.id)))?;
    let matches = |link: &&Link| {
        spec.bucket.as_ref().is_none_or(|bucket| *bucket == link.bucket)
            && spec.tag.as_ref().is_none_or(|tag| *tag == link.tag)
    };
    let links: BTreeSet<&Link> = object
        .siblings
        .iter()
        .flat_map(|sibling| &sibling.metadata.links)
        .filter(matches)
        .collect();
    let written = |link: &Link| keys::link_to_row(&input.id, [&link.bucket, &link.key, &link.tag]);
    links.into_iter().map(written).collect()
}

/// The name of an object.
fn key(input: &MapInput, pairs: bool) -> Result<Vec<Row>> {
    let input = KeyInput { id: input.id.clone(), keydata: None };
    Ok(vec![if pairs { keys::to_term(&input)? } else { keys::to_row(&input)? }])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mapring_types::clock::{ActorId, Dot};
    use mapring_types::{BucketId, Metadata, Object, ObjectId, Sibling, VersionVector};

    use std::time::Duration;

    use super::super::call_size::CallSize;
    use super::super::living::living;
    use super::*;

    /// Links, and whether it is deleted.
    type Value<'a> = (&'a [(&'a str, &'a str, &'a str)], bool);

    fn input(siblings: &[Value<'_>]) -> MapInput {
        let mut object = Object::default();
        for (number, (links, deleted)) in siblings.iter().enumerate() {
            let link = |(bucket, key, tag): &(&str, &str, &str)| Link {
                bucket: Bytes::copy_from_slice(bucket.as_bytes()),
                key: Bytes::copy_from_slice(key.as_bytes()),
                tag: Bytes::copy_from_slice(tag.as_bytes()),
            };
            let metadata =
                Metadata { links: links.iter().map(link).collect(), ..Metadata::default() };
            let sibling = Sibling {
                dot: Dot { actor: ActorId(number as u64 + 1), counter: 1 },
                last_modified: 1,
                deleted: *deleted,
                metadata,
                body: Bytes::from_static(if *deleted { b"" } else { b"x" }),
            };
            object.update(&VersionVector::new(), sibling);
        }
        let id = ObjectId::new(BucketId::untyped("b"), "k");
        MapInput { id, keydata: None, record: Some(Record::encode(&object)) }
    }

    #[track_caller]
    fn check(
        input: &MapInput,
        bucket: Option<&'static str>,
        tag: Option<&'static str>,
        expect: &str,
    ) {
        let spec = LinkSpec { bucket: bucket.map(Bytes::from), tag: tag.map(Bytes::from) };
        let found: Vec<String> =
            links(input, &spec).unwrap().into_iter().map(Row::into_text).collect();
        assert_eq!(found.join(" "), expect);
    }

    #[test]
    fn links_of_all_siblings_sorted_and_once() {
        let holder = input(&[
            (&[("m", "n2", "t2"), ("m", "n1", "t1")], false),
            (&[("m", "n1", "t1"), ("a", "z", "t1")], false),
        ]);
        check(&holder, None, None, r#"["a","z","t1"] ["m","n1","t1"] ["m","n2","t2"]"#);
        check(&holder, Some("m"), None, r#"["m","n1","t1"] ["m","n2","t2"]"#);
        check(&holder, None, Some("t1"), r#"["a","z","t1"] ["m","n1","t1"]"#);
        check(&holder, Some("a"), Some("t2"), "");
        check(&MapInput { record: None, ..holder }, None, None, "");
    }

    #[test]
    fn deletions_are_no_values() {
        let living = |siblings: &[Value<'_>], whole: bool| {
            let input = input(siblings);
            let mut record = input.record.unwrap();
            if !whole {
                record.body = Bytes::new();
            }
            let before = record.len();
            let living = living(&input.id, record, whole).unwrap();
            living.map(|record| {
                (Record::sibling_count(&record.head).unwrap(), record.len() == before)
            })
        };
        for whole in [true, false] {
            assert_eq!(living(&[(&[], false)], whole), Some((1, true)));
            assert_eq!(living(&[(&[], true)], whole), None);
            assert_eq!(living(&[(&[], true), (&[], true)], whole), None);
            assert_eq!(living(&[(&[], false), (&[], false)], whole), Some((2, true)));
        }
        assert_eq!(living(&[(&[], true), (&[], false)], true), Some((1, false)));
        assert_eq!(living(&[(&[], false), (&[], true), (&[], false)], true), Some((2, false)));
        assert_eq!(living(&[(&[], true), (&[], false)], false), Some((2, true)));
        assert_eq!(key(&input(&[(&[], false)]), false).unwrap(), [Row::value(r#"["b","k"]"#)]);
    }

    #[test]
    fn calls_shrink_and_grow() {
        let size = CallSize::starting(limits::FIRST_CALL_INPUTS);
        let mut items: VecDeque<MapInput> = (0..400).map(|_| input(&[(&[], false)])).collect();
        assert_eq!(take(&mut items, size.next()).len(), limits::FIRST_CALL_INPUTS);
        for _ in 0..6 {
            size.took(size.next(), Duration::ZERO);
        }
        // A short call, as at the end of a partition, says little about long ones.
        size.took(1, Duration::ZERO);
        assert_eq!(take(&mut items, size.next()).len(), limits::CALL_INPUTS);
        for _ in 0..10 {
            size.took(size.next(), Duration::from_secs(1));
        }
        assert_eq!(take(&mut items, size.next()).len(), 1);
    }

    #[test]
    fn one_large_object_goes_alone() {
        let mut large = input(&[(&[], false)]);
        if let Some(record) = &mut large.record {
            record.body = Bytes::from(vec![0; 2 * limits::CALL_BYTES]);
        }
        let mut items: VecDeque<MapInput> = [large.clone(), large].into();
        let size = CallSize::starting(limits::FIRST_CALL_INPUTS);
        assert_eq!(take(&mut items, size.next()).len(), 1);
        assert_eq!(take(&mut items, size.next()).len(), 1);
        assert_eq!(take(&mut items, size.next()).len(), 0);
    }
}
