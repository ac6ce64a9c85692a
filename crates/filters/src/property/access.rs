//! Which part of a bucket has to be looked at.
//!
//! Every object that meets the conditions lies in the part; what else does is tested. Keys lie in
//! order in each partition, and so do the terms of an index.

use bytes::Bytes;
use mapring_types::IndexValue;

use super::condition::{Comparison, Operand, PropertyFilters, Relation, Subject};

/// A part of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// All of it.
    All,
    /// The keys from … to …, inclusive; to the last one where the end is not said.
    Keys {
        /// The first key.
        from: Bytes,
        /// The last.
        to: Option<Bytes>,
    },
    /// The objects with terms of an index from … to …, inclusive: each once for every such term, of
    /// which [`super::PropertyTest::is_first_term`] counts one.
    Terms {
        /// The index.
        field: String,
        /// The first term.
        from: IndexValue,
        /// The last: where there is none, one that is behind all terms that there can be.
        to: IndexValue,
    },
}

impl PropertyFilters {
    /// The smallest part that is known to hold all objects that meet the conditions: a key, terms of
    /// an index, a range of keys, a range of an index, in this order.
    pub fn access(&self) -> Access {
        let keys = Range::of(self, &Subject::Key, |operand| match operand {
            Operand::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
            _ => None,
        });
        if keys.is_exact() {
            return keys.keys();
        }
        let mut indexes: Vec<(String, Range<IndexValue>)> = Vec::new();
        for condition in &self.0 {
            if let Subject::Index(name) = &condition.subject
                && !indexes.iter().any(|(known, _)| known == name)
            {
                let range = Range::of(self, &condition.subject, |operand| match operand {
                    Operand::Term(term) => Some(term.clone()),
                    _ => None,
                });
                indexes.push((name.clone(), range));
            }
        }
        let exact = indexes.iter().find(|(_, range)| range.is_exact());
        let ranges = || {
            let closed = indexes.iter().find(|(_, range)| range.is_closed());
            closed.into_iter().chain(&indexes).find_map(|(name, range)| range.terms(name))
        };
        match exact.and_then(|(name, range)| range.terms(name)) {
            Some(terms) => terms,
            None if keys.is_bounded() => keys.keys(),
            None => ranges().unwrap_or(Access::All),
        }
    }
}

/// What the conditions on one subject leave. Bounds that exclude themselves count as if they did not:
/// what lies on them is tested.
struct Range<T> {
    from: Option<T>,
    to: Option<T>,
    /// Whether it is the hull of named values.
    named: bool,
}

impl<T: Ord + Clone + Prefixed> Range<T> {
    fn of(filters: &PropertyFilters, subject: &Subject, value: fn(&Operand) -> Option<T>) -> Self {
        let mut range = Self { from: None, to: None, named: false };
        for condition in filters.0.iter().filter(|condition| condition.subject == *subject) {
            match &condition.relation {
                Relation::Compare(comparison, operand) => {
                    let Some(bound) = value(operand) else { continue };
                    match comparison {
                        Comparison::Equal => range.within(bound.clone(), bound, true),
                        Comparison::Less | Comparison::AtMost => range.end(bound),
                        Comparison::Greater | Comparison::AtLeast => range.start(bound),
                        Comparison::Differs => {}
                    }
                }
                Relation::In(operands) => {
                    let values = || operands.iter().filter_map(value);
                    if let (Some(least), Some(most)) = (values().min(), values().max()) {
                        range.within(least, most, true);
                    }
                }
                Relation::Prefix(prefix) if !prefix.is_empty() => {
                    let (from, to) = T::beginning_with(prefix);
                    range.within(from, to, false);
                }
                Relation::Prefix(_) | Relation::Exists(_) => {}
            }
        }
        range
    }

    fn start(&mut self, from: T) {
        self.from = Some(self.from.take().map_or(from.clone(), |known| known.max(from)));
    }

    fn end(&mut self, to: T) {
        self.to = Some(self.to.take().map_or(to.clone(), |known| known.min(to)));
    }

    fn within(&mut self, from: T, to: T, named: bool) {
        self.start(from);
        self.end(to);
        self.named |= named;
    }

    /// Whether it is as narrow as named values are.
    fn is_exact(&self) -> bool {
        self.named
    }

    fn is_closed(&self) -> bool {
        self.from.is_some() && self.to.is_some()
    }

    fn is_bounded(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// The bounds. Those of a range of nothing are one that the conditions refuse.
    fn bounds(&self) -> (Option<T>, Option<T>) {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from > to => (Some(from.clone()), Some(from.clone())),
            _ => (self.from.clone(), self.to.clone()),
        }
    }
}

/// Values that begin with a text, as a range.
trait Prefixed: Sized {
    fn beginning_with(prefix: &str) -> (Self, Self);
}

/// The bytes behind all texts that begin with `prefix`: none of them has a byte of all ones.
fn behind(prefix: &str) -> Bytes {
    [prefix.as_bytes(), &[0xff]].concat().into()
}

impl Prefixed for Bytes {
    /// Keys need be no texts: the first that does not begin so is tested with the others.
    fn beginning_with(prefix: &str) -> (Self, Self) {
        let mut end = prefix.as_bytes().to_vec();
        if let Some(last) = end.last_mut() {
            // No text has a byte that this would make 0.
            *last = last.wrapping_add(1);
        }
        (Self::copy_from_slice(prefix.as_bytes()), end.into())
    }
}

impl Prefixed for IndexValue {
    fn beginning_with(prefix: &str) -> (Self, Self) {
        (Self::Bin(Bytes::copy_from_slice(prefix.as_bytes())), Self::Bin(behind(prefix)))
    }
}

impl Range<Bytes> {
    fn keys(&self) -> Access {
        let (from, to) = self.bounds();
        Access::Keys { from: from.unwrap_or_default(), to }
    }
}

impl Range<IndexValue> {
    /// The range of an index, unless it has no beginning that can be named: numbers may be as small as
    /// they like.
    fn terms(&self, name: &str) -> Option<Access> {
        let (from, to) = self.bounds();
        let is_bin = name.ends_with("_bin");
        let from = match from {
            Some(from) => from,
            None if is_bin && to.is_some() => IndexValue::Bin(Bytes::new()),
            None => return None,
        };
        // Behind all numbers lie texts, and behind all texts a byte that no text has.
        let last = || IndexValue::Bin(if is_bin { behind("") } else { Bytes::new() });
        Some(Access::Terms { field: name.to_owned(), from, to: to.unwrap_or_else(last) })
    }
}
