//! The queries that are asked while nodes fail.

use std::time::Duration;

use mapring_client::{Client, Error};
use serde_json::{Value, json};

use super::model::{self, ITEM_BUCKET, TARGET_BUCKET};
use super::wire;

/// By how much a call of a map takes longer than one of a combiner or a reduce by key, of which there
/// are more.
const SLOWER_MAP: u128 = 4;

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
    /// A link phase and a slow map of what it names.
    LinkMap,
    /// A map that throws for some inputs, which are left out and told.
    Skip,
    /// A native map and a native reduce over what the first map names.
    MapNative,
    /// A native reduce over the bucket's keys.
    Count,
    /// A reduce by key whose functions are slow.
    Groups,
    /// The same with a slow combiner.
    Combined,
    /// The same whose function reads its values as they come.
    Streamed,
    /// A reduce by key of what another one gives.
    Regrouped,
}

/// What a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Inputs {
    Bucket,
    /// All items by name, some twice.
    Listed,
    /// A thousand inputs: all items by name, many times.
    Thousand,
    /// By a key filter.
    Filtered,
    /// By the index of the versions, which changes with each write.
    Indexed,
    /// The same, merged from a majority of replicas.
    Merged,
}

/// How a query is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// In multipart parts.
    Parts,
    /// A JSON object a line.
    Lines,
}

/// A query, its time and inputs left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) shape: Shape,
    pub(super) inputs: Inputs,
    pub(super) form: Form,
    /// How long the first map takes for each object.
    pub(super) slow: Duration,
}

impl Shape {
    /// Those that group by key.
    pub(super) const GROUPED: [Self; 4] =
        [Self::Groups, Self::Combined, Self::Streamed, Self::Regrouped];

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

/// All of them.
const FORMS: [Form; 3] = [Form::Plain, Form::Parts, Form::Lines];

impl Query {
    /// A query that is over at once.
    pub(super) const COUNT: Self = Self::count(Form::Plain);

    pub(super) const fn count(form: Form) -> Self {
        Self { shape: Shape::Count, inputs: Inputs::Bucket, form, slow: Duration::ZERO }
    }

    /// Each shape with either kind of inputs and answer.
    pub(super) fn all(slow: Duration) -> Vec<Self> {
        let mut all = Vec::new();
        for shape in Shape::SLOW {
            for inputs in [Inputs::Bucket, Inputs::Listed] {
                let forms = [Form::Plain, Form::Parts];
                all.extend(forms.map(|form| Self { shape, inputs, form, slow }));
            }
        }
        all
    }

    /// Other forms of inputs, chains, options and answers.
    pub(super) fn further(slow: Duration) -> Vec<Self> {
        let query = |inputs, shape, form| Self { shape, inputs, form, slow };
        let mut thousand = query(Inputs::Thousand, Shape::Map, Form::Plain);
        // As long as the others, though there are many more inputs.
        thousand.slow = slow / 6;
        vec![
            query(Inputs::Filtered, Shape::Map, Form::Plain),
            query(Inputs::Filtered, Shape::LinkMap, Form::Parts),
            query(Inputs::Filtered, Shape::PreReduce, Form::Lines),
            query(Inputs::Indexed, Shape::Map, Form::Lines),
            query(Inputs::Indexed, Shape::MapMap, Form::Plain),
            query(Inputs::Merged, Shape::Map, Form::Parts),
            query(Inputs::Merged, Shape::Reduce, Form::Plain),
            thousand,
            query(Inputs::Bucket, Shape::Skip, Form::Lines),
            query(Inputs::Listed, Shape::Skip, Form::Lines),
        ]
    }

    /// Those that group by key, with either kind of inputs and each form of answer.
    pub(super) fn grouped(slow: Duration) -> Vec<Self> {
        let mut all = Vec::new();
        for (shape, form) in Shape::GROUPED.into_iter().zip(FORMS.into_iter().cycle()) {
            let inputs = [Inputs::Bucket, Inputs::Listed];
            all.extend(inputs.map(|inputs| Self { shape, inputs, form, slow }));
        }
        all
    }

    /// What decides how long it takes.
    pub(super) fn kind(&self) -> (Shape, Inputs) {
        let inputs = if self.inputs == Inputs::Listed { Inputs::Bucket } else { self.inputs };
        (self.shape, inputs)
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
            Shape::LinkMap => {
                let link = json!({"link": {"bucket": TARGET_BUCKET, "tag": "t"}});
                json!([link, self.slowly("", "[v.key + '/' + kd]")])
            }
            Shape::Skip => {
                let throw = "if (JSON.parse(v.values[0].data).n % 5 === 0) throw 'no';";
                json!([self.slowly(throw, "[v.key]")])
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
            Shape::Groups | Shape::Combined | Shape::Streamed | Shape::Regrouped => self.grouping(),
        }
    }

    /// Phases that group by key: each object gives [`model::PAIRS`] pairs.
    fn grouping(&self) -> Value {
        let busy = |when: &str| {
            let slow = self.slow.as_millis().div_ceil(SLOWER_MAP);
            format!("if ({when}) {{ var end = Date.now() + {slow}; while (Date.now() < end); }}")
        };
        let (emit, pairs, keys) = (self.emitting(), model::PAIRS, model::KEYS);
        let map = self.slowly(
            &format!(
                "if (v.values[0].metadata['X-Riak-Deleted']) return [];
                var o = JSON.parse(v.values[0].data);
                for (var j = 0; j < {pairs}; j++)
                    emit((o.n * 7 + o.v + j * 13) % {keys}, {emit});"
            ),
            "[]",
        );
        let sorted = "vs.sort(function(a, b) { return a - b; })";
        let list =
            format!("function(k, vs) {{ {} return [[k, {sorted}.join(' ')]]; }}", busy("true"));
        match self.shape {
            Shape::Combined => {
                let add = "var t = {c: 0, s: 0};
                    all.forEach(function(x) { t.c += x.c; t.s += x.s; });";
                let combine = format!(
                    "function(k, fresh, old) {{ {} var all = fresh.concat(old); {add} return [t]; }}",
                    busy("k % 8 === 0")
                );
                let total = format!(
                    "function(k, all) {{ {} {add} return [[k, t.c, t.s]]; }}",
                    busy("true")
                );
                let combine = json!({"language": "javascript", "source": combine});
                json!([map, group(&total, &json!({"combine": combine}))])
            }
            Shape::Streamed => {
                let list = format!(
                    "function*(k, stream) {{ {} var vs = []; for (const n of stream) vs.push(n);
                        yield [k, {sorted}.join(' ')]; }}",
                    busy("true")
                );
                json!([map, group(&list, &json!({"values": "stream", "partitions": 7}))])
            }
            Shape::Regrouped => {
                let count = format!("function(k, vs) {{ {} emit(vs.length, k); }}", busy("true"));
                json!([map, group(&count, &json!({})), group(&list, &json!({}))])
            }
            _ => json!([map, group(&list, &json!({}))]),
        }
    }

    /// What the map of pairs emits as a value, in terms of the object `o` and the pair's number `j`.
    fn emitting(&self) -> &'static str {
        match self.shape {
            Shape::Combined => "{c: 1, s: o.n * 100 + j}",
            _ => "o.n * 100 + j",
        }
    }

    /// A map that is busy for a while and then gives `results` of the object `v`, its value `o` and
    /// the key data `kd`. Deleted objects that have not been reaped have none.
    fn slow_map(&self, results: &str) -> Value {
        let object = "if (v.values[0].metadata['X-Riak-Deleted']) return [];
                var o = JSON.parse(v.values[0].data);";
        self.slowly(object, results)
    }

    /// A map that is busy for a while, does something, and then gives `results`.
    fn slowly(&self, then: &str, results: &str) -> Value {
        let slow = self.slow.as_millis();
        map(&format!(
            "function(v, kd) {{
                var end = Date.now() + {slow}; while (Date.now() < end);
                {then}
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
        match self.form {
            Form::Parts => {
                let mut parts = client.mapred_chunked(document).await?;
                while let Some(part) = parts.next().await? {
                    results.extend(part.data.iter().map(|result| in_one_form(result.get())));
                }
            }
            Form::Plain => {
                let answer = client.mapred(document).await?;
                let answer: Vec<Value> = serde_json::from_slice(&answer).unwrap();
                results.extend(answer.iter().map(Value::to_string));
            }
            Form::Lines => results = lines(client.address(), &document).await?,
        }
        results.sort_unstable();
        Ok(results)
    }
}

/// The results in an answer of lines, which must be whole; inputs that were left out as
/// [`left_out`] has them.
async fn lines(address: &str, document: &str) -> Result<Vec<String>, Error> {
    let headers = [("Content-Type", "application/json"), ("Accept", "application/x-ndjson")];
    let answer = wire::request(address, "POST", "/mapred", &headers, document.as_bytes()).await;
    let answer = answer.unwrap_or_default();
    let text = answer.text();
    match answer.status {
        0 => {
            let (address, reason) = (address.to_owned(), "nothing came".to_owned());
            return Err(Error::Connect { address, reason });
        }
        200 => {}
        status => return Err(Error::Status { status, text }),
    }
    assert!(answer.whole, "{address}: {text}");
    let mut results = Vec::new();
    let mut done = None;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let list = |name: &str| line[name].as_array().cloned().unwrap_or_default();
        assert!(done.is_none(), "{line}");
        if line.get("error").is_some() {
            return Err(Error::Status { status: answer.status, text: line.to_string() });
        }
        results.extend(list("data").iter().map(Value::to_string));
        results.extend(list("skipped").iter().map(|input| left_out(&input["key"])));
        done = line.get("done").cloned();
    }
    let done = done.unwrap_or_else(|| panic!("no end: {text}"));
    let told = done["results"].as_u64().unwrap() + done["skipped"].as_u64().unwrap();
    assert_eq!(told, results.len() as u64, "{text}");
    Ok(results)
}

/// An input that was left out, among results.
pub(super) fn left_out(key: &Value) -> String {
    format!("without {key}")
}

fn map(source: &str) -> Value {
    json!({"map": {"language": "javascript", "source": source}})
}

fn reduce(source: &str) -> Value {
    json!({"reduce": {"language": "javascript", "source": source}})
}

fn group(source: &str, members: &Value) -> Value {
    let mut phase = reduce(source);
    phase["reduce"]["group"] = json!(true);
    for (name, value) in members.as_object().into_iter().flatten() {
        phase["reduce"][name] = value.clone();
    }
    phase
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
