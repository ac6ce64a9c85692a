//! Properties of buckets and bucket types, and how many replicas objects have.

use mapring_types::props::PropChanges;
use mapring_types::{BucketId, BucketProps, Result};

use super::metadata::{ClusterState, room};
use crate::limits;

impl ClusterState {
    /// The properties of a bucket, `None` when its type does not exist or is not activated.
    pub fn props(&self, bucket: &BucketId) -> Option<BucketProps> {
        let base = if bucket.is_untyped() {
            BucketProps::default()
        } else {
            let name = std::str::from_utf8(&bucket.bucket_type).ok()?;
            let props = BucketProps::typed().with(self.bucket_types.get(name)?);
            // What is not activated yet is not there for its users.
            Some(props).filter(BucketProps::is_active)?
        };
        Some(match self.buckets.get(bucket) {
            Some(changes) => base.with(changes),
            None => base,
        })
    }

    /// How many replicas every object of a bucket has at least, however old it is: raising `n_val`
    /// does not copy what is there. `None` when the bucket type does not exist.
    pub fn least_n_val(&self, bucket: &BucketId) -> Option<u32> {
        let own = self.least_n_vals.get(bucket).copied();
        let name = std::str::from_utf8(&bucket.bucket_type).ok();
        let of_type = name.and_then(|name| self.least_type_n_vals.get(name)).copied();
        [own, of_type]
            .into_iter()
            .flatten()
            .chain(self.n_val(bucket))
            .min()
            .filter(|_| self.n_val(bucket).is_some())
    }

    fn n_val(&self, bucket: &BucketId) -> Option<u32> {
        self.props(bucket).map(|props| props.n_val)
    }

    /// Keeps the lowest `n_val` of a bucket, once a change has made it another than `before`.
    fn remember_n_val(&mut self, bucket: &BucketId, before: Option<u32>) {
        let (Some(before), Some(after)) = (before, self.n_val(bucket)) else { return };
        if before != after {
            let least = self.least_n_vals.entry(bucket.clone()).or_insert(before);
            *least = after.min(before).min(*least);
        }
    }

    pub(super) fn set_bucket(&mut self, bucket: &BucketId, changes: &PropChanges) -> Result<()> {
        let new = !self.buckets.contains_key(bucket);
        room(new, self.buckets.len(), limits::BUCKETS, "buckets with own properties")?;
        let before = self.n_val(bucket);
        let known = self.buckets.entry(bucket.clone()).or_default();
        known.0.extend(changes.0.clone());
        self.remember_n_val(bucket, before);
        Ok(())
    }

    pub(super) fn reset_bucket(&mut self, bucket: &BucketId) {
        let before = self.n_val(bucket);
        self.buckets.remove(bucket);
        self.remember_n_val(bucket, before);
    }

    pub(super) fn set_bucket_type(&mut self, name: &str, changes: &PropChanges) -> Result<()> {
        let new = !self.bucket_types.contains_key(name);
        room(new, self.bucket_types.len(), limits::BUCKET_TYPES, "bucket types")?;
        let n_val = |changes: &PropChanges| BucketProps::typed().with(changes).n_val;
        let before = self.bucket_types.get(name).map(n_val);
        let known = self.bucket_types.entry(name.to_owned()).or_default();
        known.0.extend(changes.0.clone());
        let after = n_val(known);
        if let Some(before) = before.filter(|before| *before != after) {
            let least = self.least_type_n_vals.entry(name.to_owned()).or_insert(before);
            *least = after.min(*least);
        }
        Ok(())
    }
}
