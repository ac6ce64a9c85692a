//! Whether an object costs as much among many as among few.

use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::{Plan, VALUE_BYTES};
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Runs, Tool};

use super::queries::{check, count_query, sum_query};

const GROUP: &str = "flat";

/// More than this times the cost among the fewest is not flat.
const FLAT: f64 = 1.25;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let nodes = Nodes::start(tool, 1).await?;
    let (mut native, mut scripted) = (Vec::new(), Vec::new());
    for objects in &plan.flat {
        let bucket = format!("flat{objects}");
        let filled = tool.fill(&nodes.urls(), &bucket, 1, *objects).await?;
        let rate = format!("stored at {}/s", digits(filled.number("/per_second")));
        let count = count_query(&bucket);
        check(nodes.client()?, &count, &format!("[{objects}]")).await?;
        native.push(row(plan, tool, &nodes, "native count", &count, *objects, &native).await?);
        let map = r#""source":"function(v) { return [v.values[0].data.length]; }""#;
        let sum = sum_query(&bucket, map);
        check(nodes.client()?, &sum, &format!("[{}]", objects * VALUE_BYTES)).await?;
        let what = "JavaScript length and sum";
        scripted.push(row(plan, tool, &nodes, what, &sum, *objects, &scripted).await?);
        if let Some(last) = native.last_mut() {
            last.clock.push_str(&format!("; {rate}"));
        }
    }
    nodes.stop().await?;
    native.append(&mut scripted);
    Ok(native)
}

async fn row(
    plan: &Plan,
    tool: &Tool,
    nodes: &Nodes,
    what: &str,
    query: &str,
    objects: u64,
    before: &[Row],
) -> Outcome<Row> {
    let mut runs = Runs::default();
    for _ in 0..plan.turns.min(3) {
        runs.push(tool.query(plan, &nodes.urls(), query, objects, &[]).await?);
    }
    let figure = runs.median("/server_cpu_us_per_object");
    let what = format!("{what}, {} objects, n_val 1, one node", digits(objects as f64));
    let rate = runs.median("/per_second") * objects as f64;
    let row =
        Row::new(GROUP, what, figure, "µs/object").clock(format!("{} objects/s", digits(rate)));
    Ok(match before.first() {
        Some(few) => {
            let times = figure / few.figure;
            row.target(format!("≤ {FLAT} × {}", digits(few.figure)), times <= FLAT)
        }
        None => row,
    })
}
