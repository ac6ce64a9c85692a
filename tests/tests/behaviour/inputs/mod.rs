//! Which objects are the inputs of a query, by every form of `inputs` (facts R41 to R51): on
//! three nodes, against a model that is kept here, before and after overwrites and deletes, with a
//! node gone, and when it is back.
//!
//! A failing run is repeated by setting the seed that it prints.

mod filters;
mod model;

use std::collections::BTreeMap;

use mapring_client::Place;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use mapring_tests::harness::{Cluster, Exchange};
use model::{Model, WORDS};

/// A seed is taken from here when it is set.
const SEED: &str = "MAPRING_INPUTS_SEED";

/// Objects of each bucket at first.
const OBJECTS: usize = 200;

/// Cases of each form that are asked for at a time.
const CASES: usize = 3;

/// Inputs, and the keys that they must give, each as often as it must come.
struct Case {
    inputs: Value,
    expect: Vec<String>,
}

#[tokio::test]
async fn inputs_are_those_of_the_model() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::start(3).await;
    let mut models = Models {
        places: Model::of("places", model::place),
        odd: Model::of("odd", model::odd),
        twins: Model::of("twins", model::place).with_siblings(),
    };
    let twins = Place::new("twins", "");
    let props = r#"{"props":{"allow_mult":true}}"#;
    cluster.client(0).set_bucket_props(&twins, props).await.unwrap();
    models.places.grow(&cluster, &mut random, OBJECTS).await;
    models.odd.grow(&cluster, &mut random, OBJECTS / 4).await;
    models.twins.grow(&cluster, &mut random, OBJECTS / 4).await;
    check(&cluster, &mut random, &models).await;

    models.change(&cluster, &mut random).await;
    check(&cluster, &mut random, &models).await;

    cluster.nodes[2].kill().await;
    check(&cluster, &mut random, &models).await;
    models.change(&cluster, &mut random).await;
    check(&cluster, &mut random, &models).await;

    // What the node has missed is known until it has it.
    cluster.restart(2).await;
    check(&cluster, &mut random, &models).await;
}

/// All buckets.
struct Models {
    places: Model,
    odd: Model,
    twins: Model,
}

impl Models {
    /// Overwrites, deletes, writes again, adds.
    async fn change(&mut self, cluster: &Cluster, random: &mut StdRng) {
        for model in [&mut self.places, &mut self.odd] {
            model.overwrite_some(cluster, random).await;
            model.delete_some(cluster, random).await;
            model.overwrite_some(cluster, random).await;
            model.grow(cluster, random, OBJECTS / 10).await;
        }
        self.twins.overwrite_some(cluster, random).await;
    }
}

/// Asks every form for what it must give.
async fn check(cluster: &Cluster, random: &mut StdRng, models: &Models) {
    let Models { places, odd, twins } = models;
    let mut cases = Vec::new();
    for model in [places, odd, twins] {
        cases.extend(whole(model));
        for _ in 0..CASES {
            cases.extend([keys_between(random, model), terms(random, model, "n_int")]);
            cases.extend([terms(random, model, "w_bin"), generated(random, model)]);
        }
    }
    for _ in 0..CASES {
        for (filters, keeps) in filters::all(random, places) {
            let inputs = json!({"bucket": "places", "key_filters": filters});
            let expect = places.objects.keys().filter(|key| keeps(key)).cloned().collect();
            cases.push(Case { inputs, expect });
        }
    }
    let given = cases.iter().filter(|case| !case.expect.is_empty()).count();
    println!("{} inputs, {given} of them with objects", cases.len());
    for case in cases {
        let Case { inputs, expect } = &case;
        let (node, chunked) = (model::running(cluster, random), random.random_bool(0.3));
        // Where the ring closes, two replicas lie on one node: without it there is no quorum.
        let quorum = cluster.clients().len() == 3 && random.random_bool(0.2);
        let found = keys_of(cluster, node, chunked, quorum, inputs).await;
        assert_eq!(&found, expect, "{inputs} by way of node {node}, quorum: {quorum}");
    }
    for _ in 0..CASES {
        listed(cluster, random, places).await;
    }
}

/// The keys that a map function gets, in order.
async fn keys_of(
    cluster: &Cluster,
    node: usize,
    chunked: bool,
    quorum: bool,
    inputs: &Value,
) -> Vec<String> {
    let source = "function (v, keydata) {
        if (keydata !== 'undefined') { throw new Error('key data: ' + keydata); }
        return [v.key];
    }";
    let mut query = json!({
        "inputs": inputs,
        "query": [{"map": {"language": "javascript", "source": source}}],
    });
    if quorum {
        query["consistency"] = json!("quorum");
    }
    let mut keys = Vec::new();
    if chunked {
        let mut parts = cluster.client(node).mapred_chunked(query.to_string()).await.unwrap();
        while let Some(part) = parts.next().await.unwrap() {
            keys.extend(part.data.iter().map(|v| serde_json::from_str(v.get()).unwrap()));
        }
    } else {
        let answer = cluster.client(node).mapred(query.to_string()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{inputs}: {error:?}"));
        keys = serde_json::from_slice(&answer).unwrap();
    }
    keys.sort_unstable();
    keys
}

/// The whole bucket, by each of its names.
fn whole(model: &Model) -> Vec<Case> {
    let bucket = model.bucket;
    let forms = [
        json!(bucket),
        json!(["default", bucket]),
        json!({"bucket": bucket, "index": "$bucket", "key": bucket}),
        json!({"bucket": ["default", bucket], "index": "$bucket", "key": "_"}),
        json!({"bucket": bucket, "index": "$key", "start": "", "end": "\u{10ffff}"}),
    ];
    let expect: Vec<String> = model.objects.keys().cloned().collect();
    forms.into_iter().map(|inputs| Case { inputs, expect: expect.clone() }).collect()
}

/// `$key`: one key, or a range, whose bounds may be reversed.
fn keys_between(random: &mut StdRng, model: &Model) -> Case {
    let (one, other) = (model.some_key(random), model.some_key(random));
    let bucket = model.bucket;
    if random.random_bool(0.3) {
        let inputs = json!({"bucket": bucket, "index": "$key", "key": one});
        let expect = model.objects.contains_key(&one).then_some(one).into_iter().collect();
        return Case { inputs, expect };
    }
    let inputs = json!({"bucket": bucket, "index": "$key", "start": one, "end": other});
    let (from, to) = (one.clone().min(other.clone()), one.max(other));
    Case { inputs, expect: model.objects.range(from..=to).map(|(key, _)| key.clone()).collect() }
}

/// An index: one term, or a range, whose bounds may be reversed. An object comes once for each of
/// its terms in the range.
fn terms(random: &mut StdRng, model: &Model, field: &str) -> Case {
    let (one, other) = (random.random_range(-25..25i64), random.random_range(-25..25i64));
    let (word, other_word) = (WORDS.choose(random).unwrap(), WORDS.choose(random).unwrap());
    let integers = field == "n_int";
    let bound = |random: &mut StdRng, number: i64, word: &str| match integers {
        // Numbers may also be given as text.
        true if random.random_bool(0.3) => json!(number.to_string()),
        true => json!(number),
        false => json!(word),
    };
    let (start, end) = (bound(random, one, word), bound(random, other, other_word));
    let name = if random.random_bool(0.2) { field.to_uppercase() } else { field.to_owned() };
    let single = random.random_bool(0.3);
    let inputs = match single {
        true => json!({"bucket": model.bucket, "index": name, "key": start}),
        false => json!({"bucket": model.bucket, "index": name, "start": start, "end": end}),
    };
    let other = if single { one } else { other };
    let other_word = if single { word } else { other_word };
    let mut expect = Vec::new();
    for (key, terms) in &model.objects {
        let numbers = (one.min(other)..=one.max(other)).filter(|n| terms.numbers.contains(n));
        let (from, to) = (word.min(other_word), word.max(other_word));
        let words = terms.words.iter().filter(|word| from <= *word && *word <= to);
        let count = if integers { numbers.count() } else { words.count() };
        expect.extend(std::iter::repeat_n(key.clone(), count));
    }
    Case { inputs, expect }
}

/// A list from a generator: keys in the form of results.
fn generated(random: &mut StdRng, model: &Model) -> Case {
    let count = random.random_range(0..6);
    let mut expect: Vec<String> = (0..count).filter_map(|_| model.present_key(random)).collect();
    let names: Vec<Value> = expect.iter().map(|key| json!([model.bucket, key])).collect();
    expect.sort_unstable();
    Case { inputs: json!({"module": "mapring", "function": "list", "arg": names}), expect }
}

/// A list of keys in all its forms, with keys that are not there and some more than once.
async fn listed(cluster: &Cluster, random: &mut StdRng, model: &Model) {
    let bucket = model.bucket;
    let (mut inputs, mut expect) = (Vec::new(), BTreeMap::<String, usize>::new());
    for number in 0..random.random_range(1..60) {
        let key = model.some_key(random);
        let (input, keydata) = match random.random_range(0..5) {
            0 => (json!([bucket, key]), json!("undefined")),
            1 => (json!([bucket, key, number]), json!(number)),
            2 => (json!([bucket, key, {"n": [number]}]), json!({"n": [number]})),
            3 => (json!([bucket, key, "x", "default"]), json!("x")),
            _ => (json!([bucket, key, number, "default"]), json!(number)),
        };
        inputs.push(input);
        let result = match model.objects.contains_key(&key) {
            true => json!([key, keydata]),
            false => {
                json!({"not_found": {"bucket": bucket, "key": key, "keydata": keydata}})
            }
        };
        *expect.entry(result.to_string()).or_default() += 1;
    }
    let source = "function (v, keydata) { return [[v.key, keydata]]; }";
    let query = json!({
        "inputs": inputs,
        "query": [{"map": {"language": "javascript", "source": source}}],
    });
    let node = model::running(cluster, random);
    let answer = cluster.client(node).mapred(query.to_string()).await.unwrap();
    let mut results = BTreeMap::<String, usize>::new();
    for result in serde_json::from_slice::<Vec<Value>>(&answer).unwrap() {
        *results.entry(result.to_string()).or_default() += 1;
    }
    assert_eq!(results, expect, "{}", json!(inputs));
}

#[tokio::test]
async fn inputs_without_objects() {
    let cluster = Cluster::start(1).await;
    let sum = json!([{"reduce": {
        "language": "erlang", "module": "riak_kv_mapreduce", "function": "reduce_sum",
    }}]);
    let numbers = json!({"module": "mapring", "function": "sequence", "arg": [1, 1000]});
    let nothing = json!({"bucket": "empty", "key_filters": [["string_to_int"]]});
    for (inputs, query, expect) in [
        (numbers, sum.clone(), "[500500]"),
        (json!({"module": "mapring", "function": "list", "arg": [3, 4]}), sum.clone(), "[7]"),
        (nothing.clone(), json!([]), "[]"),
        (nothing, sum.clone(), "[0]"),
        (json!({"bucket": "empty", "index": "n_int", "start": 1, "end": 9}), sum, "[0]"),
    ] {
        let query = json!({"inputs": inputs, "query": query}).to_string();
        let answer = Exchange::query(&cluster.nodes[0], false, &query).await.answer().await;
        assert_eq!(answer, (200, expect.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn inputs_that_are_refused_or_fail() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let headers = ["Content-Type: text/plain"];
    let stored = Exchange::with_headers(node, "PUT", "/buckets/b/keys/x", &headers, "1").await;
    assert_eq!(stored.answer().await.0, 204);
    let filtered = |filters: Value| json!({"bucket": "b", "key_filters": filters});
    let index = |name: &str, more: Value| {
        let mut inputs = json!({"bucket": "b", "index": name});
        inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        inputs
    };
    for (inputs, status, fragment) in [
        (filtered(json!([["bogus"]])), 500, r#"{"bad_filter":"bogus"}"#),
        (filtered(json!([["eq", "a"], ["nope", 1]])), 500, r#"{"bad_filter":"nope"}"#),
        (filtered(json!([])), 400, "inputs"),
        (filtered(json!([["string_to_int"], ["less_than", 3]])), 500, "string_to_int"),
        (filtered(json!([["tokenize", "-", 2]])), 500, "tokenize"),
        (filtered(json!([["matches", "("]])), 500, "matches"),
        (filtered(json!([["matches", "a{1000}{1000}"]])), 500, "matches"),
        (filtered(json!([["eq", "x"], ["matches", "t"]])), 500, "matches"),
        (filtered(json!([["sounds_like", "x"]])), 500, "sounds_like"),
        (index("foo", json!({"key": "x"})), 400, "unknown_field_type"),
        (index("n_int", json!({"key": "x"})), 400, "field_parsing_failed"),
        (index("n_int", json!({"start": 1, "end": "x"})), 400, "field_parsing_failed"),
        (index("n_int", json!({"start": 1})), 400, "Unrecognized format of"),
        (index("n_int", json!({})), 400, "Unrecognized format of"),
        (json!({"index": "n_int", "key": 1}), 400, "Unrecognized format of"),
        (json!({"bucket": "b", "query": "a:b"}), 400, "search"),
        (json!({"module": "m", "function": "f", "arg": 1}), 400, "m:f"),
        (json!([["b"]]), 400, "Unrecognized format of"),
        (json!([]), 400, "No inputs were given."),
    ] {
        let query = json!({"inputs": inputs, "query": []}).to_string();
        let (got, text) = Exchange::query(node, false, &query).await.answer().await;
        assert!(got == status && text.contains(fragment), "{query}: {got} {text}");
    }
}
