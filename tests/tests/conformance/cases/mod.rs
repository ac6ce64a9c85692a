//! The table, by topic.

mod bodies;
mod chains;
mod chunked;
mod clients;
mod erlang;
mod filters;
mod grammar;
mod indexes;
mod inputs;
mod javascript;
mod keeps;
mod links;
mod maps;
mod objects;
mod options;
mod own;
mod recipes;
mod reduces;
mod statuses;
mod timeouts;

use crate::case::Case;

/// Every row.
pub(crate) fn all() -> Vec<Case> {
    let topics: [fn() -> Vec<Case>; 20] = [
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
        own::cases,
        options::cases,
    ];
    topics.into_iter().flat_map(|cases| cases()).collect()
}
