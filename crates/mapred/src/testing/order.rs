//! The order of a group's values: that of the inputs, however many maps are between, beside a model
//! that has one thread and no nodes.

use std::collections::BTreeMap;

use mapring_ring::{RingSize, hash};
use mapring_types::{BucketId, NodeId};
use proptest::prelude::*;

use super::groups::later;
use super::world::World;
use crate::config::MapredConfig;

/// Objects that name others, which name others: `m` those of `l`, and so on down to numbers.
#[derive(Debug, Clone)]
struct Objects {
    /// For each object of `l`, the numbers of objects of `m`.
    lists: Vec<Vec<usize>>,
    /// For each object of `m`, numbers.
    middle: Vec<Vec<u64>>,
}

/// What goes wrong, and how small pages are.
#[derive(Debug, Clone)]
struct Way {
    nodes: u64,
    page_inputs: usize,
    pairs_bytes: usize,
    read: usize,
    /// After so many inputs this node is cut off.
    dies: Option<(u64, u64)>,
    keep: bool,
    partitions: u32,
}

fn objects() -> impl Strategy<Value = Objects> {
    let middle = prop::collection::vec(prop::collection::vec(0u64..60, 0..5), 1..12);
    middle.prop_flat_map(|middle| {
        let some = prop::collection::vec(0..middle.len(), 0..4);
        let lists = prop::collection::vec(some, 1..25);
        lists.prop_map(move |lists| Objects { lists, middle: middle.clone() })
    })
}

fn way() -> impl Strategy<Value = Way> {
    let dies = prop::option::of((1u64..60, 2u64..4));
    (1u64..5, 1usize..6, 50usize..500, 1usize..8, dies, any::<bool>(), 1u32..6).prop_map(
        |(nodes, page_inputs, pairs_bytes, read, dies, keep, partitions)| {
            let dies = dies.filter(|_| nodes >= 3);
            Way { nodes, page_inputs, pairs_bytes, read, dies, keep, partitions }
        },
    )
}

impl Objects {
    fn store(&self, world: &World) {
        let names = |bucket: &str, keys: &mut dyn Iterator<Item = String>| {
            let names: Vec<_> = keys.map(|key| format!(r#"["{bucket}","{key}"]"#)).collect();
            format!("[{}]", names.join(","))
        };
        let bucket = |name: &'static str| BucketId::untyped(name);
        for (at, list) in self.lists.iter().enumerate() {
            let body = names("m", &mut list.iter().map(|at| format!("k{at}")));
            world.put(&bucket("l"), &format!("k{at}"), &body);
        }
        for (at, numbers) in self.middle.iter().enumerate() {
            let body = names("n", &mut numbers.iter().map(|number| format!("k{number}")));
            world.put(&bucket("m"), &format!("k{at}"), &body);
        }
        world.fill(&bucket("n"), 60);
    }

    /// The objects of `l` in the order in which a scan has them.
    fn scanned(&self) -> Vec<usize> {
        let size = RingSize::new(16).unwrap();
        let place = |at: &usize| {
            let key = format!("k{at}");
            (hash::home(size, &BucketId::untyped("l"), key.as_bytes()), key)
        };
        let mut all: Vec<usize> = (0..self.lists.len()).collect();
        all.sort_by_key(place);
        all
    }

    /// The answer: numbers by their remainder.
    fn expected(&self, lists: &[usize]) -> Vec<String> {
        let mut groups: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for number in lists.iter().flat_map(|&at| &self.lists[at]).flat_map(|&at| &self.middle[at])
        {
            groups.entry(number % 10).or_default().push(number.to_string());
        }
        let group = |(key, values): (u64, Vec<String>)| format!("[{key},[{}]]", values.join(","));
        groups.into_iter().map(group).collect()
    }
}

/// Maps twice to names and once to numbers, and lists these by remainder.
async fn run(objects: &Objects, way: &Way, inputs: &str) -> Vec<String> {
    let world = World::of(
        way.nodes,
        MapredConfig {
            page_inputs: way.page_inputs,
            page_pairs_bytes: way.pairs_bytes,
            ..MapredConfig::default()
        },
    );
    world.store.lock().page = way.read;
    objects.store(&world);
    if let Some((inputs, node)) = way.dies {
        let network = world.network.clone();
        *world.watch.hook.lock() = Some(later(inputs, move || network.disconnect(NodeId(node))));
    }
    let query = format!(
        r#"[{{"map":{{"language":"javascript","name":"elements"}}}},
            {{"map":{{"language":"javascript","name":"elements"}}}},
            {{"map":{{"language":"javascript","name":"remainder","keep":{keep}}}}},
            {{"reduce":{{"language":"javascript","name":"list","group":true,
                         "partitions":{partitions}}}}}]"#,
        keep = way.keep,
        partitions = way.partitions
    );
    let found = world.run(0, inputs, &query).await.unwrap();
    found.get(&3).cloned().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn values_come_in_the_order_of_the_inputs(
        objects in objects(),
        way in way(),
        picked in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.start_paused(true).enable_all().build().unwrap();
        let found = runtime.block_on(run(&objects, &way, "\"l\""));
        prop_assert_eq!(found, objects.expected(&objects.scanned()));
        let listed: Vec<usize> =
            picked.iter().map(|picked| picked.index(objects.lists.len())).collect();
        let keys: Vec<_> = listed.iter().map(|at| format!(r#"["l","k{at}"]"#)).collect();
        let found = runtime.block_on(run(&objects, &way, &format!("[{}]", keys.join(","))));
        prop_assert_eq!(found, objects.expected(&listed));
    }
}
