//! OpenRiak's queries of a bucket, and its folds.

use crate::case::{Case, Need, Topic};
use crate::check::Check;
use crate::wire::Request;

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("bucket_queries");
    queries(&mut t);
    refusals(&mut t);
    folds(&mut t);
    t.cases
}

fn ask<'t>(t: &'t mut Topic, members: &str, of_query: &str) -> &'t mut Case {
    let range = r#""index_name":"a_bin","start_term":"a","end_term":"z""#;
    let body = format!("{{{members}\"query_list\":[{{{range}{of_query}}}]}}");
    let request = Request::new("POST", "/buckets/mrc_i/query").body("application/json", body);
    t.ask(&format!("{members} {of_query}"), request).needs(Need::Indexes).own()
}

fn queries(t: &mut Topic) {
    t.fact(320);
    ask(t, "", "").body(r#"{"keys":["o1","o2","o3","over"]}"#);
    let option = |word: &str| format!("\"accumulation_option\":\"{word}\",");
    ask(t, &option("raw_keys"), "").body(r#"{"raw_keys":["o2","o3","over","o1","o2"]}"#);
    ask(t, &option("count"), "").body(r#"{"count":4}"#);
    ask(t, &option("raw_count"), "").body(r#"{"raw_count":5}"#);
    ask(t, &option("term_with_count"), "")
        .body(r#"{"term_with_count":{"blue":1,"green":1,"new":1,"red":2}}"#);
    ask(t, &option("terms"), r#","regular_expression":"^b""#).body(r#"{"terms":[{"blue":"o2"}]}"#);
    t.fact(325);
    let steps = r#","evaluation_expression":"index($term, 0, 1, $first)","#;
    let filter = r#""filter_expression":"$first IN (\"b\", \"g\")""#;
    ask(t, "", &format!("{steps}{filter}")).body(r#"{"keys":["o2","o3"]}"#);
    t.fact(321);
    let members = option("raw_terms") + r#""accumulation_term":"$first","#;
    ask(t, &members, &format!("{steps}{filter}")).body(r#"{"raw_terms":[{"b":"o2"},{"g":"o3"}]}"#);
    t.fact(322);
    ask(t, &(option("raw_keys") + "\"max_results\":2,"), "")
        .body(r#"{"raw_keys":["o2","o3"]}"#)
        .check(Check::HeaderStarts("X-Riak-Continuation", "g2gC".into()));
    t.fact(327);
    let body = r#"{"aggregation_expression":"$1 INTERSECT $2","query_list":[
        {"aggregation_tag":1,"index_name":"a_bin","start_term":"blue","end_term":"blue"},
        {"aggregation_tag":2,"index_name":"a_bin","start_term":"red","end_term":"red"}]}"#;
    t.ask("both", Request::new("POST", "/buckets/mrc_i/query").body("application/json", body))
        .needs(Need::Indexes)
        .own()
        .body(r#"{"keys":["o2"]}"#);
}

fn refusals(t: &mut Topic) {
    t.fact(318);
    ask(t, "\"x\":1,", "").status(400).at("/error", r#""Unexpected keys in request [<<\"x\">>]""#);
    t.fact(323);
    ask(t, "\"accumulation_option\":\"x\",", "").status(400).check(Check::WordsAt(
        "/error",
        "Validation failure at stage accumulation_option due to Unrecognised option".into(),
    ));
    ask(t, "\"accumulation_option\":\"queue_raw_keys\",", "").status(501);
}

fn folds(t: &mut Topic) {
    for (fact, path, expect) in [
        (332, "/siblings/buckets/mrc_sib/counts/1", r#"{"key":"two","value":2}"#),
        (329, "/objectstats/buckets/mrc_i", r#"{"total_count":8,"total_size":"#),
        (
            333,
            "/rangetrees/buckets/mrc_sib/keysclocks",
            r#"{"bucket":"mrc_sib","key":"two","clock":""#,
        ),
        (334, "/erase/buckets/mrc_i", r#"{"dispatched_count":8}"#),
        (335, "/aaebucketlist", r#"{"bucket":"mrc_i"}"#),
    ] {
        t.fact(fact);
        t.ask(path, Request::new("GET", path)).own().ok().check(Check::Text(expect.into()));
    }
    t.fact(334);
    for path in ["/erase/buckets/mrc_n", "/reap/buckets/mrc_n", "/rangerepair/buckets/mrc_n"] {
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "http://pages.example"),
            ("Origin", "null"),
            ("Referer", "http://pages.example/"),
        ] {
            t.ask(&format!("{path} for a page with {name}: {value}"), Request::new("GET", path))
                .header(name, value)
                .own()
                .status(403);
        }
        for site in ["same-origin", "none"] {
            t.ask(&format!("{path} for a page with {site}"), Request::new("GET", path))
                .header("Sec-Fetch-Site", site)
                .own()
                .ok();
        }
    }
    t.fact(336);
    t.ask("no trees", Request::new("GET", "/cachedtrees/nvals/3/root")).own().status(501);
}
