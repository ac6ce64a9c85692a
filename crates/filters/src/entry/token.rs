//! The words of evaluations, conditions and combinations of sets.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::value::{Comparator, Substitution, Value};
use crate::limits;

/// A word. What stands for a name after a colon is put in its place here already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    Comma,
    Pipe,
    Compare(Comparator),
    /// `$name`, without its `$`.
    Name(String),
    /// A text or a number.
    Value(Value),
    /// A function, or a word such as `AND`.
    Word(String),
}

/// The words of a text, to be taken one by one.
#[derive(Debug)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
    at: usize,
}

impl Tokens {
    /// Reads a text.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn read(
        text: &str,
        substitutions: &BTreeMap<String, Substitution>,
    ) -> Result<Self, String> {
        if text.len() > limits::EVALUATION_BYTES {
            return Err(format!("it is longer than {} bytes", limits::EVALUATION_BYTES));
        }
        let mut rest = text.trim_start();
        let mut tokens = Vec::new();
        while let Some(first) = rest.chars().next() {
            let (token, left) = token(first, rest, substitutions)?;
            tokens.push(token);
            rest = left.trim_start();
        }
        Ok(Self { tokens, at: 0 })
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn next(&mut self) -> Result<Token, String> {
        let token = self.peek().cloned().ok_or_else(|| "it ends too soon".to_owned())?;
        self.at += 1;
        Ok(token)
    }

    /// Takes a word if it is the next one.
    pub(super) fn take(&mut self, wanted: &Token) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes a word such as `AND` if it is the next one.
    pub(super) fn take_word(&mut self, wanted: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Word(word)) if word == wanted);
        self.at += usize::from(is_next);
        is_next
    }

    pub(super) fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        match self.next()? {
            token if token == *wanted => Ok(()),
            token => Err(format!("{} stands where {} belongs", shown(&token), shown(wanted))),
        }
    }

    pub(super) fn name(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Name(name) => Ok(name),
            token => Err(format!("{}: the name of an attribute is needed", shown(&token))),
        }
    }

    pub(super) fn text(&mut self) -> Result<Bytes, String> {
        match self.next()? {
            Token::Value(Value::Text(text)) => Ok(text),
            token => Err(format!("{}: a text is needed", shown(&token))),
        }
    }

    pub(super) fn value(&mut self) -> Result<Value, String> {
        match self.next()? {
            Token::Value(value) => Ok(value),
            token => Err(format!("{}: a text or a number is needed", shown(&token))),
        }
    }

    /// A number from `least` on.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, String> {
        let token = self.next()?;
        let count = match &token {
            Token::Value(Value::Number(number)) => usize::try_from(*number).ok(),
            _ => None,
        };
        count.filter(|count| *count >= least).ok_or_else(|| {
            let kind = if least > 0 { "a whole number above zero" } else { "a whole number" };
            format!("{}: {kind} is needed", shown(&token))
        })
    }

    /// # Errors
    /// What stands behind the end.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(format!("{} stands behind the end", shown(token))),
        }
    }
}

/// A word as an error names it.
pub(super) fn shown(token: &Token) -> String {
    match token {
        Token::Open => "(".into(),
        Token::Close => ")".into(),
        Token::Comma => "a comma".into(),
        Token::Pipe => "|".into(),
        Token::Compare(_) => "a comparison".into(),
        Token::Name(name) => format!("${name}"),
        Token::Value(Value::Number(number)) => number.to_string(),
        Token::Value(Value::Text(text)) => format!("{:?}", String::from_utf8_lossy(text)),
        Token::Value(Value::List(_)) => "a list".into(),
        Token::Word(word) => word.clone(),
    }
}

fn token<'t>(
    first: char,
    text: &'t str,
    substitutions: &BTreeMap<String, Substitution>,
) -> Result<(Token, &'t str), String> {
    let rest = text.get(first.len_utf8()..).unwrap_or_default();
    let plain = |token| Ok((token, rest));
    let or_equal = |with, without| match rest.strip_prefix('=') {
        Some(rest) => Ok((Token::Compare(with), rest)),
        None => Ok((Token::Compare(without), rest)),
    };
    match first {
        '(' => plain(Token::Open),
        ')' => plain(Token::Close),
        ',' => plain(Token::Comma),
        '|' => plain(Token::Pipe),
        '=' => plain(Token::Compare(Comparator::Equal)),
        '<' if rest.starts_with('>') => {
            Ok((Token::Compare(Comparator::Unequal), rest.get(1..).unwrap_or_default()))
        }
        '<' => or_equal(Comparator::LessOrEqual, Comparator::Less),
        '>' => or_equal(Comparator::GreaterOrEqual, Comparator::Greater),
        '"' => {
            let (text, rest) = rest.split_once('"').ok_or("a text does not end")?;
            let text = Bytes::copy_from_slice(text.as_bytes());
            Ok((Token::Value(Value::Text(text)), rest))
        }
        '$' => {
            let (name, rest) = word(rest);
            if name.is_empty() {
                return Err("a $ needs a name after it".into());
            }
            Ok((Token::Name(name.to_owned()), rest))
        }
        ':' => {
            let (name, rest) = word(rest);
            let value = match substitutions.get(name) {
                Some(Substitution::Text(text)) => {
                    Value::Text(Bytes::copy_from_slice(text.as_bytes()))
                }
                Some(Substitution::Number(number)) => Value::Number((*number).into()),
                None => return Err(format!("nothing stands for :{name}")),
            };
            Ok((Token::Value(value), rest))
        }
        '-' | '0'..='9' => {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            let (number, rest) = text.split_at(1 + digits);
            let number: i64 =
                number.parse().map_err(|_| format!("{number} is no number that can be had"))?;
            Ok((Token::Value(Value::Number(number.into())), rest))
        }
        _ => {
            let (name, rest) = word(text);
            if name.is_empty() {
                return Err(format!("{first:?} makes no sense"));
            }
            Ok((Token::Word(name.to_owned()), rest))
        }
    }
}

fn word(text: &str) -> (&str, &str) {
    let ends = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
    text.split_at(text.find(ends).unwrap_or(text.len()))
}
