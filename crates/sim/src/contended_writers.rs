//! Clients that write the same keys at the same time, where concurrent values stay beside each
//! other. Everything is written with `pw=quorum` and read with `pr=quorum`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapring_kv::{DeleteOptions, GetOptions, NewValue, PutOptions};
use mapring_types::{Entropy, IndexValue, Metadata, Quorum, Result, VersionVector};
use tokio::time::{Instant, sleep};

use crate::buckets;
use crate::history::Span;
use crate::limits;
use crate::node::Life;
use crate::random::Random;
use crate::siblings::{self, Found};
use crate::world::World;
use crate::writers::patiently;

/// A client.
pub(crate) struct ContendedWriter {
    random: Random,
    /// What it last read of each key, and what it must say to replace that.
    known: BTreeMap<String, (VersionVector, Found)>,
}

impl ContendedWriter {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, known: BTreeMap::new() }
    }

    /// Works until the end.
    pub(crate) async fn work(mut self, world: &World, end: Instant) {
        while Instant::now() < end {
            sleep(Duration::from_millis(self.random.within(limits::THINKING_MS))).await;
            let key = format!("s{}", self.random.below(limits::SHARED_KEYS));
            // A node that passes a write on may have to pass it on twice, and then two values bear
            // it, each with its own dot.
            let Some(life) =
                world.primary(&self.random, &buckets::shared(&key), limits::SHARED_N_VAL)
            else {
                continue;
            };
            let outcome = match self.random.below(100) {
                0..40 => self.read(world, &life, &key).await,
                40..60 => self.put(world, &life, &key, false).await,
                60..90 => self.put(world, &life, &key, true).await,
                _ => self.delete(world, &life, &key).await,
            };
            if let Err(error) = outcome {
                world.trace.note(format!("{key} at {}: {error}", life.name()));
            }
        }
    }

    async fn read(&mut self, world: &World, life: &Arc<Life>, key: &str) -> Result<()> {
        let from = world.trace.now();
        let timeout = Some(limits::CLIENT_PATIENCE);
        let options = GetOptions { pr: Quorum::Majority, timeout, ..GetOptions::default() };
        let id = buckets::shared(key);
        let got = patiently(world, life, "get", life.kv.get(&id, &options)).await;
        world.count(|figures| match &got {
            Ok(_) => figures.reads += 1,
            Err(_) => figures.failed_reads += 1,
        });
        let object = got?;
        let found = siblings::found(object.as_ref());
        let span = Span { from, to: world.trace.now() };
        world.trace.note(format!("read {key} at {} since {from}: {found:?}", life.name()));
        world.check_shared(|shared| shared.check(key, &found, span));
        match object {
            Some(object) => self.known.insert(key.to_owned(), (object.clock, found)),
            None => self.known.remove(key),
        };
        Ok(())
    }

    /// Writes in place of what was read, or beside it.
    async fn put(
        &mut self,
        world: &World,
        life: &Arc<Life>,
        key: &str,
        replace: bool,
    ) -> Result<()> {
        let known = self.known.get(key).cloned().filter(|_| replace);
        let (context, seen) = known.map_or((None, Vec::new()), |(c, seen)| (Some(c), seen));
        let value = world.next_value(&self.random);
        world.begin_shared(key, value, false, &seen, life);
        let indexes = vec![("shared_int".to_owned(), IndexValue::Int("1".to_owned()))];
        let content_type = "text/plain".into();
        let metadata = Metadata { content_type, indexes, ..Metadata::default() };
        let body = Bytes::from(value.to_string());
        let new = NewValue { metadata, body, deleted: false };
        let (pw, timeout) = (Quorum::Majority, Some(limits::CLIENT_PATIENCE));
        let options = PutOptions { pw, timeout, ..PutOptions::default() };
        let id = buckets::shared(key);
        let put = life.kv.put(&id, context, new, &options);
        let done = patiently(world, life, "put", put).await;
        world.ended_shared(key, value, done.is_ok());
        done.map(|_| ())
    }

    async fn delete(&mut self, world: &World, life: &Arc<Life>, key: &str) -> Result<()> {
        let Some((context, seen)) = self.known.remove(key) else { return Ok(()) };
        let number = world.next_value(&self.random);
        world.begin_shared(key, number, true, &seen, life);
        let (pr, pw) = (Quorum::Majority, Quorum::Majority);
        let timeout = Some(limits::CLIENT_PATIENCE);
        let options = DeleteOptions { pr, pw, timeout, ..DeleteOptions::default() };
        let id = buckets::shared(key);
        let delete = life.kv.delete(&id, Some(context), &options);
        let done = patiently(world, life, "delete", delete).await;
        // Where there was nothing to delete nothing has been written.
        world.ended_shared(key, number, matches!(done, Ok(true)));
        done.map(|_| ())
    }
}
