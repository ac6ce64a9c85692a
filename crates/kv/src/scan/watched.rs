//! Walks over many objects, counted while they go on.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{BoxStream, unfold};
use mapring_types::Result;
use tokio::time::Instant;

use crate::scan::entries::Hit;
use crate::stats::{Stats, Walks};
use crate::storage::node::Node;

/// Which walks are counted.
type Which = fn(&Stats) -> &Walks;

/// A walk that is under way, until it is dropped.
struct Walk {
    node: Arc<Node>,
    which: Which,
}

impl Walk {
    fn begin(node: &Arc<Node>, which: Which) -> Self {
        which(&node.stats).begin();
        Self { node: node.clone(), which }
    }

    fn walks(&self) -> &Walks {
        (self.which)(&self.node.stats)
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.walks().end();
    }
}

/// Counts a walk while it is there, and whether it fails.
pub(crate) fn counted<T: Send + 'static>(
    node: &Arc<Node>,
    which: Which,
    pages: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    let walk = Walk::begin(node, which);
    let told = pages.inspect(move |page| {
        if page.is_err() {
            walk.walks().count_failed();
        }
    });
    told.boxed()
}

/// As [`counted`], of a query of an index: of one that comes to its end also how long it took, and how
/// much it found.
pub(crate) fn index_query(
    node: &Arc<Node>,
    pages: BoxStream<'static, Result<Vec<Hit>>>,
) -> BoxStream<'static, Result<Vec<Hit>>> {
    let began = Instant::now();
    let state = Some((node.clone(), pages, 0_u64));
    let told = unfold(state, move |state| async move {
        let (node, mut pages, found) = state?;
        match pages.next().await {
            Some(Ok(page)) => {
                let found = found + page.len() as u64;
                Some((Ok(page), Some((node, pages, found))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                node.stats.index_query_ended(began, found);
                None
            }
        }
    });
    counted(node, |stats| &stats.index_queries, told.boxed())
}
