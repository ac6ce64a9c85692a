//! Gossip as it is: sealed datagrams among members.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use mapring_types::{Error, Result};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::shared::{Shared, resolve};
use super::wire::Socket;
use crate::limits;

/// Takes part until that is over, or nothing can be received any more.
pub(super) async fn run(shared: &Shared, socket: Arc<dyn Socket>) -> Result<()> {
    let socket = &*socket;
    // Rounds go before datagrams, which may come without end.
    tokio::select! {
        biased;
        () = shared.over(false) => Ok(()),
        () = speak(shared, socket) => Ok(()),
        () = introduce(shared, socket) => Ok(()),
        ended = listen(shared, socket) => ended,
    }
}

async fn listen(shared: &Shared, socket: &dyn Socket) -> Result<()> {
    // One byte more than a datagram may have, to tell those that have more.
    let mut buffer = vec![0; limits::DATAGRAM_BYTES + 1];
    loop {
        let (length, from) = match socket.receive(&mut buffer).await {
            Ok(received) => received,
            // Somebody to whom a datagram was sent is not there.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
                ) =>
            {
                continue;
            }
            Err(error) => {
                return Err(Error::unavailable("cannot receive gossip").with_source(error));
            }
        };
        let frame = buffer.get(..length).unwrap_or_default();
        let (answer, refusal) = shared.detector.lock().receive(frame, from, Instant::now());
        if let Some(refusal) = refusal {
            let reason = refusal.reason();
            metrics::counter!("mapring_gossip_refused_total", "reason" => reason).increment(1);
            tracing::debug!(%from, reason, "a datagram of gossip is refused");
        } else if shared.rumours.borrow().is_empty() {
            // Who would found a cluster waits for a first word, and not for long.
            let heard = shared.detector.lock().heard(Instant::now());
            shared.publish(heard);
        }
        if let Some(answer) = answer {
            send(socket, from, &answer).await;
        }
    }
}

/// A heartbeat, again and again.
async fn speak(shared: &Shared, socket: &dyn Socket) {
    let mut ticks = interval(limits::GOSSIP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let facts = shared.facts.lock().clone();
        let (messages, heard) = {
            let mut detector = shared.detector.lock();
            let now = Instant::now();
            detector.tell(facts);
            (detector.round(now), detector.heard(now))
        };
        shared.publish(heard);
        for (to, frame) in messages {
            send(socket, to, &frame).await;
        }
    }
}

/// Speaks where members should be that have not been heard.
async fn introduce(shared: &Shared, socket: &dyn Socket) {
    let mut ticks = interval(limits::SEEDING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seeds = shared.seeds.lock().clone();
        let unmet = shared.detector.lock().unmet(&seeds, Instant::now());
        for seed in unmet {
            for address in resolve(&seed, &shared.config.listen).await {
                let frame = shared.detector.lock().introduction(Instant::now());
                if let Some(frame) = frame {
                    send(socket, address, &frame).await;
                }
            }
        }
    }
}

async fn send(socket: &dyn Socket, to: SocketAddr, frame: &[u8]) {
    if let Err(error) = socket.send(to, frame).await {
        tracing::debug!(%to, %error, "a datagram of gossip is not sent");
    }
}
