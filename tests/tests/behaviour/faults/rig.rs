//! What all tests of faults share: a cluster with objects, writers at work, a model of what is
//! stored, queries that are judged by it, and the counting of runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use futures::future::join_all;
use mapring_client::{Client, Error};
use tokio::task::JoinHandle;

use super::load::Load;
use super::model::{self, ITEM_BUCKET, ITEMS, Model, TARGET_BUCKET};
use super::query::{Form, Inputs, Query, Shape, difference};
use super::random::Random;
use super::wire;
use mapring_tests::harness::{Cluster, PATIENCE, eventually, holds};

/// Tries for each run that is to count, and some besides.
const TRIES: u32 = 3;
const TRIES_BESIDES: u32 = 10;

/// What the writers beside the queries do.
const WRITERS: usize = 2;
const PACE: Duration = Duration::from_millis(60);

/// Objects that change before each query.
const CHANGES: usize = 8;

/// Objects that are read by way of a node that is cut off.
const READ_ALONE: usize = 3;

/// How old a node's metrics may be, at most.
const LAG: Duration = Duration::from_millis(200);

/// Objects written by way of each node to see that all nodes reach each other.
const PROBES: usize = 8;

/// How soon a node that starts is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// Requests that prepare a cluster, at once.
const AT_ONCE: usize = 16;

/// A seed is taken from here, and runs to count, when it is set.
const SEED: &str = "MAPRING_FAULTS_SEED";
const RUNS: &str = "MAPRING_FAULTS_RUNS";

/// What happens in each run is told when it is set.
const VERBOSE: &str = "MAPRING_FAULTS_VERBOSE";

/// A cluster under test.
pub(super) struct Rig {
    pub(super) cluster: Cluster,
    pub(super) model: Model,
    /// The last version of any item: none is used twice.
    version: u32,
    /// The choices of the present run.
    pub(super) random: Random,
    kind: String,
    seed: u64,
    wanted: u32,
    runs: u32,
    counted: u32,
    reruns: u64,
    /// By how much queries were late that met a fault.
    delays: Vec<Duration>,
    /// Queries that have not had a run that counts.
    deck: Vec<Query>,
    usual: BTreeMap<(Shape, Inputs), Duration>,
    last_victim: Option<usize>,
    load: Option<Load>,
    began: Instant,
    /// What happened in the present run.
    story: RefCell<Vec<String>>,
    verbose: bool,
}

/// How a fault met a query: units at that time, and units that were run again.
pub(super) struct Met {
    pub(super) in_flight: u64,
    pub(super) reruns: u64,
}

/// A query under way.
pub(super) struct Asked {
    pub(super) query: Query,
    /// Whom it was put to.
    pub(super) node: usize,
    expect: Vec<String>,
    task: JoinHandle<(Result<Vec<String>, Error>, Duration)>,
}

impl Asked {
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Rig {
    /// Starts a cluster and stores its objects. `runs` must count before the test is over.
    pub(super) async fn start(kind: &str, nodes: usize, runs: u32) -> Self {
        Self::with(Cluster::start_with(nodes, &SETTINGS).await, kind, runs).await
    }

    /// As [`Rig::start`], with a cluster that runs.
    pub(super) async fn with(cluster: Cluster, kind: &str, runs: u32) -> Self {
        let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
        let by_clock = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let kind = format!("{kind}, {} nodes", cluster.nodes.len());
        let seed = number(SEED).unwrap_or_else(by_clock);
        let mut rig = Self {
            random: Random::of(seed, &kind, 0),
            cluster,
            model: Model::default(),
            version: 0,
            kind,
            seed,
            wanted: number(RUNS).map_or(runs, |runs| u32::try_from(runs).unwrap()),
            runs: 0,
            counted: 0,
            reruns: 0,
            delays: Vec::new(),
            deck: Vec::new(),
            usual: BTreeMap::new(),
            last_victim: None,
            load: None,
            began: Instant::now(),
            story: RefCell::default(),
            verbose: std::env::var_os(VERBOSE).is_some(),
        };
        rig.fill().await;
        rig
    }

    /// Starts the writers that go on through all runs.
    pub(super) fn with_load(mut self) -> Self {
        let clients = self.cluster.clients();
        self.load = Some(Load::start("load", &clients, WRITERS, PACE, &mut self.random));
        self
    }

    /// The addresses of all nodes.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.cluster.nodes.iter().map(|node| node.client.address().to_owned()).collect()
    }

    pub(super) fn address(&self, node: usize) -> &str {
        self.cluster.nodes[node].client.address()
    }

    pub(super) fn everyone(&self) -> Vec<usize> {
        (0..self.cluster.nodes.len()).collect()
    }

    pub(super) fn others(&self, than: usize) -> Vec<usize> {
        self.everyone().into_iter().filter(|&node| node != than).collect()
    }

    async fn fill(&mut self) {
        let addresses = self.addresses();
        let node = |number: u32| addresses[number as usize % addresses.len()].as_str();
        let targets = model::targets().map(|target| {
            let path = format!("/buckets/{TARGET_BUCKET}/keys/{}", model::target_key(target));
            store(node(target), path, &[], model::target_body(target))
        });
        futures::stream::iter(targets).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        let items = (0..ITEMS).map(|item| store_item(node(item), item, 0));
        futures::stream::iter(items).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        self.model.0 = (0..ITEMS).map(|item| (item, 0)).collect();
    }

    /// Asks each kind of query once without a fault: how long it takes, and that it is answered
    /// right.
    pub(super) async fn measure(&mut self, queries: &[Query]) {
        for query in queries {
            if !self.usual.contains_key(&query.kind()) {
                let node = self.random.below(self.cluster.nodes.len());
                let asked = self.ask(node, *query);
                let took = self.judge(asked).await;
                self.took(*query, took);
            }
        }
    }

    /// Begins the next run, until enough of them have counted.
    pub(super) fn next_run(&mut self) -> bool {
        if self.counted == self.wanted {
            return false;
        }
        let tries = self.wanted * TRIES + TRIES_BESIDES;
        assert!(self.runs < tries, "only {} of {} runs count", self.counted, self.runs);
        self.runs += 1;
        self.story.borrow_mut().clear();
        self.random = Random::of(self.seed, &self.kind, self.runs);
        true
    }

    /// Notes what happens, for those who look at a failed run.
    pub(super) fn note(&self, what: &str) {
        let line = format!("run {} at {:.1?}: {what}", self.runs, self.began.elapsed());
        if self.verbose {
            eprintln!("{line}");
        }
        self.story.borrow_mut().push(line);
    }

    /// As [`Rig::note`], of a node.
    pub(super) fn note_of(&self, node: usize, what: &str) {
        self.note(&format!("{} {what}", self.cluster.nodes[node].settings.name));
    }

    /// The number of the present run.
    pub(super) fn run(&self) -> u32 {
        self.runs
    }

    /// The query of the present run: each of them in turn, in an order of the seed's, until it has
    /// had a run that counts.
    pub(super) fn draw(&mut self, queries: &[Query]) -> Query {
        if self.deck.is_empty() {
            self.deck = queries.to_vec();
            self.random.shuffle(&mut self.deck);
        }
        *self.deck.last().unwrap()
    }

    /// A query was answered that took so long, while a fault came; it counts if units were in flight
    /// then, and some were run again. By how much it was late.
    pub(super) fn count_if_met(&mut self, met: Met, query: Query, took: Duration) -> Duration {
        let delay = self.took(query, took);
        if met.in_flight > 0 && met.reruns > 0 {
            self.delays.push(delay);
            self.count(met.reruns);
        }
        delay
    }

    /// The present run counts; so many units were run again in it.
    pub(super) fn count(&mut self, reruns: u64) {
        self.note(&format!("counts, {reruns} units were run again"));
        self.counted += 1;
        self.reruns += reruns;
        self.deck.pop();
    }

    /// Takes note of how long a query took; by how much it was late.
    pub(super) fn took(&mut self, query: Query, took: Duration) -> Duration {
        let usual = self.usual.entry(query.kind()).or_insert(took);
        // The machine was busier when the usual time was measured.
        *usual = took.min(*usual);
        took - *usual
    }

    /// A node for the client and another one for the fault.
    pub(super) fn client_and_victim(&mut self) -> (usize, usize) {
        // Not the one that has just come back: queries use it only when they must.
        let rested = self.everyone().into_iter().filter(|&node| Some(node) != self.last_victim);
        let victim = *self.random.pick(&rested.collect::<Vec<_>>());
        self.last_victim = Some(victim);
        let client = *self.random.pick(&self.others(victim));
        (client, victim)
    }

    /// Changes some items through some nodes, none of which is at fault.
    pub(super) async fn change_some(&mut self, through: &[usize]) {
        for item in self.some_items(CHANGES) {
            self.put_item(item, through).await;
        }
    }

    /// Items, there or not, each once.
    pub(super) fn some_items(&mut self, count: usize) -> Vec<u32> {
        let mut items: Vec<u32> = (0..ITEMS).collect();
        self.random.shuffle(&mut items);
        items.truncate(count);
        items
    }

    /// Writes the next version of an item.
    pub(super) async fn put_item(&mut self, item: u32, through: &[usize]) {
        let node = *self.random.pick(through);
        self.version += 1;
        store_item(self.address(node), item, self.version).await;
        self.model.0.insert(item, self.version);
    }

    pub(super) async fn delete_item(&mut self, item: u32, through: &[usize]) {
        let node = *self.random.pick(through);
        let path = format!("/buckets/{ITEM_BUCKET}/keys/{}", model::item_key(item));
        let answer = wire::request(self.address(node), "DELETE", &path, &[], b"").await.unwrap();
        assert_eq!(answer.status, 204, "DELETE {path}: {}", answer.text());
        self.model.0.remove(&item);
    }

    /// Asks a query by way of a node; again while that starts.
    pub(super) fn ask(&mut self, node: usize, query: Query) -> Asked {
        self.ask_within(node, query, PATIENCE)
    }

    /// As [`Rig::ask`], of a node that runs: a refusal is an answer.
    pub(super) fn ask_once(&mut self, node: usize, query: Query) -> Asked {
        self.ask_within(node, query, Duration::ZERO)
    }

    fn ask_within(&mut self, node: usize, query: Query, patience: Duration) -> Asked {
        let (document, expect) = self.model.ask(&query, &mut self.random);
        self.note_of(node, &format!("is asked {query:?}"));
        let client: Client = self.cluster.client(node).clone();
        let began = Instant::now();
        let task = tokio::spawn(async move {
            loop {
                match query.run(&client, &document).await {
                    Err(error) if is_starting(&error) && began.elapsed() < patience => {
                        tokio::time::sleep(ASK_AGAIN).await;
                    }
                    answer => return (answer, began.elapsed()),
                }
            }
        });
        Asked { query, node, expect, task }
    }

    /// As [`Rig::ask`], for those who look at the bytes of the answer.
    pub(super) fn ask_by_hand(&mut self, node: usize, query: Query) -> JoinHandle<wire::Answer> {
        self.note_of(node, &format!("is asked {query:?}"));
        let (document, _) = self.model.ask(&query, &mut self.random);
        let address = self.address(node).to_owned();
        let path = match query.form {
            Form::Parts => "/mapred?chunked=true",
            Form::Plain | Form::Lines => "/mapred",
        };
        tokio::spawn(async move {
            let headers = [("Content-Type", "application/json")];
            let body = document.to_string();
            let answer = wire::request(&address, "POST", path, &headers, body.as_bytes()).await;
            answer.unwrap_or_default()
        })
    }

    /// Waits for the time of the fault: anywhere in the usual time of a query that has just begun.
    pub(super) async fn wait_midst(&mut self, query: Query) {
        let at = self.usual[&query.kind()].mul_f64(self.random.fraction());
        tokio::time::sleep(at).await;
    }

    /// Waits for the answer, which must be exact. How long the query took.
    pub(super) async fn judge(&self, asked: Asked) -> Duration {
        let (query, node) = (asked.query, asked.node);
        match self.judge_or_error(asked).await {
            (took, None) => took,
            (took, Some(error)) => {
                let name = &self.cluster.nodes[node].settings.name;
                panic!("{query:?} by {name} failed after {took:?}: {error}");
            }
        }
    }

    /// As [`Rig::judge`], of a node that may have to answer with an error.
    pub(super) async fn judge_or_error(&self, asked: Asked) -> (Duration, Option<Error>) {
        let Asked { query, node, expect, task } = asked;
        let name = &self.cluster.nodes[node].settings.name;
        let (answer, took) = task.await.unwrap();
        match answer {
            Ok(found) => {
                let wrong = || difference(&found, &expect);
                assert!(found == expect, "{query:?} by {name} after {took:?}: {}", wrong());
                self.note_of(node, &format!("has answered right after {took:.2?}"));
                (took, None)
            }
            Err(error) => {
                self.note_of(node, &format!("has failed after {took:.2?}: {error}"));
                (took, Some(error))
            }
        }
    }

    /// Reads some items by way of a node that is cut off: an error or the present version.
    pub(super) async fn reads_nothing_old(&mut self, node: usize) {
        for item in self.some_items(READ_ALONE) {
            let path = format!("/buckets/{ITEM_BUCKET}/keys/{}", model::item_key(item));
            let answer = wire::get(self.address(node), &path).await.unwrap_or_default();
            let expect = self.model.0.get(&item).map(|&version| model::item_body(item, version));
            match answer.status {
                200 => assert_eq!(Some(answer.text()), expect, "{path}"),
                404 => assert_eq!(None, expect, "{path}"),
                _ => {}
            }
        }
    }

    /// A metric of a node.
    pub(super) async fn metric(&self, node: usize, name: &str) -> f64 {
        wire::metric(self.address(node), name).await
    }

    pub(super) async fn units_rerun(&self, node: usize) -> u64 {
        self.metric(node, "mapring_mapred_units_retried_total").await as u64
    }

    /// Units that were run again, by all nodes that run.
    pub(super) async fn all_units_rerun(&self) -> u64 {
        join_all(self.everyone().into_iter().map(|node| self.units_rerun(node))).await.iter().sum()
    }

    /// Units of work that the nodes run now.
    pub(super) async fn units_in_flight(&self) -> u64 {
        let addresses = self.addresses();
        let each =
            addresses.iter().map(|node| wire::metric(node, "mapring_mapred_units_in_flight"));
        let sum = join_all(each).await.iter().sum::<f64>() as u64;
        self.note(&format!("{sum} units are in flight"));
        sum
    }

    /// Waits until the fault is over for good, so that the next one is the only one: all nodes take
    /// writes from each other, and have been given what they missed.
    pub(super) async fn recover(&mut self) {
        self.cluster.wait_shared().await;
        self.note("all nodes are back");
        self.load.iter().for_each(|load| load.rest(true));
        let names: Vec<u64> = (0..PROBES).map(|_| self.random.next()).collect();
        for node in self.everyone() {
            let writes = names.iter().map(|name| self.is_stored_by_all(node, *name));
            join_all(writes).await;
        }
        self.note("all nodes reach each other");
        // A query makes nodes bring on at once what others left unfinished.
        let node = self.random.below(self.cluster.nodes.len());
        let asked = self.ask(node, Query::COUNT);
        self.judge(asked).await;
        eventually("writes to settle and hints to be handed over", || async {
            // What nodes say of themselves lags a little behind.
            let once = self.pending().await;
            tokio::time::sleep(LAG).await;
            holds(once == 0.0 && self.pending().await == 0.0)
        })
        .await;
        self.note("all have what they missed");
        self.load.iter().for_each(|load| load.rest(false));
    }

    /// Writes an object that all its replicas must acknowledge, until they do.
    async fn is_stored_by_all(&self, node: usize, name: u64) {
        let path = format!("/buckets/probes/keys/{name}?w=all");
        let text = [("Content-Type", "text/plain")];
        eventually(&format!("all replicas to take {path}"), || async {
            let answer = wire::request(self.address(node), "PUT", &path, &text, b"x").await;
            holds(answer.is_ok_and(|answer| answer.status == 204))
        })
        .await;
    }

    /// What nodes know of that not all replicas have.
    async fn pending(&self) -> f64 {
        let addresses = self.addresses();
        let metrics = [
            "mapring_kv_hinted_vnodes",
            "mapring_kv_unsettled_writes",
            "mapring_kv_in_flight_writes",
        ];
        let of_node = |node| metrics.map(|metric| wire::metric(node, metric));
        join_all(addresses.iter().flat_map(|node| of_node(node))).await.iter().sum()
    }

    /// As [`Rig::conclude`], at the end of the cluster.
    pub(super) async fn finish(mut self) {
        self.conclude().await;
    }

    /// Reads everything that was acknowledged from all its replicas, through every node, and says
    /// what the test has seen.
    pub(super) async fn conclude(&mut self) {
        self.recover().await;
        let addresses = self.addresses();
        let repairs = async || {
            let each = addresses.iter().map(|node| wire::metric(node, READ_REPAIRS));
            join_all(each).await.iter().sum::<f64>()
        };
        let before = repairs().await;
        let mut acknowledged = self.model.0.len();
        if let Some(load) = self.load.take() {
            let written = load.end().await;
            written.are_read_from(&addresses, ALL_REPLICAS).await;
            acknowledged += written.acknowledged();
        }
        self.items_are_read_from_all().await;
        let repaired = repairs().await - before;
        let (kind, took) = (&self.kind, self.began.elapsed());
        eprintln!(
            "{kind}: {} runs, {} counted, {} units re-run, {took:.0?}; {acknowledged} objects \
             read as acknowledged from all replicas, {repaired} replicas repaired; seed {}{}",
            self.runs,
            self.counted,
            self.reruns,
            self.seed,
            self.delay_figures(),
        );
    }

    fn delay_figures(&self) -> String {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let (Some(longest), middle) = (delays.last(), delays.len() / 2) else {
            return String::new();
        };
        format!("; queries late by {:.1?} in the median, {longest:.1?} at most", delays[middle])
    }

    async fn items_are_read_from_all(&self) {
        for node in &self.addresses() {
            for (&item, &version) in &self.model.0 {
                let key = model::item_key(item);
                let path = format!("/buckets/{ITEM_BUCKET}/keys/{key}{ALL_REPLICAS}");
                let what = format!("{path} of {node}");
                let body = eventually(&what, || async {
                    let answer = wire::get(node, &path).await.ok()?;
                    (answer.status == 200).then(|| answer.text())
                })
                .await;
                assert_eq!(body, model::item_body(item, version), "{what}");
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (kind, seed, run) = (&self.kind, self.seed, self.runs);
            eprintln!("{kind}: failed in run {run}; the same choices again: {SEED}={seed}");
            self.story.borrow().iter().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// A read with these needs every primary.
const ALL_REPLICAS: &str = "?r=all&pr=all";

/// Whether a node is not ready to be asked.
fn is_starting(error: &Error) -> bool {
    matches!(error, Error::Connect { .. } | Error::Status { status: 503, .. })
}

const READ_REPAIRS: &str = "mapring_kv_read_repairs_total";

/// One worker a node: several nodes' workers share this machine's cores.
pub(super) const SETTINGS: [(&str, &str); 1] = [("MAPRING__SCRIPT__WORKERS", "1")];

async fn store_item(node: &str, item: u32, version: u32) {
    let path = format!("/buckets/{ITEM_BUCKET}/keys/{}", model::item_key(item));
    let (link, version_text) = (model::item_link(item, version), version.to_string());
    let index = format!("X-Riak-Index-{}", model::VERSIONS);
    let headers = [("Link", link.as_str()), (index.as_str(), version_text.as_str())];
    store(node, path, &headers, model::item_body(item, version)).await;
}

async fn store(node: &str, path: String, headers: &[(&str, &str)], body: String) {
    let headers = [&[("Content-Type", "application/json")], headers].concat();
    let answer = wire::request(node, "PUT", &path, &headers, body.as_bytes()).await;
    let answer = answer.unwrap_or_else(|error| panic!("PUT {path} by {node}: {error}"));
    assert_eq!(answer.status, 204, "PUT {path} by {node}: {}", answer.text());
}
