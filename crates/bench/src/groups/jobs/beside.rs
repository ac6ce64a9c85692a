//! A job beside the same query, and a small query beside a job.

use tokio::time::Instant;

use crate::data;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::{Plan, VALUE_BYTES};
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Runs, Tool, median};
use crate::usage::cpu_seconds;

use super::run::{GROUP, endless, running, start, wait};
use crate::groups::queries::sum_query;

const BUCKET: &str = "documents";

/// What was aimed at: times what the same query takes without a job, …
const OF_QUERY: f64 = 1.15;

/// … and times what a small query takes while none runs.
const OF_ALONE: f64 = 1.3;

/// A small query is asked for so many times as long as others: its slowest hundredth counts.
const LONGER: u32 = 4;

/// Inputs of a small query.
const SMALL: u64 = 10;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let nodes = Nodes::start(tool, 1).await?;
    let client = nodes.client()?;
    let props = r#"{"props":{"n_val":1}}"#;
    client.set_bucket_props(&data::place(BUCKET), props).await?;
    data::store(client, BUCKET, "application/json", plan.jobs.objects, data::document).await?;
    let mut rows = as_a_job(plan, &nodes).await?;
    rows.push(small_query(plan, tool, &nodes).await?);
    nodes.stop().await?;
    Ok(rows)
}

/// What something took, by the clock and in processor time of the servers.
#[derive(Default)]
struct Turns {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
}

impl Turns {
    async fn turn(&mut self, nodes: &Nodes, work: impl Future<Output = Outcome>) -> Outcome {
        let (before, began) = (cpu_seconds(nodes).await?, Instant::now());
        work.await?;
        self.seconds.push(began.elapsed().as_secs_f64());
        self.cpu.push(cpu_seconds(nodes).await? - before);
        Ok(())
    }

    fn seconds(&self) -> f64 {
        median(self.seconds.iter().copied())
    }

    fn cpu(&self) -> f64 {
        median(self.cpu.iter().copied())
    }
}

async fn as_a_job(plan: &Plan, nodes: &Nodes) -> Outcome<Vec<Row>> {
    let map = r#""source":"function(v) { return [JSON.parse(v.values[0].data).n]; }""#;
    let query = sum_query(BUCKET, map);
    let document = query.replacen(r#""timeout":600000,"#, "", 1);
    let client = nodes.client()?;
    let objects = plan.jobs.objects;
    let expected = format!("[{}]", objects * objects.saturating_sub(1) / 2);
    let (mut jobs, mut queries) = (Turns::default(), Turns::default());
    for _ in 0..plan.turns {
        let ask = async {
            let answer = client.mapred(query.clone()).await?;
            is_expected(&String::from_utf8_lossy(&answer), &expected)
        };
        queries.turn(nodes, ask).await?;
        let mut id = String::new();
        let job = async {
            id = start(client, &document).await?;
            wait(client, &id).await
        };
        jobs.turn(nodes, job).await?;
        let mut results = client.job_results(&id).await?;
        while let Some(part) = results.next().await? {
            let values: Vec<&str> = part.data.iter().map(|value| value.get()).collect();
            is_expected(&format!("[{}]", values.join(",")), &expected)?;
        }
        client.remove_job(&id, false).await?;
    }
    let what = format!("one field of {} JSON documents and the sum", digits(objects as f64));
    let each = |cpu: f64| cpu / objects as f64 * 1e6;
    Ok(vec![
        Row::new(GROUP, format!("{what}, one node"), jobs.seconds(), "s")
            .against("/mapred", queries.seconds())
            .target(format!("≤ {OF_QUERY} × it"), jobs.seconds() <= OF_QUERY * queries.seconds())
            .clock(format!("{} objects/s", digits(objects as f64 / jobs.seconds()))),
        Row::new(GROUP, "the same, processor time of the servers", each(jobs.cpu()), "µs/object")
            .against("/mapred", each(queries.cpu()))
            .target(format!("≤ {OF_QUERY} × it"), jobs.cpu() <= OF_QUERY * queries.cpu()),
    ])
}

fn is_expected(found: &str, expected: &str) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(format!("the sum is {found}, not {expected}").into())
}

/// A small query of somebody who waits for it, alone and while a job keeps all workers busy.
async fn small_query(plan: &Plan, tool: &Tool, nodes: &Nodes) -> Outcome<Row> {
    let client = nodes.client()?;
    let inputs: Vec<String> =
        (0..SMALL).map(|number| format!("[\"{BUCKET}\",\"{}\"]", data::key(number))).collect();
    let map = r#"{"map":{"language":"javascript","name":"Riak.mapValuesJson"}}"#;
    let query = format!(r#"{{"inputs":[{}],"query":[{map}]}}"#, inputs.join(","));
    let plan = Plan { duration: plan.duration * LONGER, ..plan.clone() };
    let (mut alone, mut beside) = (Runs::default(), Runs::default());
    for _ in 0..plan.turns {
        alone.push(tool.query(&plan, &nodes.urls(), &query, SMALL, &[]).await?);
        let id = start(client, &endless("")).await?;
        running(client, &id).await?;
        beside.push(tool.query(&plan, &nodes.urls(), &query, SMALL, &[]).await?);
        client.remove_job(&id, true).await?;
    }
    let failed = alone.errors() + beside.errors();
    if failed > 0.0 {
        return Err(format!("{failed} small queries have failed").into());
    }
    let millis = |runs: &Runs, which: &str| runs.median(&format!("/latency_us/{which}")) / 1e3;
    let (with, without) = (millis(&beside, "p99"), millis(&alone, "p99"));
    let what = format!(
        "p99 of a query of {SMALL} keys of objects of {VALUE_BYTES} bytes while a job keeps all \
         workers busy, one node"
    );
    Ok(Row::new(GROUP, what, with, "ms")
        .against("without a job", without)
        .target(format!("≤ {OF_ALONE} × it"), with <= OF_ALONE * without)
        .clock(format!(
            "p50 {} ms (without a job {} ms)",
            digits(millis(&beside, "p50")),
            digits(millis(&alone, "p50"))
        )))
}
