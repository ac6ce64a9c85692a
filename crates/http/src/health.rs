//! How the cluster is, in one word and one sentence: what `/admin/ready`, `/admin/cluster` and
//! `mapring cluster status` say.
//!
//! Pure: [`Facts`] in, [`Health`] out. Everything is as one node knows it now; a node that is cut
//! off knows no more than that it hears nobody.

use std::collections::BTreeSet;

use mapring_api::backend::Stale;
use mapring_cluster::{ClusterStatus, View};
use mapring_ring::{Partition, PreferenceList};
use mapring_types::{BucketProps, NodeId};

use crate::limits;

/// The word. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// All members are up, and all replicas are complete.
    Ok,
    /// Nothing fails, and what is lacking comes by itself.
    Filling,
    /// Somebody has to do something, but most goes on.
    Degraded,
    /// Nodes differ where they never should.
    Alarm,
    /// Requests fail.
    Unavailable,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Filling => "filling",
            Self::Degraded => "degraded",
            Self::Alarm => "alarm",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What the judgement is made of. Members are called by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Whether this node takes requests.
    pub(crate) serving: bool,
    /// Whether it is a member.
    pub(crate) is_member: bool,
    /// How many members there are, this node included.
    pub(crate) members: usize,
    /// Those that are down.
    pub(crate) down: Vec<String>,
    /// Those that own nothing, down or not.
    pub(crate) idle: Vec<String>,
    /// How many partitions there are.
    pub(crate) partitions: usize,
    /// Those of which no majority of the replicas is up.
    pub(crate) failing: usize,
    /// Those of which a majority is up, but not of complete replicas.
    pub(crate) doubtful: usize,
    /// Members that fill themselves.
    pub(crate) incomplete: Vec<String>,
    /// Members for which others hold writes that they missed.
    pub(crate) missed: Vec<String>,
    /// Members that may still hold something for this node.
    pub(crate) unheard: Vec<String>,
    /// Whether changes of the metadata can be decided.
    pub(crate) decides: bool,
    /// In what nodes differ that must not, as a clause.
    pub(crate) alarm: Option<String>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) state: State,
    /// One line, the word first.
    pub(crate) summary: String,
    /// Whether this node serves, and requests with the default quorums can be met everywhere.
    pub(crate) ready: bool,
}

/// What a node is called.
pub(crate) fn name(view: &View, node: NodeId) -> String {
    let member = view.state.members.get(&node);
    member.map_or_else(|| node.to_string(), |member| member.name.clone())
}

/// Which members have applied other decisions than this node.
fn difference(cluster: &ClusterStatus) -> Option<String> {
    let differ = cluster.metadata.members.iter().filter(|member| member.differs_at.is_some());
    let names: Vec<&str> = differ.map(|member| member.name.as_str()).collect();
    (!names.is_empty())
        .then(|| format!("the metadata differs between this node and {}", names.join(", ")))
}

impl Facts {
    /// What a node knows by itself, without asking others.
    pub(crate) fn here(view: &View, cluster: &ClusterStatus, serving: bool) -> Self {
        let owners = view.state.owners();
        let names = |pick: &dyn Fn(NodeId) -> bool| -> Vec<String> {
            let mut picked: Vec<String> = view
                .state
                .members
                .keys()
                .filter(|id| pick(**id))
                .map(|id| name(view, *id))
                .collect();
            picked.sort();
            picked
        };
        let is_incomplete = |id| view.state.members.get(&id).is_some_and(|m| m.incomplete);
        let failing = without_majority(view, &owners, |id| view.is_up(id));
        let stale = without_majority(view, &owners, |id| view.is_up(id) && !is_incomplete(id));
        Self {
            serving,
            is_member: view.state.members.contains_key(&view.me),
            members: view.state.members.len(),
            down: names(&|id| !view.is_up(id)),
            idle: names(&|id| !owners.contains(&id)),
            partitions: usize::from(view.plan().ring_size().get()),
            failing,
            doubtful: stale.saturating_sub(failing),
            incomplete: names(&is_incomplete),
            decides: cluster.decides && cluster.metadata.has_leader,
            alarm: difference(cluster),
            ..Self::default()
        }
    }

    /// With what is known of replicas that lack writes.
    pub(crate) fn stale(mut self, view: &View, (replicas, _): &Stale) -> Self {
        let vnodes = replicas.held.values().flatten();
        let owners: BTreeSet<_> = vnodes.map(|vnode| view.plan().owner(*vnode)).collect();
        let owner = |owner: Option<NodeId>| match owner {
            Some(owner) => name(view, owner),
            None => "nobody".to_owned(),
        };
        self.missed = owners.into_iter().map(owner).collect();
        self.missed.sort();
        // Who is down cannot say it, and is told of as such.
        let unheard = replicas.unheard.iter().filter(|id| view.is_up(**id));
        self.unheard = unheard.map(|id| name(view, *id)).collect();
        self
    }

    /// The judgement.
    pub(crate) fn judge(&self) -> Health {
        let mut state = State::Ok;
        let mut clauses: Vec<String> = Vec::new();
        let mut say = |worst: State, clause: String| {
            state = state.max(worst);
            clauses.push(clause);
        };
        if !self.serving {
            say(State::Unavailable, "this node is starting or stopping".to_owned());
        }
        if !self.is_member {
            say(State::Unavailable, "this node is no member of the cluster".to_owned());
        }
        if !self.down.is_empty() {
            say(State::Degraded, self.who_is_down());
        }
        let Self { partitions, failing, doubtful, .. } = self;
        if *failing > 0 {
            let which = "partitions have no majority of their replicas up";
            say(
                State::Unavailable,
                format!("{failing} of {partitions} {which}, so reads and writes of them fail"),
            );
        }
        if let Some(alarm) = &self.alarm {
            say(State::Alarm, alarm.clone());
        }
        if *doubtful > 0 {
            let until = format!("until {}", is(&self.incomplete, "filled"));
            let what =
                format!("reads of up to {doubtful} of {partitions} partitions may fail {until}");
            if self.down.is_empty() {
                say(State::Degraded, what);
            } else {
                // It may wait for those that are down, and then nothing changes by itself.
                say(State::Unavailable, format!("{what}, which may need who is down"));
            }
        }
        if !self.decides {
            let what = "members, bucket properties and bucket types cannot be changed";
            say(State::Degraded, format!("the metadata has no leader or no majority: {what}"));
        }
        for (names, what) in [
            (&self.incomplete, "not complete yet and filling up from the others"),
            (&self.missed, "to be given writes that others hold"),
            (&self.unheard, "still to say what this node may have missed"),
        ] {
            if !names.is_empty() {
                say(State::Filling, is(names, what));
            }
        }
        if clauses.is_empty() {
            let up = match self.members {
                1 => "the one member is up".to_owned(),
                members => format!("all {members} members are up"),
            };
            clauses.push(format!("{up}, all replicas are complete, as far as this node knows"));
            if !self.idle.is_empty() {
                clauses.push(format!("{} no partitions", owns(&self.idle)));
            }
        }
        let waits = *doubtful > 0 && !self.down.is_empty();
        let ready = self.serving && self.is_member && self.failing == 0 && !waits;
        Health { state, summary: format!("{}: {}", state.word(), clauses.join("; ")), ready }
    }

    fn who_is_down(&self) -> String {
        let mut text = is(&self.down, "down");
        if self.members > 2 && self.down.len() + 1 == self.members {
            text = format!("{text}, every other member, so this node may be cut off");
        }
        let idle: Vec<String> =
            self.down.iter().filter(|name| self.idle.contains(name)).cloned().collect();
        if !idle.is_empty() {
            text.push_str(&format!(" ({} no partitions)", owns(&idle)));
        }
        text
    }
}

/// How many partitions have no majority of primaries that are `good`, counted as requests with the
/// default quorum count them. Where a list names a node twice, a stand-in counts beside the others:
/// it has to make up for a node that has two of the places.
fn without_majority(
    view: &View,
    owners: &BTreeSet<NodeId>,
    good: impl Fn(NodeId) -> bool,
) -> usize {
    let n_val = BucketProps::default().n_val;
    let need = usize::try_from(n_val / 2 + 1).unwrap_or(usize::MAX);
    let lacks = |home: &Partition| {
        let list = PreferenceList::new(view.plan(), *home, n_val, &good);
        let nodes: BTreeSet<NodeId> = list.primaries.iter().map(|entry| entry.node).collect();
        let repeats = nodes.len() < list.primaries.len();
        let counted = list.entries.iter().filter(|entry| entry.primary || repeats);
        let counted: Vec<NodeId> = counted.map(|entry| entry.node).collect();
        let distinct = counted.iter().collect::<BTreeSet<_>>().len();
        // Such a node makes no quorum alone where there are three or more.
        let spread = if owners.len() == 2 { 1 } else { nodes.len() };
        let has_primary = list.entries.iter().any(|entry| entry.primary);
        !has_primary || counted.len() < need || distinct < need.min(spread)
    };
    view.plan().ring_size().partitions().filter(lacks).count()
}

/// `n1 is WHAT`, `n1 and n2 are WHAT`.
fn is(names: &[String], what: &str) -> String {
    format!("{} {} {what}", listed(names), if names.len() == 1 { "is" } else { "are" })
}

/// `n1 owns`, `n1 and n2 own`.
fn owns(names: &[String]) -> String {
    format!("{} {}", listed(names), if names.len() == 1 { "owns" } else { "own" })
}

fn listed(names: &[String]) -> String {
    if names.len() > limits::STATUS_NAMES {
        let shown = names.get(..limits::STATUS_NAMES).unwrap_or_default().join(", ");
        return format!("{shown} and {} more", names.len() - limits::STATUS_NAMES);
    }
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peace() -> Facts {
        Facts {
            serving: true,
            is_member: true,
            members: 3,
            partitions: 64,
            decides: true,
            ..Facts::default()
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[track_caller]
    fn check(facts: &Facts, state: State, ready: bool, sentence: &str) {
        let health = facts.judge();
        assert_eq!(health.summary, format!("{}: {sentence}", state.word()));
        assert_eq!((health.state, health.ready), (state, ready), "{}", health.summary);
        // Only then.
        assert_eq!(health.summary.contains("all replicas are complete"), state == State::Ok);
    }

    #[test]
    fn states() {
        use State::{Alarm, Degraded, Filling, Ok, Unavailable};
        let complete = "all replicas are complete, as far as this node knows";
        check(&peace(), Ok, true, &format!("all 3 members are up, {complete}"));
        let alone = Facts { members: 1, ..peace() };
        check(&alone, Ok, true, &format!("the one member is up, {complete}"));
        let late = Facts { members: 4, idle: names(&["n4"]), ..peace() };
        let sentence = format!("all 4 members are up, {complete}; n4 owns no partitions");
        check(&late, Ok, true, &sentence);

        // One of three down: quorums are met everywhere.
        let one = Facts { down: names(&["n3"]), ..peace() };
        check(&one, Degraded, true, "n3 is down");
        let hinted = Facts { missed: names(&["n3"]), ..one };
        let given = "to be given writes that others hold";
        check(&hinted, Degraded, true, &format!("n3 is down; n3 is {given}"));
        let idle = Facts { down: names(&["n4"]), ..late };
        check(&idle, Degraded, true, "n4 is down (n4 owns no partitions)");

        // Two of three, or this one cut off, which is the same to it.
        let fail = "64 of 64 partitions have no majority of their replicas up, so reads and writes \
                    of them fail";
        let undecided = "the metadata has no leader or no majority: members, bucket properties and \
                         bucket types cannot be changed";
        let cut_off = Facts { down: names(&["n2", "n3"]), failing: 64, decides: false, ..peace() };
        let every = "n2 and n3 are down, every other member, so this node may be cut off";
        check(&cut_off, Unavailable, false, &format!("{every}; {fail}; {undecided}"));
        let five = Facts { members: 5, failing: 12, decides: true, ..cut_off };
        let some = "12 of 64 partitions have no majority of their replicas up, so reads and writes \
                    of them fail";
        check(&five, Unavailable, false, &format!("n2 and n3 are down; {some}"));
        let two = Facts { members: 2, down: names(&["n2"]), failing: 32, ..peace() };
        let half = some.replace("12", "32");
        check(&two, Unavailable, false, &format!("n2 is down; {half}"));

        // Lacking something.
        let filling = Facts { incomplete: names(&["n2"]), ..peace() };
        let fills = "n2 is not complete yet and filling up from the others";
        check(&filling, Filling, true, fills);
        let both = Facts { incomplete: names(&["n2", "n3"]), doubtful: 64, ..peace() };
        let sentence = "reads of up to 64 of 64 partitions may fail until n2 and n3 are filled; \
                        n2 and n3 are not complete yet and filling up from the others";
        check(&both, Degraded, true, sentence);
        let hints = Facts { missed: names(&["n1", "n3"]), ..peace() };
        check(&hints, Filling, true, &format!("n1 and n3 are {given}"));
        let fresh = Facts { unheard: names(&["n2"]), ..peace() };
        check(&fresh, Filling, true, "n2 is still to say what this node may have missed");

        check(&Facts { decides: false, ..peace() }, Degraded, true, undecided);
        let differ = "n1 and n2 differ in the metadata at the same position";
        let alarm = Facts { alarm: Some(differ.to_owned()), ..filling };
        check(&alarm, Alarm, true, &format!("{differ}; {fills}"));
        let stopping = Facts { serving: false, ..peace() };
        check(&stopping, Unavailable, false, "this node is starting or stopping");
        let stranger = Facts { is_member: false, ..peace() };
        check(&stranger, Unavailable, false, "this node is no member of the cluster");
    }

    #[test]
    fn many_names_are_cut_short() {
        let many: Vec<String> = (1..=8).map(|number| format!("n{number}")).collect();
        assert_eq!(is(&many, "down"), "n1, n2, n3, n4, n5 and 3 more are down");
        assert_eq!(owns(&many[..2]), "n1 and n2 own");
    }
}
