//! Data types as programs in Rust use them, from the first request of a new node on.

use std::collections::BTreeSet;

use mapring_client::{Error, FieldKind, MapChange, Place, SetChange};

use mapring_tests::harness::Cluster;

fn place(kind: &str) -> Place {
    Place { bucket_type: Some(format!("{kind}s")), ..Place::new("b", "k é") }
}

fn texts(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn the_client_reads_and_changes_all_kinds() {
    let cluster = Cluster::start(1).await;
    let client = &cluster.nodes[0].client;
    for kind in ["counter", "set", "gset", "hll", "map"] {
        let props = format!(r#"{{"props":{{"datatype":"{kind}"}}}}"#);
        client.create_bucket_type(&format!("{kind}s"), props).await.unwrap();
    }
    let counter = place("counter");
    let missing = client.counter(&counter).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound), "{missing}");
    assert_eq!(client.count(&counter, 5).await.unwrap(), 5);
    assert_eq!(client.count(&counter, -7).await.unwrap(), -2);
    assert_eq!(client.counter(&counter).await.unwrap(), -2);

    // One of no bucket type, as Riak 1.4 had them.
    let old = Place::new("old", "k");
    client.set_bucket_props(&old, r#"{"props":{"allow_mult":true}}"#).await.unwrap();
    let missing = client.counter(&old).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound), "{missing}");
    assert_eq!(client.count(&old, 3).await.unwrap(), 3);
    assert_eq!(client.counter(&old).await.unwrap(), 3);

    let set = place("set");
    let add = SetChange { add: texts(&["a", "b", "é"]), ..SetChange::default() };
    client.change_set(&set, &add, None).await.unwrap();
    let seen = client.set(&set).await.unwrap();
    assert_eq!(seen.value, add.add);
    let late = SetChange { add: texts(&["late"]), ..SetChange::default() };
    client.change_set(&set, &late, None).await.unwrap();
    // What had not been seen stays.
    let remove = SetChange { remove: texts(&["a", "late"]), ..SetChange::default() };
    client.change_set(&set, &remove, seen.context.as_deref()).await.unwrap();
    assert_eq!(client.set(&set).await.unwrap().value, texts(&["b", "late", "é"]));
    let refused = client.change_set(&set, &remove, None).await.unwrap_err();
    assert!(refused.to_string().contains("not_present"), "{refused}");

    client.add_to_gset(&place("gset"), texts(&["x", "y"])).await.unwrap();
    assert_eq!(client.gset(&place("gset")).await.unwrap(), texts(&["x", "y"]));
    client.add_to_hll(&place("hll"), texts(&["x", "y", "z"])).await.unwrap();
    assert_eq!(client.hll(&place("hll")).await.unwrap(), 3);
    let wrong = client.set(&place("gset")).await.unwrap_err();
    assert!(matches!(wrong, Error::Form(_)), "{wrong}");
    let unknown = client.counter(&place("unknown")).await.unwrap_err();
    assert!(unknown.to_string().contains("Unknown bucket type"), "{unknown}");
}

#[tokio::test]
async fn the_client_reads_and_changes_maps() {
    let cluster = Cluster::start(1).await;
    let client = &cluster.nodes[0].client;
    let props = r#"{"props":{"datatype":"map"}}"#;
    client.create_bucket_type("maps", props).await.unwrap();
    let map = place("map");
    let name = |name: &str| name.to_owned();
    let within = MapChange { flags: [(name("on"), true)].into(), ..MapChange::default() };
    let change = MapChange {
        counters: [(name("visits"), 2)].into(),
        maps: [(name("more"), within)].into(),
        registers: [(name("full_name"), name("é"))].into(),
        sets: [(name("tags"), SetChange { add: texts(&["x"]), ..SetChange::default() })].into(),
        ..MapChange::default()
    };
    client.change_map(&map, &change, None).await.unwrap();
    let seen = client.map(&map).await.unwrap();
    assert_eq!(seen.value.counters["visits"], 2);
    assert!(seen.value.maps["more"].flags["on"]);
    assert_eq!(seen.value.registers["full_name"], "é");
    assert_eq!(seen.value.sets["tags"], texts(&["x"]));
    let remove = [(name("tags"), FieldKind::Set), (name("more"), FieldKind::Map)].into();
    let change = MapChange { remove, ..MapChange::default() };
    client.change_map(&map, &change, seen.context.as_deref()).await.unwrap();
    let value = client.map(&map).await.unwrap().value;
    assert!(value.sets.is_empty() && value.maps.is_empty(), "{value:?}");
    assert_eq!(value.counters["visits"], 2);
}
