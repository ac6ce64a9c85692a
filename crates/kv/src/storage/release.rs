//! The release of the formats that this node writes.
//!
//! What is stored goes to other nodes as it is, and a node may be started with the program of before
//! as long as not all members are of a later one. So everything is written in the last release that
//! all members read. That rises, and never falls; it is noted before anything is written in it, so that
//! a program that would not read the data says so at its start, and touches nothing.

use std::sync::atomic::{AtomicU16, Ordering};

use mapring_engine::Engine;
use mapring_types::{Error, Release, Releases, Result};
use parking_lot::Mutex;

/// The engine's meta value with its number; none for the first.
const NAME: &str = "kv-release";

/// See the module.
pub(crate) struct Written {
    release: AtomicU16,
    raising: Mutex<()>,
}

impl Written {
    /// Reads what was noted. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when the data is of a release that is not known here; `Storage`, `Corrupt`.
    pub(crate) fn open(engine: &dyn Engine) -> Result<Self> {
        let damaged = || Error::corrupt("the release of the stored data is not readable");
        let noted = match engine.meta(NAME)? {
            None => Release::FIRST,
            Some(bytes) => {
                let number = bytes.as_ref().try_into().map_err(|_| damaged())?;
                Release::new(u16::from_be_bytes(number))
            }
        };
        let known = Releases::own();
        if noted > known.writes {
            return Err(Error::unavailable(format!(
                "the data of this node is written in release {noted} of the formats, and {known} \
                 are known here: start a later release of mapring"
            )));
        }
        show(noted);
        engine.raise_release(noted)?;
        Ok(Self { release: AtomicU16::new(noted.number()), raising: Mutex::default() })
    }

    /// The release to write.
    pub(crate) fn release(&self) -> Release {
        Release::new(self.release.load(Ordering::Acquire))
    }

    /// Goes on to a later release; an earlier one has no effect. Blocks.
    ///
    /// # Errors
    /// `Storage`: then the former one is still written.
    pub(crate) fn raise(&self, engine: &dyn Engine, release: Release) -> Result<()> {
        let _one_at_a_time = self.raising.lock();
        if release <= self.release() {
            return Ok(());
        }
        engine.set_meta(NAME, &release.number().to_be_bytes())?;
        engine.raise_release(release)?;
        let before = self.release.swap(release.number(), Ordering::AcqRel);
        assert!(before < release.number(), "release {before} goes on to {release}");
        show(release);
        tracing::info!(%release, "every member reads a later release of the formats: it is written");
        Ok(())
    }
}

fn show(release: Release) {
    metrics::gauge!("mapring_kv_written_release").set(f64::from(release.number()));
}

#[cfg(test)]
mod tests {
    use mapring_engine::memory::MemoryEngine;
    use mapring_types::ErrorKind;

    use super::*;

    #[test]
    fn what_is_written_rises_and_is_noted() {
        let engine = MemoryEngine::new();
        let open = || Written::open(&engine);
        let written = open().unwrap();
        assert_eq!(written.release(), Release::FIRST);
        written.raise(&engine, Release::current()).unwrap();
        written.raise(&engine, Release::FIRST).unwrap();
        assert_eq!(written.release(), Release::current());
        assert_eq!(open().unwrap().release(), Release::current());
    }

    #[test]
    fn data_of_a_later_release_is_refused_with_both() {
        let engine = MemoryEngine::new();
        engine.set_meta(NAME, &77_u16.to_be_bytes()).unwrap();
        let error = Written::open(&engine).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let words = "written in release 77 of the formats, and 1 to ";
        assert!(error.message().contains(words), "{error}");
        engine.set_meta(NAME, b"x").unwrap();
        assert_eq!(Written::open(&engine).err().unwrap().kind(), ErrorKind::Corrupt);
    }
}
