//! Vnodes of other nodes whose data lies here, to be handed to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use mapring_cluster::{ClusterState, View};
use mapring_ring::Partition;
use mapring_types::failpoint;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::storage::apart;

/// Vnodes owned by others that have data here: writes that this node took in their place, and hints.
pub(crate) struct Held {
    notes: Mutex<Notes>,
    /// By which it is known whose vnodes are.
    state: Mutex<Option<Arc<ClusterState>>>,
    news: Arc<Notify>,
}

#[derive(Default)]
struct Notes {
    /// The number of the last note, of any vnode: a vnode that was forgotten and is noted again gets
    /// none that it had before.
    last: u64,
    vnodes: BTreeMap<Partition, Holding>,
}

#[derive(Default)]
struct Holding {
    /// The number of its last note.
    last: u64,
    /// The number of its last note as stale.
    stale: Option<u64>,
}

impl Held {
    /// Gives `news` a permit when the vnodes are not the same any more.
    pub(crate) fn new(news: Arc<Notify>) -> Self {
        Self { notes: Mutex::default(), state: Mutex::default(), news }
    }

    /// Notes that something was kept here for `vnode`; with `stale`, that the vnode is to count as
    /// stale. Not so where it is part of another coordinator's write: that one keeps a hint of
    /// its own unless the owner has stored it.
    pub(crate) fn note(&self, vnode: Partition, stale: bool) {
        let mut notes = self.notes.lock();
        let Notes { last, vnodes } = &mut *notes;
        *last += 1;
        let holding = vnodes.entry(vnode).or_default();
        let news = holding.last == 0 || (stale && holding.stale.is_none());
        holding.last = *last;
        if stale {
            holding.stale = Some(*last);
        }
        if news {
            self.news.notify_one();
        }
    }

    /// Takes note of whose vnodes are now. What lies here for one that has become another node's is
    /// kept for that one: it may have been written by coordinators that did not know so yet. `present`
    /// gives the numbers of what has data here, and is asked when the plan is another one than before.
    pub(crate) fn follow(&self, view: &View, present: impl FnOnce() -> Vec<u16>) {
        let mut state = self.state.lock();
        // Not by its version: metadata that is put back has a plan of an earlier one.
        if let Some(known) = &mut *state {
            if Arc::ptr_eq(known, &view.state) {
                return;
            }
            if known.plan == *view.plan() {
                *known = view.state.clone();
                return;
            }
        }
        let others = |vnode: &Partition| view.plan().owner(*vnode) != Some(view.me);
        let vnodes = present().into_iter().filter(|number| apart::is_vnode(*number));
        for vnode in vnodes.map(Partition).filter(others) {
            let known = |state: &Arc<ClusterState>| state.plan.owner(vnode) != Some(view.me);
            if !state.as_ref().is_some_and(known) {
                // Whether the coordinators of what lies here keep hints too is not known any more.
                self.note(vnode, true);
            }
        }
        let former = state.replace(view.state.clone());
        if let Some(former) = former.filter(|_| failpoint!(FilledNeedsNothing)) {
            let is_filled = |owner| view.state.members.get(&owner).is_some_and(|m| !m.incomplete);
            self.notes.lock().vnodes.retain(|vnode, _| {
                let owner = view.plan().owner(*vnode);
                owner == former.plan.owner(*vnode) || !owner.is_some_and(is_filled)
            });
        }
    }

    /// The vnodes.
    pub(crate) fn vnodes(&self) -> Vec<Partition> {
        self.notes.lock().vnodes.keys().copied().collect()
    }

    /// Those that lack what lies here for them.
    pub(crate) fn stale(&self) -> Vec<Partition> {
        let notes = self.notes.lock();
        notes
            .vnodes
            .iter()
            .filter(|(_, holding)| holding.stale.is_some())
            .map(|(vnode, _)| *vnode)
            .collect()
    }

    /// The number of the last note of `vnode`, to be given to [`Held::brought`] and [`Held::clear`].
    pub(crate) fn mark(&self, vnode: Partition) -> u64 {
        self.notes.lock().vnodes.get(&vnode).map_or(0, |holding| holding.last)
    }

    /// All that was noted for `vnode` before `mark` has come to its owner.
    pub(crate) fn brought(&self, vnode: Partition, mark: u64) {
        let mut notes = self.notes.lock();
        assert!(mark <= notes.last, "{vnode}: a mark of what was not noted yet");
        if let Some(holding) = notes.vnodes.get_mut(&vnode)
            && holding.stale.is_some_and(|last| last <= mark)
        {
            holding.stale = None;
            self.news.notify_one();
        }
    }

    /// Forgets `vnode`, unless it has been noted since `mark`.
    pub(crate) fn clear(&self, vnode: Partition, mark: u64) {
        let mut notes = self.notes.lock();
        assert!(mark <= notes.last, "{vnode}: a mark of what was not noted yet");
        if notes.vnodes.get(&vnode).is_some_and(|holding| holding.last == mark) {
            notes.vnodes.remove(&vnode);
            self.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vnode_noted_meanwhile_stays() {
        let held = Held::new(Arc::default());
        held.note(Partition(3), false);
        let mark = held.mark(Partition(3));
        held.note(Partition(3), false);
        held.clear(Partition(3), mark);
        assert_eq!((held.vnodes(), held.stale()), (vec![Partition(3)], vec![]));
        held.note(Partition(3), true);
        held.note(Partition(3), false);
        assert_eq!(held.stale(), [Partition(3)]);
        held.brought(Partition(3), mark);
        assert_eq!(held.stale(), [Partition(3)], "noted since");
        held.brought(Partition(3), held.mark(Partition(3)));
        assert_eq!((held.vnodes(), held.stale()), (vec![Partition(3)], vec![]));
        held.clear(Partition(3), held.mark(Partition(3)));
        assert!(held.vnodes().is_empty() && held.stale().is_empty());
    }

    #[test]
    fn a_mark_from_before_a_vnode_was_forgotten_says_nothing_of_what_came_later() {
        let held = Held::new(Arc::default());
        for _ in 0..3 {
            held.note(Partition(3), true);
        }
        let mark = held.mark(Partition(3));
        held.clear(Partition(3), mark);
        for _ in 0..3 {
            held.note(Partition(3), true);
        }
        held.brought(Partition(3), mark);
        held.clear(Partition(3), mark);
        assert_eq!((held.vnodes(), held.stale()), (vec![Partition(3)], vec![Partition(3)]));
    }
}
