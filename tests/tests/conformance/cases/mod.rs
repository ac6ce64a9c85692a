//! The table, by topic.

mod bodies;
mod bucket_queries;
mod chains;
mod chunked;
mod clients;
mod counters;
mod datatypes;
mod decisions;
mod erlang;
mod filters;
mod grammar;
mod groups;
mod index_urls;
mod indexes;
mod inputs;
mod javascript;
mod job_pages;
mod jobs;
mod keeps;
mod links;
mod lists;
mod maps;
mod objects;
mod old_paths;
mod options;
mod outputs;
mod own;
mod pipelines;
mod props;
mod recipes;
mod reduces;
mod requests;
mod shuffles;
mod sources;
mod statuses;
mod timeouts;
mod values;
mod walks;

use crate::case::Case;

/// Every row.
pub(crate) fn all() -> Vec<Case> {
    let topics: [fn() -> Vec<Case>; 37] = [
        statuses::cases,
        decisions::cases,
        values::cases,
        lists::cases,
        grammar::cases,
        inputs::cases,
        filters::cases,
        indexes::cases,
        index_urls::cases,
        bucket_queries::cases,
        maps::cases,
        objects::cases,
        chains::cases,
        links::cases,
        walks::cases,
        keeps::cases,
        reduces::cases,
        erlang::cases,
        javascript::cases,
        bodies::cases,
        chunked::cases,
        timeouts::cases,
        recipes::cases,
        clients::cases,
        old_paths::cases,
        own::cases,
        options::cases,
        groups::cases,
        shuffles::cases,
        sources::cases,
        outputs::cases,
        counters::cases,
        jobs::cases,
        pipelines::cases,
        datatypes::cases,
        requests::cases,
        props::cases,
    ];
    topics.into_iter().flat_map(|cases| cases()).collect()
}
