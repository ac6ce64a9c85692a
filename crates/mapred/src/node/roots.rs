//! Objects that shards read.
//!
//! An object whose bytes do not lie in blocks is read whole, however small the piece that is wanted. So the
//! shards of a query that read pieces of one at the same time share it, and no more than so many objects are
//! open at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Weak};

use mapring_kv::OpenValue;
use mapring_script::QueryTag;
use mapring_types::{Error, ObjectId, Result};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::limits;

/// The values of an object, as long as somebody reads them.
pub(super) struct Root {
    pub(super) values: Vec<OpenValue>,
    _permit: OwnedSemaphorePermit,
}

impl Root {
    /// Whether some of its bytes lie in blocks: then opening it costs little, and whoever reads it reads on in
    /// blocks of his own.
    fn is_in_blocks(&self) -> bool {
        self.values.iter().any(|value| value.body.is_in_blocks())
    }
}

type Shared = OnceCell<Arc<Root>>;

/// The objects that are open on a node.
pub(crate) struct Roots {
    open: Arc<Semaphore>,
    shared: Mutex<BTreeMap<(QueryTag, ObjectId), Weak<Shared>>>,
}

/// An object that a shard reads.
pub(super) struct Held {
    root: Arc<Root>,
    /// Others find the object by this.
    _shared: Option<Arc<Shared>>,
}

impl Held {
    pub(super) fn values(&self) -> &[OpenValue] {
        &self.root.values
    }
}

impl Roots {
    pub(crate) fn new() -> Self {
        let open = Arc::new(Semaphore::new(limits::OPEN_ROOTS));
        Self { open, shared: Mutex::default() }
    }

    /// Opens an object with `open`.
    pub(super) async fn open<F>(&self, open: impl FnOnce() -> F) -> Result<Held>
    where
        F: Future<Output = Result<Vec<OpenValue>>>,
    {
        let root = Arc::new(self.root(open).await?);
        Ok(Held { root, _shared: None })
    }

    /// The same of an object that others of the query may read pieces of now.
    pub(super) async fn open_shared<F>(
        &self,
        query: QueryTag,
        id: &ObjectId,
        open: impl Fn() -> F,
    ) -> Result<Held>
    where
        F: Future<Output = Result<Vec<OpenValue>>>,
    {
        let shared = self.share(query, id);
        let opened = shared.get_or_try_init(|| async { Ok(Arc::new(self.root(&open).await?)) });
        let root = opened.await.map_err(|error: Error| error)?.clone();
        if root.is_in_blocks() {
            drop((root, shared));
            return self.open(open).await;
        }
        Ok(Held { root, _shared: Some(shared) })
    }

    async fn root<F>(&self, open: impl FnOnce() -> F) -> Result<Root>
    where
        F: Future<Output = Result<Vec<OpenValue>>>,
    {
        let closed = |_| Error::internal("objects are no longer opened");
        let permit = self.open.clone().acquire_owned().await.map_err(closed)?;
        Ok(Root { values: open().await?, _permit: permit })
    }

    fn share(&self, query: QueryTag, id: &ObjectId) -> Arc<Shared> {
        let mut all = self.shared.lock();
        all.retain(|_, shared| shared.strong_count() > 0);
        let place = all.entry((query, id.clone())).or_default();
        if let Some(shared) = place.upgrade() {
            return shared;
        }
        let shared = Arc::new(Shared::new());
        *place = Arc::downgrade(&shared);
        shared
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mapring_types::BucketId;

    use super::*;

    #[tokio::test]
    async fn pieces_share_an_object_while_one_of_them_is_read() {
        let (roots, opened) = (Roots::new(), AtomicUsize::new(0));
        let open = || async {
            opened.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        };
        let id = ObjectId::new(BucketId::untyped("b"), "k");
        let (one, other) =
            tokio::join!(roots.open_shared(1, &id, open), roots.open_shared(1, &id, open),);
        assert_eq!(opened.load(Ordering::Relaxed), 1);
        let of_another = roots.open_shared(2, &id, open).await;
        assert_eq!(opened.load(Ordering::Relaxed), 2);
        drop((one, other, of_another));
        assert_eq!(roots.open.available_permits(), limits::OPEN_ROOTS);
        roots.open_shared(1, &id, open).await.unwrap();
        assert_eq!(opened.load(Ordering::Relaxed), 3);
        assert_eq!(roots.shared.lock().len(), 1);
    }
}
