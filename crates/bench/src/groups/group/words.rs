//! Words that are counted, a pair for each that comes.

use crate::data;
use crate::nodes::Nodes;
use crate::outcome::{Outcome, say};
use crate::plan::Plan;
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Tool, median};

use super::measure::{Turns, in_turns, memory_row, start};
use super::queries::{GROUP, OF_MAP, OF_ONE_NODE, map_alone, sum_by_key};
use super::redis::Redis;
use super::spark::{Spark, Task};
use crate::groups::javascript::words_query;

/// What was aimed at: times the speed of a query without keys.
const OF_PLAIN: f64 = 3.0;

const MAP: &str = "function(v) { v.values[0].data.toLowerCase().match(/\\w+/g)\
    .forEach(function(w) { emit(w, 1); }); }";

/// Texts of some kind.
struct Corpus {
    bucket: &'static str,
    what: &'static str,
    body: fn(u64) -> String,
}

const CORPORA: [Corpus; 2] = [
    Corpus { bucket: "essays", what: "the words of a book", body: data::essay },
    Corpus { bucket: "texts", what: "24 different words", body: data::text },
];

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let mut of_one = Vec::new();
    for (count, name) in [(1, "one node"), (3, "3 nodes")] {
        let nodes = start(tool, count).await?;
        for (number, corpus) in CORPORA.iter().enumerate() {
            corpus.store(plan, &nodes).await?;
            let inputs = format!("\"{}\"", corpus.bucket);
            let queries =
                [sum_by_key(&inputs, MAP), words_query(corpus.bucket), map_alone(&inputs, MAP)];
            let queries = queries.each_ref().map(String::as_str);
            // What it is compared with is measured on one node.
            let asked = if count == 1 { &queries[..] } else { &queries[..1] };
            let turns = in_turns(&nodes, plan.turns, asked).await?;
            let grouped = turns.first().ok_or("no turns")?;
            let (words, _) = grouped.pairs()?;
            if words != plan.group.texts * data::TEXT_WORDS {
                return Err(format!("{words} words of {} were counted", corpus.bucket).into());
            }
            let what = format!(
                "word count of {} texts of {} words ({}), {name}",
                digits(plan.group.texts as f64),
                data::TEXT_WORDS,
                corpus.what
            );
            if let [grouped, plain, alone] = turns.as_slice() {
                of_one.push(grouped.cpu());
                rows.extend(compared(plan, &what, [grouped, plain, alone]));
                rows.extend(corpus.beside(plan, &what, grouped.seconds()).await);
            } else if let Some(one) = of_one.get(number) {
                rows.push(more_nodes(plan, &what, grouped, *one));
            }
            rows.push(memory_row(&what, grouped.memory()));
        }
        nodes.stop().await?;
    }
    Ok(rows)
}

/// What it is without keys, and what the map takes of it.
fn compared(plan: &Plan, what: &str, [grouped, plain, alone]: [&Turns; 3]) -> Vec<Row> {
    let row = || Row::new(GROUP, what, grouped.seconds(), "s");
    let texts = plan.group.texts;
    vec![
        row()
            .against("plain query, best options", plain.seconds())
            .target(
                format!("≥ {OF_PLAIN} × faster"),
                grouped.seconds() * OF_PLAIN <= plain.seconds(),
            )
            .clock(format!(
                "{} (plain: {})",
                grouped.clock(texts, "text"),
                plain.clock(texts, "text")
            )),
        Row { what: format!("{what}, beside its map"), ..row() }
            .against("map alone", alone.seconds())
            .target(format!("≤ {OF_MAP} × it"), grouped.seconds() <= OF_MAP * alone.seconds())
            .clock(format!("map alone: {}", alone.clock(texts, "text"))),
    ]
}

fn more_nodes(plan: &Plan, what: &str, grouped: &Turns, one: f64) -> Row {
    let texts = plan.group.texts as f64;
    let each = |cpu: f64| cpu / texts * 1e6;
    Row::new(GROUP, format!("{what}, beside one"), each(grouped.cpu()), "µs/text")
        .against("one node", each(one))
        .target(format!("≤ {OF_ONE_NODE} × it"), grouped.cpu() <= OF_ONE_NODE * one)
}

impl Corpus {
    async fn store(&self, plan: &Plan, nodes: &Nodes) -> Outcome {
        let client = nodes.client()?;
        client.set_bucket_props(&data::place(self.bucket), r#"{"props":{"n_val":1}}"#).await?;
        data::store(client, self.bucket, "text/plain", plan.group.texts, self.body).await
    }

    /// The same texts counted by others.
    async fn beside(&self, plan: &Plan, what: &str, seconds: f64) -> Vec<Row> {
        let row = |name: &str, theirs: f64| {
            Row::new(GROUP, format!("{what}, beside {name}"), seconds, "s")
                .against(name, theirs)
                .clock(format!(
                    "{} texts/s ({name} {})",
                    digits(plan.group.texts as f64 / seconds),
                    digits(plan.group.texts as f64 / theirs)
                ))
        };
        let mut rows = Vec::new();
        match self.spark(plan).await {
            Ok(theirs) => rows.push(row("PySpark", theirs)),
            Err(error) => say(format!("SKIPPED: PySpark: {error}")),
        }
        match self.redis(plan).await {
            Ok(theirs) => rows.push(row("Redis Lua", theirs)),
            Err(error) => say(format!("SKIPPED: Redis: {error}")),
        }
        rows
    }

    async fn spark(&self, plan: &Plan) -> Outcome<f64> {
        let mut spark = Spark::start().await?;
        let file = spark.file(self.bucket, plan.group.texts, self.body)?;
        let mut turns = Vec::new();
        for _ in 0..plan.turns {
            let did = spark.run(&file, Task::Words).await?;
            if did.sum != plan.group.texts * data::TEXT_WORDS {
                return Err(format!("it counted {} words", did.sum).into());
            }
            turns.push(did.seconds);
        }
        Ok(median(turns.into_iter()))
    }

    async fn redis(&self, plan: &Plan) -> Outcome<f64> {
        let mut redis = Redis::start().await?;
        redis.store(plan.group.texts, self.body).await?;
        let mut turns = Vec::new();
        for _ in 0..plan.turns {
            let (seconds, words) = redis.count_words(plan.group.texts).await?;
            if words != plan.group.texts * data::TEXT_WORDS {
                return Err(format!("it counted {words} words").into());
            }
            turns.push(seconds);
        }
        Ok(median(turns.into_iter()))
    }
}
