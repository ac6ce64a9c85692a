//! What follows from a view of the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use mapring_cluster::View;
use mapring_ring::{OwnershipPlan, Partition, PreferenceList};
use mapring_types::{BucketId, BucketProps, Error, ErrorKind, NodeId, ObjectId, Result};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::limits;
use crate::reserved;
use crate::resolution::Resolution;

/// The properties of a bucket.
///
/// # Errors
/// `NotFound` for an unknown bucket type.
pub(crate) fn props(view: &View, bucket: &BucketId) -> Result<BucketProps> {
    known_props(view, bucket).ok_or_else(|| {
        let name = String::from_utf8_lossy(&bucket.bucket_type);
        Error::new(ErrorKind::NotFound, format!("unknown bucket type: {name}"))
    })
}

/// As [`props`]; `None` for an unknown bucket type.
pub(crate) fn known_props(view: &View, bucket: &BucketId) -> Option<BucketProps> {
    reserved::props(bucket).or_else(|| view.props(bucket))
}

/// How concurrent values of a bucket's objects are resolved.
pub(crate) fn resolution(view: &View, bucket: &BucketId) -> Resolution {
    Resolution::of_known(known_props(view, bucket).as_ref())
}

/// The home partition of an object.
pub(crate) fn home(view: &View, id: &ObjectId) -> Partition {
    mapring_ring::hash::home(view.plan().ring_size(), &id.bucket, &id.key)
}

/// The replicas of a home partition as if the nodes in `excluded` were down as well.
pub(crate) fn list(
    view: &View,
    home: Partition,
    n_val: u32,
    excluded: &BTreeSet<NodeId>,
) -> PreferenceList {
    let up = |node: NodeId| view.is_up(node) && !excluded.contains(&node);
    PreferenceList::new(view.plan(), home, n_val, up)
}

/// The nodes that own vnodes.
pub(crate) fn owners(plan: &OwnershipPlan) -> BTreeSet<NodeId> {
    plan.owners().iter().flatten().copied().collect()
}

/// The numbers of replicas that buckets have, or had.
pub(crate) fn n_vals(view: &View) -> BTreeSet<u16> {
    let state = &view.state;
    let types = state.bucket_types.keys().map(|name| BucketId::typed(name.clone(), ""));
    let buckets = state.buckets.keys().chain(state.least_n_vals.keys()).cloned();
    let all = [BucketId::untyped("")].into_iter().chain(types).chain(buckets);
    let used = all.flat_map(|bucket| {
        let now = view.props(&bucket).map(|props| props.n_val);
        [now, view.least_n_val(&bucket)].into_iter().flatten()
    });
    used.map(|n_val| u16::try_from(n_val).unwrap_or(u16::MAX)).collect()
}

/// The name of a member, for the log.
pub(crate) fn name(view: &View, node: NodeId) -> String {
    let member = view.state.members.get(&node);
    member.map_or_else(|| "a former member".to_owned(), |member| member.name.clone())
}

/// Waits for the next change of the view, or for a while where there are none any more: then the node
/// is about to go.
pub(crate) async fn changed(changes: &mut watch::Receiver<Arc<View>>) {
    if changes.changed().await.is_err() {
        sleep(limits::INTEGRITY_TICK).await;
    }
}
