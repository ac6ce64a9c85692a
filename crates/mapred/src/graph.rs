//! The stages of a query, and which feeds which: made once, when the query is read, from its phases.
//!
//! A phase is one stage, but for a grouped reduce, which is two: the pairs are gathered where their groups
//! belong, then these are reduced. Today's queries are chains. Whoever looks at the shape asks the [`StageGraph`] (routing, reduces,
//! kept results, progress, the plan that is shown), so that another shape is another way to make one.

use mapring_script::{Function, ReduceTiming};

use crate::grammar::{Callee, Inputs, Phase, PhaseKind, Spec};
use crate::report;

/// Names a stage within its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StageId(usize);

impl StageId {
    /// Its number among them, from 0.
    pub(crate) fn number(self) -> usize {
        self.0
    }
}

/// The stages of a query. A stage feeds only later ones, and all but the first are fed.
#[derive(Debug)]
pub(crate) struct StageGraph {
    stages: Vec<StageSpec>,
    /// Whether it matters of which shard a result is.
    tells_shards: bool,
}

/// A stage, as it is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageSpec {
    /// The phase that it belongs to: what results, reports and failures name.
    pub(crate) phase: usize,
    pub(crate) role: Role,
    /// What it calls, in short.
    pub(crate) function: String,
    /// Whether the client gets its results.
    pub(crate) keep: bool,
    /// The stages that take its results.
    pub(crate) feeds: Vec<StageId>,
    /// The reduce that it feeds, when a copy of that runs beside the data.
    pub(crate) prereduce: Option<PrereduceSpec>,
}

/// A reduce beside the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrereduceSpec {
    /// The phase of the reduce.
    pub(crate) phase: usize,
    pub(crate) timing: ReduceTiming,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Answers the query's inputs as they are.
    Echo,
    /// Lists the keys of what is scanned, as a pair, which Erlang's functions get, or as a list.
    Keys { pairs: bool },
    /// Calls a function with each object.
    Map,
    /// Follows the links of each object.
    Link,
    /// Calls a function with many values.
    Reduce(ReduceTiming),
    /// Brings pairs to the owners of their partitions.
    Gather {
        /// How many there are; `None` for what suits the cluster.
        partitions: Option<u32>,
    },
    /// Calls a function with each group of pairs.
    Groups,
}

impl Role {
    /// What operators read.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Echo | Self::Keys { .. } => "keys",
            Self::Map => "map",
            Self::Link => "link",
            Self::Gather { .. } => "gather",
            Self::Reduce(_) | Self::Groups => "reduce",
        }
    }
}

impl StageGraph {
    /// The stages of a query: one a phase, each of which feeds the next. Where a scan is not mapped or
    /// followed first, a stage before them lists its keys.
    pub(crate) fn of(spec: &Spec) -> Self {
        let phases = spec.phases.as_slice();
        let first = phases.first().map(|phase| &phase.kind);
        let lead = match (&spec.inputs, first) {
            (
                Inputs::Scan(_) | Inputs::Source(_),
                None | Some(PhaseKind::Reduce(_) | PhaseKind::Group(_)),
            ) => Some(listing(first)),
            (_, None) => Some(Role::Echo),
            _ => None,
        };
        let lead = lead.map(|role| StageSpec {
            phase: 0,
            role,
            function: String::new(),
            keep: first.is_none(),
            feeds: Vec::new(),
            prereduce: prereduce(0, first, Wanted::IfSmaller),
        });
        let phases = phases.iter().enumerate().flat_map(|(at, phase)| {
            let next = phases.get(at + 1).map(|next| &next.kind);
            gather(at, phase).into_iter().chain([stage(at, phase, next)])
        });
        let mut stages: Vec<StageSpec> = lead.into_iter().chain(phases).collect();
        let last = stages.len().saturating_sub(1);
        for (at, stage) in stages.iter_mut().enumerate().take(last) {
            stage.feeds.push(StageId(at + 1));
        }
        Self { tells_shards: spec.output.tells_shards(), ..Self::new(stages) }
    }

    /// Stages of any shape.
    fn new(stages: Vec<StageSpec>) -> Self {
        assert!(!stages.is_empty(), "a query has a stage");
        for (at, stage) in stages.iter().enumerate() {
            let forward = |fed: &StageId| fed.0 > at && fed.0 < stages.len();
            assert!(stage.feeds.iter().all(forward), "stage {at} feeds {:?}", stage.feeds);
            let ordered = stage.feeds.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(ordered, "stage {at} feeds one twice: {:?}", stage.feeds);
            let fed = stages.iter().any(|other| other.feeds.contains(&StageId(at)));
            assert!(fed == (at > 0), "the first stage, and no other, takes the query's inputs");
        }
        Self { stages, tells_shards: false }
    }

    /// All stages. Each comes before those that it feeds.
    pub(crate) fn stages(&self) -> impl DoubleEndedIterator<Item = (StageId, &StageSpec)> {
        self.stages.iter().enumerate().map(|(at, stage)| (StageId(at), stage))
    }

    /// The stage that takes the query's own inputs.
    pub(crate) fn entry(&self) -> StageId {
        StageId(0)
    }

    /// A stage.
    pub(crate) fn get(&self, stage: StageId) -> &StageSpec {
        &self.stages[stage.0]
    }

    /// The stage of a phase.
    pub(crate) fn of_phase(&self, phase: usize) -> Option<&StageSpec> {
        self.stages.iter().rev().find(|stage| stage.phase == phase)
    }

    /// The gathering stage that takes a stage's results, if they are pairs to be grouped.
    pub(crate) fn gather(&self, stage: StageId) -> Option<StageId> {
        let is_gather = |fed: &StageId| matches!(self.get(*fed).role, Role::Gather { .. });
        self.get(stage).feeds.iter().copied().find(is_gather)
    }

    /// Whether values of groups, or of the objects of shards, come in the order of a stage's inputs: its
    /// results are these, or are mapped or followed first.
    pub(crate) fn is_ordered(&self, stage: StageId) -> bool {
        let mut fed = self.get(stage).feeds.iter();
        self.gather(stage).is_some()
            || (self.tells_shards && self.get(stage).is_final())
            || fed.any(|&fed| self.is_beside(fed) && self.is_ordered(fed))
    }

    /// Whether a stage takes what another gives one by one.
    fn is_beside(&self, stage: StageId) -> bool {
        matches!(self.get(stage).role, Role::Map | Role::Link)
    }

    /// Where results come from that are told apart by shards, if they are: what that stage is given, or
    /// the partitions of its groups, are the shards, and the stages behind it keep them apart.
    pub(crate) fn sharded(&self) -> Option<StageId> {
        let mut at = StageId(self.stages.len() - 1);
        while self.is_beside(at)
            && let Some(feeder) = self.feeders(at).next()
        {
            at = feeder;
        }
        self.tells_shards.then_some(at)
    }

    /// The stages that feed one.
    pub(crate) fn feeders(&self, stage: StageId) -> impl Iterator<Item = StageId> {
        self.stages().filter(move |(_, spec)| spec.feeds.contains(&stage)).map(|(id, _)| id)
    }

    /// Whether a stage gets no more inputs, by whether the query's own have all been given to the first
    /// and which stages are over.
    pub(crate) fn inputs_ended(
        &self,
        stage: StageId,
        own_ended: bool,
        mut is_over: impl FnMut(StageId) -> bool,
    ) -> bool {
        if stage == self.entry() { own_ended } else { self.feeders(stage).all(&mut is_over) }
    }

    /// Whether a stage must wait: for the client, or for one of the stages that it feeds.
    pub(crate) fn is_held_back(
        &self,
        stage: StageId,
        client_has_room: bool,
        mut has_room: impl FnMut(StageId) -> bool,
    ) -> bool {
        let spec = self.get(stage);
        (spec.keep && !client_has_room) || !spec.feeds.iter().all(|fed| has_room(*fed))
    }
}

impl StageSpec {
    /// Whether no other stage takes its results.
    pub(crate) fn is_final(&self) -> bool {
        self.feeds.is_empty()
    }

    /// Whether its results themselves are wanted, of a query with or without a `limit`: to be kept, to
    /// be counted, or to be passed on without a pre-reduce.
    pub(crate) fn wants_results(&self, limited: bool) -> bool {
        self.keep || (limited && self.is_final()) || (!self.is_final() && self.prereduce.is_none())
    }
}

/// Values by stage.
#[derive(Debug)]
pub(crate) struct ByStage<T>(Vec<T>);

impl<T> ByStage<T> {
    /// A value for each stage of a graph.
    pub(crate) fn new(graph: &StageGraph, mut value: impl FnMut(StageId, &StageSpec) -> T) -> Self {
        Self(graph.stages().map(|(id, spec)| value(id, spec)).collect())
    }

    /// As [`ByStage::new`].
    ///
    /// # Errors
    /// The first.
    pub(crate) fn try_new<E>(
        graph: &StageGraph,
        mut value: impl FnMut(StageId, &StageSpec) -> Result<T, E>,
    ) -> Result<Self, E> {
        graph.stages().map(|(id, spec)| value(id, spec)).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn get(&self, stage: StageId) -> &T {
        &self.0[stage.0]
    }

    pub(crate) fn get_mut(&mut self, stage: StageId) -> &mut T {
        &mut self.0[stage.0]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}

/// The stage before a grouped reduce.
fn gather(at: usize, phase: &Phase) -> Option<StageSpec> {
    let PhaseKind::Group(group) = &phase.kind else { return None };
    Some(StageSpec {
        phase: at,
        role: Role::Gather { partitions: group.partitions },
        function: String::new(),
        keep: false,
        feeds: Vec::new(),
        prereduce: None,
    })
}

fn stage(at: usize, phase: &Phase, next: Option<&PhaseKind>) -> StageSpec {
    let (role, wanted) = match &phase.kind {
        PhaseKind::Map(code) => (Role::Map, Wanted::of_map(code.wants_prereduce(), phase.keep)),
        PhaseKind::Link(_) => (Role::Link, Wanted::of(phase.keep)),
        PhaseKind::Reduce(code) => (Role::Reduce(code.timing()), Wanted::Not),
        PhaseKind::Group(_) => (Role::Groups, Wanted::Not),
    };
    StageSpec {
        phase: at,
        role,
        function: report::function(&phase.kind),
        keep: phase.keep,
        feeds: Vec::new(),
        prereduce: prereduce(at + 1, next, wanted),
    }
}

/// The stage before a reduce of a scan, or instead of any phase.
fn listing(next: Option<&PhaseKind>) -> Role {
    let pairs = match next {
        Some(PhaseKind::Reduce(code)) => {
            matches!(code.callee, Callee::Given(Function::Erlang { .. }))
        }
        _ => false,
    };
    Role::Keys { pairs }
}

/// Whether a copy of a reduce runs beside the data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The query says so.
    Asked,
    /// Where it makes much little.
    IfSmaller,
    Not,
}

impl Wanted {
    /// Before a phase whose results the client gets too nothing would be spared.
    fn of(keep: bool) -> Self {
        if keep { Self::Not } else { Self::IfSmaller }
    }

    fn of_map(asked: Option<bool>, keep: bool) -> Self {
        match asked {
            Some(true) => Self::Asked,
            Some(false) => Self::Not,
            None => Self::of(keep),
        }
    }
}

/// The copy of the reduce that follows, if one does. One that asks for batches of its own gets exactly
/// these, and so no copy unless it is asked for.
fn prereduce(phase: usize, next: Option<&PhaseKind>, wanted: Wanted) -> Option<PrereduceSpec> {
    let Some(PhaseKind::Reduce(code)) = next else { return None };
    let timing = match (wanted, code.timing()) {
        (Wanted::Asked, timing) => timing,
        (Wanted::IfSmaller, ReduceTiming::Adaptive) => ReduceTiming::IfSmaller,
        (Wanted::IfSmaller | Wanted::Not, _) => return None,
    };
    Some(PrereduceSpec { phase, timing })
}

#[cfg(test)]
impl StageGraph {
    /// A shape that is no chain, of reduces: one stage feeds two, which feed the last.
    pub(crate) fn diamond() -> Self {
        let keeps = [false, false, true, true];
        let feeds: [&[usize]; 4] = [&[1, 2], &[3], &[3], &[]];
        let stages = keeps.into_iter().zip(feeds).enumerate();
        Self::new(stages.map(|(at, (keep, feeds))| StageSpec::reduce(at, keep, feeds)).collect())
    }
}

#[cfg(test)]
impl StageSpec {
    fn reduce(phase: usize, keep: bool, feeds: &[usize]) -> Self {
        let feeds = feeds.iter().copied().map(StageId).collect();
        let role = Role::Reduce(ReduceTiming::AtEnd);
        Self { phase, role, function: String::new(), keep, feeds, prereduce: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar;

    fn graph(body: &str) -> StageGraph {
        StageGraph::of(grammar::parse(body.as_bytes()).unwrap().spec())
    }

    /// Each stage: phase, role, and what it feeds.
    #[track_caller]
    fn check(body: &str, expect: &[(usize, &str, &[usize])]) {
        let graph = graph(body);
        let found: Vec<(usize, &str, Vec<usize>)> = graph
            .stages()
            .map(|(_, stage)| {
                (stage.phase, stage.role.word(), stage.feeds.iter().map(|fed| fed.0).collect())
            })
            .collect();
        let expect: Vec<(usize, &str, Vec<usize>)> =
            expect.iter().map(|(phase, word, feeds)| (*phase, *word, feeds.to_vec())).collect();
        assert_eq!(found, expect, "{body}");
    }

    #[test]
    fn phases_are_a_chain() {
        let reduce = r#"{"reduce":{"language":"javascript","name":"r"}}"#;
        let map = r#"{"map":{"language":"javascript","name":"m"}}"#;
        check(r#"{"inputs":"b","query":[]}"#, &[(0, "keys", &[])]);
        check(r#"{"inputs":[["b","k"]],"query":[]}"#, &[(0, "keys", &[])]);
        let body = format!(r#"{{"inputs":"b","query":[{reduce},{reduce}]}}"#);
        check(&body, &[(0, "keys", &[1]), (0, "reduce", &[2]), (1, "reduce", &[])]);
        let body = format!(r#"{{"inputs":[["b","k"]],"query":[{reduce}]}}"#);
        check(&body, &[(0, "reduce", &[])]);
        let body = format!(r#"{{"inputs":"b","query":[{map},{{"link":{{}}}},{reduce}]}}"#);
        check(&body, &[(0, "map", &[1]), (1, "link", &[2]), (2, "reduce", &[])]);
        let group = r#"{"reduce":{"language":"javascript","name":"r","group":true}}"#;
        let body = format!(r#"{{"inputs":"b","query":[{map},{group},{reduce}]}}"#);
        let expect: [(usize, &str, &[usize]); 4] =
            [(0, "map", &[1]), (1, "gather", &[2]), (1, "reduce", &[3]), (2, "reduce", &[])];
        check(&body, &expect);
        let body = format!(r#"{{"inputs":"b","query":[{group}]}}"#);
        check(&body, &[(0, "keys", &[1]), (0, "gather", &[2]), (0, "reduce", &[])]);
    }

    #[test]
    fn a_reduce_that_follows_runs_beside_the_data() {
        let prereduce = |map: &str, reduce: &str| {
            let body = format!(
                r#"{{"inputs":"b","query":[{{"map":{{"language":"javascript","name":"m"{map}}}}},
                    {{"reduce":{{"language":"javascript","name":"r"{reduce}}}}}]}}"#
            );
            let graph = graph(&body);
            let first = graph.get(graph.entry());
            assert_eq!(first.wants_results(false), first.keep || first.prereduce.is_none());
            first.prereduce.map(|copy| (copy.phase, copy.timing))
        };
        let batch = r#","arg":{"reduce_phase_batch_size":7}"#;
        let asked = r#","arg":{"do_prereduce":true}"#;
        assert_eq!(prereduce("", ""), Some((1, ReduceTiming::IfSmaller)));
        assert_eq!(prereduce(r#","keep":true"#, ""), None);
        assert_eq!(prereduce("", batch), None);
        assert_eq!(prereduce(asked, batch), Some((1, ReduceTiming::Every(7))));
        assert_eq!(prereduce(r#","arg":{"do_prereduce":false}"#, ""), None);
    }

    #[test]
    fn a_stage_ends_when_all_that_feed_it_have() {
        let graph = StageGraph::diamond();
        let [first, left, right, last] = [0, 1, 2, 3].map(StageId);
        let ended = |stage, own, over: &[StageId]| {
            graph.inputs_ended(stage, own, |feeder| over.contains(&feeder))
        };
        assert!(!ended(first, false, &[]) && ended(first, true, &[]));
        assert!(!ended(left, true, &[]) && ended(left, true, &[first]));
        assert!(!ended(last, true, &[first, left]), "the other may still give something");
        assert!(!ended(last, true, &[first, right]));
        assert!(ended(last, true, &[first, left, right]));
        assert_eq!(graph.feeders(last).collect::<Vec<_>>(), [left, right]);
    }

    #[test]
    fn a_stage_waits_for_all_that_it_feeds() {
        let graph = StageGraph::diamond();
        let [first, left, right, last] = [0, 1, 2, 3].map(StageId);
        let held = |stage, client, full: &[StageId]| {
            graph.is_held_back(stage, client, |fed| !full.contains(&fed))
        };
        assert!(!held(first, false, &[]), "the client gets nothing of it");
        assert!(held(first, true, &[left]) && held(first, true, &[right]));
        assert!(!held(first, true, &[last]) && held(left, true, &[last]));
        assert!(!held(left, false, &[]) && held(right, false, &[]) && held(last, false, &[]));
    }

    #[test]
    #[should_panic(expected = "feeds")]
    fn no_stage_feeds_an_earlier_one() {
        StageGraph::new(vec![StageSpec::reduce(0, false, &[1]), StageSpec::reduce(1, true, &[1])]);
    }
}
