//! Secondary indexes: by URL, and OpenRiak's queries of a bucket.

use http::Method;
use mapring_types::limits as shared;

use super::interface::Interface;
use super::operation::{Content, Op};
use super::schema::{
    Member, NONE, Schema, by_name, bytes, either, flag_or, list, list_up_to, named, number,
    number_within, object, positive, text, word,
};
use crate::bucket_query::AccumulationOption;
use crate::limits;
use crate::reply::media;

pub(super) const TAG: &str = "indexes";

const INDEX: [&str; 6] = [
    "/buckets/{bucket}/index/{field}",
    "/types/{type}/buckets/{bucket}/index/{field}",
    "/buckets/{bucket}/index/{field}/{value}",
    "/types/{type}/buckets/{bucket}/index/{field}/{value}",
    "/buckets/{bucket}/index/{field}/{start}/{end}",
    "/types/{type}/buckets/{bucket}/index/{field}/{start}/{end}",
];
const QUERY: [&str; 2] = ["/buckets/{bucket}/query", "/types/{type}/buckets/{bucket}/query"];

pub(super) fn describe(interface: &mut Interface) {
    let all = index("getIndexAll", "Lists the keys of `$bucket`");
    interface.add(&Method::GET, &INDEX[..2], &all);
    let one = index("getIndex", "Finds keys by a term of an index");
    interface.add(&Method::GET, &INDEX[2..4], &one);
    let range = index("getIndex", "Finds keys by a range of terms, both ends included");
    interface.add(&Method::GET, &INDEX[4..], &range);
    let query = Op::new(TAG, "queryBucket", "Queries the indexes of a bucket, as OpenRiak does")
        .takes("The query.", [(media::JSON, named("BucketQuery"))])
        .gives(
            200,
            "What was asked for, under the name of its option.",
            [(media::JSON, named("BucketQueryAnswer"))],
            &[("X-Riak-Continuation", "Where the next page goes on, with `max_results`.")],
        )
        .refuses(&[400, 404, 406, 501]);
    interface.add(&Method::POST, &QUERY, &query);
    let queued =
        Op::new(TAG, "getQueuedResults", "Would show results in a queue, which there are not")
            .query("result_queue", text(""), "A queue.")
            .refuses(&[400, 501]);
    interface.add(&Method::GET, &QUERY, &queued);
}

fn index(id: &'static str, summary: &'static str) -> Op {
    Op::new(TAG, id, summary)
        .query("return_terms", flag_or(false, ""), "Whether each hit has its term; of ranges.")
        .query("term_regex", text(""), "Only terms, or keys of `$key`, that match; not of numbers.")
        .query("max_results", positive(""), "So many hits at most.")
        .query("continuation", text(""), "Goes on behind a page.")
        .query("pagination_sort", flag_or(true, ""), "Is checked; hits always come in order.")
        .query("stream", flag_or(false, ""), "Whether hits come in parts, as they are found.")
        .query(
            "timeout",
            number_within(0, day(), Some(0), ""),
            "The most milliseconds that it may take; 0 for as long as it takes, a day at most.",
        )
        .gives(200, "The hits.", hits(), &[])
        .refuses(&[400, 404, 406])
}

fn day() -> u64 {
    u64::try_from(shared::MAX_TIMEOUT.as_millis()).unwrap_or(u64::MAX)
}

fn hits() -> [Content; 2] {
    [
        (media::JSON, named("Hits")),
        (media::MULTIPART, bytes("A part for each page, each a document of its own.")),
    ]
}

pub(super) fn schemas() -> Vec<Member> {
    let term = by_name(text("The key."), "The term, and the key under it.");
    let hits = object(
        "",
        NONE,
        [
            ("keys", list(text(""), "Keys.")),
            ("results", list(term, "Terms with their keys, with `return_terms`.")),
            ("continuation", text("Where the next page goes on.")),
        ],
    );
    vec![("Hits", hits), ("BucketQuery", query()), ("BucketQueryAnswer", answer())]
}

fn options() -> [&'static str; 8] {
    AccumulationOption::ALL.map(AccumulationOption::word)
}

fn query() -> Schema {
    let part = object(
        "A range of an index of texts.",
        [
            ("index_name", text("The index; its name ends in `_bin`.")),
            ("start_term", text("The first term.")),
            ("end_term", text("The last term.")),
        ],
        [
            ("aggregation_tag", number("By which `aggregation_expression` names it.")),
            ("regular_expression", text("Only terms that match.")),
            (
                "evaluation_expression",
                text("Steps that take a term apart, with `filter_expression`."),
            ),
            ("filter_expression", text("A condition on what comes of the steps.")),
        ],
    );
    object(
        "",
        [(
            "query_list",
            list_up_to(limits::QUERY_PARTS, part, "One query, or several that are combined."),
        )],
        [
            (
                "aggregation_expression",
                text("How keys are combined: `$1 INTERSECT ($2 UNION $3)`."),
            ),
            ("accumulation_option", word(&options(), "What the answer has.")),
            ("accumulation_term", text("The attribute that stands for the term.")),
            (
                "substitutions",
                by_name(either([text(""), number("")], ""), "For `:name` in expressions."),
            ),
            ("timeout", number("Seconds that it may take.")),
            ("inactivity_timeout", number("Of queues of results, which there are not.")),
            ("max_results", positive("So many hits at most.")),
            ("continuation", text("Goes on behind a page.")),
        ],
    )
}

fn answer() -> Schema {
    let of = |option: AccumulationOption| match option {
        AccumulationOption::Keys | AccumulationOption::RawKeys => list(text(""), "Keys."),
        AccumulationOption::Terms | AccumulationOption::RawTerms => {
            list(by_name(text(""), ""), "Terms with their keys.")
        }
        AccumulationOption::Count | AccumulationOption::RawCount => number("How many."),
        AccumulationOption::TermWithCount | AccumulationOption::TermWithRawCount => {
            by_name(number(""), "How many of each term.")
        }
    };
    object("", NONE, AccumulationOption::ALL.map(|option| (option.word(), of(option))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::bucket_query::{MEMBERS, QUERY_MEMBERS};

    fn members(schema: &Value) -> BTreeSet<&str> {
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn the_members_of_a_query_are_those_that_are_read() {
        let schema = json!(query());
        assert_eq!(members(&schema), MEMBERS.into_iter().collect());
        let part = &schema["properties"]["query_list"]["items"];
        assert_eq!(members(part), QUERY_MEMBERS.into_iter().collect());
    }
}
