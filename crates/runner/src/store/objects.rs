//! Things as objects of the key-value store.
//!
//! Listing asks each node once for the first things of the partitions that it covers, which reads so
//! many entries a partition, however many there are; what the nodes answer is merged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use mapring_engine::ScanDepth;
use mapring_kv::{Cursor, FoldRequest, Item, Kv, NewValue, ReservedObjects, Selection};
use mapring_net::calls;
use mapring_ring::Partition;
use mapring_types::{Error, ErrorKind, IndexValue, Metadata, NodeId, ObjectId, Record, Result};
use serde::{Deserialize, Serialize};

use super::{Entry, ListQuery, Listed, MayReplace, Shelf, Store};
use crate::limits;
use crate::peers::Peers;
use crate::wire::SERVICE;

/// Under what name the brief of a thing lies with it.
const BRIEF: &str = "brief";

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ObjectStore {
    kv: Kv,
    objects: ReservedObjects,
    peers: Peers,
}

calls!(SERVICE; ListHere = 1 => Vec<Listed>);

/// Asks a node for the first things of some partitions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ListHere {
    shelf: Shelf,
    /// The name of a field, with its suffix; by keys where there is none.
    field: Option<String>,
    from: String,
    to: String,
    after: Option<(String, String)>,
    most: u64,
    brief: bool,
    /// Vnodes of the node, each with a home partition.
    places: Vec<(Partition, Partition)>,
}

impl ObjectStore {
    pub(crate) fn new(kv: Kv, peers: Peers) -> Self {
        let objects = kv.reserved();
        Self { kv, objects, peers }
    }

    /// Lists on the nodes of a plan that avoids those that have just failed.
    async fn list_without(
        &self,
        query: &ListQuery,
        failed: &mut BTreeSet<NodeId>,
    ) -> Result<Vec<Listed>> {
        let plan = self.kv.coverage_without(ReservedObjects::n_val(), failed).await?;
        let mut nodes: BTreeMap<NodeId, Vec<(Partition, Partition)>> = BTreeMap::new();
        for entry in plan.entries {
            nodes.entry(entry.node).or_default().push((entry.vnode, entry.home));
        }
        let me = self.peers.view().me;
        let asked = nodes.into_iter().map(|(node, places)| {
            let request = ListHere {
                shelf: query.shelf,
                field: query.field.map(str::to_owned),
                from: query.from.clone(),
                to: query.to.clone(),
                after: query.after.clone(),
                most: query.most as u64,
                brief: query.brief,
                places,
            };
            async move {
                let found = match node == me {
                    true => self.list_here(request).await,
                    false => self.peers.ask(node, &request, limits::LIST_PATIENCE).await,
                };
                found.map_err(|error| (node, error))
            }
        });
        match try_join_all(asked).await {
            Ok(found) => {
                let mut found: Vec<Listed> = found.into_iter().flatten().collect();
                found.sort();
                found.truncate(query.most);
                Ok(found)
            }
            Err((node, error)) => {
                failed.insert(node);
                Err(error)
            }
        }
    }

    /// The first things of partitions that this node has.
    ///
    /// # Errors
    /// Those of the storage; `TooLarge` for more than may be asked for.
    pub(crate) async fn list_here(&self, request: ListHere) -> Result<Vec<Listed>> {
        let most = usize::try_from(request.most).unwrap_or(usize::MAX);
        if most > limits::MOST_LISTED_AT_ONCE {
            return Err(Error::new(ErrorKind::TooLarge, "a list of so many is asked for"));
        }
        // Of each partition a little more than its share, and more where that was not enough.
        let share = (2 * most / request.places.len().max(1)).max(limits::LEAST_LISTED);
        let mut places: Vec<Ahead> = request.places.iter().map(|place| Ahead::of(*place)).collect();
        let mut found = Vec::new();
        while found.len() < most {
            for place in &mut places {
                place.read(&self.kv, &request, share).await?;
            }
            let first = places.iter_mut().filter(|place| !place.listed.is_empty());
            let first = first.min_by(|a, b| a.listed.front().cmp(&b.listed.front()));
            let Some(next) = first.and_then(|place| place.listed.pop_front()) else { break };
            found.push(next);
        }
        Ok(found)
    }
}

/// What has been read of a partition and not been listed yet.
struct Ahead {
    place: (Partition, Partition),
    listed: VecDeque<Listed>,
    after: Option<Cursor>,
    ended: bool,
}

impl Ahead {
    fn of(place: (Partition, Partition)) -> Self {
        Self { place, listed: VecDeque::new(), after: None, ended: false }
    }

    /// Reads on where nothing is left of what was read before.
    async fn read(&mut self, kv: &Kv, request: &ListHere, most: usize) -> Result<()> {
        while self.listed.is_empty() && !self.ended {
            let (vnode, home) = self.place;
            let page = kv.fold_page(FoldRequest {
                vnode,
                home,
                bucket: ReservedObjects::bucket(request.shelf.name()),
                selection: selection(request),
                after: self.after.take(),
                depth: if request.brief { ScanDepth::Heads } else { ScanDepth::Records },
                most,
                keep: None,
                refine: None,
                replicas: 1,
                complete: true,
            });
            let page = page.await?;
            for item in page.items {
                self.listed.extend(listed(request, &item)?);
            }
            self.after = page.next;
            self.ended = self.after.is_none();
        }
        Ok(())
    }
}

/// What is read of a partition: from the place on where the list before has ended.
fn selection(request: &ListHere) -> Selection {
    let from = request.after.as_ref().map_or(&request.from, |(term, _)| term).clone();
    // Beyond the end there is nothing, which is no range.
    let to = request.to.clone().max(from.clone());
    match &request.field {
        None => Selection::Keys { from: from.into(), to: to.into() },
        Some(field) => Selection::Terms {
            field: field.clone(),
            from: IndexValue::Bin(from.into()),
            to: IndexValue::Bin(to.into()),
        },
    }
}

/// The thing that an item is, if it is one that is listed, under each of its terms.
fn listed(request: &ListHere, item: &Item) -> Result<Vec<Listed>> {
    let object = match request.brief {
        true => Record::decode_without_bodies(&item.record.head),
        false => item.record.decode(),
    };
    let object = object.map_err(|error| error.context(&item.id))?;
    let Some(value) = object.newest().filter(|value| !value.deleted) else { return Ok(Vec::new()) };
    let key = text(&item.id, &item.id.key)?;
    let terms = match &request.field {
        None => vec![key.clone()],
        Some(field) => {
            let of_field = value.metadata.indexes.iter().filter(|(name, _)| name == field);
            let terms = of_field.map(|(_, term)| text(&item.id, term.as_bytes()));
            terms.collect::<Result<Vec<_>>>()?
        }
    };
    let wanted = |term: &String| {
        let place = (term, &key);
        let passed = request.after.as_ref().map(|(term, key)| (term, key));
        (&request.from..=&request.to).contains(&term) && passed.is_none_or(|passed| place > passed)
    };
    let shown = match request.brief {
        true => value.metadata.user.iter().find(|(name, _)| name == BRIEF).map(|(_, brief)| brief),
        false => Some(&value.body),
    };
    let shown = shown.cloned().unwrap_or_default();
    let made = |term| Listed { term, key: key.clone(), value: shown.clone() };
    Ok(terms.into_iter().filter(wanted).map(made).collect())
}

fn text(id: &ObjectId, bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Error::corrupt(format!("{id}: a name of the program is no text")).with_source(error)
    })?;
    Ok(text.to_owned())
}

fn id(shelf: Shelf, key: &str) -> ObjectId {
    ObjectId::new(ReservedObjects::bucket(shelf.name()), key.to_owned())
}

/// Too few of the nodes that are to have something are there: later there are more.
fn may_pass(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Quorum { .. } => Error::unavailable(error.to_string()),
        _ => error,
    }
}

fn new_value(body: Bytes, entry: Entry) -> NewValue {
    let mut indexes: Vec<_> = entry
        .terms
        .into_iter()
        .map(|(field, term)| (field.to_owned(), IndexValue::Bin(term.into())))
        .collect();
    indexes.sort();
    let content_type = "application/octet-stream".to_owned();
    let user = match entry.brief.is_empty() {
        true => Vec::new(),
        false => vec![(BRIEF.to_owned(), entry.brief)],
    };
    let metadata = Metadata { content_type, indexes, user, ..Metadata::default() };
    NewValue { metadata, body, deleted: false }
}

#[async_trait]
impl Store for ObjectStore {
    async fn get(&self, shelf: Shelf, key: &str) -> Result<Option<Bytes>> {
        let found = self.objects.get(&id(shelf, key)).await?;
        Ok(found.and_then(|object| object.newest().map(|value| value.body.clone())))
    }

    async fn put(&self, shelf: Shelf, key: &str, value: Bytes, entry: Entry) -> Result<()> {
        let id = id(shelf, key);
        // A node that takes a job over may be behind the one before by its clock: what it writes
        // replaces what that one wrote because it has seen it. Pieces are written once.
        let context = match shelf {
            Shelf::Results => None,
            _ => self.objects.clock(&id).await?,
        };
        self.objects.put(&id, context, new_value(value, entry)).await
    }

    async fn replace(
        &self,
        shelf: Shelf,
        key: &str,
        value: Bytes,
        entry: Entry,
        may: &MayReplace<'_>,
    ) -> Result<()> {
        let id = id(shelf, key);
        let found = self.objects.get_any(&id).await?;
        let newest = found.as_ref().and_then(|object| object.newest());
        may(newest.filter(|value| !value.deleted).map(|value| &value.body))?;
        let seen = found.map(|object| object.clock).unwrap_or_default();
        let written = self.objects.put_if_unchanged(&id, seen, new_value(value, entry)).await;
        written.map_err(|error| match error.kind() {
            // Who tries again sees what is there now.
            ErrorKind::Precondition => {
                Error::unavailable(format!("{id}: somebody else has just written it"))
            }
            _ => error,
        })
    }

    async fn remove(&self, shelf: Shelf, key: &str) -> Result<bool> {
        self.objects.delete(&id(shelf, key)).await
    }

    async fn written_ms(&self, shelf: Shelf, key: &str) -> Result<Option<u64>> {
        let written = self.objects.written(&id(shelf, key)).await.map_err(may_pass)?;
        Ok(written.map(|micros| micros / 1_000))
    }

    async fn remove_older(&self, shelf: Shelf, key: &str, before_ms: u64) -> Result<bool> {
        let before = before_ms.saturating_mul(1_000);
        self.objects.delete_older(&id(shelf, key), before).await.map_err(may_pass)
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>> {
        let mut failed = BTreeSet::new();
        let mut last = None;
        for _ in 0..limits::LIST_TRIES {
            match self.list_without(query, &mut failed).await {
                Ok(found) => return Ok(found),
                Err(error) => {
                    tracing::debug!(%error, "a list is made by other nodes");
                    // What the others say when there are none left says less.
                    last.get_or_insert(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::unavailable("nobody can list it")))
    }
}
