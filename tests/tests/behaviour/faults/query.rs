//! The queries that are asked while nodes fail.

use std::time::Duration;

use mapring_client::{Client, Error};
use serde_json::{Value, json};

use super::model::{ITEM_BUCKET, TARGET_BUCKET};

/// What the phases of a query are. All but [`Shape::Count`] begin with a slow JavaScript map, so
/// that a fault meets units in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// A map alone.
    Map,
    /// A reduce in JavaScript.
    Reduce,
    /// A native reduce.
    ReduceNative,
    /// The reduce in JavaScript, also beside the data.
    PreReduce,
    /// A second map over what the first one names.
    MapMap,
    /// A link phase between two maps.
    MapLinkMap,
    /// A native map and a native reduce over what the first map names.
    MapNative,
    /// A native reduce over the bucket's keys.
    Count,
}

/// A query, its time and inputs left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) shape: Shape,
    /// Whether the inputs are listed, else they are the bucket.
    pub(super) keys: bool,
    pub(super) chunked: bool,
    /// How long the first map takes for each object.
    pub(super) slow: Duration,
}

impl Shape {
    /// Those that take their time.
    pub(super) const SLOW: [Self; 7] = [
        Self::Map,
        Self::Reduce,
        Self::ReduceNative,
        Self::PreReduce,
        Self::MapMap,
        Self::MapLinkMap,
        Self::MapNative,
    ];
}

impl Query {
    /// A query that is over at once.
    pub(super) const COUNT: Self =
        Self { shape: Shape::Count, keys: false, chunked: false, slow: Duration::ZERO };

    /// Each shape with either kind of inputs and answer.
    pub(super) fn all(slow: Duration) -> Vec<Self> {
        let mut all = Vec::new();
        for shape in Shape::SLOW {
            for keys in [false, true] {
                all.extend([false, true].map(|chunked| Self { shape, keys, chunked, slow }));
            }
        }
        all
    }

    pub(super) fn phases(&self) -> Value {
        let weigh = "[{count: 1, sum: o.n * 100000 + o.v}]";
        let add = "function(values) {
            var total = {count: 0, sum: 0};
            values.forEach(function(v) { total.count += v.count; total.sum += v.sum; });
            return [total];
        }";
        let name = "[v.key + '=' + o.v + (kd === 'undefined' ? '' : '#' + kd)]";
        let followed = format!("[['{TARGET_BUCKET}', o.target, v.key]]");
        match self.shape {
            Shape::Map => json!([self.slow_map(name)]),
            Shape::Reduce => json!([self.slow_map(weigh), reduce(add)]),
            Shape::PreReduce => {
                let mut map = self.slow_map(weigh);
                map["map"]["arg"] = json!({"do_prereduce": true});
                json!([map, reduce(add)])
            }
            Shape::ReduceNative => json!([self.slow_map(name), native("reduce", "reduce_sort")]),
            Shape::MapMap => {
                json!([
                    self.slow_map(&followed),
                    map("function(v, kd) { return [v.key + '<' + kd]; }")
                ])
            }
            Shape::MapLinkMap => {
                let same = format!("[['{ITEM_BUCKET}', v.key]]");
                let link = json!({"link": {"bucket": TARGET_BUCKET, "tag": "t"}});
                let last = map("function(v, kd) { return [v.key + '/' + kd]; }");
                json!([self.slow_map(&same), link, last])
            }
            Shape::MapNative => json!([
                self.slow_map(&followed),
                native("map", "map_object_value"),
                native("reduce", "reduce_sort"),
            ]),
            Shape::Count => json!([native("reduce", "reduce_count_inputs")]),
        }
    }

    /// A map that is busy for a while and then gives `results` of the object `v`, its value `o` and
    /// the key data `kd`. Deleted objects that have not been reaped have none.
    fn slow_map(&self, results: &str) -> Value {
        let slow = self.slow.as_millis();
        map(&format!(
            "function(v, kd) {{
                var end = Date.now() + {slow}; while (Date.now() < end);
                if (v.values[0].metadata['X-Riak-Deleted']) return [];
                var o = JSON.parse(v.values[0].data);
                return {results};
            }}"
        ))
    }

    /// Asks; the results as JSON text, in the order of their text.
    pub(super) async fn run(
        &self,
        client: &Client,
        document: &Value,
    ) -> Result<Vec<String>, Error> {
        let document = document.to_string();
        let mut results = Vec::new();
        if self.chunked {
            let mut parts = client.mapred_chunked(document).await?;
            while let Some(part) = parts.next().await? {
                results.extend(part.data.iter().map(|result| in_one_form(result.get())));
            }
        } else {
            let answer = client.mapred(document).await?;
            let answer: Vec<Value> = serde_json::from_slice(&answer).unwrap();
            results.extend(answer.iter().map(Value::to_string));
        }
        results.sort_unstable();
        Ok(results)
    }
}

fn map(source: &str) -> Value {
    json!({"map": {"language": "javascript", "source": source}})
}

fn reduce(source: &str) -> Value {
    json!({"reduce": {"language": "javascript", "source": source}})
}

fn native(kind: &str, function: &str) -> Value {
    json!({kind: {"language": "erlang", "module": "riak_kv_mapreduce", "function": function}})
}

fn in_one_form(json: &str) -> String {
    serde_json::from_str::<Value>(json).unwrap().to_string()
}

/// What two sorted lists of results differ in.
pub(super) fn difference(found: &[String], expect: &[String]) -> String {
    let mut counts = std::collections::BTreeMap::<&str, i64>::new();
    found.iter().for_each(|result| *counts.entry(result).or_default() += 1);
    expect.iter().for_each(|result| *counts.entry(result).or_default() -= 1);
    let of = |keep: fn(i64) -> bool| -> Vec<String> {
        let wrong = counts.iter().filter(|(_, count)| keep(**count));
        wrong.map(|(result, count)| format!("{result} × {}", count.abs())).collect()
    };
    let (surplus, missing) = (of(|count| count > 0), of(|count| count < 0));
    format!("surplus: {surplus:?}, missing: {missing:?}")
}

#[test]
fn differences_are_counted() {
    let list = |items: &[&str]| -> Vec<String> { items.iter().map(|&item| item.into()).collect() };
    assert_eq!(
        difference(&list(&["a", "b", "b"]), &list(&["a", "b", "c"])),
        "surplus: [\"b × 1\"], missing: [\"c × 1\"]"
    );
}
