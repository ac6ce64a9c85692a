//! What can be asked: every form of inputs with every chain of phases and the options.

use mapring_types::Entropy;
use serde_json::{Value, json};

use crate::buckets::{POINTERS, SHARED};
use crate::folds::Merged;
use crate::limits;
use crate::random::Random;
use crate::selections::{Selected, filtered, index};
use crate::world::World;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// About the objects that have one writer each.
    Numbers(Selected, Chain, Options),
    /// The values that objects point to.
    Pointed(Pointers, Follow, Options),
    /// Whole shared objects with all their siblings; by an index that all their values have.
    Objects {
        by_index: bool,
        options: Options,
    },
    /// A fold over a majority of replicas, without a query.
    Merged(Merged),
    /// The sum of the numbers from 1 on, which no object holds.
    Sequence(u64),
    /// The same of numbers that are made in shards, added up where they are.
    Made(u64),
    Keys,
    Buckets,
}

/// What is done with the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// All values.
    Values,
    /// The values that are JSON; inputs with others are left out and told.
    Json,
    /// How many there are.
    Count,
    /// The same, counted beside the data first.
    CountEarly,
    /// The sum of the values that are JSON, added up beside the data first.
    Sum,
    /// Their names: a reduce without a map before it.
    Names,
    /// The values, grouped by their objects' keys on all nodes.
    Grouped,
}

/// Which of the objects that point to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pointers {
    All,
    /// Those with numbers from one to another, by a key filter.
    Filtered(u64, u64),
    /// The same, by an index.
    Indexed(u64, u64),
}

/// How an object points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// By its value: a map, and another.
    Value,
    /// By its link.
    Link,
}

/// Options of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// Replicas are merged.
    pub(crate) quorum: bool,
    /// No more results are wanted.
    pub(crate) limit: Option<u64>,
    /// Functions get tombstones.
    pub(crate) tombstones: bool,
}

impl Options {
    fn any(random: &Random) -> Self {
        Self { quorum: random.per_mille(300), ..Self::default() }
    }
}

impl Pointers {
    /// Whether the object with a number is of it.
    pub(crate) fn has(self, number: u64) -> bool {
        match self {
            Self::All => true,
            Self::Filtered(from, to) | Self::Indexed(from, to) => (from..=to).contains(&number),
        }
    }

    fn inputs(self) -> Value {
        match self {
            Self::All => json!(POINTERS),
            Self::Filtered(from, to) => filtered(
                POINTERS,
                json!([["tokenize", "p", 1], ["string_to_int"], ["between", from, to]]),
            ),
            Self::Indexed(from, to) => index(POINTERS, "pointer_int", json!(from), json!(to)),
        }
    }
}

impl Question {
    /// Questions of all kinds: each form of inputs once, with some chain and options.
    pub(crate) fn all(world: &World, random: &Random) -> Vec<Self> {
        let numbers = |selected| Self::numbers(selected, random);
        let mut all: Vec<Self> = Selected::all(world, random).into_iter().map(numbers).collect();
        let (one, other) =
            (random.below(limits::POINTERS as u64), random.below(limits::POINTERS as u64));
        let (from, to) = (one.min(other), one.max(other));
        for pointers in [Pointers::All, Pointers::Filtered(from, to), Pointers::Indexed(from, to)] {
            let follow = if random.per_mille(500) { Follow::Value } else { Follow::Link };
            all.push(Self::Pointed(pointers, follow, Options::any(random)));
        }
        let (by_index, options) = (random.per_mille(500), Options::any(random));
        all.extend([
            Self::Objects { by_index, options },
            Self::Merged(Merged::any(world, random)),
            Self::Merged(Merged::any(world, random)),
            Self::Sequence(random.within(1..100)),
            Self::Made(random.within(1..3_000)),
            Self::Keys,
            Self::Buckets,
        ]);
        all
    }

    fn numbers(selected: Selected, random: &Random) -> Self {
        const CHAINS: [Chain; 9] = [
            Chain::Values,
            Chain::Values,
            Chain::Values,
            Chain::Grouped,
            Chain::Json,
            Chain::Count,
            Chain::CountEarly,
            Chain::Sum,
            Chain::Names,
        ];
        // How many and how much has changing terms within bounds cannot be told.
        const CHANGING: [Chain; 2] = [Chain::Values, Chain::Names];
        let changes = matches!(selected, Selected::Values(..));
        let chains: &[Chain] = if changes { &CHANGING } else { &CHAINS };
        let chain = random.choose(chains).copied().unwrap_or(Chain::Values);
        let mut options = Options::any(random);
        match chain {
            Chain::Values if random.per_mille(300) && !changes => {
                options.limit = Some(random.within(1..60));
            }
            Chain::Values | Chain::Count | Chain::CountEarly => {
                options.tombstones = random.per_mille(300);
            }
            Chain::Json | Chain::Sum | Chain::Names | Chain::Grouped => {}
        }
        Self::Numbers(selected, chain, options)
    }

    /// The query; `None` for what is none.
    pub(crate) fn text(&self) -> Option<String> {
        let mut query = match self {
            Self::Numbers(selected, chain, _) => {
                let mut query = json!({"inputs": selected.inputs(), "query": chain.phases()});
                if matches!(chain, Chain::Json | Chain::Sum) {
                    query["on_error"] = json!({"mode": "skip"});
                }
                query
            }
            Self::Pointed(pointers, follow, _) => {
                let first = match follow {
                    Follow::Value => javascript("map", "Riak.mapValuesJson"),
                    Follow::Link => json!({"link": {"tag": "to"}}),
                };
                let phases = [first, javascript("map", "Riak.mapValues")];
                json!({"inputs": pointers.inputs(), "query": phases})
            }
            Self::Objects { by_index, .. } => {
                let inputs = match by_index {
                    true => index(SHARED, "shared_int", json!(1), json!(1)),
                    false => json!(SHARED),
                };
                json!({"inputs": inputs, "query": [erlang("map", "map_identity")]})
            }
            Self::Sequence(most) => {
                let inputs = json!({"module": "mapring", "function": "sequence", "arg": [1, most]});
                json!({"inputs": inputs, "query": [erlang("reduce", "reduce_sum")]})
            }
            Self::Made(most) => {
                let inputs = json!({"range": {"start": 1, "end": most + 1}});
                let phases = [
                    javascript("map", "Riak.mapValuesJson"),
                    javascript("reduce", "Riak.reduceSum"),
                ];
                json!({"inputs": inputs, "query": phases, "shards": 7})
            }
            Self::Merged(_) | Self::Keys | Self::Buckets => return None,
        };
        query["timeout"] = json!(limits::QUERY_MS);
        let Options { quorum, limit, tombstones } = self.options();
        if quorum {
            query["consistency"] = json!("quorum");
        }
        if tombstones {
            query["tombstones"] = json!("pass");
        }
        if let Some(limit) = limit {
            query["limit"] = json!(limit);
        }
        Some(query.to_string())
    }

    pub(crate) fn options(&self) -> Options {
        match self {
            Self::Numbers(_, _, options)
            | Self::Pointed(_, _, options)
            | Self::Objects { options, .. } => *options,
            Self::Merged(_) => Options { quorum: true, ..Options::default() },
            Self::Sequence(_) | Self::Made(_) | Self::Keys | Self::Buckets => Options::default(),
        }
    }
}

impl Chain {
    fn phases(self) -> Value {
        let early = |name: &str| json!({"map": {"language": "javascript", "name": name, "arg": {"do_prereduce": true}}});
        let values = || javascript("map", "Riak.mapValues");
        match self {
            Self::Values => json!([values()]),
            Self::Json => json!([javascript("map", "Riak.mapValuesJson")]),
            Self::Count => json!([values(), erlang("reduce", "reduce_count_inputs")]),
            Self::CountEarly => {
                json!([early("Riak.mapValues"), erlang("reduce", "reduce_count_inputs")])
            }
            Self::Sum => {
                json!([early("Riak.mapValuesJson"), javascript("reduce", "Riak.reduceSum")])
            }
            Self::Names => json!([erlang("reduce", "reduce_identity")]),
            Self::Grouped => {
                let mut group = javascript("reduce", "Job.identity");
                group["reduce"]["group"] = json!(true);
                json!([javascript("map", "Job.identity"), group])
            }
        }
    }
}

fn javascript(kind: &str, name: &str) -> Value {
    json!({kind: {"language": "javascript", "name": name}})
}

fn erlang(kind: &str, function: &str) -> Value {
    json!({kind: {"language": "erlang", "module": "riak_kv_mapreduce", "function": function}})
}
