//! Which Erlang-named built-ins there are: a query that names another, or a key filter that does not
//! exist, is refused before it runs.

use mapring_script::Function;
use mapring_script::native::{self, Kind};

use crate::failure::Rejection;
use crate::grammar::{Callee, Inputs, PhaseKind, Query};

/// Refuses queries that name an Erlang function or a key filter that is not there.
///
/// # Errors
/// The rejection, which names the phase, or the filter.
pub(crate) fn check(query: &Query) -> Result<(), Rejection> {
    if let Inputs::BadFilter(name) = &query.spec().inputs {
        return Err(Rejection::bad_filter(name));
    }
    for (number, phase) in query.spec().phases.iter().enumerate() {
        let (code, kind, arity) = match &phase.kind {
            PhaseKind::Map(code) => (code, Kind::Map, 3),
            PhaseKind::Reduce(code) => (code, Kind::Reduce, 2),
            PhaseKind::Link(_) => continue,
        };
        if let Callee::Given(Function::Erlang { module, function }) = &code.callee
            && native::known(module, function) != Some(kind)
        {
            let text =
                format!("PhaseSpec specifies {module}:{function}/{arity}, which is not exported");
            return Err(Rejection::phase(number, &text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mapring_script::native::MODULE;

    use super::*;
    use crate::grammar;

    #[track_caller]
    fn refused(kind: &str, module: &str, function: &str, expect: Option<&str>) {
        let body = format!(
            r#"{{"inputs":"b","query":[{{"link":{{}}}},
                {{"{kind}":{{"language":"erlang","module":"{module}","function":"{function}"}}}}]}}"#
        );
        let found = check(&grammar::parse(body.as_bytes()).unwrap()).err();
        assert!(found.iter().all(|refusal| refusal.json));
        assert_eq!(found.map(|refusal| refusal.body).as_deref(), expect);
    }

    #[test]
    fn functions_that_are_not_there() {
        refused("map", MODULE, "map_object_value", None);
        refused("reduce", MODULE, "reduce_sum", None);
        refused(
            "map",
            MODULE,
            "zork",
            Some(
                r#"{"phase":1,"error":"PhaseSpec specifies riak_kv_mapreduce:zork/3, which is not exported"}"#,
            ),
        );
        refused(
            "reduce",
            "m",
            "reduce_sum",
            Some(
                r#"{"phase":1,"error":"PhaseSpec specifies m:reduce_sum/2, which is not exported"}"#,
            ),
        );
        refused(
            "map",
            MODULE,
            "reduce_sum",
            Some(
                r#"{"phase":1,"error":"PhaseSpec specifies riak_kv_mapreduce:reduce_sum/3, which is not exported"}"#,
            ),
        );
    }
}
