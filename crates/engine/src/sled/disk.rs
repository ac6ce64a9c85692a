//! What makes single writes survive a loss of power where the store is not configured to. Those who wait
//! while another one is at it share the next round.

use std::sync::atomic::{AtomicU64, Ordering};

use mapring_types::Result;
use parking_lot::Mutex;

/// See the module.
pub(super) struct DiskSync<F> {
    taken: AtomicU64,
    /// With the last ticket that a round has served.
    files: Mutex<(F, u64)>,
}

impl<F> DiskSync<F> {
    pub(super) fn new(files: F) -> Self {
        Self { taken: AtomicU64::new(0), files: Mutex::new((files, 0)) }
    }

    /// Returns when a round has succeeded that began after the call. Blocks.
    pub(super) fn wait(&self, round: impl FnOnce(&mut F) -> Result<()>) -> Result<()> {
        let own = self.taken.fetch_add(1, Ordering::SeqCst) + 1;
        let mut guard = self.files.lock();
        let (files, served) = &mut *guard;
        if *served >= own {
            return Ok(());
        }
        let serves = self.taken.load(Ordering::SeqCst);
        round(files)?;
        assert!(*served < serves, "a round for ticket {serves} after {served}");
        *served = serves;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::Error;

    use super::*;

    #[test]
    fn those_who_come_during_a_round_share_the_next() {
        let disk = DiskSync::new(0_u32);
        disk.wait(|rounds| {
            *rounds += 1;
            Ok(())
        })
        .unwrap();
        assert!(disk.wait(|_| Err(Error::internal("no"))).is_err(), "the next one tries again");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    disk.wait(|rounds| {
                        *rounds += 1;
                        Ok(())
                    })
                });
            }
        });
        let (rounds, served) = *disk.files.lock();
        assert!((2..=9).contains(&rounds), "{rounds}");
        assert_eq!(served, 10);
    }
}
