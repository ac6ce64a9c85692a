//! A node under hostile functions, and those who suffer them with it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use mapring_client::{Client, NewObject, Place};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::row::{Kind, Row, bound};
use mapring_tests::harness::{Cluster, Exchange, Node};

pub(super) const BUCKET: &str = "hostile";
pub(super) const KEY: &str = "k3";

/// Objects in the bucket, with their numbers as `n`.
const OBJECTS: u64 = 20;

/// Hostile queries at once. One worker more than that: their time must not count the queue's.
const AT_ONCE: usize = 2;
pub(super) const WORKERS: &str = "3";

/// How many of the slowest are shown.
const SHOWN: usize = 6;

/// A pause between pings, and between honest queries.
const PACE: Duration = Duration::from_millis(20);

/// The `timeout` of a query that may have to wait for its turn, in milliseconds.
pub(super) const PATIENT: u64 = 240_000;

/// Within which `/ping` is to answer …
const PROMPT: Duration = Duration::from_millis(100);

/// … of so many pings all but one: what a machine that runs other tests too may delay.
const ALL_BUT_ONE_OF: usize = 50;

/// A node with objects.
pub(super) struct Rig {
    cluster: Cluster,
    limit: Duration,
}

impl Rig {
    /// A node whose calls may take so many seconds, with further settings.
    pub(super) async fn start(seconds: u64, settings: &[(&str, &str)]) -> Self {
        Self::start_wrapped(seconds, settings, &[]).await
    }

    /// As [`Rig::start`], run by another program.
    pub(super) async fn start_wrapped(
        seconds: u64,
        settings: &[(&str, &str)],
        wrapper: &[&str],
    ) -> Self {
        let limit = Duration::from_secs(seconds);
        let call_time = format!("{seconds}s");
        let mut all =
            vec![("MAPRING__SCRIPT__WORKERS", WORKERS), ("MAPRING__SCRIPT__CALL_TIME", &call_time)];
        all.extend(settings);
        let mut cluster = Cluster::empty(&all);
        let wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        cluster.add_with(|settings| settings.wrapper = wrapper);
        cluster.wait_shared().await;
        for number in 0..OBJECTS {
            let object = NewObject {
                body: json!({"n": number}).to_string().into(),
                content_type: "application/json".into(),
                ..NewObject::default()
            };
            cluster.client(0).put(&Place::new(BUCKET, format!("k{number}")), object).await.unwrap();
        }
        Self { cluster, limit }
    }

    pub(super) fn node(&self) -> &Node {
        &self.cluster.nodes[0]
    }

    pub(super) fn node_mut(&mut self) -> &mut Node {
        &mut self.cluster.nodes[0]
    }

    /// Starts the node again after it was killed.
    pub(super) async fn restart(&mut self) {
        self.cluster.restart(0).await;
    }

    pub(super) fn client(&self) -> &Client {
        self.cluster.client(0)
    }

    /// Runs every function in a map and in a reduce, and checks what comes of it.
    pub(super) async fn run(&self, rows: Vec<Row>) {
        let bystanders = Bystanders::start(self.node());
        let runs = rows.iter().flat_map(|row| [(row, Kind::Map), (row, Kind::Reduce)]);
        let runs = futures::stream::iter(runs).map(|(row, kind)| self.run_one(row, kind));
        let mut results: Vec<Run> = runs.buffer_unordered(AT_ONCE).collect().await;
        results.sort_by_key(|run| Reverse(run.took));
        let slow = |run: &Run| format!("{} {:?}", run.name, run.took);
        let slowest: Vec<String> = results.iter().take(SHOWN).map(slow).collect();
        println!("{} queries, the slowest: {}", results.len(), slowest.join(", "));
        println!("{}", bystanders.end().await);
        let wrong: Vec<String> = results.into_iter().filter_map(|run| run.result.err()).collect();
        assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn run_one(&self, row: &Row, kind: Kind) -> Run {
        let began = Instant::now();
        let result = self.ask(row, kind).await;
        let took = began.elapsed();
        let result = result.and_then(|()| {
            let late = || Err(format!("{kind:?} {}: after {took:?}", row.name));
            if took <= bound(self.limit) { Ok(()) } else { late() }
        });
        Run { name: row.name, took, result }
    }

    /// Runs a function and checks what comes of it, whenever that is.
    pub(super) async fn ask(&self, row: &Row, kind: Kind) -> Result<(), String> {
        let query = row.query(kind);
        let (status, body) = Exchange::query(self.node(), false, &query).await.answer().await;
        row.check(kind, status, &body)
    }
}

/// What came of a function.
struct Run {
    name: &'static str,
    took: Duration,
    result: Result<(), String>,
}

/// Others that use the node meanwhile.
pub(super) struct Bystanders {
    over: Arc<AtomicBool>,
    queries: Arc<AtomicU64>,
    honest: JoinHandle<()>,
    pinger: JoinHandle<Vec<Duration>>,
}

impl Bystanders {
    pub(super) fn start(node: &Node) -> Self {
        let (over, queries) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let honest = ask_honestly(node.client.clone(), Arc::clone(&over), Arc::clone(&queries));
        let pinger = ping(node.settings.http.clone(), Arc::clone(&over));
        Self { honest: tokio::spawn(honest), pinger: tokio::spawn(pinger), over, queries }
    }

    /// How many honest queries have been answered, all of them rightly.
    pub(super) fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Ends when they have seen enough; says what they saw.
    pub(super) async fn end(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        self.honest.await.unwrap();
        let mut pings = self.pinger.await.unwrap();
        pings.sort_unstable();
        let late = pings.iter().filter(|took| **took > PROMPT).count();
        let at = |part: usize| pings[(pings.len() - 1) * part / 1_000];
        let figures = format!(
            "{} honest queries; {} pings, half within {:?}, 99 % within {:?}, the longest {:?}, {late} late",
            self.queries.load(Ordering::Relaxed),
            pings.len(),
            at(500),
            at(990),
            at(1_000),
        );
        assert!(late <= 1.max(pings.len() / ALL_BUT_ONE_OF), "pings were late: {figures}");
        figures
    }
}

/// A query after another whose answer is known, over the language's own functions and the library's
/// by turns: what a hostile function may have changed.
async fn ask_honestly(client: Client, over: Arc<AtomicBool>, queries: Arc<AtomicU64>) {
    let own = [
        "function(value) {
            return [JSON.parse(value.values[0].data)].map(function(object) { return object.n; });
        }",
        "function(values) {
            var sum = 0;
            JSON.stringify(values).slice(1, -1).split(',').forEach(function(n) { sum += Number(n); });
            return [[sum]].concat([]).reduce(function(all, one) { return all.concat(one); }, []);
        }",
    ];
    let library = [
        "function(value) { return [Riak.mapValuesJson(value)[0].n]; }",
        "function(values) { return Riak.reduceSum(values); }",
    ];
    let answer = format!("[{}]", (0..OBJECTS).sum::<u64>());
    let queries_of = [own, library].map(|sources| {
        let [map, reduce] =
            sources.map(|source| json!({"language": "javascript", "source": source}));
        json!({"inputs": BUCKET, "query": [{"map": map}, {"reduce": reduce}], "timeout": PATIENT})
    });
    for query in queries_of.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let found = client.mapred(query.to_string()).await;
        let found = found.unwrap_or_else(|error| panic!("an honest query: {error}"));
        assert_eq!(String::from_utf8_lossy(&found), answer, "an honest query");
        queries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
    }
}

/// How long each ping took.
async fn ping(address: String, over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let mut pings = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        stream.write_all(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nOK") {
            answer.push(stream.read_u8().await.unwrap());
        }
        pings.push(began.elapsed());
        tokio::time::sleep(PACE).await;
    }
    pings
}
