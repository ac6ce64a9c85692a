//! The word count as Riak's documentation prints it, over a book: a map that gives an object for each
//! word, a reduce that merges them, and not a word about batches.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::data;
use crate::nodes::Nodes;
use crate::outcome::{Outcome, say};
use crate::plan::Plan;
use crate::report::Row;
use crate::table::digits;
use crate::tool::median;

const GROUP: &str = "javascript";

const BUCKET: &str = "book";

/// The bucket of its first [`FEW`] texts.
const FIRST: &str = "first";

/// As many texts as the Bible of King James has groups of ten verses.
const TEXTS: u64 = 3_111;

/// Of these so many for what would take too long with all.
const FEW: u64 = 800;

/// What was aimed at: times the best batch that a user could have stated, …
const OF_BEST: f64 = 1.5;

/// … times less than with Riak's batches, …
const OF_RIAK: f64 = 20.0;

/// … and times less than the view of PouchDB.
const OF_POUCHDB: f64 = 5.0;

const MAP: &str = "function(v) { var words = v.values[0].data.toLowerCase().match(/\\w*/g), found = []; \
    for (var i in words) { if (words[i] != '') { var one = {}; one[words[i]] = 1; found.push(one); } } \
    return found; }";

const REDUCE: &str = "function(values) { var total = {}; \
    for (var i in values) { for (var word in values[i]) { \
    if (word in total) total[word] += values[i][word]; else total[word] = values[i][word]; } } \
    return [total]; }";

/// Makes the view of PouchDB over the texts of standard input and prints the seconds that it took.
const POUCHDB: &str = include_str!("pouchdb.js");

/// The packages that it needs.
const PACKAGES: [&str; 2] = ["pouchdb@9.0.0", "pouchdb-adapter-memory@9.0.0"];

pub(super) async fn run(plan: &Plan, nodes: &Nodes) -> Outcome<Vec<Row>> {
    let client = nodes.client()?;
    for (bucket, texts) in [(BUCKET, TEXTS), (FIRST, FEW)] {
        client.set_bucket_props(&data::place(bucket), r#"{"props":{"n_val":1}}"#).await?;
        data::store(client, bucket, "text/plain", texts, data::page).await?;
    }
    let turns = plan.turns.min(3);
    let (mut all, mut few) = (Vec::new(), Vec::new());
    let mut best: Option<(u32, f64)> = None;
    for _ in 0..turns {
        all.push(seconds(nodes, BUCKET, None).await?);
        few.push(seconds(nodes, FIRST, None).await?);
    }
    // In the same breath as the other: what is compared must see the same machine.
    // Smaller ones take minutes.
    for batch in [1_000, 10_000, 100_000] {
        let took = seconds(nodes, BUCKET, Some(batch)).await?;
        if best.is_none_or(|(_, best)| took < best) {
            best = Some((batch, took));
        }
    }
    let (batch, best) = best.ok_or("no batch")?;
    let (all, few) = (median(all.into_iter()), median(few.into_iter()));
    let what =
        |texts: u64| format!("Riak's documented word count of {} texts", digits(texts as f64));
    let mut rows = vec![
        Row::new(GROUP, what(TEXTS), all, "s")
            .against(&format!("best batch, {}", digits(f64::from(batch))), best)
            .target(format!("≤ {OF_BEST} × it"), all <= OF_BEST * best),
    ];
    if plan.turns == 1 {
        // What it is compared with takes a minute and a half.
        return Ok(rows);
    }
    let riak = seconds(nodes, FIRST, Some(20)).await?;
    rows.push(
        Row::new(GROUP, what(FEW), few, "s")
            .against("batches of 20", riak)
            .target(format!("≥ {OF_RIAK} × faster"), few * OF_RIAK <= riak)
            .clock(format!("{} × faster", digits(riak / few))),
    );
    match pouchdb().await {
        Ok(pouchdb) => rows.push(
            Row::new(GROUP, format!("{}, beside PouchDB", what(FEW)), few, "s")
                .against("its view, emit(word, 1), _sum", pouchdb)
                .target(format!("≥ {OF_POUCHDB} × faster"), few * OF_POUCHDB <= pouchdb)
                .clock(format!("{} × faster", digits(pouchdb / few))),
        ),
        Err(error) => say(format!("SKIPPED: PouchDB: {error}")),
    }
    Ok(rows)
}

/// How long the query takes, with batches of so many inputs if it says so.
async fn seconds(nodes: &Nodes, bucket: &str, batch: Option<u32>) -> Outcome<f64> {
    let [map, reduce] = [MAP, REDUCE].map(|source| serde_json::Value::from(source).to_string());
    let arg = batch.map(|batch| format!(r#","arg":{{"reduce_phase_batch_size":{batch}}}"#));
    let arg = arg.unwrap_or_default();
    let query = format!(
        r#"{{"inputs":"{bucket}","timeout":600000,"query":[{{"map":{{"language":"javascript","source":{map}}}}},{{"reduce":{{"language":"javascript","source":{reduce}{arg}}}}}]}}"#
    );
    let client = nodes.client()?;
    let began = Instant::now();
    let answer: serde_json::Value = serde_json::from_slice(&client.mapred(query).await?)?;
    let took = began.elapsed().as_secs_f64();
    let counts = answer.get(0).and_then(serde_json::Value::as_object).ok_or("no counts")?;
    let counted: u64 = counts.values().filter_map(serde_json::Value::as_u64).sum();
    let texts = if bucket == FIRST { FEW } else { TEXTS };
    if counted != texts * data::PAGE_WORDS {
        return Err(format!("{counted} words of {texts} texts were counted").into());
    }
    Ok(took)
}

/// The seconds that PouchDB takes for the same counts. What it needs is installed in a temporary
/// folder.
async fn pouchdb() -> Outcome<f64> {
    /// For the installation, and for the view.
    const PATIENCE: Duration = Duration::from_secs(240);
    let folder = tempfile::tempdir()?;
    let mut install = Command::new("npm");
    install.args(["install", "--silent", "--no-audit", "--no-fund"]).args(PACKAGES);
    run_in(folder.path(), install, PATIENCE).await?;
    let script = folder.path().join("pouchdb.js");
    std::fs::write(&script, POUCHDB)?;
    let texts: Vec<String> = (0..FEW).map(data::page).collect();
    std::fs::write(folder.path().join("texts.json"), serde_json::to_string(&texts)?)?;
    let mut node = Command::new("node");
    node.arg(script);
    let output = run_in(folder.path(), node, PATIENCE).await?;
    let (took, counted) = output.trim().split_once(' ').ok_or("it says nothing")?;
    if counted.parse::<u64>()? != FEW * data::PAGE_WORDS {
        return Err(format!("it counted {counted} words").into());
    }
    Ok(took.parse()?)
}

async fn run_in(folder: &Path, mut command: Command, patience: Duration) -> Outcome<String> {
    let command = command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(patience, command.output()).await??;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(words.lines().next().unwrap_or("it failed").to_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
