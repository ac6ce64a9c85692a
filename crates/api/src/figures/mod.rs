//! Riak's statistics (facts R36, R240 to R243, R350 to R352): every key that monitors read, of this node
//! alone.
//!
//! Keys and their meaning here stand in a table of `docs/compatibility.md`, which a test holds to this.
//! What has no counterpart here is in [`absent`], and 0. Numbers are whole: some monitors throw all
//! statistics away for one that is not.

mod absent;

use std::time::Duration;

use mapring_datatypes::Kind;
use mapring_kv::KvFigures;
use mapring_kv::window::{Counted, Summary};
use mapring_mapred::QueryFigures;
use serde_json::{Map, Value, json};

use crate::hooks::HookFigures;
use crate::stats::{DoneFigures, RequestFigures};

/// The version of Riak whose interface this is: clients turn features on by it.
const RIAK_KV_VERSION: &str = "2.1.8";

/// What a node tells of itself.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Reads of clients.
    pub gets: RequestFigures,
    /// Their writes, deletions among them.
    pub puts: RequestFigures,
    /// The store.
    pub kv: KvFigures,
    /// Functions that buckets have called.
    pub hooks: HookFigures,
    /// Queries.
    pub queries: QueryFigures,
    /// The process and its machine.
    pub system: SystemFacts,
    /// Place in the cluster.
    pub cluster: ClusterFacts,
    /// The storage engine.
    pub engine: String,
    /// Bytes of the store on disk.
    pub disk_bytes: u64,
    /// Bytes of request bodies that are held in memory.
    pub body_bytes: u64,
    /// How long the node has counted.
    pub uptime: Duration,
    /// Seconds since 1970.
    pub now: u64,
}

/// The cluster as this node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterFacts {
    /// This node's name.
    pub name: String,
    /// The names of the other members that are up.
    pub connected: Vec<String>,
    /// The names of all members, each with how many partitions it owns.
    pub members: Vec<(String, usize)>,
    /// How many partitions this node owns.
    pub own_partitions: usize,
    /// How many there are.
    pub ring_size: u32,
}

/// What the system tells of the process and of the machine; 0 where it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemFacts {
    /// Load of the machine over 1, 5 and 15 minutes, in units of 1/256.
    pub load: [u64; 3],
    /// Processes and threads of the machine.
    pub processes: u64,
    /// Memory of the machine, in bytes.
    pub memory_total: u64,
    /// Memory of the machine that is not free; what caches files counts.
    pub memory_used: u64,
    /// Memory of this process, in bytes.
    pub own_bytes: u64,
    /// Bytes of that which are program text.
    pub code_bytes: u64,
    /// Memory of the script workers, in bytes.
    pub worker_bytes: u64,
    /// Calls that wait for a script worker.
    pub calls_waiting: u64,
    /// Open files and sockets of this process.
    pub open_files: u64,
    /// Tasks of the runtime that have not ended.
    pub tasks: u64,
    /// Threads of the runtime.
    pub threads: u64,
    /// The volume that the data lie on.
    pub volume: Volume,
}

/// A volume of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// A directory on it.
    pub path: String,
    /// Its size in KB.
    pub size_kb: u64,
    /// How much of it is used, in percent.
    pub used_percent: u64,
}

impl Figures {
    /// The statistics, by key.
    pub fn document(&self) -> Map<String, Value> {
        let mut out = Document::default();
        for pattern in absent::KEYS {
            for key in expand(pattern) {
                out.put(&key, 0);
            }
        }
        self.requests(&mut out);
        self.vnodes(&mut out);
        self.datatypes(&mut out);
        self.walks(&mut out);
        self.queries(&mut out);
        self.system(&mut out);
        self.cluster(&mut out);
        out.0
    }

    fn requests(&self, out: &mut Document) {
        for (word, of) in [("get", &self.gets), ("put", &self.puts)] {
            let kinds = of.kinds.each().map(|(kind, done)| (format!("_{}", kind.word()), done));
            for (kind, done) in std::iter::once((String::new(), &of.objects)).chain(kinds) {
                let DoneFigures { count, time, siblings, bytes } = *done;
                out.counted(&format!("node_{word}s{kind}"), count);
                out.summary(&format!("node_{word}_fsm{kind}_time"), time);
                if word == "get" {
                    out.summary(&format!("node_get_fsm{kind}_siblings"), siblings);
                    out.summary(&format!("node_get_fsm{kind}_objsize"), bytes);
                }
            }
            out.put(&format!("node_{word}_fsm_active"), of.under_way);
            out.put(&format!("node_{word}_fsm_active_60s"), of.begun);
            let [begun, done] = of.rates;
            out.put(&format!("node_{word}_fsm_in_rate"), begun);
            out.put(&format!("node_{word}_fsm_out_rate"), done);
            out.put(&format!("node_{word}_fsm_rejected"), of.rejected_rate);
            out.put(&format!("node_{word}_fsm_rejected_60s"), of.rejected.minute);
            out.put(&format!("node_{word}_fsm_rejected_total"), of.rejected.total);
        }
        out.counted("node_get_fsm_errors", self.gets.failed);
        out.put("precommit_fail", self.hooks.failed_before);
        out.put("postcommit_fail", self.hooks.failed_after);
    }

    fn vnodes(&self, out: &mut Document) {
        let kv = &self.kv;
        for (key, counted) in [
            ("vnode_gets", kv.vnode_gets),
            ("vnode_puts", kv.vnode_puts),
            ("vnode_index_reads", kv.index_reads),
            ("vnode_index_writes", kv.index_writes),
            ("vnode_index_writes_postings", kv.index_entries_added),
            ("vnode_index_deletes", kv.index_deletes),
            ("vnode_index_deletes_postings", kv.index_entries_removed),
            ("object_merge", kv.merges),
            ("read_repairs", kv.read_repairs),
            ("skipped_read_repairs", kv.skipped_read_repairs),
        ] {
            out.counted(key, counted);
        }
        for (word, counted) in
            [("notfound", kv.repaired_missing), ("outofdate", kv.repaired_outdated)]
        {
            out.put(&format!("read_repairs_primary_{word}_one"), counted.minute);
            out.put(&format!("read_repairs_primary_{word}_count"), counted.total);
        }
        out.summary("vnode_get_fsm_time", kv.vnode_get_time);
        out.summary("vnode_put_fsm_time", kv.vnode_put_time);
        out.summary("object_merge_time", kv.merge_time);
        out.put("coord_redirs_total", kv.forwards);
        out.put("dropped_vnode_requests_total", kv.refused);
        // So spelt by some.
        out.put("dropped_vnode_requests_totals", kv.refused);
        out.queue("riak_kv_vnodeq", kv.waiting);
    }

    fn datatypes(&self, out: &mut Document) {
        for (kind, figures) in self.kv.kinds.each() {
            let (word, figures) = (kind.word(), *figures);
            out.counted(&format!("vnode_{word}_update"), figures.updates);
            out.summary(&format!("vnode_{word}_update_time"), figures.update_time);
            out.counted(&format!("object_{word}_merge"), figures.merges);
            out.summary(&format!("object_{word}_merge_time"), figures.merge_time);
            match kind {
                Kind::Hll => {
                    out.counted("hll_bytes", figures.bytes);
                    out.summary("hll_bytes", figures.sizes);
                }
                _ => out.summary(&format!("{word}_actor_counts"), figures.sizes),
            }
        }
        for (kind, repairs) in self.kv.kind_repairs.each() {
            out.counted(&format!("read_repairs_{}", kind.word()), *repairs);
        }
    }

    /// What goes over many objects. Of listings alone Riak tells how many there were since the start.
    fn walks(&self, out: &mut Document) {
        let kv = &self.kv;
        out.counted("list_fsm_create", kv.listings.begun);
        out.counted("list_fsm_create_error", kv.listings.failed);
        out.put("list_fsm_active", kv.listings.under_way);
        for (word, of) in [("index", kv.index_queries), ("clusteraae", kv.folds)] {
            out.put(&format!("{word}_fsm_create"), of.begun.minute);
            out.put(&format!("{word}_fsm_create_error"), of.failed.minute);
            out.put(&format!("{word}_fsm_active"), of.under_way);
        }
        out.put("index_fsm_complete", kv.index_queries_done.minute);
        out.summary("index_fsm_results", kv.index_query_hits);
        out.summary("index_fsm_time", kv.index_query_time);
    }

    fn queries(&self, out: &mut Document) {
        let queries = &self.queries;
        out.put("executing_mappers", queries.units_in_flight);
        out.put("pipeline_active", queries.running);
        out.put("pipeline_create_one", queries.begun.minute);
        out.put("pipeline_create_count", queries.begun.total);
        out.put("pipeline_create_error_one", queries.failed_to_begin.minute);
        out.put("pipeline_create_error_count", queries.failed_to_begin.total);
        out.queue("riak_pipe_vnodeq", self.system.calls_waiting);
    }

    fn system(&self, out: &mut Document) {
        let system = &self.system;
        let [one, five, fifteen] = system.load;
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for (key, value) in [
            ("cpu_avg1", one),
            ("cpu_avg5", five),
            ("cpu_avg15", fifteen),
            ("cpu_nprocs", system.processes),
            ("mem_total", system.memory_total),
            ("mem_allocated", system.memory_used),
            ("memory_total", system.own_bytes + system.worker_bytes),
            ("memory_system", system.own_bytes),
            ("memory_processes", system.worker_bytes),
            ("memory_processes_used", system.worker_bytes),
            ("memory_code", system.code_bytes),
            ("memory_binary", self.body_bytes),
            ("sys_process_count", system.tasks),
            ("sys_port_count", system.open_files),
            ("sys_thread_pool_size", system.threads),
            ("sys_logical_processors", processors as u64),
            ("sys_wordsize", size_of::<usize>() as u64),
            ("uptime", self.uptime.as_secs()),
            ("riak_core_stat_ts", self.now),
            ("riak_kv_stat_ts", self.now),
            ("riak_pipe_stat_ts", self.now),
        ] {
            out.put(key, value);
        }
        for key in ["sys_smp_support", "sys_threads_enabled"] {
            out.set(key, json!(true));
        }
        let machine = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        let version = env!("CARGO_PKG_VERSION");
        for (key, text) in [
            ("sys_system_architecture", machine.as_str()),
            ("sys_system_version", &format!("mapring {version}")),
            ("sys_heap_type", "shared"),
            ("sys_global_heaps_size", "deprecated"),
            ("sys_driver_version", ""),
            ("sys_otp_release", ""),
            ("mapring_version", version),
            ("riak_kv_version", RIAK_KV_VERSION),
            ("riak_core_version", RIAK_KV_VERSION),
            ("storage_backend", self.engine.as_str()),
        ] {
            out.set(key, json!(text));
        }
        let Volume { path, size_kb, used_percent } = &system.volume;
        let volume = json!({
            "id": path, "size": size_kb, "used": used_percent, "used_bytes": self.disk_bytes,
        });
        out.set("disk", json!([volume]));
    }

    fn cluster(&self, out: &mut Document) {
        let ClusterFacts { name, connected, members, own_partitions, ring_size } = &self.cluster;
        let names: Vec<&String> = members.iter().map(|(name, _)| name).collect();
        let ownership: Vec<String> =
            members.iter().map(|(name, owned)| format!("{{'{name}',{owned}}}")).collect();
        out.set("nodename", json!(name));
        out.set("connected_nodes", json!(connected));
        out.set("ring_members", json!(names));
        out.set("ring_ownership", json!(format!("[{}]", ownership.join(","))));
        out.put("ring_num_partitions", (*ring_size).into());
        out.put("ring_creation_size", (*ring_size).into());
        out.put("riak_kv_vnodes_running", *own_partitions as u64);
        out.put("riak_pipe_vnodes_running", *own_partitions as u64);
    }
}

/// Statistics in the making. Each key is set once.
#[derive(Default)]
struct Document(Map<String, Value>);

impl Document {
    fn set(&mut self, key: &str, value: Value) {
        let before = self.0.insert(key.to_owned(), value);
        assert!(before.is_none(), "{key} is told twice");
    }

    fn put(&mut self, key: &str, value: u64) {
        self.set(key, value.into());
    }

    /// The last minute under the key itself, all with an ending.
    fn counted(&mut self, key: &str, counted: Counted) {
        self.put(key, counted.minute);
        self.put(&format!("{key}_total"), counted.total);
    }

    fn summary(&mut self, key: &str, summary: Summary) {
        let Summary { mean, median, p95, p99, highest } = summary;
        for (ending, value) in
            [("mean", mean), ("median", median), ("95", p95), ("99", p99), ("100", highest)]
        {
            self.put(&format!("{key}_{ending}"), value);
        }
    }

    /// The lengths of queues, of which there is one here.
    fn queue(&mut self, key: &str, length: u64) {
        for ending in ["min", "median", "mean", "max", "total"] {
            self.put(&format!("{key}_{ending}"), length);
        }
    }
}

/// The keys of a pattern, in which `{a,b}` is either.
fn expand(pattern: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, choices)) = rest.split_once('{') {
        let (choices, after) = choices.split_once('}').unwrap_or((choices, ""));
        let longer =
            |key: String| choices.split(',').map(move |choice| format!("{key}{before}{choice}"));
        keys = keys.into_iter().flat_map(longer).collect();
        rest = after;
    }
    keys.into_iter().map(|key| key + rest).collect()
}

#[cfg(test)]
mod tests {
    use mapring_kv::WalkFigures;
    use mapring_kv::by_kind::{ByKind, KindFigures};

    use super::*;

    #[test]
    fn patterns_stand_for_their_keys() {
        assert_eq!(expand("a"), ["a"]);
        assert_eq!(expand("a_{b,c}{,_d}"), ["a_b", "a_b_d", "a_c", "a_c_d"]);
    }

    #[test]
    fn every_number_is_whole_and_every_figure_is_told() {
        let minute = |minute| Counted { total: minute + 1_000, minute };
        let summary = |mean| Summary {
            mean,
            median: mean + 1,
            p95: mean + 2,
            p99: mean + 3,
            highest: mean + 4,
        };
        let done = |count, time| DoneFigures {
            count: minute(count),
            time: summary(time),
            siblings: summary(time + 100),
            bytes: summary(time + 200),
        };
        let walks = |count| WalkFigures {
            begun: minute(count),
            failed: minute(count + 1),
            under_way: count + 2,
        };
        let figures = Figures {
            gets: RequestFigures {
                objects: done(11, 100),
                kinds: ByKind::default().map(|_: &()| done(61, 600)),
                under_way: 12,
                begun: 13,
                rates: [14, 15],
                failed: minute(16),
                rejected: minute(17),
                rejected_rate: 18,
            },
            puts: RequestFigures { objects: done(21, 400), ..Default::default() },
            kv: KvFigures {
                repaired_missing: minute(31),
                forwards: 32,
                waiting: 33,
                refused: 34,
                kinds: ByKind::default().map(|_: &()| KindFigures {
                    updates: minute(35),
                    update_time: summary(700),
                    merges: minute(36),
                    merge_time: summary(710),
                    sizes: summary(720),
                    bytes: minute(37),
                }),
                kind_repairs: ByKind::default().map(|_: &()| minute(38)),
                listings: walks(81),
                index_queries: walks(84),
                index_queries_done: minute(87),
                index_query_time: summary(800),
                index_query_hits: summary(900),
                folds: walks(88),
                ..Default::default()
            },
            hooks: HookFigures { failed_before: 71, failed_after: 72 },
            queries: QueryFigures { units_in_flight: 41, begun: minute(42), ..Default::default() },
            body_bytes: 51,
            ..Figures::default()
        };
        let told = figures.document();
        for (key, value) in [
            ("node_gets", 11),
            ("node_gets_total", 1_011),
            ("node_get_fsm_time_mean", 100),
            ("node_get_fsm_time_median", 101),
            ("node_get_fsm_time_95", 102),
            ("node_get_fsm_time_99", 103),
            ("node_get_fsm_time_100", 104),
            ("node_get_fsm_siblings_100", 204),
            ("node_get_fsm_objsize_mean", 300),
            ("node_get_fsm_active", 12),
            ("node_get_fsm_active_60s", 13),
            ("node_get_fsm_in_rate", 14),
            ("node_get_fsm_out_rate", 15),
            ("node_get_fsm_errors_total", 1_016),
            ("node_get_fsm_rejected_60s", 17),
            ("node_get_fsm_rejected", 18),
            ("node_puts", 21),
            ("node_put_fsm_time_100", 404),
            ("read_repairs_primary_notfound_one", 31),
            ("read_repairs_primary_notfound_count", 1_031),
            ("coord_redirs_total", 32),
            ("riak_kv_vnodeq_mean", 33),
            ("dropped_vnode_requests_total", 34),
            ("executing_mappers", 41),
            ("pipeline_create_count", 1_042),
            ("memory_binary", 51),
            ("node_gets_counter", 61),
            ("node_gets_hll_total", 1_061),
            ("node_get_fsm_set_time_95", 602),
            ("node_get_fsm_map_siblings_mean", 700),
            ("node_get_fsm_map_objsize_100", 804),
            ("node_puts_map_total", 0),
            ("node_put_fsm_set_time_mean", 0),
            ("vnode_counter_update_total", 1_035),
            ("vnode_hll_update_time_99", 703),
            ("object_set_merge_total", 1_036),
            ("object_map_merge_time_100", 714),
            ("counter_actor_counts_95", 722),
            ("hll_bytes", 37),
            ("hll_bytes_total", 1_037),
            ("hll_bytes_mean", 720),
            ("read_repairs_counter", 38),
            ("read_repairs_hll_total", 1_038),
            ("precommit_fail", 71),
            ("postcommit_fail", 72),
            ("list_fsm_create_total", 1_081),
            ("list_fsm_create_error_total", 1_082),
            ("list_fsm_active", 83),
            ("index_fsm_create", 84),
            ("index_fsm_create_error", 85),
            ("index_fsm_active", 86),
            ("index_fsm_complete", 87),
            ("index_fsm_time_mean", 800),
            ("index_fsm_results_100", 904),
            ("clusteraae_fsm_create", 88),
            ("clusteraae_fsm_active", 90),
            ("pbc_active", 0),
            ("tictacaae_queue_microsec__max", 0),
        ] {
            assert_eq!(told.get(key), Some(&json!(value)), "{key}");
        }
        assert!(told.values().all(|value| !value.is_number() || value.is_u64()), "{told:?}");
    }
}
