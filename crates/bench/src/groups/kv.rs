//! Reads and writes, against an HTTP server that does nothing else.

use crate::bare::Bare;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::{CONNECTIONS, KEYS, Plan, VALUE_BYTES};
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Runs, Tool};

/// What was aimed at, as a share of the bare server's speed at one replica.
const GET_RATIO: f64 = 0.6;
const PUT_RATIO: f64 = 0.3;

/// What was aimed at with three replicas on one node: ten and four times what Riak does there.
const GET_RATE: f64 = 45_000.0;
const PUT_RATE: f64 = 17_200.0;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let bare = Bare::start(VALUE_BYTES).await?;
    let mut rows = Vec::new();
    for count in [1, 3] {
        let nodes = Nodes::start(tool, count).await?;
        for n_val in [1, 3] {
            let bucket = format!("kv{n_val}");
            tool.fill(&nodes.urls(), &bucket, n_val, KEYS).await?;
            for op in ["get", "put"] {
                let pair = Pair { tool, plan, nodes: &nodes, bare: &bare, op, bucket: &bucket };
                rows.push(pair.row(count, n_val).await?);
            }
        }
        nodes.stop().await?;
    }
    Ok(rows)
}

struct Pair<'a> {
    tool: &'a Tool,
    plan: &'a Plan,
    nodes: &'a Nodes,
    bare: &'a Bare,
    op: &'a str,
    bucket: &'a str,
}

impl Pair<'_> {
    async fn row(&self, count: usize, n_val: u64) -> Outcome<Row> {
        let (mut ours, mut bares) = (Runs::default(), Runs::default());
        for _ in 0..self.plan.turns {
            let urls = self.nodes.urls();
            ours.push(self.tool.kv(self.plan, &urls, self.op, self.bucket).await?);
            bares.push(self.tool.kv(self.plan, &self.bare.url, self.op, self.bucket).await?);
        }
        let nodes = if count == 1 { "one node".to_owned() } else { format!("{count} nodes") };
        let what = format!(
            "{} {VALUE_BYTES} bytes, n_val {n_val}, {nodes}, {CONNECTIONS} connections",
            self.op.to_uppercase()
        );
        let cpu = |runs: &Runs| runs.median("/server_cpu_us_per_request");
        let rate = ours.median("/per_second");
        let millis = |name: &str| digits(ours.median(&format!("/latency_us/{name}")) / 1e3);
        let mut clock = format!(
            "{}/s (axum {}/s), p50 {} ms, p99 {} ms, p99.9 {} ms",
            digits(rate),
            digits(bares.median("/per_second")),
            millis("p50"),
            millis("p99"),
            millis("p99.9")
        );
        if ours.errors() > 0.0 {
            clock.push_str(&format!(", **{} errors**", ours.errors()));
        }
        let row = Row::new("kv", what, cpu(&ours), "µs/request").against("axum", cpu(&bares));
        let ratio = row.ratio().unwrap_or(f64::NAN);
        let (least_ratio, least_rate) = match self.op {
            "get" => (GET_RATIO, GET_RATE),
            _ => (PUT_RATIO, PUT_RATE),
        };
        let row = match (n_val, count) {
            (1, _) => row.target(format!("ratio ≥ {least_ratio}"), ratio >= least_ratio),
            (_, 1) => row.target(format!("≥ {}/s", digits(least_rate)), rate >= least_rate),
            _ => row,
        };
        Ok(row.clock(clock))
    }
}
