//! Clients that write, delete and read keys of their own.
//!
//! A writer leaves a key alone for ever once it does not know what became of a write: so the states
//! of a key are a sequence, and every answer can be checked.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use mapring_kv::{DeleteOptions, GetOptions, NewValue, PutOptions};
use mapring_types::{
    BucketId, Entropy, Error, ErrorKind, IndexValue, Link, Metadata, Object, ObjectId, Quorum,
    Result, VersionVector,
};
use tokio::time::{Instant, sleep, timeout};

use crate::buckets::{self, NUMBERS, POINTERS, strict};
use crate::history::Span;
use crate::limits;
use crate::node::Life;
use crate::random::Random;
use crate::replicas::{self, Holder};
use crate::selections;
use crate::world::World;

/// A client with keys of its own.
pub(crate) struct Writer {
    number: u64,
    random: Random,
    keys: Vec<Key>,
    made: u64,
}

#[derive(Clone)]
struct Key {
    name: String,
    /// What the writer has seen of it.
    context: Option<VersionVector>,
    /// Whether the writer has not deleted it.
    lives: bool,
}

impl Writer {
    pub(crate) fn new(number: u64, random: Random) -> Self {
        Self { number, random, keys: Vec::new(), made: 0 }
    }

    /// Stores the objects that everything begins with.
    pub(crate) async fn load(&mut self, world: &World) {
        for _ in 0..self.random.within(limits::OBJECTS) {
            self.create(world).await;
        }
    }

    /// Works until the end.
    pub(crate) async fn work(mut self, world: &World, end: Instant) {
        while Instant::now() < end {
            sleep(Duration::from_millis(self.random.within(limits::THINKING_MS))).await;
            let chosen = self.random.below(self.keys.len() as u64);
            let Some(key) = usize::try_from(chosen).ok().and_then(|at| self.keys.get(at)).cloned()
            else {
                self.create(world).await;
                continue;
            };
            match self.random.below(100) {
                0..50 => self.put(world, key).await,
                50..65 if world.shape.deletes && key.lives => self.delete(world, key).await,
                65..90 => read(world, &self.random, &key).await,
                _ => self.create(world).await,
            }
        }
    }

    async fn create(&mut self, world: &World) {
        self.made += 1;
        // Those of even number are written and read strictly.
        let name = format!("w{}-{}", self.number, self.made);
        let key = Key { name, context: None, lives: false };
        self.keys.push(key.clone());
        self.put(world, key).await;
    }

    async fn put(&mut self, world: &World, key: Key) {
        let value = world.next_value(&self.random);
        let indexes = selections::terms(&key.name, value);
        let content_type = "application/json".into();
        let new = NewValue {
            metadata: Metadata { content_type, indexes, ..Metadata::default() },
            body: Bytes::from(selections::body(&key.name, value)),
            deleted: false,
        };
        self.write(world, key, Some(value), new).await;
    }

    async fn write(&mut self, world: &World, key: Key, value: Option<u64>, new: NewValue) {
        let Some(life) = self.place(world, &key.name) else { return };
        world.begin(&key.name, value, &life);
        // Clocks that are seconds off do not tell which write is the later one.
        let says_what_it_saw = world.shape.bad_clocks || self.random.per_mille(500);
        let context = key.context.clone().filter(|_| says_what_it_saw);
        let (id, options) = (buckets::number(&key.name), put_options(&key.name));
        let put = life.kv.put(&id, context, new, &options);
        let done = patiently(world, &life, "put", put).await;
        let done = done.map(|object| Key {
            name: key.name.clone(),
            context: Some(object.clock),
            lives: value.is_some(),
        });
        self.ended(world, &key.name, done);
    }

    async fn delete(&mut self, world: &World, key: Key) {
        if world.shape.bad_clocks {
            // As a write, which tells what the next one must say that it has seen.
            let tombstone = NewValue { deleted: true, ..NewValue::default() };
            return self.write(world, key, None, tombstone).await;
        }
        let Some(life) = self.place(world, &key.name) else { return };
        world.begin(&key.name, None, &life);
        let PutOptions { pw, timeout, .. } = put_options(&key.name);
        let options = DeleteOptions { pr: pw, pw, timeout, ..DeleteOptions::default() };
        let id = buckets::number(&key.name);
        let delete = life.kv.delete(&id, None, &options);
        let done = patiently(world, &life, "delete", delete).await;
        // Who finds nothing to delete writes nothing.
        let found = done.and_then(|found| {
            let nothing = || Error::new(ErrorKind::NotFound, "nothing was there to be deleted");
            if found { Ok(()) } else { Err(nothing()) }
        });
        if key.lives && found.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            not_found(world, &life, &key.name);
        }
        let name = key.name.clone();
        self.ended(world, &key.name, found.map(|()| Key { name, context: None, lives: false }));
    }

    /// The node to write at. A node that passes a write on may have to pass it on twice, and then
    /// two values bear it: where the later is not known by the clock this would be ambiguous.
    fn place(&self, world: &World, key: &str) -> Option<std::sync::Arc<Life>> {
        if world.shape.bad_clocks {
            return world.primary(&self.random, &buckets::number(key), world.shape.n_val);
        }
        world.somebody(&self.random)
    }

    /// A key whose state is unknown is left alone from now on.
    fn ended(&mut self, world: &World, name: &str, done: Result<Key>) {
        match &done {
            Ok(now) => {
                self.keys.iter_mut().filter(|key| key.name == name).for_each(|key| {
                    key.clone_from(now);
                });
            }
            Err(_) => self.keys.retain(|key| key.name != name),
        }
        world.ended(name, done.map(|_| ()));
    }
}

/// Stores objects that point to keys, as their value and as a link. Each has its number as a term of
/// an index.
pub(crate) async fn point_to(world: &World, random: &Random, keys: Vec<String>) {
    for (number, key) in (0..).zip(keys) {
        let Some(life) = world.somebody(random) else { continue };
        let link = Link { bucket: NUMBERS.into(), key: key.clone().into(), tag: "to".into() };
        let content_type = "application/json".into();
        let indexes = vec![("pointer_int".to_owned(), IndexValue::Int(number.to_string()))];
        let metadata = Metadata { content_type, links: vec![link], indexes, ..Metadata::default() };
        let body = Bytes::from(format!("[\"{NUMBERS}\",\"{key}\"]"));
        let value = NewValue { metadata, body, deleted: false };
        let id = ObjectId::new(BucketId::untyped(POINTERS), format!("p{number}"));
        let options = PutOptions::default();
        let stored = life.kv.put(&id, None, value, &options);
        if life.serve(stored).await.is_ok() {
            world.points_to(number, key);
        }
    }
}

fn put_options(key: &str) -> PutOptions {
    let pw = if strict(key) { Quorum::Majority } else { Quorum::Default };
    PutOptions { pw, timeout: Some(limits::CLIENT_PATIENCE), ..PutOptions::default() }
}

async fn read(world: &World, random: &Random, key: &Key) {
    let Key { name: key, lives, .. } = key;
    let Some(life) = world.somebody(random) else { return };
    let pr = if strict(key) { Quorum::Majority } else { Quorum::Default };
    let alone = !strict(key) && random.per_mille(500);
    let r = if alone { Quorum::One } else { Quorum::Default };
    let timeout = Some(limits::CLIENT_PATIENCE);
    let options = GetOptions { r, pr, timeout, ..GetOptions::default() };
    let id = buckets::number(key);
    let from = world.trace.now();
    let got = patiently(world, &life, "get", life.kv.get(&id, &options)).await;
    // What is read otherwise than with pr=quorum may be old, but must have been written.
    let span = Span { from: if strict(key) { from } else { 0 }, to: world.trace.now() };
    let seen = got.and_then(|object| number(object.as_ref()));
    world.trace.note(format!("read {key} at {}: {seen:?}", life.name()));
    world.count(|figures| match &seen {
        Ok(_) => figures.reads += 1,
        Err(_) => figures.failed_reads += 1,
    });
    let Ok(seen) = seen else { return };
    world.check(|history| history.check_read(key, seen, span).into_iter().collect());
    if seen.is_none() && *lives {
        not_found(world, &life, key);
    }
}

/// A key was not found that had been written and not been deleted.
fn not_found(world: &World, life: &Life, key: &str) {
    let now = world.trace.now();
    let span = Span { from: now, to: now };
    if world.look_back(|history| history.check_read(key, None, span)).is_none() {
        // Copies were put back since it was written.
        return;
    }
    let holders =
        replicas::holders(world, &buckets::number(key), world.shape.n_val).unwrap_or_default();
    let out_of_sight = |holder: &Holder| {
        // Of a single replica any stand-in can have acknowledged a write alone, also one that the node
        // takes for down and did not ask.
        let view = life.kv.cluster().view();
        let seen = world.shape.n_val > 1 || view.is_up(holder.node);
        let asked = seen && world.hear_each_other(life.node, holder.node) && !world.is_stormy();
        !holder.primary && !asked
    };
    if !holders.is_empty() && holders.iter().all(out_of_sight) {
        // Nobody can know what stand-ins alone acknowledged who cannot be asked.
        world.trace.note(format!("{key} is known to stand-ins alone that cannot be asked"));
        return;
    }
    let node = life.name();
    world.trace.violation(format!("{key} was not found at {node}, though it exists: {holders:?}"));
}

/// The number that a reader gets.
fn number(object: Option<&Object>) -> Result<Option<u64>> {
    let newest = object.and_then(Object::newest).filter(|newest| !newest.deleted);
    let Some(newest) = newest else { return Ok(None) };
    let text = std::str::from_utf8(&newest.body).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Error::corrupt("a value is no number"))
}

/// Lets a node work on a read or write; it must keep to its own deadline, and must not be delayed by
/// another one that alone is at fault.
pub(crate) async fn patiently<T>(
    world: &World,
    life: &Life,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let (from, began, pauses) = (world.trace.now(), Instant::now(), life.pauses());
    let most = limits::CLIENT_PATIENCE + limits::GRACE;
    let done = timeout(most, life.serve(work)).await;
    let took = began.elapsed();
    let stood_still = life.pauses() > pauses || life.is_paused();
    if !stood_still && world.others_alone(life.node, from) {
        world.count(|figures| figures.slowest = figures.slowest.max(took));
        if took > limits::DELAY + limits::ALLOWANCE {
            let node = life.name();
            world.trace.violation(format!("a {what} at {node} was delayed: it took {took:?}"));
        }
    }
    done.unwrap_or_else(|_| {
        if !stood_still {
            world.trace.violation(format!("a {what} went on for longer than {most:?}"));
        }
        Err(Error::timeout("the client has lost its patience"))
    })
}
