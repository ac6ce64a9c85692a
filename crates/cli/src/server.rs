//! `mapring server`: a node.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use mapring_node::config::{Config, Flag, Sources};
use tokio::runtime::Builder;

use crate::allocator;
use crate::failure::{Failure, Outcome};

/// Settings come from the file, go over it from the environment (MAPRING__SECTION__KEY), and over
/// both from the flags. `config/mapring.toml` shows every setting with its default and reason.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "MAPRING_CONFIG")]
    config: Option<PathBuf>,

    /// The node's name, unique in its cluster
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,

    /// What the node may fail together with, such as its rack or hall
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,

    /// Where everything that outlives the process is kept
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,

    /// Where clients connect
    #[arg(long, value_name = "IP:PORT")]
    http: Option<String>,

    /// Where other nodes connect
    #[arg(long, value_name = "IP:PORT")]
    cluster: Option<String>,

    /// Where other nodes reach this one, if not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,

    /// A member of the cluster to join; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    join: Vec<String>,

    /// Check the configuration and exit
    #[arg(long)]
    check_config: bool,

    /// Stop when standard input ends: the playground's nodes, which must not outlive it
    #[arg(long, hide = true)]
    stop_at_end_of_input: bool,
}

impl Arguments {
    fn flags(&self) -> Vec<Flag> {
        let one = [
            ("--node-name", "node.name", &self.node_name),
            ("--zone", "node.zone", &self.zone),
            ("--data-dir", "node.data_dir", &self.data_dir),
            ("--http", "http.listen", &self.http),
            ("--cluster", "cluster.listen", &self.cluster),
            ("--advertise", "cluster.advertise", &self.advertise),
        ];
        let mut flags: Vec<Flag> = one
            .into_iter()
            .filter_map(|(flag, key, value)| Some(Flag { flag, key, value: value.clone()? }))
            .collect();
        if !self.join.is_empty() {
            flags.push(Flag { flag: "--join", key: "cluster.join", value: self.join.join(",") });
        }
        flags
    }

    fn load(&self) -> Outcome<Config> {
        let text = match &self.config {
            None => None,
            Some(path) => Some(fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("cannot read {}: {error}", path.display()))
            })?),
        };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = self.config.as_deref().zip(text.as_deref());
        Config::load(&Sources { file, environment, flags: self.flags() })
            .map_err(|mistakes| Failure::usage(mistakes.to_string()))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let config = arguments.load()?;
    if arguments.check_config {
        config.secrets()?;
        return Ok(());
    }
    allocator::set();
    // One more than there are cores: one of them never waits for the disk.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .thread_name("mapring")
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let stop = if arguments.stop_at_end_of_input { Some(end_of_input()?) } else { None };
    let outcome = runtime.block_on(mapring_node::run(config, async move {
        match stop {
            Some(end) => {
                let _ = end.await;
            }
            None => std::future::pending().await,
        }
    }));
    // The node has stopped what it started; what is left is blocked in the system.
    runtime.shutdown_background();
    outcome.map_err(Failure::from)
}

/// Resolves when standard input has ended.
fn end_of_input() -> Outcome<tokio::sync::oneshot::Receiver<()>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Not in the runtime, whose shutdown would wait for the read.
    std::thread::Builder::new()
        .name("input".into())
        .spawn(move || {
            let mut input = std::io::stdin().lock();
            let mut buffer = [0; 64];
            while input.read(&mut buffer).is_ok_and(|length| length > 0) {}
            let _ = sender.send(());
        })
        .map_err(|error| Failure::failed(format!("cannot start a thread: {error}")))?;
    Ok(receiver)
}
