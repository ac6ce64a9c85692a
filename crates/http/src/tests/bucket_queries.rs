//! OpenRiak's queries of a bucket (facts R317 to R328).

use mapring_types::Error;

use super::Fixture;
use super::wire::{Client, Response};

const JSON: &[&str] = &["Content-Type: application/json"];

async fn objects(client: &mut Client) {
    for (key, terms) in [
        ("k1", "SMITH|19861216|LS1, smith"),
        ("k2", "SMITH|19700101|LS2"),
        ("k3", "SMITH|19861216|BD1"),
        ("k4", "JONES|19500505|LS1"),
    ] {
        let line = format!("x-riak-index-who_bin: {terms}");
        let lines = ["Content-Type: text/plain", &line];
        let path = format!("/buckets/p/keys/{key}");
        assert_eq!(client.request("PUT", &path, &lines, b"x").await.status, 204);
    }
}

async fn ask(client: &mut Client, members: &str, of_query: &str) -> Response {
    let range = r#""index_name":"who_bin","start_term":"A","end_term":"z""#;
    let body = format!("{{{members}\"query_list\":[{{{range}{of_query}}}]}}");
    client.request("POST", "/buckets/p/query", JSON, body.as_bytes()).await
}

const SMITHS: &str = r#","evaluation_expression":"delim($term, \"|\", ($n, $dob, $p))",
    "filter_expression":"$n = \"SMITH\" AND $dob > :from""#;

#[tokio::test]
async fn hits_are_accumulated() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    let from = r#""substitutions":[{"from":"1980"}],"#;
    for (members, of_query, expect) in [
        ("", "", r#"{"keys":["k1","k2","k3","k4"]}"#),
        (r#""accumulation_option":"raw_count","#, "", r#"{"raw_count":5}"#),
        (r#""accumulation_option":"count","#, "", r#"{"count":4}"#),
        (
            r#""accumulation_option":"raw_keys","#,
            r#","regular_expression":"^(?i)smith""#,
            r#"{"raw_keys":["k2","k3","k1","k1"]}"#,
        ),
        (
            r#""accumulation_option":"terms","#,
            r#","regular_expression":"^smith""#,
            r#"{"terms":[{"smith":"k1"}]}"#,
        ),
        (from, SMITHS, r#"{"keys":["k1","k3"]}"#),
        (
            r#""accumulation_option":"raw_terms","accumulation_term":"$p","substitutions":{"from":"1"},"#,
            SMITHS,
            r#"{"raw_terms":[{"LS2":"k2"},{"BD1":"k3"},{"LS1":"k1"}]}"#,
        ),
        (
            r#""accumulation_option":"term_with_count","accumulation_term":"dob","substitutions":{"from":"1"},"#,
            SMITHS,
            r#"{"term_with_count":{"19700101":1,"19861216":2}}"#,
        ),
        (
            r#""accumulation_option":"term_with_rawcount","accumulation_term":"$none","substitutions":{"from":"1"},"#,
            SMITHS,
            r#"{"term_with_rawcount":{}}"#,
        ),
    ] {
        let response = ask(&mut client, members, of_query).await;
        assert_eq!((response.status, response.text().as_str()), (200, expect), "{members}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("x-riak-continuation"), None);
    }
}

#[tokio::test]
async fn pages_go_on_behind_the_last_hit() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    let (mut after, mut pages) = (String::new(), Vec::new());
    loop {
        let members = format!(r#""accumulation_option":"raw_keys","max_results":2,{after}"#);
        let response = ask(&mut client, &members, "").await;
        pages.push(response.text());
        let Some(token) = response.header("x-riak-continuation") else { break };
        after = format!("\"continuation\":\"{token}\",");
    }
    let expect =
        [r#"{"raw_keys":["k4","k2"]}"#, r#"{"raw_keys":["k3","k1"]}"#, r#"{"raw_keys":["k1"]}"#];
    assert_eq!(pages, expect);
}

#[tokio::test]
async fn keys_of_several_queries_are_combined() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    objects(&mut client).await;
    let body = br#"{"aggregationExpression":"$1 SUBTRACT $2","queryList":[
        {"aggregationTag":"1","indexName":"who_bin","startTerm":"A","endTerm":"Z"},
        {"aggregation_tag":2,"index_name":"who_bin","start_term":"s","end_term":"t"}]}"#;
    let response = client.request("POST", "/types/default/buckets/p/query", JSON, body).await;
    assert_eq!((response.status, response.text().as_str()), (200, r#"{"keys":["k2","k3","k4"]}"#));
}

#[tokio::test]
async fn mistakes_and_failures_are_json() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let response = ask(&mut client, "\"x\":1,", "").await;
    let expect = r#"{"error":"Unexpected keys in request [<<\"x\">>]"}"#;
    assert_eq!((response.status, response.text().as_str()), (400, expect));
    assert_eq!(response.header("content-type"), Some("application/json"));
    *fixture.store.failure.lock() = Some(Error::timeout("slow"));
    let response = ask(&mut client, "", "").await;
    assert_eq!((response.status, response.text().as_str()), (503, r#"{"error":"timeout"}"#));
    *fixture.store.failure.lock() = Some(Error::internal("odd"));
    let response = ask(&mut client, "", "").await;
    let expect = r#"{"error":"Query with option keys failed - odd"}"#;
    assert_eq!((response.status, response.text().as_str()), (500, expect));
    let response = client.get("/buckets/p/query").await;
    assert_eq!(response.status, 400);
    let response = client.get("/buckets/p/query?result_queue=x").await;
    assert_eq!(response.status, 501);
    let body = br#"{"query_list":[{"index_name":"a_bin","start_term":"a","end_term":"b"}]}"#;
    let response = client.request("POST", "/types/nope/buckets/p/query", JSON, body).await;
    assert_eq!(response.status, 404);
}
