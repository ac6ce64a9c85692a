//! Handing on what was accepted: to the client, to the stages that take it, to the store.

use std::sync::Arc;

use mapring_script::{Effects, Row};
use mapring_types::NodeId;

use super::Coordinator;
use super::gather::GatheredRun;
use super::inputs::{self, Input};
use super::lanes::{Accepted, Order, broken_function};
use super::stage::StageKind;
use crate::failure::Failure;
use crate::grammar::OnError;
use crate::graph::StageId;
use crate::handle::PageStats;
use crate::metered::count;
use crate::unit::Broken;

impl Coordinator {
    /// Hands results to the client and to the stages that take them.
    pub(super) fn deliver(&mut self, id: StageId, accepted: Accepted) -> Result<(), Failure> {
        let Accepted {
            mut results,
            partitions,
            orders,
            reduced,
            skipped,
            shard,
            stats,
            run,
            effects,
            lost_holder,
        } = accepted;
        if let Some(holder) = lost_holder {
            self.lose_holder(id, holder);
        }
        self.take_effects(id, effects)?;
        if let Some((run, stats)) = run {
            self.gather(id, run, &stats)?;
        }
        self.pages += u64::from(stats.is_some());
        if let Some((node, stats)) = stats {
            if stats.inputs > 0 {
                self.stages.get_mut(id).check.spare();
            }
            self.note(id, node, &stats, (skipped, shard))?;
        }
        let orders = match &mut self.numbering {
            Some(numbering) => numbering.orders(id, &partitions, orders, results.len()),
            None => orders,
        };
        let graph = Arc::clone(&self.graph);
        let spec = graph.get(id);
        if let Some(left) = self.left.as_mut().filter(|_| spec.is_final()) {
            results.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= results.len() as u64;
        }
        let passed_on = match reduced {
            _ if spec.is_final() || self.gathers_beside(id) => Vec::new(),
            Some(reduced) => reduced,
            None if spec.keep => results.clone(),
            None => std::mem::take(&mut results),
        };
        if spec.keep && !results.is_empty() {
            let places = self.numbering.iter().flat_map(|numbering| {
                assert!(orders.len() >= results.len(), "results without an order");
                orders.iter().map(|order| numbering.place(order))
            });
            let places = places.take(results.len()).collect();
            self.out.push(spec.phase, results, places);
        }
        let mut left = spec.feeds.len();
        let mut passed_on = Some(passed_on);
        for &fed in &spec.feeds {
            left -= 1;
            let values = if left == 0 { passed_on.take() } else { passed_on.clone() };
            self.feed(fed, spec.phase, values.unwrap_or_default(), &orders)?;
        }
        Ok(())
    }

    /// Whether the pairs of a stage are gathered where they are made.
    fn gathers_beside(&self, id: StageId) -> bool {
        let nodes = matches!(self.stages.get(id).kind, StageKind::Lanes(_) | StageKind::Groups(_));
        nodes && self.graph.gather(id).is_some()
    }

    /// Takes note of what a page has done, and of the inputs that it left out.
    fn note(
        &mut self,
        id: StageId,
        node: NodeId,
        stats: &PageStats,
        (skipped, (shard, attempt)): (Vec<Broken>, (u32, u32)),
    ) -> Result<(), Failure> {
        let name = self.router.name(node);
        self.shared.handle.record(id, &name, stats);
        let Some(last) = skipped.last().cloned() else { return Ok(()) };
        count("mapring_mapred_inputs_skipped_total", skipped.len() as u64);
        let failure = |broken| broken_function(broken, &name).in_shard(shard, attempt);
        let failures = skipped.into_iter().map(failure);
        let all = self.shared.handle.skip(failures);
        match self.query.spec().options.on_error {
            OnError::Skip(most) if all <= most => Ok(()),
            // The one that was too many is what the client is told.
            _ => Err(failure(last)),
        }
    }

    /// Gives a stage what another has made.
    fn feed(
        &mut self,
        id: StageId,
        from_phase: usize,
        values: Vec<Row>,
        orders: &[Order],
    ) -> Result<(), Failure> {
        match &mut self.stages.get_mut(id).kind {
            StageKind::Reduce(reduce) => reduce.push(values),
            StageKind::Gather(gather) => gather.push(values),
            StageKind::Lanes(lanes) => {
                for (at, value) in values.into_iter().enumerate() {
                    let order = orders.get(at).cloned();
                    lanes.push(inputs::key(from_phase, &value)?, order, &mut self.router)?;
                }
            }
            StageKind::Groups(_) | StageKind::Echo | StageKind::Dropped => {}
        }
        Ok(())
    }

    /// Does what functions asked for with what was accepted.
    pub(super) fn take_effects(&mut self, id: StageId, effects: Effects) -> Result<(), Failure> {
        if effects.is_empty() {
            return Ok(());
        }
        self.writes.push(self.graph.get(id).phase, effects)
    }

    /// A node cannot keep the pairs of a stage: others are to.
    fn lose_holder(&mut self, id: StageId, holder: NodeId) {
        self.router.failed(holder);
        let Some(gather) = self.graph.gather(id) else { return };
        if let StageKind::Gather(gather) = &mut self.stages.get_mut(gather).kind {
            gather.view_changed(&self.router);
        }
        self.share_holders();
    }

    /// Takes note of the pairs of a page.
    pub(super) fn gather(
        &mut self,
        id: StageId,
        run: GatheredRun,
        stats: &PageStats,
    ) -> Result<(), Failure> {
        let Some(gather) = self.graph.gather(id) else { return Ok(()) };
        let name = self.router.name(run.made_by);
        self.shared.handle.record(gather, &name, stats);
        match &mut self.stages.get_mut(gather).kind {
            StageKind::Gather(gather) => gather.accept(run),
            _ => Ok(()),
        }
    }

    /// Answers an input as it is: what a query without phases does.
    pub(super) fn echo(&mut self, input: Input, order: Option<Order>) -> Result<(), Failure> {
        let value = input.into_value(false)?;
        let result_bytes = value.bytes() as u64;
        let stats = PageStats { inputs: 1, results: 1, result_bytes, ..PageStats::default() };
        self.shared.handle.record(self.graph.entry(), &self.me, &stats);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        let place =
            self.numbering.as_ref().zip(order).map(|(numbering, order)| numbering.place(&order));
        self.out.push_one(value, place);
        Ok(())
    }
}
