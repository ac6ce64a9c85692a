//! Plain answers: collected whole, because their length and their form are known only at the end
//! (facts R66 to R68). In memory up to a bound, then in unlinked temporary files, then not at all.

mod object;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use mapring_script::Row;

use crate::failure::Failure;
use crate::grammar::{AnswerForm, Query, Target};
use crate::limits;
use crate::results::{PhaseResults, Results};
use crate::spill::{Purpose, Share, Spill};

/// A whole plain answer: its length is known before the first byte leaves.
pub struct Answer {
    /// Bytes in all.
    pub length: u64,
    /// Whether it is JSON a line, and not one JSON document.
    pub is_lines: bool,
    /// The body.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

impl Answer {
    /// The answer as the member `results` of an object, beside a profile.
    pub(crate) fn with_profile(self, profile: &str) -> Self {
        let before = Bytes::from_static(b"{\"results\":");
        let after = Bytes::from(format!(",\"profile\":{profile}}}"));
        let length = self.length + (before.len() + after.len()) as u64;
        let text = |bytes| stream::iter([Ok(bytes)]);
        Self {
            length,
            is_lines: false,
            body: text(before).chain(self.body).chain(text(after)).boxed(),
        }
    }
}

/// The plain answers of a node.
pub(crate) struct Answers {
    spill: Arc<Spill>,
}

impl Answers {
    pub(crate) fn new(spill: Arc<Spill>) -> Self {
        Self { spill }
    }

    /// Runs a query to its end and gives its plain answer.
    ///
    /// # Errors
    /// The query's failure, or that there is no room for the answer.
    pub(crate) async fn collect(
        &self,
        query: &Query,
        mut results: Results,
    ) -> Result<Answer, Failure> {
        let form = match query.output().target {
            Target::Answer(AnswerForm::Object) => {
                return object::collect(&self.spill, results).await;
            }
            Target::Answer(form) => form,
            Target::Objects(_) => AnswerForm::List,
        };
        let mut collector = Collector {
            spill: &self.spill,
            separator: if form == AnswerForm::Lines { b'\n' } else { b',' },
            phases: BTreeMap::new(),
            rows: 0,
            in_memory: 0,
            on_disk: self.spill.share(Purpose::Answer),
        };
        while let Some(results) = results.next().await {
            let results = results?;
            assert!(query.keeps(results.phase), "phase {} is not kept", results.phase);
            collector.add(results).await?;
        }
        Ok(match form {
            AnswerForm::Lines => collector.finish_lines(),
            AnswerForm::List | AnswerForm::Object => collector.finish(query.kept_phases()),
        })
    }
}

struct Collector<'a> {
    spill: &'a Arc<Spill>,
    /// What stands after each row in the files.
    separator: u8,
    phases: BTreeMap<usize, PhaseRows>,
    /// How many rows have come.
    rows: u64,
    in_memory: u64,
    on_disk: Share,
}

/// The values of one phase: first those in the file, then those in memory.
#[derive(Default)]
struct PhaseRows {
    file: Option<File>,
    file_bytes: u64,
    file_rows: u64,
    memory: Vec<Row>,
}

impl Collector<'_> {
    async fn add(&mut self, results: PhaseResults) -> Result<(), Failure> {
        let part = self.phases.entry(results.phase).or_default();
        self.in_memory += separated(&results.values);
        self.rows += results.values.len() as u64;
        part.memory.extend(results.values);
        let most = self.spill.memory();
        // Once there is a file, memory is only for making few and long writes.
        let most = if self.on_disk.is_used() { most.min(limits::SPILL_BYTES) } else { most };
        if self.in_memory > most { self.spill().await } else { Ok(()) }
    }

    /// Writes everything that is in memory to the files.
    async fn spill(&mut self) -> Result<(), Failure> {
        let separator = self.separator;
        self.on_disk.grow(self.in_memory)?;
        for part in self.phases.values_mut() {
            if part.memory.is_empty() {
                continue;
            }
            // Pairs of an answer that is so large stay objects in a list.
            let values = std::mem::take(&mut part.memory);
            let file = part.file.take();
            let (length, make) = (separated(&values), self.spill.file());
            part.file_rows += values.len() as u64;
            let written = self.spill.run(move || {
                let file = file.map_or_else(make, Ok)?;
                let mut file = BufWriter::with_capacity(limits::ANSWER_CHUNK, file);
                for value in values {
                    file.write_all(value.text().as_bytes())?;
                    file.write_all(&[separator])?;
                }
                file.into_inner().map_err(io::IntoInnerError::into_error)
            });
            part.file = Some(written.await.map_err(|error| self.on_disk.failed(&error))?);
            part.file_bytes += length;
        }
        self.in_memory = 0;
        Ok(())
    }

    /// No kept phase gives `[]`, one a flat list, several a list of lists in which phases without
    /// results are left out. A list of nothing but pairs is an object, if no name would come twice.
    fn finish(self, kept_phases: usize) -> Answer {
        let rows = |part: &PhaseRows| part.file_rows + part.memory.len() as u64;
        let written: u64 = self.phases.values().map(rows).sum();
        assert_eq!(written, self.rows, "an answer has the rows that came");
        assert!(self.phases.len() <= kept_phases, "{} of {kept_phases}", self.phases.len());
        let nested = kept_phases > 1;
        let mut whole_is_object = false;
        let mut pieces = vec![Piece::Text("[")];
        let only_pairs = |part: &PhaseRows| {
            part.file.is_none() && is_one_object(part.memory.iter().map(Row::member))
        };
        for (number, part) in self.phases.into_values().enumerate() {
            let pairs = only_pairs(&part);
            let (begin, end) = if pairs { ("{", "}") } else { ("[", "]") };
            if nested && number > 0 {
                pieces.push(Piece::Text(","));
            }
            if nested || pairs {
                pieces.push(Piece::Text(begin));
            }
            let written = if pairs { Written::Members } else { Written::Values };
            let in_memory = part.memory.iter().map(|row| written.text(row).len() as u64 + 1).sum();
            // Every value is followed by a comma, but for the last one.
            let last = u64::from(in_memory == 0);
            if let Some(file) = part.file {
                let left = part.file_bytes.saturating_sub(last);
                pieces.push(Piece::File { file, left, rewound: false });
            }
            let left = u64::saturating_sub(in_memory, 1);
            pieces.push(Piece::Rows { rows: part.memory.into_iter(), written, left });
            if nested || pairs {
                pieces.push(Piece::Text(end));
            }
            whole_is_object = pairs && !nested;
        }
        pieces.push(Piece::Text("]"));
        if whole_is_object {
            // The object stands alone.
            pieces.pop();
            pieces.remove(0);
        }
        answer(pieces, self.spill, self.on_disk, false)
    }

    /// Each result on a line of its own.
    fn finish_lines(self) -> Answer {
        let mut pieces = Vec::new();
        for part in self.phases.into_values() {
            if let Some(file) = part.file {
                pieces.push(Piece::File { file, left: part.file_bytes, rewound: false });
            }
            let (written, left) = (Written::Lines, separated(&part.memory));
            pieces.push(Piece::Rows { rows: part.memory.into_iter(), written, left });
        }
        answer(pieces, self.spill, self.on_disk, true)
    }
}

fn answer(pieces: Vec<Piece>, spill: &Arc<Spill>, on_disk: Share, is_lines: bool) -> Answer {
    let length = pieces.iter().map(Piece::length).sum();
    let body = AnswerBody {
        left: length,
        pieces: pieces.into_iter(),
        current: None,
        spill: spill.clone(),
        _on_disk: on_disk,
    };
    let body = stream::try_unfold(body, |mut body| async move {
        Ok(body.next().await?.map(|bytes| (bytes, body)))
    });
    Answer { length, is_lines, body: body.boxed() }
}

/// Whether values can be written as one object: there are some, each is the member of an object (see
/// [`Row::member`]), and no name comes twice. Riak repeats names; whoever reads such an object
/// as JSON loses all values but one of each.
pub fn is_one_object<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> bool {
    let mut names = HashSet::new();
    let new = |member: Option<&'a str>| member.is_some_and(|member| names.insert(name_of(member)));
    let mut values = values.into_iter().map(new).peekable();
    values.peek().is_some() && values.all(|new| new)
}

/// The name of a member, as it is written.
fn name_of(member: &str) -> &str {
    let mut escaped = true;
    let end = member.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    member.get(..end.unwrap_or(member.len())).unwrap_or(member)
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// As the values of a list.
    Values,
    /// As the members of an object: all are pairs.
    Members,
    /// A value a line.
    Lines,
}

impl Written {
    fn text(self, row: &Row) -> &str {
        match self {
            Self::Values | Self::Lines => row.text(),
            Self::Members => row.member().unwrap_or_else(|| row.text()),
        }
    }
}

/// The length of values with a separator after each.
fn separated(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.bytes() as u64 + 1).sum()
}

/// An answer on its way to the client.
struct AnswerBody {
    /// Bytes that are still to be sent.
    left: u64,
    pieces: std::vec::IntoIter<Piece>,
    current: Option<Piece>,
    spill: Arc<Spill>,
    _on_disk: Share,
}

impl AnswerBody {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(piece) = self.current.take().or_else(|| self.pieces.next()) else {
                assert_eq!(self.left, 0, "an answer is as long as its client was told");
                return Ok(None);
            };
            let (bytes, rest) = piece.read(&self.spill).await?;
            self.current = rest;
            let sent = bytes.len() as u64;
            assert!(sent <= self.left, "{sent} bytes of an answer that has {} left", self.left);
            self.left -= sent;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// A stretch of an answer.
enum Piece {
    Text(&'static str),
    /// Rows with commas between them, or on lines, `left` bytes.
    Rows {
        rows: std::vec::IntoIter<Row>,
        written: Written,
        left: u64,
    },
    File {
        file: File,
        left: u64,
        rewound: bool,
    },
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Rows { left, .. } | Self::File { left, .. } => *left,
        }
    }

    /// The next chunk, and what is left of the piece.
    async fn read(self, spill: &Spill) -> io::Result<(Bytes, Option<Self>)> {
        match self {
            Self::Text(text) => Ok((text.into(), None)),
            Self::Rows { mut rows, written, left } => {
                let mut chunk = BytesMut::new();
                while chunk.len() < limits::ANSWER_CHUNK
                    && let Some(row) = rows.next()
                {
                    chunk.put_slice(written.text(&row).as_bytes());
                    match written {
                        Written::Lines => chunk.put_u8(b'\n'),
                        Written::Values | Written::Members if rows.len() > 0 => chunk.put_u8(b','),
                        Written::Values | Written::Members => {}
                    }
                }
                let left = left - chunk.len() as u64;
                let rest = (left > 0).then_some(Self::Rows { rows, written, left });
                Ok((chunk.freeze(), rest))
            }
            Self::File { mut file, left, rewound } => {
                let read = spill.run(move || {
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

#[cfg(test)]
mod tests {
    use mapring_kv::executor::Inline;

    use super::*;
    use crate::FailureKind;
    use crate::config::MapredConfig;
    use crate::grammar;

    fn query(keeps: &[bool]) -> Query {
        let phases: Vec<String> =
            keeps.iter().map(|keep| format!(r#"{{"link":{{"keep":{keep}}}}}"#)).collect();
        let body = format!(r#"{{"inputs":"b","query":[{}]}}"#, phases.join(","));
        grammar::parse(body.as_bytes()).unwrap()
    }

    /// What begins with a space is a pair.
    fn row(text: &str) -> Row {
        text.strip_prefix(' ')
            .map_or_else(|| Row::value(text), |pair| Row::pair_of(pair.to_owned()))
    }

    fn results(of: &[(usize, &[&str])]) -> Results {
        let items: Vec<_> = of
            .iter()
            .map(|(phase, values)| {
                let values = values.iter().map(|text| row(text)).collect();
                Ok(PhaseResults::new(*phase, values))
            })
            .collect();
        stream::iter(items).boxed()
    }

    async fn body(
        query: &Query,
        results: Results,
        config: &MapredConfig,
    ) -> Result<String, Failure> {
        let answers = Answers::new(Spill::new(config.clone(), Arc::new(Inline)));
        let mut answer = answers.collect(query, results).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.body.next().await {
            body.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(body.len() as u64, answer.length);
        drop(answer);
        assert_eq!(answers.spill.on_disk(), 0);
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
    fn lists_of_nothing_but_pairs_are_objects() {
        let [one, two, other] = [r#" {"a":1}"#, r#" {"a":[2]}"#, r#" {"b":{}}"#];
        let check = |keeps: &[bool], of: &[(usize, &[&str])], most: u64, expect: &str| {
            let config = MapredConfig { answer_memory_bytes: most, ..MapredConfig::default() };
            let found = futures::executor::block_on(body(&query(keeps), results(of), &config));
            assert_eq!(found.unwrap(), expect);
        };
        check(&[true], &[(0, &[one]), (0, &[other])], 1_000, r#"{"a":1,"b":{}}"#);
        // No name comes twice.
        check(&[true], &[(0, &[one]), (0, &[two])], 1_000, r#"[{"a":1},{"a":[2]}]"#);
        check(&[true], &[(0, &[one])], 1_000, r#"{"a":1}"#);
        check(&[true], &[(0, &[one, "3", two])], 1_000, r#"[{"a":1},3,{"a":[2]}]"#);
        let both = r#"[{"a":1},[{"a":[2]},4]]"#;
        check(&[true, true], &[(0, &[one]), (1, &[two, "4"])], 1_000, both);
        check(&[true, true], &[(1, &[one])], 1_000, r#"[{"a":1}]"#);
        // An answer that outgrows the memory is a list.
        check(&[true], &[(0, &[one]), (0, &[other])], 3, r#"[{"a":1},{"b":{}}]"#);
    }

    #[test]
    fn answers_have_the_form_that_is_asked_for() {
        let check = |output: &str, of: &[(usize, &[&str])], expect: &str| {
            let text = format!(r#"{{"inputs":"b","query":[{{"link":{{}}}}],"output":{output}}}"#);
            let query = grammar::parse(text.as_bytes()).unwrap();
            for answer_memory_bytes in [0, 3, 1 << 20] {
                let config = MapredConfig { answer_memory_bytes, ..MapredConfig::default() };
                let found = futures::executor::block_on(body(&query, results(of), &config));
                assert_eq!(found.unwrap(), expect, "{output}");
            }
        };
        let lines = r#"{"as":"ndjson"}"#;
        check(lines, &[], "");
        check(
            lines,
            &[(0, &["1", r#"["a",2]"#]), (0, &[r#" {"b":3}"#])],
            "1\n[\"a\",2]\n{\"b\":3}\n",
        );
        let object = r#"{"as":"object"}"#;
        check(object, &[], "{}");
        check(object, &[(0, &[r#"["b",1]"#]), (0, &[r#"["a",[2]]"#])], r#"{"a":[2],"b":1}"#);
        check(object, &[(0, &[r#" {"b":1}"#, r#"["a\"",null]"#])], r#"{"a\"":null,"b":1}"#);
        check(
            object,
            &[(0, &[r#"{"b":{"c":1}}"#, r#"{ "a" : [2] }"#])],
            r#"{"a":[2],"b":{"c":1}}"#,
        );
        let text = r#"{"as":"object","values":"string"}"#;
        check(text, &[(0, &[r#"["b","1"]"#, r#"{"a":"2"}"#])], r#"{"a":"2","b":"1"}"#);
        let keys = [r#"[10,1]"#, r#"[[1,"x"],2]"#, "[null,3]", "[2,4]"];
        let halves = [r#"["\ud800",1]"#, r#"["\udc00",2]"#, r#"["\ufffd",3]"#];
        check(object, &[(0, &halves)], r#"{"\ud800":1,"\udc00":2,"\ufffd":3}"#);
        check(object, &[(0, &keys)], r#"{"10":1,"2":4,"[1,\"x\"]":2,"null":3}"#);
        check(r#"{"as":"list"}"#, &[(0, &[r#"["b",1]"#])], r#"[["b",1]]"#);
    }

    #[test]
    fn what_is_no_member_of_an_object_fails_it() {
        let text = r#"{"inputs":"b","query":[{"link":{}}],"output":{"as":"object"}}"#;
        let query = grammar::parse(text.as_bytes()).unwrap();
        let check = |values: &[&str], says: &str| {
            for answer_memory_bytes in [0, 1 << 20] {
                let config = MapredConfig { answer_memory_bytes, ..MapredConfig::default() };
                let of = [(0, values)];
                let found = futures::executor::block_on(body(&query, results(&of), &config));
                let failure = found.unwrap_err();
                assert_eq!((failure.kind, failure.phase), (FailureKind::BadInput, Some(0)));
                assert!(failure.message.contains(says), "{failure}");
            }
        };
        check(&["1"], "no [key, value]");
        check(&["[1]"], "no [key, value]");
        check(&["[1,2,3]"], "no [key, value]");
        check(&["{}"], "no [key, value]");
        check(&[r#"{"a":1,"b":2}"#], "no [key, value]");
        check(&[r#"{"a":1}"#, r#"["a",2]"#], "more than one result has the key \"a\"");
        check(
            &[r#"["a",1]"#, r#"["b",2]"#, r#"["a",3]"#],
            "more than one result has the key \"a\"",
        );
        check(&["[1,1]", r#"["1",2]"#], "more than one result has the key \"1\"");
    }

    #[test]
    fn names_of_members_are_compared_as_written() {
        let one = |members: &[&str]| is_one_object(members.iter().copied().map(Some));
        assert!(one(&[r#""a":1"#, r#""b":"\"a\":""#]));
        assert!(one(&[r#""a\"":1"#, r#""a":1"#, r#""a\\":1"#, r#""":1"#]));
        assert!(!one(&[r#""a\"b":1"#, r#""b":2"#, r#""a\"b":3"#]));
        assert!(!one(&[]) && !is_one_object([Some(r#""a":1"#), None]));
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
        assert!(failure.unwrap_err().message.contains("chunked=true"));
    }

    #[test]
    fn all_answers_together_are_bounded() {
        let config = MapredConfig {
            answer_memory_bytes: 10,
            answer_disk_bytes: 100,
            ..MapredConfig::default()
        };
        let answers = Answers::new(Spill::new(config, Arc::new(Inline)));
        let some: Vec<(usize, &[&str])> = vec![(0, &["1234567890"]); 8];
        let ask = || futures::executor::block_on(answers.collect(&query(&[true]), results(&some)));
        let first = ask().unwrap();
        let refused = ask().err().unwrap().message.clone();
        assert!(refused.contains("together") && refused.contains("chunked=true"), "{refused}");
        drop(first);
        assert!(ask().is_ok());
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
            Ok(PhaseResults::new(0, vec![Row::value("1")])),
            Err(Failure::timeout()),
        ])
        .boxed();
        let found =
            futures::executor::block_on(body(&query(&[true]), failed, &MapredConfig::default()));
        assert_eq!(found.unwrap_err(), Failure::timeout());
    }
}
