//! What a node puts aside on its disk while it makes answers and objects of results: unlinked files,
//! all of them together within one bound.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mapring_kv::{Executor, executor};
use mapring_types::{Error, ErrorKind};

use crate::config::MapredConfig;
use crate::failure::{Failure, FailureKind};

/// See the module.
pub(crate) struct Spill {
    config: MapredConfig,
    executor: Arc<dyn Executor>,
    /// Bytes in all files.
    on_disk: Arc<AtomicU64>,
}

/// What is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A plain answer.
    Answer,
    /// Objects that a query writes.
    Output,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Output => "output",
        }
    }

    /// What its author can do instead.
    fn advice(self) -> &'static str {
        match self {
            Self::Answer => ": ask with ?chunked=true to get results as they come",
            Self::Output => ", by the setting mapred.answer_disk",
        }
    }
}

impl Spill {
    pub(crate) fn new(config: MapredConfig, executor: Arc<dyn Executor>) -> Arc<Self> {
        Arc::new(Self { config, executor, on_disk: Arc::default() })
    }

    /// What may be kept in memory before a file is made, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.config.answer_memory_bytes
    }

    /// A share of the disk, of nothing at first.
    pub(crate) fn share(&self, purpose: Purpose) -> Share {
        let most = self.config.answer_disk_bytes;
        Share { all: self.on_disk.clone(), own: 0, most, purpose }
    }

    /// Makes a file that is gone when it is closed.
    pub(crate) fn file(&self) -> impl FnOnce() -> io::Result<File> + Send + 'static {
        let directory = self.config.spill_dir.clone();
        move || tempfile::tempfile_in(directory)
    }

    /// Runs file work where blocking work may run.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let work = move || {
            work().map_err(|error| {
                Error::new(ErrorKind::Storage, "a temporary file failed").with_source(error)
            })
        };
        executor::run(self.executor.as_ref(), work).await
    }

    #[cfg(test)]
    pub(crate) fn on_disk(&self) -> u64 {
        self.on_disk.load(Ordering::Relaxed)
    }
}

/// What somebody has of the bytes on disk. Given back when it is dropped.
pub(crate) struct Share {
    all: Arc<AtomicU64>,
    own: u64,
    most: u64,
    purpose: Purpose,
}

impl Share {
    /// # Errors
    /// When all together would have more than they may.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Failure> {
        let Self { most, purpose, .. } = *self;
        let room = |all: u64| all.checked_add(bytes).filter(|&all| all <= most);
        if self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok() {
            self.own += bytes;
            return Ok(());
        }
        let (word, advice) = (purpose.word(), purpose.advice());
        let whose = if self.own + bytes > most {
            format!("this {word}")
        } else {
            format!("all {word}s together")
        };
        let message = format!(
            "no more than {most} bytes of plain answers and outputs are put aside on this node, and \
             {whose} would be more{advice}"
        );
        Err(Failure::new(FailureKind::AnswerSize, message))
    }

    /// Whether there is anything on disk.
    pub(crate) fn is_used(&self) -> bool {
        self.own > 0
    }

    /// What is said when a file fails.
    pub(crate) fn failed(&self, error: &Error) -> Failure {
        let (word, advice) = match self.purpose {
            Purpose::Answer => ("answer", "; ask with ?chunked=true to get results as they come"),
            Purpose::Output => ("output", ""),
        };
        let message = format!("the {word} cannot be put aside: {error}{advice}");
        Failure::new(FailureKind::Node(error.kind()), message)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}
