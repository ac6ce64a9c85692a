//! Conditions on attributes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::token::{Token, Tokens, shown};
use super::value::{Attributes, Comparator, Substitution, Value};
use crate::limits;

/// A condition. What it says of an attribute that is not there does not hold.
#[derive(Debug)]
pub(super) enum Condition {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare(Operand, Comparator, Operand),
    /// Between two values, whichever of them is the smaller.
    Between(Operand, Operand, Operand),
    /// One of these.
    Among(Operand, Vec<Operand>),
    /// One of those in a list.
    In(Operand, String),
    Text(TextTest, String, Bytes),
    Exists(String),
    Empty(String),
}

/// What a text is held against another for.
#[derive(Debug, Clone, Copy)]
pub(super) enum TextTest {
    Contains,
    BeginsWith,
    EndsWith,
}

/// What is compared.
#[derive(Debug)]
pub(super) enum Operand {
    Name(String),
    Value(Value),
}

impl Operand {
    fn value<'a>(&'a self, attributes: &'a Attributes) -> Option<&'a Value> {
        match self {
            Self::Name(name) => attributes.get(name),
            Self::Value(value) => Some(value),
        }
    }
}

impl Condition {
    /// Reads a condition: `NOT` binds closest, then `AND`, then `OR`.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn read(
        text: &str,
        substitutions: &BTreeMap<String, Substitution>,
    ) -> Result<Self, String> {
        let mut tokens = Tokens::read(text, substitutions)?;
        let condition = alternatives(&mut tokens, 0)?;
        tokens.end()?;
        Ok(condition)
    }

    /// Whether it holds.
    pub(super) fn holds(&self, attributes: &Attributes) -> bool {
        match self {
            Self::And(first, second) => first.holds(attributes) && second.holds(attributes),
            Self::Or(first, second) => first.holds(attributes) || second.holds(attributes),
            Self::Not(condition) => !condition.holds(attributes),
            Self::Compare(left, by, right) => {
                let both = left.value(attributes).zip(right.value(attributes));
                both.is_some_and(|(left, right)| left.is_like(right) && by.holds(left, right))
            }
            Self::Between(value, one, other) => {
                let bounds = one.value(attributes).zip(other.value(attributes));
                let found = value.value(attributes).zip(bounds);
                found.is_some_and(|(value, (one, other))| {
                    one.min(other) <= value && value <= one.max(other)
                })
            }
            Self::Among(value, values) => value.value(attributes).is_some_and(|value| {
                values.iter().any(|known| known.value(attributes) == Some(value))
            }),
            Self::In(value, list) => match (value.value(attributes), attributes.get(list)) {
                (Some(Value::Text(text)), Some(Value::List(list))) => list.contains(text),
                _ => false,
            },
            Self::Text(test, name, part) => match attributes.get(name) {
                Some(Value::Text(text)) => test.holds(text, part),
                _ => false,
            },
            Self::Exists(name) => attributes.get(name).is_some(),
            Self::Empty(name) => {
                matches!(attributes.get(name), Some(Value::Text(text)) if text.is_empty())
            }
        }
    }
}

impl TextTest {
    fn holds(self, text: &[u8], part: &[u8]) -> bool {
        match self {
            Self::Contains => {
                part.is_empty() || text.windows(part.len()).any(|window| window == part)
            }
            Self::BeginsWith => text.starts_with(part),
            Self::EndsWith => text.ends_with(part),
        }
    }
}

fn alternatives(tokens: &mut Tokens, depth: usize) -> Result<Condition, String> {
    let mut condition = conjunction(tokens, depth)?;
    let mut count = 1;
    while tokens.take_word("OR") {
        count = more(count)?;
        let other = conjunction(tokens, depth)?;
        condition = Condition::Or(Box::new(condition), Box::new(other));
    }
    Ok(condition)
}

fn conjunction(tokens: &mut Tokens, depth: usize) -> Result<Condition, String> {
    let mut condition = single(tokens, depth)?;
    let mut count = 1;
    while tokens.take_word("AND") {
        count = more(count)?;
        let other = single(tokens, depth)?;
        condition = Condition::And(Box::new(condition), Box::new(other));
    }
    Ok(condition)
}

/// Conditions in a row are nested in each other too.
fn more(count: usize) -> Result<usize, String> {
    let most = limits::CONDITIONS;
    if count < most { Ok(count + 1) } else { Err(format!("more than {most} conditions in a row")) }
}

fn single(tokens: &mut Tokens, depth: usize) -> Result<Condition, String> {
    if depth > limits::CONDITION_NESTING {
        return Err(format!("conditions are nested deeper than {}", limits::CONDITION_NESTING));
    }
    if tokens.take_word("NOT") {
        return Ok(Condition::Not(Box::new(single(tokens, depth + 1)?)));
    }
    if tokens.take(&Token::Open) {
        let condition = alternatives(tokens, depth + 1)?;
        tokens.expect(&Token::Close)?;
        return Ok(condition);
    }
    if let Some(Token::Word(function)) = tokens.peek() {
        let function = function.clone();
        tokens.next()?;
        return about(&function, tokens);
    }
    compared(tokens)
}

/// A function, whose name was read.
fn about(function: &str, tokens: &mut Tokens) -> Result<Condition, String> {
    let test = match function {
        "contains" => Some(TextTest::Contains),
        "begins_with" => Some(TextTest::BeginsWith),
        "ends_with" => Some(TextTest::EndsWith),
        "attribute_exists" | "attribute_not_exists" | "attribute_empty" => None,
        _ => return Err(format!("{function} is no function")),
    };
    tokens.expect(&Token::Open)?;
    let name = tokens.name()?;
    let condition = match test {
        Some(test) => {
            tokens.expect(&Token::Comma)?;
            Condition::Text(test, name, tokens.text()?)
        }
        None if function == "attribute_empty" => Condition::Empty(name),
        None if function == "attribute_exists" => Condition::Exists(name),
        None => Condition::Not(Box::new(Condition::Exists(name))),
    };
    tokens.expect(&Token::Close)?;
    Ok(condition)
}

fn compared(tokens: &mut Tokens) -> Result<Condition, String> {
    let left = operand(tokens)?;
    match tokens.next()? {
        Token::Compare(by) => Ok(Condition::Compare(left, by, operand(tokens)?)),
        Token::Word(word) if word == "BETWEEN" => {
            let one = operand(tokens)?;
            match tokens.next()? {
                Token::Word(word) if word == "AND" => {}
                token => return Err(format!("{} stands where AND belongs", shown(&token))),
            }
            Ok(Condition::Between(left, one, operand(tokens)?))
        }
        Token::Word(word) if word == "IN" => {
            if !tokens.take(&Token::Open) {
                return Ok(Condition::In(left, tokens.name()?));
            }
            let mut values = vec![operand(tokens)?];
            while tokens.take(&Token::Comma) {
                values.push(operand(tokens)?);
            }
            tokens.expect(&Token::Close)?;
            Ok(Condition::Among(left, values))
        }
        token => Err(format!("{}: a comparison, BETWEEN or IN is needed", shown(&token))),
    }
}

fn operand(tokens: &mut Tokens) -> Result<Operand, String> {
    match tokens.next()? {
        Token::Name(name) => Ok(Operand::Name(name)),
        Token::Value(value) => Ok(Operand::Value(value)),
        token => Err(format!("{}: an attribute, a text or a number is needed", shown(&token))),
    }
}
