//! Bugs on purpose are caught: two failpoints at random each time.
#![cfg(feature = "failpoints")]

use mapring_sim::{Failpoint, Options, Random, run};
use mapring_types::{Entropy, Result};

/// Seeds after which the bug of a failpoint must have been caught: eight times as many as the one
/// that is hardest to catch takes in the mean (see `docs/testing.md`).
const ENOUGH: u64 = 300;

/// Returns how many seeds it took.
fn caught(failpoint: Failpoint, first: u64) -> Result<Option<u64>> {
    for number in 0..ENOUGH {
        let seed = first.wrapping_add(number);
        let options = Options {
            failpoint: Some(failpoint),
            jobs: Some(failpoint.is_of_jobs()),
            datatypes: Some(failpoint.is_of_datatypes()),
            ..Options::default()
        };
        let report = run(seed, options)?;
        if let Some(violation) = report.violations.first() {
            println!("{} is caught by seed {seed}, the {number}th: {violation}", failpoint.name());
            return Ok(Some(number + 1));
        }
    }
    Ok(None)
}

#[test]
fn two_failpoints_chosen_at_random_are_caught() -> Result<()> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let first = u64::from(now.subsec_nanos());
    let random = Random::new(first);
    let mut failpoints = Failpoint::ALL.to_vec();
    let mut choose = || {
        failpoints.swap_remove(usize::try_from(random.below(failpoints.len() as u64)).unwrap_or(0))
    };
    let chosen = [choose(), choose()];
    println!("failpoints: {}, seeds from {first} on", chosen.map(Failpoint::name).join(", then "));
    // A failpoint is enabled in a thread.
    let search = |failpoint| move || caught(failpoint, first);
    std::thread::scope(|scope| {
        for (failpoint, search) in chosen.map(|chosen| (chosen, scope.spawn(search(chosen)))) {
            match search.join() {
                Ok(seeds) => {
                    let name = failpoint.name();
                    assert!(seeds?.is_some(), "{name} is not caught by {ENOUGH} from {first}");
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

#[test]
fn what_only_two_plans_at_once_show_is_caught_by_them_alone() -> Result<()> {
    let mut caught = 0;
    for seed in 7_000..7_060 {
        for plans_at_once in [false, true] {
            let failpoint = Some(Failpoint::FilledNeedsNothing);
            let (jobs, datatypes) = (Some(false), Some(false));
            let options =
                Options { failpoint, plans_at_once, jobs, datatypes, ..Options::default() };
            let report = run(seed, options)?;
            let violations = report.violations.first();
            assert!(!plans_at_once || violations.is_none(), "seed {seed}: {violations:?}");
            caught += usize::from(violations.is_some());
        }
    }
    assert!(caught > 0);
    Ok(())
}

#[test]
fn without_a_failpoint_nothing_is_caught() -> Result<()> {
    for seed in 1..=5 {
        let report = run(seed, Options::default())?;
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
    }
    Ok(())
}
