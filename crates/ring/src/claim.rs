//! Claim: which node owns which partition.
//!
//! Two candidates are made and polished by exchanges: one keeps as much of the current plan as it
//! can, the other is a fixed pattern that is known to space well. The better spaced one wins, and
//! among equals the one that moves less. Small rings of many orders are thus never worse than the
//! pattern, and growing a well-spaced ring moves only what the newcomer must get.

use std::collections::BTreeSet;

use mapring_types::NodeId;

use crate::limits;
use crate::plan::OwnershipPlan;

/// Successive partitions that lie on distinct nodes where the count of nodes allows.
pub const TARGET_N_VAL: u16 = 4;

/// Assigns every partition to one of `nodes`.
///
/// * Every node owns ⌊Q/N⌋ or ⌈Q/N⌉ partitions.
/// * With 4 or more nodes no node owns two of [`TARGET_N_VAL`] successive partitions, around the
///   end of the ring too. With 3 nodes at most two runs of three partitions repeat a node (a ring
///   of a power of two cannot do better), and preference lists pass a vnode over there; 2 nodes
///   alternate.
/// * Subject to that, little of `current` is moved.
///
/// The order of `nodes` does not matter. The answer is `current` itself, with its version, when
/// nothing has to change or when there are no nodes.
pub fn claim(current: &OwnershipPlan, nodes: &[NodeId]) -> OwnershipPlan {
    let nodes: Vec<NodeId> = nodes.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    if nodes.is_empty() {
        return current.clone();
    }
    let index = |owner: Option<NodeId>| owner.and_then(|node| nodes.binary_search(&node).ok());
    let ring = Ring {
        before: current.owners().iter().map(|&owner| index(owner)).collect(),
        nodes: nodes.len(),
        spacing: nodes.len().min(usize::from(TARGET_N_VAL)),
    };
    let grown = ring.polish(ring.grow());
    let fresh = ring.polish(ring.relabel(&pattern(ring.size(), nodes.len())));
    let best = if ring.score(&fresh) < ring.score(&grown) { fresh } else { grown };
    ring.check(&best);
    let owners: Vec<NodeId> = best.into_iter().map(|node| nodes[node]).collect();
    if owners.iter().copied().map(Some).eq(current.owners().iter().copied()) {
        return current.clone();
    }
    current.next(owners)
}

/// The problem, with nodes as indices.
struct Ring {
    /// The current owners; `None` where there is none or the owner goes.
    before: Vec<Option<usize>>,
    /// How many nodes there are.
    nodes: usize,
    /// Successive partitions that should be on distinct nodes.
    spacing: usize,
}

/// A change that keeps the balance.
#[derive(Clone, Copy)]
enum Exchange {
    /// Two partitions swap their owners.
    Swap(usize),
    /// The partition goes to a node that owns one less.
    Give(usize),
}

impl Ring {
    fn size(&self) -> usize {
        self.before.len()
    }

    /// Every partition has an owner, and all own equally many but for one.
    fn check(&self, owners: &[usize]) {
        assert_eq!(owners.len(), self.size(), "a claim covers every partition");
        let counts = self.counts(owners.iter().copied());
        let (least, most) = (self.size() / self.nodes, self.size().div_ceil(self.nodes));
        let balanced = counts.iter().all(|count| (least..=most).contains(count));
        assert!(balanced, "a claim of {counts:?}, not {least} to {most} each");
    }

    /// Crowding, then moves: the smaller the better.
    fn score(&self, owners: &[usize]) -> (usize, usize) {
        let crowding =
            (0..self.size()).map(|at| self.crowding(owners, at, owners[at])).sum::<usize>() / 2;
        let moves = (0..self.size()).filter(|&at| self.moves(at, owners[at]) > 0).count();
        (crowding, moves)
    }

    /// 1 when giving partition `at` to `node` takes it from another node that stays.
    fn moves(&self, at: usize, node: usize) -> usize {
        usize::from(self.before[at].is_some_and(|old| old != node))
    }

    /// How badly `node` at partition `at` collides with its own partitions near by: for each, the
    /// number of lists of `spacing` partitions that hold both.
    fn crowding<T: PartialEq + From<usize>>(&self, owners: &[T], at: usize, node: usize) -> usize {
        let (size, node) = (self.size(), T::from(node));
        (1..self.spacing)
            .map(|distance| {
                let same = |there: usize| usize::from(owners[there % size] == node);
                (self.spacing - distance) * (same(at + distance) + same(at + size - distance))
            })
            .sum()
    }

    /// The number of partitions of each node.
    fn counts(&self, owners: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut counts = vec![0; self.nodes];
        owners.for_each(|node| counts[node] += 1);
        counts
    }

    /// How many partitions each node is to own: those that own most get the odd ones.
    fn quotas(&self, counts: &[usize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes).collect();
        order.sort_by_key(|&node| (usize::MAX - counts[node], node));
        let mut quotas = vec![self.size() / self.nodes; self.nodes];
        order.iter().take(self.size() % self.nodes).for_each(|&node| quotas[node] += 1);
        quotas
    }

    /// The current plan, with partitions that nobody owns or that are too many for their node
    /// given to nodes that own too few, where they do not crowd if possible.
    fn grow(&self) -> Vec<usize> {
        let mut owners = self.before.clone();
        let mut counts = self.counts(owners.iter().flatten().copied());
        let quotas = self.quotas(&counts);
        for crowding_allowed in [false, true] {
            for node in 0..self.nodes {
                let wanted = quotas[node].saturating_sub(counts[node]);
                let stride = self.size().checked_div(wanted).unwrap_or(1);
                let mut start = 0;
                while counts[node] < quotas[node] {
                    let free = |at: usize| owners[at].is_none_or(|old| counts[old] > quotas[old]);
                    let around = (start..start + self.size()).map(|at| at % self.size());
                    let Some((crowding, at)) = around
                        .filter(|&at| free(at))
                        .map(|at| (self.crowding(&owners, at, node), at))
                        .min_by_key(|&(crowding, _)| crowding)
                    else {
                        break;
                    };
                    if crowding > 0 && !crowding_allowed {
                        break;
                    }
                    if let Some(old) = owners[at] {
                        counts[old] -= 1;
                    }
                    owners[at] = Some(node);
                    counts[node] += 1;
                    start = at + stride;
                }
            }
        }
        // Quotas add up to the ring, so every partition has an owner by now.
        owners.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// Gives the pattern's labels to nodes, and turns it, so that much of the current plan stays.
    fn relabel(&self, pattern: &[usize]) -> Vec<usize> {
        let turned = (0..self.size().min(limits::PATTERN_TURNS)).map(|turn| {
            let labels: Vec<usize> =
                (0..self.size()).map(|at| pattern[(at + turn) % self.size()]).collect();
            let node_of = self.match_labels(&labels);
            labels.into_iter().map(|label| node_of[label]).collect::<Vec<usize>>()
        });
        turned.min_by_key(|owners| self.score(owners)).unwrap_or_default()
    }

    /// A node for each label, the pairs that agree most with the current plan first.
    fn match_labels(&self, labels: &[usize]) -> Vec<usize> {
        let mut agreement = vec![vec![0_usize; self.nodes]; self.nodes];
        for (label, old) in labels.iter().zip(&self.before) {
            if let Some(old) = old {
                agreement[*label][*old] += 1;
            }
        }
        let mut pairs: Vec<(usize, usize)> =
            (0..self.nodes).flat_map(|l| (0..self.nodes).map(move |n| (l, n))).collect();
        pairs.sort_by_key(|&(label, node)| (usize::MAX - agreement[label][node], label, node));
        let mut node_of = vec![None; self.nodes];
        let mut taken = vec![false; self.nodes];
        for (label, node) in pairs {
            if node_of[label].is_none() && !taken[node] {
                node_of[label] = Some(node);
                taken[node] = true;
            }
        }
        node_of.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// Makes exchanges as long as one lowers the score.
    fn polish(&self, mut owners: Vec<usize>) -> Vec<usize> {
        let mut counts = self.counts(owners.iter().copied());
        for _ in 0..limits::POLISH_ROUNDS {
            let mut better = false;
            for at in 0..self.size() {
                let crowded = self.crowding(&owners, at, owners[at]) > 0;
                if !crowded && self.moves(at, owners[at]) == 0 {
                    continue;
                }
                let Some(exchange) = self.best_exchange(&owners, &counts, at) else { continue };
                better = true;
                match exchange {
                    Exchange::Swap(other) => owners.swap(at, other),
                    Exchange::Give(node) => {
                        counts[owners[at]] -= 1;
                        counts[node] += 1;
                        owners[at] = node;
                    }
                }
            }
            if !better {
                break;
            }
        }
        owners
    }

    /// The exchange of partition `at` that lowers the score most, if any does.
    fn best_exchange(&self, owners: &[usize], counts: &[usize], at: usize) -> Option<Exchange> {
        let own = owners[at];
        // Costs of two partitions add up: they have different owners, so never crowd each other.
        let cost = |at: usize, node: usize| (self.crowding(owners, at, node), self.moves(at, node));
        let here = cost(at, own);
        let mut best = ((0, 0), None);
        let mut consider = |new: (usize, usize), old: (usize, usize), exchange| {
            let change = |new: usize, old: usize| new as i64 - old as i64;
            let change = (change(new.0, old.0), change(new.1, old.1));
            if change < best.0 {
                best = (change, Some(exchange));
            }
        };
        for node in 0..self.nodes {
            if counts[own] == counts[node] + 1 {
                consider(cost(at, node), here, Exchange::Give(node));
            }
        }
        let mut swapped = owners.to_vec();
        for (other, &node) in owners.iter().enumerate() {
            if node == own {
                continue;
            }
            let there = cost(other, node);
            swapped.swap(at, other);
            let new = (
                self.crowding(&swapped, at, node) + self.crowding(&swapped, other, own),
                self.moves(at, node) + self.moves(other, own),
            );
            swapped.swap(at, other);
            consider(new, (here.0 + there.0, here.1 + there.1), Exchange::Swap(other));
        }
        best.1
    }
}

/// Labels `0..nodes` around a ring of `size`, balanced within one; with 4 labels or more, any 4
/// successive are distinct where `size` is a power of two.
fn pattern(size: usize, nodes: usize) -> Vec<usize> {
    let odd = size % nodes;
    let stripes = |length: usize| (0..length).map(|at| at % nodes).collect::<Vec<usize>>();
    let target = usize::from(TARGET_N_VAL);
    // Stripes meet their beginning at a distance of `odd`.
    if nodes <= target || odd == 0 || odd >= target {
        return stripes(size);
    }
    if nodes + 1 >= 2 * target {
        // A label fits into the middle of its own gap.
        let mut labels = stripes(size - odd);
        for label in 0..odd {
            let first = labels.iter().position(|&other| other == label).unwrap_or_default();
            labels.insert(first + target, label);
        }
        return labels;
    }
    // One label more than `target` or two: leave labels out, each once, spread over the stripes;
    // every gap that spans the place shrinks by one.
    let count = size / nodes + 1;
    let left_out = nodes - odd;
    let mut labels = Vec::with_capacity(size);
    for stripe in 0..count {
        let left_out_here = |label| {
            (0..left_out).any(|nth| nth * count / left_out == stripe && nodes - 1 - nth == label)
        };
        labels.extend((0..nodes).filter(|&label| !left_out_here(label)));
    }
    labels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::RingSize;

    const SIZES: [u16; 6] = [8, 16, 32, 64, 128, 256];

    fn nodes(count: u64) -> Vec<NodeId> {
        (1..=count).map(|id| NodeId(id * 1_000_003)).collect()
    }

    fn empty(size: u16) -> OwnershipPlan {
        OwnershipPlan::empty(RingSize::new(size).unwrap())
    }

    /// Lists of `length` successive partitions that name a node twice.
    fn repeating(plan: &OwnershipPlan, length: usize) -> usize {
        let owners = plan.owners();
        let list = |from: usize| (0..length).map(move |step| owners[(from + step) % owners.len()]);
        (0..owners.len()).filter(|&from| list(from).collect::<BTreeSet<_>>().len() < length).count()
    }

    fn moved(old: &OwnershipPlan, new: &OwnershipPlan) -> usize {
        old.owners().iter().zip(new.owners()).filter(|(old, new)| old != new).count()
    }

    #[track_caller]
    fn check_good(plan: &OwnershipPlan, nodes: &[NodeId]) {
        let size = plan.owners().len();
        let (count, base) = (nodes.len(), size / nodes.len());
        let place = format!("{size} partitions on {count} nodes: {:?}", plan.owners());
        assert!(plan.owners().iter().all(Option::is_some), "{place}");
        for &node in nodes {
            let owned = plan.owned_by(node).count();
            assert!(owned == base || (owned == base + 1 && !size.is_multiple_of(count)), "{place}");
        }
        match count {
            1 => {}
            2 => assert_eq!(repeating(plan, 2), 0, "{place}"),
            3 => assert!(repeating(plan, 3) <= 2, "{place}"),
            _ => assert_eq!(repeating(plan, 4), 0, "{place}"),
        }
    }

    #[test]
    fn a_first_claim_is_balanced_and_spaced() {
        for size in SIZES {
            for count in 1..=24 {
                check_good(&claim(&empty(size), &nodes(count)), &nodes(count));
            }
        }
    }

    #[test]
    fn three_nodes_share_the_default_ring_evenly() {
        let plan = claim(&empty(64), &nodes(3));
        let mut owned: Vec<usize> =
            nodes(3).iter().map(|&node| plan.owned_by(node).count()).collect();
        owned.sort_unstable();
        assert_eq!(owned, [21, 21, 22]);
        assert_eq!(plan.version(), 1);
    }

    #[test]
    fn a_good_plan_is_left_alone() {
        for size in SIZES {
            for count in 1..=12 {
                let plan = claim(&empty(size), &nodes(count));
                let mut backwards = nodes(count);
                backwards.reverse();
                assert_eq!(claim(&plan, &backwards), plan);
                assert_eq!(claim(&plan, &[]), plan);
            }
        }
    }

    #[test]
    fn a_newcomer_gets_its_share_and_nobody_else_anything() {
        for size in SIZES {
            let mut plan = claim(&empty(size), &nodes(4));
            for count in 5..=24 {
                let next = claim(&plan, &nodes(count));
                check_good(&next, &nodes(count));
                let newcomer = nodes(count)[nodes(count).len() - 1];
                let share = next.owned_by(newcomer).count();
                assert_eq!(moved(&plan, &next), share, "{size} partitions, node {count}");
                plan = next;
            }
        }
    }

    #[test]
    fn a_replacement_takes_over_what_was_there() {
        for count in 4..=12 {
            let plan = claim(&empty(64), &nodes(count));
            let mut replaced = nodes(count);
            let gone = replaced.remove(1);
            replaced.push(NodeId(7));
            let next = claim(&plan, &replaced);
            check_good(&next, &replaced);
            // One more where the newcomer's share is one less.
            assert!(moved(&plan, &next) <= plan.owned_by(gone).count() + 1);
        }
    }

    #[test]
    fn a_leaver_moves_little_where_there_is_room() {
        for size in [64, 128, 256] {
            for count in 5..=16_u64 {
                let plan = claim(&empty(size), &nodes(count));
                let mut staying = nodes(count);
                let gone = staying.remove(2);
                let next = claim(&plan, &staying);
                check_good(&next, &staying);
                let (moved, due) = (moved(&plan, &next), plan.owned_by(gone).count());
                // With one node to spare, spacing leaves hardly any other arrangement.
                let bound = if count > 5 { 3 * due } else { 4 * due };
                assert!(moved <= bound, "{size}, {count}: {moved} moved, {due} due");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_history_of_members_stays_good(
            size in prop::sample::select(&SIZES[..]),
            history in prop::collection::vec(prop::collection::btree_set(1..=12_u64, 1..=12), 1..5),
        ) {
            let mut plan = empty(size);
            for members in history {
                let members: Vec<NodeId> = members.into_iter().map(NodeId).collect();
                plan = claim(&plan, &members);
                check_good(&plan, &members);
            }
        }
    }
}
