//! What an engine knows to be missing from what it holds, kept until it has been filled again.

use std::sync::Arc;

use mapring_types::{Error, Result};
use parking_lot::Mutex;

use crate::meta::MetaFiles;

/// How far what is there can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossKind {
    /// There was nothing when the engine was opened: a new one, or one that has lost everything.
    Empty,
    /// The end is missing: what is there is sound, and older than it was.
    Behind,
    /// Something in the midst cannot be read, or an unknown part is missing.
    Damaged,
}

/// Something that an engine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// How far the rest can be relied on.
    pub kind: LossKind,
    /// Which file or object, in words.
    pub what: String,
}

impl Loss {
    pub(crate) fn new(kind: LossKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }

    fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            LossKind::Empty => b'e',
            LossKind::Behind => b'b',
            LossKind::Damaged => b'd',
        };
        [&[kind], self.what.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>> {
        let Some((kind, what)) = bytes.split_first() else { return Ok(None) };
        let kind = match kind {
            b'e' => LossKind::Empty,
            b'b' => LossKind::Behind,
            b'd' => LossKind::Damaged,
            _ => return Err(Error::corrupt("the note of what the store lacks is of another kind")),
        };
        Ok(Some(Self::new(kind, String::from_utf8_lossy(what))))
    }
}

/// The loss of a store, kept in a meta value so that it outlives the process.
#[derive(Clone)]
pub(crate) struct Losses {
    meta: Arc<MetaFiles>,
    state: Arc<Mutex<Option<Loss>>>,
}

/// The name of the meta value.
const NAME: &str = "engine-loss";

impl Losses {
    /// Reads what was noted before. A note that cannot be read is a loss like any other.
    pub(crate) fn open(meta: &Arc<MetaFiles>) -> Self {
        let stored = meta.get(NAME).and_then(|value| Loss::decode(&value.unwrap_or_default()));
        let loss =
            stored.unwrap_or_else(|error| Some(Loss::new(LossKind::Behind, error.to_string())));
        Self { meta: Arc::clone(meta), state: Arc::new(Mutex::new(loss)) }
    }

    pub(crate) fn get(&self) -> Option<Loss> {
        self.state.lock().clone()
    }

    /// Notes a loss, unless as much is known already. Where the note cannot be written it is known
    /// in memory alone.
    pub(crate) fn note(&self, loss: Loss) {
        let mut state = self.state.lock();
        if state.as_ref().is_some_and(|known| known.kind >= loss.kind) {
            return;
        }
        if loss.kind != LossKind::Empty {
            tracing::error!(kind = ?loss.kind, what = %loss.what, "the store has lost something");
            metrics::counter!("mapring_engine_losses_total").increment(1);
        }
        if let Err(error) = self.meta.set(NAME, &loss.encode()) {
            tracing::error!(%error, "the loss cannot be noted");
        }
        *state = Some(loss);
    }

    /// Forgets `loss`, unless another has been found meanwhile; returns whether nothing is missing.
    pub(crate) fn clear(&self, loss: &Loss) -> Result<bool> {
        let mut state = self.state.lock();
        if state.as_ref() == Some(loss) {
            self.meta.set(NAME, b"")?;
            *state = None;
        }
        Ok(state.is_none())
    }

    /// Puts a loss in place of a larger one: the damaged part is gone.
    pub(crate) fn replace(&self, loss: Loss) -> Result<()> {
        let mut state = self.state.lock();
        self.meta.set(NAME, &loss.encode())?;
        *state = Some(loss);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_kept_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Losses::open(&Arc::new(MetaFiles::open(dir.path().to_owned()).unwrap()));
        let behind = Loss::new(LossKind::Behind, "the end of db");
        let damaged = Loss::new(LossKind::Damaged, "vnode 7: object b/ä");
        assert_eq!(open().get(), None);
        open().note(behind.clone());
        let losses = open();
        assert_eq!(losses.get().as_ref(), Some(&behind));
        losses.note(damaged.clone());
        losses.note(behind.clone());
        assert_eq!(open().get().as_ref(), Some(&damaged), "the worst is kept");
        assert!(!losses.clear(&behind).unwrap());
        assert!(losses.clear(&damaged).unwrap() && losses.get().is_none());
        assert_eq!(open().get(), None);
        std::fs::write(dir.path().join(NAME), b"?").unwrap();
        assert_eq!(open().get().unwrap().kind, LossKind::Behind);
    }
}
