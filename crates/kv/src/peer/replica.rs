//! Asking one replica: this node's own vnodes directly, others over the transport.

use std::future::Future;
use std::time::Duration;

use mapring_cluster::View;
use mapring_engine::StoreKey;
use mapring_net::{Call, Class};
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{Error, ErrorKind, NodeId, Object, ObjectId, Record, Result, VersionVector};

use crate::peer::wire::{self, Had, Replica, Sender};
use crate::resolution::Resolution;
use crate::scan::fold::{self, Names};
use crate::storage::inflight::WriteMark;
use crate::{Shared, limits};

/// What became of a call to a peer.
pub(crate) enum Asked<T> {
    /// The peer has answered, perhaps with a refusal of its own.
    Answered(Result<T>),
    /// The peer could not be reached, or did not answer in time: it may or may not have acted.
    Unreached(Error),
}

impl<T> Asked<T> {
    /// Both kinds of failure alike.
    pub(crate) fn flat(self) -> Result<T> {
        match self {
            Self::Answered(outcome) => outcome,
            Self::Unreached(error) => Err(error),
        }
    }
}

impl Shared {
    /// What this node's messages say of it.
    pub(crate) fn sender(&self) -> Sender {
        Sender {
            plan: self.parts.cluster.view().plan().version(),
            incarnation: self.vnodes.in_flight().incarnation(),
            position: self.parts.engine.position(),
        }
    }

    /// Asks another node, and reports to the cluster what was found of it.
    pub(crate) async fn ask<C: Call>(
        &self,
        node: NodeId,
        class: Class,
        call: &C,
        patience: Duration,
    ) -> Asked<C::Answer> {
        let view = self.parts.cluster.view();
        let Some(peer) = view.peer(node) else {
            return Asked::Unreached(Error::unavailable(format!("node {node} is not a member")));
        };
        let version = wire::version_at(self.vnodes.release());
        let body = match wire::encode(version, self.sender(), call) {
            Ok(body) => body,
            Err(error) => return Asked::Answered(Err(error)),
        };
        let asked = self.parts.transport.call(&peer, class, C::method(), body, patience);
        match asked.await {
            Ok(answer) => {
                self.suspicion.trust(node);
                if !view.is_up(node) {
                    self.parts.cluster.report(node, true);
                }
                Asked::Answered(wire::decode_answer::<C>(&answer).and_then(|(sender, outcome)| {
                    self.extents.hear(node, sender.incarnation, sender.position);
                    outcome
                }))
            }
            Err(error) => {
                self.calm.away(node);
                match error.kind() {
                    ErrorKind::Unavailable => self.parts.cluster.report(node, false),
                    ErrorKind::Timeout if patience >= limits::HEDGE => {
                        self.suspicion.suspect(&[node].into());
                    }
                    _ => {}
                }
                Asked::Unreached(error)
            }
        }
    }

    /// Reads an object from a replica.
    pub(crate) async fn read_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Object>> {
        let record = self.read_record_at(entry, id, class, patience).await?;
        record.map(|record| record.decode()).transpose()
    }

    /// Reads an object, encoded, from a replica.
    pub(crate) async fn read_record_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Record>> {
        Ok(self.had_at(entry, id, class, patience).await?.record)
    }

    /// What a replica has of an object.
    pub(crate) async fn had_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        class: Class,
        patience: Duration,
    ) -> Result<Had> {
        if entry.node == self.me {
            let had = within(patience, self.read_here(replica(entry), id.clone())).await?;
            had.record.as_ref().map_or(Ok(()), |record| self.admit_read(&id, record))?;
            return Ok(had);
        }
        let request = wire::Read { replica: replica(entry), id };
        let read = self.ask(entry.node, class, &request, patience).await.flat();
        match read {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                // Boxed, here and below: it is seldom, and would make every request's state larger.
                let read = self.read_in_pieces(entry, request.id, class, patience);
                let record = Box::pin(read).await?;
                Ok(Had { sure: record.is_some(), record })
            }
            read => read,
        }
    }

    /// Reads an object, encoded, from a replica of this node at once; `None` where it takes waiting.
    pub(crate) fn read_at_once(
        &self,
        entry: PreferenceEntry,
        place: &StoreKey,
    ) -> Option<Result<Had>> {
        if entry.node != self.me || !entry.primary {
            return None;
        }
        if let Err(error) = self.admit_slice(entry.vnode, &place.id) {
            return Some(Err(error));
        }
        let read = self.vnodes.read_at_once(entry.vnode, place)?;
        Some(read.and_then(|record| {
            record.as_ref().map_or(Ok(()), |record| self.admit_read(&place.id, record))?;
            self.had(entry.vnode, &place.id, record)
        }))
    }

    /// What a primary of this node has, which it says of nothing only once it knows its data.
    fn had(&self, vnode: Partition, id: &ObjectId, record: Option<Record>) -> Result<Had> {
        match record {
            Some(record) => {
                let sure = !record.body.is_empty() || self.is_sure(vnode);
                Ok(Had { record: Some(record), sure })
            }
            None => {
                let home = crate::home(&self.parts.cluster.view(), id);
                if !mapring_types::failpoint!(RefusalIsMissing) {
                    self.integrity.admit(vnode, home)?;
                }
                Ok(Had { record: None, sure: self.is_sure(vnode) })
            }
        }
    }

    /// Reads an object from a vnode of this node. A node that stands in for another answers with all
    /// that it holds of the object, also under the vnodes of further nodes that missed a write: else
    /// a write that it acknowledged in place of one node would not be seen through it when it
    /// stands in for another.
    pub(crate) async fn read_here(&self, replica: Replica, id: ObjectId) -> Result<Had> {
        if replica.primary {
            self.admit_slice(replica.vnode, &id)?;
        }
        let own = self.vnodes.read(replica.vnode, id.clone()).await?;
        if replica.primary {
            return self.had(replica.vnode, &id, own);
        }
        let view = self.parts.cluster.view();
        let n_val = self.props(&view, &id.bucket)?.n_val;
        let list = view.preference_list(&id.bucket, &id.key, n_val).primaries;
        let held = self.vnodes.held().vnodes();
        let further = list.iter().map(|entry| entry.vnode);
        let further = further.filter(|vnode| *vnode != replica.vnode && held.contains(vnode));
        let mut all = own.into_iter().collect::<Vec<_>>();
        for vnode in further {
            all.extend(self.vnodes.read(vnode, id.clone()).await?);
        }
        if all.is_empty() && !mapring_types::failpoint!(RefusalIsMissing) {
            // It may have lost what it held.
            self.integrity.admit(replica.vnode, crate::home(&view, &id))?;
        }
        if all.len() < 2 {
            return Ok(Had { record: all.pop(), sure: true });
        }
        let mut joined = Object::default();
        for record in all {
            joined.merge(&record.decode()?);
        }
        Ok(Had { record: Some(Record::encode_for(&joined, self.vnodes.release())), sure: true })
    }

    /// Joins an object into a replica, as part of a write under way where there is a mark. A large
    /// one goes in pieces, each of which may take `patience`.
    pub(crate) async fn merge_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        record: Record,
        mark: Option<WriteMark>,
        class: Class,
        patience: Duration,
    ) -> Result<()> {
        if entry.node == self.me {
            // Its own writes a node does not log as in flight.
            return within(patience, self.vnodes.merge(entry.vnode, id, record, None)).await;
        }
        if record.len() > self.parts.config.sizes.piece_bytes {
            return Box::pin(self.merge_in_pieces(entry, id, &record, mark, class, patience)).await;
        }
        let request = wire::Merge { replica: replica(entry), id, record, mark };
        self.ask(entry.node, class, &request, patience).await.flat()
    }

    /// Removes a tombstone from a replica if its clock is the given one.
    pub(crate) async fn remove_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        clock: VersionVector,
        patience: Duration,
    ) -> Result<bool> {
        if entry.node == self.me {
            return within(patience, self.vnodes.reap(entry.vnode, id, clock)).await;
        }
        let request = wire::Remove { replica: replica(entry), id, clock };
        self.ask(entry.node, Class::Background, &request, patience).await.flat()
    }

    /// A page of live keys from a node.
    pub(crate) async fn keys_at(
        &self,
        node: NodeId,
        request: wire::Keys,
        patience: Duration,
    ) -> Result<Names> {
        if node == self.me {
            return within(patience, self.keys_here(request)).await;
        }
        self.ask(node, Class::Foreground, &request, patience).await.flat()
    }

    /// A page of live keys of a vnode of this node.
    pub(crate) async fn keys_here(&self, request: wire::Keys) -> Result<Names> {
        let view = self.parts.cluster.view();
        let resolution = Resolution::of_known(view.props(&request.bucket).as_ref());
        let wire::Keys { slice, bucket } = request;
        self.integrity.admit(slice.vnode, slice.home)?;
        self.vnodes.run(move |core| fold::keys(core, slice, bucket, resolution)).await
    }

    /// A page of bucket names from a node.
    pub(crate) async fn buckets_at(
        &self,
        node: NodeId,
        request: wire::Buckets,
        patience: Duration,
    ) -> Result<Names> {
        if node == self.me {
            return within(patience, self.buckets_here(request)).await;
        }
        self.ask(node, Class::Foreground, &request, patience).await.flat()
    }

    /// A page of bucket names of a vnode of this node.
    pub(crate) async fn buckets_here(&self, request: wire::Buckets) -> Result<Names> {
        let view = self.parts.cluster.view();
        let resolution = move |bucket: &mapring_types::BucketId| {
            Resolution::of_known(view.props(bucket).as_ref())
        };
        let wire::Buckets { slice, bucket_type } = request;
        self.integrity.admit(slice.vnode, slice.home)?;
        self.vnodes.run(move |core| fold::buckets(core, slice, &bucket_type, &resolution)).await
    }

    /// Refuses a request that took this node for the owner of a vnode when a newer plan says
    /// otherwise.
    ///
    /// # Errors
    /// `WrongPlan`.
    pub(crate) fn admit(&self, view: &View, plan: u64, replica: Replica) -> Result<()> {
        let owner = view.plan().owner(replica.vnode) == Some(self.me);
        if replica.primary && !owner && view.plan().version() > plan {
            let message = format!("vnode {} is no longer on node {}", replica.vnode, self.me);
            return Err(Error::new(ErrorKind::WrongPlan, message));
        }
        Ok(())
    }
}

pub(crate) fn replica(entry: PreferenceEntry) -> Replica {
    Replica { vnode: entry.vnode, primary: entry.primary }
}

pub(crate) async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| Err(Error::timeout("the storage of this node did not answer")))
}
