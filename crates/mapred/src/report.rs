//! What operators see of a query: its name, and what it has done so far.

use std::collections::BTreeMap;

use mapring_script::Function;
use mapring_types::{NodeId, quote};
use serde::{Deserialize, Serialize};

use crate::grammar::{Callee, PhaseKind};

/// Names a query among all of a cluster: the node that coordinates it, and a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryId {
    pub(crate) node: NodeId,
    pub(crate) number: u64,
}

impl std::fmt::Display for QueryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{:016x}", self.node.0, self.number)
    }
}

impl std::str::FromStr for QueryId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (node, number) = text.split_once('-').ok_or(())?;
        let hex = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
            if digits { u64::from_str_radix(text, 16).map_err(|_| ()) } else { Err(()) }
        };
        Ok(Self { node: NodeId(hex(node)?), number: hex(number)? })
    }
}

/// What a query has done so far. Its members are those of `GET /admin/queries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryReport {
    /// The query's id.
    pub id: String,
    /// The node that coordinates it.
    pub node: String,
    /// `waiting` for its turn, or `running`.
    pub state: String,
    /// Milliseconds since it was asked.
    pub age_ms: u64,
    /// Milliseconds that it may take.
    pub timeout_ms: u64,
    /// Inputs that its map and link phases have done.
    pub inputs_done: u64,
    /// Its phases in order.
    pub phases: Vec<PhaseReport>,
    /// What it and its functions have counted, by name.
    pub counters: BTreeMap<String, i64>,
    /// The beginning of its text.
    pub query: String,
}

/// The queries that a cluster's members coordinate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueryList {
    /// The oldest of each member, the oldest first.
    pub queries: Vec<QueryReport>,
    /// How many more there are.
    pub left_out: u64,
    /// Members that did not tell theirs.
    pub unreachable: Vec<String>,
}

/// What a phase has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its number, from 0.
    pub phase: usize,
    /// `map`, `reduce`, `link`, or `keys` for the listing before the first reduce.
    pub kind: String,
    /// What it calls, in short.
    pub function: String,
    /// Inputs that it has taken.
    pub inputs: u64,
    /// Results that it has made.
    pub results: u64,
    /// Bytes of these results.
    pub result_bytes: u64,
    /// Inputs that were left out because its function failed.
    pub skipped: u64,
    /// Partitions that it has worked through …
    pub partitions_done: u64,
    /// … of so many; 0 where it works on named inputs.
    pub partitions: u64,
}

/// What a phase calls, in short.
pub(crate) fn function(kind: &PhaseKind) -> String {
    let code = match kind {
        PhaseKind::Map(code) | PhaseKind::Reduce(code) => code,
        PhaseKind::Group(group) => &group.code,
        PhaseKind::Link(_) => return String::new(),
    };
    match &code.callee {
        Callee::Given(Function::Source(_) | Function::Stored { .. }) => "javascript".to_owned(),
        Callee::Given(Function::Named(name)) => quote(name),
        Callee::Given(Function::Erlang { module, function }) => {
            quote(&format!("{module}:{function}"))
        }
        Callee::Given(Function::Part(..)) => "javascript".to_owned(),
        Callee::Stored(id) => quote(&format!("javascript in {id}")),
        Callee::ErlangSource => "erlang".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = QueryId { node: NodeId(11), number: 0xfeed };
        assert_eq!(id.to_string(), "b-000000000000feed");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "-", "b", "b-", "-1", "x-1", "b-1-2", "b-+1", "b-11112222333344445"] {
            assert!(text.parse::<QueryId>().is_err(), "{text}");
        }
    }
}
