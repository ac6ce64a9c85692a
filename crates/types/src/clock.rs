//! Dotted version vectors: who wrote what, and who had seen it.
//!
//! Every write is named by a [`Dot`]: the vnode that coordinated it and that vnode's counter. An
//! object's [`VersionVector`] says which dots its writers had seen. A sibling is obsolete exactly
//! when its dot is covered by another replica's vector and absent from that replica's siblings
//! (Preguiça et al., "Dotted Version Vectors", 2012).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::limits;
use crate::versioned::{Nothing, Release, Versioned, damaged};

/// Who stamps dots: one life of one vnode's data. A vnode whose data was lost or fell back takes a
/// new one, so that no dot is ever given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActorId(pub u64);

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The name of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// The vnode that coordinated the write.
    pub actor: ActorId,
    /// Its counter, from 1.
    pub counter: u64,
}

/// For each actor, the highest counter that has been seen. Entries are sorted by actor and never 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct VersionVector(Vec<(ActorId, u64)>);

impl<'de> Deserialize<'de> for VersionVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let clock = Self(Vec::deserialize(deserializer)?);
        // From here on it is taken to be so.
        if clock.is_ordered() { Ok(clock) } else { Err(D::Error::custom("a clock out of order")) }
    }
}

impl Versioned for VersionVector {
    const WHAT: &'static str = "a vclock";
    const VERSION: u8 = 1;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        let (clock, left) = postcard::take_from_bytes(body).map_err(damaged::<Self>)?;
        if !left.is_empty() {
            return Err(Error::corrupt("a vclock has bytes after its end"));
        }
        Ok(clock)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl VersionVector {
    /// The vector that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The highest counter seen of `actor`; 0 for none.
    pub fn get(&self, actor: ActorId) -> u64 {
        self.0.binary_search_by_key(&actor, |entry| entry.0).map_or(0, |at| self.0[at].1)
    }

    /// Whether the write named by `dot` has been seen.
    pub fn covers(&self, dot: Dot) -> bool {
        self.get(dot.actor) >= dot.counter
    }

    /// Takes `dot` and all earlier dots of its actor as seen.
    pub fn add(&mut self, dot: Dot) {
        match self.0.binary_search_by_key(&dot.actor, |entry| entry.0) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(dot.counter),
            Err(at) => self.0.insert(at, (dot.actor, dot.counter)),
        }
    }

    /// Takes all that `other` has seen as seen.
    pub fn merge(&mut self, other: &Self) {
        for &(actor, counter) in &other.0 {
            self.add(Dot { actor, counter });
        }
    }

    /// Whether all that `other` has seen has been seen here.
    pub fn dominates(&self, other: &Self) -> bool {
        other.0.iter().all(|&(actor, counter)| self.get(actor) >= counter)
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many actors the vector names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the entries are sorted by actor, without any twice and without a 0: it holds of every
    /// vector that was made here, and is asked of what is read.
    fn is_ordered(&self) -> bool {
        self.0.is_sorted_by(|one, next| one.0 < next.0) && self.0.iter().all(|entry| entry.1 > 0)
    }

    /// The entries, by actor.
    pub fn entries(&self) -> impl Iterator<Item = Dot> + '_ {
        self.0.iter().map(|&(actor, counter)| Dot { actor, counter })
    }

    /// The opaque text of the header `X-Riak-Vclock`: base64 of a version byte and the entries.
    pub fn to_header(&self) -> String {
        // Clients give it back to any node of the cluster, and keep it for long: it is in the version
        // of the first release for as long as that says all.
        let version = Self::version_at(Release::FIRST);
        let bytes = postcard::to_extend(&self.0, vec![version]).unwrap_or_default();
        STANDARD.encode(bytes)
    }

    /// Reads what [`Self::to_header`] wrote.
    ///
    /// # Errors
    /// `Invalid` when the text is not base64, not of a known version, out of order or too long.
    pub fn from_header(text: &str) -> Result<Self> {
        let refuse = |why: &str| Error::invalid(format!("the vclock {why}"));
        if text.len() > limits::VCLOCK_HEADER_BYTES {
            return Err(refuse("is too long"));
        }
        let bytes = STANDARD.decode(text.trim()).map_err(|_| refuse("is not base64"))?;
        let (version, body) =
            Self::split(&bytes).map_err(|_| refuse("was not made by this cluster"))?;
        Self::read_version(version, body).map_err(|_| refuse("is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(entries: &[(u64, u64)]) -> VersionVector {
        let mut vector = VersionVector::new();
        for &(actor, counter) in entries {
            vector.add(Dot { actor: ActorId(actor), counter });
        }
        vector
    }

    #[test]
    fn merge_takes_the_highest_of_both() {
        let mut left = vector(&[(1, 5), (3, 1)]);
        left.merge(&vector(&[(1, 2), (2, 7)]));
        assert_eq!(left, vector(&[(1, 5), (2, 7), (3, 1)]));
        assert!(left.dominates(&vector(&[(2, 7)])));
        assert!(!left.dominates(&vector(&[(2, 8)])));
        assert!(!left.dominates(&vector(&[(9, 1)])));
    }

    #[test]
    fn header_round_trip() {
        for entries in [&[][..], &[(1, 1)], &[(7, u64::MAX), (u64::MAX, 3)]] {
            let clock = vector(entries);
            assert_eq!(VersionVector::from_header(&clock.to_header()).unwrap(), clock);
        }
    }

    #[test]
    fn header_refuses_what_it_did_not_write() {
        for text in
            ["", "%%%", "a85hYGBgzGDKBVI8ypz/fioknA+GCCUy5rEynHhf9oQvCwA=", "AQEBAA==", "AQ=="]
        {
            assert!(VersionVector::from_header(text).is_err(), "{text:?}");
        }
    }
}
