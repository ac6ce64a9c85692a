//! Data types on the wire.

use mapring_cluster::Change;
use mapring_types::props::PropChanges;
use mapring_types::{Error, ErrorKind};
use serde_json::Value;

use super::Fixture;
use super::wire::Client;

const JSON: &[&str] = &["Content-Type: application/json"];

async fn create(client: &mut Client, name: &str, props: &str) -> (u16, String) {
    let body = format!("{{\"props\":{props}}}");
    let path = format!("/admin/bucket-types/{name}");
    let answer = client.request("PUT", &path, JSON, body.as_bytes()).await;
    (answer.status, answer.text())
}

/// A server with a bucket type of each kind.
async fn start() -> (Fixture, Client) {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    for kind in ["counter", "set", "map", "gset", "hll"] {
        let created = create(&mut client, kind, &format!("{{\"datatype\":\"{kind}\"}}")).await;
        assert_eq!(created, (204, String::new()), "{kind}");
    }
    assert_eq!(create(&mut client, "plain", "{}").await.0, 204);
    assert_eq!(create(&mut client, "alone", r#"{"allow_mult":false}"#).await.0, 204);
    (fixture, client)
}

#[tokio::test]
async fn operations_are_made_and_shown() {
    let (_fixture, mut client) = start().await;
    for (kind, op, value) in [
        ("counter", "5", "5"),
        ("set", r#"{"add_all":["b","é"]}"#, r#"["b","\u00e9"]"#),
        ("map", r#"{"update":{"f_flag":"enable"}}"#, r#"{"f_flag":true}"#),
        ("gset", r#"{"add":"x"}"#, r#"["x"]"#),
        ("hll", r#"{"add":"x"}"#, "1"),
    ] {
        let path = format!("/types/{kind}/buckets/b/datatypes/k");
        let missing = client.get(&path).await;
        let document = format!("{{\"type\":\"{kind}\",\"error\":\"notfound\"}}");
        assert_eq!((missing.status, missing.text()), (404, document));
        assert_eq!(missing.header("content-type"), Some("application/json"));
        let made = client.request("POST", &path, JSON, op.as_bytes()).await;
        assert_eq!((made.status, made.header("content-type")), (204, Some("application/json")));
        let document = format!("{{\"type\":\"{kind}\",\"value\":{value}");
        let shown = client.get(&path).await;
        assert_eq!(shown.status, 200);
        let context = shown.text().strip_prefix(&document).unwrap().to_owned();
        let has = matches!(kind, "set" | "map");
        assert_eq!(context.starts_with(",\"context\":\""), has, "{kind}: {context}");
        let without = client.get(&format!("{path}?include_context=FALSE")).await;
        assert_eq!(without.text(), format!("{document}}}"));
        let whole = format!("{path}?returnbody=true&include_context=false");
        let again = client.request("POST", &whole, JSON, op.as_bytes()).await;
        assert_eq!(again.status, 200);
        if kind != "counter" {
            assert_eq!(again.text(), format!("{document}}}"));
        }
        let delete = format!("/types/{kind}/buckets/b/keys/k");
        assert_eq!(client.request("DELETE", &delete, &[], b"").await.status, 204);
        let gone = client.get(&path).await;
        assert_eq!((gone.status, gone.header("x-riak-deleted")), (404, Some("true")));
    }
    let path = "/types/set/buckets/b/datatypes";
    let created = client.request("POST", path, JSON, br#"{"add":"x"}"#).await;
    let location = created.header("location").unwrap().to_owned();
    assert_eq!(created.status, 201);
    let key = location.strip_prefix("/types/set/buckets/b/keys/").unwrap();
    let shown = client.get(&format!("{path}/{key}?include_context=false")).await;
    assert_eq!(shown.text(), r#"{"type":"set","value":["x"]}"#);
    let stats: Value = serde_json::from_str(&client.get("/stats").await.text()).unwrap();
    for (name, count) in [
        ("node_gets_map_total", 4),
        ("node_puts_map_total", 2),
        ("node_gets_set_total", 5),
        ("node_puts_set_total", 3),
        // The grow-only set, and what was deleted.
        ("node_gets_total", 4),
        ("node_puts_total", 7),
    ] {
        assert_eq!(stats[name], count, "{name}");
    }
}

#[tokio::test]
async fn requests_are_checked_in_riaks_order() {
    let (fixture, mut client) = start().await;
    let set = "/types/set/buckets/b/datatypes/k";
    for (method, path, lines, body, status, text) in [
        (
            "GET",
            "/types/nope/buckets/b/datatypes/k",
            &[][..],
            "",
            404,
            "Unknown bucket type: nope\n",
        ),
        (
            "GET",
            "/types/plain/buckets/b/datatypes/k",
            &[],
            "",
            403,
            "Bucket datatype 'undefined' is not a supported type.\n",
        ),
        (
            "GET",
            "/types/alone/buckets/b/datatypes/k",
            &[],
            "",
            403,
            "Bucket must be allow_mult=true\n",
        ),
        (
            "GET",
            "/types/default/buckets/a+b/datatypes/k",
            &[],
            "",
            301,
            "Counters in the default bucket-type should use the legacy URL\n",
        ),
        (
            "GET",
            "/types/nope/buckets/b/datatypes/k?r=x",
            &[],
            "",
            400,
            "r query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'\n",
        ),
        (
            "GET",
            "/types/set/buckets/b/datatypes/k?returnbody=1",
            &[],
            "",
            400,
            "returnbody query parameter must be true or false\n",
        ),
        (
            "GET",
            "/types/set/buckets/b/datatypes/k?timeout=soon",
            &[],
            "",
            400,
            "timeout query parameter must be an integer greater than 0, soon is invalid\n",
        ),
        (
            "GET",
            "/types/set/buckets/b/datatypes/k?r=4",
            &[],
            "",
            400,
            "Specified w/dw/pw values invalid for bucket n value of 3\n",
        ),
        (
            "POST",
            set,
            JSON,
            "{\"add\":1}",
            400,
            "Invalid operation on datatype 'set': {\"add\":1}\n",
        ),
        (
            "POST",
            set,
            JSON,
            "{\"remove\":\"x\"}",
            500,
            "Error:\n{precondition,{not_present,<<\"x\">>}}\n",
        ),
    ] {
        let answer = client.request(method, path, lines, body.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{method} {path} {body}"
        );
        assert_eq!(answer.header("content-type"), Some("text/plain"), "{method} {path} {body}");
    }
    let moved = client.get("/types/default/buckets/a+b/datatypes/k%2F").await;
    assert_eq!(moved.header("location"), Some("/buckets/a+b/counters/k%2F"));
    for (lines, status) in [(&["Content-Type: text/plain"][..], 406), (&[], 406), (JSON, 204)] {
        let answer = client.request("POST", set, lines, b"{\"add\":\"x\"}").await;
        assert_eq!(answer.status, status, "{lines:?}");
    }
    let foreign = client.request("GET", set, &["Origin: null"], b"").await;
    assert_eq!(foreign.status, 403);
    let other = client.request("GET", set, &["Accept: text/html"], b"").await;
    assert_eq!(other.status, 406);
    *fixture.store.failure.lock() = Some(Error::new(ErrorKind::Unavailable, "b/k: nobody"));
    let failed = client.request("POST", set, JSON, b"{\"add\":\"x\"}").await;
    assert_eq!((failed.status, failed.text()), (503, "b/k: nobody\n".to_owned()));
}

#[tokio::test]
async fn functions_are_called_before_and_after_updates() {
    let (fixture, mut client) = start().await;
    let hooks = async |client: &mut Client, bucket: &str, props: &str| {
        let path = format!("{bucket}/props");
        let body = format!("{{\"props\":{props}}}");
        let set = client.request("PUT", &path, JSON, body.as_bytes()).await;
        assert_eq!(set.status, 204, "{path}: {}", set.text());
    };
    let set = ("/types/set/buckets/h", "datatypes/k", r#"{"add":"é"}"#, r#"{"add":"é"}"#);
    let counter = ("/buckets/h", "counters/k", "5", r#"{"increment":5}"#);
    let words = "98,101,99,97,117,115,101,32,60,195,169,62";
    for (bucket, place, op, seen) in [set, counter] {
        let path = format!("{bucket}/{place}");
        for (name, text) in [
            ("refuse", "Error:\nprecommit_fail\n".to_owned()),
            ("say", format!("Error:\n{{precommit_fail,<<{words}>>}}\n")),
            ("break", "Error:\nno object\n".to_owned()),
        ] {
            let props = format!(r#"{{"allow_mult":true,"precommit":[{{"name":"{name}"}}]}}"#);
            hooks(&mut client, bucket, &props).await;
            let refused = client.request("POST", &path, JSON, op.as_bytes()).await;
            assert_eq!((refused.status, refused.text()), (500, text), "{path}: {name}");
            assert_eq!(client.get(&path).await.status, 404, "{path}: {name}");
        }
        let props = r#"{"precommit":[{"name":"ask"}],"postcommit":[{"name":"told"}]}"#;
        hooks(&mut client, bucket, props).await;
        assert_eq!(client.request("POST", &path, JSON, op.as_bytes()).await.status, 204);
        let (content_type, body) = fixture.store.asked.lock().pop().unwrap();
        assert!(content_type.starts_with("application/riak_"), "{path}: {content_type}");
        assert_eq!(body, seen, "{path}");
    }
    let told = ("told".to_owned(), bytes::Bytes::from("k"), false);
    assert_eq!(*fixture.store.told.lock(), [told.clone(), told]);
    // They see what readers see.
    assert_eq!(*fixture.store.shown.lock(), [r#"["é"]"#, "5"]);
}

#[tokio::test]
async fn bucket_types_say_which_and_keep_it() {
    let (fixture, mut client) = start().await;
    for (props, text) in [
        (
            r#"{"datatype":"zork"}"#,
            r#"{"datatype":"zork not supported for bucket datatype property"}"#,
        ),
        (
            r#"{"datatype":"set","allow_mult":false}"#,
            r#"{"allow_mult":"Data Type buckets must be allow_mult=true"}"#,
        ),
        (
            r#"{"datatype":"set","last_write_wins":true}"#,
            r#"{"dvv_enabled":"If last_write_wins is true, dvv_enabled must be false","last_write_wins":"Data Type buckets must be last_write_wins=false"}"#,
        ),
        (
            r#"{"datatype":"hll","hll_precision":17}"#,
            r#"{"hll_precision":"hll_precision is an integer from 4 to 16, and can be made smaller but never larger"}"#,
        ),
    ] {
        assert_eq!(create(&mut client, "new", props).await, (400, text.to_owned()), "{props}");
    }
    for path in ["/types/hll/props", "/types/hll/buckets/b/props"] {
        for (props, status, text) in [
            (
                r#"{"allow_mult":false}"#,
                400,
                r#"{"allow_mult":"Cannot change datatype bucket from allow_mult=true"}"#,
            ),
            (
                r#"{"last_write_wins":true}"#,
                400,
                r#"{"dvv_enabled":"If last_write_wins is true, dvv_enabled must be false","last_write_wins":"Cannot change datatype bucket from last_write_wins=false"}"#,
            ),
            (
                r#"{"hll_precision":15}"#,
                400,
                r#"{"hll_precision":"hll_precision is an integer from 4 to 16, and can be made smaller but never larger"}"#,
            ),
            (r#"{"hll_precision":14,"n_val":3,"datatype":"hll"}"#, 204, ""),
        ] {
            let body = format!("{{\"props\":{props}}}");
            let answer = client.request("PUT", path, JSON, body.as_bytes()).await;
            assert_eq!((answer.status, answer.text().as_str()), (status, text), "{path} {props}");
        }
    }
    // What was made before data types were offered has its word all the same.
    let changes =
        PropChanges(serde_json::from_str(r#"{"datatype":"set","allow_mult":false}"#).unwrap());
    let change = Change::SetBucketType { name: "before".into(), changes };
    mapring_api::backend::Objects::propose(&*fixture.store, change).await.unwrap();
    let refused = client.get("/types/before/buckets/b/datatypes/k").await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (403, "Bucket must be allow_mult=true\n")
    );
}

#[tokio::test]
async fn old_counters_count() {
    let (_fixture, mut client) = start().await;
    let path = "/buckets/b/counters/k";
    let refused = client.request("POST", path, &[], b"1").await;
    let text = "Counters require bucket property 'allow_mult=true'";
    assert_eq!((refused.status, refused.text().as_str()), (409, text));
    let props = br#"{"props":{"allow_mult":true}}"#;
    assert_eq!(client.request("PUT", "/buckets/b/props", JSON, props).await.status, 204);
    let missing = client.get(path).await;
    assert_eq!((missing.status, missing.text().as_str()), (404, "not found\n"));
    for body in ["", "x", "1.5", " 1", "9223372036854775808"] {
        let answer = client.request("POST", path, &[], body.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, Some("text/html")),
            "{body}"
        );
    }
    let added = client.request("POST", path, &[], b"5").await;
    assert_eq!((added.status, added.header("content-type")), (204, Some("text/plain")));
    let added = client.request("POST", &format!("{path}?returnvalue=true"), &[], b"-7").await;
    assert_eq!((added.status, added.text().as_str()), (200, "-2"));
    let shown = client.get(path).await;
    assert_eq!((shown.status, shown.text().as_str()), (200, "-2"));
    assert_eq!(shown.header("content-type"), Some("text/plain"));
    let wrong = client.request("POST", &format!("{path}?w=x"), &[], b"1").await;
    assert_eq!(wrong.status, 400);
}
