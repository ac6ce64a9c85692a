//! Members of a query and of its phases that nobody reads. Riak passes over what it does not know, and so
//! does this grammar: a plan names them, since they may be misspelt.

use serde_json::value::RawValue;

use super::groups;
use super::phases::members_of;
use super::text::{each, fields, names};

/// The places of members that mean nothing, such as `query[1].reduce.partitons`, in a query that may
/// have these.
pub(super) fn of(body: &RawValue, known: &[&str]) -> Vec<String> {
    let mut ignored = Vec::new();
    let mut add = |place: &str, value: &RawValue, known: &[&str]| {
        let unknown = names(value).into_iter().filter(|name| !known.contains(&name.as_str()));
        // A name without a letter would not be seen.
        let shown = |name: String| if name.is_empty() { "\"\"".to_owned() } else { name };
        let places = unknown.map(|name| mapring_types::quote(&format!("{place}{}", shown(name))));
        ignored.extend(places);
    };
    add("", body, known);
    let query = fields(body, &["query"]).and_then(|body| body.get("query"));
    let mut number = 0;
    query.map(|query| {
        each(query, |step| {
            let kinds = ["map", "reduce", "link"];
            let outer = fields(step, &kinds);
            for kind in kinds {
                let Some(spec) = outer.as_ref().and_then(|outer| outer.get(kind)) else { continue };
                let given = fields(spec, &["group", groups::COMBINE]);
                let group = given.as_ref().and_then(|given| given.get("group"));
                let grouped = kind == "reduce" && group.is_some_and(|group| group.get() == "true");
                let place = format!("query[{number}].{kind}.");
                add(&place, spec, &members_of(kind, grouped));
                let combine = given.filter(|_| grouped).and_then(|of| of.get(groups::COMBINE));
                if let Some(combine) = combine {
                    add(&format!("{place}{}.", groups::COMBINE), combine, &groups::COMBINE_FIELDS);
                }
            }
            number += 1;
            true
        })
    });
    ignored
}

#[cfg(test)]
mod tests {
    use crate::grammar;

    #[track_caller]
    fn check(query: &str, more: &str, expect: &[&str]) {
        let body = format!(r#"{{"inputs":"b","query":[{query}],"explain":true{more}}}"#);
        assert_eq!(grammar::parse(body.as_bytes()).unwrap().spec().ignored, expect, "{body}");
        assert_eq!(grammar::unread_members(body.as_bytes()), expect, "{body}");
    }

    #[test]
    fn what_nobody_reads_is_named() {
        check("", "", &[]);
        check("", r#","":1"#, &["\"\""]);
        check("", r#","shardz":1,"limit":1,"limits":{}"#, &["limits", "shardz"]);
        let map = r#"{"map":{"language":"javascript","name":"f","arg":1,"keep":true,"group":true,"x":1}}"#;
        check(map, "", &["query[0].map.group", "query[0].map.x"]);
        let reduce = |members: &str| {
            format!(
                r#"{{"link":{{}}}},{{"reduce":{{"language":"javascript","name":"f"{members}}}}}"#
            )
        };
        check(&reduce(r#","reduce_phase_batch_size":1"#), "", &[]);
        check(&reduce(r#","partitions":3"#), "", &["query[1].reduce.partitions"]);
        let combine = r#","group":true,"partitions":3,"partitons":3,
            "combine":{"language":"javascript","name":"f","batch":1,"keep":false}"#;
        let expect = ["query[1].reduce.partitons", "query[1].reduce.combine.keep"];
        check(&reduce(combine), "", &expect);
        check(
            r#"{"link":{"bucket":"b","tag":"t","keep":true,"key":"k"}}"#,
            "",
            &["query[0].link.key"],
        );
    }
}
