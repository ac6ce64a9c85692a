//! YAML, from the events of a parser. What scalars mean is decided here, by the core schema of YAML
//! 1.2; what an alias stands for counts as often as it is used.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::places::{
    Budget, Mistake, Mistakes, Path, Place, Places, Tree, number, too_deep, whole,
};
use super::places::{below_element, below_member};
use crate::limits;

pub(super) fn read(text: &str) -> Result<Tree, Mistakes> {
    let parser = Parser::new_from_str(text);
    let mut reader = Reader {
        text,
        parser,
        places: Places::default(),
        anchors: HashMap::new(),
        budget: Budget::default(),
        mistakes: Vec::new(),
    };
    let value = reader.only_document();
    let Reader { places, mut mistakes, .. } = reader;
    match value {
        Ok(value) if mistakes.is_empty() => Ok(Tree { value, places }),
        Ok(_) => Err(Mistakes(mistakes)),
        Err(last) => {
            mistakes.push(last);
            Err(Mistakes(mistakes))
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    places: Places,
    /// What anchors stand for, and what that counts.
    anchors: HashMap<usize, (Value, Budget)>,
    budget: Budget,
    /// What is wrong but leaves the rest to be read.
    mistakes: Vec<Mistake>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Mistake> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(whole("the file ends too early".to_owned())),
        }
    }

    fn only_document(&mut self) -> Result<Value, Mistake> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if found.is_some() => {
                    let message = "a second document begins: there is one in a file".to_owned();
                    return Err(Mistake { place: place(&span), field: String::new(), message });
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    self.check_indentation(&event, &span);
                    found = Some(self.value(event, &span, &Some(String::new()), 0)?);
                }
                _ => {}
            }
        }
        found.ok_or_else(|| whole("the file is empty".to_owned()))
    }

    /// Takes note of a tab before the outermost block, which the parser takes for indentation.
    fn check_indentation(&mut self, event: &Event<'t>, span: &Span) {
        let (number, column) = (span.start.line(), span.start.col());
        let line = self.text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
        let before = || line.chars().take(column);
        let in_brackets = line.chars().nth(column).is_some_and(|first| "[{".contains(first));
        let block =
            matches!(event, Event::MappingStart(..) | Event::SequenceStart(..)) && !in_brackets;
        if block && before().any(|c| c == '\t') && before().all(|c| c == '\t' || c == ' ') {
            let message = "this is no YAML: a tab stands before it, and YAML indents by spaces";
            self.note(mistake(span, &None, message.to_owned()));
        }
    }

    fn value(
        &mut self,
        event: Event<'t>,
        span: &Span,
        path: &Path,
        depth: usize,
    ) -> Result<Value, Mistake> {
        self.places.set(path, place(span));
        if depth > limits::NESTING {
            return Err(mistake(span, path, too_deep()));
        }
        let before = self.budget;
        self.take(1, 0, span, path)?;
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let Some((value, Budget { values, bytes })) = self.anchors.get(&anchor).cloned()
                else {
                    let message = "an alias lies within what it stands for".to_owned();
                    return Err(mistake(span, path, message));
                };
                self.take(values, bytes, span, path)?;
                (value, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.take(0, text.len(), span, path)?;
                let value = scalar(&text, style, tag.as_deref()).unwrap_or_else(|message| {
                    self.note(mistake(span, path, message));
                    Value::Null
                });
                (value, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection(tag.as_deref(), "seq", span, path);
                let mut list = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let path = below_element(path, list.len());
                    list.push(self.value(event, &span, &path, depth + 1)?);
                }
                (Value::Array(list), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.collection(tag.as_deref(), "map", span, path);
                (self.mapping(path, depth)?, anchor)
            }
            _ => return Err(mistake(span, path, "a value is missing".to_owned())),
        };
        if anchor > 0 {
            let (values, bytes) =
                (self.budget.values - before.values, self.budget.bytes - before.bytes);
            // The copy that is kept counts too.
            self.take(values, bytes, span, path)?;
            self.anchors.insert(anchor, (value.clone(), Budget { values, bytes }));
        }
        Ok(value)
    }

    fn mapping(&mut self, path: &Path, depth: usize) -> Result<Value, Mistake> {
        let mut members = Map::new();
        loop {
            let (event, span) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(Value::Object(members)),
                Event::Scalar(text, style, 0, None) => {
                    if text == "<<" && style == ScalarStyle::Plain {
                        let message = "merge keys (<<) are not read: they are none of YAML 1.2";
                        self.note(mistake(&span, path, message.to_owned()));
                    }
                    text.into_owned()
                }
                _ => {
                    let message = "the name of a member is a text".to_owned();
                    return Err(mistake(&span, path, message));
                }
            };
            self.take(0, name.len(), &span, path)?;
            let below = below_member(path, &name);
            let at = span;
            let (event, span) = self.next()?;
            let value = self.value(event, &span, &below, depth + 1)?;
            // Who looks for a member looks for its name.
            self.places.set(&below, place(&at));
            if members.insert(name, value).is_some() {
                self.note(mistake(&at, &below, "is there twice".to_owned()));
            }
        }
    }

    fn take(
        &mut self,
        values: usize,
        bytes: usize,
        span: &Span,
        path: &Path,
    ) -> Result<(), Mistake> {
        self.budget.take(values, bytes).map_err(|message| mistake(span, path, message))
    }

    fn collection(&mut self, tag: Option<&Tag>, kind: &str, span: &Span, path: &Path) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema() || tag.suffix != kind) {
            self.note(mistake(span, path, format!("the tag {tag} is not read")));
        }
    }

    fn note(&mut self, mistake: Mistake) {
        if self.mistakes.len() < limits::PROBLEMS {
            self.mistakes.push(mistake);
        }
    }
}

fn place(span: &Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

fn mistake(span: &Span, path: &Path, message: String) -> Mistake {
    Mistake { place: place(span), field: path.clone().unwrap_or_default(), message }
}

fn broken(error: &ScanError) -> Mistake {
    let at = error.marker();
    let place = Place { line: at.line(), column: at.col() + 1 };
    Mistake { place, field: String::new(), message: format!("this is no YAML: {}", error.info()) }
}

/// What a scalar means.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag {
        None if style == ScalarStyle::Plain => plain(text),
        None => Ok(Value::from(text)),
        Some(tag) if tag.is_yaml_core_schema() => {
            let meant = plain(text)?;
            let fits = match tag.suffix.as_str() {
                "str" => return Ok(Value::from(text)),
                "null" => meant.is_null(),
                "bool" => meant.is_boolean(),
                "int" => meant.is_i64() || meant.is_u64(),
                "float" => meant.is_number(),
                _ => return Err(format!("the tag {tag} is not read")),
            };
            if fits { Ok(meant) } else { Err(format!("{text:?} is none of the tag {tag}")) }
        }
        Some(tag) => Err(format!("the tag {tag} is not read")),
    }
}

/// A scalar without quotes, by the core schema.
fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{text} is no number that JSON has"));
    }
    let radix = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?;
        digits.chars().all(|c| c.is_digit(radix)).then(|| u64::from_str_radix(digits, radix))
    };
    if let Some(Ok(whole)) = radix("0o", 8).or_else(|| radix("0x", 16)) {
        return Ok(Value::from(whole));
    }
    let digits = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if digits && let Ok(whole) = text.parse::<i64>() {
        return Ok(Value::from(whole));
    }
    if digits && let Ok(whole) = text.parse::<u64>() {
        return Ok(Value::from(whole));
    }
    match text.parse::<f64>() {
        Ok(float) if digits || is_float(unsigned) => number(float),
        _ => Ok(Value::from(text)),
    }
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, None),
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = exponent.map(|digits| digits.strip_prefix(['-', '+']).unwrap_or(digits));
    number(whole)
        && number(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && digits.is_none_or(|digits| !digits.is_empty() && number(digits))
}
