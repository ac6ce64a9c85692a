//! Jobs that are run while nodes fail, and what each of them must give, whatever happens to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::model::{self, ITEM_BUCKET, Model, TARGET_BUCKET};
use super::super::random::Random;

/// Keys of which each has an object of its own.
const OBJECTS: u32 = 37;

/// Numbers that are divided into shards, …
const NUMBERS: u32 = 300;

/// … and how many of these there are.
const SHARDS: usize = 6;

/// What a call of a reduce by key takes: there are about twice as many as objects.
const SLOW_GROUP: &str = "var end = Date.now() + 8; while (Date.now() < end);";

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A map over a bucket.
    Map,
    /// A map, a link phase, and a map.
    Links,
    /// A map and a plain reduce.
    Reduce,
    /// A reduce by key.
    Groups,
    /// The same, each key an object.
    PerKey,
    /// The same, all in one object.
    Single,
    /// A map whose shards are objects.
    PerShard,
    /// A map that writes objects.
    Puts,
    /// A pipeline: what one job has stored the next one reads.
    Pipeline,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Map,
        Self::Links,
        Self::Reduce,
        Self::Groups,
        Self::PerKey,
        Self::Single,
        Self::PerShard,
        Self::Puts,
        Self::Pipeline,
    ];

    /// Whether it groups by key, which takes a time of its own.
    fn groups(self) -> bool {
        matches!(self, Self::Groups | Self::PerKey | Self::Single | Self::Pipeline)
    }

    /// Whether what its functions write stays when it is aborted.
    pub(super) fn writes_at_once(self) -> bool {
        self == Self::Puts
    }
}

/// How long a job takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So many inputs a second.
    Rate(u32),
    /// So many milliseconds for each input.
    Busy(u32),
}

/// Objects that a job must have written into its bucket.
#[derive(Debug)]
pub(super) enum Objects {
    /// These, by their keys.
    Are(BTreeMap<String, String>),
    /// So many, which together have these lines.
    Hold(usize, Vec<String>),
}

/// A job or a pipeline, and what must come of it.
pub(super) struct Task {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) document: Value,
    /// Its results as JSON, sorted; of one that stores them these are the names of its objects.
    pub(super) results: Option<Vec<String>>,
    /// What it must have counted. Of a pipeline, its first job.
    pub(super) counters: Vec<(&'static str, i64)>,
    pub(super) objects: Objects,
}

/// A place in the midst of a job: when it has counted so much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) counter: &'static str,
    pub(super) count: i64,
}

impl Task {
    /// A job over what is stored, under an id of its own.
    pub(super) fn new(kind: Kind, id: &str, pace: Pace, model: &Model) -> Self {
        let groups = Grouped::of(model, if kind == Kind::PerKey { OBJECTS } else { model::KEYS });
        let mut document = document(kind, id, pace);
        if kind == Kind::Pipeline {
            let lines = "count('lines'); return [JSON.parse(v.values[0].data).split(' ').length];";
            let second = json!({
                "inputs": {"records": {"$from": "first"}},
                "rate": 200,
                "query": [
                    {"map": js(&format!("function(v) {{ {lines} }}"))},
                    {"reduce": {"language": "javascript", "name": "Riak.reduceSum"}},
                ],
            });
            document = json!({"steps": {"first": {"job": document}, "second": {"job": second}}});
        }
        document["name"] = json!(format!("{kind:?}"));
        Self {
            kind,
            id: id.to_owned(),
            document,
            results: results(kind, model, &groups),
            counters: counters(kind, model, &groups),
            objects: objects(kind, model, &groups),
        }
    }

    pub(super) fn is_pipeline(&self) -> bool {
        self.kind == Kind::Pipeline
    }

    /// Where it is started and looked at.
    pub(super) fn path(&self) -> String {
        let of = if self.is_pipeline() { "pipelines" } else { "jobs" };
        format!("/{of}/{}", self.id)
    }

    /// The bucket that it writes to.
    pub(super) fn bucket(&self) -> String {
        bucket(&self.id)
    }

    /// What it must have counted under a name.
    fn counted(&self, name: &str) -> i64 {
        let of_name = self.counters.iter().find(|(known, _)| *known == name);
        of_name.map_or(0, |(_, count)| *count)
    }

    /// Some place in its midst: in one that groups by key, as often while groups are reduced.
    pub(super) fn point(&self, random: &mut Random, latest: f64) -> Point {
        let reduces = self.kind.groups() && random.chance(0.5);
        let counter = if reduces { "reducer-calls" } else { "mapper-calls" };
        let most = self.counted(counter) as f64 * latest;
        Point { counter, count: 1 + (most * random.fraction()) as i64 }
    }

    /// The place where its functions have done all: what is left is to make it last.
    pub(super) fn last_point(&self) -> Point {
        let counter = if self.kind.groups() { "reducer-calls" } else { "mapper-calls" };
        Point { counter, count: self.counted(counter) }
    }
}

/// The bucket that a job writes to.
fn bucket(id: &str) -> String {
    format!("{id}-out")
}

/// The pairs that a job makes of all items, by their keys, the values in order.
struct Grouped(BTreeMap<u32, Vec<u32>>);

impl Grouped {
    fn of(model: &Model, keys: u32) -> Self {
        let mut groups = BTreeMap::<u32, Vec<u32>>::new();
        for (&item, &version) in &model.0 {
            for pair in 0..model::PAIRS {
                let key = key_of(item, version, pair) % keys;
                groups.entry(key).or_default().push(item * 100 + pair);
            }
        }
        groups.values_mut().for_each(|values| values.sort_unstable());
        Self(groups)
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(key, values)| {
            let values: Vec<String> = values.iter().map(u32::to_string).collect();
            json!([key, values.join(" ")]).to_string()
        })
    }
}

/// The key of a pair, before it is brought below the number of keys.
pub(super) fn key_of(item: u32, version: u32, pair: u32) -> u32 {
    item * 7 + version + pair * 13
}

fn document(kind: Kind, id: &str, pace: Pace) -> Value {
    let busy = match pace {
        Pace::Rate(_) => String::new(),
        Pace::Busy(ms) => format!("var end = Date.now() + {ms}; while (Date.now() < end);"),
    };
    let map = |body: &str| {
        let count = "count('seen'); count('sum', o.n * 3 + o.v);";
        json!({"map": js(&format!(
            "function(v, kd) {{ {busy} var o = JSON.parse(v.values[0].data); {count} {body} }}"
        ))})
    };
    let query = match kind {
        Kind::Map => json!([map("return [v.key + '=' + o.v];")]),
        Kind::Links => json!([
            map(&format!("return [['{ITEM_BUCKET}', v.key]];")),
            {"link": {"bucket": TARGET_BUCKET, "tag": "t"}},
            {"map": js("function(v, kd) { count('targets'); return [v.key + '/' + kd]; }")},
        ]),
        Kind::Reduce => json!([
            map("return [{count: 1, sum: o.n * 100000 + o.v}];"),
            {"reduce": js("function(values) {
                var total = {count: 0, sum: 0};
                values.forEach(function(v) { total.count += v.count; total.sum += v.sum; });
                return [total];
            }")},
        ]),
        Kind::Groups | Kind::Single | Kind::Pipeline => json!([map(&pairs(model::KEYS)), listed()]),
        Kind::PerKey => json!([map(&pairs(OBJECTS)), counted()]),
        Kind::PerShard => json!([{"map": js(&format!(
            "function(v) {{ {busy} count('seen'); return [Number(v.values[0].data)]; }}"
        ))}]),
        Kind::Puts => {
            let put = format!("put('{}', v.key, {{v: o.v}}); return [];", bucket(id));
            json!([map(&put)])
        }
    };
    let mut document = json!({"inputs": ITEM_BUCKET, "query": query, "slice_ms": 500});
    if let Pace::Rate(rate) = pace {
        document["rate"] = json!(rate);
    }
    if kind == Kind::PerShard {
        document["inputs"] = json!({"range": {"start": 0, "end": NUMBERS}});
        document["shards"] = json!(SHARDS);
    }
    if let Some(output) = output(kind, id) {
        document["output"] = output;
    }
    document
}

fn output(kind: Kind, id: &str) -> Option<Value> {
    let bucket = bucket(id);
    Some(match kind {
        Kind::PerKey => json!({"bucket": bucket, "layout": "per_key"}),
        Kind::Single | Kind::Pipeline => {
            json!({"bucket": bucket, "layout": "single", "name": "all", "format": "ndjson"})
        }
        Kind::PerShard => {
            json!({"bucket": bucket, "layout": "per_shard", "name": "s$num", "format": "ndjson"})
        }
        _ => return None,
    })
}

/// What makes pairs of an item.
fn pairs(keys: u32) -> String {
    format!(
        "for (var j = 0; j < {}; j++) {{
            count('pairs'); emit((o.n * 7 + o.v + j * 13) % {keys}, o.n * 100 + j);
        }}
        return [];",
        model::PAIRS
    )
}

/// Lists the values of each key.
fn listed() -> Value {
    let list = "vs.sort(function(a, b) { return a - b; }); return [[k, vs.join(' ')]];";
    group(list)
}

/// Counts the values of each key.
fn counted() -> Value {
    group("return vs.length;")
}

fn group(body: &str) -> Value {
    let count = "count('reduced'); count('values', vs.length);";
    let mut reduce = js(&format!("function(k, vs) {{ {SLOW_GROUP} {count} {body} }}"));
    reduce["group"] = json!(true);
    json!({ "reduce": reduce })
}

fn js(source: &str) -> Value {
    json!({"language": "javascript", "source": source})
}

fn results(kind: Kind, model: &Model, groups: &Grouped) -> Option<Vec<String>> {
    let text = |text: String| json!(text).to_string();
    let of_items = |result: &dyn Fn(u32, u32) -> String| {
        model.0.iter().map(|(&item, &version)| text(result(item, version))).collect()
    };
    let target = |item, version| model::target_key(model::pointed_at(item, version));
    let mut results: Vec<String> = match kind {
        Kind::Map => of_items(&|item, version| format!("{}={version}", model::item_key(item))),
        Kind::Links => of_items(&|item, version| format!("{}/t", target(item, version))),
        Kind::Reduce => {
            let weight = |(item, version): (&u32, &u32)| u64::from(item * 100_000 + version);
            let sum: u64 = model.0.iter().map(weight).sum();
            vec![json!({"count": model.0.len(), "sum": sum}).to_string()]
        }
        Kind::Groups => groups.lines().collect(),
        Kind::Puts => Vec::new(),
        Kind::Pipeline => vec![(model.0.len() as u32 * model::PAIRS).to_string()],
        Kind::PerKey | Kind::Single | Kind::PerShard => return None,
    };
    results.sort_unstable();
    Some(results)
}

fn counters(kind: Kind, model: &Model, groups: &Grouped) -> Vec<(&'static str, i64)> {
    let items = model.0.len() as i64;
    let sum = model.0.iter().map(|(item, version)| i64::from(item * 3 + version)).sum();
    if kind == Kind::PerShard {
        let numbers = i64::from(NUMBERS);
        return vec![("mapper-calls", numbers), ("seen", numbers)];
    }
    let mut counters = vec![("mapper-calls", items), ("seen", items), ("sum", sum)];
    match kind {
        Kind::Links => {
            counters[0].1 = 2 * items;
            counters.push(("targets", items));
        }
        Kind::Puts => counters.push(("writes", items)),
        kind if kind.groups() => {
            let (keys, pairs) = (groups.0.len() as i64, items * i64::from(model::PAIRS));
            counters.extend([("pairs", pairs), ("values", pairs)]);
            counters.extend([("reduced", keys), ("groups", keys), ("reducer-calls", keys)]);
        }
        _ => {}
    }
    counters
}

fn objects(kind: Kind, model: &Model, groups: &Grouped) -> Objects {
    let mut objects = BTreeMap::new();
    match kind {
        Kind::PerKey => {
            let of_key = |(key, values): (&u32, &Vec<u32>)| (key.to_string(), values.len());
            let of_key = groups.0.iter().map(of_key);
            objects.extend(of_key.map(|(key, count)| (key, count.to_string())));
        }
        Kind::Single | Kind::Pipeline => {
            let lines = groups.lines().map(|line| line + "\n");
            objects.insert("all".to_owned(), lines.collect::<String>());
        }
        Kind::PerShard => {
            let lines: BTreeSet<String> = (0..NUMBERS).map(|number| number.to_string()).collect();
            return Objects::Hold(SHARDS, lines.into_iter().collect());
        }
        Kind::Puts => {
            let put = |(&item, version): (&u32, &u32)| {
                (model::item_key(item), json!({ "v": version }).to_string())
            };
            objects.extend(model.0.iter().map(put));
        }
        Kind::Map | Kind::Links | Kind::Reduce | Kind::Groups => {}
    }
    Objects::Are(objects)
}
