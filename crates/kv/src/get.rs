//! Reads: all replicas are asked at once, the answer leaves at `r`/`pr`, stale primaries are
//! repaired after it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use mapring_net::Class;
use mapring_ring::PreferenceEntry;
use mapring_types::{Error, NodeId, Object, ObjectId, Record, Result};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::quorum::{ReadCore, ReadNeed, Verdict, is_tombstone, keeps_siblings};
use crate::{GetOptions, Shared, deadline, limits};

type Reply = Result<Option<Object>>;

/// One read under way.
struct Reader {
    shared: Arc<Shared>,
    id: ObjectId,
    need: ReadNeed,
    siblings: bool,
    core: ReadCore,
    /// Nodes that failed or are doubted: the list is made as if they were down.
    excluded: BTreeSet<NodeId>,
    pending: FuturesUnordered<BoxFuture<'static, (usize, Reply)>>,
    /// When silent nodes are doubted; `None` once they are.
    hedge: Option<Instant>,
    deadline: Instant,
    reply: Option<oneshot::Sender<Reply>>,
    /// After the reply: the leave to wait for late replicas.
    tail: Option<OwnedSemaphorePermit>,
}

enum Event {
    Answer(usize, Reply),
    Hedge,
    Deadline,
    /// Nobody waits for the reply any more.
    Gone,
    /// No replica is left to wait for.
    Done,
}

/// Reads an object: see [`crate::Kv::get`].
pub(crate) async fn get(shared: &Arc<Shared>, id: &ObjectId, options: &GetOptions) -> Reply {
    let view = shared.parts.cluster.view();
    let props = shared.props(&view, &id.bucket)?;
    let need = ReadNeed::new(&props, options)?;
    let (sender, receiver) = oneshot::channel();
    let reader = Reader {
        shared: shared.clone(),
        id: id.clone(),
        need,
        siblings: keeps_siblings(&props),
        core: ReadCore::new(need),
        excluded: BTreeSet::new(),
        pending: FuturesUnordered::new(),
        hedge: Some(Instant::now() + limits::HEDGE),
        deadline: deadline(options.timeout),
        reply: Some(sender),
        tail: None,
    };
    // Its own task: the replicas that answer after the reply are repaired.
    mapring_net::task::spawn(reader.run());
    receiver.await.unwrap_or_else(|_| Err(Error::internal("a read ended without a result")))
}

impl Reader {
    async fn run(mut self) {
        self.widen();
        self.decide();
        while self.wanted() {
            let event = self.select().await;
            if !self.apply(event) {
                return;
            }
        }
        self.repair().await;
    }

    /// Whether to go on: for the reply, or for replicas to be repaired.
    fn wanted(&self) -> bool {
        let late = self.tail.is_some() && !self.pending.is_empty();
        self.reply.is_some() || (late && Instant::now() < self.deadline)
    }

    async fn select(&mut self) -> Event {
        let gone = async {
            match &mut self.reply {
                Some(reply) => reply.closed().await,
                None => std::future::pending().await,
            }
        };
        let hedge = async {
            match self.hedge {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = self.pending.next() => match answer {
                Some((index, answer)) => Event::Answer(index, answer),
                None => Event::Done,
            },
            () = gone => Event::Gone,
            () = hedge => Event::Hedge,
            () = sleep_until(self.deadline) => Event::Deadline,
        }
    }

    /// Gives whether to go on.
    fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Answer(index, answer) => {
                if let Err(error) = &answer {
                    let node = self.core.node(index);
                    tracing::debug!(id = %self.id, ?node, %error, "a replica failed a read");
                    self.excluded.extend(node);
                }
                self.core.apply(index, answer);
                self.widen();
            }
            Event::Hedge => {
                self.hedge = None;
                let silent: Vec<NodeId> = self.core.silent().collect();
                self.excluded.extend(silent);
                self.widen();
            }
            Event::Deadline => {
                let message = format!("{}: the read was not answered in time", self.id);
                self.answer(Err(Error::timeout(message)));
            }
            Event::Gone => return false,
            Event::Done => self.answer(Err(Error::internal("a read ran out of replicas"))),
        }
        self.decide();
        true
    }

    /// Asks the replicas that the list names by now and that have not been asked. Once the reply
    /// has left, nobody more is asked.
    fn widen(&mut self) {
        if self.reply.is_none() {
            return;
        }
        for entry in self.shared.entries(&self.id, self.need.n, &self.excluded) {
            if let Some(index) = self.core.add(entry) {
                let (shared, id) = (self.shared.clone(), self.id.clone());
                let patience = limits::REPLICA_PATIENCE;
                self.pending.push(Box::pin(async move {
                    (index, shared.read_at(entry, id, Class::Foreground, patience).await)
                }));
            }
        }
    }

    fn decide(&mut self) {
        match self.core.verdict() {
            Verdict::Wait => {}
            Verdict::Fail(error) => self.answer(Err(error.context(&self.id))),
            Verdict::Enough => {
                let mut object = self.core.merged.clone();
                if !self.siblings {
                    object.resolve_to_newest();
                }
                self.answer(Ok((!object.siblings.is_empty()).then_some(object)));
            }
        }
    }

    fn answer(&mut self, reply: Reply) {
        if let Some(sender) = self.reply.take() {
            if let Ok(Some(object)) = &reply {
                metrics::histogram!("mapring_get_siblings").record(object.siblings.len() as f64);
            }
            let _ = sender.send(reply);
            self.tail = self.shared.tail(self.core.merged.body_bytes());
        }
    }

    /// Brings the primaries that answered with less up to all answers together.
    async fn repair(&mut self) {
        let stale: Vec<PreferenceEntry> = self.core.stale();
        if is_tombstone(&self.core.merged, self.siblings) {
            let now = self.shared.parts.clock.now_micros();
            self.shared.reaper.met(&self.id, self.core.merged.last_modified(), now);
        }
        if stale.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let Ok(_permit) = shared.repairs.try_acquire() else {
            metrics::counter!("mapring_read_repairs_dropped_total").increment(1);
            return;
        };
        let record = Record::encode(&self.core.merged);
        let patience = limits::REPLICA_PATIENCE + limits::transfer(record.len());
        let (shared, id) = (&shared, &self.id.clone());
        let repairs = stale.into_iter().map(|entry| {
            let record = record.clone();
            async move {
                let class = Class::Background;
                match shared.merge_at(entry, id.clone(), record, None, class, patience).await {
                    Ok(()) => shared.stats.count_read_repair(),
                    Err(error) => {
                        tracing::debug!(%id, node = %entry.node, %error, "a replica is not repaired");
                    }
                }
            }
        });
        join_all(repairs).await;
    }
}
