//! Runs the table against servers, and says what came of it.

use std::collections::{BTreeMap, BTreeSet};

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};

use crate::case::{Case, Need, Whose};
use crate::check::Check;
use crate::wire::{self, Request};

/// Requests at a time.
const AT_ONCE: usize = 8;

/// For how long a request is asked again whose checks are to hold in the end: work goes on meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often.
const AGAIN: Duration = Duration::from_millis(100);

/// Servers that share their data.
pub(crate) struct Servers {
    pub(crate) what: String,
    /// `HOST:PORT` of each; every row is put to all of them.
    pub(crate) authorities: Vec<String>,
    /// Whether they are mapring's, which must have everything.
    pub(crate) own: bool,
    pub(crate) lacks: BTreeSet<Need>,
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Runs all cases; fails with a report when any of them does.
pub(crate) async fn run(servers: &Servers, cases: &[Case]) {
    let wanted = std::env::var("MAPRING_CONFORMANCE_ONLY").unwrap_or_default();
    let chosen: Vec<&Case> = cases.iter().filter(|case| case.title().contains(&wanted)).collect();
    let outcomes = stream::iter(chosen.iter().enumerate())
        .map(|(number, case)| async move { (number, one(servers, number, case).await) });
    let mut outcomes: Vec<(usize, Outcome)> = outcomes.buffer_unordered(AT_ONCE).collect().await;
    outcomes.sort_unstable_by_key(|(number, _)| *number);
    let mut facts: BTreeMap<Option<u32>, Count> = BTreeMap::new();
    let (mut failures, mut skipped) = (Vec::new(), BTreeMap::<String, usize>::new());
    for (case, (_, outcome)) in chosen.iter().zip(&outcomes) {
        let count = facts.entry(case.fact).or_default();
        match outcome {
            Outcome::Passed => count.passed += 1,
            Outcome::Failed(why) => {
                count.failed += 1;
                failures.push(why);
            }
            Outcome::Skipped(why) => {
                count.skipped += 1;
                *skipped.entry(why.clone()).or_default() += 1;
            }
        }
    }
    report(servers, &facts, &skipped);
    for failure in &failures {
        eprintln!("{failure}");
    }
    assert!(failures.is_empty(), "{}: {} cases failed", servers.what, failures.len());
}

/// Puts a row to all servers, one after another, beginning with another one for every row.
async fn one(servers: &Servers, number: usize, case: &Case) -> Outcome {
    match case.whose {
        Whose::Mapring if !servers.own => return Outcome::Skipped("mapring's own".into()),
        Whose::Riak(reason) if servers.own => {
            return Outcome::Skipped(format!("deliberately otherwise: {reason}"));
        }
        _ => {}
    }
    if let Some(need) = case.all_needs().iter().find(|need| servers.lacks.contains(need)) {
        return Outcome::Skipped(format!("the server lacks {need:?}"));
    }
    let count = servers.authorities.len();
    for authority in servers.authorities.iter().cycle().skip(number % count).take(count) {
        for (request, checks) in case.all_steps() {
            if let Err((expected, found)) = put(authority, request, checks).await {
                return Outcome::Failed(case.complaint(request, &expected, &found, authority));
            }
        }
    }
    Outcome::Passed
}

/// # Errors
/// What was expected, and what was found.
async fn put(authority: &str, request: &Request, checks: &[Check]) -> Result<(), (String, String)> {
    let begun = Instant::now();
    loop {
        match put_once(authority, request, checks).await {
            Err(_) if request.patient && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(AGAIN).await;
            }
            verdict => return verdict,
        }
    }
}

async fn put_once(
    authority: &str,
    request: &Request,
    checks: &[Check],
) -> Result<(), (String, String)> {
    let found = wire::send(authority, request).await;
    let found = found.map_err(|error| ("an answer".to_owned(), error))?;
    for check in checks {
        check.verdict(&found).map_err(|why| {
            let found = if why.is_empty() { found.to_string() } else { format!("{why}: {found}") };
            (check.to_string(), found)
        })?;
    }
    Ok(())
}

fn report(
    servers: &Servers,
    facts: &BTreeMap<Option<u32>, Count>,
    skipped: &BTreeMap<String, usize>,
) {
    eprintln!("{}:\n  fact       run  passed  failed  skipped", servers.what);
    let mut all = Count::default();
    for (fact, count) in facts {
        line(&name(*fact), count);
        all.passed += count.passed;
        all.failed += count.failed;
        all.skipped += count.skipped;
    }
    line("all", &all);
    for (why, count) in skipped {
        eprintln!("  skipped {count}: {why}");
    }
}

/// How a fact is called.
fn name(fact: Option<u32>) -> String {
    fact.map_or_else(|| "own".into(), |number| format!("R{number}"))
}

fn line(name: &str, count: &Count) {
    let Count { passed, failed, skipped } = count;
    eprintln!("  {name:8} {:5} {passed:7} {failed:7} {skipped:8}", passed + failed);
}

impl Case {
    fn title(&self) -> String {
        format!("{}: {} ({})", self.topic, self.name, name(self.fact))
    }

    fn complaint(&self, request: &Request, expected: &str, found: &str, authority: &str) -> String {
        let body = String::from_utf8_lossy(&request.body);
        format!(
            "FAILED {}\n  asked {authority}: {} {} {:?}\n  {}\n  expected {}\n  found {}\n",
            self.title(),
            request.method,
            request.path,
            request.headers,
            short(&body),
            short(expected),
            short(found)
        )
    }
}

fn short(text: &str) -> String {
    const MOST: usize = 1_500;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).collect::<String>() + "…"
}
