//! Where segments are written to and read from.

use mapring_types::{Error, Result};

/// Takes the bytes of a segment, one piece after the other.
pub trait Sink {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Those of the place where they go.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Has the bytes of a segment. Reading blocks.
pub trait Source: Send + Sync {
    /// Bytes in all.
    fn length(&self) -> u64;

    /// Reads from a byte on as many as `into` has.
    ///
    /// # Errors
    /// Those of the place where they are; `Corrupt` when there are fewer.
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()>;

    /// What it is, for errors: `segment 1/2/3`.
    fn name(&self) -> String;
}

/// A segment in memory.
#[derive(Debug, Clone)]
pub struct Memory(pub Vec<u8>);

impl Source for Memory {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let bytes = usize::try_from(at).ok().and_then(|at| self.0.get(at..)?.get(..into.len()));
        let bytes = bytes.ok_or_else(|| Error::corrupt("a segment in memory is too short"))?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    fn name(&self) -> String {
        "a segment in memory".to_owned()
    }
}
