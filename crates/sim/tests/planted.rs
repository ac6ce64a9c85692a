//! Bugs planted on purpose are caught: two at random each time.
#![cfg(feature = "planted-bugs")]

use mapring_sim::{Bug, Options, Random, run};
use mapring_types::{Entropy, Result};

/// Seeds after which a planted bug must have been caught: eight times as many as the one that is
/// hardest to catch takes in the mean (see `docs/testing.md`).
const ENOUGH: u64 = 300;

/// Gives how many seeds it took.
fn caught(bug: Bug, first: u64) -> Result<Option<u64>> {
    for number in 0..ENOUGH {
        let seed = first.wrapping_add(number);
        let report = run(seed, Options { plant: Some(bug), ..Options::default() })?;
        if let Some(violation) = report.violations.first() {
            println!("{} is caught by seed {seed}, the {number}th: {violation}", bug.name());
            return Ok(Some(number + 1));
        }
    }
    Ok(None)
}

#[test]
fn two_bugs_chosen_at_random_are_caught() -> Result<()> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let first = u64::from(now.subsec_nanos());
    let random = Random::new(first);
    let mut bugs = Bug::ALL.to_vec();
    let mut choose =
        || bugs.swap_remove(usize::try_from(random.below(bugs.len() as u64)).unwrap_or(0));
    let chosen = [choose(), choose()];
    println!("planted: {}, seeds from {first} on", chosen.map(Bug::name).join(", then "));
    // A bug is planted in a thread.
    let search = |bug| move || caught(bug, first);
    std::thread::scope(|scope| {
        for (bug, search) in chosen.map(|bug| (bug, scope.spawn(search(bug)))) {
            match search.join() {
                Ok(seeds) => {
                    let name = bug.name();
                    assert!(seeds?.is_some(), "{name} is not caught by {ENOUGH} from {first}");
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

#[test]
fn without_a_bug_nothing_is_caught() -> Result<()> {
    for seed in 1..=5 {
        let report = run(seed, Options::default())?;
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
    }
    Ok(())
}
