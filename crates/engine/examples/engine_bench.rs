//! Measures the sled engine: `engine_bench DIR [durability] [objects] [bytes]`.
//!
//! Writers put and sync like vnodes do, then the objects are read, scanned and written over.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mapring_engine::{
    Durability, Engine, IndexChange, ScanDepth, ScanRange, SledConfig, SledEngine, StoreKey,
};
use mapring_types::{BucketId, ObjectId, Record, Result};

const WRITERS: u64 = 64;
const VNODES: u64 = 22;
const HOMES: u64 = 3;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| "/tmp/engine-bench".into()));
    let durability = match arguments.next().as_deref() {
        Some("disk") => Durability::Disk,
        Some("none") => Durability::None,
        _ => Durability::Process,
    };
    let mut number =
        |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (objects, bytes) = (number(200_000), number(300));
    let rounds = number(1);
    let config = SledConfig { durability, cache_bytes: 1 << 30, ..SledConfig::default() };
    let engine = SledEngine::open(&dir, config.clone())?;
    let raw = objects * (bytes + 60);
    for round in 0..rounds {
        let time = put_all(&engine, objects, bytes, round)?;
        let ratio = engine.stats().disk_bytes as f64 / raw as f64;
        report("put and sync", objects, time);
        println!("{:>16}: {ratio:.1} times the objects", "disk");
    }
    report("get", objects, get_all(&engine, objects)?);
    for depth in [ScanDepth::Heads, ScanDepth::Records] {
        let begun = Instant::now();
        let mut seen = 0;
        for vnode in 0..VNODES {
            for home in 0..HOMES {
                let range = ScanRange::home(home as u16);
                engine.scan(vnode as u16, &range, depth, &mut |_, _| {
                    seen += 1;
                    ControlFlow::Continue(())
                })?;
            }
        }
        report(&format!("scan {depth:?}"), seen, begun.elapsed());
    }
    drop(engine);
    let begun = Instant::now();
    let engine = SledEngine::open(&dir, config)?;
    println!("{:>16}: {:?}", "reopen", begun.elapsed());
    std::thread::sleep(Duration::from_secs(12));
    let ratio = engine.stats().disk_bytes as f64 / raw as f64;
    println!("{:>16}: {ratio:.1} times the objects", "disk at rest");
    Ok(())
}

fn put_all(engine: &SledEngine, objects: u64, bytes: u64, round: u64) -> Result<Duration> {
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= objects {
                            return Ok::<(), mapring_types::Error>(());
                        }
                        let head = vec![round as u8; 60];
                        let body = vec![n as u8; bytes as usize];
                        let record = Record { head: head.into(), body: body.into() };
                        engine.put((n % VNODES) as u16, &key(n), &record, &IndexChange::NONE)?;
                        engine.sync()?;
                    }
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().unwrap_or(Ok(())))
    })?;
    Ok(begun.elapsed())
}

fn get_all(engine: &SledEngine, objects: u64) -> Result<Duration> {
    let begun = Instant::now();
    for n in 0..objects {
        let n = n.wrapping_mul(7_919) % objects;
        engine.get((n % VNODES) as u16, &key(n))?;
    }
    Ok(begun.elapsed())
}

fn key(n: u64) -> StoreKey {
    let home = (n / VNODES % HOMES) as u16;
    // Keys arrive in no order.
    let name = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    StoreKey { home, id: ObjectId::new(BucketId::untyped("bench"), name) }
}

fn report(what: &str, count: u64, time: Duration) {
    let rate = count as f64 / time.as_secs_f64();
    println!("{what:>16}: {rate:>9.0} a second ({time:.1?})");
}
