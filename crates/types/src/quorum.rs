//! Quorum values in Riak's words and numbers, and which replicas are on disk.

use serde::{Deserialize, Serialize};

/// How many replicas must answer. Riak's words; see the query parameters `r`, `w`, `pr`, `pw`, `dw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Quorum {
    /// What the bucket's properties say.
    #[default]
    Default,
    /// One replica.
    One,
    /// A majority: ⌊n_val / 2⌋ + 1.
    Majority,
    /// All `n_val` replicas.
    All,
    /// A fixed number.
    Count(u32),
}

impl Quorum {
    /// Reads `default`, `one`, `quorum`, `all` or a number from 0 up.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "default" => Self::Default,
            "one" => Self::One,
            "quorum" => Self::Majority,
            "all" => Self::All,
            number => Self::Count(number.parse().ok()?),
        })
    }

    /// The number meant for `n_val` replicas, with `fallback` (the bucket's property) in place of
    /// `default`. A property that itself says `default` means a majority.
    pub fn resolve(self, fallback: Quorum, n_val: u32) -> u32 {
        match self {
            Self::Default => match fallback {
                Self::Default => n_val / 2 + 1,
                other => other.resolve(Self::Majority, n_val),
            },
            Self::One => 1,
            Self::Majority => n_val / 2 + 1,
            Self::All => n_val,
            Self::Count(count) => count,
        }
    }

    /// As JSON: a number, or Riak's word.
    pub fn to_json(self) -> serde_json::Value {
        match self {
            Self::Default => "default".into(),
            Self::One => "one".into(),
            Self::Majority => "quorum".into(),
            Self::All => "all".into(),
            Self::Count(count) => count.into(),
        }
    }

    /// From JSON: a number from 0 up, or one of Riak's words.
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Number(number) => {
                Some(Self::Count(u32::try_from(number.as_u64()?).ok()?))
            }
            serde_json::Value::String(word) if word.parse::<u32>().is_err() => Self::parse(word),
            _ => None,
        }
    }
}

/// Which replicas of a write are fsynced before it is acknowledged, whatever the storage is configured to
/// (Riak 3.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum SyncOnWrite {
    /// None beyond what each node is configured to.
    #[default]
    Backend,
    /// The one of the node that coordinates.
    One,
    /// All that are acknowledged.
    All,
}

impl SyncOnWrite {
    /// Reads Riak's words; `default` is the first of them.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "backend" | "default" => Self::Backend,
            "one" => Self::One,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// Riak's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::One => "one",
            Self::All => "all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quorum: Quorum, fallback: Quorum, n_val: u32, expect: u32) {
        assert_eq!(quorum.resolve(fallback, n_val), expect);
    }

    #[test]
    fn resolves() {
        check(Quorum::Default, Quorum::Majority, 3, 2);
        check(Quorum::Default, Quorum::Default, 5, 3);
        check(Quorum::Default, Quorum::Count(0), 3, 0);
        check(Quorum::One, Quorum::All, 3, 1);
        check(Quorum::All, Quorum::One, 3, 3);
        check(Quorum::Majority, Quorum::One, 4, 3);
        check(Quorum::Count(7), Quorum::One, 3, 7);
    }

    #[test]
    fn reads_words_and_numbers() {
        assert_eq!(Quorum::parse("quorum"), Some(Quorum::Majority));
        assert_eq!(Quorum::parse("2"), Some(Quorum::Count(2)));
        assert_eq!(Quorum::parse("-1"), None);
        assert_eq!(Quorum::parse("many"), None);
    }

    #[test]
    fn words_of_syncs_are_read_and_written() {
        for sync in [SyncOnWrite::Backend, SyncOnWrite::One, SyncOnWrite::All] {
            assert_eq!(SyncOnWrite::parse(sync.word()), Some(sync));
        }
        assert_eq!(SyncOnWrite::parse("default"), Some(SyncOnWrite::Backend));
        assert_eq!(SyncOnWrite::parse("quorum"), None);
    }
}
