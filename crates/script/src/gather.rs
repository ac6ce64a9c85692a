//! Pairs on their way out of a batch of map calls: as they come, or folded by a built-in combiner.

use mapring_shuffle::Pairs;

use crate::groups::unfit;
use crate::native::job::{Fold, FoldedPairs, Given};
use crate::{MappedPairs, ScriptError};

/// See the module.
#[derive(Debug)]
pub(crate) struct Gather {
    into: Into,
    /// How many pairs came, and about their bytes.
    made: u64,
    made_bytes: u64,
}

#[derive(Debug)]
enum Into {
    Pairs(Pairs),
    Folded(FoldedPairs),
}

impl Gather {
    /// Gathers pairs; with a fold only what they come to, by key.
    pub(crate) fn new(fold: Option<Fold>) -> Self {
        let into = match fold {
            Some(fold) => Into::Folded(FoldedPairs::new(fold)),
            None => Into::Pairs(Pairs::new()),
        };
        Self { into, made: 0, made_bytes: 0 }
    }

    /// Whether a number need not become a text.
    pub(crate) fn takes_numbers(&self) -> bool {
        matches!(self.into, Into::Folded(_))
    }

    /// Takes a pair of an input: the key in its canonical form.
    pub(crate) fn push(
        &mut self,
        input: u32,
        key: &[u8],
        value: Given<'_>,
    ) -> Result<(), ScriptError> {
        self.made += 1;
        self.made_bytes += (key.len() + value.bytes()) as u64;
        match &mut self.into {
            Into::Folded(folded) => folded.push(input, key, value),
            Into::Pairs(pairs) => match value {
                Given::Text(text) => pairs.push(input, key, text).map_err(unfit),
                Given::Number(_) => pairs.push(input, key, &value.text()).map_err(unfit),
            },
        }
    }

    /// About the bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        match &self.into {
            Into::Pairs(pairs) => pairs.bytes(),
            Into::Folded(folded) => folded.bytes(),
        }
    }

    /// What so many inputs gave.
    pub(crate) fn finish(self, inputs: usize) -> Result<MappedPairs, ScriptError> {
        let (pairs, combined) = match self.into {
            Into::Pairs(pairs) => (pairs, 0),
            Into::Folded(folded) => {
                let keys = folded.keys() as u64;
                (folded.finish()?, keys)
            }
        };
        Ok(MappedPairs {
            inputs: u32::try_from(inputs).unwrap_or(u32::MAX),
            pairs,
            made: self.made,
            made_bytes: self.made_bytes,
            combined,
            ..MappedPairs::default()
        })
    }
}
