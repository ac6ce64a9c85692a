//! What clients did to data types, and what they may therefore see.
//!
//! A counter is changed by powers of four, each once, so that its number tells how often each change counts:
//! an acknowledged one once, one of unknown end at most once. An element is there while one of its additions
//! is that no removal covers: what the client that removes it had seen. Who reads from a majority sees what
//! was acknowledged before.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapring_datatypes::{Datatype, Kind, Op, Update, json};
use mapring_types::{ActorId, Dot};
use serde_json::Value;

use crate::history::{Moment, Span};
use crate::limits;

/// What the yes of a flag is called among the elements of a map.
pub(crate) const FLAG: &str = "flag";

/// The names of the fields of maps, as they are shown.
pub(crate) const HITS: &str = "hits";
pub(crate) const NOTE: &str = "note";
pub(crate) const TAGS: &str = "tags";

/// Everything that was done to data types, by their keys.
#[derive(Default)]
pub(crate) struct DatatypeHistory(BTreeMap<String, (Kind, Vec<Deed>)>);

/// An update.
struct Deed {
    effects: Vec<Effect>,
    begun: Moment,
    acknowledged: Option<Moment>,
}

/// What an update does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Counts by a power of four, up or down.
    Count(i64),
    /// Adds an element, or says yes.
    Add(String),
    /// Assigns a text.
    Assign(String),
    /// Removes what somebody has seen of elements.
    Remove {
        elements: BTreeSet<String>,
        /// When he began to read it, …
        from: Moment,
        /// … and when he had.
        to: Moment,
    },
}

/// What somebody finds of a data type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Of a counter, a HyperLogLog, or the counter of a map.
    pub(crate) number: i128,
    /// Of a set, or of the set of a map, and its flag.
    pub(crate) elements: BTreeSet<String>,
    /// Of the register of a map.
    pub(crate) register: Option<String>,
}

impl Sight {
    /// What there is to be seen of a data type, as clients get it.
    pub(crate) fn of(found: Option<&Datatype>) -> Self {
        let Some(found) = found else { return Self::default() };
        let value: Value = serde_json::from_str(&json::value(found)).unwrap_or_default();
        let field = |name: &str, kind: &str| &value[format!("{name}_{kind}")];
        match found.kind() {
            Kind::Counter | Kind::Hll => {
                Self { number: found.number().unwrap_or(0), ..Self::default() }
            }
            Kind::Set | Kind::GSet => Self { elements: texts(&value), ..Self::default() },
            Kind::Map => {
                let mut elements = texts(field(TAGS, "set"));
                if field(FLAG, "flag").as_bool() == Some(true) {
                    elements.insert(FLAG.to_owned());
                }
                let number = field(HITS, "counter").as_i64().unwrap_or(0).into();
                let register = field(NOTE, "register").as_str().map(str::to_owned);
                Self { number, elements, register }
            }
        }
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

impl DatatypeHistory {
    /// An update begins. Returns its number among those of the key.
    pub(crate) fn begin(
        &mut self,
        key: &str,
        kind: Kind,
        effects: Vec<Effect>,
        begun: Moment,
    ) -> usize {
        let (_, deeds) = self.0.entry(key.to_owned()).or_insert_with(|| (kind, Vec::new()));
        deeds.push(Deed { effects, begun, acknowledged: None });
        deeds.len() - 1
    }

    /// An update has been acknowledged.
    pub(crate) fn acknowledge(&mut self, key: &str, number: usize, at: Moment) {
        let deed = self.0.get_mut(key).and_then(|(_, deeds)| deeds.get_mut(number));
        if let Some(deed) = deed {
            deed.acknowledged = Some(at);
        }
    }

    /// What was acknowledged after `since` may be lost: what became of it is not known.
    pub(crate) fn forgive(&mut self, since: Moment) {
        for deed in self.0.values_mut().flat_map(|(_, deeds)| deeds) {
            deed.acknowledged = deed.acknowledged.filter(|at| *at <= since);
        }
    }

    /// The keys, with what they are.
    pub(crate) fn keys(&self) -> Vec<(String, Kind)> {
        self.0.iter().map(|(key, (kind, _))| (key.clone(), *kind)).collect()
    }

    /// By how much a counter may be changed next; `None` where it was changed so often that the changes
    /// could not be told apart.
    pub(crate) fn next_count(&self, key: &str) -> Option<i64> {
        let deeds = self.0.get(key).map(|(_, deeds)| deeds.as_slice()).unwrap_or_default();
        let counts = deeds.iter().flat_map(Deed::counts).count();
        let digit = u32::try_from(counts).ok().filter(|digit| *digit < limits::COUNTS)?;
        4_i64.checked_pow(digit)
    }

    /// Checks what was found of a key by one who must see what was acknowledged before.
    pub(crate) fn check(&self, key: &str, sight: &Sight, span: Span) -> Vec<String> {
        let Some((kind, deeds)) = self.0.get(key) else { return Vec::new() };
        let (number, elements) = (
            || check_number(deeds, sight.number, span),
            || check_elements(deeds, &sight.elements, span),
        );
        let faults = match kind {
            Kind::Counter => number(),
            Kind::Set | Kind::GSet => elements(),
            Kind::Map => {
                let register = check_register(deeds, sight.register.as_deref(), span);
                number().into_iter().chain(elements()).chain(register).collect()
            }
            Kind::Hll => check_estimate(deeds, sight.number, span).into_iter().collect(),
        };
        faults.into_iter().map(|fault| format!("data types: {key}: {fault}")).collect()
    }
}

impl Deed {
    fn counts(&self) -> impl Iterator<Item = i64> + '_ {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Count(by) => Some(*by),
            Effect::Add(_) | Effect::Assign(_) | Effect::Remove { .. } => None,
        })
    }

    fn assigns(&self) -> impl Iterator<Item = &str> + '_ {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Assign(text) => Some(text.as_str()),
            Effect::Count(_) | Effect::Add(_) | Effect::Remove { .. } => None,
        })
    }

    fn adds(&self) -> impl Iterator<Item = &str> + '_ {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Add(element) => Some(element.as_str()),
            Effect::Count(_) | Effect::Assign(_) | Effect::Remove { .. } => None,
        })
    }

    /// When its client began to read what it removes of an element, and when it had.
    fn removes(&self, element: &str) -> Option<(Moment, Moment)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Remove { elements, from, to } if elements.contains(element) => {
                Some((*from, *to))
            }
            _ => None,
        })
    }

    /// Whether who reads in a span must see it.
    fn is_sure(&self, span: Span) -> bool {
        self.acknowledged.is_some_and(|at| at < span.from)
    }

    /// Whether he may.
    fn may_be(&self, span: Span) -> bool {
        self.begun <= span.to
    }
}

/// Each change of a counter once, if it was acknowledged, and at most once.
fn check_number(deeds: &[Deed], number: i128, span: Span) -> Vec<String> {
    let (mut left, mut faults) = (number, Vec::new());
    for deed in deeds {
        for by in deed.counts() {
            let (weight, sign) = (i128::from(by.abs()), i128::from(by.signum()));
            let times = (left / weight * sign).rem_euclid(4);
            left -= times * i128::from(by);
            if times > 1 {
                faults.push(format!("{by} counts {times} times in {number}"));
            } else if times == 0 && deed.is_sure(span) {
                faults.push(format!("{by} is lost from {number}"));
            } else if times > 0 && !deed.may_be(span) {
                faults.push(format!("{by} is in {number} too early"));
            }
        }
    }
    if left != 0 {
        faults.push(format!("nobody has counted {left} of {number}"));
    }
    faults
}

fn check_elements(deeds: &[Deed], found: &BTreeSet<String>, span: Span) -> Vec<String> {
    let added: BTreeSet<&str> = deeds.iter().flat_map(Deed::adds).collect();
    let all = added.iter().copied().chain(found.iter().map(String::as_str));
    let all: BTreeSet<&str> = all.collect();
    let check = |element: &str| check_element(deeds, element, found.contains(element), span);
    all.into_iter().filter_map(check).collect()
}

fn check_element(deeds: &[Deed], element: &str, is_there: bool, span: Span) -> Option<String> {
    let begun = || deeds.iter().filter(|deed| deed.may_be(span));
    let adds = || begun().filter(|deed| deed.adds().any(|added| added == element));
    if is_there {
        // A removal takes for sure what was acknowledged before it was read.
        let is_removed = |add: &Deed| {
            begun().filter(|deed| deed.is_sure(span)).any(|removal| {
                let read = removal.removes(element);
                read.zip(add.acknowledged).is_some_and(|((from, _), added)| added < from)
            })
        };
        let may_be = adds().any(|add| !is_removed(add));
        return (!may_be).then(|| format!("{element} is there, which was removed or never added"));
    }
    // It may take all that had begun when it was read.
    let may_be_removed = |add: &Deed| {
        begun().any(|removal| removal.removes(element).is_some_and(|(_, to)| add.begun <= to))
    };
    let is_lost = adds().any(|add| add.is_sure(span) && !may_be_removed(add));
    is_lost.then(|| format!("{element} is lost"))
}

/// The text is one that was assigned; which one clocks decide.
fn check_register(deeds: &[Deed], found: Option<&str>, span: Span) -> Option<String> {
    let begun = || deeds.iter().filter(|deed| deed.may_be(span));
    match found {
        Some(found) => {
            let is_known = begun().flat_map(Deed::assigns).any(|text| text == found);
            (!is_known).then(|| format!("nobody has assigned {found}"))
        }
        None => {
            let sure = begun().filter(|deed| deed.is_sure(span)).flat_map(Deed::assigns).next();
            sure.map(|text| format!("the text is lost, {text} or a later one"))
        }
    }
}

/// An estimate is what it is for the texts that are there: more texts do not lower it.
fn check_estimate(deeds: &[Deed], found: i128, span: Span) -> Option<String> {
    let begun = || deeds.iter().filter(|deed| deed.may_be(span));
    let least = estimate(begun().filter(|deed| deed.is_sure(span)).flat_map(Deed::adds));
    let most = estimate(begun().flat_map(Deed::adds));
    let is_right = (least..=most).contains(&found);
    (!is_right).then(|| format!("about {found} texts, not from {least} to {most}"))
}

fn estimate<'a>(texts: impl Iterator<Item = &'a str>) -> i128 {
    let elements = texts.map(|text| Bytes::from(text.to_owned())).collect();
    let (mut hll, precision) = (Datatype::new(Kind::Hll), limits::PRECISION);
    let update = Update::new(Op::Hll { precision, elements });
    let done = hll.apply(&update, Dot { actor: ActorId(1), counter: 1 }, 0);
    debug_assert!(done.is_ok(), "texts can be added to a HyperLogLog");
    hll.number().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Span = Span { from: 100, to: 100 };

    /// Updates with when they begin and are acknowledged.
    fn history(kind: Kind, deeds: Vec<(Vec<Effect>, Moment, Option<Moment>)>) -> DatatypeHistory {
        let mut history = DatatypeHistory::default();
        for (effects, begun, acknowledged) in deeds {
            let number = history.begin("k", kind, effects, begun);
            if let Some(at) = acknowledged {
                history.acknowledge("k", number, at);
            }
        }
        history
    }

    fn elements(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[track_caller]
    fn check(history: &DatatypeHistory, sight: &Sight, span: Span, faults: &[&str]) {
        let told = history.check("k", sight, span);
        assert_eq!(told.len(), faults.len(), "{told:?}");
        assert!(told.iter().zip(faults).all(|(told, fault)| told.contains(fault)), "{told:?}");
    }

    #[test]
    fn each_change_of_a_counter_counts_once() {
        // 1 up and 4 down are acknowledged, what became of 16 down is not known, 64 comes later.
        let count = |by, begun, end| (vec![Effect::Count(by)], begun, end);
        let history = history(
            Kind::Counter,
            vec![
                count(1, 1, Some(2)),
                count(-4, 3, Some(9)),
                count(-16, 5, None),
                count(64, 200, None),
            ],
        );
        assert_eq!(history.next_count("k"), Some(256));
        for (number, faults) in [
            (-3, &[] as &[&str]),
            (-19, &[]),
            (-4, &["1 is lost"]),
            (1, &["-4 is lost"]),
            (-2, &["1 counts 2 times"]),
            (-35, &["-16 counts 2 times"]),
            (-7, &["-4 counts 2 times"]),
            (61, &["64 is in 61 too early"]),
            (253, &["nobody has counted 256"]),
        ] {
            check(&history, &Sight { number, ..Sight::default() }, AT_ONCE, faults);
        }
        let early = Span { from: 1, to: 4 };
        check(&history, &Sight::default(), early, &[]);
        check(&history, &Sight { number: -19, ..Sight::default() }, early, &["too early"]);
    }

    #[test]
    fn a_counter_has_as_many_changes_as_can_be_told_apart() {
        let mut history = DatatypeHistory::default();
        for _ in 0..limits::COUNTS {
            let by = history.next_count("k").unwrap();
            history.begin("k", Kind::Counter, vec![Effect::Count(by)], 1);
        }
        assert_eq!(history.next_count("k"), None);
    }

    #[test]
    fn elements_are_there_until_what_was_seen_of_them_is_removed() {
        let add = |name: &str, begun, end| (vec![Effect::Add(name.to_owned())], begun, end);
        let remove = |name: &str, (from, to), begun, end| {
            (vec![Effect::Remove { elements: elements(&[name]), from, to }], begun, end)
        };
        let history = history(
            Kind::Set,
            vec![
                add("kept", 1, Some(2)),
                add("gone", 1, Some(2)),
                add("perhaps", 1, Some(2)),
                add("again", 1, Some(2)),
                add("unknown", 1, None),
                remove("gone", (5, 6), 7, Some(8)),
                remove("perhaps", (5, 6), 7, None),
                remove("again", (5, 6), 10, Some(12)),
                add("again", 9, Some(11)),
            ],
        );
        let sight = |names: &[&str]| Sight { elements: elements(names), ..Sight::default() };
        check(&history, &sight(&["kept", "perhaps", "again", "unknown"]), AT_ONCE, &[]);
        check(&history, &sight(&["kept", "again"]), AT_ONCE, &[]);
        check(&history, &sight(&["again"]), AT_ONCE, &["kept is lost"]);
        check(&history, &sight(&["kept"]), AT_ONCE, &["again is lost"]);
        check(&history, &sight(&["kept", "again", "gone"]), AT_ONCE, &["gone is there"]);
        check(&history, &sight(&["kept", "again", "no"]), AT_ONCE, &["no is there"]);
        check(&history, &Sight::default(), AT_ONCE, &["again is lost", "kept is lost"]);
        let before = Span { from: 4, to: 6 };
        check(&history, &sight(&["kept", "gone", "perhaps", "again"]), before, &[]);
        check(&history, &sight(&["kept", "gone", "again"]), before, &["perhaps is lost"]);
    }

    #[test]
    fn what_may_be_lost_may_be_there_or_not() {
        let add = |name: &str, at| (vec![Effect::Add(name.to_owned())], at, Some(at + 1));
        let mut history = history(Kind::GSet, vec![add("old", 1), add("new", 10)]);
        history.forgive(5);
        let sight = |names: &[&str]| Sight { elements: elements(names), ..Sight::default() };
        check(&history, &sight(&["old"]), AT_ONCE, &[]);
        check(&history, &sight(&["old", "new"]), AT_ONCE, &[]);
        check(&history, &sight(&["new"]), AT_ONCE, &["old is lost"]);
    }

    #[test]
    fn texts_are_those_that_were_assigned_and_estimates_those_of_what_was_added() {
        let assign = |text: &str, at, end| (vec![Effect::Assign(text.to_owned())], at, end);
        let map = history(Kind::Map, vec![assign("a", 1, Some(2)), assign("b", 1, None)]);
        let sight =
            |text: Option<&str>| Sight { register: text.map(str::to_owned), ..Sight::default() };
        check(&map, &sight(Some("a")), AT_ONCE, &[]);
        check(&map, &sight(Some("b")), AT_ONCE, &[]);
        check(&map, &sight(Some("c")), AT_ONCE, &["nobody has assigned c"]);
        check(&map, &sight(None), AT_ONCE, &["the text is lost"]);
        let add = |name: &str, end| (vec![Effect::Add(name.to_owned())], 1, end);
        let hll = history(Kind::Hll, vec![add("a", Some(2)), add("b", Some(2)), add("c", None)]);
        for (number, faults) in
            [(2, &[] as &[&str]), (3, &[]), (1, &["from 2 to 3"]), (4, &["from 2 to 3"])]
        {
            check(&hll, &Sight { number, ..Sight::default() }, AT_ONCE, faults);
        }
    }

    #[test]
    fn sights_are_what_clients_get() {
        use mapring_datatypes::{FieldKind, FieldName, FieldOp, MapOp, SetOp};
        let field = |name: &'static str, kind| FieldName {
            name: Bytes::from_static(name.as_bytes()),
            kind,
        };
        let ops = vec![
            MapOp::Update(field(HITS, FieldKind::Counter), FieldOp::Counter(-4)),
            MapOp::Update(field(FLAG, FieldKind::Flag), FieldOp::Flag(true)),
            MapOp::Update(
                field(NOTE, FieldKind::Register),
                FieldOp::Register(Bytes::from_static(b"n")),
            ),
            MapOp::Update(
                field(TAGS, FieldKind::Set),
                FieldOp::Set(vec![SetOp::Add(Bytes::from_static(b"e"))]),
            ),
        ];
        let mut map = Datatype::new(Kind::Map);
        map.apply(&Update::new(Op::Map(ops)), Dot { actor: ActorId(1), counter: 1 }, 1).unwrap();
        let expected =
            Sight { number: -4, elements: elements(&["e", FLAG]), register: Some("n".to_owned()) };
        assert_eq!(Sight::of(Some(&map)), expected);
        assert_eq!(Sight::of(None), Sight::default());
    }
}
