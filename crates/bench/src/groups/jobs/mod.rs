//! Jobs: what they cost beside queries, how many there may be, and what is lost with a node.

mod at_once;
mod beside;
mod many;
mod run;
mod takeover;

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::tool::Tool;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut rows = beside::run(plan, tool).await?;
    rows.extend(many::run(plan, tool).await?);
    rows.extend(at_once::run(tool).await?);
    rows.extend(takeover::run(plan, tool).await?);
    Ok(rows)
}
