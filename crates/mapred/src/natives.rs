//! Which Erlang-named built-ins there are: a query that names another is refused before it runs.

use mapring_script::Function;
use mapring_script::native::{self, Kind};

use crate::grammar::{Callee, PhaseKind, Query};
use crate::rejection::{Rejection, RejectionKind};

/// Refuses queries that name an Erlang function that is not there.
///
/// # Errors
/// The rejection, which names the phase.
pub(crate) fn check(query: &Query) -> Result<(), Rejection> {
    for (number, phase) in query.spec().phases.iter().enumerate() {
        let (code, kind, arity) = match &phase.kind {
            PhaseKind::Map(code) => (code, Kind::Map, 3),
            PhaseKind::Reduce(code) => (code, Kind::Reduce, 2),
            PhaseKind::Group(group) => (&group.code, Kind::Reduce, 2),
            PhaseKind::Link(_) => continue,
        };
        if let Callee::Given(Function::Erlang { module, function }) = &code.callee
            && native::known(module, function) != Some(kind)
        {
            let (module, function) = (module.clone(), function.clone());
            let kind = RejectionKind::UnknownFunction { phase: number, module, function, arity };
            return Err(Rejection::new(kind).at(format!("query[{number}]")));
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
    fn check_arity(kind: &str, module: &str, function: &str, expect: Option<u8>) {
        let body = format!(
            r#"{{"inputs":"b","query":[{{"link":{{}}}},
                {{"{kind}":{{"language":"erlang","module":"{module}","function":"{function}"}}}}]}}"#
        );
        let found = check(&grammar::parse(body.as_bytes()).unwrap()).err();
        let expect = expect.map(|arity| {
            let (module, function) = (module.to_owned(), function.to_owned());
            let kind = RejectionKind::UnknownFunction { phase: 1, module, function, arity };
            Rejection::new(kind).at("query[1]")
        });
        assert_eq!(found, expect);
    }

    #[test]
    fn functions_that_are_not_there() {
        check_arity("map", MODULE, "map_object_value", None);
        check_arity("reduce", MODULE, "reduce_sum", None);
        check_arity("map", MODULE, "zork", Some(3));
        check_arity("reduce", "m", "reduce_sum", Some(2));
        check_arity("map", MODULE, "reduce_sum", Some(3));
    }
}
