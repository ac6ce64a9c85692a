//! Clients that update data types and read them, all of them the same ones. Everything is written with
//! `pw=quorum` and read with `pr=quorum`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapring_datatypes::{FieldKind, FieldName, FieldOp, Kind, MapOp, Op, SetOp, Update, object};
use mapring_kv::{GetOptions, PutOptions};
use mapring_types::{Entropy, Error, ErrorKind, Quorum, Result, VersionVector};
use tokio::time::{Instant, sleep};

use crate::buckets;
use crate::datatype_history::{Effect, FLAG, HITS, NOTE, Sight, TAGS};
use crate::history::{Moment, Span};
use crate::limits;
use crate::node::Life;
use crate::random::Random;
use crate::world::World;
use crate::writers::patiently;

/// A client.
pub(crate) struct DatatypeClient {
    random: Random,
    /// What it last read of each key.
    known: BTreeMap<String, Known>,
}

/// What a client has read.
#[derive(Clone)]
struct Known {
    context: VersionVector,
    elements: BTreeSet<String>,
    /// When it began to read, …
    from: Moment,
    /// … and when it had.
    to: Moment,
}

/// What is to be done, and what is to come of it.
struct Change {
    update: Update,
    effects: Vec<Effect>,
}

impl DatatypeClient {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, known: BTreeMap::new() }
    }

    /// Works until the end.
    pub(crate) async fn work(mut self, world: &World, end: Instant) {
        while Instant::now() < end {
            sleep(Duration::from_millis(self.random.within(limits::THINKING_MS))).await;
            let (key, kind) = some_key(&self.random);
            let Some(life) = world.somebody(&self.random) else { continue };
            let change = match self.random.per_mille(limits::DATATYPE_UPDATES) {
                true => self.change(world, &key, kind),
                false => None,
            };
            let outcome = match change {
                Some(change) => update(world, &life, &key, kind, change).await,
                None => self.read(world, &life, &key, kind).await,
            };
            if let Err(error) = outcome {
                world.trace.note(format!("{key} at {}: {error}", life.name()));
            }
        }
    }

    async fn read(&mut self, world: &World, life: &Arc<Life>, key: &str, kind: Kind) -> Result<()> {
        let from = world.trace.now();
        let found = read(world, life, (key, kind), Quorum::Default, from).await?;
        let Some((context, sight)) = found else {
            self.known.remove(key);
            return Ok(());
        };
        let known = Known { context, elements: sight.elements, from, to: world.trace.now() };
        self.known.insert(key.to_owned(), known);
        Ok(())
    }

    /// Something to do with a key; `None` where there is nothing.
    fn change(&self, world: &World, key: &str, kind: Kind) -> Option<Change> {
        match kind {
            Kind::Counter => {
                let by = self.count(world, key)?;
                Some(Change::new(Op::Counter(by), vec![Effect::Count(by)]))
            }
            Kind::Set => match self.some_known(key, |_| true) {
                Some((known, element)) if self.random.per_mille(limits::REMOVALS) => {
                    let op = Op::Set(vec![SetOp::Remove(bytes(&element))]);
                    Some(Change::seen(op, known, [element].into()))
                }
                _ => {
                    let element = self.element();
                    let op = Op::Set(vec![SetOp::Add(bytes(&element))]);
                    Some(Change::new(op, vec![Effect::Add(element)]))
                }
            },
            Kind::Map => self.change_of_map(world, key),
            Kind::GSet | Kind::Hll => {
                let text = format!("t{}", world.next_value(&self.random));
                let elements = vec![bytes(&text)];
                let op = match kind {
                    Kind::GSet => Op::GSet(elements),
                    _ => Op::Hll { precision: limits::PRECISION, elements },
                };
                Some(Change::new(op, vec![Effect::Add(text)]))
            }
        }
    }

    fn change_of_map(&self, world: &World, key: &str) -> Option<Change> {
        let is_tag = |element: &str| element != FLAG;
        let tags = |op| update_of(TAGS, FieldKind::Set, FieldOp::Set(vec![op]));
        let flag = |on| update_of(FLAG, FieldKind::Flag, FieldOp::Flag(on));
        match self.random.below(100) {
            0..25 => {
                let by = self.count(world, key)?;
                let hits = update_of(HITS, FieldKind::Counter, FieldOp::Counter(by));
                // Two changes under one dot.
                let element = self.element();
                let ops = vec![hits, tags(SetOp::Add(bytes(&element)))];
                Some(Change::new(Op::Map(ops), vec![Effect::Count(by), Effect::Add(element)]))
            }
            25..45 => {
                let element = self.element();
                let op = Op::Map(vec![tags(SetOp::Add(bytes(&element)))]);
                Some(Change::new(op, vec![Effect::Add(element)]))
            }
            45..55 => {
                Some(Change::new(Op::Map(vec![flag(true)]), vec![Effect::Add(FLAG.to_owned())]))
            }
            55..65 => {
                let text = format!("n{}", world.next_value(&self.random));
                let note = FieldOp::Register(bytes(&text));
                let op = Op::Map(vec![update_of(NOTE, FieldKind::Register, note)]);
                Some(Change::new(op, vec![Effect::Assign(text)]))
            }
            65..75 => {
                let (known, element) = self.some_known(key, |element| !is_tag(element))?;
                Some(Change::seen(Op::Map(vec![flag(false)]), known, [element].into()))
            }
            75..90 => {
                let (known, element) = self.some_known(key, is_tag)?;
                let op = Op::Map(vec![tags(SetOp::Remove(bytes(&element)))]);
                Some(Change::seen(op, known, [element].into()))
            }
            _ => {
                let (known, _) = self.some_known(key, is_tag)?;
                let removal = MapOp::Remove(field(TAGS, FieldKind::Set));
                // Whatever it has covered of the set goes, known by its name or not.
                let all = (0..limits::ELEMENTS).map(element).collect();
                Some(Change::seen(Op::Map(vec![removal]), known, all))
            }
        }
    }

    /// By how much to count, up or down.
    fn count(&self, world: &World, key: &str) -> Option<i64> {
        let by = world.with_datatypes(|history| history.next_count(key))?;
        Some(if self.random.per_mille(300) { -by } else { by })
    }

    fn element(&self) -> String {
        element(self.random.below(limits::ELEMENTS))
    }

    /// One of the elements that were read of a key, and what else was.
    fn some_known(&self, key: &str, wanted: impl Fn(&str) -> bool) -> Option<(&Known, String)> {
        let known = self.known.get(key)?;
        let elements: Vec<&String> = known.elements.iter().filter(|e| wanted(e)).collect();
        let element = self.random.choose(&elements)?;
        Some((known, (*element).clone()))
    }
}

impl Change {
    fn new(op: Op, effects: Vec<Effect>) -> Self {
        Self { update: Update::new(op), effects }
    }

    /// A removal of what was read.
    fn seen(op: Op, known: &Known, elements: BTreeSet<String>) -> Self {
        let Known { context, from, to, .. } = known.clone();
        let update = Update { op, context: Some(context) };
        Self { update, effects: vec![Effect::Remove { elements, from, to }] }
    }
}

/// A key that is a data type.
fn some_key(random: &Random) -> (String, Kind) {
    let all = limits::DATATYPES;
    let (kind, keys) = random.choose(&all).copied().unwrap_or((Kind::Counter, 1));
    (format!("{}{}", kind.word(), random.below(keys)), kind)
}

fn element(number: u64) -> String {
    format!("e{number}")
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

fn field(name: &str, kind: FieldKind) -> FieldName {
    FieldName { name: bytes(name), kind }
}

fn update_of(name: &str, kind: FieldKind, op: FieldOp) -> MapOp {
    MapOp::Update(field(name, kind), op)
}

async fn update(
    world: &World,
    life: &Arc<Life>,
    key: &str,
    kind: Kind,
    change: Change,
) -> Result<()> {
    let Change { update, effects } = change;
    let (id, pw) = (buckets::datatype(key), Quorum::Majority);
    let timeout = Some(limits::CLIENT_PATIENCE);
    let options = PutOptions { pw, timeout, ..PutOptions::default() };
    world.trace.note(format!("update {key} at {}: {effects:?}", life.name()));
    let begun = world.trace.now();
    let number = world.with_datatypes(|history| history.begin(key, kind, effects, begun));
    let done = patiently(world, life, "update", life.kv.update(&id, &update, &options)).await;
    let end = if done.is_ok() { "updated" } else { "unknown" };
    world.trace.note(format!("{end} {key}, update {number}"));
    if done.is_ok() {
        let now = world.trace.now();
        world.with_datatypes(|history| history.acknowledge(key, number, now));
    }
    world.count(|figures| match done.is_ok() {
        true => figures.updates += 1,
        false => figures.failed_updates += 1,
    });
    done.map(|_| ())
}

/// Reads a data type, of which all must be there that was acknowledged before `from`. Returns its context
/// and what is to be seen.
///
/// # Errors
/// Those of the store; what is wrong is told.
pub(crate) async fn read(
    world: &World,
    life: &Arc<Life>,
    (key, kind): (&str, Kind),
    r: Quorum,
    from: Moment,
) -> Result<Option<(VersionVector, Sight)>> {
    let (id, timeout) = (buckets::datatype(key), Some(limits::CLIENT_PATIENCE));
    let options = GetOptions { r, pr: Quorum::Majority, timeout, ..GetOptions::default() };
    let got = patiently(world, life, "get", life.kv.get(&id, &options)).await;
    world.count(|figures| match &got {
        Ok(_) => figures.reads += 1,
        Err(_) => figures.failed_reads += 1,
    });
    let got = got?;
    let values = got.as_ref().map_or(0, |object| object.siblings.len());
    if values > 1 {
        world.trace.violation(format!("data types: {key} is read as {values} values"));
    }
    let found = got.as_ref().map(|object| object::find(object, kind)).transpose();
    let found = found.map_err(|error| {
        world.trace.violation(format!("data types: {key} cannot be read: {error}"));
        Error::new(ErrorKind::Corrupt, "a data type cannot be read")
    })?;
    let found = found.flatten();
    let (sight, span) = (Sight::of(found.as_ref()), Span { from, to: world.trace.now() });
    world.trace.note(format!("read {key} at {} since {from}: {sight:?}", life.name()));
    world.check_datatypes(|history| history.check(key, &sight, span));
    Ok(found.map(|found| (found.context().clone(), sight)))
}
