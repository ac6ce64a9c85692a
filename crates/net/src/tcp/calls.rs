//! The calling side of a unary connection: many calls at once, answers in any order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mapring_types::error::WireError;
use mapring_types::{Error, Result};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::shared::Shared;
use super::wire::{Frame, FrameReader, FrameWriter, Header};
use crate::{Method, limits};

/// What came back.
pub(super) enum Reply {
    /// The answer.
    Body(Bytes),
    /// Where the answer waits.
    Oversize(u64),
}

/// A connection for calls. When its last owner drops it, it is closed.
pub(super) struct CallConnection {
    calls: Arc<Calls>,
    frames: mpsc::Sender<Frame>,
    cancelled: mpsc::UnboundedSender<Cancelled>,
    permits: Arc<Semaphore>,
    next: AtomicU64,
}

/// A call that nobody waits for any more. It keeps its permit until the peer has been told: that
/// bounds the queue of these.
type Cancelled = (u64, OwnedSemaphorePermit);

/// The calls under way on one connection.
struct Calls {
    /// For error messages.
    peer: String,
    state: Mutex<State>,
}

struct State {
    waiting: HashMap<u64, oneshot::Sender<Result<Reply>>>,
    /// When the last call began or ended.
    turned: Instant,
    /// When the first call began since the peer was last heard. It stays when that call is
    /// withdrawn: a peer that lets every call time out is as silent as one that lets a single one
    /// wait.
    asked: Option<Instant>,
    /// Why the connection is of no use any more.
    closed: Option<WireError>,
}

impl CallConnection {
    /// Takes a connection that has passed the handshake.
    pub(super) fn start(shared: &Arc<Shared>, stream: TcpStream, peer: String) -> Arc<Self> {
        let (frames, queue) = mpsc::channel(limits::QUEUED_FRAMES);
        let (cancelled, cancellations) = mpsc::unbounded_channel();
        let state =
            State { waiting: HashMap::new(), turned: Instant::now(), asked: None, closed: None };
        let calls = Arc::new(Calls { peer, state: Mutex::new(state) });
        let driver = Driver {
            shared: shared.clone(),
            calls: calls.clone(),
            frames: frames.downgrade(),
            queue,
            cancellations,
        };
        shared.tasks.spawn(driver.run(stream));
        let permits = Arc::new(Semaphore::new(limits::CALLS_PER_CONNECTION));
        Arc::new(Self { calls, frames, cancelled, permits, next: AtomicU64::new(0) })
    }

    /// Whether calls can still be made.
    pub(super) fn is_open(&self) -> bool {
        self.calls.state.lock().closed.is_none()
    }

    /// Makes a call. The guard of the returned pair keeps an oversize reply alive; see [`Call::done`].
    ///
    /// # Errors
    /// The peer's, or `Unavailable` when the connection breaks.
    pub(super) async fn call(
        &self,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(Reply, Call)> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Error::internal("the semaphore of calls is closed"))?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        let service = method.service.number();
        let header = Header::Request { id, service, operation: method.operation, timeout_ms };
        let frame = Frame::new(&header, body)?;
        // Reserved first: a call that is dropped while it waits for room has never been sent.
        let room = match self.frames.reserve().await {
            Ok(room) => room,
            Err(_) => return Err(self.calls.reason()),
        };
        let (sender, receiver) = oneshot::channel();
        self.calls.begin(id, sender)?;
        let call = Call {
            id,
            calls: self.calls.clone(),
            withdraw: Some((self.cancelled.clone(), permit)),
        };
        room.send(frame);
        match receiver.await {
            Ok(Ok(reply)) => Ok((reply, call)),
            Ok(Err(error)) => {
                call.done();
                Err(error)
            }
            Err(_) => Err(self.calls.reason()),
        }
    }
}

/// A call under way. Dropped before it is done, it tells the peer that nobody waits.
pub(super) struct Call {
    id: u64,
    calls: Arc<Calls>,
    withdraw: Option<(mpsc::UnboundedSender<Cancelled>, OwnedSemaphorePermit)>,
}

impl Call {
    /// The peer has nothing to do for this call any more.
    pub(super) fn done(mut self) {
        self.withdraw = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        drop(self.calls.end(self.id));
        if let Some((cancelled, permit)) = self.withdraw.take() {
            // Fails when the connection is closed: then the peer knows.
            let _ = cancelled.send((self.id, permit));
        }
    }
}

impl Calls {
    fn begin(&self, id: u64, sender: oneshot::Sender<Result<Reply>>) -> Result<()> {
        let mut state = self.state.lock();
        if let Some(closed) = &state.closed {
            return Err(closed.clone().into());
        }
        let now = Instant::now();
        state.turned = now;
        state.asked.get_or_insert(now);
        state.waiting.insert(id, sender);
        Ok(())
    }

    fn end(&self, id: u64) -> Option<oneshot::Sender<Result<Reply>>> {
        let mut state = self.state.lock();
        let sender = state.waiting.remove(&id);
        if sender.is_some() && state.waiting.is_empty() {
            state.turned = Instant::now();
        }
        sender
    }

    fn reason(&self) -> Error {
        match &self.state.lock().closed {
            Some(closed) => closed.clone().into(),
            None => Error::unavailable(format!("the connection to {} is closed", self.peer)),
        }
    }

    /// All calls end here.
    fn close(&self, why: &Error) {
        let error = Error::unavailable(format!("the connection to {} broke: {why}", self.peer));
        let wire = error.to_wire();
        let waiting = {
            let mut state = self.state.lock();
            state.closed.get_or_insert_with(|| wire.clone());
            std::mem::take(&mut state.waiting)
        };
        for sender in waiting.into_values() {
            let _ = sender.send(Err(wire.clone().into()));
        }
    }

    /// Closes a connection that has had nothing to do for long. No call can slip in between.
    fn close_if_idle(&self) -> bool {
        let mut state = self.state.lock();
        let idle = state.waiting.is_empty() && state.turned.elapsed() >= limits::IDLE;
        if idle {
            state.closed = Some(Error::unavailable("closed for want of calls").to_wire());
        }
        idle
    }

    /// The peer has said something.
    fn heard(&self) {
        let mut state = self.state.lock();
        state.asked = (!state.waiting.is_empty()).then(Instant::now);
    }

    /// For how long the peer has owed an answer, or a sign of life, and said nothing.
    fn silence(&self) -> Option<Duration> {
        self.state.lock().asked.map(|asked| asked.elapsed())
    }
}

/// Moves the frames of one connection.
struct Driver {
    shared: Arc<Shared>,
    calls: Arc<Calls>,
    frames: mpsc::WeakSender<Frame>,
    queue: mpsc::Receiver<Frame>,
    cancellations: mpsc::UnboundedReceiver<Cancelled>,
}

/// Tells the calls when the driver ends, in whatever way.
struct CloseOnDrop(Arc<Calls>, Option<Error>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let why = self.1.take().unwrap_or_else(|| Error::unavailable("this node stops"));
        self.0.close(&why);
    }
}

impl Driver {
    async fn run(mut self, mut stream: TcpStream) {
        let mut close = CloseOnDrop(self.calls.clone(), None);
        let (reading, writing) = stream.split();
        let sent = &self.shared.metrics.sent;
        let why = tokio::select! {
            biased;
            why = read(reading, &self.shared, &self.calls, &self.frames) => why,
            why = write(writing, sent, &mut self.queue, &mut self.cancellations) => why,
        };
        match why {
            Ok(()) => tracing::debug!(peer = self.calls.peer, "connection closed"),
            Err(error) => {
                tracing::info!(peer = self.calls.peer, %error, "connection broke");
                close.1 = Some(error);
            }
        }
    }
}

/// Gives answers to those who wait for them, and watches over the silence of the peer.
async fn read(
    socket: ReadHalf<'_>,
    shared: &Shared,
    calls: &Calls,
    frames: &mpsc::WeakSender<Frame>,
) -> Result<()> {
    let mut reader = FrameReader::new(socket);
    let mut tick = tokio::time::interval(limits::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            read = reader.fill() => {
                shared.metrics.received.increment(read? as u64);
                while let Some((header, body)) = reader.take()? {
                    deliver(calls, header, body)?;
                }
                calls.heard();
            }
            _ = tick.tick() => {
                if calls.close_if_idle() {
                    return Ok(());
                }
                let Some(silence) = calls.silence() else { continue };
                if silence >= mapring_types::limits::LEASE {
                    return Err(Error::unavailable(format!("silent for {silence:?}")));
                }
                if silence >= limits::PING_AFTER && let Some(frames) = frames.upgrade() {
                    // A full queue means that the peer does not read: no need to ask.
                    let _ = frames.try_send(Frame::new(&Header::Ping, Bytes::new())?);
                }
            }
        }
    }
}

fn deliver(calls: &Calls, header: Header, body: Bytes) -> Result<()> {
    let (id, reply) = match header {
        Header::Answer { id } => (id, Ok(Reply::Body(body))),
        Header::Oversize { id, token } => (id, Ok(Reply::Oversize(token))),
        Header::Failure { id, error } => (id, Err(error.into())),
        Header::Pong => return Ok(()),
        Header::Request { .. } | Header::Cancel { .. } | Header::Ping => {
            return Err(Error::corrupt("a request where answers belong"));
        }
    };
    // Nobody waits when the call has been withdrawn meanwhile.
    if let Some(sender) = calls.end(id) {
        let _ = sender.send(reply);
    }
    Ok(())
}

/// Sends calls and cancellations as they come, in writes as large as they happen to be. Ends when
/// the connection has no owner any more.
async fn write(
    socket: WriteHalf<'_>,
    sent: &metrics::Counter,
    queue: &mut mpsc::Receiver<Frame>,
    cancellations: &mut mpsc::UnboundedReceiver<Cancelled>,
) -> Result<()> {
    let mut writer = FrameWriter::new(socket);
    loop {
        let mut cancelled = None;
        tokio::select! {
            biased;
            frame = queue.recv() => match frame {
                Some(frame) => put(&mut writer, sent, frame).await?,
                None => return Ok(()),
            },
            next = cancellations.recv() => cancelled = next,
        }
        // What else is about to be sent goes along: a write costs more than all else about a call.
        crate::task::after_others().await;
        loop {
            // Before a cancellation, everything queued: it must not overtake its call.
            while let Ok(frame) = queue.try_recv() {
                put(&mut writer, sent, frame).await?;
            }
            if let Some((id, _permit)) = cancelled.take() {
                let frame = Frame::new(&Header::Cancel { id }, Bytes::new())?;
                put(&mut writer, sent, frame).await?;
            }
            match cancellations.try_recv() {
                Ok(next) => cancelled = Some(next),
                Err(_) => break,
            }
        }
        writer.flush().await?;
    }
}

async fn put(
    writer: &mut FrameWriter<WriteHalf<'_>>,
    sent: &metrics::Counter,
    frame: Frame,
) -> Result<()> {
    sent.increment(frame.len() as u64);
    writer.write(frame).await
}
