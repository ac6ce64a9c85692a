//! Increments of counters against writes of objects.

use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::{CONNECTIONS, KEYS, Plan, VALUE_BYTES};
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Runs, Tool};

use super::names::GROUP;

const BUCKET: &str = "counted";

/// What was aimed at: a share of the pace of writes.
const OF_PUT: f64 = 0.8;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let nodes = Nodes::start(tool, 1).await?;
    let client = nodes.client()?;
    let place = crate::data::place(BUCKET);
    client.set_bucket_props(&place, r#"{"props":{"allow_mult":true}}"#).await?;
    client.create_bucket_type("counters", r#"{"props":{"datatype":"counter"}}"#).await?;
    client.activate_bucket_type("counters").await?;
    tool.fill(&nodes.urls(), "written", 3, KEYS).await?;
    let typed: &[&str] = &["--type", "counters"];
    let kinds = [("of Riak 1.4", &[][..]), ("the data type", typed)];
    let mut counted = kinds.map(|_| Runs::default());
    let mut written = Runs::default();
    for _ in 0..plan.turns {
        written.push(tool.kv(plan, &nodes.urls(), "put", "written").await?);
        for ((_, flags), runs) in kinds.iter().zip(&mut counted) {
            runs.push(tool.kv_more(plan, &nodes.urls(), "increment", BUCKET, flags).await?);
        }
    }
    nodes.stop().await?;
    let cpu = |runs: &Runs| runs.median("/server_cpu_us_per_request");
    let rows = kinds.iter().zip(&counted).map(|((kind, _), runs)| {
        let what = format!(
            "increments of counters ({kind}), n_val 3, one node, {CONNECTIONS} connections"
        );
        let rate = runs.median("/per_second");
        let puts = written.median("/per_second");
        let errors = match runs.errors() {
            0.0 => String::new(),
            errors => format!(", **{errors} errors**"),
        };
        Row::new(GROUP, what, cpu(runs), "µs/request")
            .against(&format!("PUT {VALUE_BYTES} bytes"), cpu(&written))
            .target(format!("≥ {OF_PUT} × the PUTs/s"), rate >= OF_PUT * puts)
            .clock(format!("{}/s (PUT {}/s){errors}", digits(rate), digits(puts)))
    });
    Ok(rows.collect())
}
