//! Queries that are none: the texts of refusals.

use serde_json::json;

use crate::case::{Case, Topic};
use crate::check::Check;
use crate::phases::{map_erl, map_js, reduce_erl};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("grammar");
    t.fact(39);
    bodies(&mut t);
    inputs(&mut t);
    phases(&mut t);
    functions(&mut t);
    links_and_keeps(&mut t);
    unknown_functions(&mut t);
    ignored(&mut t);
    t.cases
}

fn bodies(t: &mut Topic) {
    let exactly = |text: &str| Check::Body(text.to_owned());
    for body in ["{}", r#"{"inputs":"b"}"#, r#"{"query":[]}"#, r#"{"Inputs":"b","Query":[]}"#] {
        t.post(&format!("fields are missing: {body}"), body)
            .refused(&[])
            .check(exactly("The post body was missing the \"inputs\" or \"query\" field.\n"));
    }
    for body in ["[]", "7", "\"inputs\"", "null", "[{\"inputs\":\"b\",\"query\":[]}]"] {
        t.post(&format!("no object: {body}"), body)
            .refused(&[])
            .check(exactly("The POST body was not a JSON object.\n"));
    }
    let invalid = "The POST body was not valid JSON.\nThe error from the parser was:\n";
    for body in [
        "{",
        "{\"inputs\":\"b\",\"query\":[]} x",
        "{\"inputs\":\"b\",\"query\":[]",
        "{'inputs':'b','query':[]}",
        "inputs",
        "{\"inputs\":\"b\",\"query\":nil}",
        "{\"inputs\":\"b",
    ] {
        t.post(&format!("no JSON: {body}"), body).refused(&[invalid]);
    }
}

fn inputs(t: &mut Topic) {
    let field = "An error occurred parsing the \"inputs\" field.\n";
    let body = |inputs: &str| format!(r#"{{"inputs":{inputs},"query":[]}}"#);
    t.post("no inputs", body("[]")).refused(&[field, "No inputs were given."]);
    for inputs in [
        "7",
        "null",
        "true",
        "{}",
        r#"[["mrc_n"]]"#,
        r#"[["mrc_n",1]]"#,
        r#"[[1,"n1"]]"#,
        r#"[["mrc_n","n1"],7]"#,
        r#"[["mrc_n","n1"],"mrc_n"]"#,
        r#"[["mrc_n","n1",1,null]]"#,
        r#"[["mrc_n","n1",1,2]]"#,
        r#"[["mrc_n","n1",1,"t",5]]"#,
        r#"[{"bucket":"mrc_n"}]"#,
        r#"{"index":"a_bin","key":"x"}"#,
        r#"{"bucket":"mrc_i","index":"a_bin"}"#,
        r#"{"bucket":"mrc_i","index":"a_bin","start":"a"}"#,
        r#"{"bucket":"mrc_i","index":"a_bin","end":"a"}"#,
    ] {
        t.post(&format!("inputs that are none: {inputs}"), body(inputs))
            .refused(&[field, "Unrecognized format of "]);
    }
    t.post("inputs that are none: a bucket as an object", body(r#"{"bucket":"mrc_n"}"#))
        .refused(&[field, "Unrecognized format of "])
        .riak_only("a bucket as an object is one, whose parts more members choose");
    t.fact(43);
    t.post("no filters", body(r#"{"bucket":"mrc_f","key_filters":[]}"#)).refused(&[field]);
    t.fact(39);
    t.post("an index of no type", body(r#"{"bucket":"mrc_i","index":"foo","key":"x"}"#))
        .refused(&[field, "unknown_field_type", "foo"]);
    let range = r#"{"bucket":"mrc_i","index":"foo","start":"x","end":"y"}"#;
    t.post("a range of an index of no type", body(range)).refused(&[
        field,
        "unknown_field_type",
        "foo",
    ]);
    t.post("a word in an integer index", body(r#"{"bucket":"mrc_i","index":"n_int","key":"x"}"#))
        .refused(&[field, "field_parsing_failed", "n_int", "x"]);
    let range = r#"{"bucket":"mrc_i","index":"n_int","start":1,"end":"x"}"#;
    t.post("a word in an integer range", body(range)).refused(&[
        field,
        "field_parsing_failed",
        "n_int",
        "x",
    ]);
}

fn refused(t: &mut Topic, query: &str, words: &[&str]) {
    let body = format!(r#"{{"inputs":"mrc_n","query":{query}}}"#);
    let case = t.post(&format!("refused: {query}"), body);
    case.refused(&["An error occurred parsing the \"query\" field.\n"]);
    for words in words {
        case.check(Check::Text((*words).into()));
    }
}

fn phases(t: &mut Topic) {
    for query in ["7", "null", "\"map\"", "{}", r#"{"map":{}}"#] {
        refused(t, query, &["field was not a list:"]);
    }
    for query in [
        "[7]",
        "[[]]",
        "[{}]",
        "[null]",
        "[\"map\"]",
        r#"[{"filter":{}}]"#,
        r#"[{"map":7}]"#,
        r#"[{"link":"x"}]"#,
        r#"[{"map":{"language":"erlang"},"reduce":{"language":"erlang"}}]"#,
    ] {
        refused(t, query, &["Unrecognized format of query phase:"]);
    }
    refused(t, r#"[{"map":{}}]"#, &["No ", "language", " was specified for the phase:"]);
    refused(t, r#"[{"reduce":{"name":"Riak.reduceSum"}}]"#, &[" was specified for the phase:"]);
    for language in ["\"ruby\"", "\"Javascript\"", "\"\""] {
        let query = format!(r#"[{{"map":{{"language":{language},"source":"x"}}}}]"#);
        refused(t, &query, &["Unknown language ", " in phase:"]);
    }
    let second = format!(r#"[{},{{"reduce":{{"language":"zz"}}}}]"#, map_erl("map_object_value"));
    refused(t, &second, &["Unknown language ", "zz", " in phase:"]);
}

fn functions(t: &mut Topic) {
    let javascript = "No function specified in Javascript phase:";
    let erlang = "No function specified in Erlang phase:";
    refused(t, r#"[{"map":{"language":"javascript"}}]"#, &[javascript]);
    refused(t, r#"[{"reduce":{"language":"javascript","arg":1}}]"#, &[javascript]);
    refused(t, r#"[{"map":{"language":"javascript","key":"k"}}]"#, &[javascript]);
    refused(
        t,
        r#"[{"map":{"language":"javascript","bucket":"b"}}]"#,
        &["Javascript phase was missing a ", " field to match the "],
    );
    refused(t, r#"[{"map":{"language":"erlang"}}]"#, &[erlang]);
    refused(t, r#"[{"map":{"language":"erlang","module":"riak_kv_mapreduce"}}]"#, &[erlang]);
    refused(t, r#"[{"reduce":{"language":"erlang","function":"reduce_sum"}}]"#, &[erlang]);
}

fn links_and_keeps(t: &mut Topic) {
    for link in [r#"{"tag":5}"#, r#"{"bucket":null}"#, r#"{"bucket":["a"]}"#] {
        let words = ["Invalid link step specification:", " fields must have string values."];
        refused(t, &format!(r#"[{{"link":{link}}}]"#), &words);
    }
    for keep in ["\"yes\"", "1", "null", "[]", "\"true\""] {
        let map = map_erl("map_object_value")
            .replace("\"module\"", &format!("\"keep\":{keep},\"module\""));
        refused(t, &format!("[{map}]"), &[" field was not a boolean value in:"]);
        let link = format!(r#"[{{"link":{{"keep":{keep}}}}}]"#);
        refused(t, &link, &[" field was not a boolean value in:"]);
    }
}

/// Functions that are not there: 400, but in JSON.
fn unknown_functions(t: &mut Topic) {
    let map = map_erl("map_object_value");
    let zork = json!({"language": "erlang", "module": "nosuchmodule", "function": "zork"});
    for (name, phases, phase, word) in [
        ("a map function", vec![map_erl("zork")], 0, "zork"),
        ("a reduce function", vec![reduce_erl("zork")], 0, "zork"),
        ("a function of a later phase", vec![map.clone(), reduce_erl("zork")], 1, "zork"),
        ("a module", vec![json!({"map": zork}).to_string()], 0, "nosuchmodule"),
        ("a reduce function in a map", vec![map_erl("reduce_sum")], 0, "reduce_sum"),
        ("a map function in a reduce", vec![reduce_erl("map_identity")], 0, "map_identity"),
    ] {
        let failure = Check::Failure { phase: Some(phase), words: vec![word.into()] };
        t.query(&format!("no such thing: {name}"), r#"[["mrc_n","n1"]]"#, &phases)
            .status(400)
            .check(Check::Header("Content-Type", "application/json".into()))
            .check(failure);
    }
    t.fact(73);
    let source = "fun(V, _, _) -> [riak_object:get_value(V)] end.";
    let given = json!({"map": {"language": "erlang", "source": source}}).to_string();
    t.query("a source in Erlang", r#"[["mrc_n","n1"]]"#, &[given])
        .status(500)
        .check(Check::Text("worker_startup_failed".into()));
    let stored = json!({"map": {"language": "erlang", "bucket": "mrc_src", "key": "map"}});
    t.query("a stored source in Erlang", r#"[["mrc_n","n1"]]"#, &[stored.to_string()])
        .status(500)
        .check(Check::Text("worker_startup_failed".into()));
}

fn ignored(t: &mut Topic) {
    t.fact(38);
    let map = map_erl("map_object_value");
    t.query("unknown fields of the query", r#"[["mrc_n","n1"]]"#, &[map.clone()])
        .with(r#""zork":{"a":[1]},"Timeout":1"#)
        .body(r#"["1"]"#);
    let with = map.replace("\"module\"", "\"zork\":[1],\"module\"");
    t.query("unknown fields of a phase", r#"[["mrc_n","n1"]]"#, &[with]).body(r#"["1"]"#);
    t.post(
        "spaces and line ends around everything",
        format!("\r\n {{ \"inputs\" : [ [ \"mrc_n\" , \"n1\" ] ] ,\t\"query\":[ {map} ] }} \n"),
    )
    .body(r#"["1"]"#);
    t.fact(74);
    let map = map_js("function(v) { return [1]; }").replace("return", "\n\treturn");
    t.query("line ends within a source", r#"[["mrc_n","n1"]]"#, &[map]).body("[1]");
}
