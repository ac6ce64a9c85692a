//! The table, by topic.

mod bodies;
mod chains;
mod chunked;
mod clients;
mod counters;
mod erlang;
mod filters;
mod grammar;
mod groups;
mod indexes;
mod inputs;
mod javascript;
mod jobs;
mod keeps;
mod links;
mod maps;
mod objects;
mod old_paths;
mod options;
mod outputs;
mod own;
mod pipelines;
mod recipes;
mod reduces;
mod shuffles;
mod sources;
mod statuses;
mod timeouts;

use crate::case::Case;

/// Every row.
pub(crate) fn all() -> Vec<Case> {
    let topics: [fn() -> Vec<Case>; 28] = [
        statuses::cases,
        grammar::cases,
        inputs::cases,
        filters::cases,
        indexes::cases,
        maps::cases,
        objects::cases,
        chains::cases,
        links::cases,
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
    ];
    topics.into_iter().flat_map(|cases| cases()).collect()
}
