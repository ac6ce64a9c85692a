//! Combining the values of groups, by the function of the query.

use std::sync::Arc;

use bytes::Bytes;
use mapring_script::{CallContext, Combiner, Effects, Group, JsonText, QueryTag, ScriptError};
use mapring_shuffle::run::{RunGroups, RunSegment};
use mapring_shuffle::{Groups, RunWriter, Sorted};
use mapring_types::{Error, Result};

use super::outcome::PairsError;
use super::pairs::off_reactor;
use super::resources::Node;
use crate::limits;

/// What combining takes.
pub(super) struct Combine<'a> {
    pub(super) node: &'a Node,
    pub(super) query: QueryTag,
    /// The phase of the reduce.
    pub(super) phase: usize,
    pub(super) combiner: &'a Arc<Combiner>,
    pub(super) context: &'a Arc<CallContext>,
}

/// What combining gives beside values.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// What the combiner asked for.
    pub(crate) effects: Effects,
    /// How often it was called.
    pub(crate) calls: u64,
}

/// A group, or a part of one, as functions get it.
pub(super) struct Part {
    pub(super) group: Group,
    /// The order of its first value.
    pub(super) order: Vec<u8>,
    /// Whether the group ends with it.
    pub(super) last: bool,
}

/// The groups of a batch.
pub(super) fn parts(groups: &Groups) -> Result<Vec<Part>> {
    let part = |group: Result<mapring_shuffle::Group<'_>>| {
        let group = group?;
        let values = group.values.map(|value| value.map(|text| JsonText(text.to_owned())));
        let (key, values) = (Bytes::copy_from_slice(group.key), values.collect::<Result<_>>()?);
        let (order, last) = (group.order.to_vec(), group.last);
        Ok(Part { group: Group { key, values, old: Vec::new() }, order, last })
    };
    groups.iter().map(part).collect()
}

impl Combine<'_> {
    /// The segments of a run, combined.
    pub(super) async fn run(
        &self,
        mut sorted: Sorted,
        prefix: &[u8],
    ) -> Result<(Vec<RunSegment>, Beside), PairsError> {
        let (mut writer, mut beside) = (RunWriter::new(prefix), Beside::default());
        // A group that goes on in the next batch: the order of its first value, and what stands for
        // the values so far.
        let mut open: Option<(Vec<u8>, Vec<JsonText>)> = None;
        loop {
            let next = off_reactor(self.node, move || {
                let next = sorted.next_groups(limits::GROUP_VALUES, limits::GROUP_BYTES);
                let parts = next.map(|RunGroups { groups, partitions }| {
                    parts(&groups).map(|parts| (parts, partitions))
                });
                Ok((parts.transpose()?, sorted))
            });
            let (next, rest) = next.await?;
            sorted = rest;
            let Some((mut parts, partitions)) = next else { break };
            if let (Some((order, values)), Some(first)) = (open.take(), parts.first_mut()) {
                (first.order, first.group.old) = (order, values);
            }
            let mut orders = Vec::with_capacity(parts.len());
            let mut given = Vec::with_capacity(parts.len());
            let goes_on = parts.last().is_some_and(|part| !part.last);
            for Part { group, order, .. } in parts {
                orders.push((group.key.clone(), order));
                given.push(group);
            }
            let mut combined =
                self.groups(given, &mut beside).await.map_err(PairsError::Combiner)?;
            if goes_on {
                let order = orders.last().map(|(_, order)| order.clone()).unwrap_or_default();
                open = combined.pop().map(|values| (order, values));
            }
            for ((values, (key, order)), partition) in
                combined.into_iter().zip(&orders).zip(partitions)
            {
                for value in values {
                    writer.push(partition, key, order, value.0.as_bytes())?;
                }
            }
        }
        if open.is_some() {
            return Err(Error::internal("a group of a run has no end").into());
        }
        Ok((writer.finish()?, beside))
    }

    /// What stands for the values of each group, one by one. An error names the key.
    pub(super) async fn groups(
        &self,
        mut groups: Vec<Group>,
        beside: &mut Beside,
    ) -> Result<Vec<Vec<JsonText>>, ScriptError> {
        let mut all = Vec::with_capacity(groups.len());
        while !groups.is_empty() {
            let before = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let (query, phase, workers) = (self.query, self.phase, &self.node.workers);
            let given = groups.clone();
            let combined =
                workers.combine_groups(query, phase, self.combiner, self.context, given).await;
            let combined = combined.map_err(|mut error| {
                let at = error.input.and_then(|at| groups.get(usize::try_from(at).ok()?));
                if let Some(group) = at.or(groups.first().filter(|_| groups.len() == 1)) {
                    error = error.of_key(&group.key);
                }
                error.input = error.input.map(|at| at.saturating_add(before));
                error
            })?;
            let done = combined.values.len();
            if !(1..=groups.len()).contains(&done) {
                let message = format!("{done} of {} groups were combined", groups.len());
                return Err(ScriptError::new(mapring_script::FailureCause::Worker, message));
            }
            groups.drain(..done);
            all.extend(combined.values);
            beside.effects.merge(combined.effects);
            beside.calls += combined.combined;
        }
        Ok(all)
    }
}
