//! What is wrong with settings.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where: `file:line`, a variable, a flag or a key.
    pub place: String,
    /// What.
    pub what: String,
}

/// Everything that is wrong, in the order in which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "the configuration has {count} {noun}:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {}: {}", mistake.place, mistake.what))
    }
}

impl std::error::Error for Mistakes {}
