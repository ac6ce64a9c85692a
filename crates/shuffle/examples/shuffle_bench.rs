//! Measures grouping from pairs to groups: `shuffle_bench [pairs] [keys] [pairs a page] [memory MB]
//! [directory]`.
//!
//! One thread does what a node does for one partition: pages of pairs are sorted and put into a store
//! as segments, then all of them are merged. The sum of the values of each key is compared with what
//! it must be. With a directory they are saved there before they are merged. Printed are pairs a
//! second of each part, what the store had, and the most memory that the process had.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mapring_shuffle::{
    Keeps, Merge, MergeBounds, Pairs, Run, RunWriter, SegmentId, Store, StoreConfig, key,
};
use mapring_types::{Error, Result};

/// Pairs of one call of a worker.
const CALL: u64 = 1_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (pairs, keys, page) = (number(50_000_000), number(10_000_000), number(200_000));
    let memory_bytes = number(256) << 20;
    let kept = std::env::args().nth(5).map(PathBuf::from);
    let keeps = if kept.is_some() { Keeps::Written } else { Keeps::Nothing };
    let directory = kept.unwrap_or_else(std::env::temp_dir);
    let config = StoreConfig { memory_bytes, disk_bytes: 64 << 30, directory, keeps };
    let store = Store::new(config, Duration::ZERO);

    let mut times = Times::default();
    let started = Instant::now();
    let mut first = 0;
    let mut number = 0;
    while first < pairs {
        let last = pairs.min(first + page);
        put_page(&store, number, first..last, keys, &mut times)?;
        (first, number) = (last, number + 1);
    }
    report("pack pairs", pairs, times.pack);
    report("collect", pairs, times.collect);
    report("sort", pairs, times.sort);
    report("write", pairs, times.write);
    report("put", pairs, times.put);
    if keeps == Keeps::Written {
        timed(&mut times.save, || store.save(1))?;
        report("save", pairs, times.save);
    }
    println!("{:>12}: {:?}", "store", store.usage());

    let merging = Instant::now();
    let groups = merge_all(&store, number, pairs, keys)?;
    report("merge", pairs, merging.elapsed());
    report("all", pairs, started.elapsed());
    println!("{:>12}: {groups}", "groups");
    println!("{:>12}: {}", "peak", peak_memory());
    store.remove_query(1);
    Ok(())
}

#[derive(Default)]
struct Times {
    pack: Duration,
    collect: Duration,
    sort: Duration,
    write: Duration,
    put: Duration,
    save: Duration,
}

/// The key of a pair: all keys come, in an order that is none.
fn key_of(pair: u64, keys: u64) -> u64 {
    pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys
}

fn put_page(
    store: &Store,
    page: u32,
    range: std::ops::Range<u64>,
    keys: u64,
    times: &mut Times,
) -> Result<()> {
    let mut run = Run::new(NonZeroU32::MIN);
    let mut from = range.start;
    while from < range.end {
        let to = range.end.min(from + CALL);
        let packed = timed(&mut times.pack, || pack(from..to, keys))?;
        timed(&mut times.collect, || run.push(packed, Vec::new()))?;
        from = to;
    }
    let sorted = timed(&mut times.sort, || run.sort());
    let mut writer = RunWriter::new(&page.to_be_bytes());
    timed(&mut times.write, || sorted.write(&mut writer))?;
    for segment in writer.finish()? {
        let partition = segment.partition;
        let id = SegmentId { query: 1, stage: 0, unit: 0, attempt: 0, page, partition };
        timed(&mut times.put, || store.write(id, &segment.bytes, Duration::ZERO))?;
    }
    Ok(())
}

fn pack(range: std::ops::Range<u64>, keys: u64) -> Result<Pairs> {
    let (mut packed, mut bytes) = (Pairs::new(), Vec::new());
    for pair in range {
        bytes.clear();
        let mut writer = key::Writer::new(&mut bytes);
        writer.string(&*format!("user-{}", key_of(pair, keys)))?;
        writer.finish()?;
        packed.push(0, &bytes, &(pair % 1_000).to_string())?;
    }
    Ok(packed)
}

/// Merges all pages, and gives how many groups there were.
fn merge_all(store: &Store, pages: u32, pairs: u64, keys: u64) -> Result<u64> {
    let id = |page| SegmentId { query: 1, stage: 0, unit: 0, attempt: 0, page, partition: 0 };
    let segments: Result<Vec<_>> = (0..pages).map(|page| store.source(id(page))).collect();
    let mut merge = Merge::open(store, 1, segments?, None, MergeBounds::default())?;
    let (mut groups, mut values, mut sum) = (0, 0, 0);
    let mut before = Vec::new();
    while let Some(batch) = merge.next_groups(10_000, 1 << 20)? {
        for group in &batch {
            let group = group?;
            if group.first {
                groups += 1;
                if groups > 1 && *before >= *group.key {
                    return Err(Error::internal("keys do not ascend"));
                }
                before.clear();
                before.extend_from_slice(group.key);
            }
            for value in group.values {
                values += 1;
                sum += value?.parse::<u64>().map_err(|_| Error::internal("no number"))?;
            }
        }
    }
    let expect: u64 = (0..pairs).map(|pair| pair % 1_000).sum();
    if (values, sum) != (pairs, expect) || groups > keys {
        return Err(Error::internal(format!("{groups} groups, {values} values, sum {sum}")));
    }
    Ok(groups)
}

fn timed<T>(time: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    *time += started.elapsed();
    result
}

fn report(what: &str, pairs: u64, time: Duration) {
    let rate = pairs as f64 / time.as_secs_f64() / 1e6;
    println!("{what:>12}: {:8.2} s {rate:8.2} million pairs a second", time.as_secs_f64());
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or(" not known here").trim().to_owned()
}
