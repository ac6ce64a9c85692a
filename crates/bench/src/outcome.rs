//! What comes of a measurement, and what is said meanwhile.

/// Why a measurement could not be made.
pub(crate) type Failure = Box<dyn std::error::Error>;
/// What a measurement gives.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Says what is going on.
pub(crate) fn say(what: impl std::fmt::Display) {
    eprintln!("{what}");
}
