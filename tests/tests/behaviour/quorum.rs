//! Three nodes, any one of them dead: reads and writes with default quorums go on.

use mapring_client::{NewObject, Place};

use mapring_tests::harness::Cluster;

const KEYS: usize = 100;

fn place(key: usize) -> Place {
    Place::new("quorum", format!("key-{key}"))
}

fn text(value: impl Into<String>) -> NewObject {
    NewObject {
        body: value.into().into(),
        content_type: "text/plain".into(),
        ..NewObject::default()
    }
}

#[tokio::test]
async fn each_node_may_die_in_turn() {
    let mut cluster = Cluster::start(3).await;
    for key in 0..KEYS {
        cluster.client(key % 3).put(&place(key), text(format!("{key} first"))).await.unwrap();
    }
    let mut last = "first".to_owned();
    for dead in 0..3 {
        cluster.nodes[dead].kill().await;
        let name = &cluster.nodes[dead].settings.name;
        let alive = cluster.clients();
        assert_eq!(alive.len(), 2);
        let next = format!("without {name}");
        for key in 0..KEYS {
            // Read by one, written by the other, read again by the first.
            let (reader, writer) = (&alive[key % 2], &alive[(key + 1) % 2]);
            let found = reader.get(&place(key)).await;
            let found = found.unwrap_or_else(|error| panic!("{key} without {name}: {error}"));
            assert_eq!(found.body, format!("{key} {last}"), "{key} without {name}");
            let written = writer.put(&place(key), text(format!("{key} {next}"))).await;
            written.unwrap_or_else(|error| panic!("{key} without {name}: {error}"));
            let found = reader.get(&place(key)).await.unwrap();
            assert_eq!(found.body, format!("{key} {next}"), "{key} without {name}");
        }
        last = next;
        cluster.restart(dead).await;
    }
    for key in 0..KEYS {
        for client in cluster.clients() {
            let found = client.get(&place(key)).await.unwrap();
            assert_eq!(found.body, format!("{key} {last}"));
        }
    }
}
