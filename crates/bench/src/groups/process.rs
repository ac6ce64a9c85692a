//! How much memory a node takes, and how long it takes to start.

use std::time::Duration;

use mapring_client::Client;
use tokio::time::{Instant, sleep};

use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::{Plan, VALUE_BYTES};
use crate::report::Row;
use crate::table::digits;
use crate::tool::Tool;

use super::queries::{seconds_row, sum_query};

const GROUP: &str = "process";

/// What was aimed at for an idle node with its workers, in megabytes.
const IDLE: f64 = 80.0;

/// A node is idle after so long without a request.
const REST: Duration = Duration::from_secs(2);

/// How often memory is looked at while a query runs.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut nodes = Nodes::start(tool, 1).await?;
    let first = nodes.began;
    sleep(REST).await;
    let idle = Memory::of(nodes.client()?).await?;
    let stored = format!("{} objects of {VALUE_BYTES} bytes", digits(plan.objects as f64));
    tool.fill(&nodes.urls(), "process", 1, plan.objects).await?;
    let loaded = Memory::of(nodes.client()?).await?;
    let most = under_query(plan, nodes.client()?).await?;
    let mut rows = vec![
        idle.row("memory of an idle node with its workers")
            .target(format!("< {IDLE} MB"), idle.sum() < IDLE),
        loaded.row(&format!("memory when it has just stored {stored}")),
        most.row("the most memory while JavaScript maps all of them"),
    ];
    let node = nodes.first()?;
    node.stop().await?;
    let again = node.start().await?;
    nodes.stop().await?;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    rows.push(
        seconds_row(GROUP, "first start of a node, which begins a cluster", millis(first))
            .clock("1,500 ms of it it listens for other nodes"),
    );
    rows.push(seconds_row(GROUP, &format!("start of a node with {stored}"), millis(again)));
    Ok(rows)
}

/// The most memory that is seen while a query runs.
async fn under_query(plan: &Plan, client: &Client) -> Outcome<Memory> {
    let query =
        sum_query("process", r#""source":"function(v) { return [v.values[0].data.length]; }""#);
    let mut most = Memory::default();
    let deadline = Instant::now() + 3 * plan.duration;
    while Instant::now() < deadline {
        let answer = client.mapred(query.clone());
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                answered = &mut answer => {
                    answered?;
                    break;
                }
                () = sleep(LOOK_EVERY) => {
                    let now = Memory::of(client).await?;
                    if now.sum() > most.sum() {
                        most = now;
                    }
                }
            }
        }
    }
    Ok(most)
}

/// In megabytes of 1,000,000 bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    node: f64,
    workers: f64,
}

impl Memory {
    async fn of(client: &Client) -> Outcome<Self> {
        let metrics = client.metrics().await?;
        let megabytes = |name: &str| -> Outcome<f64> {
            let mut lines = metrics.lines();
            let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let bytes: f64 = found.ok_or_else(|| format!("no {name}"))?.parse()?;
            Ok(bytes / 1e6)
        };
        Ok(Self {
            node: megabytes("process_resident_memory_bytes")?,
            workers: megabytes("mapring_script_resident_bytes")?,
        })
    }

    fn sum(self) -> f64 {
        self.node + self.workers
    }

    fn row(self, what: &str) -> Row {
        let (node, workers) = (digits(self.node), digits(self.workers));
        Row::new(GROUP, what, self.sum(), "MB")
            .clock(format!("node {node} MB, workers {workers} MB"))
    }
}
