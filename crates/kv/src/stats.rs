//! Counters of the key-value store, kept once for `/stats` and told to the `metrics` facade.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use mapring_datatypes::Kind;
use mapring_datatypes::object::Made;
use mapring_engine::IndexChange;
use metrics::{Counter, Histogram};
use tokio::time::Instant;

use crate::by_kind::{ByKind, KindFigures, OfKind};
use crate::executor::Executor;
use crate::window::{Counted, Minute, Summary, Tally, Timed, Values};

/// Figures since the node's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KvStats {
    /// Reads that this node answered or failed.
    pub gets: u64,
    /// Writes that this node took from clients.
    pub puts: u64,
    /// Deletes that this node took from clients.
    pub deletes: u64,
    /// Replicas brought up to date after reads.
    pub read_repairs: u64,
    /// Writes passed to another node to coordinate.
    pub forwards: u64,
    /// Replicas of coordinated writes that fallbacks took.
    pub fallback_writes: u64,
    /// Hints kept here for replicas that missed a coordinated write.
    pub hints: u64,
    /// Objects handed over to their owners.
    pub handed_over: u64,
    /// Writes of nodes that ended, or of an earlier incarnation, that this node recovered.
    pub recovered: u64,
    /// Tombstones reaped.
    pub reaps: u64,
}

/// What Riak's statistics tell of a store (fact R240), of this node alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KvFigures {
    /// Objects read from vnodes of this node, for whomever: not by folds.
    pub vnode_gets: Counted,
    /// How long that took, in microseconds.
    pub vnode_get_time: Summary,
    /// Objects stored in vnodes of this node: one that came in pieces counts with each.
    pub vnode_puts: Counted,
    /// How long that took, in microseconds, without the wait until it was durable.
    pub vnode_put_time: Summary,
    /// Objects joined with what lay in a vnode already, but for data types.
    pub merges: Counted,
    /// How long the joining took, in microseconds.
    pub merge_time: Summary,
    /// Data types.
    pub kinds: ByKind<KindFigures>,
    /// Ranges of keys or of an index that folds began to read from slices of this node, and pages that
    /// queries of an index read of one.
    pub index_reads: Counted,
    /// Objects stored with other index entries than before.
    pub index_writes: Counted,
    /// Index entries that these added.
    pub index_entries_added: Counted,
    /// Objects removed that had index entries.
    pub index_deletes: Counted,
    /// Index entries removed, by either.
    pub index_entries_removed: Counted,
    /// Reads that found primaries to be brought up to date.
    pub read_repairs: Counted,
    /// Those of them that were of data types.
    pub kind_repairs: ByKind<Counted>,
    /// Reads that did not do so, at their bound.
    pub skipped_read_repairs: Counted,
    /// Primaries brought up to date that had nothing.
    pub repaired_missing: Counted,
    /// Primaries brought up to date that had less.
    pub repaired_outdated: Counted,
    /// Listings of keys and of buckets.
    pub listings: WalkFigures,
    /// Queries of an index, as [`crate::Kv::index`] makes them.
    pub index_queries: WalkFigures,
    /// Those of them that came to their end.
    pub index_queries_done: Counted,
    /// How long these took, in microseconds.
    pub index_query_time: Summary,
    /// How many hits they had.
    pub index_query_hits: Summary,
    /// Folds, as [`crate::Kv::census`] makes them.
    pub folds: WalkFigures,
    /// Writes passed to another node to coordinate, since the start.
    pub forwards: u64,
    /// Storage work that waits for a thread.
    pub waiting: u64,
    /// Storage work that was refused since the start.
    pub refused: u64,
}

/// Walks of one kind over many objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalkFigures {
    /// Those that have begun.
    pub begun: Counted,
    /// Those that ended with an error.
    pub failed: Counted,
    /// Those under way.
    pub under_way: u64,
}

/// What happens to the objects in the vnodes of this node.
#[derive(Debug, Default)]
pub(crate) struct VnodeFigures {
    pub(crate) gets: Timed,
    pub(crate) puts: Timed,
    merges: Timed,
    index_writes: Tally,
    index_deletes: Tally,
    entries_added: Tally,
    entries_removed: Tally,
    kinds: ByKind<OnceLock<OfKind>>,
}

impl VnodeFigures {
    fn of(&self, kind: Kind) -> Option<&OfKind> {
        self.kinds.of(kind).map(|kept| kept.get_or_init(OfKind::default))
    }

    /// An update of a data type has been applied just now, or was refused: then it has made nothing.
    pub(crate) fn count_update(&self, kind: Kind, began: Instant, made: Option<Made>) {
        let Some(kept) = self.of(kind) else { return };
        kept.updates.since(began);
        if let Some(made) = made {
            kept.note(kind, made);
        }
    }

    /// An object has just been joined with what was there. Data types count by their kind alone (fact R401).
    pub(crate) fn count_merge(&self, kind: Option<Kind>, began: Instant) {
        let kept = kind.and_then(|kind| self.of(kind));
        kept.map_or(&self.merges, |kept| &kept.merges).since(began);
    }

    /// The index entries of an object were changed, with the object, which is removed or not.
    pub(crate) fn count_entries(&self, change: &IndexChange, removed: bool) {
        if change.add.is_empty() && change.remove.is_empty() {
            return;
        }
        if removed { &self.index_deletes } else { &self.index_writes }.add(1);
        self.entries_added.add(change.add.len() as u64);
        self.entries_removed.add(change.remove.len() as u64);
    }

    /// The part of the figures that is kept here.
    pub(crate) fn told(&self) -> KvFigures {
        let ((vnode_gets, vnode_get_time), (vnode_puts, vnode_put_time)) =
            (self.gets.told(), self.puts.told());
        let (merges, merge_time) = self.merges.told();
        KvFigures {
            vnode_gets,
            vnode_get_time,
            vnode_puts,
            vnode_put_time,
            merges,
            merge_time,
            index_writes: self.index_writes.counted(),
            index_entries_added: self.entries_added.counted(),
            index_deletes: self.index_deletes.counted(),
            index_entries_removed: self.entries_removed.counted(),
            kinds: self.kinds.map(|kept| kept.get().map(OfKind::told).unwrap_or_default()),
            ..KvFigures::default()
        }
    }
}

/// Counts walks of one kind.
#[derive(Debug, Default)]
pub(crate) struct Walks {
    begun: Tally,
    failed: Tally,
    under_way: AtomicU64,
}

impl Walks {
    /// A walk begins; it ends with [`Walks::end`].
    pub(crate) fn begin(&self) {
        self.begun.add(1);
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        let before = self.under_way.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "more walks have ended than have begun");
    }

    pub(crate) fn count_failed(&self) {
        self.failed.add(1);
    }

    fn told(&self) -> WalkFigures {
        WalkFigures {
            begun: self.begun.counted(),
            failed: self.failed.counted(),
            under_way: self.under_way.load(Ordering::Relaxed),
        }
    }
}

pub(crate) struct Stats {
    pub(crate) index_reads: Tally,
    pub(crate) listings: Walks,
    pub(crate) index_queries: Walks,
    pub(crate) folds: Walks,
    index_queries_done: Timed,
    index_query_hits: Minute<Values>,
    /// Reads that begin to repair.
    read_repairs: Tally,
    kind_repairs: ByKind<Tally>,
    skipped_read_repairs: Tally,
    repaired_missing: Tally,
    repaired_outdated: Tally,
    /// Of requests, by whether they failed.
    got: [Counter; 2],
    put: [Counter; 2],
    get_seconds: Histogram,
    put_seconds: Histogram,
    get_siblings: Histogram,
    gets: AtomicU64,
    puts: AtomicU64,
    deletes: AtomicU64,
    forwards: AtomicU64,
    fallback_writes: AtomicU64,
    hints: AtomicU64,
    handed_over: AtomicU64,
    recovered: AtomicU64,
    reaps: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        // Looked up once: requests are too many to look them up each time.
        let got = |failed| metrics::counter!("mapring_kv_gets_total", "result" => word(failed));
        let put = |failed| metrics::counter!("mapring_kv_puts_total", "result" => word(failed));
        Self {
            index_reads: Tally::default(),
            listings: Walks::default(),
            index_queries: Walks::default(),
            folds: Walks::default(),
            index_queries_done: Timed::default(),
            index_query_hits: Minute::default(),
            read_repairs: Tally::default(),
            kind_repairs: ByKind::default(),
            skipped_read_repairs: Tally::default(),
            repaired_missing: Tally::default(),
            repaired_outdated: Tally::default(),
            got: [false, true].map(got),
            put: [false, true].map(put),
            get_seconds: metrics::histogram!("mapring_kv_get_duration_seconds"),
            put_seconds: metrics::histogram!("mapring_kv_put_duration_seconds"),
            get_siblings: metrics::histogram!("mapring_kv_get_siblings"),
            gets: AtomicU64::default(),
            puts: AtomicU64::default(),
            deletes: AtomicU64::default(),
            forwards: AtomicU64::default(),
            fallback_writes: AtomicU64::default(),
            hints: AtomicU64::default(),
            handed_over: AtomicU64::default(),
            recovered: AtomicU64::default(),
            reaps: AtomicU64::default(),
        }
    }
}

impl Stats {
    pub(crate) fn snapshot(&self) -> KvStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KvStats {
            gets: read(&self.gets),
            puts: read(&self.puts),
            deletes: read(&self.deletes),
            read_repairs: self.repaired_missing.total() + self.repaired_outdated.total(),
            forwards: read(&self.forwards),
            fallback_writes: read(&self.fallback_writes),
            hints: read(&self.hints),
            handed_over: read(&self.handed_over),
            recovered: read(&self.recovered),
            reaps: read(&self.reaps),
        }
    }

    /// All that is told, with what the vnodes and the executor tell.
    pub(crate) fn figures(&self, of_vnodes: KvFigures, executor: &dyn Executor) -> KvFigures {
        let (index_queries_done, index_query_time) = self.index_queries_done.told();
        KvFigures {
            index_reads: self.index_reads.counted(),
            read_repairs: self.read_repairs.counted(),
            kind_repairs: self.kind_repairs.map(Tally::counted),
            skipped_read_repairs: self.skipped_read_repairs.counted(),
            repaired_missing: self.repaired_missing.counted(),
            repaired_outdated: self.repaired_outdated.counted(),
            listings: self.listings.told(),
            index_queries: self.index_queries.told(),
            index_queries_done,
            index_query_time,
            index_query_hits: self.index_query_hits.sum(Instant::now()).summary(),
            folds: self.folds.told(),
            forwards: self.forwards.load(Ordering::Relaxed),
            waiting: executor.waiting() as u64,
            refused: executor.refused(),
            ..of_vnodes
        }
    }

    pub(crate) fn count_get(&self, took: Duration, failed: bool) {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.got[usize::from(failed)].increment(1);
        self.get_seconds.record(took);
    }

    pub(crate) fn count_put(&self, took: Duration, failed: bool) {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.put[usize::from(failed)].increment(1);
        self.put_seconds.record(took);
    }

    pub(crate) fn count_siblings(&self, siblings: usize) {
        self.get_siblings.record(siblings as f64);
    }

    pub(crate) fn count_delete(&self, failed: bool) {
        self.deletes.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mapring_kv_deletes_total", "result" => word(failed)).increment(1);
    }

    /// A primary was brought up to date after a read, which had nothing or less.
    pub(crate) fn count_repaired(&self, missing: bool) {
        if missing { &self.repaired_missing } else { &self.repaired_outdated }.add(1);
        metrics::counter!("mapring_kv_read_repairs_total").increment(1);
    }

    /// A read begins to repair an object, which may be a data type.
    pub(crate) fn count_read_repair(&self, kind: Option<Kind>) {
        self.read_repairs.add(1);
        if let Some(tally) = kind.and_then(|kind| self.kind_repairs.of(kind)) {
            tally.add(1);
        }
    }

    pub(crate) fn count_skipped_read_repair(&self) {
        self.skipped_read_repairs.add(1);
        metrics::counter!("mapring_kv_read_repairs_dropped_total").increment(1);
    }

    /// A query of an index has come to its end just now.
    pub(crate) fn index_query_ended(&self, began: Instant, hits: u64) {
        let now = Instant::now();
        self.index_queries_done.note(began, now);
        self.index_query_hits.record(now, |slot| slot.note(hits));
    }

    pub(crate) fn count_forward(&self) {
        self.forwards.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mapring_kv_put_forwards_total").increment(1);
    }

    pub(crate) fn count_fallback_writes(&self, count: u32) {
        if count > 0 {
            self.fallback_writes.fetch_add(u64::from(count), Ordering::Relaxed);
            metrics::counter!("mapring_kv_fallback_writes_total").increment(u64::from(count));
        }
    }

    pub(crate) fn count_hint(&self) {
        self.hints.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mapring_kv_hints_total").increment(1);
    }

    pub(crate) fn count_handed_over(&self) {
        self.handed_over.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mapring_kv_handoff_objects_total").increment(1);
    }

    pub(crate) fn count_recovered(&self, writes: usize) {
        self.recovered.fetch_add(writes as u64, Ordering::Relaxed);
        metrics::counter!("mapring_kv_recovered_writes_total").increment(writes as u64);
    }

    pub(crate) fn count_reap(&self) {
        self.reaps.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mapring_kv_reaps_total").increment(1);
    }
}

fn word(failed: bool) -> &'static str {
    if failed { "failed" } else { "ok" }
}

/// Describes the metrics of this crate, once a process.
pub(crate) fn describe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        use metrics::{Unit, describe_counter as counter, describe_histogram as histogram};
        histogram!(
            "mapring_kv_get_duration_seconds",
            Unit::Seconds,
            "Time from a read's start to its answer"
        );
        histogram!(
            "mapring_kv_put_duration_seconds",
            Unit::Seconds,
            "Time from a write's start to its answer"
        );
        histogram!("mapring_kv_get_siblings", Unit::Count, "Values in the objects that reads gave");
        histogram!("mapring_kv_group_commit_writes", Unit::Count, "Writes that shared one sync");
        histogram!(
            "mapring_kv_executor_wait_seconds",
            Unit::Seconds,
            "Time that storage work waited"
        );
        for (name, text) in [
            ("mapring_kv_unsettled_writes", "Own writes on their way to replicas or hints"),
            ("mapring_kv_in_flight_writes", "Writes of others not known to have settled"),
            ("mapring_kv_hinted_vnodes", "Vnodes of others for which this node holds data"),
            ("mapring_kv_hinted_objects", "Objects that this node holds for others, by owner"),
            ("mapring_kv_stale_vnodes", "Vnodes that lack writes which other members hold"),
            ("mapring_kv_unsurveyed_members", "Members that may still hold data for this node"),
            ("mapring_kv_graves", "Deletions remembered after their tombstones were removed"),
            ("mapring_kv_blocks", "Blocks of large bodies that lie here, at the last look"),
            ("mapring_kv_unnamed_blocks", "Those of them that no object names, not yet removed"),
            ("mapring_kv_incomplete", "1 while this node has lost data and is not filled again"),
            ("mapring_kv_read_repairs_in_flight", "Replicas being brought up to date after reads"),
            ("mapring_kv_written_release", "Release of the formats that is written"),
        ] {
            metrics::describe_gauge!(name, Unit::Count, text);
        }
        for (name, text) in [
            ("mapring_kv_gets_total", "Reads taken from clients"),
            ("mapring_kv_puts_total", "Writes taken from clients, deletes among them"),
            ("mapring_kv_deletes_total", "Deletes taken from clients"),
            ("mapring_kv_read_repairs_total", "Replicas brought up to date after reads"),
            ("mapring_kv_repaired_objects_total", "Objects fetched to fill what was lost here"),
            ("mapring_kv_read_repairs_dropped_total", "Read repairs left out at their bound"),
            ("mapring_kv_put_forwards_total", "Writes passed to another node to coordinate"),
            ("mapring_kv_fallback_writes_total", "Replicas of writes that fallbacks took"),
            ("mapring_kv_large_objects_total", "Writes that left an object above a warning level"),
            ("mapring_kv_hints_total", "Hints kept for replicas that missed a write"),
            ("mapring_kv_hint_failures_total", "Hints that could not be kept"),
            ("mapring_kv_handoff_objects_total", "Objects handed over to their owners"),
            (
                "mapring_kv_recovered_writes_total",
                "In-doubt writes of coordinators that ended, brought on here",
            ),
            ("mapring_kv_replica_write_failures_total", "Replicas that failed a write"),
            ("mapring_kv_disk_syncs_total", "Replicas fsynced since a write asked for it"),
            ("mapring_kv_reaps_total", "Tombstones reaped"),
            ("mapring_kv_blocks_removed_total", "Blocks removed here that no object named"),
            ("mapring_kv_reaps_dropped_total", "Tombstones not scheduled at the bound"),
            ("mapring_kv_listing_retries_total", "Slices of listings tried on another replica"),
            ("mapring_kv_executor_rejected_total", "Storage work refused at a full queue"),
            (
                "mapring_kv_inline_gate_closings_total",
                "Times that slow storage closed the gate to work inline",
            ),
        ] {
            counter!(name, Unit::Count, text);
        }
    });
}
