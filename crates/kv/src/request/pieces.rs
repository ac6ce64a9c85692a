//! What this node answers of objects that are too large for one message: in pieces, or without the
//! bytes of their values.

use std::time::Duration;

use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{Error, ErrorKind, ObjectId, Record, Result};

use crate::peer::call::{replica, within};
use crate::peer::wire::{self, Giver, Had, Replica, Slim};
use crate::request::requests::Requests;
use crate::sizes::Size;
use crate::storage::objects::Core;

impl Requests {
    /// Refuses to answer with an object that goes in pieces.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn in_one_message(&self, had: Had) -> Result<Had> {
        let most = self.node.parts.config.sizes.piece_bytes;
        if had.record.as_ref().is_some_and(|record| record.len() > most) {
            return Err(Error::new(ErrorKind::TooLarge, "the object is read in pieces"));
        }
        Ok(had)
    }

    /// Refuses an object that is too large to be read whole.
    ///
    /// # Errors
    /// `TooLarge`, `Corrupt`.
    pub(crate) fn admit_read(&self, id: &ObjectId, record: &Record) -> Result<()> {
        let (sizes, bytes) = (&self.node.parts.config.sizes, record.len());
        if bytes <= sizes.read_bytes {
            return Ok(());
        }
        sizes.admit_read(id, Size { siblings: Record::sibling_count(&record.head)?, bytes })
    }

    /// The next piece of an object here.
    ///
    /// # Errors
    /// `WrongPlan`, `TooLarge`, and as [`Requests::read_here`].
    pub(crate) async fn give_piece(
        &self,
        plan: u64,
        request: wire::ReadPiece,
    ) -> Result<Option<wire::Piece>> {
        let wire::ReadPiece { from, id, have, most } = request;
        let record = match from {
            Giver::Replica(replica) => {
                self.peers.admit(&self.node.view(), plan, replica)?;
                self.read_here(replica, id.clone()).await?.record
            }
            Giver::Vnode(vnode) => self.node.vnodes.read(vnode, id.clone()).await?,
        };
        let Some(record) = record else { return Ok(None) };
        if record.len() as u64 > most {
            self.admit_read(&id, &record)?;
        }
        let object = record.decode().map_err(|error| error.context(&id))?;
        let have = have.into_iter().collect();
        let piece = object.piece(&have, self.node.parts.config.sizes.piece_bytes);
        Ok(Some(wire::Piece::encode(&piece, self.node.vnodes.release())))
    }

    /// An object of this node without the bytes of its values but the one with a tag.
    ///
    /// # Errors
    /// As [`Requests::read_here`].
    pub(crate) async fn read_slim_here(
        &self,
        replica: Replica,
        id: ObjectId,
        vtag: Option<&str>,
    ) -> Result<Option<Slim>> {
        if replica.primary && vtag.is_none() {
            self.staleness.admit_slice(replica.vnode, &id)?;
            return self.heads_of(replica.vnode, id).await;
        }
        let had = self.read_here(replica, id.clone()).await?;
        let Some(record) = had.record else { return Ok(None) };
        let mut object = record.decode().map_err(|error| error.context(&id))?;
        for sibling in &mut object.siblings {
            if vtag.is_none_or(|vtag| sibling.vtag() != vtag) {
                sibling.body.clear();
            }
        }
        Ok(Some(Slim {
            record: Record::encode_for(&object, self.node.vnodes.release()),
            bytes: record.len() as u64,
        }))
    }

    /// What a vnode here has of an object, without any bytes of its values.
    async fn heads_of(&self, vnode: Partition, id: ObjectId) -> Result<Option<Slim>> {
        let work = move |core: &Core| {
            let place = core.place(id);
            let Some(record) = core.engine.read(vnode.0, &place, ScanDepth::Heads)? else {
                return Ok(None);
            };
            let object = Record::decode_without_bodies(&record.head);
            let bytes = Record::len_by_head(&record.head);
            let (object, bytes) = object
                .and_then(|object| Ok((object, bytes?)))
                .map_err(|error| error.context(&place.id))?;
            Ok(Some(Slim { record: Record::encode_for(&object, core.release()), bytes }))
        };
        self.node.vnodes.run(work).await
    }

    /// As [`Requests::read_slim_here`], from any replica.
    ///
    /// # Errors
    /// As [`Requests::read_at`].
    pub(crate) async fn read_slim_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        vtag: Option<String>,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Slim>> {
        if entry.node == self.node.me {
            let read = self.read_slim_here(replica(entry), id, vtag.as_deref());
            return within(patience, read).await;
        }
        let request = wire::ReadSlim { replica: replica(entry), id, vtag };
        self.peers.ask(entry.node, class, &request, patience).await.flat()
    }
}
