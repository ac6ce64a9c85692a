//! Dividing sources into what nodes work on.
//!
//! Objects of a bucket and listed objects are worked on where they are, as in any query. What lies within
//! objects, or is made, is divided into shards, which any node can work through.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mapring_kv::OpenValue;
use mapring_readers::{
    Format, Generator, KeySample, MemberList, MemberPieces, MembersPulled, Piece, split as cut,
};
use mapring_script::{FailureCause, Row, ScriptError};
use mapring_types::clock::Dot;
use mapring_types::{Error, ErrorKind, ObjectId, Result as KvResult};
use tokio::sync::mpsc;

use super::inputs::key;
use super::reading;
use super::shared::Shared;
use crate::earlier::EarlierResults;
use crate::failure::{FailedInput, Failure, FailureKind};
use crate::grammar::{
    Inputs, KeyInput, Options, Output, PackedKeys, Part, Query, Roots, Scan, Spec,
};
use crate::graph::StageGraph;
use crate::handle::QueryHandle;
use crate::limits;
use crate::objects::Objects;
use crate::results::PhaseResults;
use crate::shard::{Shard, ShardObject, ShardRoots};

/// A source that is being divided.
pub(super) type Splitting = BoxFuture<'static, Result<Divided, Failure>>;

/// Runs a query, and sends what it gives.
pub(super) type Running = fn(
    Shared,
    Query,
    mpsc::Sender<Result<PhaseResults, Failure>>,
) -> BoxFuture<'static, Result<(), Failure>>;

/// What a source was divided into.
#[derive(Default)]
pub(super) struct Divided {
    /// In the order of the inputs.
    pub(super) given: Vec<Given>,
    /// Listed objects that do not exist.
    pub(super) missing: u64,
}

/// Some of the inputs.
pub(super) enum Given {
    /// Objects of a bucket.
    Scan(Box<Scan>),
    /// Named objects.
    Keys(Arc<PackedKeys>),
    /// Shards, of all of which together no more than so many inputs are wanted.
    Shards(Vec<Shard>, Option<u64>),
}

/// Divides the source that a query has as its inputs, for a cluster of so many nodes.
/// The objects of buckets are found by a query of their own, which is run as said.
pub(super) fn split(shared: Shared, query: Query, nodes: usize, run: Running) -> Splitting {
    async move {
        let Inputs::Source(source) = &query.spec().inputs else { return Ok(Divided::default()) };
        let mut asked = query.spec().options.shards;
        let graph = shared.handle.graph();
        if graph.sharded() == Some(graph.entry()) {
            // Each shard gives an object: the nodes have nothing to do with that.
            asked = asked.or(Some(limits::OUTPUT_SHARDS.into()));
        }
        let usual = limits::SHARDS_PER_NODE.saturating_mul(nodes as u64).min(limits::SHARDS);
        let divided = Divided::default();
        let mut splitter = Splitter { shared, query: &query, run, asked, usual, made: 0, divided };
        for part in &source.parts {
            splitter.part(part).await?;
        }
        Ok(splitter.divided)
    }
    .boxed()
}

struct Splitter<'q> {
    shared: Shared,
    query: &'q Query,
    run: Running,
    /// How many shards the query wants.
    asked: Option<u64>,
    /// How many suit the cluster.
    usual: u64,
    /// How many items the generators before this part have made.
    made: u64,
    divided: Divided,
}

impl Splitter<'_> {
    async fn part(&mut self, part: &Part) -> Result<(), Failure> {
        let given = match &part.roots {
            Roots::Scan(scan) if part.is_plain() && part.most.is_none() => {
                let mut scan = scan.clone();
                scan.narrowing.samples.extend(self.samples(part));
                Given::Scan(Box::new(scan))
            }
            Roots::Scan(scan) => {
                let mut scan = scan.clone();
                if part.is_plain() {
                    scan.narrowing.samples.extend(self.samples(part));
                }
                // What is taken out of objects may be none: then as many as there are may be needed.
                let keys = self.list(scan, part.most.filter(|_| part.is_plain())).await?;
                self.objects(part, keys).await?
            }
            Roots::Keys(keys) => self.listed(part, keys).await?,
            Roots::Generated(generator) => self.generated(part, generator),
            Roots::Job(id) => {
                let EarlierResults { rows, are_names } = self.earlier(id).await?;
                if are_names {
                    let named = rows.into_iter().map(|row| key(0, &Row::value(row)));
                    let named = named.collect::<Result<Vec<_>, Failure>>()?;
                    self.listed(part, &Arc::new(packed(&named))).await?
                } else {
                    self.generated(part, &Generator::Items(rows))
                }
            }
            Roots::Reader(reader) => {
                let wanted = self.asked.unwrap_or(self.usual);
                let (function, states) = reading::states(&self.shared, reader, wanted).await?;
                let shard = |(index, state)| {
                    let function = function.clone();
                    self.shard(part, ShardRoots::Reader { function, index, state })
                };
                Given::Shards((0u32..).zip(states).map(shard).collect(), part.most)
            }
            Roots::Buckets { bucket_type, prefix } => {
                let names = self.buckets(bucket_type, prefix).await?;
                self.named(part, "buckets", names)
            }
            Roots::BucketTypes { prefix } => {
                let view = self.shared.cluster.view();
                let known = view.state.bucket_types.keys().map(String::as_str);
                let mut names: Vec<String> = known.chain(["default"]).map(str::to_owned).collect();
                names.retain(|name| name.starts_with(prefix.as_str()));
                names.sort_unstable();
                names.dedup();
                self.named(part, "bucket_types", names)
            }
        };
        self.divided.given.push(given);
        Ok(())
    }

    /// Named objects.
    async fn listed(&mut self, part: &Part, keys: &Arc<PackedKeys>) -> Result<Given, Failure> {
        if part.formats.is_empty() && part.most.is_none() {
            return Ok(Given::Keys(keys.clone()));
        }
        let samples = if part.is_plain() { self.samples(part) } else { Vec::new() };
        let kept = |input: &KeyInput| samples.iter().all(|sample| sample.keeps(&input.id.key));
        let keys = keys.iter().filter(kept).collect();
        self.objects(part, keys).await
    }

    /// What a job has given.
    async fn earlier(&self, id: &str) -> Result<EarlierResults, Failure> {
        let found = match self.shared.node.earlier.get() {
            Some(jobs) => jobs.results(id).await,
            None => Err(Error::unavailable("this node keeps no jobs")),
        };
        found.map_err(|error| Failure::from(error).in_phase(0))
    }

    /// What samples follow that have no seed of their own.
    fn seed(&self) -> u64 {
        self.shared.context.seed
    }

    fn samples(&self, part: &Part) -> Vec<KeySample> {
        let sample = |format: &Format| match format {
            Format::Sample { share, seed } => {
                Some(KeySample { share: *share, seed: seed.unwrap_or(self.seed()) })
            }
            _ => None,
        };
        part.formats.iter().filter_map(sample).collect()
    }

    /// Into how many shards so many things are divided.
    fn shards(&self, things: u64, usual: u64) -> u64 {
        self.asked.unwrap_or(usual).min(things)
    }

    fn shard(&self, part: &Part, roots: ShardRoots) -> Shard {
        Shard {
            roots,
            formats: part.formats.clone(),
            fails_on_missing: part.fails_on_missing,
            seed: self.seed(),
        }
    }

    fn generated(&mut self, part: &Part, generator: &Generator) -> Given {
        let base = self.made;
        self.made += generator.count();
        // The first so many are known where nothing is left out or taken apart.
        let (count, most) = match part.most {
            Some(most) if part.formats.is_empty() => (generator.count().min(most), None),
            most => (generator.count(), most),
        };
        let usual = self.usual.min(count.div_ceil(limits::SHARD_ITEMS));
        let shards = spread(count, self.shards(count, usual)).map(|(first, count)| {
            // A list is divided, all else counts from its own beginning.
            let (generator, base, first) = match generator {
                Generator::Items(items) => {
                    let from = usize::try_from(first).unwrap_or(usize::MAX);
                    let until = from.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
                    let items = items.get(from..until.min(items.len())).unwrap_or_default();
                    (Generator::Items(items.to_vec()), base + first, 0)
                }
                other => (other.clone(), base, first),
            };
            self.shard(part, ShardRoots::Generated { generator, base, first, count })
        });
        Given::Shards(shards.collect(), most)
    }

    fn named(&mut self, part: &Part, kind: &str, mut names: Vec<String>) -> Given {
        let base = self.made;
        let mut most = part.most;
        if part.formats.is_empty() {
            let first = most.take().and_then(|most| usize::try_from(most).ok());
            names.truncate(first.unwrap_or(usize::MAX));
        }
        let count = names.len() as u64;
        self.made += count;
        let usual = self.usual.min(count.div_ceil(limits::SHARD_ITEMS));
        let mut names = names.into_iter();
        let shards = spread(count, self.shards(count, usual)).map(|(first, count)| {
            let names = names.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
            let kind = kind.to_owned();
            self.shard(part, ShardRoots::Named { kind, base: base + first, names })
        });
        Given::Shards(shards.collect(), most)
    }

    /// The objects of a part, as they are or divided.
    async fn objects(&mut self, part: &Part, mut keys: Vec<KeyInput>) -> Result<Given, Failure> {
        if part.is_plain() {
            let first = part.most.and_then(|most| usize::try_from(most).ok());
            keys.truncate(first.unwrap_or(usize::MAX));
            return Ok(Given::Keys(Arc::new(packed(&keys))));
        }
        let divides =
            part.formats.first().filter(|lowest| lowest.splits_bytes() || **lowest == Format::Zip);
        let wanted = self.asked.unwrap_or(self.usual);
        let shards = match divides {
            Some(lowest) if (keys.len() as u64) < wanted => self.divide(part, lowest, keys).await?,
            _ => self.whole(part, keys),
        };
        Ok(Given::Shards(shards, part.most))
    }

    /// Shards of whole objects.
    fn whole(&self, part: &Part, keys: Vec<KeyInput>) -> Vec<Shard> {
        let mut shards = Vec::new();
        let count = keys.len() as u64;
        let mut keys = keys.into_iter();
        for (_, count) in spread(count, self.shards(count, self.usual)) {
            let (mut objects, mut bytes) = (Vec::new(), 0);
            for input in keys.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX)) {
                bytes += bytes_of(&input);
                // A shard is one message.
                if bytes > limits::BATCH_BYTES && !objects.is_empty() {
                    let full = std::mem::take(&mut objects);
                    shards.push(self.shard(part, ShardRoots::Objects(full)));
                    bytes = bytes_of(&input);
                }
                objects.push(whole(input));
            }
            shards.push(self.shard(part, ShardRoots::Objects(objects)));
        }
        shards
    }

    /// Shards of few objects: each is a shard at least, and large ones are several.
    async fn divide(
        &mut self,
        part: &Part,
        lowest: &Format,
        keys: Vec<KeyInput>,
    ) -> Result<Vec<Shard>, Failure> {
        let objects = self.shared.objects.clone();
        let opened = stream::iter(keys).map(|input| {
            let objects = objects.clone();
            async move { Ok((living(objects.as_ref(), &input.id).await?, input)) }.boxed()
        });
        // Of what was opened only the lengths are kept.
        let opened = opened.buffered(limits::OPENED_AT_ONCE).map_ok(|(values, input)| {
            let lengths = values.iter().map(|value| (value.sibling.dot, value.body.len()));
            (input, lengths.collect::<Vec<(Dot, u64)>>())
        });
        let opened: KvResult<Vec<_>> = opened.try_collect().await;
        let opened = opened?;
        let total: u64 =
            opened.iter().flat_map(|(_, values)| values).map(|(_, length)| length).sum();
        let mut shards = Vec::new();
        for (input, values) in opened {
            if values.is_empty() {
                self.miss(part, input)?;
                continue;
            }
            let mut pieces = Vec::new();
            for (write, length) in values {
                let wanted = self.pieces(length, total);
                let into = match (wanted, lowest) {
                    (..=1, _) => vec![Piece::Whole],
                    (wanted, Format::Zip) => self.member_pieces(&input.id, write, wanted).await?,
                    (wanted, _) => cut(length, wanted),
                };
                pieces.extend(into.into_iter().map(|piece| (write, piece)));
            }
            if pieces.iter().all(|(_, piece)| *piece == Piece::Whole) {
                shards.push(self.shard(part, ShardRoots::Objects(vec![whole(input)])));
                continue;
            }
            for (write, piece) in pieces {
                let object = ShardObject { piece, write: Some(write), ..whole(input.clone()) };
                shards.push(self.shard(part, ShardRoots::Objects(vec![object])));
            }
        }
        Ok(shards)
    }

    /// The members of an archive in so many pieces. Where the directory is damaged, or the archive was
    /// written again meanwhile, it is one piece: who reads it tells of that.
    async fn member_pieces(&self, id: &ObjectId, write: Dot, wanted: u64) -> KvResult<Vec<Piece>> {
        let values = living(self.shared.objects.as_ref(), id).await?;
        let Some(value) = values.into_iter().find(|value| value.sibling.dot == write) else {
            return Ok(vec![Piece::Whole]);
        };
        let (body, mut unpacked) = (value.body, 0u64);
        if !members(&body, |member| unpacked = unpacked.saturating_add(member.size)).await? {
            return Ok(vec![Piece::Whole]);
        }
        let mut gathered = MemberPieces::new((unpacked / wanted.max(1)).max(1));
        let mut pieces = Vec::new();
        members(&body, |member| pieces.extend(gathered.push(member))).await?;
        pieces.extend(gathered.end());
        Ok(if pieces.is_empty() { vec![Piece::Whole] } else { pieces })
    }

    /// Into how many pieces a value of so many bytes is divided, of so many in all.
    fn pieces(&self, length: u64, total: u64) -> u64 {
        match self.asked {
            Some(asked) => {
                let share = u128::from(asked) * u128::from(length) / u128::from(total.max(1));
                u64::try_from(share).unwrap_or(u64::MAX)
            }
            None => {
                let few = (length / limits::SHARD_BYTES).min(self.usual);
                few.max(length / limits::LARGEST_SHARD_BYTES).min(limits::SHARDS)
            }
        }
    }

    /// A listed object is not there.
    fn miss(&mut self, part: &Part, KeyInput { id, keydata }: KeyInput) -> Result<(), Failure> {
        if !part.fails_on_missing {
            self.divided.missing += 1;
            return Ok(());
        }
        let error = ScriptError::new(FailureCause::Missing, missing(&id));
        let failure = Failure::function(&error).in_phase(0);
        Err(failure.of(FailedInput::Object { id, keydata }))
    }

    /// The names of the objects of a bucket, in order.
    async fn list(&self, scan: Scan, most: Option<u64>) -> Result<Vec<KeyInput>, Failure> {
        let own = self.query.spec();
        let options =
            Options { limit: most, consistency: own.options.consistency, ..Options::default() };
        let query = Query::new(Spec {
            inputs: Inputs::Scan(scan),
            phases: Vec::new(),
            options,
            output: Output::default(),
            name: None,
            params: None,
            timeout: own.timeout,
            text: own.text.clone(),
            ignored: Vec::new(),
        });
        let (id, graph) = (self.shared.handle.id(), StageGraph::of(query.spec()));
        let handle = QueryHandle::new(id, String::new(), query.clone(), graph);
        let shared = Shared { handle: Arc::new(handle), ..self.shared.clone() };
        let (sender, mut receiver) = mpsc::channel(1);
        let running = (self.run)(shared, query, sender);
        let taken = async {
            let (mut keys, mut bytes) = (Vec::new(), 0);
            while let Some(results) = receiver.recv().await {
                let PhaseResults { values, .. } = results?;
                for value in values {
                    let input = key(0, &value)?;
                    bytes += bytes_of(&input);
                    keys.push(input);
                }
                within_bounds(bytes)?;
            }
            keys.sort_unstable_by(|one: &KeyInput, other| one.id.cmp(&other.id));
            Ok(keys)
        };
        futures::try_join!(running, taken).map(|((), keys)| keys)
    }

    async fn buckets(&self, bucket_type: &str, prefix: &str) -> Result<Vec<String>, Failure> {
        let view = self.shared.cluster.view();
        let known = bucket_type == "default" || view.state.bucket_types.contains_key(bucket_type);
        if !known {
            let message = format!("there is no bucket type {bucket_type}");
            return Err(Failure::new(FailureKind::Node(ErrorKind::NotFound), message).in_phase(0));
        }
        let (named, left) = (Bytes::from(bucket_type.to_owned()), self.shared.time_left());
        let mut pages = self.shared.objects.list_buckets(named, left);
        let (mut names, mut bytes) = (Vec::new(), 0);
        while let Some(page) = pages.try_next().await? {
            for name in page.iter().filter(|name| name.starts_with(prefix.as_bytes())) {
                bytes += name.len() + 24;
                names.push(text(name)?);
            }
            within_bounds(bytes)?;
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// What is told of an object that is not there.
pub(crate) fn missing(id: &ObjectId) -> String {
    format!("the input {id} does not exist")
}

fn whole(input: KeyInput) -> ShardObject {
    let KeyInput { id, keydata } = input;
    ShardObject { id, keydata, piece: Piece::Whole, write: None }
}

fn packed(keys: &[KeyInput]) -> PackedKeys {
    let mut packed = PackedKeys::default();
    for KeyInput { id, keydata } in keys {
        // What was read from JSON is text.
        let key = String::from_utf8_lossy(&id.key);
        packed.push(id.bucket.clone(), &key, keydata.as_ref().map(|text| text.0.as_str()));
    }
    packed
}

fn text(name: &Bytes) -> Result<String, Failure> {
    String::from_utf8(name.to_vec()).map_err(|_| {
        let name = name.escape_ascii();
        let message =
            format!("the bucket {name} has a name that is not UTF-8, which no function gets");
        Failure::new(FailureKind::Node(ErrorKind::Invalid), message).in_phase(0)
    })
}

fn bytes_of(input: &KeyInput) -> usize {
    let keydata = input.keydata.as_ref().map_or(0, |text| text.0.len());
    64 + input.id.bucket.name.len() + input.id.key.len() + keydata
}

fn within_bounds(bytes: usize) -> Result<(), Failure> {
    if bytes <= limits::LISTED_BYTES {
        return Ok(());
    }
    let message = format!(
        "the names of the objects that inputs are to be taken out of have more than {} bytes: \
         a \"prefix\" or \"filters\" make them fewer",
        limits::LISTED_BYTES
    );
    Err(Failure::new(FailureKind::Node(ErrorKind::TooLarge), message).in_phase(0))
}

/// So many things in so many shares, which differ by one at the most: where each begins, and its size.
fn spread(count: u64, shares: u64) -> impl Iterator<Item = (u64, u64)> {
    let (least, more) = (count / shares.max(1), count % shares.max(1));
    (0..shares).map(move |share| {
        let first = share * least + share.min(more);
        (first, least + u64::from(share < more))
    })
}

/// In which of so many shares, as they are made by [`spread`], a thing is.
pub(super) fn share_of(at: u64, count: u64, shares: u64) -> u64 {
    if shares <= 1 {
        return 0;
    }
    let (least, more) = (count / shares, count % shares);
    let larger = more * (least + 1);
    if at < larger { at / (least + 1) } else { more + (at - larger) / least.max(1) }
}

/// The values of an object that are not deleted, in order.
async fn living(objects: &dyn Objects, id: &ObjectId) -> KvResult<Vec<OpenValue>> {
    let values = objects.open_body(id).await?.map(|object| object.values).unwrap_or_default();
    Ok(values.into_iter().filter(|value| !value.sibling.deleted).collect())
}

/// Walks through the directory of an archive; gives whether it is sound.
async fn members(
    body: &mapring_kv::Body,
    mut each: impl FnMut(mapring_readers::Member),
) -> KvResult<bool> {
    let mut list = MemberList::new(body.len());
    loop {
        match list.pull() {
            Ok(MembersPulled::Member(member)) => each(member),
            Ok(MembersPulled::Need(at)) => {
                list.feed(at, body.read_at(at, limits::FEED_BYTES).await?);
            }
            Ok(MembersPulled::End) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_differ_by_one_at_the_most() {
        let sizes: Vec<u64> = spread(500, 16).map(|(_, size)| size).collect();
        assert_eq!(sizes.iter().filter(|size| **size == 32).count(), 4);
        assert_eq!(sizes.iter().filter(|size| **size == 31).count(), 12);
        assert_eq!(spread(5, 2).collect::<Vec<_>>(), [(0, 3), (3, 2)]);
        assert_eq!(spread(0, 0).count(), 0);
        assert_eq!((share_of(7, u64::MAX, 1), share_of(u64::MAX - 1, u64::MAX, 2)), (0, 1));
        for (count, shares) in [(500, 16), (5, 2), (7, 7), (64, 8), (16, 3), (1, 1)] {
            let shares_of = (0..).zip(spread(count, shares));
            let all = shares_of.flat_map(|(share, (first, size))| {
                (first..first + size).map(move |at| (at, share))
            });
            for (at, share) in all {
                assert_eq!(share_of(at, count, shares), share, "{at} of {count} in {shares}");
            }
        }
    }
}
