//! Measures large records in the sled engine, with the allocator that a node has:
//! `large_bench DIR [durability] [values] [bytes] [cache MB] [tree]`.
//!
//! Writers put and sync values as the blocks of a body come, then all are read back and removed. With
//! `tree` they lie in the tree, as in the stores of former releases. Tells how much memory the process
//! takes more than before (its own, not that of the page cache), and how fast it goes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mapring_engine::{Durability, Engine, IndexChange, SledConfig, SledEngine, StoreKey};
use mapring_types::{BucketId, Error, ObjectId, Record, Release, Result};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WRITERS: u64 = 4;
const VNODES: u64 = 22;
const LOOK: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| "/tmp/large-bench".into()));
    let durability = match arguments.next().as_deref() {
        Some("disk") => Durability::Disk,
        Some("none") => Durability::None,
        _ => Durability::Process,
    };
    let mut number =
        |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (values, bytes, cache) = (number(2_000), number(1 << 20), number(64));
    let config = SledConfig { durability, cache_bytes: cache << 20, ..SledConfig::default() };
    let engine = SledEngine::open(&dir, config)?;
    if arguments.next().is_none() {
        engine.raise_release(Release::current())?;
    }
    let bench = Bench { engine, values, bytes, random: random(values, bytes) };
    let total = values * bytes;
    bench.measure("put and sync", total, &|bench, number| {
        let (engine, value) = (&bench.engine, bench.value(number));
        engine.put(vnode(number), &key(number), &value, &IndexChange::NONE)?;
        engine.sync()
    })?;
    println!("{:>16}: {} MB", "disk", bench.engine.stats().disk_bytes >> 20);
    bench.measure("get", total, &|bench, number| match bench
        .engine
        .get(vnode(number), &key(number))?
    {
        Some(found) if found.body == bench.value(number).body => Ok(()),
        _ => Err(Error::internal(format!("value {number} is not what was written"))),
    })?;
    bench.measure("delete and sync", total, &|bench, number| {
        bench.engine.delete(vnode(number), &key(number), &[])?;
        bench.engine.sync()
    })?;
    println!("{:>16}: {} MB", "disk", bench.engine.stats().disk_bytes >> 20);
    Ok(())
}

struct Bench {
    engine: SledEngine,
    values: u64,
    bytes: u64,
    /// What every value is cut from: their making is not measured.
    random: Bytes,
}

fn random(values: u64, bytes: u64) -> Bytes {
    let words = (0..bytes.div_ceil(8) + values).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words.flat_map(u64::to_le_bytes).collect()
}

impl Bench {
    fn value(&self, number: u64) -> Record {
        let from = (number * 8) as usize;
        let body = self.random.slice(from..from + self.bytes as usize);
        Record { head: vec![7; 200].into(), body }
    }

    /// Does some work with each value, and tells how fast that went and what memory it took.
    fn measure(
        &self,
        what: &str,
        bytes: u64,
        work: &(dyn Fn(&Self, u64) -> Result<()> + Sync),
    ) -> Result<()> {
        let (next, over, before) = (AtomicU64::new(0), AtomicBool::new(false), resident());
        let begun = Instant::now();
        let (done, most) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut most = 0;
                while !over.load(Ordering::Relaxed) {
                    most = resident().max(most);
                    std::thread::sleep(LOOK);
                }
                most
            });
            let share = || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= self.values {
                        return Ok(());
                    }
                    work(self, number)?;
                }
            };
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(share)).collect();
            let done = writers.into_iter().try_for_each(|writer| writer.join().unwrap_or(Ok(())));
            over.store(true, Ordering::Relaxed);
            (done, watch.join().unwrap_or_default())
        });
        let time = begun.elapsed();
        let rate = bytes as f64 / time.as_secs_f64() / f64::from(1 << 20);
        let grown = |now: u64| now.saturating_sub(before) >> 20;
        println!(
            "{what:>16}: {rate:>6.0} MB/s ({time:.1?}), memory +{} MB at most, +{} MB after",
            grown(most),
            grown(resident()),
        );
        done
    }
}

fn vnode(number: u64) -> u16 {
    (number % VNODES) as u16
}

fn key(number: u64) -> StoreKey {
    // Keys arrive in no order.
    let name = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    StoreKey { home: 0, id: ObjectId::new(BucketId::untyped("bench"), name) }
}

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}
