//! Riak's own benchmark: the sum of ten thousand objects that are numbers.

use crate::data;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Runs, Tool};

use super::queries::{check, seconds_row, sum_query};

const GROUP: &str = "integers";
const OBJECTS: u64 = 10_000;

/// What was aimed at, in milliseconds.
const MOST: f64 = 50.0;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (count, name) in [(1, "one node"), (3, "3 nodes")] {
        let nodes = Nodes::start(tool, count).await?;
        let client = nodes.client()?;
        let body = |number: u64| number.to_string();
        data::store(client, "integers", "application/json", OBJECTS, body).await?;
        let query = sum_query("integers", r#""name":"Riak.mapValuesJson""#);
        check(client, &query, &format!("[{}]", OBJECTS * (OBJECTS - 1) / 2)).await?;
        let url = format!("http://{}", client.address());
        let mut runs = Runs::default();
        for _ in 0..plan.turns {
            runs.push(tool.query(plan, &url, &query, OBJECTS, &[]).await?);
        }
        nodes.stop().await?;
        let millis = runs.median("/latency_us/p50") / 1e3;
        let what = format!(
            "{} integers, Riak.mapValuesJson, Riak.reduceSum, n_val 3, {name}",
            digits(OBJECTS as f64)
        );
        let row = seconds_row(GROUP, &what, millis)
            .target(format!("< {MOST} ms"), millis < MOST)
            .clock(format!(
                "p99 {} ms; {} µs/object of processor time",
                digits(runs.median("/latency_us/p99") / 1e3),
                digits(runs.median("/server_cpu_us_per_object"))
            ));
        rows.push(row);
    }
    Ok(rows)
}
