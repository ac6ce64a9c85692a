//! Settings of the worker processes.

use std::path::PathBuf;

use mapring_script::ScriptLimits;
use mapring_script::sandbox::Sandbox;

/// See the module.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// The program that runs [`mapring_script::worker::main`].
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How many processes, at least 1.
    pub workers: usize,
    /// What each is held to.
    pub limits: ScriptLimits,
    /// Whether each is jailed, which takes a process that has one thread when it starts.
    pub sandbox: Sandbox,
    /// Most calls that wait for a worker; more fail.
    pub queue: usize,
    /// A directory whose `*.js` all functions can use (Riak's `js_source_dir`). A change is taken up
    /// within about a second, by queries that start then.
    pub js_source_dir: Option<PathBuf>,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec!["script-worker".to_owned()],
            workers: cores,
            limits: ScriptLimits::default(),
            sandbox: Sandbox::default(),
            queue: 10_000,
            js_source_dir: None,
        }
    }
}
