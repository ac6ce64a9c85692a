//! A thousand hostile queries at once.

use futures::StreamExt as _;

use super::rig::{Bystanders, Rig};
use super::row::{Kind, MEMORY, Outcome, Row, SIZE, STACK, TIME, row, whole};
use mapring_tests::harness::{Watch, metrics};

/// How many.
const QUERIES: usize = 1_000;

/// Of so many one is an endless loop: each costs a worker all of its time.
const LOOPS: usize = 100;

/// What the node may grow by (I6): some tens of kilobytes a query.
const GROWTH: u64 = 192 << 20;

fn quick() -> Vec<Row> {
    vec![
        row("recursion", "function f() { return f() + 1 } return [f()]", &[STACK]),
        row("recursion through map", "function f() { return [1].map(f) } return [f()]", &[STACK]),
        row("repeat", "return ['x'.repeat(2**30).length]", &[MEMORY]),
        row("eval of brackets", "return [eval('['.repeat(1e5) + ']'.repeat(1e5))]", &[STACK]),
        row(
            "a deep result",
            "var a = []; for (var i = 0; i < 5000; i++) a = [a]; return a",
            &[Outcome::Error("bad_json", "levels deep")],
        ),
        row(
            "a cyclic result",
            "var a = []; a.push(a); return a",
            &[Outcome::Error("bad_json", "")],
        ),
        row("a promise", "return Promise.resolve([])", &[Outcome::Error("non_list_result", "")]),
        row("a large result", "var s = 'x'.repeat(1e6); return new Array(20).fill(s)", &[SIZE]),
        row("a thrown string", "throw 'words'", &[Outcome::Thrown("words", 1)]),
        row("nothing", "return nothing.here", &[Outcome::Thrown("nothing is not defined", 1)]),
        row(
            "tampering",
            "Array.prototype.map = JSON.parse = Object.prototype.n = null; throw 1",
            &[Outcome::Thrown("1", 1)],
        ),
        whole("no syntax", "function(".to_owned(), &[Outcome::Error("syntax", "")]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once() {
    let rig = Rig::start(2, &[]).await;
    let endless = row("a loop", "for (;;) {}", &[TIME]);
    let rows = quick();
    let memory = Watch::start(rig.node().pid());
    let bystanders = Bystanders::start(rig.node());
    let runs = futures::stream::iter(0..QUERIES).map(|number| {
        let row = if number % LOOPS == 0 { &endless } else { &rows[number % rows.len()] };
        let kind = if (number / rows.len()).is_multiple_of(2) { Kind::Map } else { Kind::Reduce };
        rig.ask(row, kind)
    });
    let results: Vec<Result<(), String>> = runs.buffer_unordered(QUERIES).collect().await;
    let honest = bystanders.queries();
    let wrong: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(
        wrong.is_empty(),
        "{} answers are wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    println!(
        "{QUERIES} queries; {honest} honest ones meanwhile; {memory}; {}",
        bystanders.end().await
    );
    assert!(honest > 0);
    assert!(memory.growth() <= GROWTH, "the node grew: {memory}");
    let now = metrics(rig.node()).await;
    assert_eq!(
        (now["mapring_mapred_queries_waiting"], now["mapring_script_calls_waiting"]),
        (0.0, 0.0)
    );
}
