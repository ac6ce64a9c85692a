//! Finding complete replicas while the query goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use mapring_ring::Coverage;
use mapring_types::{NodeId, Result};

use super::router::PlanRequest;
use crate::limits;
use crate::objects::Objects;

/// A plan that is being made, and what for.
pub(super) type Planning = BoxFuture<'static, (PlanRequest, Result<Coverage>)>;

/// Finds a complete replica of every partition: on nodes that have not failed this query, or if
/// there is no other way on those as well, after a while.
pub(super) fn plan(objects: Arc<dyn Objects>, request: PlanRequest) -> Planning {
    Box::pin(async move {
        if request.again {
            tokio::time::sleep(limits::RETRY_BACKOFF).await;
        }
        let without: BTreeSet<NodeId> = request.failures.keys().copied().collect();
        let first = objects.coverage(request.n_val, &without).await;
        if first.is_ok() || without.is_empty() {
            return (request, first);
        }
        tokio::time::sleep(limits::RETRY_BACKOFF).await;
        let second = objects.coverage(request.n_val, &BTreeSet::new()).await;
        (request, second)
    })
}

/// Waits for a plan, if one is being made.
pub(super) async fn planned(planning: &mut Option<Planning>) -> (PlanRequest, Result<Coverage>) {
    match planning {
        Some(planning) => planning.await,
        None => std::future::pending().await,
    }
}
