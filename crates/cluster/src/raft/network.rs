//! raft's messages over the cluster's transport.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mapring_net::{Call, Class, Peer, Transport};
use mapring_types::{Error, ErrorKind, NodeId, Result};
use openraft::error::{
    Fatal, InstallSnapshotError, RPCError, RaftError, ReplicationClosed, StreamingError,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    SnapshotResponse, VoteRequest, VoteResponse,
};

use super::guard::Guard;
use super::memory::Letter;
use super::{Raft, RaftNode, Snapshot, TypeConfig, Vote};
use crate::limits;
use crate::wire::{self, Append, AskVote, SendSnapshot};

type Rpc<T, E = openraft::error::Infallible> =
    Result<T, RPCError<u64, RaftNode, RaftError<u64, E>>>;

/// Knows where nodes are now, and is told which of them answer.
pub(crate) trait Directory: Send + Sync + 'static {
    /// The present address of a node, where known.
    fn address(&self, node: NodeId) -> Option<String>;

    /// The name of a node, where known.
    fn name(&self, node: NodeId) -> Option<String>;

    /// `node` has answered.
    fn answered(&self, node: NodeId);
}

/// Makes the ways to other nodes.
pub(crate) struct Network {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) guard: Arc<Guard>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &RaftNode) -> Link {
        Link {
            target: NodeId(target),
            joined_at: node.address.clone(),
            transport: self.transport.clone(),
            directory: self.directory.clone(),
            guard: self.guard.clone(),
        }
    }
}

/// The way to one node.
pub(crate) struct Link {
    target: NodeId,
    /// Where it was when it joined.
    joined_at: String,
    transport: Arc<dyn Transport>,
    directory: Arc<dyn Directory>,
    guard: Arc<Guard>,
}

impl Link {
    async fn exchange<T, C: Call<Answer = (Letter, T)>>(
        &self,
        body: bytes::Bytes,
        timeout: Duration,
    ) -> Result<T> {
        let address = self.directory.address(self.target);
        let address = address.unwrap_or_else(|| self.joined_at.clone());
        let peer = Peer { id: Some(self.target), address };
        let class = Class::Foreground;
        let answer = self.transport.call(&peer, class, C::method(), body, timeout).await?;
        self.directory.answered(self.target);
        let (letter, answer) = wire::answered::<C>(&answer)?;
        self.guard.take(self.target.0, letter);
        Ok(answer)
    }

    fn letter(&self) -> Letter {
        self.guard.letter(self.target.0, false)
    }

    async fn ask<T, C: Call<Answer = (Letter, T)>, E: std::error::Error>(
        &self,
        call: &C,
        option: &RPCOption,
    ) -> Rpc<T, E> {
        let exchange =
            async { self.exchange::<T, C>(wire::request(call)?, option.hard_ttl()).await };
        // Whatever went wrong, openraft is to pause before it tries again.
        exchange.await.map_err(|error: Error| RPCError::Unreachable(Unreachable::new(&error)))
    }
}

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<u64>> {
        self.ask(&Append(self.letter(), request), &option).await
    }

    async fn install_snapshot(
        &mut self,
        _request: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Rpc<InstallSnapshotResponse<u64>, InstallSnapshotError> {
        let error = Error::internal("snapshots are sent whole");
        Err(RPCError::Unreachable(Unreachable::new(&error)))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<u64>> {
        self.ask(&AskVote(self.letter(), request), &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let state = snapshot.snapshot.into_inner();
        let exchange = async {
            let head = SendSnapshot(self.letter(), vote, snapshot.meta);
            let body = wire::request_with(&head, &state)?;
            self.exchange::<_, SendSnapshot>(body, option.hard_ttl()).await
        };
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            answer = exchange => {
                answer.map_err(|error: Error| Unreachable::new(&error).into())
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(limits::UNREACHED_PAUSE))
    }
}

/// Answers raft's own messages; `None` when the operation is none of them.
pub(crate) async fn answer(
    raft: &Raft,
    guard: &Guard,
    from: NodeId,
    operation: u8,
    body: &[u8],
) -> Option<Result<bytes::Bytes>> {
    Some(match operation {
        Append::OPERATION => {
            wire::serve(body, async |call: Append| append(raft, guard, from.0, call).await).await
        }
        AskVote::OPERATION => {
            wire::serve(body, async |call: AskVote| vote(raft, guard, from.0, call).await).await
        }
        SendSnapshot::OPERATION => {
            let work =
                async |call: SendSnapshot, state| snapshot(raft, guard, from.0, call, state).await;
            wire::serve_with(body, work).await
        }
        _ => return None,
    })
}

async fn append(
    raft: &Raft,
    guard: &Guard,
    from: u64,
    Append(letter, request): Append,
) -> Result<(Letter, AppendEntriesResponse<u64>)> {
    guard.take(from, letter);
    guard.admit(from, Some(&request))?;
    let answer = match guard.refuse_leader(&request.vote) {
        Some(refusal) => refusal,
        None => raft.append_entries(request).await.map_err(stopped)?,
    };
    if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
        guard.led_by(from);
    }
    guard.review();
    Ok((guard.letter(from, false), answer))
}

async fn vote(
    raft: &Raft,
    guard: &Guard,
    from: u64,
    AskVote(letter, request): AskVote,
) -> Result<(Letter, VoteResponse<u64>)> {
    guard.admit(from, None)?;
    let distrust = guard.distrust(from, letter.mine.life, &request);
    guard.take(from, letter);
    let answer = match distrust.or_else(|| guard.abstention(&request)) {
        Some(refusal) => guard.refusal(from, refusal, raft.metrics().borrow().vote),
        None => raft.vote(request).await.map_err(stopped)?,
    };
    Ok((guard.letter(from, false), answer))
}

async fn snapshot(
    raft: &Raft,
    guard: &Guard,
    from: u64,
    SendSnapshot(letter, vote, meta): SendSnapshot,
    state: Vec<u8>,
) -> Result<(Letter, SnapshotResponse<u64>)> {
    guard.take(from, letter);
    guard.admit(from, None)?;
    let answer = match guard.refuse_leader(&vote) {
        Some(AppendEntriesResponse::HigherVote(vote)) => SnapshotResponse { vote },
        _ => {
            let snapshot = Box::new(std::io::Cursor::new(state));
            let installed = raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await;
            installed.map_err(stopped)?
        }
    };
    guard.review();
    Ok((guard.letter(from, false), answer))
}

/// raft answers with an error only when it has stopped, for good.
pub(crate) fn stopped(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, "the metadata of this node has stopped").with_source(error)
}
