//! Answers that are too large for a frame wait here until the caller fetches them over HTTP/2.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mapring_types::NodeId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The waiting answers. Each lives as long as its call, so the bounds of calls bound them too.
#[derive(Clone, Default)]
pub(super) struct Parcels(Arc<Mutex<BTreeMap<u64, Parcel>>>);

struct Parcel {
    owner: NodeId,
    body: Bytes,
    taken: oneshot::Sender<()>,
}

/// A parcel as its call sees it; dropped, the parcel is gone.
pub(super) struct Deposit {
    parcels: Parcels,
    pub(super) token: u64,
    taken: oneshot::Receiver<()>,
}

impl Parcels {
    /// Keeps an answer for `owner`.
    pub(super) fn deposit(&self, owner: NodeId, body: Bytes) -> Deposit {
        let (taken, receiver) = oneshot::channel();
        let token = rand::random();
        self.0.lock().insert(token, Parcel { owner, body, taken });
        Deposit { parcels: self.clone(), token, taken: receiver }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Gives an answer to its owner, once.
    pub(super) fn take(&self, owner: NodeId, token: u64) -> Option<Bytes> {
        let mut parcels = self.0.lock();
        if parcels.get(&token)?.owner != owner {
            return None;
        }
        let parcel = parcels.remove(&token)?;
        let _ = parcel.taken.send(());
        Some(parcel.body)
    }
}

impl Deposit {
    /// Waits until the parcel has been taken.
    pub(super) async fn taken(&mut self) {
        let _ = (&mut self.taken).await;
    }
}

impl Drop for Deposit {
    fn drop(&mut self) {
        self.parcels.0.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_parcel_is_given_once_and_to_its_owner_alone() {
        let parcels = Parcels::default();
        let body = Bytes::from_static(b"large");
        let mut deposit = parcels.deposit(NodeId(1), body.clone());
        assert_eq!(parcels.take(NodeId(2), deposit.token), None);
        assert_eq!(parcels.take(NodeId(1), deposit.token.wrapping_add(1)), None);
        assert_eq!(parcels.take(NodeId(1), deposit.token), Some(body.clone()));
        deposit.taken().await;
        assert_eq!(parcels.take(NodeId(1), deposit.token), None);

        let deposit = parcels.deposit(NodeId(1), body);
        let token = deposit.token;
        drop(deposit);
        assert_eq!(parcels.take(NodeId(1), token), None);
    }
}
