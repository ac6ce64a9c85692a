//! What the servers use: read from `/metrics` of every node before and after.

use futures::future::join_all;
use mapring_client::Client;
use serde_json::{Value, json};

/// The servers that are looked at.
pub(super) struct Servers(Vec<Client>);

/// What one server has used so far, and has now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Processor time of the node itself, in seconds.
    node_seconds: f64,
    /// Processor time of its script workers, in seconds.
    workers_seconds: f64,
    /// Memory of node and workers, in bytes.
    resident_bytes: f64,
}

/// What every server used in the meantime.
#[derive(Debug, Default)]
pub(super) struct Used {
    servers: Vec<(String, Usage)>,
}

impl Servers {
    /// All members that are up of the clusters of `clients`; servers that know of no cluster are
    /// looked at themselves.
    pub(super) async fn of(clients: &[Client]) -> Self {
        let mut servers: Vec<Client> = Vec::new();
        for client in clients {
            let members = match client.cluster().await {
                Ok(status) => status.members,
                Err(_) => Vec::new(),
            };
            let up = members.into_iter().filter(|member| member.up);
            let found = up.filter_map(|m| Client::new(&format!("http://{}", m.http_address)).ok());
            let mut found: Vec<Client> = found.collect();
            if found.is_empty() {
                found.push(client.clone());
            }
            found.retain(|new| servers.iter().all(|old| old.address() != new.address()));
            servers.append(&mut found);
        }
        Self(servers)
    }

    /// What each server has used.
    ///
    /// # Errors
    /// Which one does not say.
    pub(super) async fn usage(&self) -> Result<Vec<Usage>, String> {
        let all = join_all(self.0.iter().map(|server| async move {
            let failed = |error: String| format!("{}: {error}", server.address());
            let text = server.metrics().await.map_err(|error| failed(error.to_string()))?;
            Usage::parse(&text).ok_or_else(|| failed("/metrics does not tell".to_owned()))
        }));
        all.await.into_iter().collect()
    }

    /// What was used between two looks.
    pub(super) fn used(&self, before: &[Usage], after: &[Usage]) -> Used {
        let names = self.0.iter().map(|server| server.address().to_owned());
        let between = before.iter().zip(after).map(|(before, after)| Usage {
            node_seconds: after.node_seconds - before.node_seconds,
            workers_seconds: after.workers_seconds - before.workers_seconds,
            resident_bytes: after.resident_bytes,
        });
        Used { servers: names.zip(between).collect() }
    }
}

impl Usage {
    fn parse(metrics: &str) -> Option<Self> {
        let value = |name: &str| -> Option<f64> {
            let mut lines = metrics.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        };
        let workers_bytes = value("mapring_script_resident_bytes").unwrap_or(0.0);
        Some(Self {
            node_seconds: value("process_cpu_seconds_total")?,
            workers_seconds: value("mapring_script_cpu_seconds_total").unwrap_or(0.0),
            resident_bytes: value("process_resident_memory_bytes").unwrap_or(0.0) + workers_bytes,
        })
    }
}

impl Used {
    /// Processor time of all nodes without their workers, in seconds.
    pub(super) fn node_seconds(&self) -> f64 {
        self.sum(|usage| usage.node_seconds)
    }

    /// Processor time of all script workers, in seconds.
    pub(super) fn workers_seconds(&self) -> f64 {
        self.sum(|usage| usage.workers_seconds)
    }

    fn sum(&self, seconds: fn(&Usage) -> f64) -> f64 {
        self.servers.iter().fold(0.0, |sum, (_, usage)| sum + seconds(usage))
    }

    pub(super) fn to_json(&self) -> Value {
        let server = |(address, usage): &(String, Usage)| {
            json!({
                "address": address,
                "node_cpu_seconds": usage.node_seconds,
                "workers_cpu_seconds": usage.workers_seconds,
                "resident_bytes": usage.resident_bytes,
            })
        };
        self.servers.iter().map(server).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read() {
        let text = "# HELP process_cpu_seconds_total x\nprocess_cpu_seconds_total 1.5\n\
                    process_cpu_seconds_total_more 7\nprocess_resident_memory_bytes 100\n";
        let expected = Usage { node_seconds: 1.5, workers_seconds: 0.0, resident_bytes: 100.0 };
        assert_eq!(Usage::parse(text), Some(expected));
        let workers = "mapring_script_cpu_seconds_total 2\nmapring_script_resident_bytes 11\n";
        let both = Usage::parse(&format!("{text}{workers}")).unwrap();
        assert_eq!((both.workers_seconds, both.resident_bytes), (2.0, 111.0));
        assert_eq!(Usage::parse("other 1\n"), None);
    }
}
