//! Single objects that the program keeps for itself: see [`crate::reserved`].

use std::sync::Arc;

use mapring_types::{
    BucketId, BucketProps, Error, Object, ObjectId, Quorum, Result, VersionVector,
};

use crate::request::options::{DeleteOptions, GetOptions, ObjectPart, PutOptions};
use crate::request::requests::Requests;
use crate::request::{delete, get, put};
use crate::reserved::JOBS_TYPE;
use crate::write::NewValue;

/// What is known of jobs. Cheap to clone.
#[derive(Clone)]
pub struct ReservedObjects {
    requests: Arc<Requests>,
}

impl ReservedObjects {
    pub(crate) fn new(requests: Arc<Requests>) -> Self {
        Self { requests }
    }

    /// The bucket of a name among them, to be folded over ([`crate::Kv::fold_page`]).
    pub fn bucket(name: &'static str) -> BucketId {
        BucketId::typed(JOBS_TYPE, name)
    }

    /// How many replicas each has.
    pub fn n_val() -> u32 {
        BucketProps::default().n_val
    }

    /// Reads an object from a majority of its replicas; the newest value alone. `None` of one that does
    /// not exist, or is deleted.
    ///
    /// # Errors
    /// As [`crate::Kv::get`].
    pub async fn get(&self, id: &ObjectId) -> Result<Option<Object>> {
        let found = self.get_any(id).await?;
        Ok(found.filter(|object| !object.is_tombstone()))
    }

    /// As [`ReservedObjects::get`], and what is left of a deleted one as well: whoever replaces it has seen
    /// that.
    ///
    /// # Errors
    /// As [`crate::Kv::get`].
    pub async fn get_any(&self, id: &ObjectId) -> Result<Option<Object>> {
        self.admit(id)?;
        let options = GetOptions { r: Quorum::Majority, ..GetOptions::default() };
        get::get(&self.requests, id, &options).await
    }

    /// The clock of what a majority has of an object, for a write in its place.
    ///
    /// # Errors
    /// As [`crate::Kv::get`].
    pub async fn clock(&self, id: &ObjectId) -> Result<Option<VersionVector>> {
        let options = GetOptions { r: Quorum::Majority, ..GetOptions::default() };
        Ok(self.heads(id, &options).await?.map(|object| object.clock))
    }

    /// When an object was written, in microseconds since 1970 began by the clock of its writer. `None` of one
    /// that does not exist, or is deleted: so says a majority of the nodes that are to have it, and none that
    /// stands in for them.
    ///
    /// # Errors
    /// As [`crate::Kv::get`].
    pub async fn written(&self, id: &ObjectId) -> Result<Option<u64>> {
        let found = self.primary_heads(id).await?;
        Ok(found.map(|object| object.last_modified()))
    }

    /// Deletes an object that was written before a time, as [`ReservedObjects::written`] has it; returns
    /// whether it did. What somebody writes meanwhile stays.
    ///
    /// # Errors
    /// As [`crate::Kv::delete`].
    pub async fn delete_older(&self, id: &ObjectId, before: u64) -> Result<bool> {
        let found = self.primary_heads(id).await?;
        let Some(object) = found.filter(|object| object.last_modified() < before) else {
            return Ok(false);
        };
        let options = DeleteOptions::default();
        delete::delete(&self.requests, id, Some(object.clock), &options).await
    }

    /// An object that exists without its bytes, as a majority of its primaries has it.
    async fn primary_heads(&self, id: &ObjectId) -> Result<Option<Object>> {
        let (r, pr) = (Quorum::Majority, Quorum::Majority);
        let found = self.heads(id, &GetOptions { r, pr, ..GetOptions::default() }).await?;
        Ok(found.filter(|object| !object.is_tombstone()))
    }

    async fn heads(&self, id: &ObjectId, options: &GetOptions) -> Result<Option<Object>> {
        self.admit(id)?;
        get::get_part(&self.requests, id, options, ObjectPart::Heads).await
    }

    /// Writes a value to a majority of the replicas, in place of what `context` has seen.
    ///
    /// # Errors
    /// As [`crate::Kv::put`].
    pub async fn put(
        &self,
        id: &ObjectId,
        context: Option<VersionVector>,
        value: NewValue,
    ) -> Result<()> {
        self.admit(id)?;
        let options = PutOptions { w: Quorum::Majority, ..PutOptions::default() };
        put::put(&self.requests, id, context, value, &options).await.map(drop)
    }

    /// Writes a value to a majority of the replicas, if nothing is there that `seen` has not seen.
    ///
    /// # Errors
    /// As [`crate::Kv::put`]; `Precondition` where something else is there.
    pub async fn put_if_unchanged(
        &self,
        id: &ObjectId,
        seen: VersionVector,
        value: NewValue,
    ) -> Result<()> {
        self.admit(id)?;
        let unchanged = Some(seen.clone());
        let options = PutOptions { w: Quorum::Majority, unchanged, ..PutOptions::default() };
        put::put(&self.requests, id, Some(seen), value, &options).await.map(drop)
    }

    /// Deletes an object; returns whether there was one.
    ///
    /// # Errors
    /// As [`crate::Kv::delete`].
    pub async fn delete(&self, id: &ObjectId) -> Result<bool> {
        self.admit(id)?;
        delete::delete(&self.requests, id, None, &DeleteOptions::default()).await
    }

    /// # Errors
    /// `Unavailable` once the store is being shut down; `Internal` for what is a client's.
    fn admit(&self, id: &ObjectId) -> Result<()> {
        self.requests.node.running()?;
        if id.bucket.bucket_type != JOBS_TYPE {
            return Err(Error::internal(format!("{id} is no object of the program itself")));
        }
        Ok(())
    }
}
