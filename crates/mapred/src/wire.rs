//! Messages of queries between nodes, in the versions of their format.
//!
//! All messages go up together: one number says how a request, an answer or a frame is written. A
//! node answers in the version in which it was asked, since who asks knows that one.

mod second;

use bytes::Bytes;
use mapring_types::versioned::{self, Nothing};
use mapring_types::{Error, Release, Result, Versioned};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message, and its shape in the version before.
pub(crate) trait Sent: Serialize + DeserializeOwned {
    /// As version 2 has it.
    type Second: Serialize + DeserializeOwned;

    /// What those who know no more than version 2 are sent.
    ///
    /// # Errors
    /// `Unavailable` when they could not do what it says.
    fn to_second(&self) -> Result<Self::Second>;

    /// What they say.
    fn from_second(second: Self::Second) -> Self;
}

/// Messages that are now as they were.
macro_rules! unchanged {
    ($($message:ty),+ $(,)?) => {$(
        impl Sent for $message {
            type Second = Self;

            fn to_second(&self) -> Result<Self> {
                Ok(self.clone())
            }

            fn from_second(second: Self) -> Self {
                second
            }
        }
    )+};
}
use unchanged;

/// What version 2 has no message for.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) enum Never {}

/// Messages that are new in version 3, and of what they are.
macro_rules! new {
    ($what:literal: $($message:ty),+ $(,)?) => {$(
        impl $crate::wire::Sent for $message {
            type Second = $crate::wire::Never;

            fn to_second(&self) -> mapring_types::Result<$crate::wire::Never> {
                Err($crate::wire::unsaid($what))
            }

            fn from_second(second: $crate::wire::Never) -> Self {
                match second {}
            }
        }
    )+};
}

new!("grouping": Option<Bytes>);
pub(crate) use new;

/// What requests, answers and frames begin with.
struct Message<T>(T);

impl<T: Sent> Versioned for Message<T> {
    const WHAT: &'static str = "a message of a query";
    const VERSION: u8 = 3;
    const SINCE: Release = Release::GROUPS;
    type Previous = Former<T>;

    fn read(body: &[u8]) -> Result<Self> {
        postcard::from_bytes(body).map(Self).map_err(versioned::damaged::<Self>)
    }

    fn migrate(previous: Former<T>) -> Result<Self> {
        Ok(Self(T::from_second(previous.0)))
    }
}

/// A message of version 2.
struct Former<T: Sent>(T::Second);

impl<T: Sent> Versioned for Former<T> {
    const WHAT: &'static str = Message::<T>::WHAT;
    const VERSION: u8 = 2;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        postcard::from_bytes(body).map(Self).map_err(versioned::damaged::<Self>)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

/// The version in which those who know `release` read messages.
pub(crate) fn version_at(release: Release) -> u8 {
    Message::<()>::version_at(release)
}

/// Encodes a request, an answer or a frame in a version.
///
/// # Errors
/// `Unavailable` when the version cannot say it.
pub(crate) fn encode<T: Sent>(version: u8, message: &T) -> Result<Bytes> {
    encode_into(version, message, 0)
}

/// As [`encode`], with room for so many bytes.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_into<T: Sent>(version: u8, message: &T, bytes: usize) -> Result<Bytes> {
    let mut buffer = Vec::with_capacity(bytes + 1);
    buffer.push(version);
    if version == Former::<T>::VERSION {
        return written(postcard::to_extend(&message.to_second()?, buffer));
    }
    written(postcard::to_extend(message, buffer))
}

fn written(encoded: postcard::Result<Vec<u8>>) -> Result<Bytes> {
    let defect =
        |error| Error::internal("a message of a query cannot be encoded").with_source(error);
    encoded.map(Bytes::from).map_err(defect)
}

/// Decodes a request, an answer or a frame.
///
/// # Errors
/// `Unavailable` when it is of a version that is not known here, `Corrupt` when it is damaged.
pub(crate) fn decode<T: Sent>(bytes: &[u8]) -> Result<T> {
    Ok(Message::decode(bytes)?.0)
}

/// As [`decode`], of a request: with the version in which it is to be answered.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_request<T: Sent>(bytes: &[u8]) -> Result<(u8, T)> {
    let (version, body) = Message::<T>::split(bytes)?;
    Ok((version, Message::read_version(version, body)?.0))
}

/// What version 2 has no words for.
pub(crate) fn unsaid(what: &str) -> Error {
    let message = format!("{what} can be used when all nodes are of a release that knows it");
    Error::unavailable(message)
}
