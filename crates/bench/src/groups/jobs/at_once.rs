//! The memory of a node with many jobs at once.

use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::report::Row;
use crate::tool::Tool;
use crate::usage::{forget_peaks, peak};

use super::run::{GROUP, none_active, start};

/// Jobs at once.
const JOBS: usize = 50;

/// What each of them gives is kept: some hundred bytes for each of four thousand inputs.
const DOCUMENT: &str = r#"{"inputs":{"range":{"start":0,"end":4000}},"query":[{"map":{"language":"javascript","source":"function(v) { return [v.key + 'z'.repeat(200)]; }"}}]}"#;

pub(super) async fn run(tool: &Tool) -> Outcome<Vec<Row>> {
    let nodes = Nodes::start(tool, 1).await?;
    let one = of_jobs(&nodes, 1).await?;
    let all = of_jobs(&nodes, JOBS).await?;
    nodes.stop().await?;
    let what = format!("the most memory of a node with its workers: {JOBS} jobs at once");
    Ok(vec![Row::new(GROUP, what, all, "MB").against("one job", one)])
}

async fn of_jobs(nodes: &Nodes, count: usize) -> Outcome<f64> {
    forget_peaks(nodes);
    for _ in 0..count {
        start(nodes.client()?, DOCUMENT).await?;
    }
    none_active(nodes.client()?).await?;
    Ok(peak(nodes))
}
