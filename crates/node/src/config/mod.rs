//! What an operator can set. Defaults, then the file, then the environment, then flags; every
//! mistake in any of them is reported at once.

mod keys;
mod layers;
mod mistakes;
mod raw;
mod secrets;
mod sections;

use std::net::SocketAddr;

use mapring_kv::{BodySizes, ObjectSizes};
use mapring_ring::RingSize;
use mapring_script::ScriptLimits;

pub use keys::{KEYS, Key};
pub use layers::{Flag, Sources};
pub use mistakes::{Mistake, Mistakes};
pub use sections::{
    ClusterConfig, Config, HttpConfig, JobsConfig, LogConfig, LogFormat, MapredConfig, NodeConfig,
    ObjectsConfig, ScriptConfig, StorageConfig,
};

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

    /// The bounds on bodies that lie beside their objects.
    pub fn body_sizes(&self) -> BodySizes {
        let max_bytes = self.objects.max_body_size;
        let whole_bytes = self.objects.whole_body_size.min(max_bytes);
        BodySizes {
            whole_bytes: usize::try_from(whole_bytes).unwrap_or(usize::MAX),
            max_bytes,
            time: self.objects.body_time,
            ..BodySizes::default()
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
        let secret = || Some("s".to_owned());
        contradicts(
            |c| (c.cluster.listen, c.cluster.secret) = (at("0.0.0.0:8099"), secret()),
            "cluster.advertise",
        );
        contradicts(|c| c.cluster.listen = at("192.0.2.1:8099"), "cluster.secret");
        contradicts(|c| c.cluster.secret_also = vec!["s".into()], "cluster.secret_also");
        let file = || Some("secret".into());
        contradicts(
            |c| (c.cluster.secret, c.cluster.secret_file) = (secret(), file()),
            "cluster.secret_file",
        );
        contradicts(|c| c.cluster.listen = c.http.listen, "cluster.listen");
        contradicts(|c| c.objects.warn_object_size = 51 << 20, "objects.warn_object_size");
        contradicts(|c| c.objects.max_object_size = 256 << 20, "objects.max_object_size");
        contradicts(|c| c.objects.max_siblings = 24, "objects.warn_siblings");
        contradicts(|c| c.objects.whole_body_size = 51 << 20, "objects.whole_body_size");
        contradicts(|c| c.objects.max_body_size = (1 << 40) + 1, "objects.max_body_size");
        contradicts(|c| c.script.stack = c.script.memory, "script.stack");
        contradicts(|c| c.script.result = c.script.memory + 1, "script.result");
    }
}
