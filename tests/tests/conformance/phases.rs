//! Phases as JSON text.

use serde_json::json;

/// A map phase of a JavaScript source.
pub(crate) fn map_js(source: &str) -> String {
    map_js_with(source, "")
}

/// As [`map_js`], with more members.
pub(crate) fn map_js_with(source: &str, members: &str) -> String {
    js("map", source, members)
}

/// A reduce phase of a JavaScript source.
pub(crate) fn reduce_js(source: &str) -> String {
    reduce_js_with(source, "")
}

pub(crate) fn reduce_js_with(source: &str, members: &str) -> String {
    js("reduce", source, members)
}

fn js(kind: &str, source: &str, members: &str) -> String {
    let source = json!(source);
    phase(kind, &format!(r#""language":"javascript","source":{source}"#), members)
}

/// A map phase of a JavaScript function that is named.
pub(crate) fn map_named(name: &str) -> String {
    map_named_with(name, "")
}

pub(crate) fn map_named_with(name: &str, members: &str) -> String {
    phase("map", &format!(r#""language":"javascript","name":"{name}""#), members)
}

/// A reduce phase of a JavaScript function that is named.
pub(crate) fn reduce_named(name: &str) -> String {
    reduce_named_with(name, "")
}

pub(crate) fn reduce_named_with(name: &str, members: &str) -> String {
    phase("reduce", &format!(r#""language":"javascript","name":"{name}""#), members)
}

/// A map phase of a built-in with an Erlang name.
pub(crate) fn map_erl(function: &str) -> String {
    map_erl_with(function, "")
}

pub(crate) fn map_erl_with(function: &str, members: &str) -> String {
    erl("map", function, members)
}

/// A reduce phase of a built-in with an Erlang name.
pub(crate) fn reduce_erl(function: &str) -> String {
    reduce_erl_with(function, "")
}

pub(crate) fn reduce_erl_with(function: &str, members: &str) -> String {
    erl("reduce", function, members)
}

fn erl(kind: &str, function: &str, members: &str) -> String {
    let named =
        format!(r#""language":"erlang","module":"riak_kv_mapreduce","function":"{function}""#);
    phase(kind, &named, members)
}

/// A link phase.
pub(crate) fn link(members: &str) -> String {
    format!(r#"{{"link":{{{members}}}}}"#)
}

fn phase(kind: &str, function: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"{kind}":{{{function}{comma}{members}}}}}"#)
}

/// A map phase that gives each element of a JSON array as a result, in order, for every input.
pub(crate) fn emit(array: &str) -> String {
    map_js(&format!("function(v) {{ return {array}; }}"))
}
