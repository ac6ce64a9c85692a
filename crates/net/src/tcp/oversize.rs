//! Replies that are too large for a frame wait here until the caller fetches them over HTTP/2.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mapring_types::NodeId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The waiting replies. Each lives as long as its call, so the bounds of calls bound them too.
#[derive(Clone, Default)]
pub(super) struct OversizeReplies(Arc<Mutex<BTreeMap<u64, Kept>>>);

struct Kept {
    owner: NodeId,
    body: Bytes,
    taken: oneshot::Sender<()>,
}

/// A kept reply as its call sees it; dropped, the reply is gone.
pub(super) struct Deposit {
    replies: OversizeReplies,
    pub(super) token: u64,
    taken: oneshot::Receiver<()>,
}

impl OversizeReplies {
    /// Keeps a reply for `owner`.
    pub(super) fn deposit(&self, owner: NodeId, body: Bytes) -> Deposit {
        let (taken, receiver) = oneshot::channel();
        let token = rand::random();
        self.0.lock().insert(token, Kept { owner, body, taken });
        Deposit { replies: self.clone(), token, taken: receiver }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Gives a reply to its owner, once.
    pub(super) fn take(&self, owner: NodeId, token: u64) -> Option<Bytes> {
        let mut replies = self.0.lock();
        if replies.get(&token)?.owner != owner {
            return None;
        }
        let kept = replies.remove(&token)?;
        let _ = kept.taken.send(());
        Some(kept.body)
    }
}

impl Deposit {
    /// Waits until the reply has been taken.
    pub(super) async fn taken(&mut self) {
        let _ = (&mut self.taken).await;
    }
}

impl Drop for Deposit {
    fn drop(&mut self) {
        self.replies.0.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_is_given_once_and_to_its_owner_alone() {
        let replies = OversizeReplies::default();
        let body = Bytes::from_static(b"large");
        let mut deposit = replies.deposit(NodeId(1), body.clone());
        assert_eq!(replies.take(NodeId(2), deposit.token), None);
        assert_eq!(replies.take(NodeId(1), deposit.token.wrapping_add(1)), None);
        assert_eq!(replies.take(NodeId(1), deposit.token), Some(body.clone()));
        deposit.taken().await;
        assert_eq!(replies.take(NodeId(1), deposit.token), None);

        let deposit = replies.deposit(NodeId(1), body);
        let token = deposit.token;
        drop(deposit);
        assert_eq!(replies.take(NodeId(1), token), None);
    }
}
