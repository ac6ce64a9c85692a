//! What the objects of a bucket are like: how many there are and how large, which have many siblings, which
//! are tombstones. Counted beside the data, each home partition at one complete replica: from heads alone, but
//! for data types in several values, which readers see as one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, try_unfold};
use futures::{StreamExt, TryStreamExt, stream};
use mapring_engine::ScanDepth;
use mapring_net::{Class, calls};
use mapring_types::{BucketId, Error, NodeId, Object, Record, Release, Result, VersionVector};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::peer::call::within;
use crate::peer::wire::SERVICE;
use crate::request::requests::Requests;
use crate::reserved;
use crate::resolution::Resolution;
use crate::scan::coverage::coverage;
use crate::scan::fold::{Cursor, Selection};
use crate::scan::list::bounded;
use crate::scan::select::Part;
use crate::scan::slices::{At, Avoided, Fetched, Reader};
use crate::storage::objects::Core;
use crate::view;

/// What is looked for in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// The bucket.
    pub bucket: BucketId,
    /// Which keys.
    pub selection: Selection,
    /// Only objects last modified within these seconds of the Unix epoch, both included.
    pub modified: Option<(u64, u64)>,
    /// Which objects, and what is told of them.
    pub wanted: Wanted,
    /// How long it may take.
    pub timeout: Duration,
}

/// Which objects a census tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// None by name: all live ones are counted.
    Figures,
    /// Live ones with more values than so many, and how many they have.
    MoreSiblings(u64),
    /// Live ones of more bytes than so many, and how many they have.
    Larger(u64),
    /// Live ones.
    Live,
    /// Tombstones.
    Tombstones,
    /// Both.
    All,
}

/// An object that a census has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its key.
    pub key: Bytes,
    /// What [`Wanted`] says; else zero.
    pub value: u64,
    /// Its clock.
    pub clock: VersionVector,
}

/// Figures of live objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// How many there are.
    pub count: u64,
    /// Their bytes, with all that they carry.
    pub bytes: u64,
    /// How many have a size of so many decimal digits less one.
    pub sizes: BTreeMap<u32, u64>,
    /// How many have so many values.
    pub siblings: BTreeMap<u64, u64>,
}

impl Figures {
    fn count(&mut self, bytes: u64, siblings: u64) {
        self.count += 1;
        self.bytes += bytes;
        *self.sizes.entry(bytes.checked_ilog10().unwrap_or(0)).or_default() += 1;
        *self.siblings.entry(siblings).or_default() += 1;
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        for (size, count) in &other.sizes {
            *self.sizes.entry(*size).or_default() += count;
        }
        for (siblings, count) in &other.siblings {
            *self.siblings.entry(*siblings).or_default() += count;
        }
    }
}

calls!(SERVICE; AskCensus = 28 => Counted);

/// Asks for a page of a census of a slice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskCensus {
    pub(crate) part: Part,
    pub(crate) wanted: Wanted,
    pub(crate) modified: Option<(u64, u64)>,
}

/// A page of a census.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The objects that it tells of.
    pub found: Vec<Found>,
    /// Figures of those that it has counted.
    pub figures: Figures,
    /// Where to go on; `None` when nothing is left.
    pub(crate) next: Option<Cursor>,
}

impl Counted {
    /// Looks at an object.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn look(
        &mut self,
        key: &Bytes,
        record: &Record,
        call: &AskCensus,
        resolution: Resolution,
    ) -> Result<()> {
        let mut object: Object = Record::decode_without_bodies(&record.head)?;
        let is_tombstone = resolution.is_tombstone(&object);
        resolution.resolve(&mut object);
        let modified = object.last_modified() / 1_000_000;
        if call.modified.is_some_and(|(from, to)| !(from..=to).contains(&modified)) {
            return Ok(());
        }
        let siblings = object.siblings.len() as u64;
        let value = match call.wanted {
            Wanted::Figures if !is_tombstone => {
                self.figures.count(size(record, &object)?, siblings);
                return Ok(());
            }
            Wanted::MoreSiblings(most) if !is_tombstone && siblings > most => siblings,
            Wanted::Larger(most) if !is_tombstone => {
                let bytes = size(record, &object)?;
                if bytes <= most {
                    return Ok(());
                }
                bytes
            }
            Wanted::Live if !is_tombstone => 0,
            Wanted::Tombstones if is_tombstone => 0,
            Wanted::All => 0,
            _ => return Ok(()),
        };
        self.found.push(Found { key: key.clone(), value, clock: object.clock });
        Ok(())
    }
}

/// The bytes of an object, also of those that lie in blocks.
fn size(record: &Record, object: &Object) -> Result<u64> {
    let blocks = object.siblings.iter().filter_map(|sibling| sibling.metadata.blocks.as_ref());
    Ok(Record::len_by_head(&record.head)? + blocks.map(|blocks| blocks.bytes).sum::<u64>())
}

/// See [`crate::Kv::census`].
pub(crate) fn counted(
    requests: Arc<Requests>,
    census: Census,
) -> BoxStream<'static, Result<Counted>> {
    let timeout = census.timeout;
    let slices = async move {
        requests.node.running()?;
        reserved::refuse(&census.bucket)?;
        if !requests.node.vnodes.all_read(Release::JOBS).await? {
            let why =
                "a member runs an earlier release of mapring, which counts nothing for others";
            return Err(Error::unavailable(why));
        }
        let view = requests.node.view();
        let n_val = view::props(&view, &census.bucket)?.n_val;
        let n_val = view.least_n_val(&census.bucket).unwrap_or(n_val);
        let plan = coverage(&requests.staleness, n_val, &BTreeSet::new()).await?;
        let (avoided, census) = (Avoided::default(), Arc::new(census));
        let slices = stream::iter(plan.entries).map(move |entry| {
            let reader = Reader::new(requests.staleness.clone(), n_val, entry, avoided.clone());
            pages(requests.clone(), reader, census.clone())
        });
        Ok::<_, Error>(slices.flatten_unordered(limits::SLICES_AT_ONCE))
    };
    bounded(stream::once(slices).try_flatten().boxed(), timeout)
}

fn pages(
    requests: Arc<Requests>,
    reader: Reader<Counted, Cursor>,
    census: Arc<Census>,
) -> BoxStream<'static, Result<Counted>> {
    let state = (requests, reader, census);
    try_unfold(state, |(requests, mut reader, census)| async move {
        if reader.ended {
            return Ok(None);
        }
        reader.fetch(|_, node, at| page_of(requests.clone(), &census, node, at)).await?;
        let page = reader.items.pop_front().unwrap_or_default();
        Ok(Some((page, (requests, reader, census))))
    })
    .boxed()
}

fn page_of(
    requests: Arc<Requests>,
    census: &Census,
    node: NodeId,
    at: At<Cursor>,
) -> BoxFuture<'static, Result<Fetched<Counted, Cursor>>> {
    let At { vnode, home, after } = at;
    let (bucket, selection) = (census.bucket.clone(), census.selection.clone());
    let part = Part { vnode, home, bucket, selection, after, upto: None };
    let call = AskCensus { part, wanted: census.wanted, modified: census.modified };
    Box::pin(async move {
        let patience = limits::PAGE_PATIENCE;
        let page = if node == requests.node.me {
            within(patience, census_here(&requests, call)).await?
        } else {
            requests.peers.ask(node, Class::Foreground, &call, patience).await.flat()?
        };
        let next = page.next.clone();
        Ok((vec![page], next))
    })
}

/// A page of a census of a vnode of this node.
pub(crate) async fn census_here(requests: &Arc<Requests>, call: AskCensus) -> Result<Counted> {
    requests.staleness.integrity.admit(call.part.vnode, call.part.home)?;
    let resolution = requests.node.resolution(&call.part.bucket);
    let work = move |core: &Core| page(core, &call, resolution);
    requests.node.vnodes.run(work).await
}

/// About what is sent of something that is found.
fn found_bytes(key: &[u8], entries: usize) -> usize {
    key.len() + 16 * entries + 16
}

/// A page of a census of a part.
fn page(core: &Core, call: &AskCensus, resolution: Resolution) -> Result<Counted> {
    let mut page = Counted::default();
    let (part, entries) = (&call.part, limits::FOLD_PAGE_ENTRIES);
    let (mut bytes, mut to_join) = (0, 0);
    // Read when the walk is over, which may hold the engine.
    let mut unsettled = Vec::new();
    let end = part.walk(core, None, ScanDepth::Heads, entries, &mut |met| {
        let head = &met.record.head;
        let known = resolution.is_known_by_head(head).map_err(|error| error.context(&met.id))?;
        if !known {
            to_join += Record::len_by_head(head).map_err(|error| error.context(&met.id))?;
            // It may be among what is found.
            bytes += found_bytes(&met.id.key, 0);
            unsettled.push(met.id);
            return Ok(to_join >= limits::CENSUS_JOIN_BYTES || bytes >= limits::ENTRY_PAGE_BYTES);
        }
        let before = page.found.len();
        let looked = page.look(&met.id.key, &met.record, call, resolution);
        looked.map_err(|error| error.context(&met.id))?;
        if let Some(found) = page.found.get(before) {
            bytes += found_bytes(&found.key, found.clock.len());
        }
        Ok(bytes >= limits::ENTRY_PAGE_BYTES)
    })?;
    for id in unsettled {
        let place = core.place(id);
        let Some(record) = core.engine.get(part.vnode.0, &place)? else { continue };
        let record = resolution.resolve_record(record, ScanDepth::Records);
        let looked = record.and_then(|record| page.look(&place.id.key, &record, call, resolution));
        looked.map_err(|error| error.context(&place.id))?;
    }
    Ok(Counted { next: end.next, ..page })
}
