//! Reading one replica: this node's own vnodes directly, others by a call.

use std::time::Duration;

use mapring_engine::StoreKey;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{ErrorKind, Object, ObjectId, Record, Result};

use crate::peer::call::{replica, within};
use crate::peer::wire::{self, Had, Replica};
use crate::request::requests::Requests;
use crate::view;

impl Requests {
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
        if entry.node == self.node.me {
            let had = within(patience, self.read_here(replica(entry), id.clone())).await?;
            had.record.as_ref().map_or(Ok(()), |record| self.admit_read(&id, record))?;
            return Ok(had);
        }
        let request = wire::Read { replica: replica(entry), id };
        let read = self.peers.ask(entry.node, class, &request, patience).await.flat();
        match read {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                // Boxed, here and below: it is seldom, and would make every request's state larger.
                let read = self.peers.read_in_pieces(entry, request.id, class, patience);
                let record = Box::pin(read).await?;
                Ok(Had { sure: record.is_some(), record })
            }
            read => read,
        }
    }

    /// Reads an object, encoded, from a replica of this node at once; `None` where it takes
    /// waiting.
    pub(crate) fn read_at_once(
        &self,
        entry: PreferenceEntry,
        place: &StoreKey,
    ) -> Option<Result<Had>> {
        if entry.node != self.node.me || !entry.primary {
            return None;
        }
        if let Err(error) = self.staleness.admit_slice(entry.vnode, &place.id) {
            return Some(Err(error));
        }
        let read = self.node.vnodes.read_at_once(entry.vnode, place)?;
        Some(read.and_then(|record| {
            record.as_ref().map_or(Ok(()), |record| self.admit_read(&place.id, record))?;
            self.had(entry.vnode, &place.id, record)
        }))
    }

    /// What a primary of this node has, which it says of nothing only once it knows its data.
    fn had(&self, vnode: Partition, id: &ObjectId, record: Option<Record>) -> Result<Had> {
        match record {
            Some(record) => {
                let sure = !record.body.is_empty() || self.staleness.is_sure(vnode);
                Ok(Had { record: Some(record), sure })
            }
            None => {
                let home = view::home(&self.node.view(), id);
                if !mapring_types::failpoint!(RefusalIsMissing) {
                    self.staleness.integrity.admit(vnode, home)?;
                }
                Ok(Had { record: None, sure: self.staleness.is_sure(vnode) })
            }
        }
    }

    /// Reads an object from a vnode of this node. A node that stands in for another answers with
    /// all that it holds of the object, also under the vnodes of further nodes that missed a write:
    /// else a write that it acknowledged in place of one node would not be seen through it when it
    /// stands in for another.
    pub(crate) async fn read_here(&self, replica: Replica, id: ObjectId) -> Result<Had> {
        if replica.primary {
            self.staleness.admit_slice(replica.vnode, &id)?;
        }
        let own = self.node.vnodes.read(replica.vnode, id.clone()).await?;
        if replica.primary {
            return self.had(replica.vnode, &id, own);
        }
        let view = self.node.view();
        let n_val = view::props(&view, &id.bucket)?.n_val;
        let list = view.preference_list(&id.bucket, &id.key, n_val).primaries;
        let held = self.node.vnodes.held().vnodes();
        let further = list.iter().map(|entry| entry.vnode);
        let further = further.filter(|vnode| *vnode != replica.vnode && held.contains(vnode));
        let mut all = own.into_iter().collect::<Vec<_>>();
        for vnode in further {
            all.extend(self.node.vnodes.read(vnode, id.clone()).await?);
        }
        if all.is_empty() && !mapring_types::failpoint!(RefusalIsMissing) {
            // It may have lost what it held.
            self.staleness.integrity.admit(replica.vnode, view::home(&view, &id))?;
        }
        if all.len() < 2 {
            return Ok(Had { record: all.pop(), sure: true });
        }
        let mut joined = Object::default();
        for record in all {
            joined.merge(&record.decode()?);
        }
        Ok(Had {
            record: Some(Record::encode_for(&joined, self.node.vnodes.release())),
            sure: true,
        })
    }
}
