//! Random histories of replicas: the laws of the lattice, and what a reference says that must be there.
//! Proptest prints what fails, and how to try it again.

use std::collections::BTreeSet;

use bytes::Bytes;
use mapring_types::{ActorId, Dot, VersionVector};
use proptest::prelude::*;

use crate::dotted::DotStore as _;
use crate::kind::{FieldKind, Kind};
use crate::map::{Content, FieldName};
use crate::op::{FieldOp, MapOp, Op, SetOp, Update};
use crate::state::{Datatype, Value};

const REPLICAS: usize = 3;

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// A client writes at a replica; `seen` is the one whose context it has, as that is now.
    Write { at: usize, op: Op, seen: Option<usize> },
    /// A replica hears of what another one has.
    Hear { at: usize, of: usize },
    /// A replica loses all that it has, and goes on as another actor.
    Lose { at: usize },
}

#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) kind: Kind,
    steps: Vec<Step>,
}

/// A write that was made.
#[derive(Debug, Clone)]
struct Made {
    dot: Dot,
    op: Op,
    /// What its removals could remove: the context, or what its replica knew.
    could: Could,
}

#[derive(Debug, Clone)]
enum Could {
    Seen(VersionVector),
    Known(BTreeSet<usize>),
}

/// One replica, and the numbers of the writes that it has heard of.
#[derive(Clone)]
struct Replica {
    state: Datatype,
    actor: u64,
    counter: u64,
    known: BTreeSet<usize>,
}

impl History {
    /// The replicas after the first steps.
    pub(super) fn play(&self, steps: usize) -> Vec<Datatype> {
        self.run(steps).0.into_iter().map(|replica| replica.state).collect()
    }

    /// All updates that clients send.
    pub(super) fn updates(&self) -> Vec<Update> {
        let states = self.play(usize::MAX);
        let updates = self.steps.iter().filter_map(|step| match step {
            Step::Write { op, seen, .. } => {
                let context = seen.map(|seen| states[seen].context().clone());
                Some(Update { op: op.clone(), context })
            }
            Step::Hear { .. } | Step::Lose { .. } => None,
        });
        updates.collect()
    }

    fn run(&self, steps: usize) -> (Vec<Replica>, Vec<Made>) {
        let mut replicas: Vec<Replica> = (0..REPLICAS as u64)
            .map(|at| Replica {
                state: Datatype::new(self.kind),
                actor: at + 1,
                counter: 0,
                known: BTreeSet::new(),
            })
            .collect();
        let (mut made, mut actors) = (Vec::new(), REPLICAS as u64);
        for step in self.steps.iter().take(steps) {
            match step {
                Step::Write { at, op, seen } => {
                    let context = seen.map(|seen| replicas[seen].state.context().clone());
                    replicas[*at].write(op, context, &mut made);
                }
                Step::Hear { at, of } => {
                    let other = replicas[*of].clone();
                    replicas[*at].state.merge(&other.state);
                    replicas[*at].known.extend(other.known);
                }
                Step::Lose { at } => {
                    actors += 1;
                    replicas[*at] = Replica {
                        state: Datatype::new(self.kind),
                        actor: actors,
                        counter: 0,
                        known: BTreeSet::new(),
                    };
                }
            }
        }
        (replicas, made)
    }
}

impl Replica {
    fn write(&mut self, op: &Op, context: Option<VersionVector>, made: &mut Vec<Made>) {
        self.counter += 1;
        let dot = Dot { actor: ActorId(self.actor), counter: self.counter };
        let update = Update { op: op.clone(), context: context.clone() };
        let mut next = self.state.clone();
        // Refused is a removal of what is not there.
        if next.apply(&update, dot, self.counter).is_err() {
            return;
        }
        let mut joined = self.state.clone();
        joined.merge(&next);
        assert_eq!(joined, next, "a write goes up");
        self.state = next;
        let could = match context {
            Some(seen) => Could::Seen(seen),
            None => Could::Known(self.known.clone()),
        };
        self.known.insert(made.len());
        made.push(Made { dot, op: op.clone(), could });
    }
}

/// A text that is somewhere: the field, if any, and the element; of a flag that says yes, none.
type Fact = (Option<FieldName>, Bytes);

/// What the writes say that must be there: whatever was added by one and that no other one removed which
/// could.
fn expected(known: &BTreeSet<usize>, made: &[Made]) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    for &number in known {
        for (place, fact) in added(&made[number].op).into_iter().enumerate() {
            let removed = |other: usize| {
                let after = if other == number { place + 1 } else { 0 };
                let could = other == number || made[other].could.covers(number, made);
                could && removes(&made[other], &fact, after)
            };
            if !known.iter().any(|other| removed(*other)) {
                facts.insert(fact.1);
            }
        }
    }
    facts
}

impl Could {
    fn covers(&self, number: usize, made: &[Made]) -> bool {
        match self {
            Self::Seen(seen) => seen.covers(made[number].dot),
            Self::Known(known) => known.contains(&number),
        }
    }
}

/// What an operation adds, with the place of each among what it does.
fn added(op: &Op) -> Vec<(usize, Fact)> {
    let of_set = |field: Option<&FieldName>, ops: &[SetOp]| {
        let all = ops.iter().map(|op| match op {
            SetOp::Add(element) => Some((field.cloned(), element.clone())),
            SetOp::Remove(_) => None,
        });
        all.collect::<Vec<_>>()
    };
    let all: Vec<Option<Fact>> = match op {
        Op::Set(ops) => of_set(None, ops),
        Op::Map(ops) => {
            let each = ops.iter().map(|op| match op {
                MapOp::Update(name, FieldOp::Set(ops)) => of_set(Some(name), ops),
                MapOp::Update(name, FieldOp::Flag(true)) => {
                    vec![Some((Some(name.clone()), Bytes::new()))]
                }
                _ => vec![None],
            });
            each.flatten().collect()
        }
        _ => Vec::new(),
    };
    all.into_iter().enumerate().filter_map(|(at, fact)| Some((at, fact?))).collect()
}

/// Whether a write removes a fact, from one place on among what it does. Of the same write only what it
/// does without a context reaches what it has added itself.
fn removes(made: &Made, (_, fact): &(usize, Fact), after: usize) -> bool {
    if after > 0 && matches!(made.could, Could::Seen(_)) {
        return false;
    }
    let (field, element) = fact;
    let of_set = |name: Option<&FieldName>, ops: &[SetOp]| {
        let all = ops.iter().map(|op| match op {
            SetOp::Remove(removed) => name == field.as_ref() && removed == element,
            SetOp::Add(_) => false,
        });
        all.collect::<Vec<bool>>()
    };
    let all: Vec<bool> = match &made.op {
        Op::Set(ops) => of_set(None, ops),
        Op::Map(ops) => {
            let each = ops.iter().map(|op| match op {
                MapOp::Update(name, FieldOp::Set(ops)) => of_set(Some(name), ops),
                MapOp::Update(name, FieldOp::Flag(false)) => vec![Some(name) == field.as_ref()],
                MapOp::Remove(name) => vec![Some(name) == field.as_ref()],
                MapOp::Update(..) => vec![false],
            });
            each.flatten().collect()
        }
        _ => Vec::new(),
    };
    // An empty operation on a set takes a place all the same.
    all.iter().skip(after).any(|removes| *removes)
}

/// What is there.
fn found(state: &Datatype) -> BTreeSet<Fact> {
    match &state.value {
        Value::Set(set) => set.0.keys().map(|element| (None, element.clone())).collect(),
        Value::Map(map) => {
            let fields = map.0.iter().flat_map(|(name, field)| {
                match &field.content {
                    Content::Set(set) => set.0.keys().cloned().collect(),
                    Content::Flag(dots) if !dots.is_empty() => vec![Bytes::new()],
                    _ => Vec::new(),
                }
                .into_iter()
                .map(|element| (Some(name.clone()), element))
                .collect::<Vec<_>>()
            });
            fields.collect()
        }
        Value::Counter(_) | Value::GSet(_) | Value::Hll(_) => BTreeSet::new(),
    }
}

fn element() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(Bytes::from)
}

fn set_ops() -> impl Strategy<Value = Vec<SetOp>> {
    let op = prop_oneof![element().prop_map(SetOp::Add), element().prop_map(SetOp::Remove)];
    prop::collection::vec(op, 1..3)
}

fn name(kind: FieldKind) -> impl Strategy<Value = FieldName> {
    prop::sample::select(vec!["x", "y"])
        .prop_map(move |name| FieldName { name: Bytes::from(name), kind })
}

fn map_ops() -> impl Strategy<Value = Vec<MapOp>> {
    let any_kind = prop::sample::select(FieldKind::ALL.to_vec());
    let removal = any_kind.prop_flat_map(name).prop_map(MapOp::Remove).boxed();
    let flat = prop_oneof![
        (name(FieldKind::Counter), -3..4i64)
            .prop_map(|(name, by)| MapOp::Update(name, FieldOp::Counter(by))),
        (name(FieldKind::Flag), any::<bool>())
            .prop_map(|(name, yes)| MapOp::Update(name, FieldOp::Flag(yes))),
        (name(FieldKind::Register), element())
            .prop_map(|(name, value)| MapOp::Update(name, FieldOp::Register(value))),
        (name(FieldKind::Set), set_ops())
            .prop_map(|(name, ops)| MapOp::Update(name, FieldOp::Set(ops))),
        removal,
    ];
    let op = flat.prop_recursive(2, 8, 3, |inner| {
        (name(FieldKind::Map), prop::collection::vec(inner, 0..3))
            .prop_map(|(name, ops)| MapOp::Update(name, FieldOp::Map(ops)))
    });
    prop::collection::vec(op, 1..4)
}

fn op(kind: Kind) -> BoxedStrategy<Op> {
    match kind {
        Kind::Counter => (-9..9i64).prop_map(Op::Counter).boxed(),
        Kind::Set => set_ops().prop_map(Op::Set).boxed(),
        Kind::Map => map_ops().prop_map(Op::Map).boxed(),
        Kind::GSet => prop::collection::vec(element(), 0..3).prop_map(Op::GSet).boxed(),
        Kind::Hll => (4..7u8, prop::collection::vec(element(), 0..3))
            .prop_map(|(precision, elements)| Op::Hll { precision, elements })
            .boxed(),
    }
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let replica = || 0..REPLICAS;
    prop::sample::select(Kind::ALL.to_vec()).prop_flat_map(move |kind| {
        let step = prop_oneof![
            6 => (replica(), op(kind), prop::option::of(replica()))
                .prop_map(|(at, op, seen)| Step::Write { at, op, seen }),
            3 => (replica(), replica()).prop_map(|(at, of)| Step::Hear { at, of }),
            1 => replica().prop_map(|at| Step::Lose { at }),
        ];
        prop::collection::vec(step, 1..16).prop_map(move |steps| History { kind, steps })
    })
}

fn joined(one: &Datatype, two: &Datatype) -> Datatype {
    let mut joined = one.clone();
    joined.merge(two);
    joined
}

proptest! {
    // Each takes microseconds.
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn merging_is_the_join_of_a_lattice(history in history(), early in 0..16usize) {
        let mut states = history.play(early);
        states.extend(history.play(usize::MAX));
        for one in &states {
            prop_assert_eq!(&joined(one, one), one);
            for two in &states {
                let both = joined(one, two);
                prop_assert_eq!(&both, &joined(two, one));
                prop_assert_eq!(&joined(&both, one), &both);
                for three in &states {
                    prop_assert_eq!(joined(&both, three), joined(one, &joined(two, three)));
                }
            }
        }
    }

    #[test]
    fn replicas_agree_with_a_reference(history in history()) {
        let (replicas, made) = history.run(usize::MAX);
        for Replica { state, known, .. } in &replicas {
            prop_assert_eq!(found(state), expected(known, &made));
        }
        let mut all = replicas[0].state.clone();
        let mut known = replicas[0].known.clone();
        for Replica { state, known: more, .. } in &replicas[1..] {
            all.merge(state);
            known.extend(more);
        }
        prop_assert_eq!(found(&all), expected(&known, &made));
        if history.kind == Kind::Counter {
            let counted = known.iter().map(|number| match made[*number].op {
                Op::Counter(by) => i128::from(by),
                _ => 0,
            });
            prop_assert_eq!(all.number(), Some(counted.sum()));
        }
        prop_assert!(found(&all).is_subset(&expected(&known, &made)));
    }
}
