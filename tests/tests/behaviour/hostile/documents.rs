//! JSON that is nested without end, wherever a node takes JSON: refused in words, or kept as it is.

use mapring_client::{NewObject, Place};
use serde_json::{Value, json};

use super::rig::{BUCKET, Bystanders, Rig};
use mapring_tests::harness::Exchange;

const DEPTH: usize = 100_000;

/// What is nested, whole and broken off.
fn deep() -> Vec<String> {
    let nested =
        |open: &str, close: &str| [&open.repeat(DEPTH), "1", &close.repeat(DEPTH)].concat();
    vec![nested("[", "]"), nested("{\"a\":", "}"), nested("[{\"a\":", "}]"), "[".repeat(DEPTH)]
}

/// A request that is refused with 400, in words that contain these.
async fn refused(rig: &Rig, method: &str, path: &str, body: &str, words: &str) {
    let (status, text) = Exchange::json(rig.node(), method, path, body).await.answer().await;
    let shown: String = body.chars().take(100).collect();
    let short: String = text.chars().take(600).collect();
    assert!(status == 400 && text.contains(words), "{method} {path} {shown}: {status} {short}");
    assert!(text.len() < 5_000, "{} bytes", text.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_documents_are_refused() {
    let rig = Rig::start(4, &[]).await;
    let bystanders = Bystanders::start(rig.node());
    let identity = r#"{"map":{"language":"javascript","source":"function(v,k,a){return [a,k]}"}}"#;
    for deep in deep() {
        let too_deep = "nested deeper than 100";
        for body in [
            deep.clone(),
            format!(r#"{{"inputs":{deep},"query":[{identity}]}}"#),
            format!(r#"{{"inputs":"{BUCKET}","query":{deep}}}"#),
            format!(r#"{{"inputs":"{BUCKET}","query":[{identity}],"timeout":{deep}}}"#),
            format!(r#"{{"inputs":"{BUCKET}","query":[{identity}],"more":{deep}}}"#),
            // As key data, as an argument of a map, a reduce, a built-in and a link.
            format!(r#"{{"inputs":[["{BUCKET}","k1",{deep}]],"query":[{identity}]}}"#),
            format!(
                r#"{{"inputs":"{BUCKET}","query":[{{"map":{{"language":"javascript","source":"function(v,k,a){{return [a]}}","arg":{deep}}}}}]}}"#
            ),
            format!(
                r#"{{"inputs":"{BUCKET}","query":[{{"reduce":{{"language":"javascript","name":"Riak.reduceSort","arg":{deep}}}}}]}}"#
            ),
            format!(
                r#"{{"inputs":"{BUCKET}","query":[{{"map":{{"language":"erlang","module":"riak_kv_mapreduce","function":"map_object_value","arg":{deep}}}}}]}}"#
            ),
            format!(r#"{{"inputs":"{BUCKET}","query":[{{"link":{{"bucket":{deep}}}}}]}}"#),
        ] {
            refused(&rig, "POST", "/mapred", &body, too_deep).await;
            refused(&rig, "POST", "/mapred?chunked=true", &body, too_deep).await;
        }
        for path in ["/buckets/b/props", "/riak/b", "/types/t/props", "/admin/bucket-types/t"] {
            refused(&rig, "PUT", path, &deep, "nested too deeply").await;
            for value in [deep.clone(), format!(r#"{{"n_val":{deep}}}"#)] {
                let body = format!(r#"{{"props":{value}}}"#);
                refused(&rig, "PUT", path, &body, "nested too deeply").await;
            }
        }
    }
    println!("{}", bystanders.end().await);
}

/// An object may hold what it likes; functions that look into it fail, naming it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_objects_fail_the_functions_that_read_them() {
    let rig = Rig::start(4, &[]).await;
    let bystanders = Bystanders::start(rig.node());
    let client = rig.client();
    let phase = |function: Value| {
        let mut phase = json!({"language": "javascript"});
        phase.as_object_mut().unwrap().extend(function.as_object().unwrap().clone());
        json!({ "map": phase })
    };
    for (number, deep) in deep().into_iter().enumerate() {
        let key = format!("o{number}");
        let place = Place::new("deep", &key);
        let object = NewObject {
            body: deep.clone().into(),
            content_type: "application/json".into(),
            ..NewObject::default()
        };
        client.put(&place, object).await.unwrap();
        assert_eq!(client.get(&place).await.unwrap().body, deep.as_bytes());
        for function in [
            json!({"name": "Riak.mapValuesJson"}),
            json!({"source": "function(v) { return [JSON.parse(v.values[0].data)]; }"}),
            json!({"source": "function(v) { return Riak.mapValuesJson(v); }"}),
        ] {
            let query = json!({"inputs": [["deep", key]], "query": [phase(function)]}).to_string();
            let (status, text) = Exchange::query(rig.node(), false, &query).await.answer().await;
            let failure: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(status, 500, "{text}");
            assert_eq!(failure["type"], "exception", "{text}");
            assert!(failure["error"].as_str().unwrap().contains("nested too deeply"), "{text}");
            assert_eq!(
                (&failure["bucket"], &failure["key"]),
                (&json!("deep"), &json!(key)),
                "{text}"
            );
        }
        // Who does not look inside gets it.
        let query =
            json!({"inputs": [["deep", key]], "query": [phase(json!({"name": "Riak.mapValues"}))]});
        let (status, text) =
            Exchange::query(rig.node(), false, &query.to_string()).await.answer().await;
        assert_eq!((status, text), (200, json!([deep]).to_string()));
    }
    println!("{}", bystanders.end().await);
}

/// Values that are nested as deeply as they may be pass every way there is between phases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_just_not_too_deep_pass() {
    let rig = Rig::start(4, &[]).await;
    let value = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    let make = |depth: usize, as_key_data: bool| {
        let item = if as_key_data { format!("['{BUCKET}', 'k1', a]") } else { "a".to_owned() };
        let source = format!(
            "function() {{ var a = []; for (var i = 1; i < {depth}; i++) a = [a]; return [{item}] }}"
        );
        json!({"map": {"language": "javascript", "source": source}})
    };
    let function =
        |kind: &str, source: &str| json!({ kind: {"language": "javascript", "source": source} });
    let named = |name: &str| json!({"reduce": {"language": "javascript", "name": name}});
    let erlang = |name: &str| json!({"reduce": {"language": "erlang", "module": "riak_kv_mapreduce", "function": name}});
    for (phases, answer) in [
        (vec![make(999, false)], format!("[{}]", value(999))),
        (
            vec![make(900, true), function("map", "function(v, k) { return [k] }")],
            format!("[{}]", value(900)),
        ),
        (
            vec![make(900, false), function("reduce", "function(vs) { return vs }")],
            format!("[{}]", value(900)),
        ),
        (vec![make(900, false), named("Riak.reduceSort")], format!("[{}]", value(900))),
        (vec![make(900, false), named("Riak.filterNotFound")], format!("[{}]", value(900))),
        (vec![make(900, false), erlang("reduce_sort")], format!("[{}]", value(900))),
        (vec![make(900, false), erlang("reduce_count_inputs")], "[1]".to_owned()),
    ] {
        let query = json!({"inputs": [[BUCKET, "k1"]], "query": phases});
        let (status, text) =
            Exchange::query(rig.node(), false, &query.to_string()).await.answer().await;
        assert_eq!((status, text), (200, answer), "{query}");
    }
}
