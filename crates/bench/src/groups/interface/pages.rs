//! Pages of an index by URL against a native scan of as many objects.

use std::time::Instant;

use serde_json::Value;

use crate::http;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::table::{digits, whole};
use crate::tool::{Tool, median};
use crate::usage::cpu_seconds;

use super::names::GROUP;
use crate::groups::queries::count_query;

pub(super) const BUCKET: &str = "pages";

/// A number that no other object has.
pub(super) const TERMS: [&str; 1] = ["X-Riak-Index-number_int: {key}"];

/// Keys of a page.
const PAGE: u64 = 1_000;

/// A bucket of as many objects.
const SCANNED: &str = "scanned";

/// What was aimed at: this many times the native scan.
const OF_SCAN: f64 = 2.0;

/// Pages, and scans, of a turn.
const REQUESTS: u64 = 20;

pub(super) async fn run(
    plan: &Plan,
    tool: &Tool,
    nodes: &Nodes,
    objects: u64,
) -> Outcome<Vec<Row>> {
    tool.fill(&nodes.urls(), SCANNED, 1, PAGE).await?;
    let host = nodes.client()?.address().to_owned();
    let query = count_query(SCANNED);
    let (mut pages, mut scans) = (Vec::new(), Vec::new());
    for _ in 0..plan.turns {
        pages.push(turn(nodes, || follow(&host, objects)).await?);
        scans.push(turn(nodes, || scan(nodes, &query)).await?);
    }
    let middle = |of: &[Took], figure: fn(&Took) -> f64| median(of.iter().map(figure));
    let millis = |of: &[Took]| middle(of, |took| took.millis);
    let cpu = |of: &[Took]| middle(of, |took| took.cpu_millis);
    let what = format!("a page of {} of {} keys of an index", whole(PAGE), whole(objects));
    let base = "native scan of as many objects";
    Ok(vec![
        Row::new(GROUP, format!("{what}, with a continuation"), millis(&pages), "ms")
            .against(base, millis(&scans))
            .target(format!("≤ {OF_SCAN} × it"), millis(&pages) <= OF_SCAN * millis(&scans)),
        Row::new(GROUP, format!("{what}, processor time"), cpu(&pages), "ms")
            .against(base, cpu(&scans))
            .target(format!("≤ {OF_SCAN} × it"), cpu(&pages) <= OF_SCAN * cpu(&scans))
            .clock(format!("{} µs/key", digits(cpu(&pages) * 1e3 / PAGE as f64))),
    ])
}

/// What one request took, of several.
struct Took {
    millis: f64,
    cpu_millis: f64,
}

async fn turn<Work: Future<Output = Outcome>>(
    nodes: &Nodes,
    work: impl FnOnce() -> Work,
) -> Outcome<Took> {
    let before = cpu_seconds(nodes).await?;
    let began = Instant::now();
    work().await?;
    let millis = began.elapsed().as_secs_f64() * 1e3 / REQUESTS as f64;
    let cpu = cpu_seconds(nodes).await? - before;
    Ok(Took { millis, cpu_millis: cpu * 1e3 / REQUESTS as f64 })
}

/// Reads page after page from the middle of the index, each going on behind the one before.
async fn follow(host: &str, objects: u64) -> Outcome {
    let middle = objects / 2;
    let path = format!("/buckets/{BUCKET}/index/number_int/{middle}/{objects}?max_results={PAGE}");
    let mut continuation = String::new();
    for number in 0..REQUESTS {
        let answer = http::get(host, &format!("{path}{continuation}")).await?;
        let text = String::from_utf8_lossy(&answer.kept);
        let (_, body) = text.split_once("\r\n\r\n").ok_or("an answer without a body")?;
        let page: Value = serde_json::from_str(body)?;
        let keys = page.get("keys").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let expected = (middle - (number * PAGE).min(middle)).min(PAGE);
        if keys != expected {
            return Err(format!("page {number} has {keys} keys, not {expected}").into());
        }
        match page.get("continuation").and_then(Value::as_str) {
            Some(next) => continuation = format!("&continuation={}", next.replace('+', "%2B")),
            None => continuation.clear(),
        }
    }
    Ok(())
}

async fn scan(nodes: &Nodes, query: &str) -> Outcome {
    for _ in 0..REQUESTS {
        crate::groups::queries::check(nodes.client()?, query, &format!("[{PAGE}]")).await?;
    }
    Ok(())
}
