//! What a call of common functions costs, in microseconds: `cargo bench -p mapring-script`.
//!
//! The figures are those of one thread, without a worker process around it: the bare limit that a
//! node's figures are compared with. An argument selects cases by name.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use mapring_script::js::JsRuntime;
use mapring_script::native::NativeRuntime;
use mapring_script::{
    Binary, Combiner, Function, Grouping, MapInput, PhaseFunction, ReduceState, ReduceTiming, Row,
    Runtime, ScriptLimits,
};
use mapring_types::{
    ActorId, BucketId, Dot, Metadata, Object, ObjectId, Record, Sibling, VersionVector,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Inputs of one request, as a node sends them.
const BATCH: usize = 250;

/// How long each case is measured.
const TIME: Duration = Duration::from_millis(700);

const COUNT_BY_MATCH: &str = r"function (v) {
  var words = v.values[0].data.toLowerCase().match(/\w+/g) || [];
  var counts = {};
  for (var i = 0; i < words.length; i++) {
    counts[words[i]] = (counts[words[i]] || 0) + 1;
  }
  return [counts];
}";

const COUNT_BY_SPLIT: &str = r"function (v) {
  var words = v.values[0].data.split(/\s+/);
  var counts = {};
  for (var i = 0; i < words.length; i++) {
    counts[words[i]] = (counts[words[i]] || 0) + 1;
  }
  return [counts];
}";

/// The shape of the word count of Riak's first tutorial.
const TUTORIAL: &str = r"function (v) {
  var words = v.values[0].data.toLowerCase().match(/\w*/g);
  var counts = [];
  for (var at in words) {
    if (words[at] != '') {
      var count = {};
      count[words[at]] = 1;
      counts.push(count);
    }
  }
  return counts;
}";

const MERGE: &str = r"function (values) {
  var sums = {};
  for (var i = 0; i < values.length; i++) {
    for (var word in values[i]) {
      sums[word] = (sums[word] || 0) + values[i][word];
    }
  }
  return [sums];
}";

/// The reduce of Riak's documentation.
const DOCUMENTED: &str = r"function (v) {
  var r = {};
  for (var i in v) {
    for (var w in v[i]) {
      if (w in r) r[w] += v[i][w];
      else r[w] = v[i][w];
    }
  }
  return [r];
}";

/// Loops whose time grew with the square of their length in the engine as it comes, or still does:
/// what is done, how often, and the body of a function that does it.
const STEPS: [(&str, usize, &str); 17] = [
    ("split(' ') of 500 kB, a word", 100_000, "TEXT return [t.split(' ').length];"),
    ("indexOf(text, from) through 500 kB", 11_000,
        "TEXT var i = -1; while ((i = t.indexOf('fox', i + 1)) >= 0) {} return [i];"),
    ("charCodeAt through 500 kB", 500_000,
        "TEXT var n = 0; for (var i = 0; i < t.length; i++) { n += t.charCodeAt(i); } return [n];"),
    ("s += 'ab '", 100_000,
        "var s = ''; for (var i = 0; i < 100000; i++) { s += 'ab '; } return [s.length];"),
    ("unshift to 5,000", 5_000,
        "var a = []; for (var i = 0; i < 5000; i++) { a.unshift(i); } return [a.length];"),
    ("shift from 50,000", 50_000, "LIST var n = 0; while (a.length) { n += a.shift(); } return [n];"),
    ("splice at the front of 20,000", 5_000,
        "LIST a.length = 20000; for (var i = 0; i < 5000; i++) { a.splice(0, 1); } return [a.length];"),
    ("push and pop", 50_000, "LIST var n = 0; while (a.length) { n += a.pop(); } return [n];"),
    ("join of 50,000 numbers", 50_000, "LIST return [a.join(',').length];"),
    ("sort of 50,000 by a comparator", 50_000,
        "LIST return [a.sort(function (x, y) { return x - y; })[0]];"),
    ("sort of 50,000 as texts", 50_000, "LIST return [a.sort()[0]];"),
    ("o[k] = 1, new names", 20_000, "NAMES return [1];"),
    ("for in over 20,000 names", 20_000, "NAMES var n = 0; for (var k in o) { n++; } return [n];"),
    ("k in o, o[k]", 20_000,
        "NAMES var n = 0; for (var i = 0; i < 20000; i++) { if ('word' + i in o) { n += o['word' + i]; } }
         return [n];"),
    ("o[k] += 1", 20_000, "NAMES for (var i = 0; i < 20000; i++) { o['word' + i] += 1; } return [o.word7];"),
    ("for in over one name", 20_000,
        "var o = {word: 1}, n = 0; for (var i = 0; i < 20000; i++) { for (var k in o) { n++; } } return [n];"),
    ("delete of the first of 2,000 names", 2_000,
        "var o = {}; for (var i = 0; i < 2000; i++) { o['k' + i] = i; }
         for (i = 0; i < 2000; i++) { delete o['k' + i]; } return [1];"),
];

/// What the bodies begin with.
const BEGINNINGS: [(&str, &str); 3] = [
    ("TEXT", "var t = 'the quick brown fox jumps over, the lazy dog\n'.repeat(11000);"),
    ("LIST", "var a = []; for (var i = 0; i < 50000; i++) { a.push(i * 7919 % 50021); }"),
    ("NAMES", "var o = {}; for (var i = 0; i < 20000; i++) { o['word' + i] = 1; }"),
];

/// A document of some 200 bytes.
fn document(number: usize) -> String {
    format!(
        r#"{{"id":{number},"name":"customer number {number}","city":"Rotterdam","tags":["new","paid","web"],"n":{},"address":{{"street":"Long Street","no":{number},"zip":"3011 AB"}},"active":true,"score":{}.25}}"#,
        number % 100,
        number % 17
    )
}

/// A text of 120 words.
fn words(number: usize) -> String {
    const WORDS: [&str; 16] = [
        "the",
        "rabbit",
        "Alice",
        "down",
        "never",
        "once",
        "considering",
        "how",
        "in",
        "world",
        "she",
        "was",
        "to",
        "get",
        "out",
        "again",
    ];
    let word = |at: usize| WORDS[(number * 31 + at * at * 7 + at / 3) % WORDS.len()];
    (0..120).map(word).collect::<Vec<_>>().join(" ")
}

fn source(source: &str) -> PhaseFunction {
    phase(Function::Source(source.to_owned()))
}

fn named(name: &str) -> PhaseFunction {
    phase(Function::Named(name.to_owned()))
}

fn erlang(function: &str) -> PhaseFunction {
    let module = "riak_kv_mapreduce".to_owned();
    phase(Function::Erlang { module, function: function.to_owned() })
}

fn phase(function: Function) -> PhaseFunction {
    PhaseFunction { function, arg: None, binary: Binary::default() }
}

/// A text object, as a map phase gets it.
fn input(body: &str) -> MapInput {
    let sibling = Sibling {
        dot: Dot { actor: ActorId(7), counter: 1 },
        last_modified: 1_000_000_000_000_000,
        deleted: false,
        metadata: Metadata { content_type: "text/plain".to_owned(), ..Metadata::default() },
        body: body.to_owned().into(),
    };
    let mut object = Object::default();
    object.update(&VersionVector::new(), sibling);
    let record = Some(Record::encode(&object));
    MapInput { id: ObjectId::new(BucketId::untyped("b"), "k"), keydata: None, record }
}

struct Bench {
    only: Option<String>,
    js: JsRuntime,
    native: NativeRuntime,
}

impl Bench {
    fn map(&mut self, name: &str, function: &PhaseFunction, body: impl Fn(usize) -> String) {
        let batch: Vec<MapInput> = (0..BATCH).map(|at| input(&body(at))).collect();
        let native = mapring_script::native::runs(function);
        let Self { js, native: natives, .. } = self;
        let runtime: &mut dyn Runtime = if native { natives } else { js };
        let call = || runtime.map(1, function, batch.clone()).unwrap();
        print(self.only.as_deref(), name, BATCH, call);
    }

    /// A map whose results are grouped, with a combiner or without.
    fn pairs(&mut self, name: &str, function: &PhaseFunction, combine: Option<PhaseFunction>) {
        let batch: Vec<MapInput> = (0..BATCH).map(|at| input(&words(at))).collect();
        let combine = combine.map(Combiner::new);
        let grouping = Grouping { combine, ..Grouping::default() };
        let call = || self.js.map_pairs(1, function, &grouping, &batch).unwrap();
        print(self.only.as_deref(), name, BATCH, call);
    }

    /// A loop in one call.
    fn steps(&mut self, name: &str, count: usize, body: &str) {
        let mut text = body.to_owned();
        for (short, long) in BEGINNINGS {
            text = text.replace(short, long);
        }
        let function = source(&format!("function () {{ {text} }}"));
        let call = || self.js.map(1, &function, vec![input("")]).unwrap();
        print(self.only.as_deref(), &format!("js {name}"), count, call);
    }

    fn reduce(&mut self, name: &str, function: &PhaseFunction, inputs: &[Row]) {
        let native = mapring_script::native::runs(function);
        let Self { js, native: natives, .. } = self;
        let runtime: &mut dyn Runtime = if native { natives } else { js };
        let call = || {
            let timing = ReduceTiming::Every(20);
            runtime.reduce_open(1, function, timing, ReduceState::default()).unwrap();
            runtime.reduce_push(inputs.to_vec()).unwrap();
            runtime.reduce_finish().unwrap()
        };
        print(self.only.as_deref(), name, inputs.len(), call);
    }
}

/// Measures and prints, unless another case is asked for.
fn print<T>(only: Option<&str>, name: &str, inputs: usize, mut call: impl FnMut() -> T) {
    if only.is_some_and(|only| !name.contains(only)) {
        return;
    }
    call();
    let (began, mut calls) = (Instant::now(), 0u32);
    while began.elapsed() < TIME {
        std::hint::black_box(call());
        calls += 1;
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / f64::from(calls) / inputs as f64;
    println!("{name:<48} {each:>9.2} µs an input");
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(move || run(only));
    thread.unwrap().join().unwrap();
}

fn run(only: Option<String>) {
    let js = JsRuntime::new(ScriptLimits::default());
    let mut bench = Bench { only, js, native: NativeRuntime::new() };
    let trivial = source("function (v) { return [1]; }");
    bench.map("js trivial", &trivial, document);
    let field = source("function (v) { return [JSON.parse(v.values[0].data).n]; }");
    bench.map("js JSON.parse of 200 bytes, one field", &field, document);
    let whole = source("function (v) { return [JSON.parse(v.values[0].data)]; }");
    bench.map("js JSON.parse of 200 bytes, all of it", &whole, document);
    let stringify = source("function (v) { return [JSON.stringify(v)]; }");
    bench.map("js JSON.stringify of the object", &stringify, document);
    bench.map("js words by match, 120 words", &source(COUNT_BY_MATCH), words);
    bench.map("js words by split, 120 words", &source(COUNT_BY_SPLIT), words);
    bench.map("js words of the tutorial, 120 words", &source(TUTORIAL), words);
    let split =
        source("function (v) { for (const w of v.values[0].data.split(' ')) {} return []; }");
    bench.map("js grouped: the loop alone, 120 words", &split, words);
    let emit = source("function (v) { for (const w of v.values[0].data.split(' ')) emit(w, 1); }");
    bench.map("js grouped: emit as results, 120 words", &emit, words);
    bench.pairs("js grouped: emit, 120 words", &emit, None);
    bench.pairs("js grouped: emit and Job.sum, 120 words", &emit, Some(named("Job.sum")));
    let sum =
        "function (k, f, o) { return [f.concat(o).reduce(function (a, b) { return a + b; }, 0)]; }";
    bench.pairs("js grouped: emit and a combiner, 120 words", &emit, Some(source(sum)));
    let replace = source(r"function (v) { return [v.values[0].data.replace(/[aeiou]/g, '')]; }");
    bench.map("js replace(/[aeiou]/g), 120 words", &replace, words);
    let test = source(r"function (v) { return [/zebra/.test(v.values[0].data)]; }");
    bench.map("js test(/zebra/), 120 words", &test, words);
    bench.map("native mapValuesJson of 200 bytes", &named("Riak.mapValuesJson"), document);
    bench.map("native map_object_value of 200 bytes", &erlang("map_object_value"), document);
    let numbers: Vec<Row> = (0..1_000).map(|number| Row::value(number.to_string())).collect();
    bench.reduce("native reduceSum, batches of 20", &named("Riak.reduceSum"), &numbers);
    let sum = "function (values) { return [values.reduce(function (a, b) { return a + b; }, 0)]; }";
    bench.reduce("js sum by reduce, batches of 20", &source(sum), &numbers);
    let counts: Vec<Row> =
        (0..1_000).map(|at| Row::value(format!(r#"{{"w{}":1}}"#, at % 97))).collect();
    bench.reduce("js merge of counts, batches of 20", &source(MERGE), &counts);
    for names in [300, 6_000] {
        let one = |at: usize| Row::value(format!(r#"{{"word{}":1}}"#, at * 7_919 % names));
        let counts: Vec<Row> = (0..6_000).map(one).collect();
        let name = format!("js documented reduce, {names} names, batches of 20");
        bench.reduce(&name, &source(DOCUMENTED), &counts);
    }
    for (name, count, body) in STEPS {
        bench.steps(name, count, body);
    }
}
