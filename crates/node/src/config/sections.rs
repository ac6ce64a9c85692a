//! The settings by section, their defaults, and which of them contradict each other.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mapring_engine::Durability;
use mapring_jobs::callback::Allowed;
use mapring_kv::limits as kv;
use mapring_script::ScriptLimits;
use mapring_script::sandbox::Sandbox;
use mapring_types::limits::OBJECT_BYTES;

use super::mistakes::Mistake;
use crate::machine;

/// The settings of a node. `config/mapring.toml` shows every one with its default and reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The node itself.
    pub node: NodeConfig,
    /// Its cluster.
    pub cluster: ClusterConfig,
    /// The public interface.
    pub http: HttpConfig,
    /// Objects on disk.
    pub storage: StorageConfig,
    /// How large objects may become.
    pub objects: ObjectsConfig,
    /// Queries.
    pub mapred: MapredConfig,
    /// Jobs.
    pub jobs: JobsConfig,
    /// Users' functions.
    pub script: ScriptConfig,
    /// Logs.
    pub log: LogConfig,
}

/// Section `[node]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// The name that operators know the node by; unique in the cluster.
    pub name: String,
    /// What the node may fail together with; nothing in particular when `None`.
    pub zone: Option<String>,
    /// Where everything that must outlive the process is kept.
    pub data_dir: PathBuf,
    /// How long a stop waits for requests that are under way.
    pub grace: Duration,
}

/// Section `[cluster]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterConfig {
    /// The cluster's name; nodes of another name are refused.
    pub name: String,
    /// How many partitions the ring has.
    pub ring_size: u16,
    /// What nodes prove to each other that they know.
    pub secret: Option<String>,
    /// A file in which it stands, in place of `secret` and `secret_also`.
    pub secret_file: Option<PathBuf>,
    /// Secrets that are accepted of others besides.
    pub secret_also: Vec<String>,
    /// Where other nodes connect (TCP) and gossip (UDP).
    pub listen: SocketAddr,
    /// `host:port` under which other nodes reach this one; the listening address when `None`.
    pub advertise: Option<String>,
    /// Members to ask for admission; a new cluster when empty and nothing is stored.
    pub join: Vec<String>,
}

/// Section `[http]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// `host:port` that members show for this node; from the cluster's address when `None`.
    pub advertise: Option<String>,
    /// Whether requests with a foreign `Referer` are refused.
    pub secure_referer_check: bool,
    /// Whether answers are compressed for clients that accept it.
    pub gzip: bool,
}

/// Section `[storage]`.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageConfig {
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Memory for cached data, in bytes.
    pub cache: u64,
    /// Threads that do blocking storage work.
    pub threads: usize,
    /// Storage work that may wait for a thread.
    pub queue: usize,
    /// Whether a store that is found damaged at the start is moved aside, to be filled anew.
    pub set_aside: bool,
    /// How long a tombstone stays before it may be reaped; `None`: for ever.
    pub reap_after: Option<Duration>,
    /// How long it is kept that an object was deleted, after that.
    pub graves_kept: Duration,
}

/// Section `[objects]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectsConfig {
    /// A write that leaves a larger object, in bytes, is logged and counted.
    pub warn_object_size: u64,
    /// A write that would make a larger one, in bytes, is refused.
    pub max_object_size: u64,
    /// A write that leaves more siblings is logged and counted.
    pub warn_siblings: usize,
    /// A write that would leave more is refused.
    pub max_siblings: usize,
    /// A larger body, in bytes, is refused.
    pub max_body_size: u64,
    /// A larger body, in bytes, is stored in blocks.
    pub whole_body_size: u64,
    /// For how long at most a body may be written, and be read after it was replaced.
    pub body_time: Duration,
}

/// Section `[mapred]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MapredConfig {
    /// Queries that this node coordinates at once.
    pub concurrent_queries: usize,
    /// Bytes of a plain answer that are kept in memory.
    pub answer_memory: u64,
    /// Bytes of all plain answers that are kept on disk beyond that.
    pub answer_disk: u64,
    /// Bytes of memory for pairs that are grouped, of all queries together.
    pub shuffle_memory: u64,
    /// Bytes of temporary files for them; see `answer_disk`.
    pub shuffle_disk: u64,
}

/// Section `[jobs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct JobsConfig {
    /// Jobs that run at once on this node.
    pub concurrent: usize,
    /// A file of named jobs, in YAML or TOML.
    pub file: Option<PathBuf>,
    /// Whom callbacks of jobs may reach.
    pub callback_allow: Allowed,
    /// What callbacks are signed with.
    pub callback_secret: Option<String>,
}

/// Section `[script]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptConfig {
    /// Worker processes.
    pub workers: usize,
    /// Calls that may wait for a worker.
    pub queue: usize,
    /// Longest call.
    pub call_time: Duration,
    /// Largest worker, in bytes.
    pub memory: u64,
    /// Largest stack, in bytes.
    pub stack: u64,
    /// Largest result of a call, in bytes of JSON.
    pub result: u64,
    /// Whether workers are jailed.
    pub sandbox: Sandbox,
    /// A directory whose `*.js` all functions can use.
    pub js_source_dir: Option<PathBuf>,
}

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged: a level, or `target=level` pairs.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Plain,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let cores = machine::cores();
        let limits = ScriptLimits::default();
        Self {
            node: NodeConfig {
                name: "mapring".into(),
                zone: None,
                data_dir: "data".into(),
                grace: Duration::from_secs(8),
            },
            cluster: ClusterConfig {
                name: "mapring".into(),
                ring_size: 64,
                secret: None,
                secret_file: None,
                secret_also: Vec::new(),
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8099)),
                advertise: None,
                join: Vec::new(),
            },
            http: HttpConfig {
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8098)),
                advertise: None,
                secure_referer_check: true,
                gzip: true,
            },
            storage: StorageConfig {
                durability: Durability::Process,
                cache: machine::default_cache_bytes(),
                threads: (4 * cores).clamp(8, 64),
                queue: 4_096,
                set_aside: false,
                reap_after: Some(Duration::from_secs(3)),
                graves_kept: mapring_kv::limits::GRAVES_KEPT.1,
            },
            objects: ObjectsConfig {
                warn_object_size: kv::WARN_OBJECT_BYTES as u64,
                max_object_size: kv::MAX_OBJECT_BYTES as u64,
                warn_siblings: kv::WARN_SIBLINGS,
                max_siblings: kv::MAX_SIBLINGS,
                max_body_size: kv::MAX_BODY_BYTES,
                whole_body_size: kv::WHOLE_BODY_BYTES as u64,
                body_time: kv::BODY_TIME,
            },
            mapred: MapredConfig {
                concurrent_queries: 256,
                answer_memory: 8 << 20,
                answer_disk: 16 << 30,
                shuffle_memory: 128 << 20,
                shuffle_disk: 64 << 30,
            },
            jobs: JobsConfig {
                concurrent: mapring_runner::limits::CONCURRENT,
                file: None,
                callback_allow: Allowed::default(),
                callback_secret: None,
            },
            script: ScriptConfig {
                workers: cores,
                queue: 10_000,
                call_time: Duration::from_millis(limits.call_ms),
                memory: limits.memory_bytes,
                stack: limits.stack_bytes,
                result: limits.result_bytes,
                sandbox: Sandbox::default(),
                js_source_dir: None,
            },
            log: LogConfig {
                format: LogFormat::Plain,
                level: "info,openraft=error,openraft::replication=off,chitchat=warn".into(),
            },
        }
    }
}

impl ClusterConfig {
    /// Whether there is one secret where one is needed, and it stands in one place.
    fn check_secrets(&self, refuse: &mut impl FnMut(&str, String)) {
        let has_secret = self.secret.is_some() || self.secret_file.is_some();
        if !has_secret && !self.listen.ip().is_loopback() {
            refuse(
                "cluster.secret",
                format!(
                    "must be set (or cluster.secret_file), because cluster.listen is {}: without a \
                     secret whoever reaches that address could take part in the cluster, so that a \
                     node listens on loopback addresses only",
                    self.listen
                ),
            );
        }
        if self.secret_file.is_some() && (self.secret.is_some() || !self.secret_also.is_empty()) {
            let what =
                "must not be set with cluster.secret or cluster.secret_also: the file has both";
            refuse("cluster.secret_file", what.to_owned());
        }
        if !has_secret && !self.secret_also.is_empty() {
            let what = "needs cluster.secret, which this node signs with itself";
            refuse("cluster.secret_also", what.to_owned());
        }
    }
}

impl Config {
    /// Settings that are good each but not together.
    pub(super) fn contradictions(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        let mut refuse = |key: &str, what: String| {
            found.push(Mistake { place: key.to_owned(), what });
        };
        if self.cluster.listen.ip().is_unspecified() && self.cluster.advertise.is_none() {
            refuse(
                "cluster.advertise",
                format!(
                    "must be set, because cluster.listen is {} and other nodes cannot connect to \
                     that",
                    self.cluster.listen
                ),
            );
        }
        self.cluster.check_secrets(&mut refuse);
        let (cluster, http) = (self.cluster.listen, self.http.listen);
        if cluster == http && cluster.port() != 0 {
            refuse("cluster.listen", format!("must not be {http}, where http.listen is"));
        }
        let objects = &self.objects;
        if objects.warn_object_size > objects.max_object_size {
            let what = "must not be larger than objects.max_object_size";
            refuse("objects.warn_object_size", what.to_owned());
        }
        if objects.max_object_size > kv::READ_BYTES as u64 {
            let most = kv::READ_BYTES >> 20;
            let what = format!("must be at most {most} MB: a larger object cannot be read whole");
            refuse("objects.max_object_size", what);
        }
        if objects.warn_siblings > objects.max_siblings {
            let what = "must not be larger than objects.max_siblings";
            refuse("objects.warn_siblings", what.to_owned());
        }
        if objects.whole_body_size > OBJECT_BYTES as u64 {
            let what = format!("must be at most {} MB", OBJECT_BYTES >> 20);
            refuse("objects.whole_body_size", what);
        }
        if objects.max_body_size > kv::MOST_BODY_BYTES {
            let what = format!("must be at most {} GB", kv::MOST_BODY_BYTES >> 30);
            refuse("objects.max_body_size", what);
        }
        // The interpreter's thread lies in the worker's memory, with room for the program itself.
        if self.script.stack.saturating_mul(2) > self.script.memory {
            refuse("script.stack", "must be at most half of script.memory".to_owned());
        }
        if self.script.result > self.script.memory {
            refuse("script.result", "must not be larger than script.memory".to_owned());
        }
        found
    }
}
