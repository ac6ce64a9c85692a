//! `/admin/cluster`: the cluster as this node knows it, and which replicas lack what.

use std::collections::{BTreeMap, BTreeSet};

use mapring_api::backend::Stale;
use mapring_cluster::{ClusterStatus, View};
use mapring_kv::{Holdings, Progress, StaleReplicas};
use mapring_ring::Partition;
use mapring_types::NodeId;
use serde_json::{Value, json};

use crate::health::{Health, name};

/// The document.
pub(crate) fn document(
    view: &View,
    cluster: &ClusterStatus,
    health: &Health,
    known: &Stale,
    filling: &[(NodeId, Progress)],
) -> Value {
    let (replicas, holdings) = known;
    let members = view.state.members.iter().map(|(&id, member)| {
        json!({
            "id": id.to_string(),
            "name": member.name,
            "status": member.status,
            "zone": member.zone,
            "votes": cluster.voters.contains(&id.to_string()),
            "up": view.is_up(id),
            "me": id == view.me,
            "cluster_address": member.cluster_address,
            "http_address": member.http_address,
            "partitions": view.plan().owned_by(id).count(),
            "share": view.plan().share(id),
            "incomplete": member.incomplete,
        })
    });
    json!({
        "state": health.state.word(),
        "summary": health.summary,
        "cluster": view.state.name,
        "node": view.state.members.get(&view.me).map(|member| member.name.as_str()),
        "id": view.me.to_string(),
        "ready": health.ready,
        "ring_size": view.plan().ring_size().get(),
        "plan_version": view.plan().version(),
        "sealed": view.state.sealed,
        "members": members.collect::<Vec<_>>(),
        "voting": voting(view, cluster),
        "hints": hints(view, replicas, holdings),
        "stale": stale(view, replicas),
        "repairs": {
            "unsettled_writes": replicas.unsettled,
            "in_flight_writes": replicas.in_flight,
            "read_repairs": replicas.read_repairs,
            "filling": filling
                .iter()
                .map(|(id, progress)| repair(view, *id, progress))
                .collect::<Vec<_>>(),
        },
    })
}

/// Who decides about the metadata.
fn voting(view: &View, cluster: &ClusterStatus) -> Value {
    let called = |id: &String| {
        let node = view.state.members.keys().find(|node| node.to_string() == *id);
        node.map_or_else(|| id.clone(), |node| name(view, *node))
    };
    let mut voters: Vec<String> = cluster.voters.iter().map(called).collect();
    voters.sort();
    json!({
        "decides": cluster.decides,
        "leader": cluster.leader.as_ref().map(called),
        "voters": voters,
        "changing": cluster.voters_changing,
    })
}

/// How far a node is with filling itself from the others.
pub(crate) fn repair(view: &View, id: NodeId, progress: &Progress) -> Value {
    json!({
        "node": view.state.members.get(&id).map(|member| member.name.as_str()),
        "id": id.to_string(),
        "complete": progress.complete,
        "lost": progress.lost,
        "slices": progress.slices,
        "filled": progress.filled,
        "compared": progress.compared,
        "fetched": progress.fetched,
        "given": progress.given,
        "removed": progress.removed,
        "kept": progress.kept,
        "kept_names": progress.kept_names,
        "waits_for": progress.waits_for,
    })
}

/// Who holds how much for whom. The number of objects is null where the holder does not answer.
fn hints(
    view: &View,
    replicas: &StaleReplicas,
    holdings: &BTreeMap<NodeId, Holdings>,
) -> Vec<Value> {
    let mut hints = Vec::new();
    for (&holder, vnodes) in &replicas.held {
        for (owner, vnodes) in by_owner(view, vnodes.iter().copied()) {
            let counted = holdings.get(&holder);
            let objects = counted
                .map(|held| vnodes.iter().filter_map(|vnode| held.objects.get(vnode)).sum::<u64>());
            let up = owner.is_some_and(|owner| view.is_up(owner)) && view.is_up(holder);
            hints.push(json!({
                "holder": name(view, holder),
                "for": owner.map(|owner| name(view, owner)),
                "vnodes": vnodes,
                "objects": objects,
                "at_least": counted.is_some_and(|held| held.at_least),
                "state": if up { "handing_over" } else { "waiting" },
            }));
        }
    }
    hints
}

/// Replicas that queries and listings do not use, and why.
fn stale(view: &View, replicas: &StaleReplicas) -> Vec<Value> {
    let hinted: BTreeSet<Partition> = replicas.held.values().flatten().copied().collect();
    let mut stale: Vec<Value> = by_owner(view, hinted.into_iter())
        .into_iter()
        .map(|(owner, vnodes)| {
            let holds = |held: &Vec<Partition>| held.iter().any(|vnode| vnodes.contains(vnode));
            let holders = replicas.held.iter().filter(|(_, held)| holds(held));
            let holders: Vec<String> = holders.map(|(holder, _)| name(view, *holder)).collect();
            let owner = owner.map(|owner| name(view, owner));
            json!({ "node": owner, "vnodes": vnodes, "why": "hints", "nodes": holders })
        })
        .collect();
    for (&node, vnodes) in &replicas.awaiting {
        stale.push(json!({ "node": name(view, node), "vnodes": vnodes, "why": "moving" }));
    }
    for (&id, member) in view.state.members.iter().filter(|(_, member)| member.incomplete) {
        let vnodes: Vec<Partition> = view.plan().owned_by(id).collect();
        stale.push(json!({ "node": member.name, "vnodes": vnodes, "why": "lost_data" }));
    }
    if !replicas.unheard.is_empty() {
        let vnodes: Vec<Partition> = view.plan().owned_by(view.me).collect();
        let unheard: Vec<String> = replicas.unheard.iter().map(|node| name(view, *node)).collect();
        stale.push(json!({
            "node": name(view, view.me), "vnodes": vnodes, "why": "catching_up", "nodes": unheard,
        }));
    }
    stale
}

fn by_owner(
    view: &View,
    vnodes: impl Iterator<Item = Partition>,
) -> BTreeMap<Option<NodeId>, Vec<Partition>> {
    let mut owners: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for vnode in vnodes {
        owners.entry(view.plan().owner(vnode)).or_default().push(vnode);
    }
    owners
}
