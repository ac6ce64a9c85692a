//! Shards: what lies within objects, or is made, as inputs of the phase.

use std::collections::VecDeque;

use bytes::Bytes;
use mapring_kv::{Body, Cursor, OpenValue};
use mapring_readers::{Generated, Item, ItemKind, Pulled, ReadError, Reader, Root, key_number};
use mapring_script::{FailureCause, JsonText, MapInput, ScriptError};
use mapring_types::clock::{ActorId, Dot};
use mapring_types::{
    BucketId, Error, Metadata, Object, ObjectId, Record, Result, Sibling, VersionVector,
};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::lane::Lane;
use super::outcome::{Outcome, UnitEnd};
use super::page::Pager;
use super::reading::Reading;
use super::roots::Held;
use crate::coordinator::missing;
use crate::grammar::Consistency;
use crate::json;
use crate::limits;
use crate::shard::{
    ReaderPlace, Shard, ShardObject, ShardPlace, ShardRoots, ShardUnit, ValuePlace,
};
use crate::unit::{self, Broken, Progress, Work};

impl Lane {
    /// Works through a shard.
    pub(super) async fn run_shard(&self, unit: &ShardUnit) -> Result<(), UnitEnd> {
        let _counted = self.begin();
        self.budget.check()?;
        // Values come in the order of shards, as they are numbered.
        let order = unit.unit.to_be_bytes().to_vec();
        let mut pager = Pager::new(self, (unit.unit, unit.attempt), unit.page, order);
        pager.resume(unit.state.clone());
        let shard = &unit.shard;
        let (items, bytes, left, reading) = (VecDeque::new(), 0, unit.most, None);
        let mut run = ShardRun { lane: self, shard, pager, items, bytes, left, reading };
        let end = run.all(unit).await;
        run.pager.settle(end).await
    }
}

impl ShardRun<'_> {
    async fn all(&mut self, unit: &ShardUnit) -> Result<(), UnitEnd> {
        let (run, shard) = (self, &unit.shard);
        if let ShardRoots::Reader { function, index, state } = &shard.roots {
            let from = || ReaderPlace { done: 0, state: state.0.clone(), skip: 0, within: None };
            let start = unit.after.as_ref().map(ReaderPlace::of).transpose()?;
            run.reader(function, *index, start.unwrap_or_else(from)).await?;
            run.flush().await?;
            return run.pager.end(Progress::Done).await;
        }
        let start = unit.after.as_ref().map(ShardPlace::of).transpose()?.unwrap_or_default();
        match &shard.roots {
            ShardRoots::Objects(objects) => run.objects(objects, start).await?,
            ShardRoots::Generated { generator, base, first, count } => {
                for root in start.root..*count {
                    let number = first + root;
                    let Some(item) = generator.item(number, shard.seed) else { break };
                    let named = (generator.name(), (base + number).to_string());
                    if run.made(root, base + number, named, item, &start).await? {
                        break;
                    }
                }
            }
            ShardRoots::Named { kind, base, names } => {
                for (root, name) in (0u64..).zip(names).skip(to_usize(start.root)) {
                    let json = json::string_literal(name);
                    let item = Generated { text: name.clone(), is_json: false, json };
                    if run.made(root, base + root, (kind, name.clone()), item, &start).await? {
                        break;
                    }
                }
            }
            ShardRoots::Reader { .. } => {}
        }
        run.flush().await?;
        run.pager.end(Progress::Done).await
    }
}

/// A shard under way.
pub(super) struct ShardRun<'l> {
    pub(super) lane: &'l Lane,
    pub(super) shard: &'l Shard,
    pub(super) pager: Pager<'l>,
    /// Inputs that have not been worked on, each with where to go on behind it.
    items: VecDeque<(MapInput, Cursor)>,
    /// The bytes of these.
    bytes: usize,
    /// How many more are wanted; `None` for all.
    pub(super) left: Option<u64>,
    /// The reader whose items these are.
    pub(super) reading: Option<Reading>,
}

/// What the items of a value have in common.
struct Origin<'o> {
    id: &'o ObjectId,
    /// Key data that the query gives.
    keydata: Option<&'o JsonText>,
    root: u64,
    /// The number of the value among those of its object.
    value: u32,
    write: Dot,
    last_modified: u64,
}

/// Where a reader stopped.
enum Stop {
    /// It needs the root from this byte on.
    Need(u64),
    /// What came of it is enough for a call.
    Full,
    End,
}

/// What a reader gave, with the place behind each.
type Given = Vec<(Result<Item, ReadError>, mapring_readers::Cursor)>;

impl ShardRun<'_> {
    async fn objects(&mut self, objects: &[ShardObject], start: ShardPlace) -> Result<(), UnitEnd> {
        let mut within = start.within;
        for (root, object) in (0u64..).zip(objects).skip(to_usize(start.root)) {
            let place = within.take();
            let whole =
                Root { length: 0, number: key_number(&object.id.key), seed: self.shard.seed };
            if self.shard.formats.first().is_some_and(|lowest| lowest.leaves_out(&whole)) {
                continue;
            }
            self.opened(root, object, place, whole).await?;
            if self.left == Some(0) {
                break;
            }
        }
        Ok(())
    }

    /// Opens an object and reads it from a place on.
    pub(super) async fn opened(
        &mut self,
        root: u64,
        object: &ShardObject,
        place: Option<ValuePlace>,
        whole: Root,
    ) -> Result<(), UnitEnd> {
        let began = Instant::now();
        let held = self.lane.open_values(object).await?;
        let values = held.values();
        let cost = self.pager.cost();
        cost.read_us += unit::micros(began.elapsed());
        cost.looked_at += 1;
        if values.is_empty() && place.is_none() {
            return self.miss(object).await;
        }
        self.object(root, object, values, place, whole).await
    }

    /// The place before a root, or within it.
    pub(super) fn place(&self, root: u64, within: Option<ValuePlace>) -> Cursor {
        match &self.reading {
            Some(reading) => reading.place(root, within),
            None => ShardPlace { root, within }.to_cursor(),
        }
    }

    /// Reads the values of an object, or the one that the shard has a piece of, from a place on.
    async fn object(
        &mut self,
        root: u64,
        object: &ShardObject,
        values: &[OpenValue],
        mut place: Option<ValuePlace>,
        whole: Root,
    ) -> Result<(), UnitEnd> {
        let first = place.as_ref().map_or(0, |place| place.value);
        let wanted = |dot: Dot| object.write.is_none_or(|write| write == dot);
        let expected = place.as_ref().map(|place| place.write).or(object.write);
        let there = |dot| values.iter().any(|value| value.sibling.dot == dot);
        if expected.is_some_and(|write| !there(write)) {
            let message = format!(
                "the input {} was written again while it was read, and its pieces no longer belong \
                 together",
                object.id
            );
            return Err(self.broken(FailureCause::Changed, message, object));
        }
        for (value, open) in (0u32..).zip(values).skip(to_usize(first.into())) {
            let dot = open.sibling.dot;
            if !wanted(dot) {
                continue;
            }
            let place = place.take().filter(|place| place.value == value);
            let origin = Origin {
                id: &object.id,
                keydata: object.keydata.as_ref(),
                root,
                value,
                write: dot,
                last_modified: open.sibling.last_modified,
            };
            let root = Root { length: open.body.len(), ..whole };
            let cursor = place.map(|place| place.cursor);
            let reader = Reader::new(&self.shard.formats, &root, &object.piece, cursor.as_ref());
            let reader = reader.map_err(|error| Error::invalid(error.to_string()))?;
            self.read(reader, &open.body, &origin).await?;
            if self.left == Some(0) {
                break;
            }
        }
        Ok(())
    }

    /// Takes all items of a reader.
    async fn read(
        &mut self,
        mut reader: Reader,
        body: &Body,
        origin: &Origin<'_>,
    ) -> Result<(), UnitEnd> {
        loop {
            let most = self.left.map_or(usize::MAX, to_usize);
            let most = most.min(self.at_once().saturating_sub(self.items.len()).max(1));
            let room = limits::CALL_BYTES.saturating_sub(self.bytes);
            let pulling = move || Ok(pull(reader, most, room));
            let (back, given, stop) =
                mapring_kv::executor::run(self.lane.node.executor.as_ref(), pulling).await?;
            reader = back;
            for (item, cursor) in given {
                let within = Some(ValuePlace { value: origin.value, write: origin.write, cursor });
                let place = self.place(origin.root, within);
                match item {
                    Ok(item) => {
                        let input = self.input(origin, item)?;
                        self.push(input, place);
                    }
                    Err(error) => self.damaged(&error, origin, place).await?,
                }
            }
            if self.left == Some(0) {
                return Ok(());
            }
            match stop {
                Stop::End => return Ok(()),
                Stop::Full => self.flush().await?,
                Stop::Need(at) => {
                    let began = Instant::now();
                    let bytes = body.read_at(at, limits::FEED_BYTES).await?;
                    if bytes.is_empty() {
                        let message = format!("the object {} ends at byte {at}", origin.id);
                        return Err(Error::corrupt(message).into());
                    }
                    let cost = self.pager.cost();
                    cost.read_us += unit::micros(began.elapsed());
                    cost.read_bytes += bytes.len() as u64;
                    reader.feed(at, bytes);
                }
            }
        }
    }

    /// Takes an item that no object holds, or what is taken out of it. Returns whether enough have come.
    pub(super) async fn made(
        &mut self,
        root: u64,
        number: u64,
        (bucket, key): (&str, String),
        item: Generated,
        start: &ShardPlace,
    ) -> Result<bool, UnitEnd> {
        let whole = Root { length: item.text.len() as u64, number, seed: self.shard.seed };
        if self.shard.formats.first().is_some_and(|lowest| lowest.leaves_out(&whole)) {
            return Ok(false);
        }
        let id = ObjectId::new(BucketId::untyped(bucket.to_owned()), key);
        let write = Dot { actor: ActorId(0), counter: 1 };
        let (keydata, value) = (None, 0);
        let origin = Origin { id: &id, keydata, root, value, write, last_modified: 0 };
        if self.shard.is_plain() {
            let place = self.place(root + 1, None);
            let position = match &self.reading {
                Some(reading) => reading.position(root),
                None => format!("{{\"index\":{number}}}"),
            };
            let input = match self.lists() {
                true => listed(&id, item.json),
                false => {
                    let kind = if item.is_json { ItemKind::Json } else { ItemKind::Text };
                    object(&origin, id.clone(), item.text.into(), kind, Some(position))
                }
            };
            self.push(input, place);
            self.flush_if_full().await?;
        } else {
            let body = Body::whole(item.text.into());
            let within = start.within.as_ref().filter(|_| start.root == root);
            let cursor = within.map(|place| &place.cursor);
            let piece = mapring_readers::Piece::Whole;
            let reader = Reader::new(&self.shard.formats, &whole, &piece, cursor);
            let reader = reader.map_err(|error| Error::invalid(error.to_string()))?;
            self.read(reader, &body, &origin).await?;
        }
        Ok(self.left == Some(0))
    }

    /// Whether the inputs themselves are the results.
    pub(super) fn lists(&self) -> bool {
        matches!(self.lane.request.work, Work::Keys { .. })
    }

    /// An item as functions get it.
    fn input(&self, origin: &Origin<'_>, item: Item) -> Result<MapInput, UnitEnd> {
        let Item { key, position, data, kind } = item;
        if self.lists() {
            return Ok(listed(origin.id, value(&data, kind, key.as_deref(), origin.id)?));
        }
        let id = match key {
            Some(key) => ObjectId::new(origin.id.bucket.clone(), key),
            None => origin.id.clone(),
        };
        let keydata = match (position, origin.keydata) {
            (position, None) => position,
            (None, Some(given)) => Some(given.0.clone()),
            // What the query gives stands beside what the format does.
            (Some(position), Some(given)) => {
                let begun = position.trim_end_matches('}');
                let comma = if begun.len() > 1 { "," } else { "" };
                Some(format!("{begun}{comma}\"keydata\":{}}}", given.0))
            }
        };
        Ok(object(origin, id, data, kind, keydata))
    }

    pub(super) fn push(&mut self, input: MapInput, place: Cursor) {
        self.bytes += input.record.as_ref().map_or(0, Record::len);
        self.bytes += input.keydata.as_ref().map_or(0, |text| text.0.len());
        self.items.push_back((input, place));
        self.left = self.left.map(|left| left.saturating_sub(1));
    }

    /// How many inputs are worked on at once.
    fn at_once(&self) -> usize {
        self.lane.budget.of(limits::CALL_INPUTS)
    }

    /// Works on what waits when that is enough for a call.
    pub(super) async fn flush_if_full(&mut self) -> Result<(), UnitEnd> {
        match self.items.len() >= self.at_once() || self.bytes >= limits::CALL_BYTES {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    /// Works on everything that waits.
    async fn flush(&mut self) -> Result<(), UnitEnd> {
        if self.items.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let permit = self.lane.permits.acquire().await?;
        let (mut inputs, mut places): (VecDeque<MapInput>, VecDeque<Cursor>) =
            std::mem::take(&mut self.items).into_iter().unzip();
        while !inputs.is_empty() {
            for outcome in self.lane.step(&mut inputs, &mut self.pager).await? {
                let done = outcome.inputs().min(places.len());
                let Some(place) = places.drain(..done).next_back() else { break };
                self.pager.add(outcome, Progress::After(place)).await?;
            }
            self.pager.end_call().await?;
        }
        self.pager.end_if_late().await?;
        self.pager.end_if_large().await?;
        drop(permit);
        Ok(())
    }

    /// The reader has met damage, and goes on behind it where the query leaves out what fails.
    async fn damaged(
        &mut self,
        error: &ReadError,
        origin: &Origin<'_>,
        place: Cursor,
    ) -> Result<(), UnitEnd> {
        // What comes before it is worked on before.
        self.flush().await?;
        let message = format!("the input {} is damaged: {error}", origin.id);
        let broken = Broken {
            phase: self.lane.request.phase,
            error: ScriptError::new(FailureCause::Damaged, message),
            input: Some((origin.id.clone(), origin.keydata.cloned())),
        };
        if !self.lane.request.options.skip {
            return Err(UnitEnd::Broken(Box::new(broken)));
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.pager.uncalled(1);
        self.pager.add(Outcome::Skipped(Box::new(broken)), Progress::After(place)).await
    }

    /// A root is not there.
    pub(super) async fn miss(&mut self, object: &ShardObject) -> Result<(), UnitEnd> {
        if self.shard.fails_on_missing {
            return Err(self.broken(FailureCause::Missing, missing(&object.id), object));
        }
        self.flush().await?;
        self.pager.missing(1);
        Ok(())
    }

    fn broken(&self, cause: FailureCause, message: String, object: &ShardObject) -> UnitEnd {
        UnitEnd::Broken(Box::new(Broken {
            phase: self.lane.request.phase,
            error: ScriptError::new(cause, message),
            input: Some((object.id.clone(), object.keydata.clone())),
        }))
    }
}

impl Lane {
    /// The values of an object that are not deleted.
    async fn open_values(&self, object: &ShardObject) -> Result<Held> {
        let open = || async {
            let _read = self.node.permits.read(self.terms.is_some()).await?;
            let opened = match self.request.options.consistency {
                Consistency::All => self.node.objects.open_body_at_all(&object.id).await?,
                Consistency::One | Consistency::Quorum => {
                    self.node.objects.open_body(&object.id).await?
                }
            };
            let values = opened.map(|opened| opened.values).unwrap_or_default();
            Ok(values.into_iter().filter(|value| !value.sibling.deleted).collect())
        };
        match object.write {
            Some(_) => self.node.roots.open_shared(self.request.query, &object.id, open).await,
            None => self.node.roots.open(open).await,
        }
    }
}

/// Pulls items for a call.
fn pull(mut reader: Reader, most: usize, room: usize) -> (Reader, Given, Stop) {
    let (mut given, mut bytes) = (Vec::new(), 0);
    let stop = loop {
        if given.len() >= most || (bytes >= room && !given.is_empty()) {
            break Stop::Full;
        }
        match reader.pull() {
            Ok(Pulled::Item(item)) => {
                bytes += item.data.len() + item.position.as_ref().map_or(0, String::len);
                given.push((Ok(item), reader.cursor()));
            }
            Ok(Pulled::Need(at)) => break Stop::Need(at),
            Ok(Pulled::End) => break Stop::End,
            Err(error) => given.push((Err(error), reader.cursor())),
        }
    };
    (reader, given, stop)
}

/// An item as an object, as functions know them.
fn object(
    origin: &Origin<'_>,
    id: ObjectId,
    data: Bytes,
    kind: ItemKind,
    keydata: Option<String>,
) -> MapInput {
    let content_type = match kind {
        ItemKind::Text => "text/plain",
        ItemKind::Json => "application/json",
        ItemKind::Bytes => "application/octet-stream",
    };
    let mut object = Object::default();
    let sibling = Sibling {
        dot: origin.write,
        last_modified: origin.last_modified,
        deleted: false,
        metadata: Metadata { content_type: content_type.into(), ..Metadata::default() },
        body: data,
    };
    object.update(&VersionVector::new(), sibling);
    MapInput { id, keydata: keydata.map(JsonText), record: Some(Record::encode(&object)) }
}

/// An input that is itself the result: its JSON stands in the place of key data.
pub(super) fn listed(id: &ObjectId, json: String) -> MapInput {
    MapInput { id: id.clone(), keydata: Some(JsonText(json)), record: None }
}

/// An item as a JSON value: JSON as it is, other text as a string; with a key, both as a list.
fn value(
    data: &Bytes,
    kind: ItemKind,
    key: Option<&str>,
    id: &ObjectId,
) -> Result<String, UnitEnd> {
    let no_text =
        || Error::invalid(format!("what lies in {id} is no text, and no result can be made of it"));
    let text = std::str::from_utf8(data).map_err(|_| no_text())?;
    let is_json = kind == ItemKind::Json && serde_json::from_str::<&RawValue>(text).is_ok();
    let value = if is_json { text.to_owned() } else { json::string_literal(text) };
    Ok(match key {
        Some(key) => format!("[{},{value}]", json::string_literal(key)),
        None => value,
    })
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
