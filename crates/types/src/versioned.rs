//! Formats that can change.
//!
//! Whatever is stored or sent begins with the version of its format. A format that changes keeps
//! what it was before as its [`Versioned::Previous`], reads that too, and makes the present shape of
//! it: so a program reads what any former one has written. What it writes follows from the
//! [`Release`] that all who are to read it know: nodes tell each other which releases they read and
//! write ([`Releases`]), and a cluster writes what its oldest member reads. So nodes are made newer
//! one by one (see `docs/adr/019`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The formats of mapring as a whole at one time. Goes up by one with every program that writes
/// something which the one before cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Release(u16);

impl Release {
    /// The formats of the programs that did not tell which they know.
    pub const FIRST: Self = Self(1);

    /// The metadata says of each member which releases it knows.
    pub const MEMBERS_TELL: Self = Self(2);

    /// Pairs are grouped by key, and objects larger than a message have their bodies in blocks.
    pub const GROUPS: Self = Self(3);

    /// The metadata has jobs, and their objects lie in a bucket type that no client has.
    pub const JOBS: Self = Self(4);

    /// Data types are updated where they lie.
    pub const DATATYPES: Self = Self(5);

    /// What nodes gossip is sealed with the secret of their cluster.
    pub const SEALED_GOSSIP: Self = Self(6);

    /// The last release that this program knows.
    #[cfg(not(feature = "next-version"))]
    pub const fn current() -> Self {
        Self::SEALED_GOSSIP
    }

    /// The last release that this program knows: where the environment says so, one that no program
    /// has yet, to see nodes of two releases in one cluster.
    #[cfg(feature = "next-version")]
    pub fn current() -> Self {
        static NEXT: std::sync::LazyLock<bool> =
            std::sync::LazyLock::new(|| std::env::var_os(NEXT_VERSION).is_some());
        if *NEXT { Self::NEXT } else { Self::SEALED_GOSSIP }
    }

    /// The release that no program has yet.
    #[cfg(feature = "next-version")]
    pub const NEXT: Self = Self(7);

    /// The release of a number, as it was stored or sent.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the environment says for the release that no program has yet.
#[cfg(feature = "next-version")]
const NEXT_VERSION: &str = "MAPRING_NEXT_VERSION";

/// What processes of the same program have to find in their environment to know as much as this one:
/// nothing, but in tests of two releases.
pub fn told() -> Option<(&'static str, &'static str)> {
    #[cfg(feature = "next-version")]
    if Release::current() == Release::NEXT {
        return Some((NEXT_VERSION, "1"));
    }
    None
}

/// The releases that a node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Releases {
    /// The lowest whose formats it reads.
    pub reads: Release,
    /// The highest whose formats it writes.
    pub writes: Release,
}

impl Releases {
    /// Of a node that does not tell.
    pub const BEFORE: Self = Self { reads: Release::FIRST, writes: Release::FIRST };

    /// Of this program.
    pub fn own() -> Self {
        Self { reads: Release::FIRST, writes: Release::current() }
    }

    /// The highest release that both know; `None` when neither reads what the other writes.
    pub fn common(self, other: Self) -> Option<Release> {
        let highest = self.writes.min(other.writes);
        (highest >= self.reads && highest >= other.reads).then_some(highest)
    }
}

impl fmt::Display for Releases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.reads, self.writes)
    }
}

/// A format, in one of its versions.
pub trait Versioned: Sized {
    /// What it is, for errors: `a stored head`.
    const WHAT: &'static str;

    /// The version: the first byte of what is stored or sent.
    const VERSION: u8;

    /// The first release that knows it.
    const SINCE: Release = Release::FIRST;

    /// The version before, or [`Nothing`].
    type Previous: Versioned;

    /// Whether the version, of this format, is read here.
    fn knows(version: u8) -> bool {
        (version == Self::VERSION && Self::is_present()) || Self::Previous::knows(version)
    }

    /// The version to write for readers who know `release`.
    fn version_at(release: Release) -> u8 {
        if Self::SINCE <= release { Self::VERSION } else { Self::Previous::version_at(release) }
    }

    /// The lowest and the highest version that are read here; 0 for none.
    fn known() -> (u8, u8) {
        match (Self::is_present(), Self::Previous::known()) {
            (false, known) => known,
            (true, (0, _)) => (Self::VERSION, Self::VERSION),
            (true, (lowest, _)) => (lowest, Self::VERSION),
        }
    }

    /// Whether this program knows the release that brought it.
    fn is_present() -> bool {
        Self::SINCE <= Release::current()
    }

    /// The version that bytes begin with, one that is read here, and the rest.
    ///
    /// # Errors
    /// `Corrupt` for no bytes, `Unavailable` for another version: what is not understood here may be
    /// elsewhere, and is never taken for damage.
    fn split(bytes: &[u8]) -> Result<(u8, &[u8])> {
        match bytes.split_first() {
            Some((&version, body)) => Self::check(version).map(|()| (version, body)),
            None => Err(Error::corrupt(format!("{} is empty", Self::WHAT))),
        }
    }

    /// Whether a version is read here.
    ///
    /// # Errors
    /// `Unavailable`, naming both.
    fn check(version: u8) -> Result<()> {
        if Self::knows(version) { Ok(()) } else { Err(unknown::<Self>(version)) }
    }

    /// Reads what stands after the version.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    fn read(body: &[u8]) -> Result<Self>;

    /// What the version before has said, in this one's shape.
    ///
    /// # Errors
    /// `Corrupt` when it makes no sense.
    fn migrate(previous: Self::Previous) -> Result<Self>;

    /// Reads what this version or a former one has written.
    ///
    /// # Errors
    /// As [`Versioned::split`]; `Corrupt` when it is damaged.
    fn decode(bytes: &[u8]) -> Result<Self> {
        let (version, body) = Self::split(bytes)?;
        Self::read_version(version, body)
    }

    /// As [`Versioned::decode`], where the version stands apart from the rest.
    ///
    /// # Errors
    /// As [`Versioned::decode`].
    fn read_version(version: u8, body: &[u8]) -> Result<Self> {
        Self::check(version)?;
        if version == Self::VERSION {
            return Self::read(body);
        }
        Self::migrate(Self::Previous::read_version(version, body)?)
    }
}

/// Makes a type a format in the first version that is read here: `first_version!(Grave, 1, "a grave")` one
/// whose bytes are postcard, `first_version!(Mark, 1, "a mark", Mark)` one of which only the version is
/// read.
#[macro_export]
macro_rules! first_version {
    ($format:ty, $version:literal, $what:literal) => {
        $crate::first_version!(@read $format, $version, $what, $crate::versioned::from_postcard);
    };
    ($format:ty, $version:literal, $what:literal, $mark:expr) => {
        $crate::first_version!(@read $format, $version, $what, |_| Ok($mark));
    };
    (@read $format:ty, $version:literal, $what:literal, $read:expr) => {
        impl $crate::versioned::Versioned for $format {
            const WHAT: &'static str = $what;
            const VERSION: u8 = $version;
            type Previous = $crate::versioned::Nothing;

            fn read(body: &[u8]) -> $crate::Result<Self> {
                ($read)(body)
            }

            fn migrate(previous: $crate::versioned::Nothing) -> $crate::Result<Self> {
                match previous {}
            }
        }
    };
}

/// What is before the first version of a format: no bytes say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {}

impl Versioned for Nothing {
    const WHAT: &'static str = "nothing";
    /// No format has it.
    const VERSION: u8 = 0;
    type Previous = Self;

    fn knows(_: u8) -> bool {
        false
    }

    fn version_at(_: Release) -> u8 {
        Self::VERSION
    }

    fn known() -> (u8, u8) {
        (Self::VERSION, Self::VERSION)
    }

    fn read(_: &[u8]) -> Result<Self> {
        Err(unknown::<Self>(Self::VERSION))
    }

    fn migrate(previous: Self) -> Result<Self> {
        match previous {}
    }
}

/// Reads a value of postcard, as most formats are.
///
/// # Errors
/// `Corrupt` when it is damaged.
pub fn from_postcard<'a, T: Versioned + Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    postcard::from_bytes(body).map_err(damaged::<T>)
}

/// Writes a value of postcard behind its version.
///
/// # Errors
/// `Internal`: a defect.
pub fn to_postcard<T: Versioned + Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, vec![T::VERSION]).map_err(|error| {
        Error::internal(format!("{} cannot be encoded", T::WHAT)).with_source(error)
    })
}

/// Bytes of a known version that cannot be read.
pub fn damaged<T: Versioned>(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::corrupt(format!("{} is damaged", T::WHAT)).with_source(source)
}

fn unknown<T: Versioned>(version: u8) -> Error {
    let read = match T::known() {
        (lowest, highest) if lowest == highest => format!("version {highest} is"),
        (lowest, highest) => format!("versions {lowest} to {highest} are"),
    };
    let what = T::WHAT;
    Error::unavailable(format!(
        "{what} has version {version}, and {read} understood here: another release of mapring wrote it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A format of three versions, the last of a release that is not there yet.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One(u8);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Two(u8, u8);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Later(u8, u8, u8);

    impl Versioned for One {
        const WHAT: &'static str = "a thing";
        const VERSION: u8 = 3;
        type Previous = Nothing;

        fn read(body: &[u8]) -> Result<Self> {
            from_postcard(body)
        }

        fn migrate(previous: Nothing) -> Result<Self> {
            match previous {}
        }
    }

    impl Versioned for Two {
        const WHAT: &'static str = "a thing";
        const VERSION: u8 = 4;
        const SINCE: Release = Release::MEMBERS_TELL;
        type Previous = One;

        fn read(body: &[u8]) -> Result<Self> {
            from_postcard(body)
        }

        fn migrate(One(first): One) -> Result<Self> {
            Ok(Self(first, 0))
        }
    }

    impl Versioned for Later {
        const WHAT: &'static str = "a thing";
        const VERSION: u8 = 5;
        const SINCE: Release = Release::new(u16::MAX);
        type Previous = Two;

        fn read(body: &[u8]) -> Result<Self> {
            from_postcard(body)
        }

        fn migrate(Two(first, second): Two) -> Result<Self> {
            Ok(Self(first, second, 0))
        }
    }

    #[test]
    fn former_versions_are_read_and_become_the_present_one() {
        assert_eq!(One::decode(&[3, 7]).unwrap(), One(7));
        assert_eq!(Two::decode(&[3, 7]).unwrap(), Two(7, 0));
        assert_eq!(Two::decode(&[4, 7, 8]).unwrap(), Two(7, 8));
        assert_eq!(Later::decode(&[3, 7]).unwrap(), Later(7, 0, 0));
        assert_eq!(Later::decode(&[4, 7, 8]).unwrap(), Later(7, 8, 0));
    }

    #[track_caller]
    fn check_refused<T: Versioned + fmt::Debug>(bytes: &[u8], words: &str) {
        let error = T::decode(bytes).unwrap_err();
        assert_eq!(error.message(), words);
        let foreign = error.kind() == crate::ErrorKind::Unavailable;
        assert_eq!(foreign, words.contains("version"), "what is foreign is no damage");
    }

    #[test]
    fn what_is_not_known_is_refused_with_both_versions() {
        let of = |version: u8, read: &str| {
            format!(
                "a thing has version {version}, and {read} understood here: another release of \
                 mapring wrote it"
            )
        };
        check_refused::<One>(&[4, 7], &of(4, "version 3 is"));
        check_refused::<One>(&[0, 7], &of(0, "version 3 is"));
        check_refused::<Two>(&[5, 7], &of(5, "versions 3 to 4 are"));
        check_refused::<Two>(&[2, 7], &of(2, "versions 3 to 4 are"));
        // The release that brings it is not there: nobody has written it yet.
        check_refused::<Later>(&[5, 7, 8, 9], &of(5, "versions 3 to 4 are"));
        check_refused::<Two>(&[], "a thing is empty");
        check_refused::<Two>(&[4, 7], "a thing is damaged");
    }

    #[test]
    fn what_is_written_follows_from_the_release() {
        let versions = |release| {
            let release = Release::new(release);
            [One::version_at(release), Two::version_at(release), Later::version_at(release)]
        };
        assert_eq!(versions(1), [3, 3, 3]);
        assert_eq!(versions(2), [3, 4, 4]);
        assert_eq!(versions(u16::MAX), [3, 4, 5]);
    }

    #[test]
    fn two_nodes_speak_the_highest_release_that_both_know() {
        let range = |reads, writes| Releases { reads: Release(reads), writes: Release(writes) };
        for (one, other, common) in [
            (range(1, 1), range(1, 1), Some(1)),
            (range(1, 3), range(1, 1), Some(1)),
            (range(2, 3), range(1, 2), Some(2)),
            (range(2, 3), range(1, 1), None),
            (range(4, 5), range(1, 3), None),
        ] {
            assert_eq!(one.common(other), common.map(Release), "{one}, {other}");
            assert_eq!(other.common(one), common.map(Release), "{other}, {one}");
        }
        assert!(Releases::own().common(Releases::BEFORE).is_some());
    }
}
