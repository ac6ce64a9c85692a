//! OpenRiak's folds (facts R329 to R336).

use super::Fixture;
use super::wire::Client;

async fn objects(client: &mut Client) {
    let (json, text) = (&["Content-Type: application/json"], &["Content-Type: text/plain"]);
    let props = br#"{"props":{"allow_mult":true}}"#;
    assert_eq!(client.request("PUT", "/buckets/f/props", json, props).await.status, 204);
    for (key, body) in [("a", "1"), ("b", "22"), ("b", "333"), ("c", "4444"), ("gone", "5")] {
        let path = format!("/buckets/f/keys/{key}");
        assert_eq!(client.request("PUT", &path, text, body.as_bytes()).await.status, 204);
    }
    assert_eq!(client.request("DELETE", "/buckets/f/keys/gone", &[], b"").await.status, 204);
}

#[tokio::test]
async fn folds_tell_what_a_bucket_holds() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    // {"key_range":{"start":"a","end":"b"}}
    let range = "filter=eyJrZXlfcmFuZ2UiOnsic3RhcnQiOiJhIiwiZW5kIjoiYiJ9fQ==";
    for (path, expect) in [
        (
            "objectstats/buckets/f".to_owned(),
            r#"{"total_count":3,"total_size":10,"sizes":{"0":3},"siblings":{"1":2,"2":1}}"#,
        ),
        (
            "objectstats/types/default/buckets/none".to_owned(),
            r#"{"total_count":0,"total_size":0,"sizes":[],"siblings":[]}"#,
        ),
        ("siblings/buckets/f/counts/1".into(), r#"{"results":[{"key":"b","value":2}]}"#),
        ("objectsizes/buckets/f/sizes/4".into(), r#"{"results":[{"key":"b","value":5}]}"#),
        (
            format!("objectsizes/buckets/f/sizes/3?{range}"),
            r#"{"results":[{"key":"b","value":5}]}"#,
        ),
        ("erase/buckets/f".into(), r#"{"dispatched_count":3}"#),
        (format!("erase/buckets/f?{range}"), r#"{"dispatched_count":2}"#),
        ("reap/buckets/f".into(), r#"{"dispatched_count":1}"#),
        ("rangerepair/buckets/f".into(), r#"{"dispatched_count":4}"#),
        ("aaebucketlist?nval=1".into(), r#"{"results":[{"bucket":"f"}]}"#),
    ] {
        let response = client.get(&format!("/{path}")).await;
        assert_eq!((response.status, response.text().as_str()), (200, expect), "{path}");
        assert_eq!(response.header("content-type"), Some("application/json"));
    }
    let tombstones = client.get("/tombs/buckets/f").await.text();
    let begin = r#"{"keys-clocks":[{"bucket":"f","key":"gone","clock":""#;
    assert!(tombstones.starts_with(begin) && tombstones.ends_with("\"}]}"), "{tombstones}");
    let clocks = client.get("/rangetrees/buckets/f/keysclocks").await.text();
    assert_eq!(clocks.matches("\"clock\"").count(), 4, "{clocks}");
}

#[tokio::test]
async fn objects_are_erased_and_reaped_where_the_filter_says_so() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    // {"change_method":"local"}
    let local = "filter=eyJjaGFuZ2VfbWV0aG9kIjoibG9jYWwifQ==";
    let count = |count: u32| format!("{{\"dispatched_count\":{count}}}");
    assert_eq!(client.get(&format!("/erase/buckets/f?{local}")).await.text(), count(3));
    assert_eq!(client.get("/erase/buckets/f").await.text(), count(0));
    assert_eq!(client.get(&format!("/reap/buckets/f?{local}")).await.text(), count(4));
    assert_eq!(client.get("/reap/buckets/f").await.text(), count(0));
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    for (path, status, words) in [
        (
            "/siblings/buckets/f/counts/x",
            400,
            "sibling_count requires integer for count. Value \"x\" invalid",
        ),
        (
            "/objectsizes/buckets/f/sizes/0",
            400,
            "object_size requires integer for size. Value 0 invalid",
        ),
        ("/tombs/buckets/f?filter=x", 400, "Invalid range filter"),
        ("/aaebucketlist?nval=0", 400, "Invalid n_val"),
        ("/tombs/types/nope/buckets/f", 404, "Unknown bucket type: nope"),
        ("/rangetrees/buckets/f/trees/small", 501, "replication between clusters"),
        ("/cachedtrees/nvals/3/root", 501, "replication between clusters"),
        ("/rangerepl/buckets/f/queuename/q", 501, "replication between clusters"),
        ("/queuename/q", 501, "replication between clusters"),
        ("/membership_request", 501, "replication between clusters"),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.text().contains(words), "{path}: {}", response.text());
    }
}
