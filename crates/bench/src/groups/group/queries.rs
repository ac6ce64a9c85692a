//! What is asked, and what is aimed at.

use crate::groups::javascript::quoted;

pub(super) const GROUP: &str = "group";

/// What was aimed at: times the map phase alone, …
pub(super) const OF_MAP: f64 = 1.25;

/// … and for three nodes on one machine times the processor time of one.
pub(super) const OF_ONE_NODE: f64 = 1.3;

/// A query of pairs that a JavaScript map emits, which are added up by key.
pub(super) fn sum_by_key(inputs: &str, map: &str) -> String {
    sum_of(inputs, &format!(r#""source":{}"#, quoted(map)))
}

/// The same of pairs that a map with these members gives.
pub(super) fn sum_of(inputs: &str, map: &str) -> String {
    let sum = r#""language":"javascript","name":"Job.sum""#;
    format!(
        r#"{{"inputs":{inputs},"timeout":600000,"query":[{{"map":{{"language":"javascript",{map}}}}},{{"reduce":{{{sum},"group":true,"combine":{{{sum}}}}}}}]}}"#
    )
}

/// The same map, whose pairs nobody wants.
pub(super) fn map_alone(inputs: &str, map: &str) -> String {
    format!(
        r#"{{"inputs":{inputs},"timeout":600000,"query":[{{"map":{{"language":"javascript","source":{},"keep":false}}}}]}}"#,
        quoted(map)
    )
}
