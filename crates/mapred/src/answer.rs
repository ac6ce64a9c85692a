//! Plain answers: collected whole, because their length and their form are known only at the end
//! (reference §6.8). In memory up to a bound, then in unlinked temporary files, then not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use mapring_kv::{Executor, executor};
use mapring_types::{Error, ErrorKind};

use crate::failure::Failure;
use crate::grammar::Query;
use crate::{MapredConfig, PhaseResults, Results, limits};

/// A whole plain answer: its length is known before the first byte leaves.
pub struct Answer {
    /// Bytes in all.
    pub length: u64,
    /// The body.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

/// Runs a query to its end and gives its plain answer.
///
/// # Errors
/// The query's failure, or that the answer is too large.
pub(crate) async fn collect(
    query: &Query,
    mut results: Results,
    config: &MapredConfig,
    executor: &Arc<dyn Executor>,
) -> Result<Answer, Failure> {
    let mut collector = Collector {
        config: config.clone(),
        executor: executor.clone(),
        phases: BTreeMap::new(),
        in_memory: 0,
        on_disk: 0,
    };
    while let Some(results) = results.next().await {
        collector.add(results?).await?;
    }
    collector.finish(query.kept_phases()).await
}

struct Collector {
    config: MapredConfig,
    executor: Arc<dyn Executor>,
    phases: BTreeMap<usize, Part>,
    in_memory: u64,
    on_disk: u64,
}

/// The values of one phase, separated by commas: first those in the file, then those in memory.
#[derive(Default)]
struct Part {
    file: Option<File>,
    file_bytes: u64,
    memory: Vec<u8>,
}

impl Collector {
    async fn add(&mut self, results: PhaseResults) -> Result<(), Failure> {
        let part = self.phases.entry(results.phase).or_default();
        for value in results.values {
            let before = part.memory.len();
            if before > 0 || part.file_bytes > 0 {
                part.memory.push(b',');
            }
            part.memory.extend_from_slice(value.0.as_bytes());
            self.in_memory += (part.memory.len() - before) as u64;
        }
        if self.in_memory > self.config.answer_memory_bytes {
            self.spill().await?;
        }
        Ok(())
    }

    /// Writes everything that is in memory to the files.
    async fn spill(&mut self) -> Result<(), Failure> {
        if self.on_disk + self.in_memory > self.config.answer_disk_bytes {
            return Err(Failure::query(format_args!(
                "the answer is larger than {} bytes: ask with ?chunked=true to get results as \
                 they come",
                self.config.answer_disk_bytes
            )));
        }
        for part in self.phases.values_mut() {
            if part.memory.is_empty() {
                continue;
            }
            let (bytes, file) = (std::mem::take(&mut part.memory), part.file.take());
            let (length, directory) = (bytes.len() as u64, self.config.spill_dir.clone());
            let written = off_reactor(&self.executor, move || {
                let mut file = match file {
                    Some(file) => file,
                    None => tempfile::tempfile_in(&directory)?,
                };
                file.write_all(&bytes)?;
                Ok(file)
            });
            part.file = Some(written.await.map_err(|error| {
                Failure::query(format_args!("the answer cannot be put aside: {error}"))
            })?);
            part.file_bytes += length;
            self.on_disk += length;
        }
        self.in_memory = 0;
        Ok(())
    }

    /// No kept phase gives `[]`, one a flat list, several a list of lists in which phases without
    /// results are left out.
    async fn finish(self, kept_phases: usize) -> Result<Answer, Failure> {
        let nested = kept_phases > 1;
        let mut pieces = vec![Piece::Bytes(Bytes::from_static(b"["))];
        for (number, part) in self.phases.into_values().enumerate() {
            if nested {
                let open: &'static [u8] = if number == 0 { b"[" } else { b",[" };
                pieces.push(Piece::Bytes(Bytes::from_static(open)));
            }
            if let Some(file) = part.file {
                pieces.push(Piece::File { file, left: part.file_bytes, rewound: false });
            }
            pieces.push(Piece::Bytes(part.memory.into()));
            if nested {
                pieces.push(Piece::Bytes(Bytes::from_static(b"]")));
            }
        }
        pieces.push(Piece::Bytes(Bytes::from_static(b"]")));
        let length = pieces.iter().map(Piece::length).sum();
        let body = stream::try_unfold(
            (pieces.into_iter(), None, self.executor),
            |(mut pieces, current, executor)| async move {
                let mut current: Option<Piece> = current;
                loop {
                    let Some(piece) = current.take().or_else(|| pieces.next()) else {
                        return Ok(None);
                    };
                    let (bytes, rest) = piece.read(&executor).await?;
                    current = rest;
                    if !bytes.is_empty() {
                        return Ok(Some((bytes, (pieces, current, executor))));
                    }
                }
            },
        );
        Ok(Answer { length, body: body.boxed() })
    }
}

/// A stretch of an answer.
enum Piece {
    Bytes(Bytes),
    File { file: File, left: u64, rewound: bool },
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        }
    }

    /// The next chunk, and what is left of the piece.
    async fn read(self, executor: &Arc<dyn Executor>) -> io::Result<(Bytes, Option<Self>)> {
        match self {
            Self::Bytes(mut bytes) => {
                let chunk = bytes.split_to(bytes.len().min(limits::ANSWER_CHUNK));
                let rest = (!bytes.is_empty()).then_some(Self::Bytes(bytes));
                Ok((chunk, rest))
            }
            Self::File { mut file, left, rewound } => {
                let read = off_reactor(executor, move || {
                    if !rewound {
                        file.seek(SeekFrom::Start(0))?;
                    }
                    let most = limits::ANSWER_CHUNK as u64;
                    let mut chunk = vec![0; usize::try_from(left.min(most)).unwrap_or(0)];
                    file.read_exact(&mut chunk)?;
                    Ok((file, chunk))
                });
                let (file, chunk) = read.await.map_err(io::Error::other)?;
                let left = left - chunk.len() as u64;
                let rest = (left > 0).then_some(Self::File { file, left, rewound: true });
                Ok((chunk.into(), rest))
            }
        }
    }
}

/// Runs file work where blocking work may run.
async fn off_reactor<T: Send + 'static>(
    executor: &Arc<dyn Executor>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let work = move || {
        work().map_err(|error| {
            Error::new(ErrorKind::Storage, "a temporary file failed").with_source(error)
        })
    };
    executor::run(executor.as_ref(), work).await
}

#[cfg(test)]
mod tests {
    use mapring_kv::executor::Inline;
    use mapring_script::JsonText;

    use super::*;
    use crate::grammar;

    fn query(keeps: &[bool]) -> Query {
        let phases: Vec<String> =
            keeps.iter().map(|keep| format!(r#"{{"link":{{"keep":{keep}}}}}"#)).collect();
        let body = format!(r#"{{"inputs":"b","query":[{}]}}"#, phases.join(","));
        grammar::parse(body.as_bytes()).unwrap()
    }

    fn results(of: &[(usize, &[&str])]) -> Results {
        let items: Vec<_> = of
            .iter()
            .map(|(phase, values)| {
                let values = values.iter().map(|text| JsonText((*text).to_owned())).collect();
                Ok(PhaseResults { phase: *phase, values })
            })
            .collect();
        stream::iter(items).boxed()
    }

    async fn body(
        query: &Query,
        results: Results,
        config: &MapredConfig,
    ) -> Result<String, Failure> {
        let executor: Arc<dyn Executor> = Arc::new(Inline);
        let mut answer = collect(query, results, config, &executor).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.body.next().await {
            body.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(body.len() as u64, answer.length);
        Ok(String::from_utf8(body).unwrap())
    }

    #[track_caller]
    fn check(keeps: &[bool], of: &[(usize, &[&str])], expect: &str) {
        for answer_memory_bytes in [0, 3, 1 << 20] {
            let config = MapredConfig { answer_memory_bytes, ..MapredConfig::default() };
            let found = futures::executor::block_on(body(&query(keeps), results(of), &config));
            assert_eq!(found.unwrap(), expect);
        }
    }

    #[test]
    fn forms() {
        check(&[false], &[], "[]");
        check(&[true], &[], "[]");
        check(&[], &[(0, &["1"])], "[1]");
        check(&[true], &[(0, &["1", "2"]), (0, &["3"])], "[1,2,3]");
        check(&[false, true], &[(1, &["1"])], "[1]");
        check(&[true, true], &[], "[]");
        check(&[true, true], &[(1, &["[2]"])], "[[[2]]]");
        check(&[true, true], &[(0, &["1"]), (1, &["3"]), (0, &["2"])], "[[1,2],[3]]");
        check(&[true, false, true], &[(2, &["9"]), (0, &["1"])], "[[1],[9]]");
    }

    #[test]
    fn too_large_names_the_way_out() {
        let config = MapredConfig {
            answer_memory_bytes: 10,
            answer_disk_bytes: 100,
            ..MapredConfig::default()
        };
        let many: Vec<(usize, &[&str])> = vec![(0, &["1234567890"]); 20];
        let failure = futures::executor::block_on(body(&query(&[true]), results(&many), &config));
        assert!(failure.unwrap_err().body.contains("chunked=true"));
    }

    #[test]
    fn large_answers_come_back_whole() {
        let config = MapredConfig { answer_memory_bytes: 1_000, ..MapredConfig::default() };
        let value = "7".repeat(999);
        let values: Vec<&str> = vec![&value; 1_000];
        let parts: Vec<(usize, &[&str])> = values.chunks(7).map(|chunk| (0, chunk)).collect();
        let found = futures::executor::block_on(body(&query(&[true]), results(&parts), &config));
        assert_eq!(found.unwrap(), format!("[{}]", values.join(",")));
    }

    #[test]
    fn a_failure_is_the_answer() {
        let failed: Results = stream::iter([
            Ok(PhaseResults { phase: 0, values: vec![JsonText("1".into())] }),
            Err(Failure::timeout()),
        ])
        .boxed();
        let found =
            futures::executor::block_on(body(&query(&[true]), failed, &MapredConfig::default()));
        assert_eq!(found.unwrap_err(), Failure::timeout());
    }
}
