//! Indexes by URL (facts R305 to R316).

use mapring_types::Error;
use serde_json::{Value, json};

use super::Fixture;
use super::wire::Client;

async fn objects(client: &mut Client) {
    for (key, terms) in [
        ("o1", "x-riak-index-a_bin: red\nx-riak-index-n_int: 1"),
        ("o2", "x-riak-index-a_bin: red, blue\nx-riak-index-n_int: 2"),
        ("o3", "x-riak-index-a_bin: green\nx-riak-index-n_int: 10"),
        ("o4", "x-riak-index-n_int: -3"),
        ("o5", "x-riak-index-n_int: 301"),
    ] {
        let mut lines = vec!["Content-Type: text/plain"];
        lines.extend(terms.split('\n'));
        let path = format!("/buckets/i/keys/{key}");
        assert_eq!(client.request("PUT", &path, &lines, b"x").await.status, 204);
    }
}

#[tokio::test]
async fn entries_are_found_in_their_order() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    for (path, expect) in [
        ("a_bin/red", r#"{"keys":["o1","o2"]}"#),
        ("A_BIN/red?return_terms=true", r#"{"keys":["o1","o2"]}"#),
        ("a_bin/blue/red", r#"{"keys":["o2","o3","o1","o2"]}"#),
        (
            "a_bin/blue/red?return_terms=true",
            r#"{"results":[{"blue":"o2"},{"green":"o3"},{"red":"o1"},{"red":"o2"}]}"#,
        ),
        ("a_bin/red/blue", r#"{"keys":[]}"#),
        ("a_bin/none", r#"{"keys":[]}"#),
        ("a_bin/blue/red?term_regex=%5E.e", r#"{"keys":["o1","o2"]}"#),
        (
            "n_int/-5/10?return_terms=true",
            r#"{"results":[{"-3":"o4"},{"1":"o1"},{"2":"o2"},{"10":"o3"}]}"#,
        ),
        ("n_int/1", r#"{"keys":["o1"]}"#),
        ("$key/o2/o4", r#"{"keys":["o2","o3","o4"]}"#),
        ("$key/o2", r#"{"keys":["o2"]}"#),
        ("%24key/o2/o4?return_terms=true&term_regex=3", r#"{"keys":["o3"]}"#),
        ("$bucket/_", r#"{"keys":["o1","o2","o3","o4","o5"]}"#),
        ("$bucket/_?max_results=2", r#"{"keys":["o1","o2"],"continuation":"g20AAAACbzI="}"#),
        ("$bucket/_?max_results=2&continuation=g20AAAACbzQ%3D", r#"{"keys":["o5"]}"#),
        ("$bucket/_?continuation=g20AAAACbzQ=", r#"{"keys":["o5"]}"#),
        ("a_bin/red?max_results=1", r#"{"keys":["o1"],"continuation":"g20AAAACbzE="}"#),
        ("a_bin/red?continuation=g20AAAACbzE=", r#"{"keys":["o2"]}"#),
        (
            "n_int/2/400?max_results=3",
            r#"{"keys":["o2","o3","o5"],"continuation":"g2gCYgAAAS1tAAAAAm81"}"#,
        ),
        ("n_int/2/400?max_results=3&continuation=g2gCYgAAAS1tAAAAAm81", r#"{"keys":[]}"#),
        ("n_int/2/400?max_results=4&pagination_sort=false", r#"{"keys":["o2","o3","o5"]}"#),
    ] {
        let response = client.get(&format!("/buckets/i/index/{path}")).await;
        assert_eq!((response.status, response.text().as_str()), (200, expect), "{path}");
        assert_eq!(response.header("content-type"), Some("application/json"), "{path}");
    }
    let typed = client.get("/types/default/buckets/i/index/a_bin/red").await;
    assert_eq!(typed.text(), r#"{"keys":["o1","o2"]}"#);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    let (mut after, mut found) = (String::new(), Vec::new());
    loop {
        let path = format!("/buckets/i/index/a_bin/a/z?return_terms=true&max_results=1{after}");
        let page: Value = serde_json::from_slice(&client.get(&path).await.body).unwrap();
        found.extend(page["results"].as_array().unwrap().iter().cloned());
        let Some(token) = page["continuation"].as_str() else { break };
        after = format!("&continuation={}", token.replace('+', "%2B").replace('=', "%3D"));
    }
    let expect = json!([{"blue": "o2"}, {"green": "o3"}, {"red": "o1"}, {"red": "o2"}]);
    assert_eq!(Value::Array(found), expect);
}

#[tokio::test]
async fn streams_are_parts_and_tell_of_the_next_page_and_of_failures() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    let path = "/buckets/i/index/$bucket/_?stream=true&max_results=3";
    let response = client.get(path).await;
    let content_type = response.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/mixed;boundary=").unwrap();
    let part = format!("\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n");
    let expect = format!(
        "{part}{{\"keys\":[\"o1\",\"o2\"]}}{part}{{\"keys\":[\"o3\"]}}\
         {part}{{\"continuation\":\"g20AAAACbzM=\"}}\r\n--{boundary}--\r\n"
    );
    assert_eq!(response.text(), expect);
    *fixture.store.failure.lock() = Some(Error::timeout("slow"));
    let text = client.get("/buckets/i/index/a_bin/green?stream=true").await.text();
    assert!(text.contains("{\"keys\":[\"o3\"]}"), "{text}");
    assert!(text.contains("\r\n\r\n{\"error\":\"timeout\"}\r\n--"), "{text}");
}

#[tokio::test]
async fn the_first_mistake_in_riaks_order_is_told() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    for (path, status, text) in [
        (
            "n_int/x?pagination_sort=1&return_terms=2",
            400,
            "Invalid \"pagination_sort\". \"1\" is not a boolean",
        ),
        (
            "n_int/1?return_terms=x&term_regex=.",
            400,
            "Invalid \"return_terms\". \"x\" is not a boolean",
        ),
        (
            "n_int/1?term_regex=.&max_results=x",
            400,
            "Can not use term regular expressions on integer queries",
        ),
        (
            "x/1?term_regex=(&max_results=x",
            400,
            "Invalid term regular expression \"(\" : {\"missing )\",1}",
        ),
        ("x/1?max_results=x", 400, "Invalid query: {unknown_field_type,<<\"x\">>}\n"),
        (
            "f_int/x?max_results=x",
            400,
            "Invalid query: {field_parsing_failed,{<<\"f_int\">>,<<\"x\">>}}\n",
        ),
        (
            "f_int/1?max_results=x&timeout=y",
            400,
            "Invalid \"max_results\". \"x\" is not a positive integer",
        ),
        ("f_int/1?timeout=-1", 400, "Bad timeout value -1. Must be a non-negative integer\n"),
        (
            "f_int/1?continuation=x",
            400,
            "Invalid query: the continuation is not one of this query\n",
        ),
        ("f_bin/1/2/3", 400, "Invalid query: a field has one value, or a start and an end\n"),
    ] {
        let response = client.get(&format!("/buckets/i/index/{path}")).await;
        assert_eq!((response.status, response.text().as_str()), (status, text), "{path}");
        assert_eq!(response.header("content-type"), Some("text/plain"));
    }
    let unknown = client.get("/types/nope/buckets/i/index/a_bin/1").await;
    assert_eq!((unknown.status, unknown.text().as_str()), (404, "Unknown bucket type: nope"));
    let lines = &["Accept: text/plain"];
    let refused = client.request("GET", "/buckets/i/index/a_bin/1", lines, b"").await;
    assert_eq!(refused.status, 406);
    assert_eq!(client.request("POST", "/buckets/i/index/a_bin/1", &[], b"").await.status, 405);
    *fixture.store.failure.lock() = Some(Error::timeout("slow"));
    let late = client.get("/buckets/i/index/a_bin/1?timeout=1").await;
    assert_eq!((late.status, late.text().as_str()), (503, "request timed out\n"));
}
