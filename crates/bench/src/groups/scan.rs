//! A scan with native functions, against the bare fold of the engine over the same files.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use mapring_engine::{Engine, ScanDepth, ScanRange, SledConfig, SledEngine};
use mapring_types::BucketId;

use crate::machine;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::{Plan, VALUE_BYTES};
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Run, Runs, Tool, median};

use super::queries::{check, count_query, seconds_row};

const GROUP: &str = "scan";
const BUCKET: &str = "scan";

/// What was aimed at: a share of the fold's speed, …
const RATIO: f64 = 0.5;
/// … microseconds of the coordinator an object, …
const COORDINATOR: f64 = 1.0;
/// … and a tenth of the time that Riak takes to map and count so many objects.
const RIAK: (u64, f64) = (20_000, 135.0);

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut rows = vec![one_node(plan, tool).await?];
    rows.push(coordinator(plan, tool).await?);
    rows.push(as_riak(plan, tool).await?);
    Ok(rows)
}

async fn one_node(plan: &Plan, tool: &Tool) -> Outcome<Row> {
    let mut nodes = Nodes::start(tool, 1).await?;
    tool.fill(&nodes.urls(), BUCKET, 1, plan.objects).await?;
    // Files of a running node are not whole.
    let copy = nodes.directory().join("copy");
    let node = nodes.first()?;
    node.stop().await?;
    copy_all(&node.store(), &copy)?;
    node.start().await?;
    let engine = SledEngine::open(&copy, SledConfig::default())?;
    let query = count_query(BUCKET);
    check(nodes.client()?, &query, &format!("[{}]", plan.objects)).await?;
    let (mut ours, mut folds) = (Runs::default(), Vec::new());
    for _ in 0..plan.turns {
        ours.push(tool.query(plan, &nodes.urls(), &query, plan.objects, &[]).await?);
        folds.push(fold_again(&engine, plan)?);
    }
    nodes.stop().await?;
    let fold = |of: fn(&Fold) -> f64| median(folds.iter().map(of));
    let what = format!(
        "{} objects of {VALUE_BYTES} bytes, n_val 1, one node",
        digits(plan.objects as f64)
    );
    let row = Row::new(GROUP, what, ours.median("/server_cpu_us_per_object"), "µs/object")
        .against("fold", fold(|fold| fold.cpu));
    let ratio = row.ratio().unwrap_or(f64::NAN);
    let rate = ours.median("/per_second") * plan.objects as f64;
    Ok(row.target(format!("ratio ≥ {RATIO}"), ratio >= RATIO).clock(format!(
        "{} objects/s on all cores (fold {} on one)",
        digits(rate),
        digits(fold(|fold| fold.rate))
    )))
}

/// What a fold took.
pub(super) struct Fold {
    /// Microseconds of processor time an object.
    pub(super) cpu: f64,
    /// Objects a second.
    pub(super) rate: f64,
}

/// Folds over everything as long as a turn takes.
fn fold_again(engine: &SledEngine, plan: &Plan) -> Outcome<Fold> {
    again(plan, || fold(engine))
}

/// Folds as long as a turn takes; `fold` tells how many objects it looked at.
pub(super) fn again(plan: &Plan, fold: impl Fn() -> Outcome<u64>) -> Outcome<Fold> {
    let (began, cpu) = (Instant::now(), machine::own_cpu_seconds());
    let mut seen = 0;
    while began.elapsed() < plan.duration {
        let objects = fold()?;
        if objects != plan.objects {
            return Err(format!("the fold saw {objects} objects").into());
        }
        seen += objects;
    }
    let cpu = (machine::own_cpu_seconds() - cpu) * 1e6 / seen as f64;
    Ok(Fold { cpu, rate: seen as f64 / began.elapsed().as_secs_f64() })
}

fn fold(engine: &SledEngine) -> Outcome<u64> {
    let mut objects = 0;
    for vnode in engine.vnodes() {
        let bucket = Some(BucketId::untyped(BUCKET));
        // With one replica a vnode holds its own partition alone.
        let range = ScanRange { bucket, ..ScanRange::home(vnode) };
        engine.scan(vnode, &range, ScanDepth::Records, &mut |key, record| {
            std::hint::black_box((key, record));
            objects += 1;
            ControlFlow::Continue(())
        })?;
    }
    Ok(objects)
}

pub(super) fn copy_all(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// What the node that was asked takes more than the others, which only scan.
async fn coordinator(plan: &Plan, tool: &Tool) -> Outcome<Row> {
    let nodes = Nodes::start(tool, 3).await?;
    tool.fill(&nodes.urls(), BUCKET, 1, plan.objects).await?;
    let query = count_query(BUCKET);
    let client = nodes.client()?;
    check(client, &query, &format!("[{}]", plan.objects)).await?;
    let status = client.cluster().await?;
    let share = |address: &str| {
        let member = status.members.iter().find(|member| member.http_address == address);
        member.map_or(f64::NAN, |member| member.share)
    };
    let more = |run: &Run| {
        let servers = run.servers();
        let (asked, others): (Vec<_>, Vec<_>) =
            servers.iter().partition(|(address, _)| address == client.address());
        let sum = |servers: &[&(String, f64)]| -> (f64, f64) {
            let shares = servers.iter().map(|(address, _)| share(address)).sum();
            (servers.iter().map(|(_, micros)| micros).sum(), shares)
        };
        let ((asked, own_share), (others, their_share)) = (sum(&asked), sum(&others));
        (asked - others / their_share * own_share) / plan.objects as f64
    };
    let url = format!("http://{}", client.address());
    let mut runs = Runs::default();
    for _ in 0..plan.turns {
        runs.push(tool.query(plan, &url, &query, plan.objects, &[]).await?);
    }
    let micros = runs.median_of(more);
    nodes.stop().await?;
    let what = "of these on three nodes, the coordinator's time beyond its own scan";
    Ok(Row::new(GROUP, what, micros, "µs/object")
        .target(format!("< {COORDINATOR} µs"), micros < COORDINATOR)
        .clock(format!(
            "all nodes {} µs/object; {} objects/s",
            digits(runs.median("/server_cpu_us_per_object")),
            digits(runs.median("/per_second") * plan.objects as f64)
        )))
}

async fn as_riak(plan: &Plan, tool: &Tool) -> Outcome<Row> {
    let (objects, most) = RIAK;
    let nodes = Nodes::start(tool, 1).await?;
    tool.fill(&nodes.urls(), BUCKET, 3, objects).await?;
    let query = count_query(BUCKET);
    check(nodes.client()?, &query, &format!("[{objects}]")).await?;
    let mut runs = Runs::default();
    for _ in 0..plan.turns {
        runs.push(tool.query(plan, &nodes.urls(), &query, objects, &[]).await?);
    }
    nodes.stop().await?;
    let millis = runs.median("/latency_us/p50") / 1e3;
    let what = format!("{} objects, n_val 3, one node (Riak: 1,350 ms)", digits(objects as f64));
    Ok(seconds_row(GROUP, &what, millis)
        .target(format!("≤ {most} ms"), millis <= most)
        .clock(format!("{} µs/object", digits(runs.median("/server_cpu_us_per_object")))))
}
