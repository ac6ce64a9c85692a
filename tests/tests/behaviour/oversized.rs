//! Objects whose values together are larger than they may be, or than one message between nodes.

use mapring_client::{Client, NewObject, Place};

use mapring_tests::harness::{Cluster, Exchange, eventually, holds, metrics};

const VALUE_BYTES: usize = 20 << 20;

/// Five values fit, a sixth does not.
const SETTINGS: [(&str, &str); 1] = [("MAPRING__OBJECTS__MAX_OBJECT_SIZE", "110 MB")];

fn value(number: u8) -> NewObject {
    NewObject {
        body: vec![b'0' + number; VALUE_BYTES].into(),
        content_type: "application/octet-stream".into(),
        ..NewObject::default()
    }
}

async fn allow_siblings(client: &Client, place: &Place) {
    let props = r#"{"props":{"allow_mult":true}}"#;
    client.set_bucket_props(place, props).await.unwrap();
}

#[tokio::test]
async fn values_beyond_a_message_reach_a_node_that_was_away() {
    let mut cluster = Cluster::start_with(3, &SETTINGS).await;
    let place = Place::new("large", "k");
    allow_siblings(cluster.client(0), &place).await;
    cluster.nodes[2].kill().await;
    for number in 0..5 {
        let client = cluster.client(usize::from(number) % 2);
        client.put(&place, value(number)).await.unwrap();
    }
    let refused = cluster.client(0).put(&place, value(5)).await.unwrap_err().to_string();
    assert!(refused.contains("siblings; at most 115343360 are allowed"), "{refused}");
    let log = cluster.nodes[0].log() + &cluster.nodes[1].log();
    assert!(log.contains("above its warning level"), "nothing is logged");
    let counted = metrics(&cluster.nodes[0]).await["mapring_kv_large_objects_total"]
        + metrics(&cluster.nodes[1]).await["mapring_kv_large_objects_total"];
    assert!(counted >= 5.0, "{counted}");

    cluster.restart(2).await;
    for node in &cluster.nodes {
        let what = format!("{} to hold nothing for others", node.settings.name);
        eventually(&what, || async {
            holds(metrics(node).await.get("mapring_kv_hinted_vnodes") == Some(&0.0))
        })
        .await;
    }
    for node in &cluster.nodes {
        // Larger than the largest message: each of the replicas is read in pieces.
        let path = format!("{}?r=all", place.path());
        let (status, list) = Exchange::get(node, &path).await.answer().await;
        assert_eq!(status, 300, "{list}");
        let tags: Vec<&str> = list.lines().skip(1).collect();
        assert_eq!(tags.len(), 5, "{list}");
    }
    let list = Exchange::get(&cluster.nodes[2], &place.path()).await.text().await;
    let mut read = Vec::new();
    for tag in list.lines().skip(1) {
        let one = cluster.client(2).get_sibling(&place, tag).await.unwrap();
        assert_eq!(one.body.len(), VALUE_BYTES);
        assert!(one.body.iter().all(|byte| *byte == one.body[0]));
        read.push(one.body[0]);
    }
    read.sort_unstable();
    assert_eq!(read, b"01234");
    let query = r#"{"inputs":"large","query":[{"reduce":{"language":"erlang",
        "module":"riak_kv_mapreduce","function":"reduce_count_inputs"}}]}"#;
    for client in cluster.clients() {
        eventually("queries to find every partition fit", || async {
            holds(client.mapred(query).await.ok()? == "[1]")
        })
        .await;
    }
    // And it can be mended.
    cluster.client(1).delete(&place).await.unwrap();
    let (status, _) = Exchange::get(&cluster.nodes[2], &place.path()).await.answer().await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_settings_hold() {
    let settings =
        [("MAPRING__OBJECTS__MAX_SIBLINGS", "3"), ("MAPRING__OBJECTS__WARN_SIBLINGS", "2")];
    let cluster = Cluster::start_with(3, &settings).await;
    let place = Place::new("many", "k");
    allow_siblings(cluster.client(0), &place).await;
    for node in &cluster.nodes {
        // Who does not know it yet lets the last write win.
        eventually("all to know that siblings are kept", || async {
            let (_, props) = Exchange::get(node, "/buckets/many/props").await.answer().await;
            holds(props.contains(r#""allow_mult":true"#))
        })
        .await;
    }
    let writes = (0..30).map(|number| {
        let (client, place) = (cluster.client(number % 3).clone(), place.clone());
        let object = NewObject {
            body: number.to_string().into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        async move { client.put(&place, object).await }
    });
    let written = futures::future::join_all(writes).await;
    let good = written.iter().filter(|written| written.is_ok()).count();
    assert_eq!(good, 3);
    for refused in written.iter().filter_map(|written| written.as_ref().err()) {
        let text = refused.to_string();
        assert!(text.contains("the write would make more than 3 siblings"), "{text}");
    }
    for node in &cluster.nodes {
        let path = format!("{}?r=all", place.path());
        let (status, list) = Exchange::get(node, &path).await.answer().await;
        assert_eq!((status, list.lines().count()), (300, 4), "{list}");
    }
}
