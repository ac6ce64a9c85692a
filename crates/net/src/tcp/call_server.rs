//! The answering side of a unary connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mapring_types::limits::{LEASE, MESSAGE_BYTES, UNARY_BYTES};
use mapring_types::{Error, ErrorKind, NodeId, Result};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::shared::Shared;
use super::wire::{Frame, FrameReader, FrameWriter, Header};
use crate::{Method, ServiceId, limits};

/// Answers the calls of one connection until it breaks or the peer is silent for too long.
pub(super) async fn serve(shared: Arc<Shared>, mut stream: TcpStream, from: NodeId) -> Result<()> {
    shared.serving().await?;
    let (answers, mut queue) = mpsc::channel(limits::QUEUED_FRAMES);
    let server = Arc::new(CallServer { shared, from, answers, running: Mutex::default() });
    let _clear = ClearOnDrop(server.clone());
    let (reading, writing) = stream.split();
    tokio::select! {
        biased;
        end = read(reading, &server) => end,
        end = write(writing, &server.shared.metrics.sent, &mut queue) => end,
    }
}

/// One connection's calls.
struct CallServer {
    shared: Arc<Shared>,
    from: NodeId,
    answers: mpsc::Sender<Frame>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    tasks: HashMap<u64, AbortHandle>,
    closed: bool,
}

/// Work whose caller has gone ends.
struct ClearOnDrop(Arc<CallServer>);

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        let mut running = self.0.running.lock();
        running.closed = true;
        for task in running.tasks.values() {
            task.abort();
        }
    }
}

async fn read(socket: ReadHalf<'_>, server: &Arc<CallServer>) -> Result<()> {
    let mut reader = FrameReader::new(socket);
    let mut tick = tokio::time::interval(limits::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        while let Some((header, body)) = reader.take()? {
            server.take(header, body)?;
        }
        tokio::select! {
            biased;
            read = reader.fill() => {
                server.shared.metrics.received.increment(read? as u64);
                heard = Instant::now();
            }
            _ = tick.tick() => {
                // A caller that waits sends signs of life.
                let busy = !server.running.lock().tasks.is_empty();
                let patience = if busy { LEASE } else { limits::ABANDONED };
                let silence = heard.elapsed();
                if silence >= patience {
                    return Err(Error::unavailable(format!("silent for {silence:?}")));
                }
            }
        }
    }
}

async fn write(
    socket: WriteHalf<'_>,
    sent: &metrics::Counter,
    queue: &mut mpsc::Receiver<Frame>,
) -> Result<()> {
    let mut writer = FrameWriter::new(socket);
    while let Some(frame) = queue.recv().await {
        sent.increment(frame.len() as u64);
        writer.write(frame).await?;
        // What else is about to be sent goes along: a write costs more than all else about a call.
        crate::task::after_others().await;
        while let Ok(frame) = queue.try_recv() {
            sent.increment(frame.len() as u64);
            writer.write(frame).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}

impl CallServer {
    fn take(self: &Arc<Self>, header: Header, body: Bytes) -> Result<()> {
        match header {
            Header::Request { id, service, operation, timeout_ms } => {
                self.begin(id, service, operation, Duration::from_millis(timeout_ms), body)
            }
            Header::Cancel { id } => {
                if let Some(task) = self.running.lock().tasks.remove(&id) {
                    task.abort();
                }
                Ok(())
            }
            Header::Ping => {
                // A full queue holds signs of life already.
                let _ = self.answers.try_send(Frame::new(&Header::Pong, Bytes::new())?);
                Ok(())
            }
            Header::Pong => Ok(()),
            Header::Answer { .. } | Header::Failure { .. } | Header::Oversize { .. } => {
                Err(Error::corrupt("an answer where requests belong"))
            }
        }
    }

    /// Starts the work of a call in a task of its own.
    fn begin(
        self: &Arc<Self>,
        id: u64,
        service: u8,
        operation: u8,
        within: Duration,
        body: Bytes,
    ) -> Result<()> {
        let Some(alive) = self.shared.tasks.alive() else {
            return Err(super::shared::stopped(self.shared.identity.me));
        };
        let mut running = self.running.lock();
        if running.closed || running.tasks.contains_key(&id) {
            return Err(Error::corrupt(format!("call {id} came twice")));
        }
        if running.tasks.len() >= limits::CALLS_SERVED {
            return Err(Error::new(
                ErrorKind::Overloaded,
                format!("more than {} calls", limits::CALLS_SERVED),
            ));
        }
        let server = self.clone();
        let task = tokio::spawn(async move {
            let _alive = alive;
            let method = Method { service: ServiceId::new(service), operation };
            let answer = server.shared.answer(server.from, method, body, within).await;
            server.reply(id, answer, within).await;
            server.running.lock().tasks.remove(&id);
        });
        running.tasks.insert(id, task.abort_handle());
        Ok(())
    }

    async fn reply(&self, id: u64, answer: Result<Bytes>, within: Duration) {
        let frame = match answer {
            Ok(body) if body.len() <= UNARY_BYTES => Frame::new(&Header::Answer { id }, body),
            Ok(body) if body.len() <= MESSAGE_BYTES => {
                return self.reply_oversize(id, body, within).await;
            }
            Ok(body) => Frame::failure(id, &too_large(body.len())),
            Err(error) => Frame::failure(id, &error),
        };
        self.send(frame).await;
    }

    /// Says where a large answer can be fetched and keeps it so long. It goes with this call: when
    /// the caller takes it, withdraws, goes or is late.
    async fn reply_oversize(&self, id: u64, body: Bytes, within: Duration) {
        let mut deposit = self.shared.oversize.deposit(self.from, body);
        let header = Header::Oversize { id, token: deposit.token };
        self.send(Frame::new(&header, Bytes::new())).await;
        let _ = timeout(within, deposit.taken()).await;
    }

    async fn send(&self, frame: Result<Frame>) {
        match frame {
            // Fails when the connection is closed: then nobody waits.
            Ok(frame) => drop(self.answers.send(frame).await),
            Err(error) => tracing::error!(from = %self.from, %error, "an answer was lost"),
        }
    }
}

/// An answer that no peer would take.
pub(super) fn too_large(length: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("a message of {length} bytes between nodes; at most {MESSAGE_BYTES} are allowed"),
    )
}
