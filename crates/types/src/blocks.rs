//! Bodies that are too large to lie in their object's record: in blocks beside it.

use serde::{Deserialize, Serialize};

/// Names one upload of a body: a random number, so that what one upload wrote is never taken for a
/// part of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub u128);

/// Where the bytes of a large value lie, in place of the bytes: as a value says it, the blocks are
/// complete. They belong to the write of that value alone and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blocks {
    /// The upload that wrote them.
    pub upload: UploadId,
    /// How many bytes the body has.
    pub bytes: u64,
    /// Bytes of every block but the last, which may have fewer; at least 1.
    pub block_bytes: u32,
    /// How many replicas the blocks were given.
    pub n_val: u32,
}

impl Blocks {
    /// How many blocks there are.
    pub fn count(&self) -> u64 {
        self.bytes.div_ceil(u64::from(self.block_bytes.max(1)))
    }

    /// Bytes of a block; 0 beyond the last.
    pub fn bytes_of(&self, number: u64) -> u64 {
        let before = number.saturating_mul(u64::from(self.block_bytes));
        self.bytes.saturating_sub(before).min(u64::from(self.block_bytes))
    }

    /// The block that has the byte at `offset`, and where in it.
    pub fn place(&self, offset: u64) -> (u64, u64) {
        let block = u64::from(self.block_bytes.max(1));
        (offset / block, offset % block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_body() {
        for (bytes, block_bytes, sizes) in
            [(0, 4, &[][..]), (1, 4, &[1]), (4, 4, &[4]), (5, 4, &[4, 1]), (12, 4, &[4, 4, 4])]
        {
            let blocks = Blocks { upload: UploadId(1), bytes, block_bytes, n_val: 3 };
            let found: Vec<u64> = (0..blocks.count()).map(|at| blocks.bytes_of(at)).collect();
            assert_eq!(found, sizes);
            assert_eq!(blocks.bytes_of(blocks.count()), 0);
            for offset in 0..bytes {
                let (number, within) = blocks.place(offset);
                assert_eq!(number * u64::from(block_bytes) + within, offset);
                assert!(within < blocks.bytes_of(number));
            }
        }
    }
}
