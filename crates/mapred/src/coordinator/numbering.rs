//! Shards that results are told apart by, for objects of which each has those of one: their numbers, and
//! the order of results within them. Both follow from where inputs stand among all of them, so that they
//! are the same for any number of nodes.
//!
//! A shard of a bucket is some neighbouring partitions of it, of a list a stretch. What lies within
//! objects or is made comes in shards, and groups in partitions.

use super::lanes::{Order, listed_order};
use super::splitting::share_of;
use super::stage::{Stage, StageKind};
use crate::graph::{ByStage, StageGraph, StageId};
use crate::limits;
use crate::results::Place;
use crate::saved::{SavedListing, SavedNumbering, SavedPart};

/// See the module.
pub(super) struct Numbering {
    /// Where the results come from that are told apart.
    stage: StageId,
    /// Whether that works on the query's own inputs, which are added as they become known.
    of_inputs: bool,
    /// How many shards the query wants.
    asked: u64,
    parts: Vec<Part>,
    shards: u32,
    /// How many results came that have no order of their own.
    placed: u64,
}

/// Units that are shards, or parts of these.
struct Part {
    first_unit: u32,
    /// Units that are divided into the shards; as many that follow are divided as these are.
    units: u64,
    first_shard: u32,
    shards: u32,
}

/// A list of inputs, whose stretches have the numbers of units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing {
    first_unit: u32,
    /// How many inputs, and stretches of them; `None` of a list that is one.
    divided: Option<(u64, u64)>,
}

impl Numbering {
    /// Of a query that wants so many shards; `None` where nobody tells them apart.
    pub(super) fn of(
        graph: &StageGraph,
        stages: &ByStage<Stage>,
        asked: Option<u64>,
    ) -> Option<Self> {
        let stage = graph.sharded()?;
        let asked = asked.unwrap_or(limits::OUTPUT_SHARDS.into());
        let (parts, of_inputs) = (Vec::new(), false);
        let mut numbering = Self { stage, of_inputs, asked, parts, shards: 0, placed: 0 };
        match &stages.get(stage).kind {
            StageKind::Groups(_) => {
                let gather = graph.feeders(stage).next().map(|gather| &stages.get(gather).kind);
                if let Some(StageKind::Gather(gather)) = gather {
                    numbering.add(0, gather.partitions(), gather.partitions());
                }
            }
            StageKind::Reduce(_) => numbering.add(0, 1, 1),
            _ => numbering.of_inputs = true,
        }
        Some(numbering)
    }

    /// Itself, where the query's own inputs are its shards.
    pub(super) fn of_inputs(&mut self) -> Option<&mut Self> {
        self.of_inputs.then_some(self)
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> u32 {
        self.shards
    }

    /// So many partitions of a bucket are units from `first` on, and then as many of others.
    pub(super) fn scan(&mut self, first: u32, partitions: u64) {
        self.add(first, partitions, self.asked.min(partitions));
    }

    /// So many units from `first` on are shards.
    pub(super) fn divided(&mut self, first: u32, shards: u64) {
        self.add(first, shards, shards);
    }

    /// So many inputs of a list have numbers of units from `first` on.
    pub(super) fn list(&mut self, first: u32, inputs: u64) -> Listing {
        let stretches = self.stretches(inputs);
        self.divided(first, stretches);
        Listing { first_unit: first, divided: Some((inputs, stretches)) }
    }

    /// How many numbers of units a list of so many inputs takes.
    pub(super) fn stretches(&self, inputs: u64) -> u64 {
        self.asked.min(inputs)
    }

    fn add(&mut self, first_unit: u32, units: u64, shards: u64) {
        let shards = u32::try_from(shards).unwrap_or(u32::MAX);
        self.parts.push(Part { first_unit, units, first_shard: self.shards, shards });
        self.shards = self.shards.saturating_add(shards);
    }

    /// The orders of results of a stage: those that it gave, or, where it keeps none, that in which they
    /// come. Of groups each has its partition.
    pub(super) fn orders(
        &mut self,
        stage: StageId,
        partitions: &[u32],
        given: Vec<Order>,
        results: usize,
    ) -> Vec<Order> {
        if stage != self.stage || self.of_inputs {
            return given;
        }
        let ordered = (0..results).map(|at| {
            self.placed += 1;
            listed_order(partitions.get(at).copied().unwrap_or(0), self.placed)
        });
        ordered.collect()
    }

    /// Itself as it is kept, with that of the query's own list.
    pub(super) fn save(&self, listing: Option<Listing>) -> SavedNumbering {
        let part = |part: &Part| {
            let Part { first_unit, units, first_shard, shards } = *part;
            SavedPart { first_unit, units, first_shard, shards }
        };
        SavedNumbering {
            parts: self.parts.iter().map(part).collect(),
            placed: self.placed,
            listing: listing.map(Listing::save),
        }
    }

    /// Goes on from what was kept; gives what the order of the query's own list follows.
    pub(super) fn restore(&mut self, saved: SavedNumbering) -> Option<Listing> {
        let SavedNumbering { parts, placed, listing } = saved;
        let part = |SavedPart { first_unit, units, first_shard, shards }| Part {
            first_unit,
            units,
            first_shard,
            shards,
        };
        self.parts = parts.into_iter().map(part).collect();
        self.shards = self.parts.iter().fold(0, |all, part| all.saturating_add(part.shards));
        self.placed = placed;
        listing.map(Listing::restore)
    }

    /// Where a result of an order belongs.
    pub(super) fn place(&self, order: &Order) -> Place {
        let unit = order.first_chunk().map_or(0, |unit| u32::from_be_bytes(*unit));
        let behind = self.parts.partition_point(|part| part.first_unit <= unit);
        let shard = self.parts.get(behind.saturating_sub(1)).map_or(0, |part| part.shard(unit));
        [&shard.to_be_bytes()[..], order].concat().into()
    }
}

impl Part {
    fn shard(&self, unit: u32) -> u32 {
        let at = u64::from(unit.saturating_sub(self.first_unit)) % self.units.max(1);
        let share = share_of(at, self.units, self.shards.into());
        self.first_shard + u32::try_from(share).unwrap_or(u32::MAX)
    }
}

impl Listing {
    /// A list, or the rest of one, that is one unit.
    pub(super) fn whole(unit: u32) -> Self {
        Self { first_unit: unit, divided: None }
    }

    /// Itself as it is kept.
    pub(super) fn save(self) -> SavedListing {
        SavedListing { first_unit: self.first_unit, divided: self.divided }
    }

    /// What was kept.
    pub(super) fn restore(SavedListing { first_unit, divided }: SavedListing) -> Self {
        Self { first_unit, divided }
    }

    /// The order of the input that has so many before it.
    pub(super) fn order(&self, place: u64) -> Order {
        let stretch = self.divided.map_or(0, |(inputs, of)| share_of(place, inputs, of));
        let unit = self.first_unit.saturating_add(u32::try_from(stretch).unwrap_or(u32::MAX));
        listed_order(unit, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar;

    fn numbering(asked: u64) -> Numbering {
        let body = r#"{"inputs":"b","query":[],"output":{"bucket":"o","layout":"per_shard"}}"#;
        let graph = StageGraph::of(grammar::parse(body.as_bytes()).unwrap().spec());
        let (stage, parts) = (graph.sharded().unwrap(), Vec::new());
        Numbering { stage, of_inputs: true, asked, parts, shards: 0, placed: 0 }
    }

    fn shard(numbering: &Numbering, unit: u32) -> u32 {
        let place = numbering.place(&listed_order(unit, 7));
        u32::from_be_bytes(*place.first_chunk().unwrap())
    }

    #[test]
    fn units_are_shards_or_parts_of_them() {
        let mut numbering = numbering(4);
        // Two buckets of 16 partitions, then three shards, then a list of six inputs.
        numbering.scan(0, 16);
        numbering.divided(32, 3);
        let listing = numbering.list(35, 6);
        assert_eq!(numbering.shards(), 4 + 3 + 4);
        let found: Vec<u32> = (0..35).map(|unit| shard(&numbering, unit)).collect();
        let bucket = [[0; 4], [1; 4], [2; 4], [3; 4]].concat();
        assert_eq!(found, [&bucket[..], &bucket, &[4, 5, 6]].concat());
        let places: Vec<Place> =
            (0..6).map(|place| numbering.place(&listing.order(place))).collect();
        assert!(places.is_sorted());
        let listed: Vec<u8> = places.iter().map(|place| place[3]).collect();
        assert_eq!(listed, [7, 7, 8, 8, 9, 10]);
    }
}
