//! Which properties nothing acts on.

use serde_json::Value;

use super::OTHER;
use super::hook::Hook;

/// What becomes of a property on which nothing acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheeded {
    /// Whoever sets it relies on it: it is refused, for this reason.
    Refused(&'static str),
    /// It is stored and shown.
    Stored,
}

/// Whether nothing acts on a property with this value, which has passed [`check`](super::check). Values
/// that say no more than what is so anyway are heeded: clients write back all the properties that they
/// have read, here or from Riak.
pub fn unheeded(name: &str, value: &Value) -> Option<Unheeded> {
    let refused = |why| Some(Unheeded::Refused(why));
    match (name, value) {
        ("n_val" | "allow_mult" | "last_write_wins" | "basic_quorum" | "notfound_ok", _)
        | ("r" | "w" | "dw" | "rw" | "pr" | "pw" | "node_confirms" | "sync_on_write", _)
        // Values always carry what tells siblings apart.
        | ("dvv_enabled" | "claimant" | "active", _)
        | ("search" | "consistent" | "repl" | "write_once", Value::Bool(false)) => None,
        ("search_index", Value::String(none)) if none == "_dont_index_" => None,
        // What is none of them is refused where a bucket type is created.
        ("datatype" | "hll_precision", _) => None,
        _ if OTHER.get(name) == Some(value) => None,
        ("precommit" | "postcommit", Value::Array(hooks)) => {
            let erlang = hooks.iter().any(|hook| Hook::read(hook).is_none());
            if erlang { refused("hooks in Erlang are not run here") } else { None }
        }
        ("consistent", _) => refused("strong consistency is not offered"),
        _ => Some(Unheeded::Stored),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::BucketProps;
    use super::*;

    #[test]
    fn what_nobody_acts_on_is_known() {
        let unheeded = |name: &str, value: Value| unheeded(name, &value);
        for props in [BucketProps::default(), BucketProps::typed()] {
            for (name, value) in props.to_json("b").into_iter().filter(|(name, _)| name != "name") {
                assert_eq!(unheeded(&name, value), None, "{name} written back");
            }
        }
        let hook = json!([{"name": "f"}, {"mod": "m", "fun": "f"}]);
        for (name, value) in
            [("precommit", hook.clone()), ("postcommit", hook), ("consistent", json!(true))]
        {
            assert!(matches!(unheeded(name, value), Some(Unheeded::Refused(_))), "{name}");
        }
        for (name, value) in
            [("backend", json!("x")), ("big_vclock", json!(10)), ("zork", json!(1))]
        {
            assert_eq!(unheeded(name, value), Some(Unheeded::Stored), "{name}");
        }
        for (name, value) in [
            ("precommit", json!([{"name": "f"}])),
            ("sync_on_write", json!("all")),
            ("node_confirms", json!(2)),
        ] {
            assert_eq!(unheeded(name, value), None, "{name}");
        }
    }
}
