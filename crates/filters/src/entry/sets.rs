//! What becomes of the keys of several queries: `($1 INTERSECT $2) UNION ($3 SUBTRACT $1)` (fact R327).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::token::{Token, Tokens, shown};
use crate::limits;

/// A combination of sets, which have numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetExpression {
    /// A set by its number.
    Set(u32),
    /// What is in either.
    Union(Box<Self>, Box<Self>),
    /// What is in both.
    Intersection(Box<Self>, Box<Self>),
    /// What is in the first alone.
    Difference(Box<Self>, Box<Self>),
}

impl SetExpression {
    /// Reads a combination: `SUBTRACT` binds closest, to the right; then `INTERSECT`, then `UNION`.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The numbers of sets look like the names of attributes that begin with a digit.
        let mut tokens = Tokens::read(text, &BTreeMap::new())?;
        let expression = union(&mut tokens, 0)?;
        tokens.end()?;
        Ok(expression)
    }

    /// The numbers of the sets that it has.
    pub fn sets(&self) -> BTreeSet<u32> {
        match self {
            Self::Set(number) => [*number].into(),
            Self::Union(first, second)
            | Self::Intersection(first, second)
            | Self::Difference(first, second) => &first.sets() | &second.sets(),
        }
    }

    /// What comes of the sets; one that is not there counts as empty.
    pub fn of(&self, sets: &BTreeMap<u32, BTreeSet<Bytes>>) -> BTreeSet<Bytes> {
        match self {
            Self::Set(number) => sets.get(number).cloned().unwrap_or_default(),
            Self::Union(first, second) => {
                let mut all = first.of(sets);
                all.append(&mut second.of(sets));
                all
            }
            Self::Intersection(first, second) => {
                let (mut both, second) = (first.of(sets), second.of(sets));
                both.retain(|key| second.contains(key));
                both
            }
            Self::Difference(first, second) => {
                let (mut left, second) = (first.of(sets), second.of(sets));
                left.retain(|key| !second.contains(key));
                left
            }
        }
    }
}

type Operator = fn(Box<SetExpression>, Box<SetExpression>) -> SetExpression;

fn union(tokens: &mut Tokens, depth: usize) -> Result<SetExpression, String> {
    chain(tokens, depth, ("UNION", SetExpression::Union), |tokens, depth| {
        chain(tokens, depth, ("INTERSECT", SetExpression::Intersection), difference)
    })
}

fn chain(
    tokens: &mut Tokens,
    depth: usize,
    (word, operator): (&str, Operator),
    part: impl Fn(&mut Tokens, usize) -> Result<SetExpression, String>,
) -> Result<SetExpression, String> {
    let mut expression = part(tokens, depth)?;
    let mut count = 0;
    while tokens.take_word(word) {
        count += 1;
        if count > limits::CONDITIONS {
            return Err(format!("more than {} sets in a row", limits::CONDITIONS));
        }
        expression = operator(Box::new(expression), Box::new(part(tokens, depth)?));
    }
    Ok(expression)
}

fn difference(tokens: &mut Tokens, depth: usize) -> Result<SetExpression, String> {
    let first = single(tokens, depth)?;
    if !tokens.take_word("SUBTRACT") {
        return Ok(first);
    }
    let second = difference(tokens, depth + 1)?;
    Ok(SetExpression::Difference(Box::new(first), Box::new(second)))
}

fn single(tokens: &mut Tokens, depth: usize) -> Result<SetExpression, String> {
    if depth > limits::CONDITION_NESTING {
        return Err(format!("sets are nested deeper than {}", limits::CONDITION_NESTING));
    }
    match tokens.next()? {
        Token::Open => {
            let expression = union(tokens, depth + 1)?;
            tokens.expect(&Token::Close)?;
            Ok(expression)
        }
        Token::Name(name) => match name.parse() {
            Ok(number) => Ok(SetExpression::Set(number)),
            Err(_) => Err(format!("${name}: the number of a query is needed")),
        },
        token => Err(format!("{}: a set is needed", shown(&token))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let set = |keys: &'static str| keys.split(' ').map(Bytes::from).collect();
        let sets = [(1, set("a b c")), (2, set("b c d")), (3, set("c"))].into_iter().collect();
        let found = SetExpression::parse(text).unwrap().of(&sets);
        let found: Vec<&str> = found.iter().map(|key| std::str::from_utf8(key).unwrap()).collect();
        assert_eq!(found.join(" "), expect, "{text}");
    }

    #[test]
    fn sets_are_combined() {
        check("$1", "a b c");
        check("$4", "");
        check("$1 INTERSECT $2", "b c");
        check("$1 UNION $2", "a b c d");
        check("$1 SUBTRACT $2", "a");
        check("$2 SUBTRACT $1 SUBTRACT $3", "c d");
        check("($2 SUBTRACT $1) SUBTRACT $3", "d");
        check("$3 UNION $1 INTERSECT $2", "b c");
        check("($1 INTERSECT $2) UNION ($3 SUBTRACT $1)", "b c");
        check("$1 INTERSECT $2 SUBTRACT $3", "b");
    }

    #[test]
    fn what_is_no_combination_is_refused() {
        let deep = "(".repeat(1_000);
        for wrong in ["", "$1 UNION S2", "$1 XOR $2", "$a", "$1 $2", "($1", "UNION", &deep] {
            assert!(SetExpression::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(SetExpression::parse("$2 UNION $1").unwrap().sets(), [1, 2].into());
    }
}
