//! Queries whose stages are no chain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mapring_script::{Binary, Function, PhaseFunction};
use mapring_types::NodeId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::world::World;
use crate::coordinator::{Coordinator, Resolved, Shared};
use crate::grammar;
use crate::graph::StageGraph;
use crate::handle::QueryHandle;
use crate::report::QueryId;
use crate::results::PhaseResults;

fn function(name: &str) -> Resolved {
    let function = Function::Named(name.to_owned());
    Resolved::Function(PhaseFunction { function, arg: None, binary: Binary::default() })
}

#[tokio::test(start_paused = true)]
async fn two_stages_feed_one() {
    let world = World::new();
    let body = r#"{"inputs":{"module":"mapring","function":"sequence","arg":[1,10]},"query":[]}"#;
    let query = grammar::parse(body.as_bytes()).unwrap();
    let id = QueryId { node: NodeId(1), number: 7 };
    let handle = Arc::new(QueryHandle::new(id, "n1".into(), query.clone(), StageGraph::diamond()));
    let node = &world.engines[0].node;
    let shared = Shared {
        query: 7,
        deadline: Instant::now() + Duration::from_secs(60),
        cluster: node.cluster.clone(),
        transport: world.network.transport(node.cluster.view().me),
        workers: node.workers.clone(),
        objects: node.objects.clone(),
        context: mapring_script::CallContext::default(),
        terms: None,
        node: node.clone(),
        handle: handle.clone(),
    };
    // The first gives all to both; the second makes one of them, the third keeps them.
    let phases = ["all", "sum", "sort", "all"].map(function);
    let (sender, mut receiver) = mpsc::channel(1);
    let coordinator = Coordinator::new(shared, query, &phases, None, sender).unwrap();
    let task = tokio::spawn(coordinator.run());
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    while let Some(results) = receiver.recv().await {
        let PhaseResults { phase, values, .. } = results.unwrap();
        found.entry(phase).or_default().extend(values.iter().map(|row| row.text().to_owned()));
    }
    task.await.unwrap().unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [2, 3]);
    let numbers = |phase: usize| {
        let mut numbers: Vec<u64> =
            found[&phase].iter().map(|text| text.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers(2), (1..=10).collect::<Vec<_>>());
    assert_eq!(numbers(3), (1..=10).chain([55]).collect::<Vec<_>>());
    let inputs: Vec<u64> = handle.report().phases.iter().map(|phase| phase.inputs).collect();
    assert_eq!(inputs, [10, 10, 10, 11]);
}
