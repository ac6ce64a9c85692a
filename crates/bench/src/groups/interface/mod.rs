//! What Riak's clients ask for over HTTP: pages of an index, counters, large bodies, listings.

mod bodies;
mod counters;
mod listings;
mod names;
mod pages;

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::tool::Tool;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut rows = counters::run(plan, tool).await?;
    rows.extend(bodies::run(plan, tool).await?);
    let nodes = crate::nodes::Nodes::start(tool, 1).await?;
    let objects = plan.jobs.objects;
    tool.fill_with(&nodes.urls(), pages::BUCKET, 1, objects, &pages::TERMS).await?;
    rows.extend(pages::run(plan, tool, &nodes, objects).await?);
    rows.push(listings::run(plan, &nodes, objects).await?);
    nodes.stop().await?;
    Ok(rows)
}
