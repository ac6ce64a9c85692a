//! Evaluations: a pipeline of steps, each of which takes an attribute and sets others. A step that gets
//! something of another kind than it needs is left out.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::token::{Token, Tokens, shown};
use super::value::{Attributes, Comparator, Substitution, Value};
use crate::limits;
use crate::pattern::{self, Captures};

/// The steps, in order.
#[derive(Debug)]
pub(super) struct Evaluation(Vec<Step>);

#[derive(Debug)]
enum Step {
    /// Parts between delimiters, each under its own name.
    Delim { from: String, delimiter: Bytes, to: Vec<String> },
    /// Texts put together.
    Join { from: Vec<String>, delimiter: Bytes, to: String },
    /// Parts between delimiters, as a list.
    Split { from: String, delimiter: Bytes, to: String },
    /// Parts of the same length, as a list.
    Slice { from: String, length: usize, to: String },
    /// A part by its place.
    Index { from: String, start: usize, length: usize, to: String },
    /// Pairs of a name and a value.
    KeyValues { from: String, pair: Bytes, value: Bytes },
    /// The named groups of an expression, if all of them are there.
    Regex { from: String, captures: Captures, to: Vec<String> },
    /// What belongs to the first value with which it compares, or else something.
    Map { from: String, by: Comparator, pairs: Vec<(Value, Value)>, otherwise: Value, to: String },
    /// The number at the beginning of a text.
    ToInteger { from: String, to: String },
    /// A number as text.
    ToString { from: String, to: String },
    /// A sum or a difference.
    Sum { first: Operand, second: Operand, subtracts: bool, to: String },
}

#[derive(Debug)]
enum Operand {
    Number(i128),
    Name(String),
}

impl Evaluation {
    /// Reads the steps. `room` is for how many characters expressions may still stand.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn read(
        text: &str,
        substitutions: &BTreeMap<String, Substitution>,
        room: &mut usize,
    ) -> Result<Self, String> {
        let mut tokens = Tokens::read(text, substitutions)?;
        let mut steps = vec![Step::read(&mut tokens, room)?];
        while tokens.take(&Token::Pipe) {
            steps.push(Step::read(&mut tokens, room)?);
        }
        tokens.end()?;
        Ok(Self(steps))
    }

    /// Runs the steps.
    ///
    /// # Errors
    /// An expression took too many steps back.
    pub(super) fn run(&self, mut attributes: Attributes) -> Result<Attributes, String> {
        for step in &self.0 {
            step.run(&mut attributes)?;
        }
        Ok(attributes)
    }
}

impl Step {
    fn read(tokens: &mut Tokens, room: &mut usize) -> Result<Self, String> {
        let function = match tokens.next()? {
            Token::Word(word) => word,
            token => return Err(format!("{}: a step is needed", shown(&token))),
        };
        tokens.expect(&Token::Open)?;
        let step = match function.as_str() {
            "delim" => {
                Self::Delim { from: first(tokens)?, delimiter: text(tokens)?, to: names(tokens)? }
            }
            "join" => {
                let from = names(tokens)?;
                tokens.expect(&Token::Comma)?;
                Self::Join { from, delimiter: text(tokens)?, to: tokens.name()? }
            }
            "split" => {
                Self::Split { from: first(tokens)?, delimiter: text(tokens)?, to: tokens.name()? }
            }
            "slice" => {
                Self::Slice { from: first(tokens)?, length: count(tokens, 1)?, to: tokens.name()? }
            }
            "index" => Self::Index {
                from: first(tokens)?,
                start: count(tokens, 0)?,
                length: count(tokens, 1)?,
                to: tokens.name()?,
            },
            "kvsplit" => {
                let (from, pair) = (first(tokens)?, text(tokens)?);
                Self::KeyValues { from, pair, value: tokens.text()? }
            }
            "regex" => Self::regex(tokens, room)?,
            "map" => Self::map(tokens)?,
            "to_integer" => Self::ToInteger { from: first(tokens)?, to: tokens.name()? },
            "to_string" => Self::ToString { from: first(tokens)?, to: tokens.name()? },
            "add" | "subtract" => {
                let (first, second) = (operand(tokens)?, operand(tokens)?);
                let subtracts = function == "subtract";
                Self::Sum { first, second, subtracts, to: tokens.name()? }
            }
            _ => return Err(format!("there is no step {function:?}")),
        };
        tokens.expect(&Token::Close)?;
        Ok(step)
    }

    fn regex(tokens: &mut Tokens, room: &mut usize) -> Result<Self, String> {
        let (from, expression) = (first(tokens)?, text(tokens)?);
        // Which engine is to be taken: there is one.
        if tokens.take_word("pcre") {
            tokens.expect(&Token::Comma)?;
        }
        let to = names(tokens)?;
        let captures = pattern::compile_captures(&expression, &to, room)?;
        Ok(Self::Regex { from, captures, to })
    }

    fn map(tokens: &mut Tokens) -> Result<Self, String> {
        let from = first(tokens)?;
        let by = match tokens.next()? {
            Token::Compare(by) => by,
            token => return Err(format!("{}: a comparison is needed", shown(&token))),
        };
        tokens.expect(&Token::Comma)?;
        tokens.expect(&Token::Open)?;
        let mut pairs = Vec::new();
        loop {
            tokens.expect(&Token::Open)?;
            let value = tokens.value()?;
            tokens.expect(&Token::Comma)?;
            pairs.push((value, tokens.value()?));
            tokens.expect(&Token::Close)?;
            if !tokens.take(&Token::Comma) {
                break;
            }
        }
        tokens.expect(&Token::Close)?;
        tokens.expect(&Token::Comma)?;
        let otherwise = tokens.value()?;
        tokens.expect(&Token::Comma)?;
        Ok(Self::Map { from, by, pairs, otherwise, to: tokens.name()? })
    }

    fn run(&self, attributes: &mut Attributes) -> Result<(), String> {
        let from = match self {
            Self::Join { from, delimiter, to } => {
                let texts: Option<Vec<Bytes>> = from.iter().map(|n| attributes.text(n)).collect();
                if let Some(texts) = texts {
                    let joined = texts.join(&delimiter[..]);
                    attributes.set(to, Value::Text(joined.into()));
                }
                return Ok(());
            }
            Self::Map { from, by, pairs, otherwise, to } => {
                let empty = Value::Text(Bytes::new());
                let value = attributes.get(from).unwrap_or(&empty);
                let found = pairs.iter().find(|(with, _)| by.holds(value, with));
                let class = found.map_or(otherwise, |(_, class)| class).clone();
                attributes.set(to, class);
                return Ok(());
            }
            Self::ToString { from, to } => {
                if let Some(Value::Number(number)) = attributes.get(from) {
                    let text = number.to_string();
                    attributes.set(to, Value::Text(text.into()));
                } else if let Some(value @ Value::Text(_)) = attributes.get(from).cloned() {
                    attributes.set(to, value);
                }
                return Ok(());
            }
            Self::Sum { first, second, subtracts, to } => {
                let (first, second) = (first.number(attributes), second.number(attributes));
                let sum = first.zip(second).and_then(|(first, second)| match subtracts {
                    true => first.checked_sub(second),
                    false => first.checked_add(second),
                });
                if let Some(sum) = sum {
                    attributes.set(to, Value::Number(sum));
                }
                return Ok(());
            }
            Self::Delim { from, .. }
            | Self::Split { from, .. }
            | Self::Slice { from, .. }
            | Self::Index { from, .. }
            | Self::KeyValues { from, .. }
            | Self::Regex { from, .. }
            | Self::ToInteger { from, .. } => from,
        };
        match attributes.text(from) {
            Some(text) => self.run_on(&text, attributes),
            None => Ok(()),
        }
    }

    /// Runs a step that takes a text.
    fn run_on(&self, text: &Bytes, attributes: &mut Attributes) -> Result<(), String> {
        match self {
            Self::Delim { delimiter, to, .. } => {
                for (name, part) in to.iter().zip(parts(text, delimiter)) {
                    attributes.set(name, Value::Text(part));
                }
            }
            Self::Split { delimiter, to, .. } => {
                attributes.set(to, Value::List(parts(text, delimiter).collect()));
            }
            Self::Slice { length, to, .. } => {
                let letters = Letters::of(text);
                let places = (0..letters.count() / length).map(|at| at * length);
                let slices = places.filter_map(|at| letters.slice(at, *length)).collect();
                attributes.set(to, Value::List(slices));
            }
            Self::Index { start, length, to, .. } => {
                if let Some(part) = Letters::of(text).slice(*start, *length) {
                    attributes.set(to, Value::Text(part));
                }
            }
            Self::KeyValues { pair, value, .. } => {
                for (at, pair) in parts(text, pair).enumerate() {
                    let both: Vec<Bytes> = parts(&pair, value).take(3).collect();
                    if let ([name, value], true) = (&both[..], at < limits::ATTRIBUTES) {
                        attributes.set(name, Value::Text(value.clone()));
                    }
                }
            }
            Self::Regex { captures, to, .. } => {
                if let Some(found) = captures.of(text)? {
                    for (name, part) in to.iter().zip(found) {
                        attributes.set(name, Value::Text(part));
                    }
                }
            }
            Self::ToInteger { to, .. } => {
                if let Some(number) = leading_number(text) {
                    attributes.set(to, Value::Number(number));
                }
            }
            Self::Join { .. } | Self::Map { .. } | Self::ToString { .. } | Self::Sum { .. } => {}
        }
        Ok(())
    }
}

impl Operand {
    /// The number; zero where there is no such attribute, `None` where it is no number.
    fn number(&self, attributes: &Attributes) -> Option<i128> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(name) => match attributes.get(name) {
                None => Some(0),
                Some(Value::Number(number)) => Some(*number),
                Some(_) => None,
            },
        }
    }
}

/// The name of the attribute that a step takes, and the comma after it.
fn first(tokens: &mut Tokens) -> Result<String, String> {
    let name = tokens.name()?;
    tokens.expect(&Token::Comma)?;
    Ok(name)
}

fn text(tokens: &mut Tokens) -> Result<Bytes, String> {
    let text = tokens.text()?;
    tokens.expect(&Token::Comma)?;
    Ok(text)
}

fn count(tokens: &mut Tokens, least: usize) -> Result<usize, String> {
    let count = tokens.count(least)?;
    tokens.expect(&Token::Comma)?;
    Ok(count)
}

fn operand(tokens: &mut Tokens) -> Result<Operand, String> {
    let operand = match tokens.next()? {
        Token::Name(name) => Operand::Name(name),
        Token::Value(Value::Number(number)) => Operand::Number(number),
        token => return Err(format!("{}: a number or an attribute is needed", shown(&token))),
    };
    tokens.expect(&Token::Comma)?;
    Ok(operand)
}

fn names(tokens: &mut Tokens) -> Result<Vec<String>, String> {
    tokens.expect(&Token::Open)?;
    let mut names = vec![tokens.name()?];
    while tokens.take(&Token::Comma) {
        names.push(tokens.name()?);
    }
    tokens.expect(&Token::Close)?;
    Ok(names)
}

/// The parts of a text between delimiters; all of it where the delimiter is empty.
fn parts<'t>(text: &'t Bytes, delimiter: &'t [u8]) -> impl Iterator<Item = Bytes> + 't {
    let mut rest = Some(text.clone());
    std::iter::from_fn(move || {
        let mut part = rest.take()?;
        if !delimiter.is_empty()
            && let Some(at) = part.windows(delimiter.len()).position(|window| window == delimiter)
        {
            rest = Some(part.slice(at + delimiter.len()..));
            part.truncate(at);
        }
        Some(part)
    })
}

/// The letters of a text: its bytes where it is no UTF-8.
struct Letters<'t> {
    text: &'t Bytes,
    /// Where each letter begins, unless each is a byte.
    starts: Option<Vec<usize>>,
}

impl<'t> Letters<'t> {
    fn of(text: &'t Bytes) -> Self {
        let letters = std::str::from_utf8(text).ok().filter(|text| !text.is_ascii());
        Self { text, starts: letters.map(|text| text.char_indices().map(|(at, _)| at).collect()) }
    }

    fn count(&self) -> usize {
        self.starts.as_ref().map_or(self.text.len(), Vec::len)
    }

    /// So many letters from one on, if there are as many.
    fn slice(&self, start: usize, length: usize) -> Option<Bytes> {
        let end = start.checked_add(length).filter(|end| *end <= self.count())?;
        let place = |letter: usize| match &self.starts {
            None => letter,
            Some(starts) => starts.get(letter).copied().unwrap_or(self.text.len()),
        };
        Some(self.text.slice(place(start)..place(end)))
    }
}

/// The number with which a text begins.
fn leading_number(text: &[u8]) -> Option<i128> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..sign + digits)?).ok()?.parse().ok()
}
