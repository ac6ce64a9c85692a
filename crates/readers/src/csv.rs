//! Tables as text (RFC 4180): each row as JSON, a list, or under a header an object.
//!
//! `csv-core` takes the text apart. What it does not say is found here: where a row begins (of a row
//! that ends with CR LF it takes only the CR, so that places come out a byte and lines one too small),
//! rows that are empty lines, which in a table of one column are rows (it leaves them out), and whether
//! the last row's quotes are closed.

use csv_core::ReadRecordResult;

use crate::cursor::{OVER, Places};
use crate::documents::{Documents, Position, quoted, stop};
use crate::error::{FormatError, Pull, Stop};
use crate::limits;

/// What some programs write before a text in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// None is open.
    Closed,
    /// At a document's start, behind so many bytes of the mark.
    Mark(usize),
    /// About to go on at a byte, whose line is known.
    GoOn(u64, u64),
    Between,
    Row,
    /// Behind the CR of a row; or, when it is of none, of an empty line.
    Cr {
        row: bool,
    },
    Over,
}

/// A row as it is parsed.
struct Row {
    core: csv_core::Reader,
    fields: Vec<u8>,
    used: usize,
    ends: Vec<usize>,
    count: usize,
    too_large: bool,
}

impl Row {
    fn begin(&mut self) {
        (self.used, self.count, self.too_large) = (0, 0, false);
    }

    /// Parses; gives what was taken, and whether the row has ended.
    fn parse(&mut self, bytes: &[u8]) -> (usize, bool) {
        let (fields, ends) = (&mut self.fields[self.used..], &mut self.ends[self.count..]);
        let (result, took, used, count) = self.core.read_record(bytes, fields, ends);
        self.used += used;
        self.count += count;
        match result {
            ReadRecordResult::OutputFull if self.fields.len() < limits::ITEM_BYTES => {
                self.fields.resize(self.fields.len() * 2, 0);
            }
            ReadRecordResult::OutputEndsFull if self.ends.len() < limits::COLUMNS => {
                self.ends.resize((self.ends.len() * 2).min(limits::COLUMNS), 0);
            }
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                self.begin();
                self.too_large = true;
            }
            ReadRecordResult::InputEmpty | ReadRecordResult::Record | ReadRecordResult::End => {}
        }
        (took, result == ReadRecordResult::Record)
    }

    /// Ends the last row of a document, as a line feed would; `false` where that ends nothing, since
    /// quotes are open.
    fn end(&mut self) -> bool {
        loop {
            match self.parse(b"\n") {
                (_, true) => return true,
                (1, false) => return false,
                _ => {}
            }
        }
    }

    fn texts(&self) -> Result<Vec<String>, &'static str> {
        let mut row = Vec::with_capacity(self.count);
        let mut from = 0;
        for end in &self.ends[..self.count] {
            let field = self.fields.get(from..*end).unwrap_or_default();
            row.push(String::from_utf8(field.to_vec()).map_err(|_| "the row is not UTF-8")?);
            from = *end;
        }
        Ok(row)
    }
}

/// The layer.
pub(crate) struct Csv {
    inner: Box<dyn Documents>,
    has_header: bool,
    row: Row,
    phase: Phase,
    /// What the first row has said: its fields, or how many they are.
    header: Vec<String>,
    columns: Option<usize>,
    from: (u64, u64),
    /// Where the row begins, and the lines from 1.
    row_at: u64,
    row_line: u64,
    line: u64,
    after_cr: bool,
    next_at: u64,
    json: String,
    taken: usize,
}

impl Csv {
    /// Fields end at `separator`, or at a comma.
    ///
    /// # Errors
    /// When the separator cannot be one.
    pub(crate) fn new(
        inner: Box<dyn Documents>,
        has_header: bool,
        separator: Option<&str>,
    ) -> Result<Self, FormatError> {
        let &[separator] = separator.unwrap_or(",").as_bytes() else {
            return Err(FormatError::new("separator", "that of a table is one ASCII character"));
        };
        if matches!(separator, b'"' | b'\r' | b'\n') {
            return Err(FormatError::new("separator", "that of a table is none of \", CR and LF"));
        }
        Ok(Self {
            inner,
            has_header,
            row: Row {
                core: csv_core::ReaderBuilder::new().delimiter(separator).build(),
                fields: vec![0; limits::BUFFER_BYTES],
                used: 0,
                ends: vec![0; 64],
                count: 0,
                too_large: false,
            },
            phase: Phase::Closed,
            header: Vec::new(),
            columns: None,
            from: (0, 0),
            row_at: 0,
            row_line: 1,
            line: 1,
            after_cr: false,
            next_at: 0,
            json: String::new(),
            taken: 0,
        })
    }

    fn begin(&mut self) {
        self.row.core.reset();
        self.header.clear();
        self.columns = None;
        (self.row_at, self.row_line, self.line, self.next_at) = (0, 1, 1, 0);
        self.after_cr = false;
        self.row.begin();
        self.phase = if self.from.0 == OVER { Phase::Over } else { Phase::Mark(0) };
    }

    /// Reads the next row; `false` when there is none.
    fn next_row(&mut self) -> Pull<bool> {
        loop {
            let filled = match self.phase {
                Phase::Closed | Phase::Over => return Ok(false),
                Phase::GoOn(at, line) => self.inner.seek(at).map(|()| {
                    (self.line, self.after_cr, self.next_at) = (line, false, at);
                    self.phase = Phase::Between;
                    true
                }),
                _ => self.inner.fill(),
            };
            if matches!(filled, Err(Stop::Broken(_))) {
                self.phase = Phase::Over;
            }
            let had = filled?;
            let ended = match self.inner.bytes().first().copied() {
                Some(first) if had => self.step(first)?,
                // Behind a jump, which may be to the end: filled again first.
                _ if had => false,
                _ => self.end()?,
            };
            if ended && self.take_row()? {
                return Ok(true);
            }
        }
    }

    /// Goes on with what is ready; says whether a row has ended.
    fn step(&mut self, first: u8) -> Pull<bool> {
        match self.phase {
            Phase::Mark(passed) if MARK.get(passed) == Some(&first) => {
                self.inner.consume(1);
                self.phase = Phase::Mark(passed + 1);
                Ok(false)
            }
            Phase::Mark(passed) if passed == MARK.len() => {
                (self.row_at, self.phase) = (self.inner.at(), Phase::Between);
                Ok(false)
            }
            Phase::Mark(passed) => {
                self.phase = Phase::Between;
                if passed > 0 {
                    // The start of the mark was that of a field.
                    self.phase = Phase::Row;
                    self.row.parse(&MARK[..passed]);
                }
                Ok(false)
            }
            Phase::Between => {
                (self.row_at, self.row_line) = (self.inner.at(), self.line);
                self.phase = match first {
                    b'\r' | b'\n' => {
                        self.pass(1);
                        if first == b'\r' {
                            self.phase = Phase::Cr { row: false };
                            return Ok(false);
                        }
                        return Ok(self.empty_row());
                    }
                    _ => Phase::Row,
                };
                Ok(false)
            }
            Phase::Cr { row } => {
                if first == b'\n' {
                    self.pass(1);
                }
                Ok(if row { self.row_ended() } else { self.empty_row() })
            }
            Phase::Row => Ok(self.parse_ready()),
            Phase::Closed | Phase::Over | Phase::GoOn(..) => Ok(false),
        }
    }

    /// Goes over bytes, counting lines.
    fn pass(&mut self, count: usize) {
        for byte in &self.inner.bytes()[..count] {
            self.line += u64::from(*byte == b'\r' || (*byte == b'\n' && !self.after_cr));
            self.after_cr = *byte == b'\r';
        }
        self.inner.consume(count);
    }

    fn row_ended(&mut self) -> bool {
        (self.next_at, self.phase) = (self.inner.at(), Phase::Between);
        true
    }

    /// An empty line is a row where rows have one field.
    fn empty_row(&mut self) -> bool {
        self.row_ended();
        let is_row = self.columns == Some(1);
        if is_row {
            (self.row.ends[0], self.row.count) = (0, 1);
        }
        is_row
    }

    fn parse_ready(&mut self) -> bool {
        let (took, ended) = self.row.parse(self.inner.bytes());
        self.pass(took);
        if !ended {
            return false;
        }
        if self.after_cr {
            self.phase = Phase::Cr { row: true };
            return false;
        }
        self.row_ended()
    }

    /// The document has ended; says whether a row has with it.
    fn end(&mut self) -> Pull<bool> {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        match phase {
            Phase::Cr { row: true } => Ok(true),
            Phase::Cr { row: false } => Ok(self.empty_row()),
            Phase::Mark(passed) if (1..MARK.len()).contains(&passed) => {
                self.row.parse(&MARK[..passed]);
                Ok(self.row.end())
            }
            Phase::Row => {
                if !self.row.end() {
                    let line = self.row_line;
                    let message = format!("line {line}: the quotes of a field are not closed");
                    return stop(self.inner.as_ref(), self.row_at, message);
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Takes the row that has ended; `false` when it is the header, or comes before where to go on.
    fn take_row(&mut self) -> Pull<bool> {
        let over = self.phase == Phase::Over;
        let row = self.row.texts();
        let (count, too_large) = (self.row.count, self.row.too_large);
        self.row.begin();
        let line = self.row_line;
        let row = match row {
            _ if too_large => {
                let most = limits::ITEM_BYTES;
                Err(format!(
                    "line {line}: a row is longer than {most} bytes or has too many columns"
                ))
            }
            Err(why) => Err(format!("line {line}: {why}")),
            Ok(row) => Ok(row),
        };
        let Some(columns) = self.columns else {
            return self.take_first(row, count, over);
        };
        let row = match row {
            Ok(_) if self.has_header && count != columns => {
                Err(format!("line {line}: a row of {count} fields under a header of {columns}"))
            }
            row => row,
        };
        match row {
            Ok(row) => {
                self.write(&row);
                Ok(true)
            }
            Err(message) => stop(self.inner.as_ref(), self.row_at, message),
        }
    }

    /// Takes the first row, by which the others are read.
    fn take_first(
        &mut self,
        row: Result<Vec<String>, String>,
        count: usize,
        over: bool,
    ) -> Pull<bool> {
        self.columns = Some(count);
        let (place, line) = std::mem::take(&mut self.from);
        if place > 0 && !over {
            self.phase = Phase::GoOn(place - 1, line);
        }
        let row = match row {
            Ok(row) => row,
            Err(_) if place > 0 && !self.has_header => return Ok(false),
            Err(message) => {
                if self.has_header {
                    self.phase = Phase::Over;
                }
                return stop(self.inner.as_ref(), self.row_at, message);
            }
        };
        if !self.has_header {
            if place == 0 {
                self.write(&row);
            }
            return Ok(place == 0);
        }
        self.header = row;
        let mut names: Vec<&String> = self.header.iter().collect();
        names.sort_unstable();
        if let Some([one, ..]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("line {}: two columns are called {}", self.row_line, quoted(one));
            self.phase = Phase::Over;
            return stop(self.inner.as_ref(), self.row_at, message);
        }
        Ok(false)
    }

    /// Writes a row as JSON.
    fn write(&mut self, row: &[String]) {
        self.json.clear();
        let (open, close) = if self.has_header { ('{', '}') } else { ('[', ']') };
        self.json.push(open);
        for (number, field) in row.iter().enumerate() {
            if number > 0 {
                self.json.push(',');
            }
            if let Some(name) = self.header.get(number) {
                self.json.push_str(&quoted(name));
                self.json.push(':');
            }
            self.json.push_str(&quoted(field));
        }
        self.json.push(close);
    }
}

impl Documents for Csv {
    fn below(&self) -> Option<&dyn Documents> {
        Some(self.inner.as_ref())
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(self.inner.as_mut())
    }

    fn next(&mut self) -> Pull<bool> {
        self.taken = 0;
        loop {
            if self.phase == Phase::Closed {
                if !self.inner.next()? {
                    return Ok(false);
                }
                self.begin();
            }
            if self.next_row()? {
                return Ok(true);
            }
            self.from = (0, 0);
            self.phase = Phase::Closed;
        }
    }

    fn fill(&mut self) -> Pull<bool> {
        Ok(!self.bytes().is_empty())
    }

    fn bytes(&self) -> &[u8] {
        &self.json.as_bytes()[self.taken..]
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }

    fn at(&self) -> u64 {
        self.taken as u64
    }

    fn names(&self, within: &mut Vec<String>) {
        self.inner.names(within);
        within.push(format!("the row at byte {}", self.row_at));
    }

    fn position(&self, position: &mut Position) {
        self.inner.position(position);
        position.number("offset", self.row_at);
        position.number("line", self.row_line);
    }

    fn place(&self, places: &mut Vec<u64>) {
        self.inner.place(places);
        places.extend([self.row_at + 1, self.row_line]);
    }

    fn place_after(&self, places: &mut Vec<u64>) {
        match self.phase {
            Phase::Closed => self.inner.place_after(places),
            _ => self.inner.place(places),
        }
        places.extend(match self.phase {
            Phase::Over => [OVER, 0],
            Phase::GoOn(at, line) => [at + 1, line],
            _ if self.from.0 > 0 || self.phase == Phase::Closed => [self.from.0, self.from.1],
            _ => [self.next_at + 1, self.line],
        });
    }

    fn resume(&mut self, places: &mut Places) {
        self.inner.resume(places);
        self.from = (places.take().unwrap_or(0), places.take().unwrap_or(0));
    }
}
