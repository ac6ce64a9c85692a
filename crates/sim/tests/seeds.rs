//! Seeds that must stay good, and some that nobody has tried before.

use std::sync::atomic::{AtomicU64, Ordering};

use mapring_sim::{Figures, Options, Report, run};
use mapring_types::Result;

/// Seeds that once failed, each with what was wrong.
const FAILED_ONCE: [(u64, &str); 15] = [
    (36, "a write that a paused node made late overtook a later one"),
    (82, "read repair brought back what had been reaped"),
    (341, "after a crash of all nodes nobody who was back knew who lacked a write"),
    (415, "the same, by another way"),
    (10_403, "the same"),
    (10_611, "the same"),
    (670, "a fallback kept what the owner had for a whole round of hand-off"),
    (30_370, "a write that a paused node made late replaced what it had made before"),
    (30_490, "what had been reaped came back beside a new value"),
    (40_499, "replicas of a tombstone had different clocks for ever"),
    (4_204_125_610, "the same"),
    (40_778, "that a fallback held a write was known to the fallback alone, which ended"),
    (140_055, "a stream of a query did not count any more while its units still ended"),
    (110_286, "a delete waited twice for the same silent node"),
    (520_046, "one replica alone, which lacked writes, answered for a majority"),
];

fn good(seed: u64, options: Options) -> Result<Report> {
    let report = run(seed, options)?;
    println!("{report}");
    let beginning = report.violations.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        report.violations.is_empty(),
        "seed {seed}: {} violations\n{}\n{beginning}\nagain with: cargo run -p mapring-sim -- \
         --seed {seed}",
        report.violations.len(),
        report.history.join("\n")
    );
    Ok(report)
}

/// Runs seeds on all cores. The first failure ends it.
fn all_good(seeds: impl IntoIterator<Item = u64>, options: Options) -> Result<Vec<Figures>> {
    let seeds: Vec<u64> = seeds.into_iter().collect();
    let next = AtomicU64::new(0);
    let worker = || -> Result<Vec<Figures>> {
        let mut figures = Vec::new();
        loop {
            let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let Some(&seed) = seeds.get(at) else { return Ok(figures) };
            figures.push(good(seed, options)?.figures);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let mut all = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(figures) => all.extend(figures?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

#[test]
fn known_seeds_are_good_and_all_kinds_of_faults_happen() -> Result<()> {
    let all = all_good(1..=40, Options::default())?;
    let sum = |of: fn(&Figures) -> u64| all.iter().map(of).sum::<u64>();
    for (what, of) in [
        ("crashes", (|f| f.crashes) as fn(&Figures) -> u64),
        ("partitions", |f| f.partitions),
        ("pauses", |f| f.pauses),
        ("storms", |f| f.storms),
        ("refusals", |f| f.refusals),
        ("lags", |f| f.lags),
        ("replacements", |f| f.replacements),
        ("updates of data types", |f| f.updates),
        ("jobs", |f| f.jobs),
        ("jobs taken over", |f| f.takes),
        ("queries whose saved pairs were found", |f| f.pairs),
        ("pipelines", |f| f.pipelines),
        ("runs of schedules", |f| f.runs),
    ] {
        assert!(sum(of) >= 5, "only {} {what}", sum(of));
    }
    let runs = all.len() as u64;
    assert!(sum(|f| f.writes) > 400 * runs && sum(|f| f.reads) > 100 * runs);
    assert!(sum(|f| f.queries) > 70 * runs && sum(|f| f.plans) > 10 * runs);
    assert!(sum(|f| f.queries_during_faults) > 10 * runs, "{}", sum(|f| f.queries_during_faults));
    Ok(())
}

#[test]
fn seeds_that_failed_once_are_good() -> Result<()> {
    // As they were then.
    let then = Options { jobs: Some(false), datatypes: Some(false), ..Options::default() };
    all_good(FAILED_ONCE.map(|(seed, _)| seed), then).map(|_| ())
}

#[test]
fn a_seed_gives_the_same_run_again() -> Result<()> {
    let mut hashes = Vec::new();
    for seed in 41..=44 {
        let options = Options::default();
        let (first, second) = (good(seed, options)?, good(seed, options)?);
        // The history tells where they part.
        assert_eq!(first.history, second.history, "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
        hashes.push(first.hash);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 4, "{hashes:x?}");
    Ok(())
}

#[test]
fn fresh_seeds_are_good() -> Result<()> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let first = u64::from(now.subsec_nanos());
    println!("seeds from {first} on");
    all_good(first..first + 20, Options::default()).map(|_| ())
}
