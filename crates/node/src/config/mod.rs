//! What an operator can set. Defaults, then the file, then the environment, then flags; every
//! mistake in any of them is reported at once.

mod keys;
mod layers;
mod raw;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mapring_engine::Durability;
use mapring_kv::{ObjectSizes, limits as kv};
use mapring_ring::RingSize;
use mapring_script::ScriptLimits;

use crate::machine;

pub use keys::{KEYS, Key};
pub use layers::{Flag, Mistake, Mistakes, Sources};

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
            },
            mapred: MapredConfig {
                concurrent_queries: 256,
                answer_memory: 8 << 20,
                answer_disk: 16 << 30,
            },
            script: ScriptConfig {
                workers: cores,
                queue: 10_000,
                call_time: Duration::from_millis(limits.call_ms),
                memory: limits.memory_bytes,
                stack: limits.stack_bytes,
                result: limits.result_bytes,
                js_source_dir: None,
            },
            log: LogConfig {
                format: LogFormat::Plain,
                level: "info,openraft=error,openraft::replication=off,chitchat=warn".into(),
            },
        }
    }
}

impl Config {
    /// Puts the settings together.
    ///
    /// # Errors
    /// Every mistake in every source, each with its place.
    pub fn load(sources: &Sources<'_>) -> Result<Self, Mistakes> {
        let mut config = Self::default();
        let mut mistakes = layers::apply(&mut config, sources);
        if mistakes.is_empty() {
            mistakes.extend(config.contradictions());
        }
        if mistakes.is_empty() { Ok(config) } else { Err(Mistakes(mistakes)) }
    }

    /// The ring's size.
    ///
    /// # Errors
    /// `Invalid` when it is not a power of two within Riak's bounds.
    pub fn ring_size(&self) -> mapring_types::Result<RingSize> {
        let size = self.cluster.ring_size;
        RingSize::new(size).ok_or_else(|| {
            mapring_types::Error::invalid(format!("{size} is not a possible ring size"))
        })
    }

    /// The limits of users' functions.
    pub fn script_limits(&self) -> ScriptLimits {
        ScriptLimits {
            call_ms: u64::try_from(self.script.call_time.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: self.script.memory,
            stack_bytes: self.script.stack,
            result_bytes: self.script.result,
        }
    }

    /// The bounds on objects.
    pub fn object_sizes(&self) -> ObjectSizes {
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        ObjectSizes {
            warn_bytes: bytes(self.objects.warn_object_size),
            max_bytes: bytes(self.objects.max_object_size),
            warn_siblings: self.objects.warn_siblings,
            max_siblings: self.objects.max_siblings,
            ..ObjectSizes::default()
        }
    }

    /// `host:port` for other nodes, once it is known where the listener is.
    pub fn cluster_address(&self, bound: SocketAddr) -> String {
        self.cluster.advertise.clone().unwrap_or_else(|| bound.to_string())
    }

    /// `host:port` for clients, once it is known where the listeners are.
    pub fn http_address(&self, cluster_bound: SocketAddr, http_bound: SocketAddr) -> String {
        if let Some(address) = &self.http.advertise {
            return address.clone();
        }
        if !http_bound.ip().is_unspecified() {
            return http_bound.to_string();
        }
        let cluster = self.cluster_address(cluster_bound);
        let host = cluster.rsplit_once(':').map_or(cluster.as_str(), |(host, _)| host);
        format!("{host}:{}", http_bound.port())
    }

    /// Settings that are good each but not together.
    fn contradictions(&self) -> Vec<Mistake> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn defaults_do_not_contradict_each_other() {
        assert_eq!(Config::default().contradictions(), []);
    }

    #[test]
    fn addresses_are_what_others_can_reach() {
        let mut config = Config::default();
        assert_eq!(config.cluster_address(at("127.0.0.1:4")), "127.0.0.1:4");
        assert_eq!(config.http_address(at("127.0.0.1:4"), at("127.0.0.1:5")), "127.0.0.1:5");
        config.cluster.advertise = Some("n1.example:7".into());
        assert_eq!(config.cluster_address(at("0.0.0.0:4")), "n1.example:7");
        assert_eq!(config.http_address(at("0.0.0.0:4"), at("0.0.0.0:5")), "n1.example:5");
        config.http.advertise = Some("www:80".into());
        assert_eq!(config.http_address(at("0.0.0.0:4"), at("0.0.0.0:5")), "www:80");
    }

    #[track_caller]
    fn contradicts(change: impl FnOnce(&mut Config), key: &str) {
        let mut config = Config::default();
        change(&mut config);
        let places: Vec<_> = config.contradictions().into_iter().map(|m| m.place).collect();
        assert_eq!(places, [key]);
    }

    #[test]
    fn contradictions_are_found() {
        contradicts(|c| c.cluster.listen = at("0.0.0.0:8099"), "cluster.advertise");
        contradicts(|c| c.cluster.listen = c.http.listen, "cluster.listen");
        contradicts(|c| c.objects.warn_object_size = 51 << 20, "objects.warn_object_size");
        contradicts(|c| c.objects.max_object_size = 256 << 20, "objects.max_object_size");
        contradicts(|c| c.objects.max_siblings = 24, "objects.warn_siblings");
        contradicts(|c| c.script.stack = c.script.memory, "script.stack");
        contradicts(|c| c.script.result = c.script.memory + 1, "script.result");
    }
}
