//! A chain of hashes over all that is applied: nodes that differ notice it, wherever the difference
//! came from.
//!
//! Each link is a hash of the link before it, the entry's place and its content. It must come out
//! the same on every node and after every restart, also of a later version that knows more fields:
//! so the content is hashed in a canonical form without members that say nothing.

use std::collections::VecDeque;
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::LogId;
use crate::limits;

/// Bytes of a hash: chance does not make two of them equal.
const HASH_BYTES: usize = 16;

/// Members below which everything counts: properties, where `false` is not the same as nothing.
const EXACT: [&str; 3] = ["changes", "bucket_types", "buckets"];

/// The chain of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    /// The last link, hexadecimal; `None` before the chain has begun.
    last: Option<String>,
    /// The last links, by the index of their entries.
    recent: VecDeque<(u64, String)>,
}

impl Chain {
    /// A chain that goes on from a link, that of the entry `index`.
    pub(crate) fn resumed(last: Option<String>, index: u64) -> Self {
        let recent = last.iter().map(|hash| (index, hash.clone())).collect();
        Self { last, recent }
    }

    /// Begins the chain anew after the entry `index`, with what all nodes have then.
    pub(crate) fn begin(&mut self, index: u64, content: &impl Serialize) {
        let mut hasher = Sha256::new();
        hasher.update(b"mapring metadata\0");
        hasher.update(index.to_be_bytes());
        hash_content(&mut hasher, content);
        self.recent.clear();
        self.push(index, hasher);
    }

    /// Goes on with an entry; without effect before the chain has begun.
    pub(crate) fn extend(&mut self, id: LogId, content: &impl Serialize) {
        let Some(last) = &self.last else { return };
        let mut hasher = Sha256::new();
        hasher.update(last.as_bytes());
        for number in [id.leader_id.term, id.leader_id.node_id, id.index] {
            hasher.update(number.to_be_bytes());
        }
        hash_content(&mut hasher, content);
        self.push(id.index, hasher);
    }

    /// The last link.
    pub(crate) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Whether another chain has the same link at `index`; `None` when this one does not know.
    pub(crate) fn agrees(&self, index: u64, hash: &str) -> Option<bool> {
        let found = self.recent.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(self.recent.get(found)?.1 == hash)
    }

    fn push(&mut self, index: u64, hasher: Sha256) {
        let mut hash = String::with_capacity(2 * HASH_BYTES);
        for byte in hasher.finalize().iter().take(HASH_BYTES) {
            // Writing to a text cannot fail.
            let _ = write!(hash, "{byte:02x}");
        }
        // Before the first entry, which has the index 0, the chain begins at 0 too.
        if self.recent.back().is_some_and(|(last, _)| *last == index) {
            self.recent.pop_back();
        }
        if self.recent.len() >= limits::HASHES {
            self.recent.pop_front();
        }
        self.recent.push_back((index, hash.clone()));
        self.last = Some(hash);
    }
}

fn hash_content(hasher: &mut Sha256, content: &impl Serialize) {
    // What is hashed here has been written as JSON before, so that it can be.
    hash_value(hasher, &serde_json::to_value(content).unwrap_or_default(), false);
}

fn hash_value(hasher: &mut Sha256, value: &Value, exact: bool) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(value) => hasher.update([b'b', u8::from(*value)]),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => hash_bytes(hasher, b'u', &number.to_be_bytes()),
            (None, Some(number), _) => hash_bytes(hasher, b'i', &number.to_be_bytes()),
            // The last digits may come out otherwise when the text is read again.
            (None, None, number) => {
                hash_bytes(hasher, b'f', &(number.unwrap_or(0.0) as f32).to_be_bytes());
            }
        },
        Value::String(text) => hash_bytes(hasher, b's', text.as_bytes()),
        Value::Array(items) => {
            hash_bytes(hasher, b'a', &(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| hash_value(hasher, item, exact));
        }
        Value::Object(members) => {
            let mut said: Vec<_> =
                members.iter().filter(|(_, value)| exact || says(value)).collect();
            said.sort_by_key(|(name, _)| name.as_str());
            hash_bytes(hasher, b'o', &(said.len() as u64).to_be_bytes());
            for (name, value) in said {
                hash_bytes(hasher, b'm', name.as_bytes());
                hash_value(hasher, value, exact || EXACT.contains(&name.as_str()));
            }
        }
    }
}

fn hash_bytes(hasher: &mut Sha256, kind: u8, bytes: &[u8]) {
    hasher.update([kind]);
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

/// Whether a member says more than its absence: a field that a later version adds has such a value
/// wherever an earlier version wrote nothing.
fn says(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;
    use serde_json::json;

    use super::*;

    fn id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term, 1), index)
    }

    /// The last link of a chain over these contents.
    fn chain(contents: &[Value]) -> Chain {
        let mut chain = Chain::default();
        chain.begin(0, &json!({"name": "c"}));
        for (index, content) in (1..).zip(contents) {
            chain.extend(id(1, index), content);
        }
        chain
    }

    #[track_caller]
    fn check(left: Value, right: Value, same: bool) {
        let (left, right) = (chain(&[left]), chain(&[right]));
        assert_eq!(left.last() == right.last(), same, "{left:?} {right:?}");
    }

    #[test]
    fn content_counts_and_order_of_members_does_not() {
        check(json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}), true);
        check(json!({"a": 1, "new": false, "more": null}), json!({"a": 1}), true);
        check(json!({"changes": {"a": false}}), json!({"changes": {}}), false);
        check(json!({"a": 1}), json!({"a": 2}), false);
        check(json!({"a": 1}), json!({"a": "1"}), false);
        check(json!([1, 2]), json!([2, 1]), false);
        check(json!([[1], 2]), json!([[1, 2]]), false);
        check(json!({"a": 0.1}), json!({"a": 0.100_000_000_000_000_02}), true);
        check(json!({"a": -1}), json!({"a": 1}), false);
    }

    #[test]
    fn a_difference_stays() {
        let (one, other) = (chain(&[json!(1), json!(5)]), chain(&[json!(2), json!(5)]));
        assert_eq!(one.agrees(2, other.last().unwrap()), Some(false));
        assert_eq!(one.agrees(2, one.last().unwrap()), Some(true));
        assert_eq!(one.agrees(3, one.last().unwrap()), None);
        let mut place = chain(&[json!(1)]);
        place.extend(id(2, 2), &json!(5));
        assert_ne!(place.last(), one.last(), "the same content of another term");
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let mut one = chain(&[json!(1)]);
        let mut resumed = Chain::resumed(one.last().map(str::to_owned), 1);
        one.extend(id(1, 2), &json!(2));
        resumed.extend(id(1, 2), &json!(2));
        assert_eq!(one.last(), resumed.last());
        let mut absent = Chain::default();
        absent.extend(id(1, 1), &json!(1));
        assert_eq!((absent.last(), absent.agrees(1, "x")), (None, None));
    }

    #[test]
    fn few_links_are_kept() {
        let long = chain(&vec![json!(1); limits::HASHES + 10]);
        assert_eq!(long.recent.len(), limits::HASHES);
        assert_eq!(long.agrees(5, "x"), None);
        assert_eq!(long.agrees(limits::HASHES as u64, "x"), Some(false));
    }
}
