//! The queries that several groups run, and the row of a time.

use crate::outcome::Outcome;
use crate::report::Row;

/// A query with native functions that hands every object on and counts them.
pub(super) fn count_query(bucket: &str) -> String {
    count_of(&format!("\"{bucket}\""))
}

/// The same of the inputs that this JSON names.
pub(super) fn count_of(inputs: &str) -> String {
    let (map, reduce) = (native_map(), native("reduce", "reduce_count_inputs"));
    format!(r#"{{"inputs":{inputs},"timeout":600000,"query":[{map},{reduce}]}}"#)
}

/// A map phase that hands every object on.
pub(super) fn native_map() -> String {
    native("map", "map_object_value")
}

fn native(kind: &str, function: &str) -> String {
    format!(
        r#"{{"{kind}":{{"language":"erlang","module":"riak_kv_mapreduce","function":"{function}"}}}}"#
    )
}

/// A query of a JavaScript map and the sum of its results.
pub(super) fn sum_query(bucket: &str, map: &str) -> String {
    format!(
        r#"{{"inputs":"{bucket}","timeout":600000,"query":[{{"map":{{"language":"javascript",{map}}}}},{{"reduce":{{"language":"javascript","name":"Riak.reduceSum"}}}}]}}"#
    )
}

/// Runs a query once and holds its answer against what it must be.
pub(super) async fn check(client: &mapring_client::Client, query: &str, expected: &str) -> Outcome {
    let answer = client.mapred(query.to_owned()).await?;
    if answer != expected.as_bytes() {
        let answer = String::from_utf8_lossy(&answer);
        let answer: String = answer.chars().take(200).collect();
        return Err(format!("a query answered {answer} instead of {expected}").into());
    }
    Ok(())
}

/// A row of a figure that cannot be told from the rest of a name.
pub(super) fn seconds_row(group: &str, what: &str, millis: f64) -> Row {
    Row::new(group, what, millis, "ms")
}
