//! The whole life of a node process.

use std::future::Future;

use mapring_types::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::node::Node;
use crate::{machine, telemetry};

/// Runs a node until SIGTERM, SIGINT or `stop`, then stops it in order. A second signal ends its
/// time of grace, a third one the stop. SIGHUP, SIGUSR1 and SIGUSR2 do nothing.
///
/// # Errors
/// When the node cannot be started, or the stop was cut short.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<()> {
    telemetry::start_logging(&config.log)?;
    machine::use_small_pages();
    machine::keep_files_private();
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
    let (hurry, hurried) = oneshot::channel::<()>();
    let stopped = node.stop(async move {
        // Without anybody to hurry it the node takes its time.
        if hurried.await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    tokio::pin!(stopped);
    tokio::select! {
        biased;
        () = &mut stopped => return Ok(()),
        name = signals.next() => tracing::info!(signal = name, "asked to stop at once"),
    }
    // An error means that its time of grace is over already.
    let _ = hurry.send(());
    tokio::select! {
        biased;
        () = &mut stopped => Ok(()),
        name = signals.next() => {
            Err(Error::internal(format!("the stop was cut short by a third signal, {name}")))
        }
    }
}

/// The signals that a process of a node takes care of, so that none ends it unasked.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Those that ask for nothing that a node could do: there are no files of logs to open again,
    /// and settings are read at a start. Their default is to end the process.
    ignored: [(&'static str, Signal); 3],
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
            ignored: [
                ("SIGHUP", listen(SignalKind::hangup())?),
                ("SIGUSR1", listen(SignalKind::user_defined1())?),
                ("SIGUSR2", listen(SignalKind::user_defined2())?),
            ],
        })
    }

    /// The next signal that asks to stop.
    async fn next(&mut self) -> &'static str {
        loop {
            let [hangup, first, second] = &mut self.ignored;
            let ignored = tokio::select! {
                biased;
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = hangup.1.recv() => hangup.0,
                _ = first.1.recv() => first.0,
                _ = second.1.recv() => second.0,
            };
            tracing::info!(signal = ignored, "a signal without a meaning for a node is ignored");
        }
    }
}
