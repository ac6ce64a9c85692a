//! Queries: `/mapred`.

use http::Method;
use mapring_types::limits as shared;

use super::interface::Interface;
use super::operation::{Content, Header, Op};
use super::schema::{
    Member, NONE, Schema, any, bytes, either, flag, flag_or, integer, list, named, number_within,
    object, open_object, positive, text, text_or_null, text_up_to, word,
};
use crate::reply::media;

pub(super) const TAG: &str = "mapred";

const MAPRED: [&str; 1] = ["/mapred"];

/// Inputs that may be left out, where nothing is said.
const SKIPPED: u64 = mapring_mapred::limits::SKIPPED;

/// What is told beside results.
const TOLD: [Header; 4] = [
    ("X-Query-Id", "Under which it is listed and can be ended."),
    ("X-Job-Id", "The same id."),
    ("X-Query-Skipped", "How many inputs were left out, where any were."),
    ("X-Query-Skipped-Inputs", "The first of them, as a JSON list."),
];

pub(super) fn describe(interface: &mut Interface) {
    let run = Op::new(TAG, "runQuery", "Runs a query")
        .about("A client that goes away ends its query.")
        .query("chunked", flag_or(false, ""), "Whether results come in parts, as they are found.")
        .takes("The query.", [(media::JSON, named("Query"))])
        .gives(200, "Its results, or its plan.", results(), &TOLD)
        .gives(400, "It is no query.", [FAILURE, TEXT].map(as_content), &[])
        .gives(409, "An object that was to be written is there.", [FAILURE].map(as_content), &TOLD)
        .gives(500, "It failed.", [FAILURE, TEXT].map(as_content), &TOLD)
        .gives(503, "Nodes are away.", [FAILURE, TEXT, PAGE].map(as_content), &TOLD)
        .refuses(&[406, 415]);
    interface.add(&Method::POST, &MAPRED, &run);
    let usage = Op::new(TAG, "showQueryUsage", "Says how queries are sent").refuses(&[400]);
    interface.add(&Method::GET, &MAPRED, &usage);
}

/// What went wrong: its media type, and the schema that it has or nothing.
type Told = (&'static str, Option<&'static str>);
const FAILURE: Told = (media::JSON, Some("QueryFailure"));
const TEXT: Told = (media::TEXT, None);
const PAGE: Told = (media::HTML, None);

fn as_content((media, schema): Told) -> Content {
    (media, schema.map_or_else(|| text("Why."), named))
}

/// Results, as they are asked for.
pub(super) fn results() -> [Content; 4] {
    [
        (media::JSON, any("The results of the last phase, or of each that is kept, in a list.")),
        (media::MULTIPART, bytes("Parts `{\"phase\": N, \"data\": [...]}`.")),
        (media::LINES, bytes("A document a line.")),
        (media::EVENTS, bytes("The same documents as events.")),
    ]
}

pub(super) fn schemas() -> Vec<Member> {
    let phase = object(
        "One of these.",
        NONE,
        [("map", named("Map")), ("reduce", named("Reduce")), ("link", named("LinkPhase"))],
    );
    let code = || function().into_iter().chain(of_phases());
    let link = open_object(
        "Follows links.",
        NONE,
        [
            ("bucket", text("Only into that; `_` for any.")),
            ("tag", text("Only those; `_` for any.")),
            ("keep", flag("Whether its results are answered.")),
        ],
    );
    vec![
        ("Query", open_object("", [("inputs", named("Inputs"))], query_members())),
        ("Inputs", inputs()),
        ("Phase", phase),
        ("Map", open_object("A function for each input.", NONE, code())),
        ("Reduce", open_object("A function of many.", NONE, code().chain(of_groups()))),
        ("LinkPhase", link),
        ("Function", object("A function, as a phase has one.", NONE, function())),
        ("QueryFailure", failure()),
    ]
}

/// What a query has beside its inputs.
pub(super) fn query_members() -> Vec<Member> {
    let longest = u64::try_from(shared::MAX_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    let skip = object(
        "What becomes of inputs at which a map function fails.",
        [("mode", word(&["fail", "skip"], "Whether the query fails."))],
        [("max", number_within(0, u64::from(u32::MAX), Some(SKIPPED), "More fail it."))],
    );
    let batch = object(
        "How many writes of functions are made at once.",
        NONE,
        [
            ("count", positive("So many at most.")),
            ("bytes", positive("With so many bytes at most.")),
        ],
    );
    vec![
        ("query", list(named("Phase"), "Its phases in order.")),
        ("timeout", number_within(1, longest, None, "The most milliseconds that it may take.")),
        ("on_error", skip),
        ("limit", positive("It ends when its last phase has given so many results.")),
        (
            "consistency",
            word(&["one", "quorum", "all"], "From how many replicas objects are read."),
        ),
        ("tombstones", word(&["skip", "pass"], "What becomes of what was deleted.")),
        ("binary", word(&["error", "base64"], "What becomes of values that are not UTF-8.")),
        ("explain", flag("Whether its plan is answered, and nothing is run.")),
        ("profile", flag("Whether what it cost is answered too.")),
        ("name", text_up_to(mapring_mapred::limits::QUERY_NAME_BYTES, "What it is called.")),
        ("params", any("What its functions get as `ctx.params`.")),
        ("output", any("What becomes of its results: lines, or objects that are written.")),
        ("write_batch", batch),
        ("shards", positive("In how many pieces inputs within objects are read.")),
    ]
}

/// The members that say where a function comes from.
pub(super) fn function() -> Vec<Member> {
    vec![
        ("language", word(&["javascript", "erlang"], "Its language.")),
        ("source", text("Its source.")),
        ("name", text("A built-in, or one of the library.")),
        ("bucket", text("Of the object that has its source.")),
        ("key", text("Of the object that has its source.")),
        ("module", text("Of a native function: its module.")),
        ("function", text("Of a native function: its name.")),
        ("arg", any("Its further argument.")),
    ]
}

fn of_phases() -> Vec<Member> {
    vec![
        ("keep", flag("Whether its results are answered; those of the last phase are.")),
        ("do_prereduce", flag("Whether nodes reduce what they have before they send it.")),
        ("reduce_phase_only_1", flag("Whether a reduce gets all at once.")),
        ("reduce_phase_batch_size", positive("How many a reduce gets at once.")),
    ]
}

fn of_groups() -> Vec<Member> {
    vec![
        ("group", flag("Whether pairs are reduced by their keys.")),
        ("keys", word(&["json", "string"], "How keys are compared.")),
        (
            "sort_values",
            word(&["asc", "desc"], "In which order the function gets the values of a key."),
        ),
        ("partitions", positive("In how many pieces pairs are grouped.")),
        ("combine", any("A function that reduces what a node has of a key.")),
        ("values", word(&["list", "stream"], "How the function gets them.")),
        ("partition_by", any("By what of a key pairs are grouped.")),
    ]
}

fn inputs() -> Schema {
    let key =
        list(any(""), "`[bucket, key]`, with data for its function and a bucket type perhaps.");
    let from = open_object(
        "Objects of a bucket that an index or filters choose, or what a reader makes: `lines`, `csv`, \
         `records`, `range`, `random`, `items`, `job` and others.",
        NONE,
        [
            ("bucket", any("A bucket, or `[type, bucket]`.")),
            ("key_filters", list(any(""), "Filters of keys.")),
            ("filters", list(any(""), "Filters of properties.")),
            ("index", text("An index.")),
            ("key", any("The term.")),
            ("start", any("The first term.")),
            ("end", any("The last term.")),
        ],
    );
    either(
        [text("A bucket."), list(either([text(""), key], ""), "Keys, or `[type, bucket]`."), from],
        "",
    )
}

fn failure() -> Schema {
    open_object(
        "Why a query failed.",
        [("error", text("What happened."))],
        [
            ("phase", integer("The phase, where it was in one.")),
            ("input", text_or_null("The input.")),
            ("type", text("What kind of failure it is.")),
            ("stack", text_or_null("The stack, of JavaScript.")),
            ("bucket", text("Of the object.")),
            ("key", text("Of the object.")),
            ("node", text("Where it was.")),
        ],
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mapring_mapred::{QUERY_MEMBERS, unread_members};
    use serde_json::{Map, Value, json};

    use super::*;

    #[test]
    fn the_members_of_a_query_are_those_that_are_read() {
        let described: BTreeSet<&str> =
            query_members().into_iter().map(|(name, _)| name).chain(["inputs"]).collect();
        assert_eq!(described, QUERY_MEMBERS.into_iter().collect());
    }

    /// What nobody reads of a phase of a kind with some members.
    fn unread(kind: &str, members: Vec<Member>) -> Vec<String> {
        let members: Map<String, Value> =
            members.into_iter().map(|(name, _)| (name.to_owned(), json!(true))).collect();
        let query = json!({"inputs": "b", "query": [Value::from_iter([(kind, members)])]});
        unread_members(query.to_string().as_bytes())
    }

    #[test]
    fn the_members_of_phases_are_read() {
        let code = || function().into_iter().chain(of_phases()).collect::<Vec<_>>();
        assert!(unread("map", code()).is_empty());
        assert!(unread("reduce", code().into_iter().chain(of_groups()).collect()).is_empty());
        assert_eq!(unread("map", vec![("nonsense", any(""))]), ["query[0].map.nonsense"]);
    }
}
