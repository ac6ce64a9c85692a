//! Results that become objects: put aside while the query runs, and written when it has succeeded. Of
//! one that fails nothing is to be seen.

mod aside;
mod assemble;
mod custom;
mod record;

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mapring_cluster::View;
use mapring_kv::NewValue;
use mapring_script::{Counter, Row};
use mapring_types::{ErrorKind, Metadata, ObjectId, limits as common, quote};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::failure::{FailedInput, Failure, FailureKind};
use crate::fenced;
use crate::grammar::{Format, IndexTerm, Layout, ObjectsSpec, Query};
use crate::handle::QueryHandle;
use crate::job::Control;
use crate::limits;
use crate::metered::count;
use crate::objects::{ObjectWrite, Objects};
use crate::pair;
use crate::results::PhaseResults;
use crate::spill::{Purpose, Spill};
use crate::spool::{Sorted, Spool};
use crate::unit;
use crate::writing::{may_be_tried_again, persistently};
pub(crate) use aside::Aside;
use assemble::{Assembled, Assembler};
pub(crate) use custom::CustomWriter;
use record::Recorder;

/// The objects of a query that runs.
pub(crate) struct Outputs {
    query: Query,
    spec: ObjectsSpec,
    names: Names,
    objects: Arc<dyn Objects>,
    handle: Arc<QueryHandle>,
    deadline: Instant,
    spool: Spool,
    /// What makes of the results what goes into the objects.
    custom: Option<CustomWriter>,
}

/// What names of objects are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    query: String,
    id: String,
}

impl Outputs {
    /// Begins, if the objects can be written at all as far as is known.
    ///
    /// # Errors
    /// There is no such bucket type; more replicas are asked for than there are; a name is too long;
    /// an object that must not be there is.
    pub(crate) async fn begin(
        query: &Query,
        spec: &ObjectsSpec,
        view: &View,
        objects: Arc<dyn Objects>,
        handle: Arc<QueryHandle>,
        spill: &Arc<Spill>,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let (bucket, props) = (&spec.bucket, view.props(&spec.bucket));
        let n_val = props.ok_or_else(|| Failure::no_bucket_type(bucket))?.n_val;
        let asked = spec.w.resolve(mapring_types::Quorum::Majority, n_val);
        if asked > n_val {
            let message =
                format!("the output asks for w={asked}, and its bucket has n_val={n_val}");
            return Err(Failure::new(FailureKind::BadInput, message));
        }
        let name = query.spec().name.clone().unwrap_or_else(|| UNNAMED.to_owned());
        let names = Names { query: name, id: handle.job_id() };
        let spool = Spool::new(spill, Purpose::Output);
        let (query, spec) = (query.clone(), spec.clone());
        let custom = None;
        let outputs = Self { query, spec, names, objects, handle, deadline, spool, custom };
        if let Some(first) = outputs.spec.first_name(&outputs.names) {
            check_key(&first)?;
            // Better now than when all work is done.
            if outputs.spec.only_new {
                check_absent(&*outputs.objects, outputs.spec.id(first)).await?;
            }
        }
        Ok(outputs)
    }

    /// Gives all results to a writer.
    pub(crate) fn by(self, custom: Option<CustomWriter>) -> Self {
        Self { custom, ..self }
    }

    /// Takes all results: first those that a job has put `aside` before it goes on, then those that come,
    /// which are put aside, too.
    ///
    /// # Errors
    /// A result does not fit the output; there is no room for them; those that were put aside are not there.
    pub(crate) async fn fill(
        &mut self,
        mut results: mpsc::Receiver<Result<PhaseResults, Failure>>,
        aside: Option<Aside>,
    ) -> Result<(), Failure> {
        if let Some(aside) = &aside {
            let mut before = aside.take_back();
            while let Some(results) = before.try_next().await? {
                self.take(results).await?;
            }
        }
        while let Some(results) = results.recv().await {
            let results = results?;
            if let Some(aside) = &aside {
                aside.put(&results).await?;
            }
            self.take(results).await?;
        }
        match &mut self.custom {
            Some(custom) => custom.close(&Recorder { spec: &self.spec }, &mut self.spool).await,
            None => Ok(()),
        }
    }

    /// Takes some results.
    async fn take(&mut self, results: PhaseResults) -> Result<(), Failure> {
        let text_values = self.query.output().text_values;
        let recorder = Recorder { spec: &self.spec };
        let PhaseResults { phase, values, places } = results;
        if let Some(custom) = &mut self.custom {
            return custom.write(values, &recorder, &mut self.spool).await;
        }
        let mut places = places.into_iter();
        for row in values {
            let row = if text_values { pair::with_text_value(row) } else { row };
            let place = places.next().unwrap_or_default();
            if let Err(why) = recorder.put(&row, &place, &mut self.spool)? {
                let failure = Failure::new(FailureKind::BadInput, why).in_phase(phase);
                return Err(failure.of(FailedInput::Row(row)));
            }
        }
        self.spool.settle().await
    }

    /// Writes the objects, of so many shards where these are told apart, and gives their names, which are
    /// inputs of other queries as they are. The `control` of a job is asked before the first is written.
    ///
    /// # Errors
    /// Two results of one name, where there is to be one; what a write failed with; the query's time
    /// is over; the job may not write them.
    pub(crate) async fn store(
        self,
        shards: u32,
        control: Option<Arc<dyn Control>>,
        results: &mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<(), Failure> {
        let Self { query, spec, names, objects, handle, deadline, spool, custom: _ } = self;
        let sorted = spool.finish().await?;
        let phase = query.spec().phases.len().saturating_sub(1);
        let writer = Writer { spec, names, shards, objects, handle, deadline, phase, control };
        let in_time = tokio::time::timeout_at(deadline, writer.store(sorted, results)).await;
        in_time.unwrap_or_else(|_| Err(Failure::timeout()))
    }
}

/// What a query without a name is called in names of objects.
const UNNAMED: &str = "query";

impl ObjectsSpec {
    fn id(&self, key: String) -> ObjectId {
        ObjectId::new(self.bucket.clone(), key)
    }

    /// The name of the first object, where it is known before there are results.
    fn first_name(&self, names: &Names) -> Option<String> {
        match &self.layout {
            Layout::PerKey => None,
            Layout::Single(_) | Layout::PerShard(_) => {
                Some(self.name(names, &0_u32.to_be_bytes(), 0))
            }
        }
    }

    /// The name of an object, by the key of its records and the number of the piece.
    fn name(&self, names: &Names, key: &[u8], piece: u32) -> String {
        let shard = key.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let name = match &self.layout {
            Layout::PerKey => return String::from_utf8_lossy(key).into_owned(),
            Layout::Single(naming) => naming.fill(&names.query, &names.id, 0),
            Layout::PerShard(naming) => naming.fill(&names.query, &names.id, shard),
        };
        if self.max_bytes.is_some() { format!("{name}-{piece:05}") } else { name }
    }

    /// What is stored under a name.
    fn value(&self, Assembled { name, body, .. }: Assembled) -> NewValue {
        let mut indexes = Vec::new();
        for (field, term) in &self.indexes {
            let term = match term {
                IndexTerm::Fixed(term) => Some(term.clone()),
                // Names that are no such terms were refused when they came.
                IndexTerm::Key => record::term(field, &name),
            };
            indexes.extend(term.map(|term| (field.clone(), term)));
        }
        indexes.sort();
        indexes.dedup();
        let metadata = Metadata {
            content_type: self.content_type.clone(),
            charset: self.charset.clone(),
            user: self.meta.clone(),
            indexes,
            ..Metadata::default()
        };
        NewValue { metadata, body, deleted: false }
    }

    /// Whether a name has one result and no more.
    fn wants_one(&self) -> bool {
        self.layout == Layout::PerKey && self.format == Format::Json
    }
}

/// # Errors
/// When a name is none.
fn check_key(name: &str) -> Result<(), Failure> {
    let most = common::KEY_BYTES;
    if (1..=most).contains(&name.len()) {
        return Ok(());
    }
    let name = quote(name);
    let message = format!("the name of an object has 1 to {most} bytes: \"{name}\" has not");
    Err(Failure::new(FailureKind::BadInput, message))
}

/// # Errors
/// When it is there, or that cannot be known.
async fn check_absent(objects: &dyn Objects, id: ObjectId) -> Result<(), Failure> {
    if !objects.exists(&id).await? {
        return Ok(());
    }
    let message = "the output would replace an object, and \"if_exists\" is \"fail\"";
    let failure = Failure::new(FailureKind::Exists, message);
    Err(failure.of(FailedInput::Object { id, keydata: None }))
}

/// Writes the objects of a query that has succeeded.
struct Writer {
    spec: ObjectsSpec,
    names: Names,
    shards: u32,
    objects: Arc<dyn Objects>,
    handle: Arc<QueryHandle>,
    deadline: Instant,
    phase: usize,
    control: Option<Arc<dyn Control>>,
}

impl Writer {
    async fn store(
        &self,
        mut sorted: Sorted,
        results: &mpsc::Sender<Result<PhaseResults, Failure>>,
    ) -> Result<(), Failure> {
        if self.spec.wants_one()
            && let Some(key) = sorted.repeated().await?
        {
            let key = quote(&String::from_utf8_lossy(&key));
            let message = format!(
                "more than one result has the key \"{key}\", and the format \"json\" has one value a \
                 key: group them, or take \"ndjson\", \"lines\" or \"text\""
            );
            return Err(Failure::new(FailureKind::BadInput, message).in_phase(self.phase));
        }
        let sizes = self.objects.body_sizes();
        let mut assembler = Assembler::new(&self.spec, &self.names, self.shards, sizes, sorted);
        if self.spec.only_new {
            // All of them are looked for before the first is written.
            loop {
                let some = self.some(&mut assembler).await?;
                if some.is_empty() {
                    break;
                }
                let absent =
                    |Assembled { name, .. }| check_absent(&*self.objects, self.spec.id(name));
                let checks = stream::iter(some.into_iter().map(absent));
                checks.buffered(limits::WRITES_AT_ONCE).try_collect::<()>().await?;
                while assembler.more().await?.is_some() {}
            }
            assembler.rewind();
        }
        if self.control.as_ref().is_some_and(|control| !control.may_write_outputs()) {
            return Err(fenced::refusal().into());
        }
        let mut written = 0;
        loop {
            let mut some = self.some(&mut assembler).await?;
            if some.is_empty() {
                return Ok(());
            }
            let names: Vec<Row> = some.iter().map(|object| self.row(&object.name)).collect();
            let large = some.pop_if(|object| !object.is_whole);
            let writes = stream::iter(some.into_iter().map(|object| self.write(object)));
            let mut writes = writes.buffered(limits::WRITES_AT_ONCE);
            while let Some(outcome) = writes.next().await {
                outcome.map_err(|(id, error)| failed(id, &error, written))?;
                written += 1;
            }
            drop(writes);
            if let Some(object) = large {
                self.upload(object, &mut assembler, written).await?;
                written += 1;
            }
            let names = PhaseResults::new(self.phase, names);
            if results.send(Ok(names)).await.is_err() {
                // The client has gone; whoever reads the objects wants all of them.
                tracing::debug!(query = %self.handle.id, "nobody waits for the names of an output");
            }
        }
    }

    /// Some of the objects; none at the end.
    async fn some(&self, assembler: &mut Assembler<'_>) -> Result<Vec<Assembled>, Failure> {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while some.len() < limits::OBJECTS_AT_ONCE && bytes < limits::OBJECTS_BYTES {
            let Some(object) = assembler.next().await? else { break };
            bytes += object.body.len();
            let is_whole = object.is_whole;
            some.push(object);
            if !is_whole {
                // The rest of it comes before the next.
                break;
            }
        }
        Ok(some)
    }

    /// Writes an object that comes piece by piece, behind so many others; what fails for a reason that
    /// passes is written again from its first byte.
    async fn upload(
        &self,
        mut object: Assembled,
        assembler: &mut Assembler<'_>,
        others: u64,
    ) -> Result<(), Failure> {
        let (mut pause, mut tries) = (limits::WRITE_PAUSE, 0);
        loop {
            let id = self.spec.id(object.name.clone());
            let Err(error) = self.try_upload(object, assembler).await? else { return Ok(()) };
            // Nobody knows what became of one that failed at its end: where there must be nothing it
            // would be in its own way.
            if tries == limits::WRITE_RETRIES
                || self.spec.only_new
                || !may_be_tried_again(error.kind())
            {
                return Err(failed(id, &error, others));
            }
            tracing::debug!(%id, %error, "a large output is written again");
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
            object = self.again(assembler, others).await?;
        }
    }

    /// What became of it; of a failure of the query itself the object is none.
    async fn try_upload(
        &self,
        object: Assembled,
        assembler: &mut Assembler<'_>,
    ) -> Result<mapring_types::Result<()>, Failure> {
        let (id, began) = (self.spec.id(object.name.clone()), Instant::now());
        let mut next = Some(object.body.clone());
        let value = Some(self.spec.value(Assembled { body: Bytes::new(), ..object }));
        let write = ObjectWrite { id, value, w: self.spec.w, only_new: self.spec.only_new };
        let mut upload = match self.objects.upload(&write).await {
            Ok(upload) => upload,
            Err(error) => return Ok(Err(error)),
        };
        let mut bytes = 0;
        while let Some(piece) = next {
            bytes += piece.len() as u64;
            if let Err(error) = upload.write(piece).await {
                return Ok(Err(error));
            }
            next = assembler.more().await?;
        }
        if let Err(error) = upload.finish().await {
            return Ok(Err(error));
        }
        self.written(bytes, began);
        Ok(Ok(()))
    }

    /// Goes back to the object behind so many others.
    async fn again(
        &self,
        assembler: &mut Assembler<'_>,
        others: u64,
    ) -> Result<Assembled, Failure> {
        assembler.rewind();
        let gone = || Failure::new(FailureKind::Node(ErrorKind::Internal), "an output is gone");
        for _ in 0..others {
            assembler.next().await?.ok_or_else(gone)?;
            while assembler.more().await?.is_some() {}
        }
        assembler.next().await?.ok_or_else(gone)
    }

    /// Counts an object.
    fn written(&self, bytes: u64, began: Instant) {
        count("mapring_mapred_outputs_total", 1);
        self.handle.add(Counter::IoWriteBytes, bytes);
        self.handle.add(Counter::IoWrite, unit::micros(began.elapsed()));
    }

    async fn write(&self, object: Assembled) -> Result<(), (ObjectId, mapring_types::Error)> {
        let id = self.spec.id(object.name.clone());
        let bytes = object.body.len() as u64;
        let (value, only_new) = (Some(self.spec.value(object)), self.spec.only_new);
        let write = ObjectWrite { id, value, w: self.spec.w, only_new };
        let began = Instant::now();
        match persistently(&*self.objects, &write, self.deadline).await {
            Ok(()) => {
                self.written(bytes, began);
                Ok(())
            }
            Err(error) => Err((write.id, error)),
        }
    }

    /// The name of an object, as an input.
    fn row(&self, key: &str) -> Row {
        let bucket = &self.spec.bucket;
        let quoted = |name: &[u8]| pair::quoted(&String::from_utf8_lossy(name));
        let (name, key) = (quoted(&bucket.name), pair::quoted(key));
        if bucket.is_untyped() {
            return Row::value(format!("[{name},{key}]"));
        }
        Row::value(format!("[{name},{key},null,{}]", quoted(&bucket.bucket_type)))
    }
}

fn failed(id: ObjectId, error: &mapring_types::Error, written: u64) -> Failure {
    let kind = match error.kind() {
        ErrorKind::Precondition => FailureKind::Exists,
        kind => FailureKind::Node(kind),
    };
    let before = match written {
        0 => String::new(),
        1 => "; 1 object was written before it".to_owned(),
        more => format!("; {more} objects were written before it"),
    };
    let failure = Failure::new(kind, format!("the output cannot be written: {error}{before}"));
    failure.of(FailedInput::Object { id, keydata: None })
}
