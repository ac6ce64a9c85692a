//! Gossip as programs of before [`mapring_types::Release::SEALED_GOSSIP`] speak it: chitchat's, which
//! nothing proves to come from a member. Spoken as long as any member is of such a program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState,
    ProtocolVersion, spawn_chitchat,
};
use mapring_types::{Error, NodeId, Result};
use tokio::time::{MissedTickBehavior, interval};

use super::shared::{GossipConfig, Shared, resolve};
use super::{Facts, Heard};
use crate::limits;

/// Takes part until that is over, or fails.
pub(super) async fn run(shared: &Shared) -> Result<()> {
    let config = chitchat_config(&shared.config).await?;
    let told = key_values(&shared.facts.lock());
    let spawned = spawn_chitchat(config, told, &*shared.former).await;
    let handle = spawned.map_err(|error| {
        Error::invalid(format!("cannot gossip at {}: {error:#}", shared.config.listen))
    })?;
    let gone = || Err(Error::unavailable("chitchat has ended"));
    let ended = tokio::select! {
        biased;
        () = shared.over(true) => Ok(()),
        _ = handle.termination_watcher() => gone(),
        ended = attend(&handle, shared) => ended,
        () = speak(&handle, shared) => gone(),
    };
    if handle.initiate_shutdown().is_ok() {
        // The socket is free again when the server has ended.
        let _ = handle.termination_watcher().await;
    }
    ended
}

async fn chitchat_config(config: &GossipConfig) -> Result<ChitchatConfig> {
    let address = advertised(config).await?;
    let node = config.me.to_string();
    Ok(ChitchatConfig {
        chitchat_id: ChitchatId::new(node, config.started, address),
        cluster_id: config.cluster_name.clone(),
        gossip_interval: limits::GOSSIP,
        listen_addr: config.listen,
        seed_nodes: Vec::new(),
        failure_detector_config: detector(),
        marked_for_deletion_grace_period: Duration::from_secs(60),
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    })
}

/// A node counts as dead when its silence is 7 times the mean interval of its heartbeats. The mean
/// is taken over few samples (at most 1 s each) and 5 supposed ones of 1 s: so the bound is 3.5 to
/// 4.5 s for a healthy node, whatever the size of the cluster, and at most 7 s for a slow one.
fn detector() -> FailureDetectorConfig {
    FailureDetectorConfig::new(
        7.0,
        5,
        Duration::from_secs(1),
        Duration::from_secs(1),
        Duration::from_secs(3600),
    )
}

/// The address that others answer to: the advertised one, as far as it can be resolved now.
async fn advertised(config: &GossipConfig) -> Result<SocketAddr> {
    match resolve(&config.advertise, &config.listen).await.first() {
        Some(address) => Ok(*address),
        // Those whom this node speaks to answer to where its datagrams come from, all the same.
        None if !config.listen.ip().is_unspecified() => Ok(config.listen),
        None => {
            let message = format!("cannot resolve the advertised address {}", config.advertise);
            Err(Error::unavailable(message))
        }
    }
}

/// Tells what there is to tell, and looks at what has been heard, again and again: chitchat tells only
/// of changes of its live set, not of heartbeats. Ends when there are more nodes than can be.
async fn attend(handle: &ChitchatHandle, shared: &Shared) -> Result<()> {
    let mut ticks = interval(limits::GOSSIP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let told = key_values(&shared.facts.lock());
        let members = shared.roster.borrow().members.clone();
        let heard = handle
            .with_chitchat(|chitchat| {
                let own = chitchat.self_node_state();
                for (key, value) in &told {
                    if own.get(key) != Some(value) {
                        own.set(key, value);
                    }
                }
                let is_flooded = chitchat.node_states().len() > limits::HEARD_PLAIN;
                (!is_flooded).then(|| heard(chitchat, shared.config.me, &members))
            })
            .await;
        let Some(heard) = heard else {
            let most = limits::HEARD_PLAIN;
            return Err(Error::unavailable(format!("gossip tells of more than {most} nodes")));
        };
        shared.publish(heard);
    }
}

/// The newest life of every other member.
fn heard(chitchat: &Chitchat, me: NodeId, members: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Heard> {
    let live: BTreeSet<&ChitchatId> = chitchat.live_nodes().collect();
    let mut heard: BTreeMap<NodeId, Heard> = BTreeMap::new();
    for (id, state) in chitchat.node_states() {
        let Ok(node) = u64::from_str_radix(&id.node_id, 16).map(NodeId) else { continue };
        if node == me || !members.contains(&node) {
            continue;
        }
        let life = Heard {
            alive: live.contains(id),
            heartbeat: u64::from(state.heartbeat()),
            started: id.generation_id,
            facts: facts(state),
        };
        // A clock that was set back makes a new life look older; it is the one that lives.
        let newer = heard
            .get(&node)
            .is_none_or(|known| (life.alive, life.started) > (known.alive, known.started));
        if newer {
            heard.insert(node, life);
        }
    }
    heard
}

/// Speaks to the addresses at which nobody has been heard, until chitchat has ended.
async fn speak(handle: &ChitchatHandle, shared: &Shared) {
    let mut ticks = interval(limits::SEEDING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let heard: BTreeSet<String> = handle
            .with_chitchat(|chitchat| {
                let live = chitchat.live_nodes().filter_map(|id| chitchat.node_state(id));
                live.map(|state| facts(state).cluster_address).collect()
            })
            .await;
        let seeds = shared.seeds.lock().clone();
        for seed in seeds.iter().filter(|seed| !heard.contains(*seed)) {
            if *seed == shared.config.advertise {
                continue;
            }
            for address in resolve(seed, &shared.config.listen).await {
                if handle.gossip(address).is_err() {
                    return;
                }
            }
        }
    }
}

fn key_values(facts: &Facts) -> Vec<(String, String)> {
    [
        ("cluster", facts.cluster_address.clone()),
        ("http", facts.http_address.clone()),
        ("cluster-id", facts.cluster_id.to_string()),
        ("plan", facts.plan_version.to_string()),
        ("load", facts.load.to_string()),
        ("leaving", facts.leaving.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn facts(state: &NodeState) -> Facts {
    let text = |key| state.get(key).unwrap_or_default().to_owned();
    let number = |key| state.get(key).and_then(|value| value.parse().ok()).unwrap_or(0);
    Facts {
        cluster_address: text("cluster"),
        http_address: text("http"),
        cluster_id: number("cluster-id"),
        plan_version: number("plan"),
        load: number("load"),
        leaving: state.get("leaving") == Some("true"),
    }
}
