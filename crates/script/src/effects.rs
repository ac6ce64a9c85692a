//! What functions ask for beside their results: counts, writes, lines of the log. They take effect
//! with the results of the call, or not at all.

use std::collections::BTreeMap;

use bytes::Bytes;
use mapring_types::{Metadata, ObjectId, Quorum};
use serde::{Deserialize, Serialize};

use crate::limits;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// What `count` added up, by name.
    pub counts: BTreeMap<String, i64>,
    /// Writes, in the order in which they were asked for.
    pub writes: Vec<WriteOp>,
    /// Lines of the log, the first [`limits::LOG_LINES`].
    pub logs: Vec<LogLine>,
    /// How many more lines there were.
    pub logs_dropped: u64,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteOp {
    /// Stores an object.
    Put {
        /// Its name.
        id: ObjectId,
        /// Its content type, indexes and links.
        metadata: Metadata,
        /// Its bytes.
        body: Bytes,
        /// How many replicas must take it.
        w: Quorum,
    },
    /// Deletes an object.
    Delete {
        /// Its name.
        id: ObjectId,
    },
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How important it is.
    pub level: LogLevel,
    /// At most [`limits::LOG_LINE_BYTES`] and a little, without control characters.
    pub message: String,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LogLevel {
    /// `debug`.
    Debug,
    /// `info`.
    Info,
    /// `warn`, `warning`.
    Warn,
    /// `error`.
    Error,
}

impl LogLevel {
    /// The level that a word names.
    pub fn find(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

impl WriteOp {
    /// About the bytes that it takes.
    pub fn bytes(&self) -> usize {
        let name = |id: &ObjectId| {
            id.bucket.bucket_type.len() + id.bucket.name.len() + id.key.len() + size_of::<Self>()
        };
        match self {
            Self::Put { id, metadata, body, .. } => {
                let indexes = metadata
                    .indexes
                    .iter()
                    .map(|(field, value)| field.len() + value.as_bytes().len() + 32);
                let links = metadata
                    .links
                    .iter()
                    .map(|link| link.bucket.len() + link.key.len() + link.tag.len() + 96);
                name(id)
                    + metadata.content_type.len()
                    + indexes.sum::<usize>()
                    + links.sum::<usize>()
                    + body.len()
            }
            Self::Delete { id } => name(id),
        }
    }
}

impl Effects {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
            && self.writes.is_empty()
            && self.logs.is_empty()
            && self.logs_dropped == 0
    }

    /// About the bytes that they take.
    pub fn bytes(&self) -> usize {
        let counts = self.counts.keys().map(|name| name.len() + 48);
        let logs = self.logs.iter().map(|line| line.message.len() + size_of::<LogLine>());
        let writes = self.writes.iter().map(WriteOp::bytes);
        counts.sum::<usize>() + logs.sum::<usize>() + writes.sum::<usize>()
    }

    /// Adds what was asked for later.
    pub fn merge(&mut self, later: Self) {
        let Self { counts, writes, logs, logs_dropped } = later;
        for (name, delta) in counts {
            self.count(name, delta);
        }
        self.writes.extend(writes);
        self.logs_dropped = self.logs_dropped.saturating_add(logs_dropped);
        logs.into_iter().for_each(|line| self.log(line));
    }

    /// Adds to a count.
    pub fn count(&mut self, name: String, delta: i64) {
        let count = self.counts.entry(name).or_default();
        *count = count.saturating_add(delta);
    }

    /// Adds a line of the log, or counts it as dropped where there are enough.
    pub fn log(&mut self, line: LogLine) {
        if self.logs.len() < limits::LOG_LINES {
            self.logs.push(line);
        } else {
            self.logs_dropped = self.logs_dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::BucketId;

    use super::*;

    #[test]
    fn what_is_merged_adds_up_in_order() {
        let write =
            |key: &'static str| WriteOp::Delete { id: ObjectId::new(BucketId::untyped("b"), key) };
        let line = |text: &str| LogLine { level: LogLevel::Info, message: text.to_owned() };
        let effects = |name: &str, by, key, text: &str| {
            let mut effects = Effects::default();
            effects.count(name.to_owned(), by);
            effects.writes.push(write(key));
            effects.log(line(text));
            effects
        };
        let mut all = effects("a", 2, "k1", "one");
        all.merge(effects("a", -5, "k2", "two"));
        all.merge(effects("b", i64::MAX, "k3", "three"));
        all.merge(effects("b", 1, "k4", "four"));
        assert_eq!(all.counts, [("a".to_owned(), -3), ("b".to_owned(), i64::MAX)].into());
        assert_eq!(all.writes, ["k1", "k2", "k3", "k4"].map(write));
        assert_eq!(all.logs, ["one", "two", "three", "four"].map(line));
        for _ in 0..limits::LOG_LINES {
            all.log(line("more"));
        }
        assert_eq!((all.logs.len(), all.logs_dropped), (limits::LOG_LINES, 4));
        assert!(all.bytes() > 4 * size_of::<WriteOp>() && !all.is_empty());
        let sent = postcard::to_allocvec(&all).unwrap();
        assert_eq!(postcard::from_bytes::<Effects>(&sent).unwrap(), all);
    }

    #[test]
    fn levels_have_names() {
        assert_eq!(LogLevel::find("Warning"), Some(LogLevel::Warn));
        assert_eq!(LogLevel::find("fatal"), None);
    }
}
