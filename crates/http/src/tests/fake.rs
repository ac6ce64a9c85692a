//! A store in memory and queries whose results the test sends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use mapring_api::backend::{BodyUpload, Objects, ParsedQuery, Queries, Stale, Watched};
use mapring_api::hooks::{HookFailure, HookFigures, Hooks};
use mapring_background::{Status, Workers};
use mapring_cluster::fixed::{FixedCluster, FixedGroup};
use mapring_cluster::{Change, Chosen, Cluster as _, ClusterStatus, MetadataStatus, Outcome, View};
use mapring_datatypes::Update;
use mapring_kv::{
    Body, BodySizes, Census, Counted, Cursor, DeleteOptions, Figures, Found, GetOptions, Hit,
    IndexScan, KvFigures, NewValue, ObjectPart, Progress, PutOptions, Selection, Wanted,
};
use mapring_mapred::{
    Answer, Failure, FailureKind, PhaseResults, Query, QueryFigures, QueryId, QueryList,
    QueryReport, Rejection, RejectionKind, Results, Row,
};
use mapring_ring::hash::RingSize;
use mapring_types::props::{Hook, HookCode};
use mapring_types::{
    ActorId, BucketId, Dot, Error, ErrorKind, NodeId, Object, ObjectId, Result, Sibling,
    VersionVector, limits,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub(crate) struct Store {
    pub(crate) cluster: Arc<FixedCluster>,
    objects: Mutex<BTreeMap<ObjectId, Object>>,
    counter: AtomicU64,
    /// The next calls fail so.
    pub(crate) failure: Mutex<Option<Error>>,
    /// Objects of more bytes are not read whole.
    pub(crate) read_bytes: Mutex<usize>,
    /// While set, reads wait for [`Store::go_on`], and listings do not end.
    pub(crate) hold: Mutex<bool>,
    pub(crate) go_on: Notify,
    pub(crate) waiting: Notify,
    pub(crate) stale: Mutex<Stale>,
    pub(crate) workers: Workers,
    /// What hooks were called with after writes: the names of the function and the key, whether it was
    /// deleted.
    pub(crate) told: Mutex<Vec<(String, Bytes, bool)>>,
    /// What the function `ask` was called with before writes: media types and bytes.
    pub(crate) asked: Mutex<Vec<(String, Bytes)>>,
    /// The bytes of what hooks were called with after writes.
    pub(crate) shown: Mutex<Vec<Bytes>>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let cluster = FixedGroup::start(3, RingSize::new(64).unwrap()).remove(0);
        Self {
            cluster,
            objects: Mutex::default(),
            counter: AtomicU64::new(0),
            failure: Mutex::default(),
            read_bytes: Mutex::new(usize::MAX),
            hold: Mutex::default(),
            go_on: Notify::new(),
            waiting: Notify::new(),
            stale: Mutex::default(),
            workers: Workers::default(),
            told: Mutex::default(),
            asked: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    fn check(&self) -> Result<()> {
        self.failure.lock().take().map_or(Ok(()), Err)
    }

    fn check_unchanged(&self, id: &ObjectId, seen: Option<&VersionVector>) -> Result<()> {
        let objects = self.objects.lock();
        let clock = objects.get(id).map(|object| object.clock.clone()).unwrap_or_default();
        match seen {
            Some(seen) if !seen.dominates(&clock) => {
                Err(Error::new(ErrorKind::Precondition, "b/k: the object was changed meanwhile"))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, id: &ObjectId, context: Option<VersionVector>, value: NewValue) -> Object {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let sibling = Sibling {
            dot: Dot { actor: ActorId(1), counter },
            last_modified: 1_795_322_911_000_000 + counter,
            deleted: value.deleted,
            metadata: value.metadata,
            body: value.body,
        };
        let keeps = self.view().props(&id.bucket).unwrap().allow_mult;
        let mut objects = self.objects.lock();
        let object = objects.entry(id.clone()).or_default();
        let context = if keeps { context.unwrap_or_default() } else { object.clock.clone() };
        object.update(&context, sibling);
        object.clone()
    }
}

/// Named functions: `refuse`, `say`, `break`, `upper`, `ask`; these two and all others give an object.
#[async_trait]
impl Hooks for Store {
    async fn before(
        &self,
        hooks: &[Hook],
        _: &ObjectId,
        _: Option<&VersionVector>,
        mut value: NewValue,
    ) -> Result<NewValue, HookFailure> {
        for hook in hooks {
            let HookCode::Named(name) = &hook.code else { continue };
            match name.as_str() {
                "refuse" => return Err(HookFailure::Aborted),
                "say" => return Err(HookFailure::Refused("because <é>".to_owned())),
                "break" => return Err(HookFailure::Broken(Error::internal("no object"))),
                "upper" => value.body = value.body.to_ascii_uppercase().into(),
                "ask" => {
                    let content_type = value.metadata.content_type.clone();
                    self.asked.lock().push((content_type, value.body.clone()));
                }
                _ => {}
            }
        }
        Ok(value)
    }

    async fn after(&self, hooks: Vec<Hook>, id: ObjectId, written: Object) {
        let told = |hook: Hook| (hook.title(), id.key.clone(), written.is_tombstone());
        self.told.lock().extend(hooks.into_iter().map(told));
        self.shown.lock().extend(written.siblings.iter().map(|sibling| sibling.body.clone()));
    }

    fn figures(&self) -> HookFigures {
        HookFigures::default()
    }
}

#[async_trait]
impl Objects for Store {
    fn view(&self) -> Arc<View> {
        self.cluster.view()
    }

    fn cluster_status(&self) -> ClusterStatus {
        self.cluster.status()
    }

    fn figures(&self) -> KvFigures {
        KvFigures::default()
    }

    async fn forget(&self, node: NodeId) -> Result<Outcome> {
        self.check()?;
        self.cluster.forget(node).await
    }

    async fn propose(&self, change: Change) -> Result<Outcome> {
        self.check()?;
        self.cluster.propose(change).await
    }

    fn metadata(&self) -> MetadataStatus {
        MetadataStatus { has_leader: true, term: 3, index: 60, ..MetadataStatus::default() }
    }

    fn workers(&self) -> Vec<Status> {
        self.workers.list()
    }

    fn throttle(&self, worker: &str, throttle: u32) -> Result<Status> {
        self.workers.throttle(worker, throttle)
    }

    async fn choose(&self, node: &str) -> Result<Chosen> {
        self.check()?;
        self.cluster.choose(node).await
    }

    async fn stale(&self) -> Stale {
        self.stale.lock().clone()
    }

    async fn get(&self, id: &ObjectId, _: &GetOptions) -> Result<Option<Object>> {
        let hold = *self.hold.lock();
        if hold {
            self.waiting.notify_one();
            self.go_on.notified().await;
        }
        self.check()?;
        let object = self.objects.lock().get(id).cloned();
        if object.as_ref().is_some_and(|object| object.body_bytes() > *self.read_bytes.lock()) {
            return Err(Error::new(ErrorKind::TooLarge, "b/k: the object is large"));
        }
        Ok(object)
    }

    async fn get_part(
        &self,
        id: &ObjectId,
        _: &GetOptions,
        part: ObjectPart,
    ) -> Result<Option<Object>> {
        self.check()?;
        let mut object = self.objects.lock().get(id).cloned();
        for sibling in object.iter_mut().flat_map(|object| &mut object.siblings) {
            if part != ObjectPart::Whole && part != ObjectPart::Value(sibling.vtag()) {
                sibling.body.clear();
            }
        }
        Ok(object)
    }

    fn body_sizes(&self) -> BodySizes {
        BodySizes { max_bytes: limits::OBJECT_BYTES as u64, ..BodySizes::default() }
    }

    fn body(&self, sibling: &Sibling) -> Body {
        Body::whole(sibling.body.clone())
    }

    async fn upload(&self, _: &ObjectId, _: &PutOptions) -> Result<Box<dyn BodyUpload>> {
        Err(Error::internal("bodies are held whole here"))
    }

    async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        value: NewValue,
        options: &PutOptions,
    ) -> Result<Object> {
        self.check()?;
        self.check_unchanged(id, options.unchanged.as_ref())?;
        Ok(self.write(id, context, value))
    }

    async fn update(&self, id: &ObjectId, update: &Update, _: &PutOptions) -> Result<Object> {
        self.check()?;
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let mut objects = self.objects.lock();
        let mut object = objects.get(id).cloned().unwrap_or_default();
        let dot = Dot { actor: ActorId(1), counter };
        mapring_datatypes::object::update(&mut object, update, dot, counter)?;
        objects.insert(id.clone(), object.clone());
        Ok(object)
    }

    async fn delete(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        options: &DeleteOptions,
    ) -> Result<bool> {
        self.check()?;
        self.check_unchanged(id, options.unchanged.as_ref())?;
        let known = self.objects.lock().get(id).cloned();
        let Some(known) = known.filter(|object| !object.is_tombstone()) else { return Ok(false) };
        let value = NewValue { deleted: true, ..NewValue::default() };
        self.write(id, Some(context.unwrap_or(known.clock)), value);
        Ok(true)
    }

    fn list_keys(&self, bucket: BucketId, _: Duration) -> BoxStream<'static, Result<Vec<Bytes>>> {
        let failure = self.failure.lock().take().map(Err);
        let objects = self.objects.lock();
        let live =
            objects.iter().filter(|(id, object)| id.bucket == bucket && !object.is_tombstone());
        let pages: Vec<_> = live.map(|(id, _)| Ok(vec![id.key.clone()])).chain(failure).collect();
        let pages = stream::iter(pages);
        if *self.hold.lock() {
            self.waiting.notify_one();
            return pages.chain(stream::pending()).boxed();
        }
        pages.boxed()
    }

    fn index(&self, scan: IndexScan) -> BoxStream<'static, Result<Vec<Hit>>> {
        let failure = self.failure.lock().take().map(Err);
        let objects = self.objects.lock();
        let mut hits: Vec<Hit> = Vec::new();
        for (id, object) in objects.iter().filter(|(id, _)| id.bucket == scan.bucket) {
            let key = || id.key.clone();
            match &scan.selection {
                Selection::Terms { field, from, to } => {
                    let entries = object.index_entries().into_iter();
                    let wanted = entries
                        .filter(|(known, term)| known == field && from <= term && term <= to);
                    hits.extend(wanted.map(|(_, term)| {
                        let cursor = Cursor::at_term(term.clone(), key());
                        Hit { cursor, term: Some(term), key: key(), given: None }
                    }));
                }
                Selection::Keys { from, to } if !(*from <= id.key && id.key <= *to) => {}
                _ if object.is_tombstone() => {}
                _ => {
                    let cursor = Cursor::new(key());
                    hits.push(Hit { cursor, term: None, key: key(), given: None });
                }
            }
        }
        hits.retain(|hit| scan.after.as_ref().is_none_or(|after| hit.cursor > *after));
        hits.sort_by(|one, other| one.cursor.cmp(&other.cursor));
        if let Some(test) = &scan.test {
            let test = test.compile().unwrap();
            hits.retain_mut(|hit| {
                let term = hit.term.as_ref().map_or(&hit.key[..], |term| term.as_bytes());
                let taken = test.run(term, &hit.key).unwrap();
                hit.given = taken.clone().flatten();
                taken.is_some()
            });
        }
        hits.truncate(usize::try_from(scan.most.unwrap_or(u64::MAX)).unwrap());
        let pages: Vec<_> = hits.chunks(2).map(|page| Ok(page.to_vec())).chain(failure).collect();
        stream::iter(pages).boxed()
    }

    fn census(&self, census: Census) -> BoxStream<'static, Result<Counted>> {
        let failure = self.failure.lock().take().map(Err);
        let objects = self.objects.lock();
        let mut page = Counted::default();
        for (id, object) in objects.iter().filter(|(id, _)| id.bucket == census.bucket) {
            let bounds = match &census.selection {
                Selection::Keys { from, to } => *from <= id.key && id.key <= *to,
                _ => true,
            };
            let seconds = object.last_modified() / 1_000_000;
            let modified =
                census.modified.is_none_or(|(from, to)| from <= seconds && seconds <= to);
            let (siblings, bytes) = (object.siblings.len() as u64, object.body_bytes() as u64);
            let is_live = !object.is_tombstone();
            let value = match census.wanted {
                Wanted::MoreSiblings(most) => (is_live && siblings > most).then_some(siblings),
                Wanted::Larger(most) => (is_live && bytes > most).then_some(bytes),
                Wanted::Tombstones => (!is_live).then_some(0),
                Wanted::Live | Wanted::Figures => is_live.then_some(0),
                Wanted::All => Some(0),
            };
            let Some(value) = value.filter(|_| bounds && modified) else { continue };
            if census.wanted == Wanted::Figures {
                let (sizes, siblings) = ([(0, 1)].into(), [(siblings, 1)].into());
                page.figures.add(&Figures { count: 1, bytes, sizes, siblings });
            } else {
                let (key, clock) = (id.key.clone(), object.clock.clone());
                page.found.push(Found { key, value, clock });
            }
        }
        stream::iter([Ok(page)].into_iter().chain(failure)).boxed()
    }

    fn reap(&self, id: &ObjectId) -> bool {
        self.objects.lock().remove(id);
        true
    }

    fn list_buckets(&self, kind: Bytes, _: Duration) -> BoxStream<'static, Result<Vec<Bytes>>> {
        let objects = self.objects.lock();
        let names: BTreeSet<Bytes> = objects
            .keys()
            .filter(|id| id.bucket.bucket_type == kind)
            .map(|id| id.bucket.name.clone())
            .collect();
        stream::iter([Ok(names.into_iter().collect())]).boxed()
    }

    async fn repair(&self, node: NodeId) -> Result<()> {
        self.propose(Change::Seal).await?;
        self.propose(Change::Lost { id: node }).await.map(drop)
    }

    async fn repair_status(&self, node: NodeId) -> Result<Progress> {
        let incomplete = self.view().state.members[&node].incomplete;
        let progress = Progress { complete: true, ..Progress::default() };
        Ok(if incomplete {
            Progress { slices: 66, filled: 5, ..Progress::default() }
        } else {
            progress
        })
    }
}

type Event = Result<PhaseResults, Failure>;

/// Queries give what the test sends, and tell when they are dropped.
#[derive(Default)]
pub(crate) struct Script {
    sender: Mutex<Option<mpsc::UnboundedSender<Event>>>,
    pub(crate) started: Arc<Notify>,
    pub(crate) dropped: Arc<Notify>,
}

impl Script {
    pub(crate) fn send(&self, event: Event) {
        self.sender.lock().as_ref().unwrap().send(event).unwrap();
    }

    pub(crate) fn finish(&self) {
        self.sender.lock().take();
    }
}

struct TellDrop(Arc<Notify>);

impl Drop for TellDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

struct Run {
    lines: bool,
    results: mpsc::UnboundedReceiver<Event>,
    started: Arc<Notify>,
    tell: TellDrop,
}

#[async_trait]
impl Queries for Script {
    fn parse(&self, body: &[u8]) -> Result<Box<dyn ParsedQuery>, Rejection> {
        match body {
            b"text" => Err(Rejection::new(RejectionKind::NotAnObject)),
            b"json" => {
                let (module, function) = ("m".into(), "f".into());
                let kind = RejectionKind::UnknownFunction { phase: 0, module, function, arity: 3 };
                Err(Rejection::new(kind))
            }
            _ => {
                let (sender, results) = mpsc::unbounded_channel();
                *self.sender.lock() = Some(sender);
                let tell = TellDrop(self.dropped.clone());
                let lines = body == b"lines";
                Ok(Box::new(Run { lines, results, started: self.started.clone(), tell }))
            }
        }
    }

    async fn running(&self) -> QueryList {
        let queries = vec![Unwatched::default().report()];
        QueryList { queries, left_out: 0, unreachable: vec!["n3".into()] }
    }

    async fn show(&self, id: QueryId) -> Result<Option<QueryReport>> {
        let report = Unwatched::default().report();
        Ok((id.to_string() == report.id).then_some(report))
    }

    async fn end(&self, id: QueryId) -> Result<bool> {
        Ok(id.to_string() == Unwatched::default().id())
    }

    async fn answer(&self, _: &Query, results: Results) -> Result<Answer, Failure> {
        whole(results).await
    }

    fn figures(&self) -> QueryFigures {
        QueryFigures::default()
    }

    fn finish(&self) {}

    fn end_all(&self) -> usize {
        let sender = self.sender.lock().take();
        let stopping = Failure::new(FailureKind::Stopping, "stopping");
        sender.is_some_and(|sender| sender.send(Err(stopping)).is_ok()).into()
    }
}

/// A query of which there is little to see.
#[derive(Default)]
pub(crate) struct Unwatched {
    skipped: Mutex<Vec<Failure>>,
    count: u64,
    profile: Option<String>,
}

impl Unwatched {
    pub(crate) fn with(skipped: Vec<Failure>, profile: Option<&str>) -> Self {
        let count = skipped.len() as u64;
        Self { skipped: Mutex::new(skipped), count, profile: profile.map(str::to_owned) }
    }
}

impl Watched for Unwatched {
    fn id(&self) -> String {
        "1-0000000000000002".into()
    }

    fn report(&self) -> QueryReport {
        QueryReport {
            id: self.id(),
            node: "n1".into(),
            state: "running".into(),
            age_ms: 0,
            timeout_ms: 60_000,
            inputs_done: 0,
            phases: Vec::new(),
            counters: BTreeMap::new(),
            query: "{\"inputs\":\"é\"}".into(),
        }
    }

    fn skipped_count(&self) -> u64 {
        self.count
    }

    fn take_skipped(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.skipped.lock())
    }

    fn profile(&self) -> Option<String> {
        self.profile.clone()
    }
}

#[async_trait]
impl ParsedQuery for Run {
    fn wants_plan(&self) -> bool {
        false
    }

    fn streams_lines(&self) -> bool {
        self.lines
    }

    async fn explain(self: Box<Self>) -> Result<Result<String, Failure>, Rejection> {
        Ok(Ok("{}".into()))
    }

    async fn stream(self: Box<Self>) -> Result<(Results, Arc<dyn Watched>), Rejection> {
        let Self { results, started, tell, lines: _ } = *self;
        started.notify_one();
        let events = stream::unfold((results, tell), |(mut results, tell)| async move {
            Some((results.recv().await?, (results, tell)))
        });
        Ok((events.boxed(), Arc::new(Unwatched::default())))
    }

    async fn answer(
        self: Box<Self>,
    ) -> Result<(Result<Answer, Failure>, Arc<dyn Watched>), Rejection> {
        let (results, watched) = self.stream().await?;
        Ok((whole(results).await, watched))
    }
}

async fn whole(mut results: Results) -> Result<Answer, Failure> {
    let mut values = Vec::new();
    while let Some(event) = results.next().await {
        values.extend(event?.values.into_iter().map(Row::into_text));
    }
    let body = Bytes::from(format!("[{}]", values.join(",")));
    let length = body.len() as u64;
    Ok(Answer { length, is_lines: false, body: stream::iter([Ok(body)]).boxed() })
}
