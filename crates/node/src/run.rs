//! The whole life of a node process.

use std::future::Future;

use mapring_types::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::node::Node;
use crate::{machine, telemetry};

/// Runs a node until SIGTERM, SIGINT or `stop`, then stops it in order. A second signal ends the
/// stop.
///
/// # Errors
/// When the node cannot be started, or the stop was cut short.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<()> {
    telemetry::start_logging(&config.log)?;
    machine::use_small_pages();
    let mut signals = Signals::listen()?;
    tokio::pin!(stop);
    let node = tokio::select! {
        biased;
        name = signals.next() => {
            tracing::info!(signal = name, "stopped while starting");
            return Ok(());
        }
        () = &mut stop => return Ok(()),
        node = Node::start(config) => node?,
    };
    tokio::select! {
        biased;
        name = signals.next() => tracing::info!(signal = name, "asked to stop"),
        () = stop => tracing::info!("asked to stop by the process that started this one"),
    }
    tokio::select! {
        biased;
        name = signals.next() => {
            Err(Error::internal(format!("the stop was cut short by a second signal, {name}")))
        }
        () = node.stop() => Ok(()),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Error::internal("cannot listen for signals").with_source(error))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
