//! A network in memory: for tests and for simulation. What becomes of each message is decided by a
//! function that the owner passes in, so that a seed can decide it.
//!
//! It fails as the TCP transport does: a call to a node that goes is `Unavailable` at once, a lost
//! message breaks what it belongs to after the lease, dropped calls and streams end the work
//! behind them. A node may stand still ([`Network::connect_through`]): messages to it wait, also
//! those whose senders do not wait any more, and are worked on when it goes on. Nothing here runs
//! by itself but what nodes are asked to do and the producers of open streams.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use mapring_types::limits::LEASE;
use mapring_types::{Error, NodeId, Releases, Result};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::task::Gate;
use crate::{Class, FrameStream, Method, Peer, Services, Transport, limits};

/// What becomes of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after a time.
    Deliver(Duration),
    /// It is lost: the sender waits until its deadline, at most for
    /// [`mapring_types::limits::LEASE`], when the silence is noticed.
    Lose,
    /// The sender is told at once that the peer cannot be reached.
    Refuse,
}

/// Decides about each message (and each frame of a stream), given sender and receiver.
pub type Weather = Box<dyn Fn(NodeId, NodeId) -> Fate + Send + Sync>;

/// Which part of an exchange a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// The request of a call.
    Call,
    /// The answer to a call.
    Answer,
    /// The request of a stream.
    Open,
    /// A frame of a stream.
    Frame,
}

/// A message, as an observer sees it.
#[derive(Debug)]
pub struct Message<'a> {
    /// Who sends it.
    pub from: NodeId,
    /// Whom to.
    pub to: NodeId,
    /// The operation that it belongs to.
    pub method: Method,
    /// Its part in the operation.
    pub leg: Leg,
    /// What it carries; empty for an error.
    pub body: &'a [u8],
    /// What has become of it; delivered ones are shown when they arrive, not when they leave.
    pub fate: Fate,
}

/// Sees every message, in order.
pub type Observer = Box<dyn Fn(&Message<'_>) + Send + Sync>;

/// A network in memory between any number of nodes.
pub struct Network {
    nodes: Mutex<BTreeMap<NodeId, Place>>,
    weather: Mutex<Arc<Weather>>,
    observer: Mutex<Arc<Observer>>,
    /// Tells of every change of a place. Not a `watch`, which wakes its waiters in random order.
    changed: Notify,
}

/// One node's place on the network.
#[derive(Default)]
struct Place {
    services: Option<Services>,
    gate: Arc<Gate>,
    state: State,
    /// What the node says of the formats that it knows, where that is not this program's.
    releases: Option<Releases>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct State {
    /// Goes up with every connection and disconnection: work of another one has gone.
    connection: u64,
    /// Goes up with every crash: transports of an earlier generation are dead.
    generation: u64,
}

impl Network {
    /// A network that delivers everything at once.
    pub fn new() -> Arc<Self> {
        let calm: Weather = Box::new(|_, _| Fate::Deliver(Duration::ZERO));
        let blind: Observer = Box::new(|_| ());
        Arc::new(Self {
            nodes: Mutex::default(),
            weather: Mutex::new(Arc::new(calm)),
            observer: Mutex::new(Arc::new(blind)),
            changed: Notify::new(),
        })
    }

    /// Decides otherwise from now on.
    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock() = Arc::new(weather);
    }

    /// Shows all messages from now on.
    pub fn set_observer(&self, observer: Observer) {
        *self.observer.lock() = Arc::new(observer);
    }

    /// Connects a node, or what it has become after a restart.
    pub fn connect(&self, node: NodeId, services: Services) {
        self.connect_through(node, services, Gate::new());
    }

    /// Connects a node whose work goes through a gate.
    pub fn connect_through(&self, node: NodeId, services: Services, gate: Arc<Gate>) {
        self.change(node, |place| {
            place.services = Some(services);
            place.gate = gate;
            place.state.connection += 1;
        });
    }

    /// Takes a node off: calls to it are refused, those under way and streams from it break.
    pub fn disconnect(&self, node: NodeId) {
        self.change(node, |place| {
            place.services = None;
            place.state.connection += 1;
        });
    }

    /// Takes a node off for good, as a crash does: beside what [`Self::disconnect`] does, the
    /// transports given to it so far carry nothing any more. What runs next takes a new one.
    pub fn crash(&self, node: NodeId) {
        self.change(node, |place| {
            place.services = None;
            place.state.connection += 1;
            place.state.generation += 1;
        });
    }

    /// Has a node be of another release, as the others hear it.
    pub fn set_releases(&self, node: NodeId, releases: Releases) {
        self.change(node, |place| place.releases = Some(releases));
    }

    /// The transport of one node.
    pub fn transport(self: &Arc<Self>, me: NodeId) -> Arc<dyn Transport> {
        let generation = self.state(me).generation;
        Arc::new(SimulatedTransport { me, generation, network: self.clone() })
    }

    fn change(&self, node: NodeId, how: impl FnOnce(&mut Place)) {
        how(self.nodes.lock().entry(node).or_default());
        self.changed.notify_waiters();
    }

    fn state(&self, node: NodeId) -> State {
        self.nodes.lock().get(&node).map(|place| place.state).unwrap_or_default()
    }

    fn services(&self, node: NodeId) -> Result<(Services, Arc<Gate>)> {
        let nodes = self.nodes.lock();
        let place = nodes.get(&node).ok_or_else(|| refused(node))?;
        let services = place.services.clone().ok_or_else(|| refused(node))?;
        Ok((services, place.gate.clone()))
    }

    fn stands_still(&self, node: NodeId) -> bool {
        self.nodes.lock().get(&node).is_some_and(|place| place.gate.is_closed())
    }
}

/// One exchange between two nodes.
#[derive(Clone)]
struct Exchange {
    network: Arc<Network>,
    me: NodeId,
    target: NodeId,
    method: Method,
    /// The caller's generation and the answerer's connection that it belongs to.
    generation: u64,
    connection: u64,
}

impl Exchange {
    /// Moves a message between caller and answerer.
    async fn travel(&self, leg: Leg, body: &[u8]) -> Result<()> {
        let (from, to) = match leg {
            Leg::Call | Leg::Open => (self.me, self.target),
            Leg::Answer | Leg::Frame => (self.target, self.me),
        };
        let weather = self.network.weather.lock().clone();
        let fate = weather(from, to);
        if let Fate::Deliver(after) = fate
            && !after.is_zero()
        {
            tokio::time::sleep(after).await;
        }
        let observer = self.network.observer.lock().clone();
        observer(&Message { from, to, method: self.method, leg, body, fate });
        match fate {
            Fate::Deliver(_) => Ok(()),
            Fate::Lose => {
                tokio::time::sleep(LEASE).await;
                Err(broken(self.target, "it is silent"))
            }
            Fate::Refuse => Err(refused(self.target)),
        }
    }

    /// Does `work` as long as both nodes are what they were.
    async fn unless_gone<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            error = self.gone() => Err(error),
            done = work => done,
        }
    }

    /// Waits until one of the nodes is not what it was.
    async fn gone(&self) -> Error {
        loop {
            let mut changed = pin!(self.network.changed.notified());
            // Before the check, so that no change in between is missed.
            changed.as_mut().enable();
            if self.network.state(self.me).generation != self.generation {
                return ended(self.me);
            }
            if self.network.state(self.target).connection != self.connection {
                return broken(self.target, "the node has gone");
            }
            changed.await;
        }
    }
}

fn refused(node: NodeId) -> Error {
    Error::unavailable(format!("node {node} refuses connections"))
}

fn broken(node: NodeId, why: &str) -> Error {
    Error::unavailable(format!("the connection to node {node} broke: {why}"))
}

fn ended(node: NodeId) -> Error {
    Error::unavailable(format!("the transport of node {node} has stopped"))
}

struct SimulatedTransport {
    me: NodeId,
    generation: u64,
    network: Arc<Network>,
}

impl SimulatedTransport {
    fn exchange(&self, to: &Peer, method: Method) -> Result<Exchange> {
        let unknown = || Error::unavailable("the simulated network knows nodes by id alone");
        let target = to.id.ok_or_else(unknown)?;
        let connection = self.network.state(target).connection;
        let (network, me, generation) = (self.network.clone(), self.me, self.generation);
        Ok(Exchange { network, me, target, method, generation, connection })
    }
}

#[async_trait]
impl Transport for SimulatedTransport {
    async fn call(
        &self,
        to: &Peer,
        _class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes> {
        let exchange = self.exchange(to, method)?;
        let target = exchange.target;
        let asked = Errand::send(exchange.clone(), async move {
            exchange.travel(Leg::Call, &body).await?;
            let (services, gate) = exchange.network.services(target)?;
            let service = services.get(method.service)?;
            let from = exchange.me;
            let answer = gate.run(service.call(from, method.operation, body.clone())).await;
            let carried = answer.as_ref().map_or(&[][..], |body| body);
            exchange.travel(Leg::Answer, carried).await?;
            answer
        });
        tokio::time::timeout(timeout, asked.done()).await.unwrap_or_else(|_| Err(late(target)))
    }

    async fn open(
        &self,
        to: &Peer,
        _class: Class,
        method: Method,
        body: Bytes,
        timeout: Duration,
    ) -> Result<FrameStream> {
        let exchange = self.exchange(to, method)?;
        let target = exchange.target;
        let opening = exchange.clone();
        let asked = Errand::send(exchange, async move {
            opening.travel(Leg::Open, &body).await?;
            let (services, gate) = opening.network.services(target)?;
            let service = services.get(method.service)?;
            let frames = gate.run(service.open(opening.me, method.operation, body.clone())).await?;
            // Here, so that it ends with who has asked also where that one never takes it.
            Ok(pumped(opening, frames, gate))
        });
        tokio::time::timeout(timeout, asked.done()).await.unwrap_or_else(|_| Err(late(target)))
    }

    fn releases(&self, node: NodeId) -> Option<Releases> {
        let nodes = self.network.nodes.lock();
        nodes.get(&node).map(|place| place.releases.unwrap_or_else(Releases::own))
    }
}

/// Something that a node is asked to do. It runs beside the one who asks, who may stand still or
/// wait no longer: then it ends, unless the message lies before a node that stands still.
struct Errand<T> {
    network: Arc<Network>,
    target: NodeId,
    task: JoinHandle<Result<T>>,
}

impl<T: Send + 'static> Errand<T> {
    fn send(exchange: Exchange, work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        let (network, target) = (exchange.network.clone(), exchange.target);
        let task = tokio::spawn(async move { exchange.unless_gone(work).await });
        Self { network, target, task }
    }

    async fn done(mut self) -> Result<T> {
        match (&mut self.task).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ended(self.target)),
        }
    }
}

impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        if !self.network.stands_still(self.target) {
            self.task.abort();
        }
    }
}

fn late(node: NodeId) -> Error {
    Error::timeout(format!("node {node} did not answer"))
}

/// Ends the producer of a stream that is dropped.
struct Pump(JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets the producer run by itself, ahead of the reader by a bounded number of frames.
fn pumped(exchange: Exchange, mut frames: FrameStream, gate: Arc<Gate>) -> FrameStream {
    let (sender, receiver) = mpsc::channel(limits::LOCAL_FRAMES);
    let target = exchange.target;
    let pump = tokio::spawn(async move {
        let moving = async {
            while let Some(frame) = gate.run(frames.next()).await {
                let carried = frame.as_ref().map_or(&[][..], |body| body);
                exchange.travel(Leg::Frame, carried).await?;
                let last = frame.is_err();
                if sender.send(Some(frame)).await.is_err() || last {
                    return Ok(());
                }
            }
            // The end is a message too: without it the stream is cut off.
            exchange.travel(Leg::Frame, &[]).await?;
            let _ = sender.send(None).await;
            Ok(())
        };
        let moved = exchange.unless_gone(moving).await;
        // Who is gone may never read how it ended, and keeps no producer by that.
        drop(frames);
        if let Err(error) = moved {
            let _ = sender.send(Some(Err(error))).await;
        }
    });
    let state = Some((receiver, Pump(pump)));
    let arriving = stream::unfold(state, move |state| async move {
        let (mut receiver, pump) = state?;
        match receiver.recv().await {
            Some(Some(Ok(frame))) => Some((Ok(frame), Some((receiver, pump)))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => Some((Err(broken(target, "its producer died")), None)),
        }
    });
    arriving.boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future;
    use mapring_types::ErrorKind;

    use super::*;
    use crate::{Service, ServiceId};

    const LONG: Duration = Duration::from_secs(60);
    const SERVICE: ServiceId = ServiceId::new(2);
    const METHOD: Method = Method { service: SERVICE, operation: 0 };

    /// Echoes; hangs when asked nothing; streams without end. Counts frames and calls.
    #[derive(Default)]
    struct Probe(Arc<AtomicUsize>, AtomicUsize);

    #[async_trait]
    impl Service for Probe {
        async fn call(&self, _from: NodeId, _operation: u8, body: Bytes) -> Result<Bytes> {
            self.1.fetch_add(1, Ordering::SeqCst);
            if body.is_empty() { future::pending().await } else { Ok(body) }
        }

        async fn open(&self, _: NodeId, _: u8, _: Bytes) -> Result<FrameStream> {
            let produced = self.0.clone();
            let frames = stream::repeat_with(move || {
                produced.fetch_add(1, Ordering::SeqCst);
                Ok(Bytes::from_static(b"frame"))
            });
            Ok(frames.boxed())
        }
    }

    fn network() -> (Arc<Network>, Arc<Probe>) {
        let (network, probe) = (Network::new(), Arc::new(Probe::default()));
        for node in 1..=2 {
            let service: Arc<dyn Service> = probe.clone();
            network.connect(NodeId(node), Services::new([(SERVICE, service)]));
        }
        (network, probe)
    }

    fn two() -> Peer {
        Peer { id: Some(NodeId(2)), address: String::new() }
    }

    async fn call(transport: &Arc<dyn Transport>, body: &'static [u8]) -> Result<Bytes> {
        let body = Bytes::from_static(body);
        transport.call(&two(), Class::Foreground, METHOD, body, LONG).await
    }

    async fn open(transport: &Arc<dyn Transport>) -> FrameStream {
        let two = two();
        transport.open(&two, Class::Foreground, METHOD, Bytes::new(), LONG).await.unwrap()
    }

    #[tokio::test]
    async fn calls_and_streams_break_when_the_peer_goes() {
        let (network, _) = network();
        let one = network.transport(NodeId(1));
        assert_eq!(call(&one, b"x").await.unwrap(), "x");
        let mut frames = open(&one).await;
        frames.next().await.unwrap().unwrap();
        let hanging = call(&one, b"");
        let going = async { network.disconnect(NodeId(2)) };
        let error = future::join(hanging, going).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let rest: Vec<_> = frames.collect().await;
        let end = rest.last().unwrap().as_ref().unwrap_err();
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        assert_eq!(call(&one, b"x").await.unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn a_crash_ends_the_transports_of_that_life() {
        let (network, probe) = network();
        let one = network.transport(NodeId(1));
        let hanging = call(&one, b"");
        let crash = async { network.crash(NodeId(1)) };
        assert!(future::join(hanging, crash).await.0.is_err());
        assert!(call(&one, b"x").await.is_err());
        let service: Arc<dyn Service> = probe;
        network.connect(NodeId(1), Services::new([(SERVICE, service)]));
        assert!(call(&one, b"x").await.is_err());
        assert_eq!(call(&network.transport(NodeId(1)), b"x").await.unwrap(), "x");
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_stops_its_producer() {
        let (network, probe) = network();
        let one = network.transport(NodeId(1));
        let mut frames = open(&one).await;
        for taken in 1..100 {
            frames.next().await.unwrap().unwrap();
            tokio::task::yield_now().await;
            let produced = probe.0.load(Ordering::SeqCst);
            assert!(produced <= taken + limits::LOCAL_FRAMES + 1, "{produced} of {taken}");
        }
    }

    #[tokio::test]
    async fn who_crashes_keeps_no_producer_of_what_it_has_not_read() {
        let (network, probe) = network();
        let unread = open(&network.transport(NodeId(1))).await;
        while probe.0.load(Ordering::SeqCst) <= limits::LOCAL_FRAMES {
            tokio::task::yield_now().await;
        }
        network.crash(NodeId(1));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&probe.0), 1, "the stream is still produced");
        drop(unread);
    }

    #[tokio::test(start_paused = true)]
    async fn who_crashes_standing_still_keeps_no_producer_of_what_it_has_opened() {
        let (network, probe) = network();
        network.set_weather(Box::new(|_, _| Fate::Deliver(Duration::from_millis(5))));
        let (gate, one) = (Gate::new(), network.transport(NodeId(1)));
        let closed = gate.clone();
        let opening = tokio::spawn(async move { gate.run(open(&one)).await });
        let soon = || tokio::time::sleep(Duration::from_millis(2));
        soon().await;
        closed.close();
        while probe.0.load(Ordering::SeqCst) == 0 {
            soon().await;
        }
        assert!(!opening.is_finished() && Arc::strong_count(&probe.0) > 1);
        network.crash(NodeId(1));
        soon().await;
        assert_eq!(Arc::strong_count(&probe.0), 1, "the stream is still produced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_stands_still_does_later_what_nobody_waits_for() {
        let (network, probe) = network();
        let gate = Gate::new();
        let service: Arc<dyn Service> = probe.clone();
        let services = Services::new([(SERVICE, service)]);
        network.connect_through(NodeId(2), services, gate.clone());
        let one = network.transport(NodeId(1));
        let mut frames = open(&one).await;
        frames.next().await.unwrap().unwrap();
        gate.close();
        let (two, body) = (two(), Bytes::from_static(b"x"));
        let patience = Duration::from_secs(1);
        let calling = one.call(&two, Class::Foreground, METHOD, body, patience);
        assert_eq!(calling.await.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(probe.1.load(Ordering::SeqCst), 0);
        gate.open();
        assert_eq!(call(&one, b"x").await.unwrap(), "x");
        assert_eq!(probe.1.load(Ordering::SeqCst), 2);
        frames.next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn messages_are_seen_with_their_fates() {
        let (network, _) = network();
        let one = network.transport(NodeId(1));
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = seen.clone();
        network.set_observer(Box::new(move |message| {
            let Message { from, to, leg, body, fate, .. } = message;
            let length = body.len();
            log.lock().push(format!("{} {} {leg:?} {length} {fate:?}", from.0, to.0));
        }));
        call(&one, b"hello").await.unwrap();
        network.set_weather(Box::new(|_, _| Fate::Refuse));
        call(&one, b"hello").await.unwrap_err();
        let expected =
            ["1 2 Call 5 Deliver(0ns)", "2 1 Answer 5 Deliver(0ns)", "1 2 Call 5 Refuse"];
        assert_eq!(*seen.lock(), expected);
    }
}
