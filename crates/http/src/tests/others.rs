//! Buckets, properties, listings, queries and the administrative resources.

use mapring_api::backend::Objects as _;
use mapring_background::{Context, Next, Worker};
use mapring_cluster::Change;
use mapring_kv::{Holdings, StaleReplicas};
use mapring_mapred::{Failure, FailureKind, PhaseResults, Row};
use mapring_ring::Partition;
use mapring_types::{Error, NodeId};
use serde_json::{Value, json};

use super::Fixture;
use super::wire::{Client, Response};

const JSON: &[&str] = &["Content-Type: application/json"];
const TEXT: &[&str] = &["Content-Type: text/plain"];
const PAGE: &[&str] = &["content-type", "vary"];

fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

async fn put_keys(client: &mut Client, bucket: &str, keys: &[&str]) {
    for key in keys {
        let path = format!("/riak/{bucket}/{key}");
        assert_eq!(client.request("PUT", &path, TEXT, b"x").await.status, 204);
    }
}

#[tokio::test]
async fn buckets_and_keys_are_listed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    put_keys(&mut client, "b", &["1", "%C3%A9"]).await;
    put_keys(&mut client, "c", &["1"]).await;
    for (path, expect) in [
        ("/buckets?buckets=true", r#"{"buckets":["b","c"]}"#),
        ("/riak/?buckets=true", r#"{"buckets":["b","c"]}"#),
        ("/types/default/buckets?buckets=true", r#"{"buckets":["b","c"]}"#),
        ("/buckets?buckets=stream", r#"{"buckets":["b","c"]}{"buckets":[]}"#),
        ("/buckets", r#"{"buckets":[]}"#),
        ("/buckets/b/keys?keys=true&props=false", r#"{"keys":["1","\u00e9"]}"#),
        ("/buckets/b/keys?keys=stream", r#"{"keys":["1"]}{"keys":["\u00e9"]}{"keys":[]}"#),
        ("/buckets/none/keys?keys=true", r#"{"keys":[]}"#),
        ("/buckets/b/keys", "{}"),
        ("/riak/b?props=false&keys=true", r#"{"keys":["1","\u00e9"]}"#),
        ("/riak/c?props=false&keys=stream", r#"{}{"keys":["1"]}{"keys":[]}"#),
    ] {
        let response = client.get(path).await;
        assert_eq!((response.status, response.text().as_str()), (200, expect), "{path}");
        assert_eq!(response.header("content-type"), Some("application/json"), "{path}");
    }
    let merged = parsed(&client.get("/riak/b?keys=true").await);
    assert_eq!(merged["keys"], json!(["1", "é"]));
    assert_eq!(merged["props"]["n_val"], 3);
    let stream = client.get("/riak/b?keys=stream").await.text();
    assert!(stream.starts_with("{\"props\":{\"name\":\"b\","), "{stream}");
    assert!(stream.ends_with("}{\"keys\":[\"1\"]}{\"keys\":[\"\\u00e9\"]}{\"keys\":[]}"));
}

#[tokio::test]
async fn failed_listings_are_told() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    put_keys(&mut client, "b", &["1"]).await;
    *fixture.store.failure.lock() = Some(Error::timeout("x"));
    let failed = client.get("/buckets/b/keys?keys=true&timeout=1").await;
    assert_eq!((failed.status, failed.text()), (503, "request timed out\n".into()));
    *fixture.store.failure.lock() = Some(Error::timeout("x"));
    let failed = client.get("/buckets/b/keys?keys=stream").await;
    assert_eq!(failed.text(), r#"{"keys":["1"]}{"error":"timeout"}"#);
    for (path, status) in [
        ("/buckets/b/keys?keys=true&timeout=x", 400),
        ("/types/nope/buckets?buckets=true", 404),
        ("/types/nope/buckets/b/keys?keys=true", 404),
        ("/nothing", 404),
        ("/buckets/b", 404),
        ("/buckets/b/keys/%", 404),
    ] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
    assert_eq!(client.request("DELETE", "/buckets", &[], b"").await.status, 405);
    for path in ["/types/nope/buckets?buckets=true", "/types/nope/buckets/b/keys?keys=true"] {
        let missing = client.get(path).await;
        assert_eq!(missing.shape(PAGE), "content-type: text/html\nvary: Accept-Encoding", "{path}");
    }
    // No such resource, as in Riak.
    let neither = client.get("/riak/b?props=false").await;
    assert_eq!(neither.status, 404);
    assert_eq!(neither.shape(PAGE), "content-type: text/html\nvary: -");
}

#[tokio::test]
async fn properties_are_read_and_written() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let path = "/buckets/b/props";
    let props = parsed(&client.get(path).await)["props"].clone();
    assert_eq!((&props["name"], &props["r"]), (&json!("b"), &json!("quorum")));
    let put = client.request("PUT", path, JSON, br#"{"props":{"r":1,"allow_mult":"true"}}"#).await;
    assert_eq!((put.status, put.header("vary")), (204, Some("Accept-Encoding")));
    let old = client.request("PUT", "/riak/b", JSON, br#"{"props":{"n_val":5}}"#).await;
    assert_eq!(old.status, 204);
    let props = parsed(&client.get("/riak/b").await)["props"].clone();
    assert_eq!(
        [&props["r"], &props["allow_mult"], &props["n_val"]],
        [&json!(1), &json!(true), &json!(5)]
    );
    assert_eq!(client.request("DELETE", path, &[], b"").await.status, 204);
    assert_eq!(parsed(&client.get(path).await)["props"]["n_val"], 3);
    assert_eq!(client.request("DELETE", "/riak/b", &[], b"").await.status, 405);
}

#[tokio::test]
async fn wrong_properties_are_refused() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let form = "bucket PUT must be a JSON object of the form:\n\
                {\"props\":{...bucket properties...}}";
    for body in ["", "[]", "{}", "{\"props\":1}", "nonsense"] {
        let refused = client.request("PUT", "/buckets/b/props", TEXT, body.as_bytes()).await;
        assert_eq!((refused.status, refused.text().as_str()), (400, form), "{body}");
    }
    for (body, expect) in [
        (r#"{"props":{"n_val":"3","r":2}}"#, json!({"n_val": "not_integer"})),
        (
            r#"{"props":{"n_val":0,"r":0,"sync_on_write":"x"}}"#,
            json!({"n_val": "not_integer", "r": "not_valid_quorum",
                   "sync_on_write": "not_valid_sync_param"}),
        ),
        (
            r#"{"props":{"write_once":true}}"#,
            json!({"write_once": "cannot update write_once property"}),
        ),
        (
            r#"{"props":{"datatype":"set","allow_mult":true}}"#,
            json!({"datatype": "Cannot update datatype on existing bucket"}),
        ),
    ] {
        let refused = client.request("PUT", "/buckets/b/props", JSON, body.as_bytes()).await;
        assert_eq!((refused.status, parsed(&refused)), (400, expect));
        assert_eq!(refused.shape(PAGE), "content-type: application/json\nvary: Accept-Encoding");
        // The type of the body comes first.
        let other = client.request("PUT", "/buckets/b/props", TEXT, body.as_bytes()).await;
        assert_eq!(other.status, 415);
    }
    let good = br#"{"props":{"n_val":2}}"#;
    for (lines, given) in [(TEXT, "is text/plain"), (&[], "is missing")] {
        let refused = client.request("PUT", "/buckets/b/props", lines, good).await;
        let text = format!("<p>the header Content-Type {given}; it must be application/json</p>");
        assert!(refused.status == 415 && refused.text().contains(&text), "{}", refused.text());
        assert_eq!(refused.shape(PAGE), "content-type: text/html\nvary: Accept-Encoding");
    }
    let typed = client.request("PUT", "/types/t/props", JSON, good).await;
    assert_eq!(
        (typed.status, typed.text().as_str()),
        (404, "Cannot modify unknown bucket type: t")
    );
    let missing = client.get("/types/t/props").await;
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("text/html")));
    assert_eq!(client.get("/types/default/props").await.status, 200);
    assert_eq!(client.request("PUT", "/types/default/props", JSON, good).await.status, 403);
    let large = vec![b' '; crate::limits::PROPS_BYTES + 1];
    assert_eq!(client.request("PUT", "/buckets/b/props", JSON, &large).await.status, 413);
}

#[tokio::test]
async fn bucket_types_are_made_activated_and_changed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let admin = "/admin/bucket-types/t";
    let put = |body: &str| format!("{{\"props\":{body}}}").into_bytes();
    let made = client.request("PUT", admin, JSON, &put(r#"{"active":false,"n_val":2}"#)).await;
    assert_eq!((made.status, made.header("warning")), (204, None));
    let shown = parsed(&client.get(admin).await);
    assert_eq!((&shown["status"], &shown["props"]["n_val"]), (&json!("created"), &json!(2)));
    let list = parsed(&client.get("/admin/bucket-types").await);
    assert_eq!(list, json!({"bucket_types": ["default", "t"], "inactive": ["t"]}));
    // It is not there for users, and can still become anything.
    let object = "/types/t/buckets/b/keys/k";
    assert_eq!(client.request("PUT", object, TEXT, b"x").await.status, 404);
    for (method, path) in [("GET", "/types/t/props"), ("PUT", "/types/t/props")] {
        assert_eq!(client.request(method, path, JSON, &put("{}")).await.status, 404, "{method}");
    }
    let once = put(r#"{"write_once":true,"active":true}"#);
    assert_eq!(client.request("POST", admin, JSON, &once).await.status, 204);
    assert_eq!(parsed(&client.get(admin).await)["status"], "created");
    for _ in 0..2 {
        let path = format!("{admin}/activate");
        assert_eq!(client.request("POST", &path, &[], b"").await.status, 204);
    }
    assert_eq!(client.request("PUT", object, TEXT, b"x").await.status, 204);
    let props = parsed(&client.get("/types/t/props").await)["props"].clone();
    assert_eq!((&props["active"], &props["claimant"]), (&json!(true), &json!("n1")));
    let of_bucket = parsed(&client.get("/types/t/buckets/b/props").await)["props"].clone();
    assert_eq!((&of_bucket["name"], &of_bucket["claimant"]), (&json!("b"), &json!("n1")));
    // What is active stays so, and what cannot change does not.
    for (path, props, refused) in [
        (admin, r#"{"active":false}"#, "active"),
        ("/types/t/props", r#"{"active":false}"#, "active"),
        (admin, r#"{"write_once":false}"#, "write_once"),
        ("/types/t/buckets/b/props", r#"{"write_once":false}"#, "write_once"),
        (admin, r#"{"last_write_wins":true}"#, "dvv_enabled"),
    ] {
        let method = if path == admin { "POST" } else { "PUT" };
        let answer = client.request(method, path, JSON, &put(props)).await;
        assert!(answer.status == 400 && answer.text().contains(refused), "{}", answer.text());
    }
    assert_eq!(client.request("POST", admin, JSON, &put(r#"{"n_val":5}"#)).await.status, 204);
    assert_eq!(client.request("POST", &format!("{admin}/reset"), &[], b"").await.status, 204);
    let props = parsed(&client.get("/types/t/props").await)["props"].clone();
    assert_eq!((&props["n_val"], &props["write_once"]), (&json!(3), &json!(true)));
    for (method, path, status) in [
        ("GET", "/admin/bucket-types/none", 404),
        ("POST", "/admin/bucket-types/none", 404),
        ("POST", "/admin/bucket-types/none/activate", 404),
        ("POST", "/admin/bucket-types/none/reset", 404),
        ("GET", "/admin/bucket-types/default", 200),
        ("POST", "/admin/bucket-types/default/reset", 400),
        ("PUT", "/admin/bucket-types/any", 400),
    ] {
        let answer = client.request(method, path, JSON, b"").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
}

#[tokio::test]
async fn administrative_resources_answer() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let ping = client.get("/ping/").await;
    assert_eq!((ping.status, ping.text()), (200, "OK".into()));
    assert_eq!(ping.header("content-type"), Some("text/html"));
    let json = client.request("GET", "/ping", &["Accept: application/json"], b"").await;
    assert_eq!(json.status, 406);
    let head = client.request("HEAD", "/ping", &[], b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("2")));
    let accept = "Accept: multipart/mixed, application/json, */*;q=0.5";
    let root = client.request("GET", "/", &[accept], b"").await;
    assert_eq!(parsed(&root)["riak_kv_wm_object"], "/buckets");
    let link = root.header("link").unwrap();
    assert!(link.contains("</buckets>; rel=\"riak_kv_wm_buckets\",</riak>; rel=\"riak_kv_wm_buck"));
    assert_eq!(root.header("vary"), Some("Accept, Accept-Encoding"));
    let page = client.get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html"));
    put_keys(&mut client, "b", &["1"]).await;
    client.get("/riak/b/1").await;
    let stats = parsed(&client.get("/stats").await);
    assert!(stats["riak_kv_version"].as_str().unwrap() >= "2.1");
    assert_eq!(stats["riak_core_version"], stats["riak_kv_version"]);
    for (name, value) in [
        ("node_gets_total", json!(1)),
        ("node_puts", json!(1)),
        ("ring_members", json!(["n1", "n2", "n3"])),
        ("ring_num_partitions", json!(64)),
        ("storage_backend", json!("memory")),
        ("nodename", json!("n1")),
    ] {
        assert_eq!(stats[name], value, "{name}");
    }
    let text = client.request("GET", "/stats", &["Accept: text/plain"], b"").await;
    assert!(text.text().contains("\n  \"node_gets\""));
    assert_eq!(client.get("/metrics").await.text(), "mapring_up 1\n");
    assert_eq!(client.get("/admin/ready").await.status, 200);
    assert_eq!(client.get("/admin/repair/nobody").await.status, 404);
    let repair = parsed(&client.get("/admin/repair/n2").await);
    assert_eq!((&repair["node"], &repair["complete"]), (&json!("n2"), &json!(true)));
    for path in ["/admin/repair/n2", "/admin/cluster/choose/n2"] {
        let foreign = ["Referer: http://elsewhere/"];
        assert_eq!(client.request("POST", path, &foreign, b"").await.status, 403, "{path}");
    }
    assert_eq!(client.request("POST", "/admin/repair/n2", &[], b"").await.status, 202);
    let repair = parsed(&client.get("/admin/repair/n2").await);
    assert_eq!((&repair["complete"], &repair["filled"]), (&json!(false), &json!(5)));
    let cluster = parsed(&client.get("/admin/cluster").await);
    assert_eq!(cluster["metadata"]["index"], 60);
    assert_eq!(cluster["metadata"]["has_leader"], true);
    assert_eq!(client.get("/admin/cluster/choose/n2").await.status, 405);
    let choice = client.request("POST", "/admin/cluster/choose/n2", &[], b"").await;
    assert_eq!((choice.status, choice.text().contains("nothing to choose")), (400, true));
    assert_eq!(cluster["members"].as_array().unwrap().len(), 3);
    assert_eq!(cluster["members"][0]["status"], "valid");
    assert_eq!(cluster["repairs"]["filling"], json!([repair]));
    let list = parsed(&client.get("/buckets/b/keys/k/preflist").await);
    assert_eq!(list["preflist"][0]["partition"], 28);
    assert_eq!(list["preflist"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn readiness_and_the_state_follow_the_members() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    for (up, status, state) in [
        (&[2, 3][..], 200, "ok"),
        (&[2], 200, "degraded"),
        (&[], 503, "unavailable"),
        (&[3, 2], 200, "ok"),
    ] {
        fixture.store.cluster.set_up(up.iter().map(|id| NodeId(*id)));
        let ready = client.get("/admin/ready").await;
        assert_eq!((ready.status, &parsed(&ready)["state"]), (status, &json!(state)));
        let why = parsed(&ready)["why"].as_str().unwrap_or_default().to_owned();
        assert_eq!(why.contains("n2 and n3 are down"), status == 503, "{why}");
        assert_eq!(client.get("/admin/live").await.status, 200);
        let cluster = parsed(&client.get("/admin/cluster").await);
        assert_eq!((&cluster["state"], &cluster["ready"]), (&json!(state), &json!(status == 200)));
        assert!(cluster["summary"].as_str().unwrap().starts_with(&format!("{state}: ")));
        assert_eq!(cluster["voting"]["decides"], true);
    }
    // Replicas that are up, but lack something.
    for change in [Change::Seal, Change::Lost { id: NodeId(2) }, Change::Lost { id: NodeId(3) }] {
        fixture.store.propose(change).await.unwrap();
    }
    let cluster = parsed(&client.get("/admin/cluster").await);
    assert_eq!(cluster["state"], "degraded");
    assert!(cluster["summary"].as_str().unwrap().contains("reads of up to 64 of 64 partitions"));
    assert_eq!(client.get("/admin/ready").await.status, 200);
}

#[tokio::test]
async fn members_that_are_gone_are_removed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let mut member = fixture.store.view().state.members[&NodeId(3)].clone();
    member.name = "n 4".to_owned();
    let join = Change::Join { id: NodeId(4), member, replaces: None };
    for change in [Change::Seal, join] {
        fixture.store.propose(change).await.unwrap();
    }
    fixture.store.cluster.set_up([NodeId(2)]);
    let foreign = ["Referer: http://elsewhere/"];
    assert_eq!(client.request("DELETE", "/admin/members/n%204", &foreign, b"").await.status, 403);
    for (method, node, status, said) in [
        ("GET", "n2", 405, ""),
        ("DELETE", "n9", 404, "there is no node n9"),
        ("DELETE", "n2", 409, "n2 (0000000000000002) is up"),
        ("DELETE", "n3", 409, "n3 (0000000000000003) owns 21 partitions"),
        ("DELETE", "n%204", 204, ""),
        ("DELETE", "0000000000000004", 404, "there is no node 0000000000000004"),
    ] {
        let answer = client.request(method, &format!("/admin/members/{node}"), &[], b"").await;
        assert_eq!(answer.status, status, "{method} {node}: {}", answer.text());
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    assert_eq!(fixture.store.view().state.members.len(), 3);
    *fixture.store.failure.lock() = Some(Error::unavailable("no majority"));
    assert_eq!(client.request("DELETE", "/admin/members/n3", &[], b"").await.status, 503);
}

#[tokio::test]
async fn running_queries_are_listed_and_ended() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let all = parsed(&client.get("/admin/queries").await);
    assert_eq!(all["queries"][0]["id"], "1-0000000000000002");
    assert_eq!(all["unreachable"], json!(["n3"]));
    let listed = client.get("/admin/queries").await;
    assert!(listed.text().is_ascii(), "{}", listed.text());
    let one = parsed(&client.get("/admin/queries/1-2").await);
    assert_eq!(one, all["queries"][0]);
    for (method, path, status) in [
        ("DELETE", "/admin/queries/1-2", 204),
        ("DELETE", "/admin/queries/1-3", 404),
        ("GET", "/admin/queries/1-3", 404),
        ("GET", "/admin/queries/nonsense", 404),
        ("DELETE", "/admin/queries/x-y", 404),
        ("POST", "/admin/queries/1-2", 405),
        ("POST", "/admin/queries", 405),
        ("DELETE", "/admin/queries", 405),
    ] {
        assert_eq!(client.request(method, path, &[], b"").await.status, status, "{method} {path}");
    }
    let foreign = ["Referer: http://elsewhere/"];
    let refused = client.request("DELETE", "/admin/queries/1-2", &foreign, b"").await;
    assert_eq!(refused.status, 403);
}

/// Waits for ever.
struct Sleeper;

#[async_trait::async_trait]
impl Worker for Sleeper {
    fn name(&self) -> &'static str {
        "sleeper"
    }

    async fn round(&mut self, context: &Context) -> mapring_types::Result<Next> {
        context.say("é");
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn workers_are_listed_and_throttled() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let nothing = json!({
        "node": "n1", "workers": [], "sandbox": { "mode": "", "layers": [] },
    });
    assert_eq!(parsed(&client.get("/admin/workers").await), nothing);
    fixture.store.workers.spawn(Sleeper);
    let set = client.request("PUT", "/admin/workers/sleeper", JSON, br#"{"throttle":7}"#).await;
    assert_eq!((set.status, &parsed(&set)["throttle"]), (200, &json!(7)));
    let listed = client.get("/admin/workers").await;
    assert!(listed.text().is_ascii(), "{}", listed.text());
    let listed = &parsed(&listed)["workers"][0];
    assert_eq!((&listed["name"], &listed["throttle"]), (&json!("sleeper"), &json!(7)));
    for (method, path, body, status) in [
        ("PUT", "/admin/workers/other", r#"{"throttle":7}"#, 404),
        ("PUT", "/admin/workers/sleeper", r#"{"throttle":101}"#, 400),
        ("PUT", "/admin/workers/sleeper", r#"{"throttle":-1}"#, 400),
        ("PUT", "/admin/workers/sleeper", r#"{"throttle":1,"more":1}"#, 400),
        ("PUT", "/admin/workers/sleeper", "", 400),
        ("GET", "/admin/workers/sleeper", "", 405),
        ("PUT", "/admin/workers", "", 405),
    ] {
        let answer = client.request(method, path, JSON, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text());
    }
    let foreign = ["Content-Type: application/json", "Referer: http://elsewhere/"];
    let body = br#"{"throttle":1}"#;
    let refused = client.request("PUT", "/admin/workers/sleeper", &foreign, body).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn replicas_that_lack_writes_are_shown() {
    let fixture = Fixture::start().await;
    let view = fixture.store.view();
    let [first, second, third] = [1, 2, 3].map(NodeId);
    let of_third: Vec<Partition> = view.plan().owned_by(third).take(2).collect();
    let of_second: Vec<Partition> = view.plan().owned_by(second).take(1).collect();
    let moving: Vec<Partition> = view.plan().owned_by(second).skip(1).take(1).collect();
    let held = [(first, [of_third.clone(), of_second].concat()), (second, of_third.clone())];
    let replicas = StaleReplicas {
        held: held.into(),
        awaiting: [(second, moving.clone())].into(),
        unsettled: 1,
        in_flight: 2,
        unheard: vec![second],
        read_repairs: 3,
    };
    let objects = of_third.iter().map(|vnode| (*vnode, 5)).collect();
    let holdings = [(first, Holdings { objects, at_least: false })].into();
    *fixture.store.stale.lock() = (replicas, holdings);
    let cluster = parsed(&fixture.connect().await.get("/admin/cluster").await);
    let hints: Vec<_> = cluster["hints"].as_array().unwrap().iter().collect();
    let words = |hint: &serde_json::Value| {
        (hint["holder"].clone(), hint["for"].clone(), hint["objects"].clone())
    };
    assert_eq!(hints.len(), 3);
    assert_eq!(words(hints[0]), (json!("n1"), json!("n2"), json!(0)));
    assert_eq!(words(hints[1]), (json!("n1"), json!("n3"), json!(10)));
    assert_eq!(words(hints[2]), (json!("n2"), json!("n3"), json!(null)), "it did not answer");
    let why: Vec<_> = cluster["stale"].as_array().unwrap().iter().map(|u| &u["why"]).collect();
    assert_eq!(why, ["hints", "hints", "moving", "catching_up"]);
    assert_eq!(cluster["stale"][2]["vnodes"], json!(moving));
    assert_eq!(cluster["stale"][1]["nodes"], json!(["n1", "n2"]));
    assert_eq!(cluster["stale"][1]["vnodes"], json!(of_third));
    let expected =
        json!({"unsettled_writes": 1, "in_flight_writes": 2, "read_repairs": 3, "filling": []});
    assert_eq!(cluster["repairs"], expected);
}

fn values(phase: usize, values: &[&str]) -> Result<PhaseResults, Failure> {
    let values = values.iter().map(|&value| Row::value(value)).collect();
    Ok(PhaseResults::new(phase, values))
}

fn failure() -> Result<PhaseResults, Failure> {
    Err(Failure::new(FailureKind::Ended, "x").in_phase(0))
}

#[tokio::test]
async fn plain_queries_are_answered() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    for (events, status, body) in [
        (vec![values(0, &["1", "2"]), values(0, &["3"])], 200, "[1,2,3]"),
        (vec![], 200, "[]"),
        (vec![values(0, &["1"]), failure()], 500, r#"{"phase":0,"error":"x"}"#),
        (vec![Err(Failure::new(FailureKind::Stopping, "x"))], 503, r#"{"error":"x"}"#),
    ] {
        let script = async {
            fixture.queries.started.notified().await;
            events.into_iter().for_each(|event| fixture.queries.send(event));
            fixture.queries.finish();
        };
        let (answer, ()) = tokio::join!(client.request("POST", "/mapred", JSON, b"{}"), script);
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        let length = body.len().to_string();
        assert_eq!(
            answer.shape(&["content-type", "content-length", "vary"]),
            format!("content-type: application/json\ncontent-length: {length}\nvary: -")
        );
    }
}

#[tokio::test]
async fn wrong_queries_are_refused_in_order() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let usage = client.get("/mapred").await;
    assert_eq!((usage.status, usage.header("content-type")), (400, Some("text/plain")));
    let empty = client.request("POST", "/mapred", JSON, b"").await;
    assert_eq!((empty.status, empty.text()), (400, usage.text()));
    assert_eq!(client.request("PUT", "/mapred", JSON, b"{}").await.status, 405);
    // What is wrong with the text comes before what is wrong with the type.
    let text = client.request("POST", "/mapred", &[], b"text").await;
    assert_eq!((text.status, text.text()), (400, "The POST body was not a JSON object.\n".into()));
    let json = client.request("POST", "/mapred", &[], b"json").await;
    assert_eq!((json.status, json.header("content-type")), (400, Some("application/json")));
    let types = ["Content-Type: text/plain", "Accept: multipart/mixed"];
    assert_eq!(client.request("POST", "/mapred", &types, b"{}").await.status, 415);
    let types = ["Content-Type: application/json;charset=utf-8", "Accept: multipart/mixed"];
    assert_eq!(client.request("POST", "/mapred?chunked=true", &types, b"{}").await.status, 406);
}

#[tokio::test]
async fn parts_are_sent_while_the_query_runs() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let request = "POST /mapred/?chunked=true HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\
                   Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    for fails in [false, true] {
        client.send(request.as_bytes()).await;
        let head = client.head().await;
        let boundary = head.split("multipart/mixed;boundary=").nth(1).unwrap();
        let boundary = boundary.split("\r\n").next().unwrap();
        for number in ["1", "2"] {
            fixture.queries.send(values(0, &[number]));
            // Each arrives before the next is there.
            let part = String::from_utf8(client.chunk().await.unwrap()).unwrap();
            assert_eq!(
                part,
                format!(
                    "\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n\
                     {{\"phase\":0,\"data\":[{number}]}}"
                )
            );
        }
        let end = if fails {
            fixture.queries.send(failure());
            r#"{"phase":0,"error":"x"}"#.to_owned()
        } else {
            fixture.queries.finish();
            format!("\r\n--{boundary}--\r\n")
        };
        assert_eq!(client.chunk().await.unwrap(), end.as_bytes());
        assert_eq!(client.chunk().await, None);
    }
}

#[tokio::test]
async fn lines_are_sent_while_the_query_runs() {
    let fixture = Fixture::start().await;
    let request = "POST /mapred HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
                   Content-Length: 5\r\n\r\nlines";
    for fails in [false, true] {
        let mut client = fixture.connect().await;
        client.send(request.as_bytes()).await;
        fixture.queries.started.notified().await;
        for number in ["1", "2"] {
            fixture.queries.send(values(0, &[number, "\"a\""]));
            if number == "1" {
                let head = client.head().await.to_ascii_lowercase();
                assert!(head.contains("200 ok") && head.contains("transfer-encoding: chunked"));
                assert!(head.contains("content-type: application/x-ndjson"), "{head}");
            }
            // Each arrives before the next is there.
            let lines = String::from_utf8(client.chunk().await.unwrap()).unwrap();
            assert_eq!(lines, format!("{number}\n\"a\"\n"));
        }
        if fails {
            fixture.queries.send(failure());
            assert_eq!(client.chunk().await.unwrap(), b"{\"phase\":0,\"error\":\"x\"}\n");
            assert!(client.closed().await.is_empty(), "the answer has no end");
        } else {
            fixture.queries.finish();
            assert_eq!(client.chunk().await, None);
        }
    }
    // Before anything is sent a failure is one as of other answers; and lines may be none.
    let mut client = fixture.connect().await;
    for (event, status, body) in
        [(Some(failure()), 500, r#"{"phase":0,"error":"x"}"#), (None, 200, "")]
    {
        let script = async {
            fixture.queries.started.notified().await;
            event.into_iter().for_each(|event| fixture.queries.send(event));
            fixture.queries.finish();
        };
        let (answer, ()) = tokio::join!(client.request("POST", "/mapred", JSON, b"lines"), script);
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_query() {
    let fixture = Fixture::start().await;
    for path in ["/mapred", "/mapred?chunked=true"] {
        let mut client = fixture.connect().await;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        );
        client.send(request.as_bytes()).await;
        fixture.queries.started.notified().await;
        // Nothing has been written, and nothing will be.
        drop(client);
        fixture.queries.dropped.notified().await;
    }
}
