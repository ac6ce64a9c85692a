//! Changing one replica: this node's own vnodes directly, others by a call; what is too large for
//! one message in pieces (see [`mapring_types::piece`]).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mapring_net::Class;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{
    Dot, Error, ErrorKind, NodeId, Object, ObjectId, Piece, Record, Release, Result, VersionVector,
};

use crate::limits;
use crate::peer::call::{Peers, replica, within};
use crate::peer::wire::{self, Giver};
use crate::storage::inflight::WriteMark;

fn dots(object: &Object) -> impl Iterator<Item = Dot> + '_ {
    object.siblings.iter().map(|sibling| sibling.dot)
}

impl Peers {
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
        if entry.node == self.node.me {
            // Its own writes a node does not log as in flight.
            return within(patience, self.node.vnodes.merge(entry.vnode, id, record, None)).await;
        }
        if record.len() > self.node.parts.config.sizes.piece_bytes {
            return Box::pin(self.merge_in_pieces(entry, id, &record, mark, class, patience)).await;
        }
        let request = wire::Merge { replica: replica(entry), id, record, mark };
        self.ask(entry.node, class, &request, patience).await.flat()
    }

    /// Has what a node was sent before survive a loss of power. A member of an earlier release knows no such
    /// call: there it is as if nobody had asked for it, as it was in that release.
    ///
    /// # Errors
    /// As [`Peers::merge_at`].
    pub(crate) async fn sync_disk_at(&self, node: NodeId, patience: Duration) -> Result<()> {
        if node == self.node.me {
            return within(patience, self.node.vnodes.sync_disk()).await;
        }
        let view = self.node.view();
        let known = view.state.members.get(&node).map_or(Release::FIRST, |member| member.release());
        if known < Release::DATATYPES {
            return Ok(());
        }
        self.ask(node, Class::Foreground, &wire::SyncDisk, patience).await.flat()
    }

    /// Has a replica let go of the values that a verdict does not name.
    ///
    /// # Errors
    /// `Precondition` where the replica does not know those that it names, and as [`Peers::merge_at`].
    pub(crate) async fn judge_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        verdict: Piece,
        patience: Duration,
    ) -> Result<()> {
        if entry.node == self.node.me {
            let judged = self.node.vnodes.merge_piece(entry.vnode, id, verdict, None);
            return within(patience, judged).await;
        }
        let piece = wire::Piece::encode(&verdict, self.node.vnodes.release());
        let request = wire::MergePiece { replica: replica(entry), id, piece, mark: None };
        self.ask(entry.node, Class::Background, &request, patience).await.flat()
    }

    /// Removes a tombstone from a replica if its clock is the given one.
    pub(crate) async fn remove_at(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        clock: VersionVector,
        patience: Duration,
    ) -> Result<bool> {
        if entry.node == self.node.me {
            return within(patience, self.node.vnodes.reap(entry.vnode, id, clock)).await;
        }
        let request = wire::Remove { replica: replica(entry), id, clock };
        self.ask(entry.node, Class::Background, &request, patience).await.flat()
    }

    /// Joins an object into a replica on another node, a piece at a time; each may take `patience`.
    /// Values that the replica knows already are not sent.
    ///
    /// # Errors
    /// As [`Peers::merge_at`]; `Unavailable` when the replica forgets what it was sent.
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
        let request = wire::ReadSlim { replica: replica(entry), id: id.clone(), vtag: None };
        let known = self.ask(entry.node, class, &request, patience).await;
        let known = known.flat().ok().flatten().and_then(|slim| slim.record.decode().ok());
        let known = known.map_or_else(VersionVector::new, |known| known.clock);
        let mut sent: BTreeSet<Dot> = dots(&object).filter(|dot| known.covers(*dot)).collect();
        for _ in 0..limits::PIECE_ATTEMPTS {
            loop {
                let piece = object.piece(&sent, self.node.parts.config.sizes.piece_bytes);
                sent.extend(dots(&piece.part));
                let last = piece.left == 0;
                let piece = wire::Piece::encode(&piece, self.node.vnodes.release());
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

    async fn ask_piece(
        &self,
        node: NodeId,
        request: &wire::ReadPiece,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Piece>> {
        let patience = patience + limits::transfer(self.node.parts.config.sizes.piece_bytes);
        let piece = self.ask(node, class, request, patience).await.flat()?;
        piece.map(wire::Piece::decode).transpose()
    }

    /// Reads an object in pieces from a replica on another node; each may take `patience` beside
    /// its way.
    ///
    /// # Errors
    /// `TooLarge` for one that is not to be read whole, and as a read.
    pub(crate) async fn read_in_pieces(
        &self,
        entry: PreferenceEntry,
        id: ObjectId,
        class: Class,
        patience: Duration,
    ) -> Result<Option<Record>> {
        let most = self.node.parts.config.sizes.read_bytes as u64;
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
                return Ok(Some(Record::encode_for(&object, self.node.vnodes.release())));
            }
        }
    }

    /// Fetches an object in pieces from a donor and joins each into a vnode here.
    ///
    /// # Errors
    /// As [`Peers::read_in_pieces`], `Storage`, `Overloaded`.
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
            self.node.vnodes.merge_piece(vnode, request.id.clone(), piece, None).await?;
            if last {
                return Ok(());
            }
        }
    }
}
