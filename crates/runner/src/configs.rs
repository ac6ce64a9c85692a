//! Named jobs: those of the operator's file, and those that were stored by HTTP. Of two of one name that of
//! the file counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use mapring_background::{Context, Next, Worker};
use mapring_jobs::{Config, Document, Syntax};
use mapring_types::versioned::Nothing;
use mapring_types::{Error, Release, Result, Versioned};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::JobsError;
use crate::formats::first_version;
use crate::pages::Page;
use crate::request::ListRequest;
use crate::runner::Runner;
use crate::store::{self, Entry, ListQuery, Shelf, Store};
use crate::{check, limits, validator};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Configs {
    store: Arc<dyn Store>,
    file: Arc<RwLock<FromFile>>,
}

/// What the file has.
#[derive(Default)]
struct FromFile {
    path: Option<PathBuf>,
    jobs: BTreeMap<String, Config>,
    /// What is wrong with the file as it is now; the jobs are those that it had before.
    mistakes: Option<String>,
    /// What of the file means nothing here.
    notes: Vec<String>,
}

/// Named jobs, as they are listed.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ConfigList {
    /// Each as [`Config::json`] has it, with `from`: `file` or `stored`.
    pub configs: Vec<Value>,
    /// Where the list goes on; `null` at its end.
    pub cursor: Option<String>,
    /// What is wrong with the operator's file, which was not taken up therefore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_error: Option<String>,
    /// What of the file means nothing here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_notes: Vec<String>,
}

/// A named job as it is stored: its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredConfig {
    text: String,
}

first_version!(StoredConfig = "a named job" by store::from_json);

impl Configs {
    pub(crate) fn new(store: Arc<dyn Store>, file: Option<PathBuf>) -> Self {
        let file = FromFile { path: file, ..FromFile::default() };
        Self { store, file: Arc::new(RwLock::new(file)) }
    }

    /// A page of them, by their names; of a request its count and its cursor count.
    pub(crate) async fn list(&self, request: &ListRequest) -> Result<ConfigList, JobsError> {
        let mut page = Page::of(request.count)?;
        let after = request.cursor.as_deref();
        let mut names = self.stored(after).await?;
        {
            let file = self.file.read();
            let is_behind = |name: &&String| after.is_none_or(|after| name.as_str() > after);
            let behind = file.jobs.keys().filter(is_behind);
            names.extend(behind.cloned());
        }
        let read = stream::iter(names).map(|name| async move {
            let shown = self.shown(&name).await?;
            Ok::<_, JobsError>((name, shown))
        });
        let mut read = std::pin::pin!(read.buffered(limits::READ_AHEAD));
        while let Some((name, shown)) = read.try_next().await? {
            // It may have been removed meanwhile.
            let Some(shown) = shown else { continue };
            if !page.add(&name, shown) {
                break;
            }
        }
        let (configs, cursor) = page.end();
        let file = self.file.read();
        let (file_error, file_notes) = (file.mistakes.clone(), file.notes.clone());
        Ok(ConfigList { configs, cursor, file_error, file_notes })
    }

    /// The names of those that were stored, behind one.
    async fn stored(&self, after: Option<&str>) -> Result<BTreeSet<String>> {
        let query = ListQuery {
            shelf: Shelf::Configs,
            field: None,
            from: String::new(),
            to: char::MAX.to_string(),
            after: after.map(|after| (after.to_owned(), after.to_owned())),
            most: limits::CONFIGS,
            brief: true,
        };
        let found = self.store.list(&query).await?;
        Ok(found.into_iter().map(|listed| listed.key).collect())
    }

    /// What lists show of one.
    async fn shown(&self, name: &str) -> Result<Option<Value>, JobsError> {
        if let Some(config) = self.file.read().jobs.get(name) {
            return Ok(Some(shown(config, "file")));
        }
        let stored = self.store.get(Shelf::Configs, name).await?;
        stored.map(|bytes| Ok(shown(&read(name, &bytes)?, "stored"))).transpose()
    }

    /// One of them.
    pub(crate) async fn get(&self, name: &str) -> Result<Config, JobsError> {
        if let Some(config) = self.file.read().jobs.get(name) {
            return Ok(config.clone());
        }
        match self.store.get(Shelf::Configs, name).await? {
            Some(bytes) => read(name, &bytes),
            None => Err(no_config(name)),
        }
    }

    /// Stores one; returns whether it is new.
    async fn put(&self, name: &str, body: &[u8]) -> Result<bool, JobsError> {
        Config::parse(name, body)?;
        if self.file.read().jobs.contains_key(name) {
            let message = format!("the job config \"{name}\" is one of the operator's file");
            return Err(JobsError::Conflict(message));
        }
        let is_new = self.store.get(Shelf::Configs, name).await?.is_none();
        if is_new {
            let stored = self.stored(None).await?.len();
            if stored >= limits::CONFIGS {
                let most = limits::CONFIGS;
                return Err(JobsError::Full(format!("there are {most} job configs already")));
            }
        }
        let text = std::str::from_utf8(body)
            .map_err(|error| JobsError::invalid("", format!("the job config is no text: {error}")))?
            .to_owned();
        let bytes = store::to_json(&StoredConfig { text })?;
        self.store.put(Shelf::Configs, name, bytes, Entry::default()).await?;
        Ok(is_new)
    }

    /// Removes one that was stored.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), JobsError> {
        if self.file.read().jobs.contains_key(name) {
            let message = format!("the job config \"{name}\" is one of the operator's file");
            return Err(JobsError::Conflict(message));
        }
        match self.store.remove(Shelf::Configs, name).await? {
            true => Ok(()),
            false => Err(no_config(name)),
        }
    }

    /// The document of a named job with these parameters.
    pub(crate) async fn fill(
        &self,
        runner: &Runner,
        name: &str,
        params: &Map<String, Value>,
        over: &Map<String, Value>,
    ) -> Result<Document, JobsError> {
        let config = self.get(name).await?;
        let mut values = config.resolve(params)?;
        if let Some(code) = &config.validator {
            values = validator::ask(runner, code, values).await?;
        }
        Ok(config.fill(&values, over)?)
    }

    /// Takes up the file as it is now. What is wrong with it is kept to be shown, and so are the jobs that
    /// it had before.
    pub(crate) fn take_up(&self, path: &Path, text: &str) {
        let syntax = match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Syntax::Toml,
            _ => Syntax::Yaml,
        };
        let read = mapring_jobs::Configs::parse(text, syntax);
        let mut file = self.file.write();
        match read {
            Ok(configs) => {
                let count = configs.jobs.len();
                tracing::info!(file = %path.display(), count, "named jobs are taken up");
                file.notes = configs.notes.iter().map(ToString::to_string).collect();
                for note in &file.notes {
                    tracing::info!(file = %path.display(), "{note}");
                }
                let by_name = configs.jobs.into_iter().map(|config| (config.name.clone(), config));
                file.jobs = by_name.collect();
                file.mistakes = None;
            }
            Err(mistakes) => {
                for mistake in mistakes.all() {
                    tracing::error!(file = %path.display(), "{mistake}");
                }
                tracing::error!(file = %path.display(), "it is not taken up, for its mistakes");
                file.mistakes = Some(mistakes.to_string());
            }
        }
    }

    /// The file cannot be read.
    fn unreadable(&self, why: String) {
        self.file.write().mistakes = Some(why);
    }

    fn path(&self) -> Option<PathBuf> {
        self.file.read().path.clone()
    }
}

/// Stores a named job, where one with what is usual for its parameters could run; returns whether it is new.
///
/// # Errors
/// `Invalid` with what is wrong with it; `Conflict` for one of the operator's file; `Full`.
pub(crate) async fn put(
    runner: &Runner,
    configs: &Configs,
    name: &str,
    body: &[u8],
) -> Result<bool, JobsError> {
    if let Some(document) = Config::parse(name, body)?.usual() {
        let mut problems = check::within(runner, "job", &document);
        // A callback that stands beside the job is told of where it stands.
        let given: Option<Value> = serde_json::from_slice(body).ok();
        if given.is_some_and(|given| given.get("callback").is_some()) {
            let of =
                problems.iter_mut().filter(|problem| problem.field.starts_with("job.callback"));
            of.for_each(|problem| problem.field = problem.field.split_off("job.".len()));
        }
        check::refuse(problems)?;
    }
    configs.put(name, body).await
}

fn no_config(name: &str) -> JobsError {
    JobsError::NotFound("job config", name.to_owned())
}

fn read(name: &str, bytes: &[u8]) -> Result<Config, JobsError> {
    let stored: StoredConfig = store::decode(Shelf::Configs, name, bytes)?;
    Ok(Config::parse(name, stored.text.as_bytes())?)
}

fn shown(config: &Config, from: &str) -> Value {
    let mut shown = config.json();
    if let Some(members) = shown.as_object_mut() {
        members.insert("from".to_owned(), from.into());
    }
    shown
}

/// Takes up the file of named jobs whenever it changes.
pub(crate) struct FileWorker {
    configs: Configs,
    /// What the file was when it was taken up, or could not be read.
    last: Option<Result<String, String>>,
}

impl FileWorker {
    /// Where there is a file.
    pub(crate) fn new(configs: Configs) -> Option<Self> {
        configs.path()?;
        Some(Self { configs, last: None })
    }
}

#[async_trait]
impl Worker for FileWorker {
    fn name(&self) -> &'static str {
        "job-configs"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(path) = self.configs.path() else { return Ok(Next::End) };
        let text = read_file(&path).await;
        if self.last.as_ref() != Some(&text) {
            match &text {
                Ok(text) => self.configs.take_up(&path, text),
                Err(why) => self.configs.unreadable(why.clone()),
            }
            self.last = Some(text);
        }
        let file = self.configs.file.read();
        context.say(format!("{} named jobs of {}", file.jobs.len(), path.display()));
        match &file.mistakes {
            Some(mistakes) => Err(Error::invalid(mistakes.clone())),
            None => Ok(Next::Wait),
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(limits::FILE_WATCH).await;
    }
}

async fn read_file(path: &Path) -> Result<String, String> {
    let most = mapring_jobs::limits::CONFIG_BYTES as u64;
    let shown = path.display();
    let size = tokio::fs::metadata(path).await.map_err(|error| format!("{shown}: {error}"))?.len();
    if size > most {
        return Err(format!("{shown} has more than {most} bytes"));
    }
    tokio::fs::read_to_string(path).await.map_err(|error| format!("{shown}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    const FILE: &str = "jobs:\n  - name: count\n    params:\n      - {name: bucket, type: string, required: true}\n    job: {inputs: \"${bucket}\", query: []}\n";

    #[tokio::test]
    async fn a_file_with_mistakes_leaves_what_was_there() {
        let configs = Configs::new(MemoryStore::new(), Some("jobs.yaml".into()));
        configs.take_up(Path::new("jobs.yaml"), FILE);
        let list = configs.list(&ListRequest::default()).await.unwrap();
        assert_eq!((list.configs[0]["name"].as_str(), list.file_error), (Some("count"), None));
        configs.take_up(Path::new("jobs.yaml"), "jobs:\n  - name: other\n    nothing: 1\n");
        let list = configs.list(&ListRequest::default()).await.unwrap();
        assert_eq!(list.configs[0]["name"], "count");
        let error = list.file_error.unwrap();
        assert!(error.contains("3:") && error.contains("nothing"), "{error}");
        configs.take_up(Path::new("jobs.yaml"), &FILE.replace("count", "other"));
        let list = configs.list(&ListRequest::default()).await.unwrap();
        assert_eq!((list.configs.len(), list.file_error), (1, None));
        assert_eq!(list.configs[0]["name"], "other");
    }

    #[tokio::test]
    async fn stored_ones_stand_beside_those_of_the_file() {
        let configs = Configs::new(MemoryStore::new(), Some("jobs.yaml".into()));
        configs.take_up(Path::new("jobs.yaml"), FILE);
        let body = br#"{"job":{"inputs":"b","query":[]}}"#;
        assert!(configs.put("daily", body).await.unwrap());
        assert!(!configs.put("daily", body).await.unwrap(), "it is there");
        assert!(matches!(configs.put("count", body).await, Err(JobsError::Conflict(_))));
        assert!(matches!(configs.put("bad", b"{}").await, Err(JobsError::Invalid(_))));
        let list = configs.list(&ListRequest::default()).await.unwrap().configs;
        let names: Vec<_> = list.iter().map(|config| (&config["name"], &config["from"])).collect();
        let expect = [("count".into(), "file".into()), ("daily".into(), "stored".into())];
        assert_eq!(names, expect.iter().map(|(a, b): &(Value, Value)| (a, b)).collect::<Vec<_>>());
        let page = |cursor: Option<&str>| ListRequest {
            count: Some(1),
            cursor: cursor.map(str::to_owned),
            ..ListRequest::default()
        };
        for (after, name, cursor) in
            [(None, "count", Some("count")), (Some("count"), "daily", None)]
        {
            let list = configs.list(&page(after)).await.unwrap();
            assert_eq!((list.configs.len(), list.cursor.as_deref()), (1, cursor));
            assert_eq!(list.configs[0]["name"], name);
        }
        assert_eq!(configs.get("daily").await.unwrap().name, "daily");
        configs.remove("daily").await.unwrap();
        assert!(matches!(configs.remove("daily").await, Err(JobsError::NotFound(..))));
        assert!(matches!(configs.remove("count").await, Err(JobsError::Conflict(_))));
        assert!(matches!(configs.get("daily").await, Err(JobsError::NotFound(..))));
    }
}
