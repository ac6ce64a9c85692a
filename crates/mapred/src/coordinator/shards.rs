//! Into what shards a query would be divided, without running it.

use super::shared::Shared;
use super::sources;
use super::splitting::{Given, split};
use crate::failure::Failure;
use crate::grammar::{Inputs, Query, Scan};

/// What each shard of the first phase would work on, in order.
///
/// # Errors
/// Where the inputs cannot be divided now.
pub(crate) async fn shards(shared: Shared, query: Query) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    match &query.spec().inputs {
        Inputs::Scan(scan) => partitions(&shared, scan, &mut words)?,
        Inputs::Keys(keys) => words.push(listed(keys.len())),
        Inputs::Values(values) => words.push(listed(values.len() as u64)),
        Inputs::Source(_) => {
            let nodes = shared.cluster.view().up.len();
            for given in split(shared.clone(), query.clone(), nodes, sources::run).await?.given {
                match given {
                    Given::Scan(scan) => partitions(&shared, &scan, &mut words)?,
                    Given::Keys(keys) => words.push(listed(keys.len())),
                    Given::Shards(shards, _) => {
                        words.extend(shards.iter().map(crate::shard::Shard::words));
                    }
                }
            }
        }
    }
    Ok(words)
}

fn listed(count: u64) -> String {
    format!("{count} listed inputs")
}

/// The home partitions of what is scanned: each is a shard.
fn partitions(shared: &Shared, scan: &Scan, words: &mut Vec<String>) -> Result<(), Failure> {
    let view = shared.cluster.view();
    for one in scan.of_each_type(view.state.bucket_types.keys().map(String::as_str)) {
        if view.least_n_val(&one.bucket).is_none() {
            return Err(Failure::no_bucket_type_of(&one));
        }
        let homes = view.plan().ring_size().partitions();
        words.extend(homes.map(|home| format!("{} partition {home}", one.bucket)));
    }
    Ok(())
}
