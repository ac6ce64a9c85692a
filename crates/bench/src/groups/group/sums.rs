//! A field of JSON documents that is added up by another one.

use crate::data;
use crate::nodes::Nodes;
use crate::outcome::{Outcome, say};
use crate::plan::Plan;
use crate::report::Row;
use crate::table::{digits, whole};
use crate::tool::{Tool, median};

use super::measure::{Turns, in_turns, memory_row, start};
use super::queries::{GROUP, OF_MAP, OF_ONE_NODE, map_alone, sum_by_key, sum_of};
use super::spark::{Spark, Task};

const BUCKET: &str = "documents";

/// Fields, with how many different values they have at most.
const FIELDS: [(&str, u64); 3] = [("k10", 10), ("k1000", 1_000), ("k1000000", 1_000_000)];

/// What was aimed at: times what it takes with much memory for pairs.
const OF_MUCH_MEMORY: f64 = 2.0;

/// Memory for pairs, little and much.
const LITTLE: &str = "64 MB";
const MUCH: &str = "1 GB";

/// The setting.
const SHUFFLE_MEMORY: &str = "MAPRING__MAPRED__SHUFFLE_MEMORY";

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let mut of_one = Vec::new();
    let mut spark = match Spark::start().await {
        Ok(spark) => {
            let file = spark.file(BUCKET, plan.group.documents, data::keyed)?;
            Some((spark, file))
        }
        Err(error) => {
            say(format!("SKIPPED: PySpark: {error}"));
            None
        }
    };
    for (count, name) in [(1, "one node"), (3, "3 nodes")] {
        let mut nodes = start(tool, count).await?;
        store(plan, &nodes).await?;
        let mut most = 0.0_f64;
        for (number, (field, keys)) in FIELDS.into_iter().enumerate() {
            let what = what(plan, keys, name);
            let (inputs, map) = (format!("\"{BUCKET}\""), map(field));
            let queries = [
                sum_by_key(&inputs, &map),
                map_alone(&inputs, &map),
                sum_of(&inputs, &named(field)),
            ];
            let mut turns = queries.each_ref().map(|_| Turns::default());
            let mut theirs = Vec::new();
            for _ in 0..plan.turns {
                for (turns, query) in turns.iter_mut().zip(&queries) {
                    turns.ask(&nodes, query).await?;
                }
                if let (1, Some((spark, file))) = (count, &mut spark) {
                    let did = spark.run(file, Task::Sum(field)).await?;
                    check(plan, keys, "PySpark", (did.sum, did.keys))?;
                    theirs.push(did.seconds);
                }
            }
            let [grouped, alone, native] = &turns;
            for turns in [grouped, native] {
                check(plan, keys, "mapring", turns.pairs()?)?;
                most = turns.memory().max(most);
            }
            rows.push(beside_map(plan, &what, grouped, alone));
            if !theirs.is_empty() {
                let theirs = median(theirs.into_iter());
                rows.push(beside_spark(plan, &what, [native, grouped], theirs));
            }
            match of_one.get(number) {
                Some(one) => rows.push(more_nodes(plan, &what, grouped, *one)),
                None => of_one.push(grouped.cpu()),
            }
        }
        rows.push(memory_row(&format!("these sums, {name}"), most));
        if count == 1 {
            rows.extend(memories(plan, &mut nodes).await?);
        }
        nodes.stop().await?;
    }
    Ok(rows)
}

async fn store(plan: &Plan, nodes: &Nodes) -> Outcome {
    let client = nodes.client()?;
    client.set_bucket_props(&data::place(BUCKET), r#"{"props":{"n_val":1}}"#).await?;
    data::store(client, BUCKET, "application/json", plan.group.documents, data::keyed).await
}

/// Takes the field and the number out of a document.
fn map(field: &str) -> String {
    format!("function(v) {{ var o = JSON.parse(v.values[0].data); emit(o.{field}, o.n); }}")
}

/// The same without a worker.
fn named(field: &str) -> String {
    format!(r#""name":"Job.identity","arg":{{"key":"{field}","value":"n"}}"#)
}

fn what(plan: &Plan, keys: u64, name: &str) -> String {
    let documents = plan.group.documents;
    format!(
        "sum by field of {} JSON documents, {} keys, {name}",
        whole(documents),
        whole(keys.min(documents))
    )
}

/// That all numbers are in a sum, and all keys there.
fn check(plan: &Plan, keys: u64, whose: &str, found: (u64, u64)) -> Outcome {
    let documents = plan.group.documents;
    let expected = (documents * documents.saturating_sub(1) / 2, keys.min(documents));
    if found == expected {
        return Ok(());
    }
    Err(format!("{whose} has sum and keys {found:?}, not {expected:?}").into())
}

fn beside_map(plan: &Plan, what: &str, grouped: &Turns, alone: &Turns) -> Row {
    Row::new(GROUP, format!("{what}, beside its map"), grouped.seconds(), "s")
        .against("map alone", alone.seconds())
        .target(format!("≤ {OF_MAP} × it"), grouped.seconds() <= OF_MAP * alone.seconds())
        .clock(format!(
            "{} (map alone: {})",
            grouped.clock(plan.group.documents, "document"),
            alone.clock(plan.group.documents, "document")
        ))
}

/// Both with a map that needs no worker and with one in JavaScript.
fn beside_spark(plan: &Plan, what: &str, [native, scripted]: [&Turns; 2], theirs: f64) -> Row {
    let rate = |seconds: f64| digits(plan.group.documents as f64 / seconds);
    Row::new(GROUP, format!("{what}, Job.identity and Job.sum"), native.seconds(), "s")
        .against("PySpark", theirs)
        .target("faster", native.seconds() < theirs)
        .clock(format!(
            "{} documents/s, with a map in JavaScript {}, PySpark {}",
            rate(native.seconds()),
            rate(scripted.seconds()),
            rate(theirs)
        ))
}

fn more_nodes(plan: &Plan, what: &str, grouped: &Turns, one: f64) -> Row {
    let each = |cpu: f64| cpu / plan.group.documents as f64 * 1e6;
    Row::new(GROUP, format!("{what}, beside one"), each(grouped.cpu()), "µs/document")
        .against("one node", each(one))
        .target(format!("≤ {OF_ONE_NODE} × it"), grouped.cpu() <= OF_ONE_NODE * one)
}

/// Little memory for pairs against much, on one node, whose next starts have one or the other.
async fn memories(plan: &Plan, nodes: &mut Nodes) -> Outcome<Vec<Row>> {
    let Some((field, keys)) = FIELDS.last().copied() else { return Ok(Vec::new()) };
    let query = sum_by_key(&format!("\"{BUCKET}\""), &map(field));
    let mut all = [(LITTLE, Turns::default()), (MUCH, Turns::default())];
    for _ in 0..plan.turns {
        for (memory, turns) in &mut all {
            let node = nodes.first()?;
            node.stop().await?;
            node.settings.retain(|(name, _)| *name != SHUFFLE_MEMORY);
            node.settings.push((SHUFFLE_MEMORY, (*memory).to_owned()));
            node.start().await?;
            // The first query after a start meets cold caches.
            in_turns(nodes, 1, &[&query]).await?;
            turns.ask(nodes, &query).await?;
        }
    }
    let [(_, little), (_, much)] = &all;
    check(plan, keys, "mapring", little.pairs()?)?;
    let what = what(plan, keys, &format!("one node with {LITTLE} for pairs"));
    Ok(vec![
        Row::new(GROUP, what, little.seconds(), "s")
            .against(&format!("with {MUCH}"), much.seconds())
            .target(
                format!("≤ {OF_MUCH_MEMORY} × it"),
                little.seconds() <= OF_MUCH_MEMORY * much.seconds(),
            )
            .clock(little.clock(plan.group.documents, "document")),
        memory_row(&format!("with {LITTLE} for pairs"), little.memory()),
    ])
}
