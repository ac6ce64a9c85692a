//! Reduces by key: words that are counted, fields that are added up, more pairs than memory holds.

mod measure;
mod pairs;
mod queries;
mod redis;
mod spark;
mod sums;
mod words;

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::tool::Tool;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let plan = plan.brief();
    let mut rows = words::run(&plan, tool).await?;
    rows.extend(sums::run(&plan, tool).await?);
    rows.extend(pairs::run(&plan, tool).await?);
    Ok(rows)
}
