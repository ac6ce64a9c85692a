//! What all nodes of a cluster know, and nobody else.

use std::fmt;

/// The secrets of a cluster: one that nodes prove to know, and those that they believe. Two are valid
/// while one takes the place of the other.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    signs: String,
    also: Vec<String>,
}

impl Secrets {
    /// Signs with `signs`, accepts that and `also`. An empty `signs` is none at all.
    pub fn new(signs: impl Into<String>, also: Vec<String>) -> Self {
        Self { signs: signs.into(), also }
    }

    /// Whether there is none: whoever comes is believed.
    pub fn is_empty(&self) -> bool {
        self.signs.is_empty()
    }

    /// What this node signs with.
    pub fn signs(&self) -> &[u8] {
        self.signs.as_bytes()
    }

    /// What others may have signed with, the own one first.
    pub fn accepted(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.signs()).chain(self.also.iter().map(String::as_bytes))
    }
}

/// How many there are; never which.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = usize::from(!self.is_empty()) + self.also.len();
        write!(f, "Secrets({count})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_signs_and_several_are_accepted() {
        let secrets = Secrets::new("new", vec!["old".to_owned()]);
        assert_eq!(secrets.signs(), b"new");
        assert_eq!(secrets.accepted().collect::<Vec<_>>(), [&b"new"[..], b"old"]);
        assert!(!secrets.is_empty() && Secrets::default().is_empty());
        // What is logged by mistake says nothing.
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    }
}
