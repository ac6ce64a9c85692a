//! Batches of calls that give pairs, combine groups and reduce them.

use std::time::Instant;

use boa_engine::JsValue;
use mapring_shuffle::Pairs;

use super::JsRuntime;
use super::batch::{self, PairsInto, Target};
use super::grouped::GroupValues;
use super::query::{Callable, Role};
use super::stream::{self, More};
use super::waiting::{Waiting, WaitingGroup};
use crate::gather::Gather;
use crate::groups::unfit;
use crate::native::job::{Fold, plain};
use crate::{
    CombineError, CombinedGroups, Combiner, Group, Grouping, JsonText, MapInput, MappedPairs,
    PhaseFunction, QueryTag, Row, ScriptError, Values, limits, object,
};

/// A combiner that is ready to be called.
struct Ready<'a> {
    callable: Callable,
    combiner: &'a Combiner,
}

impl JsRuntime {
    /// Calls a map function on the inputs, where its results are grouped: they become pairs, combined
    /// where there is a combiner. It may end before the inputs do, after at least one.
    ///
    /// # Errors
    /// The first failure: of which function, and for a map with its input's number.
    pub fn map_pairs(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        grouping: &Grouping,
        inputs: &[MapInput],
    ) -> Result<MappedPairs, CombineError> {
        let progress = self.progress.clone();
        let (map, ready, into) = {
            let _compiling = progress.call(None);
            let context = self.context(query).map_err(CombineError::Map)?;
            let map = context.function(&function.function, Role::Map).map_err(CombineError::Map)?;
            let (ready, into) =
                self.combiner(query, grouping.combine.as_ref()).map_err(CombineError::Reduce)?;
            (map, ready, into)
        };
        let pairs = batch::Pairs { string_keys: grouping.string_keys, input: 0, into };
        let target = Target::Pairs(Box::new(pairs));
        self.batch(target, |this| {
            let begun = this.begin(query, &map).map_err(CombineError::Map)?;
            let mut done = 0;
            for (at, input) in inputs.iter().enumerate() {
                batch::set_input(at);
                let mapped = this.map_one_to_pairs(query, &map, function, (at, input));
                mapped.map_err(|error| CombineError::Map(error.at(at)))?;
                done += 1;
                if let Some(ready) = &ready {
                    this.combine_full(query, ready).map_err(CombineError::Reduce)?;
                }
                if batch::bytes() >= limits::BATCH_RESULT_BYTES {
                    break;
                }
            }
            this.end(query, &map, begun, done == inputs.len()).map_err(CombineError::Map)?;
            this.gathered(query, ready.as_ref(), done).map_err(CombineError::Reduce)
        })
    }

    /// Makes a combiner ready, and what pairs go into on their way to it.
    fn combiner<'a>(
        &mut self,
        query: QueryTag,
        combiner: Option<&'a Combiner>,
    ) -> Result<(Option<Ready<'a>>, PairsInto), ScriptError> {
        let Some(combiner) = combiner else {
            return Ok((None, PairsInto::Gather(Gather::new(None))));
        };
        if let Some(fold) = Fold::of(combiner)? {
            return Ok((None, PairsInto::Gather(Gather::new(Some(fold)))));
        }
        let callable = self.context(query)?.function(&combiner.function.function, Role::Combine)?;
        let batch = usize::try_from(combiner.batch).unwrap_or(usize::MAX);
        Ok((Some(Ready { callable, combiner }), PairsInto::Waiting(Waiting::new(batch))))
    }

    fn map_one_to_pairs(
        &mut self,
        query: QueryTag,
        map: &Callable,
        function: &PhaseFunction,
        (at, input): (usize, &MapInput),
    ) -> Result<(), ScriptError> {
        let progress = self.progress.clone();
        let _call = progress.call(Some(at));
        self.garbage.count(input.record.as_ref().map_or(0, mapring_types::Record::len));
        let began = Instant::now();
        // A missing object has no pairs.
        if let Some(object) = object::object(input)? {
            self.context(query)?.map_to_pairs(map, input, &object, function)?;
        }
        self.garbage.look(began);
        Ok(())
    }

    /// Combines the values of keys that have enough for a call.
    fn combine_full(&mut self, query: QueryTag, ready: &Ready<'_>) -> Result<(), ScriptError> {
        let full = batch::with_waiting(Waiting::take_full).unwrap_or_default();
        for at in full {
            let taken = batch::with_waiting(|waiting| {
                let group = waiting.groups.get_mut(at)?;
                let (fresh, old) =
                    (std::mem::take(&mut group.fresh), std::mem::take(&mut group.old));
                Some((group.key.clone(), fresh, old))
            });
            let Some((key, fresh, old)) = taken.flatten() else { continue };
            let before = fresh.len() as u64;
            let combined = self.combine_one(query, ready, &key, fresh, old);
            let (values, weighs) = combined.map_err(|error| error.of_key(&key))?;
            batch::with_waiting(|waiting| {
                // A value weighs so much at the least.
                waiting.shrank(before.saturating_mul(crate::reduce::weight(0)), weighs);
                if let Some(group) = waiting.groups.get_mut(at) {
                    group.old = values;
                }
            });
        }
        Ok(())
    }

    /// Calls a combiner, which has nothing to emit into.
    fn combine_one(
        &mut self,
        query: QueryTag,
        ready: &Ready<'_>,
        key: &[u8],
        fresh: Vec<JsValue>,
        old: Vec<JsValue>,
    ) -> Result<(Vec<JsValue>, u64), ScriptError> {
        let progress = self.progress.clone();
        let _call = progress.call(None);
        let target = batch::redirect(Target::Nothing);
        let began = Instant::now();
        let combined = self.context(query).and_then(|context| {
            context.combine_values(&ready.callable, ready.combiner, key, fresh, old)
        });
        batch::redirect(target);
        self.garbage.look(began);
        combined
    }

    /// The pairs of so many inputs.
    fn gathered(
        &mut self,
        query: QueryTag,
        ready: Option<&Ready<'_>>,
        inputs: usize,
    ) -> Result<MappedPairs, ScriptError> {
        let Target::Pairs(pairs) = batch::redirect(Target::Nothing) else {
            return Ok(MappedPairs::default());
        };
        let waiting = match pairs.into {
            PairsInto::Gather(gather) => return gather.finish(inputs),
            PairsInto::Waiting(waiting) => waiting,
        };
        let Waiting { groups, made, made_bytes, .. } = waiting;
        let mut pairs = Pairs::new();
        for WaitingGroup { key, input, fresh, old } in groups {
            let values = match (ready, fresh.is_empty()) {
                (Some(ready), false) => {
                    let combined = self.combine_one(query, ready, &key, fresh, old);
                    combined.map_err(|error| error.of_key(&key))?.0
                }
                _ => old,
            };
            for value in self.context(query)?.write_values(&values)? {
                pairs.push(input, &key, &value.0).map_err(unfit)?;
            }
        }
        let inputs = u32::try_from(inputs).unwrap_or(u32::MAX);
        let combined = batch::combined();
        Ok(MappedPairs { inputs, pairs, made, made_bytes, combined, ..MappedPairs::default() })
    }

    /// Combines the values of each group. It may end before the groups do, after at least one.
    ///
    /// # Errors
    /// The first failure, with its group's number.
    pub fn combine_groups(
        &mut self,
        query: QueryTag,
        combiner: &Combiner,
        groups: Vec<Group>,
    ) -> Result<CombinedGroups, ScriptError> {
        let progress = self.progress.clone();
        let callable = {
            let _compiling = progress.call(None);
            self.context(query)?.function(&combiner.function.function, Role::Combine)?
        };
        let ready = Ready { callable, combiner };
        self.batch(Target::Nothing, |this| {
            let mut out = CombinedGroups::default();
            let mut bytes = 0;
            for (at, group) in groups.into_iter().enumerate() {
                this.garbage.count(group.bytes());
                let values = this.combine_group(query, &ready, group);
                let values = values.map_err(|error| error.at(at))?;
                bytes += values.iter().map(|value| value.0.len()).sum::<usize>();
                out.values.push(values);
                if bytes + batch::bytes() >= limits::BATCH_RESULT_BYTES {
                    break;
                }
            }
            out.combined = batch::combined();
            Ok(out)
        })
    }

    fn combine_group(
        &mut self,
        query: QueryTag,
        ready: &Ready<'_>,
        group: Group,
    ) -> Result<Vec<JsonText>, ScriptError> {
        let Group { key, values, old } = group;
        let context = self.context(query)?;
        let (fresh, old) = (plain(values)?, plain(old)?);
        let (fresh, old) = (context.read_values(&fresh)?, context.read_values(&old)?);
        let (values, _) = self.combine_one(query, ready, &key, fresh, old)?;
        self.context(query)?.write_values(&values)
    }

    /// Calls a grouped reduce function with each group. It may end before the groups do, after at least
    /// one.
    ///
    /// # Errors
    /// The first failure, with its group's number.
    pub fn reduce_groups(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        values: Values,
        groups: Vec<Group>,
    ) -> Result<Vec<Vec<Row>>, ScriptError> {
        let progress = self.progress.clone();
        let callable = {
            let _compiling = progress.call(None);
            self.context(query)?.function(&function.function, Role::Reduce)?
        };
        self.batch(Target::Rows(Vec::new()), |this| {
            let begun = this.begin(query, &callable)?;
            let (mut out, mut bytes, given) = (Vec::new(), 0, groups.len());
            for (at, group) in groups.into_iter().enumerate() {
                let _call = progress.call(Some(at));
                this.garbage.count(group.bytes());
                let began = Instant::now();
                let results = this.reduce_one(query, &callable, function, (values, group));
                stream::close();
                let results = results.map_err(|error| error.at(at))?;
                this.garbage.look(began);
                bytes += results.iter().map(Row::bytes).sum::<usize>();
                out.push(results);
                if bytes + batch::bytes() >= limits::BATCH_RESULT_BYTES {
                    break;
                }
            }
            this.end(query, &callable, begun, out.len() == given)?;
            Ok(out)
        })
    }

    fn reduce_one(
        &mut self,
        query: QueryTag,
        callable: &Callable,
        function: &PhaseFunction,
        (values, group): (Values, Group),
    ) -> Result<Vec<Row>, ScriptError> {
        let Group { key, values: fresh, mut old } = group;
        old.extend(fresh);
        let texts = plain(old)?;
        let context = self.context(query)?;
        let values = match values {
            Values::List => GroupValues::Read(context.read_values(&texts)?),
            Values::Stream => {
                stream::open(texts, None);
                GroupValues::Streamed
            }
        };
        context.reduce_group(callable, function, &key, values)
    }

    /// Calls a grouped reduce function with one group, whose values `more` gives when they are wanted.
    ///
    /// # Errors
    /// When the function fails.
    pub(crate) fn reduce_stream(
        &mut self,
        query: QueryTag,
        function: &PhaseFunction,
        key: &[u8],
        more: More,
    ) -> Result<Vec<Row>, ScriptError> {
        let progress = self.progress.clone();
        let _call = progress.call(None);
        let callable = self.context(query)?.function(&function.function, Role::Reduce)?;
        let results = self.batch(Target::Rows(Vec::new()), |this| {
            stream::open(Vec::new(), Some(more));
            let context = this.context(query)?;
            context.reduce_group(&callable, function, key, GroupValues::Streamed)
        });
        stream::close();
        results
    }
}
