//! Which datagrams of a sender have been taken, so that none is taken twice.

use super::seal::Refusal;

/// What was taken of one sender: the newest number of its present life, and which of the 63 before
/// it, since datagrams overtake each other.
#[derive(Debug, Default)]
pub(super) struct Window {
    life: u64,
    newest: u64,
    /// Bit `n`: the number `newest - n` was taken.
    taken: u64,
}

impl Window {
    /// The latest life of the sender.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// Takes a datagram, once.
    pub(super) fn take(&mut self, life: u64, number: u64) -> Result<(), Refusal> {
        if life < self.life {
            return Err(Refusal::Stale);
        }
        if life > self.life {
            *self = Self { life, newest: number, taken: 1 };
            return Ok(());
        }
        if number > self.newest {
            let further = u32::try_from(number - self.newest).unwrap_or(u32::MAX);
            self.taken = self.taken.checked_shl(further).unwrap_or(0) | 1;
            self.newest = number;
            return Ok(());
        }
        let behind = u32::try_from(self.newest - number).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(behind).ok_or(Refusal::Replayed)?;
        if self.taken & bit != 0 {
            return Err(Refusal::Replayed);
        }
        self.taken |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Result<(), Refusal> = Err(Refusal::Stale);
    const REPLAYED: Result<(), Refusal> = Err(Refusal::Replayed);

    #[test]
    fn each_datagram_is_taken_once_in_about_any_order() {
        let mut window = Window::default();
        for (step, (life, number, expected)) in [
            (5, 1, Ok(())),
            (5, 1, REPLAYED),
            (5, 3, Ok(())),
            (5, 2, Ok(())),
            (5, 2, REPLAYED),
            (5, 3, REPLAYED),
            (5, 66, Ok(())),
            // 63 before the newest, and one more.
            (5, 3, REPLAYED),
            (5, 2, REPLAYED),
            (5, 4, Ok(())),
            (5, 4, REPLAYED),
            (5, 1_000_000_000_000, Ok(())),
            (5, 66, REPLAYED),
            (4, 2_000_000_000_000, STALE),
            (6, 1, Ok(())),
            (6, 1, REPLAYED),
            (5, 1_000_000_000_001, STALE),
            (6, u64::MAX, Ok(())),
            (6, u64::MAX, REPLAYED),
            (6, 2, REPLAYED),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(window.take(life, number), expected, "step {step}");
        }
    }
}
