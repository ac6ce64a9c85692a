//! Objects that are too large for one message: sent, read and fetched in pieces (see
//! [`mapring_types::piece`]), or looked at without the bytes of their values.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mapring_engine::ScanDepth;
use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{
    Dot, Error, ErrorKind, NodeId, Object, ObjectId, Piece, Record, Result, VersionVector,
};

use crate::peer::replica::{replica, within};
use crate::peer::wire::{self, Giver, Had, Replica, Slim};
use crate::sizes::Size;
use crate::storage::inflight::WriteMark;
use crate::storage::objects::Core;
use crate::{Shared, limits};

fn dots(object: &Object) -> impl Iterator<Item = Dot> + '_ {
    object.siblings.iter().map(|sibling| sibling.dot)
}

impl Shared {
    /// Refuses to answer with an object that goes in pieces.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn in_one_message(&self, had: Had) -> Result<Had> {
        let most = self.parts.config.sizes.piece_bytes;
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
        let (sizes, bytes) = (&self.parts.config.sizes, record.len());
        if bytes <= sizes.read_bytes {
            return Ok(());
        }
        sizes.admit_read(id, Size { siblings: Record::sibling_count(&record.head)?, bytes })
    }

    /// Joins an object into a replica on another node, a piece at a time; each may take `patience`.
    /// Values that the replica knows already are not sent.
    ///
    /// # Errors
    /// As [`Shared::merge_at`]; `Unavailable` when the replica forgets what it was sent.
    pub(crate) async fn merge_in_pieces(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        record: &Record,
        mark: Option<WriteMark>,
        class: Class,
        patience: Duration,
    ) -> Result<()> {
        let object = record.decode().map_err(|error| error.context(&id))?;
        let known = self.read_slim_at(entry, id.clone(), None, class, patience).await;
        let known = known.ok().flatten().and_then(|slim| slim.record.decode().ok());
        let known = known.map_or_else(VersionVector::new, |known| known.clock);
        let mut sent: BTreeSet<Dot> = dots(&object).filter(|dot| known.covers(*dot)).collect();
        for _ in 0..limits::PIECE_ATTEMPTS {
            loop {
                let piece = object.piece(&sent, self.parts.config.sizes.piece_bytes);
                sent.extend(dots(&piece.part));
                let last = piece.left == 0;
                let piece = wire::Piece::encode(&piece, self.vnodes.release());
                let request =
                    wire::MergePiece { replica: replica(entry), id: id.clone(), piece, mark };
                match self.ask(entry.node, class, &request, patience).await.flat() {
                    Ok(()) if last => return Ok(()),
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::Precondition => break,
                    Err(error) => return Err(error),
                }
            }
            sent.clear();
        }
        let message = format!("{id}: node {} does not keep the pieces it is sent", entry.node);
        Err(Error::unavailable(message))
    }

    /// The next piece of an object here.
    ///
    /// # Errors
    /// `WrongPlan`, `TooLarge`, and as [`Shared::read_here`].
    pub(crate) async fn give_piece(
        &self,
        plan: u64,
        request: wire::ReadPiece,
    ) -> Result<Option<wire::Piece>> {
        let wire::ReadPiece { from, id, have, most } = request;
        let record = match from {
            Giver::Replica(replica) => {
                self.admit(&self.parts.cluster.view(), plan, replica)?;
                self.read_here(replica, id.clone()).await?.record
            }
            Giver::Vnode(vnode) => self.vnodes.read(vnode, id.clone()).await?,
        };
        let Some(record) = record else { return Ok(None) };
        if record.len() as u64 > most {
            self.admit_read(&id, &record)?;
        }
        let object = record.decode().map_err(|error| error.context(&id))?;
        let have = have.into_iter().collect();
        let piece = object.piece(&have, self.parts.config.sizes.piece_bytes);
        Ok(Some(wire::Piece::encode(&piece, self.vnodes.release())))
    }

    async fn ask_piece(
        &self,
        node: NodeId,
        request: &wire::ReadPiece,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Piece>> {
        let patience = patience + limits::transfer(self.parts.config.sizes.piece_bytes);
        let piece = self.ask(node, class, request, patience).await.flat()?;
        piece.map(wire::Piece::decode).transpose()
    }

    /// Reads an object in pieces from a replica on another node; each may take `patience` beside its
    /// way.
    ///
    /// # Errors
    /// `TooLarge` for one that is not to be read whole, and as [`Shared::read_at`].
    pub(crate) async fn read_in_pieces(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Record>> {
        let most = self.parts.config.sizes.read_bytes as u64;
        let from = Giver::Replica(replica(entry));
        let mut request = wire::ReadPiece { from, id, have: Vec::new(), most };
        let mut object = Object::default();
        loop {
            let Some(piece) = self.ask_piece(entry.node, &request, class, patience).await? else {
                return Ok(None);
            };
            let last = piece.left == 0;
            request.have.extend(dots(&piece.part));
            object.join_piece(piece)?;
            if last {
                return Ok(Some(Record::encode_for(&object, self.vnodes.release())));
            }
        }
    }

    /// Fetches an object in pieces from a donor and joins each into a vnode here.
    ///
    /// # Errors
    /// As [`Shared::read_in_pieces`], `Storage`, `Overloaded`.
    pub(crate) async fn fetch_in_pieces(
        self: &Arc<Self>,
        vnode: Partition,
        node: NodeId,
        from: Partition,
        id: ObjectId,
        patience: Duration,
    ) -> Result<()> {
        let from = Giver::Vnode(from);
        let mut request = wire::ReadPiece { from, id, have: Vec::new(), most: u64::MAX };
        loop {
            let piece = self.ask_piece(node, &request, Class::Background, patience).await?;
            let Some(piece) = piece else { return Ok(()) };
            let last = piece.left == 0;
            request.have.extend(dots(&piece.part));
            self.vnodes.merge_piece(vnode, request.id.clone(), piece, None).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// An object of this node without the bytes of its values but the one with a tag.
    ///
    /// # Errors
    /// As [`Shared::read_here`].
    pub(crate) async fn read_slim_here(
        &self,
        replica: Replica,
        id: ObjectId,
        vtag: Option<&str>,
    ) -> Result<Option<Slim>> {
        if replica.primary && vtag.is_none() {
            self.admit_slice(replica.vnode, &id)?;
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
            record: Record::encode_for(&object, self.vnodes.release()),
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
        self.vnodes.run(work).await
    }

    /// As [`Shared::read_slim_here`], from any replica.
    ///
    /// # Errors
    /// As [`Shared::read_at`].
    pub(crate) async fn read_slim_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        vtag: Option<String>,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Slim>> {
        if entry.node == self.me {
            let read = self.read_slim_here(replica(entry), id, vtag.as_deref());
            return within(patience, read).await;
        }
        let request = wire::ReadSlim { replica: replica(entry), id, vtag };
        self.ask(entry.node, class, &request, patience).await.flat()
    }
}
