//! Reduces by key: words that are counted, fields that are added up, more pairs than memory holds.

mod measure;
mod pairs;
mod redis;
mod spark;
mod sums;
mod words;

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::tool::Tool;

use super::javascript::quoted;

const GROUP: &str = "group";

/// What was aimed at: times the map phase alone, …
const OF_MAP: f64 = 1.25;

/// … and for three nodes on one machine times the processor time of one.
const OF_ONE_NODE: f64 = 1.3;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let plan = plan.brief();
    let mut rows = words::run(&plan, tool).await?;
    rows.extend(sums::run(&plan, tool).await?);
    rows.extend(pairs::run(&plan, tool).await?);
    Ok(rows)
}

/// A query of pairs that a JavaScript map emits, which are added up by key.
fn sum_by_key(inputs: &str, map: &str) -> String {
    sum_of(inputs, &format!(r#""source":{}"#, quoted(map)))
}

/// The same of pairs that a map with these members gives.
fn sum_of(inputs: &str, map: &str) -> String {
    let sum = r#""language":"javascript","name":"Job.sum""#;
    format!(
        r#"{{"inputs":{inputs},"timeout":600000,"query":[{{"map":{{"language":"javascript",{map}}}}},{{"reduce":{{{sum},"group":true,"combine":{{{sum}}}}}}}]}}"#
    )
}

/// The same map, whose pairs nobody wants.
fn map_alone(inputs: &str, map: &str) -> String {
    format!(
        r#"{{"inputs":{inputs},"timeout":600000,"query":[{{"map":{{"language":"javascript","source":{},"keep":false}}}}]}}"#,
        quoted(map)
    )
}
