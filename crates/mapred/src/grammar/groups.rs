//! The members of a `reduce` that make it one of groups: `group`, `keys`, `sort_values`,
//! `partitions`, `partition_by`, `combine`, `values`. Riak's grammar ignores all of them, so that a query that has
//! them is one for its parser too.

use mapring_script::Function;
use serde_json::value::RawValue;

use super::parts;
use super::phase::{Callee, Code, CombineSpec, GroupSpec};
use super::phases::code;
use super::text::{Fields, Kind, fields, kind, string};
use crate::limits;
use crate::rejection::Rejection;

/// The members, for the reader of a phase.
pub(super) const FIELDS: [&str; 7] = [GROUP, KEYS, SORT, PARTITIONS, COMBINE, VALUES, PARTITION_BY];

const GROUP: &str = "group";
const KEYS: &str = "keys";
const SORT: &str = "sort_values";
const PARTITIONS: &str = "partitions";
pub(super) const COMBINE: &str = "combine";
const VALUES: &str = "values";
const PARTITION_BY: &str = "partition_by";

/// The members of a combiner.
pub(super) const COMBINE_FIELDS: [&str; 10] =
    ["language", "source", "name", "bucket", "key", "module", "function", "arg", "mode", "batch"];

/// Whether a reduce is one of groups.
pub(super) fn is_grouped(fields: &Fields<'_>) -> Result<bool, Rejection> {
    match fields.get(GROUP).map(|value| (value, value.get())) {
        None | Some((_, "false")) => Ok(false),
        Some((_, "true")) => Ok(true),
        Some((value, _)) => Err(refused(GROUP, "is true or false", value)),
    }
}

/// What is said of the groups of a reduce with a function.
pub(super) fn parse(code: Code, given: &Fields<'_>) -> Result<GroupSpec, Rejection> {
    let word = |name: &'static str, words: &[&'static str]| match given.get(name) {
        None => Ok(None),
        Some(value) => {
            let text = string(value);
            let known = words.iter().position(|word| text.as_deref() == Some(word));
            let forms = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>();
            let forms = forms.join(" or ");
            known.map(Some).ok_or_else(|| refused(name, &format!("is {forms}"), value))
        }
    };
    check(&code, "a grouped reduce")?;
    let string_keys = word(KEYS, &["json", "string"])? == Some(1);
    let descending = word(SORT, &["asc", "desc"])?.map(|at| at == 1);
    let stream = word(VALUES, &["list", "stream"])? == Some(1);
    if let (true, Some(value)) = (stream && descending.is_some(), given.get(SORT)) {
        return Err(refused(
            SORT,
            "needs all values of a group at once, so none in a stream",
            value,
        ));
    }
    let partition_by = given.given(PARTITION_BY).map(|value| {
        parts::parse(value, "a function of keys and partitions")
            .map_err(|refused| refused.below(&format!(".{PARTITION_BY}")))
    });
    let partition_by = partition_by.transpose()?;
    let most = u64::from(limits::PARTITIONS);
    let partitions =
        given.get(PARTITIONS).map(|value| count(PARTITIONS, value, most)).transpose()?;
    let combine = given.get(COMBINE).map(combine).transpose()?;
    Ok(GroupSpec { code, string_keys, descending, partitions, partition_by, combine, stream })
}

/// A function like a phase's, with `mode` and `batch`.
fn combine(value: &RawValue) -> Result<CombineSpec, Rejection> {
    let below = |rejection: Rejection| rejection.below(&format!(".{COMBINE}"));
    let given =
        fields(value, &COMBINE_FIELDS).ok_or_else(|| refused(COMBINE, "is a function", value))?;
    let code = code(value, &given).map_err(below)?;
    check(&code, "a combiner").map_err(below)?;
    let append = match given.get("mode").map(|mode| (mode, string(mode))) {
        None => false,
        Some((mode, word)) => match word.as_deref() {
            Some("replace") => false,
            Some("append") => true,
            _ => return Err(below(refused("mode", "is \"replace\" or \"append\"", mode))),
        },
    };
    let most = u64::from(u32::MAX);
    let batch = given.get("batch").map(|batch| count("batch", batch, most)).transpose();
    Ok(CombineSpec { code, append, batch: batch.map_err(below)?.unwrap_or(limits::COMBINE_BATCH) })
}

/// The built-ins with Erlang's names know no keys.
fn check(code: &Code, what: &str) -> Result<(), Rejection> {
    match code.callee {
        Callee::Given(Function::Erlang { .. }) | Callee::ErlangSource => {
            let why = format!("{what} is JavaScript, or one of the functions named Job.…");
            Err(Rejection::malformed(".language", why))
        }
        Callee::Given(_) | Callee::Stored(_) => Ok(()),
    }
}

/// A whole number above 0.
fn count(name: &str, value: &RawValue, most: u64) -> Result<u32, Rejection> {
    let number = value.get().parse::<u64>().ok().filter(|_| kind(value) == Kind::Number);
    number
        .filter(|number| (1..=most).contains(number))
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| refused(name, &format!("is a whole number from 1 to {most}"), value))
}

fn refused(name: &str, forms: &str, value: &RawValue) -> Rejection {
    Rejection::malformed(format!(".{name}"), format!("\"{name}\" {forms}, not")).given(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{self, PhaseKind};

    fn read(members: &str) -> Result<PhaseKind, Rejection> {
        let body = format!(
            r#"{{"inputs":"b","query":[{{"reduce":{{"language":"javascript","name":"f"{members}}}}}]}}"#
        );
        let query = grammar::parse(body.as_bytes())?;
        Ok(query.spec().phases[0].kind.clone())
    }

    fn group(members: &str) -> GroupSpec {
        match read(&format!(r#","group":true{members}"#)).unwrap() {
            PhaseKind::Group(group) => *group,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reduce_is_of_groups_when_it_says_so() {
        assert!(matches!(read("").unwrap(), PhaseKind::Reduce(_)));
        assert!(matches!(
            read(r#","group":false,"partitions":"x""#).unwrap(),
            PhaseKind::Reduce(_)
        ));
        let plain = group("");
        assert!(!plain.string_keys && !plain.stream && plain.combine.is_none());
        assert_eq!((plain.descending, plain.partitions), (None, None));
        assert!(group(r#","keys":"string""#).string_keys);
        assert_eq!(group(r#","sort_values":"desc""#).descending, Some(true));
        assert_eq!(group(r#","sort_values":"asc","partitions":3"#).partitions, Some(3));
        assert!(group(r#","values":"stream""#).stream);
        let by = group(r#","partition_by":{"source":"(k, n) => 0"}"#).partition_by.unwrap();
        assert_eq!(by.callee, Callee::Given(Function::Source("(k, n) => 0".into())));
        let combine = group(r#","combine":{"language":"javascript","name":"Job.sum"}"#).combine;
        let combine = combine.unwrap();
        assert_eq!(combine.code.callee, Callee::Given(Function::Named("Job.sum".into())));
        assert_eq!((combine.append, combine.batch), (false, limits::COMBINE_BATCH));
        let members =
            r#","combine":{"language":"javascript","name":"f","mode":"append","batch":1}"#;
        let combine = group(members).combine.unwrap();
        assert_eq!((combine.append, combine.batch), (true, 1));
    }

    #[track_caller]
    fn wrong(members: &str, place: &str, says: &str) {
        let refused = read(members).unwrap_err();
        let expect = format!("query[0].reduce.{place}");
        assert_eq!(refused.place, expect, "{members}: {refused}");
        assert!(refused.message.contains(says), "{members}: {refused}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        wrong(r#","group":1"#, "group", "true or false");
        wrong(r#","group":true,"keys":"text""#, "keys", "\"json\" or \"string\"");
        wrong(r#","group":true,"sort_values":true"#, "sort_values", "asc");
        for partitions in ["0", "-1", "1.5", "\"8\"", "100000"] {
            let members = format!(r#","group":true,"partitions":{partitions}"#);
            wrong(&members, "partitions", "from 1 to");
        }
        wrong(r#","group":true,"values":"all""#, "values", "stream");
        wrong(r#","group":true,"values":"stream","sort_values":"asc""#, "sort_values", "at once");
        wrong(r#","group":true,"partition_by":{}"#, "partition_by", "an object with \"source\"");
        let members = r#","group":true,"partition_by":{"source":5}"#;
        wrong(members, "partition_by.source", "is a text");
        let members = r#","group":true,"partition_by":{"source":"f","language":"erlang"}"#;
        wrong(members, "partition_by.language", "\"javascript\"");
        wrong(r#","group":true,"combine":7"#, "combine", "a function");
        let js = r#""language":"javascript","name":"f""#;
        wrong(&format!(r#","group":true,"combine":{{{js},"mode":"x"}}"#), "combine.mode", "append");
        wrong(&format!(r#","group":true,"combine":{{{js},"batch":0}}"#), "combine.batch", "from 1");
        wrong(r#","group":true,"combine":{"name":"f"}"#, "combine", "language");
        let erlang = r#"{"language":"erlang","module":"m","function":"f"}"#;
        let members = format!(r#","group":true,"combine":{erlang}"#);
        wrong(&members, "combine.language", "a combiner is JavaScript");
    }
}
