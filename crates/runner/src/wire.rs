//! Messages between the runners of nodes, in the version of their format.

use bytes::Bytes;
use mapring_net::ServiceId;
use mapring_types::versioned::{self, Nothing};
use mapring_types::{Error, Release, Result, Versioned};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The service of this crate.
pub const SERVICE: ServiceId = ServiceId::new(4);

/// What every message begins with.
struct Message<T>(T);

impl<T: DeserializeOwned> Versioned for Message<T> {
    const WHAT: &'static str = "a message about jobs";
    const VERSION: u8 = 1;
    const SINCE: Release = Release::JOBS;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        postcard::from_bytes(body).map(Self).map_err(versioned::damaged::<Self>)
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

/// Encodes a request or an answer.
///
/// # Errors
/// `Internal`: a defect.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Bytes> {
    let version = Message::<()>::VERSION;
    let defect =
        |error| Error::internal("a message about jobs cannot be encoded").with_source(error);
    postcard::to_extend(message, vec![version]).map(Bytes::from).map_err(defect)
}

/// Decodes a request or an answer.
///
/// # Errors
/// `Unavailable` when it is of a version that is not known here, `Corrupt` when it is damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(Message::decode(bytes)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_and_others_refused() {
        let bytes = encode(&("a".to_owned(), 7_u64)).unwrap();
        assert_eq!(bytes[0], 1);
        assert_eq!(decode::<(String, u64)>(&bytes).unwrap(), ("a".to_owned(), 7));
        assert!(decode::<(String, u64)>(&bytes[..2]).is_err());
        assert!(decode::<(String, u64)>(&[2, 0]).is_err() && decode::<u8>(&[]).is_err());
    }
}
