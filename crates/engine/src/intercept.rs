//! An engine with hooks around its calls: for tests and simulations, where the medium fails, stands
//! still or forgets, and all else is as the engine beneath does it.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use mapring_types::{Record, Release, Result};

use crate::{
    Engine, EngineStats, IndexChange, IndexEntry, Loss, ScanDepth, ScanRange, StoreKey, TermPlace,
    TermRange, Visitor,
};

/// A call of an engine that can fail, with what hooks may want to know of it.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// [`Engine::read`], and what is made of it.
    Read,
    /// [`Engine::put`].
    Put {
        /// The vnode.
        vnode: u16,
        /// The object.
        key: &'a StoreKey,
        /// What changes in the indexes.
        change: &'a IndexChange,
    },
    /// [`Engine::delete`].
    Delete {
        /// The vnode.
        vnode: u16,
        /// The object.
        key: &'a StoreKey,
        /// Its index entries.
        entries: &'a [IndexEntry],
    },
    /// [`Engine::change_index`].
    ChangeIndex {
        /// The vnode.
        vnode: u16,
        /// The object.
        key: &'a StoreKey,
        /// What changes in the indexes.
        change: &'a IndexChange,
    },
    /// [`Engine::walk`] and [`Engine::scan`].
    Walk,
    /// [`Engine::scan_terms`].
    ScanTerms,
    /// [`Engine::sync`].
    Sync,
    /// [`Engine::sync_disk`].
    SyncDisk,
    /// [`Engine::vnodes`], which gives none where a hook has it fail.
    Vnodes,
    /// [`Engine::meta`].
    Meta,
    /// [`Engine::set_meta`].
    SetMeta,
    /// [`Engine::append`].
    Append {
        /// The segment.
        segment: u64,
    },
    /// [`Engine::journal`].
    Journal,
    /// [`Engine::remove_segment`].
    RemoveSegment {
        /// The segment.
        segment: u64,
    },
    /// [`Engine::clear_loss`].
    ClearLoss,
    /// [`Engine::reset`].
    Reset,
    /// [`Engine::reopen`].
    Reopen,
}

/// What is done around the calls of an engine.
pub trait Intercept: Send + Sync + 'static {
    /// Goes before a call.
    ///
    /// # Errors
    /// What the call is answered with; the engine beneath is not asked then.
    fn before(&self, _call: Call<'_>) -> Result<()> {
        Ok(())
    }

    /// Follows a call that succeeded.
    ///
    /// # Errors
    /// What the call is answered with, though it was done.
    fn after(&self, _call: Call<'_>) -> Result<()> {
        Ok(())
    }

    /// What [`Engine::position`] gives, if not what the engine beneath does.
    fn position(&self) -> Option<u64> {
        None
    }
}

/// An engine with hooks.
pub struct Intercepted<I> {
    engine: Arc<dyn Engine>,
    hooks: I,
}

impl<I: Intercept> Intercepted<I> {
    /// Puts `hooks` around the calls of `engine`.
    pub fn new(engine: Arc<dyn Engine>, hooks: I) -> Self {
        Self { engine, hooks }
    }

    fn around<T>(&self, call: Call<'_>, ask: impl FnOnce(&dyn Engine) -> Result<T>) -> Result<T> {
        self.hooks.before(call)?;
        let answer = ask(self.engine.as_ref())?;
        self.hooks.after(call)?;
        Ok(answer)
    }
}

impl<I: Intercept> Engine for Intercepted<I> {
    fn read(&self, vnode: u16, key: &StoreKey, depth: ScanDepth) -> Result<Option<Record>> {
        self.around(Call::Read, |engine| engine.read(vnode, key, depth))
    }

    fn put(&self, vnode: u16, key: &StoreKey, record: &Record, change: &IndexChange) -> Result<()> {
        let call = Call::Put { vnode, key, change };
        self.around(call, |engine| engine.put(vnode, key, record, change))
    }

    fn delete(&self, vnode: u16, key: &StoreKey, entries: &[IndexEntry]) -> Result<()> {
        let call = Call::Delete { vnode, key, entries };
        self.around(call, |engine| engine.delete(vnode, key, entries))
    }

    fn change_index(&self, vnode: u16, key: &StoreKey, change: &IndexChange) -> Result<()> {
        let call = Call::ChangeIndex { vnode, key, change };
        self.around(call, |engine| engine.change_index(vnode, key, change))
    }

    fn walk(
        &self,
        vnode: u16,
        range: &ScanRange,
        depth: ScanDepth,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        self.around(Call::Walk, |engine| engine.walk(vnode, range, depth, visitor))
    }

    fn scan_terms(
        &self,
        vnode: u16,
        range: &TermRange,
        visit: &mut dyn FnMut(TermPlace) -> ControlFlow<()>,
    ) -> Result<()> {
        self.around(Call::ScanTerms, |engine| engine.scan_terms(vnode, range, visit))
    }

    fn sync(&self) -> Result<()> {
        self.around(Call::Sync, Engine::sync)
    }

    fn sync_disk(&self) -> Result<()> {
        self.around(Call::SyncDisk, Engine::sync_disk)
    }

    fn vnodes(&self) -> Vec<u16> {
        self.around(Call::Vnodes, |engine| Ok(engine.vnodes())).unwrap_or_default()
    }

    fn meta(&self, name: &str) -> Result<Option<Bytes>> {
        self.around(Call::Meta, |engine| engine.meta(name))
    }

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<()> {
        self.around(Call::SetMeta, |engine| engine.set_meta(name, value))
    }

    fn append(&self, segment: u64, entry: &[u8]) -> Result<()> {
        self.around(Call::Append { segment }, |engine| engine.append(segment, entry))
    }

    fn journal(&self) -> Result<Vec<(u64, Vec<Bytes>)>> {
        self.around(Call::Journal, Engine::journal)
    }

    fn remove_segment(&self, segment: u64) -> Result<()> {
        self.around(Call::RemoveSegment { segment }, |engine| engine.remove_segment(segment))
    }

    fn stats(&self) -> EngineStats {
        self.engine.stats()
    }

    fn loss(&self) -> Option<Loss> {
        self.engine.loss()
    }

    fn clear_loss(&self, loss: &Loss) -> Result<bool> {
        self.around(Call::ClearLoss, |engine| engine.clear_loss(loss))
    }

    fn reset(&self) -> Result<()> {
        self.around(Call::Reset, Engine::reset)
    }

    fn reopen(&self) -> Result<bool> {
        self.around(Call::Reopen, Engine::reopen)
    }

    fn generation(&self) -> u64 {
        self.engine.generation()
    }

    fn position(&self) -> u64 {
        self.hooks.position().unwrap_or_else(|| self.engine.position())
    }

    fn raise_release(&self, release: Release) -> Result<()> {
        self.engine.raise_release(release)
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::{Error, ErrorKind};
    use parking_lot::Mutex;

    use super::*;
    use crate::MemoryEngine;
    use crate::conformance::{self, at, object, record};

    /// Lets everything pass.
    struct Nothing;

    impl Intercept for Nothing {}

    #[test]
    fn passes_the_conformance_suite() {
        let new = || Intercepted::new(Arc::new(MemoryEngine::default()), Nothing);
        conformance::run("intercepted", new);
        conformance::equals_the_model(&new(), 20);
        conformance::indexes::equal_the_model(&new(), 20);
    }

    /// Has calls fail, and notes which of them came so far.
    #[derive(Default)]
    struct Failing {
        before: Mutex<bool>,
        after: Mutex<bool>,
        done: Mutex<usize>,
    }

    impl Intercept for Arc<Failing> {
        fn before(&self, _call: Call<'_>) -> Result<()> {
            fail(*self.before.lock())
        }

        fn after(&self, _call: Call<'_>) -> Result<()> {
            *self.done.lock() += 1;
            fail(*self.after.lock())
        }
    }

    fn fail(fails: bool) -> Result<()> {
        if fails { Err(Error::new(ErrorKind::Storage, "as asked for")) } else { Ok(()) }
    }

    #[test]
    fn a_hook_before_keeps_a_call_away_and_one_after_takes_its_answer() {
        let (beneath, hooks) = (Arc::new(MemoryEngine::default()), Arc::new(Failing::default()));
        let engine = Intercepted::new(beneath.clone(), hooks.clone());
        let (key, record) = (at(1, object("b", "k")), record(10, 10, 1));
        *hooks.before.lock() = true;
        engine.put(0, &key, &record, &IndexChange::NONE).unwrap_err();
        assert_eq!((beneath.get(0, &key).unwrap(), *hooks.done.lock()), (None, 0));
        *hooks.before.lock() = false;
        *hooks.after.lock() = true;
        engine.put(0, &key, &record, &IndexChange::NONE).unwrap_err();
        assert_eq!((beneath.get(0, &key).unwrap(), *hooks.done.lock()), (Some(record), 1));
        assert_eq!(engine.vnodes(), Vec::<u16>::new());
    }
}
