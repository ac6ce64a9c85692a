//! What messages looked like in version 2, before pairs were grouped.

use mapring_filters::Filters;
use mapring_kv::{Cursor, Selection};
use mapring_ring::Partition;
use mapring_script::{JsonText, QueryTag, Row};
use mapring_types::error::WireError;
use mapring_types::{BucketId, ObjectId, Result};
use serde::{Deserialize, Serialize};

use super::{Sent, unchanged, unsaid};
use crate::grammar::{Consistency, Scan};
use crate::report::{PhaseReport, QueryReport};
use crate::service::{End, List, Show};
use crate::unit::{
    BatchInput, BatchUnit, Broken, Cost, Frame, LaneRequest, Page, PartitionUnit, Prereduce,
    Progress, Tally, UnitOptions, Units, Work,
};

unchanged!((), bool, List, Show, End);

#[derive(Serialize, Deserialize)]
pub(crate) struct SecondLane {
    query: QueryTag,
    phase: u32,
    plan_version: u64,
    time_left_ms: u64,
    work: Work,
    prereduce: Option<Prereduce>,
    results: bool,
    options: UnitOptions,
    units: SecondUnits,
}

#[derive(Serialize, Deserialize)]
enum SecondUnits {
    Partitions { scan: SecondScan, replicas: u32, units: Vec<SecondPartition> },
    Batch(SecondBatch),
}

#[derive(Serialize, Deserialize)]
struct SecondScan {
    bucket: BucketId,
    selection: Selection,
    filters: Option<Filters>,
}

#[derive(Serialize, Deserialize)]
struct SecondPartition {
    unit: u32,
    attempt: u32,
    home: Partition,
    vnode: Partition,
    after: Option<Cursor>,
}

#[derive(Serialize, Deserialize)]
struct SecondBatch {
    unit: u32,
    attempt: u32,
    inputs: Vec<SecondInput>,
}

#[derive(Serialize, Deserialize)]
struct SecondInput {
    vnode: Partition,
    id: ObjectId,
    keydata: Option<JsonText>,
}

impl Sent for LaneRequest {
    type Second = SecondLane;

    fn to_second(&self) -> Result<SecondLane> {
        if self.shuffle.is_some() || self.tells_inputs {
            return Err(unsaid("grouping"));
        }
        if self.options.consistency == Consistency::All {
            return Err(unsaid("\"consistency\":\"all\""));
        }
        let units = match &self.units {
            Units::Partitions { scan, replicas, units } => SecondUnits::Partitions {
                scan: SecondScan::of(scan)?,
                replicas: *replicas,
                units: units.iter().map(SecondPartition::of).collect(),
            },
            Units::Groups(_) => return Err(unsaid("grouping")),
            Units::Shard(_) => return Err(unsaid("inputs that lie within objects, or are made")),
            Units::Batch(BatchUnit { unit, attempt, inputs, state: _ }) => {
                SecondUnits::Batch(SecondBatch {
                    unit: *unit,
                    attempt: *attempt,
                    inputs: inputs.iter().map(SecondInput::of).collect(),
                })
            }
        };
        Ok(SecondLane {
            query: self.query,
            phase: self.phase,
            plan_version: self.plan_version,
            time_left_ms: self.time_left_ms,
            work: self.work.clone(),
            prereduce: self.prereduce.clone(),
            results: self.results,
            options: self.options,
            units,
        })
    }

    fn from_second(second: SecondLane) -> Self {
        let units = match second.units {
            SecondUnits::Partitions { scan, replicas, units } => Units::Partitions {
                scan: Box::new(scan.now()),
                replicas,
                units: units.into_iter().map(SecondPartition::now).collect(),
            },
            SecondUnits::Batch(SecondBatch { unit, attempt, inputs }) => Units::Batch(BatchUnit {
                unit,
                attempt,
                inputs: inputs.into_iter().map(SecondInput::now).collect(),
                state: None,
            }),
        };
        Self {
            query: second.query,
            phase: second.phase,
            plan_version: second.plan_version,
            time_left_ms: second.time_left_ms,
            work: second.work,
            prereduce: second.prereduce,
            shuffle: None,
            results: second.results,
            tells_inputs: false,
            options: second.options,
            context: Default::default(),
            units,
        }
    }
}

impl SecondScan {
    fn of(scan: &Scan) -> Result<Self> {
        if !scan.narrowing.is_none() {
            return Err(unsaid("what narrows the inputs from a bucket"));
        }
        let Scan { bucket, selection, filters, .. } = scan.clone();
        Ok(Self { bucket, selection, filters })
    }

    fn now(self) -> Scan {
        let Self { bucket, selection, filters } = self;
        Scan { selection, filters, ..Scan::whole(bucket) }
    }
}

impl SecondPartition {
    fn of(unit: &PartitionUnit) -> Self {
        let PartitionUnit { unit, attempt, home, vnode, ref after, page: _, state: _ } = *unit;
        Self { unit, attempt, home, vnode, after: after.clone() }
    }

    fn now(self) -> PartitionUnit {
        let Self { unit, attempt, home, vnode, after } = self;
        PartitionUnit { unit, attempt, home, vnode, after, page: 0, state: None }
    }
}

impl SecondInput {
    fn of(input: &BatchInput) -> Self {
        let BatchInput { vnode, ref id, ref keydata, order: _ } = *input;
        Self { vnode, id: id.clone(), keydata: keydata.clone() }
    }

    fn now(self) -> BatchInput {
        let Self { vnode, id, keydata } = self;
        BatchInput { vnode, id, keydata, order: Box::default() }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) enum SecondFrame {
    Renew,
    Page(SecondPage),
    Unable { unit: u32, attempt: u32, error: WireError },
    Failed(Broken),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SecondPage {
    unit: u32,
    attempt: u32,
    progress: Progress,
    results: Vec<Row>,
    reduced: Option<Vec<Row>>,
    inputs: u64,
    made: u64,
    made_bytes: u64,
    skipped: Vec<Broken>,
    cost: Cost,
}

impl Sent for Frame {
    type Second = SecondFrame;

    fn to_second(&self) -> Result<SecondFrame> {
        Ok(match self {
            Self::Renew => SecondFrame::Renew,
            Self::Page(page) => SecondFrame::Page(SecondPage::of(page)?),
            Self::Unable { unit, attempt, error, asked: _ } => {
                SecondFrame::Unable { unit: *unit, attempt: *attempt, error: error.clone() }
            }
            Self::Failed(broken) => SecondFrame::Failed(broken.clone()),
            Self::HolderLost { .. } => return Err(unsaid("grouping")),
            Self::Again { .. } | Self::Spent => return Err(unsaid("jobs")),
        })
    }

    fn from_second(second: SecondFrame) -> Self {
        match second {
            SecondFrame::Renew => Self::Renew,
            SecondFrame::Page(page) => Self::Page(Box::new(page.now())),
            SecondFrame::Unable { unit, attempt, error } => {
                Self::Unable { unit, attempt, error, asked: None }
            }
            SecondFrame::Failed(broken) => Self::Failed(broken),
        }
    }
}

impl SecondPage {
    fn of(page: &Page) -> Result<Self> {
        if page.run.is_some() {
            return Err(unsaid("grouping"));
        }
        if page.state.is_some() {
            return Err(unsaid("a function with a state"));
        }
        if !page.effects.is_empty() {
            return Err(unsaid("put, del, count and log"));
        }
        Ok(Self {
            unit: page.unit,
            attempt: page.attempt,
            progress: page.progress.clone(),
            results: page.results.clone(),
            reduced: page.reduced.clone(),
            inputs: page.inputs,
            made: page.made,
            made_bytes: page.made_bytes,
            skipped: page.skipped.clone(),
            cost: page.cost,
        })
    }

    fn now(self) -> Page {
        Page {
            unit: self.unit,
            attempt: self.attempt,
            progress: self.progress,
            results: self.results,
            gave: Vec::new(),
            reduced: self.reduced,
            inputs: self.inputs,
            made: self.made,
            made_bytes: self.made_bytes,
            skipped: self.skipped,
            cost: self.cost,
            // What is missing was not told apart.
            tally: Tally { calls: self.inputs, ..Tally::default() },
            effects: Default::default(),
            run: None,
            groups: Vec::new(),
            state: None,
        }
    }
}

/// A report, without what was counted.
#[derive(Serialize, Deserialize)]
pub(crate) struct SecondReport {
    id: String,
    node: String,
    state: String,
    age_ms: u64,
    timeout_ms: u64,
    inputs_done: u64,
    phases: Vec<PhaseReport>,
    query: String,
}

impl SecondReport {
    fn of(report: &QueryReport) -> Self {
        let QueryReport { id, node, state, age_ms, timeout_ms, inputs_done, phases, query, .. } =
            report.clone();
        Self { id, node, state, age_ms, timeout_ms, inputs_done, phases, query }
    }

    fn now(self) -> QueryReport {
        let Self { id, node, state, age_ms, timeout_ms, inputs_done, phases, query } = self;
        let counters = Default::default();
        QueryReport { id, node, state, age_ms, timeout_ms, inputs_done, phases, counters, query }
    }
}

impl Sent for Option<QueryReport> {
    type Second = Option<SecondReport>;

    fn to_second(&self) -> Result<Self::Second> {
        Ok(self.as_ref().map(SecondReport::of))
    }

    fn from_second(second: Self::Second) -> Self {
        second.map(SecondReport::now)
    }
}

impl Sent for (Vec<QueryReport>, u64) {
    type Second = (Vec<SecondReport>, u64);

    fn to_second(&self) -> Result<Self::Second> {
        Ok((self.0.iter().map(SecondReport::of).collect(), self.1))
    }

    fn from_second(second: Self::Second) -> Self {
        (second.0.into_iter().map(SecondReport::now).collect(), second.1)
    }
}
