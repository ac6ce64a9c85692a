//! The frame of a datagram of gossip: who sent it, and the proof that it knows the cluster's secret.
//!
//! ```text
//! version   1 byte, of all that follows
//! from      8 bytes, the sender
//! life      8 bytes, when this life of it began: a later one is greater
//! number    8 bytes, of the datagrams of this life
//! to        8 bytes, the receiver; 0 where the sender does not know whose address it is
//! for_life  8 bytes, the life of the receiver that the sender knows; 0 for none
//! body
//! tag       32 bytes: HMAC-SHA-256 of all before it
//! ```
//!
//! Numbers are big-endian. The key is derived from the secret, what it is for, and the cluster's name.

use hmac::{Hmac, Mac};
use mapring_types::{NodeId, Secrets};
use sha2::Sha256;

use crate::limits;

/// The version of the frame and of its body.
const VERSION: u8 = 1;

const HEAD_BYTES: usize = 1 + 5 * 8;
const TAG_BYTES: usize = 32;

/// What sealing adds to a body, in bytes.
pub(super) const OVERHEAD: usize = HEAD_BYTES + TAG_BYTES;

/// What keys of gossip are derived for; the cluster's name follows.
const PURPOSE: &[u8] = b"mapring gossip 1:";

/// Why a datagram is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too short or too long.
    Size,
    /// Of another version, or no gossip at all.
    Version,
    /// From a node that is no member.
    Unknown,
    /// Signed with another secret, for another cluster, or changed.
    Forged,
    /// Of an earlier life of its sender.
    Stale,
    /// Seen before, or so late that it cannot be told.
    Replayed,
    /// Signed by a member, and makes no sense.
    Content,
}

impl Refusal {
    /// The word in the metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Version => "version",
            Self::Unknown => "unknown",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::Content => "content",
        }
    }
}

/// What stands before the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) from: NodeId,
    pub(super) life: u64,
    pub(super) number: u64,
    pub(super) to: NodeId,
    pub(super) for_life: u64,
}

impl Head {
    /// Reads the head of a frame that nobody has verified yet.
    pub(super) fn read(frame: &[u8]) -> Result<Self, Refusal> {
        if frame.len() > limits::DATAGRAM_BYTES {
            return Err(Refusal::Size);
        }
        let (version, rest) = frame.split_first().ok_or(Refusal::Size)?;
        if *version != VERSION {
            return Err(Refusal::Version);
        }
        if frame.len() < OVERHEAD {
            return Err(Refusal::Size);
        }
        let (words, _) = rest.as_chunks::<8>();
        let [from, life, number, to, for_life, ..] = words else { return Err(Refusal::Size) };
        let read = |word: &[u8; 8]| u64::from_be_bytes(*word);
        Ok(Self {
            from: NodeId(read(from)),
            life: read(life),
            number: read(number),
            to: NodeId(read(to)),
            for_life: read(for_life),
        })
    }
}

/// The keys of a cluster's gossip.
pub(super) struct Keys {
    signs: Hmac<Sha256>,
    accepted: Vec<Hmac<Sha256>>,
}

impl Keys {
    pub(super) fn new(secrets: &Secrets, cluster_name: &str) -> Self {
        Self {
            signs: key(secrets.signs(), cluster_name),
            accepted: secrets.accepted().map(|secret| key(secret, cluster_name)).collect(),
        }
    }

    /// The frame of a body.
    pub(super) fn seal(&self, head: Head, body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(OVERHEAD + body.len());
        frame.push(VERSION);
        for number in [head.from.0, head.life, head.number, head.to.0, head.for_life] {
            frame.extend(number.to_be_bytes());
        }
        frame.extend(body);
        let mut tag = self.signs.clone();
        tag.update(&frame);
        frame.extend(tag.finalize().into_bytes());
        frame
    }

    /// The body of a frame whose head could be read.
    pub(super) fn verify<'a>(&self, frame: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let (signed, tag) = frame.split_last_chunk::<TAG_BYTES>().ok_or(Refusal::Size)?;
        let is_valid = |key: &Hmac<Sha256>| {
            let mut expected = key.clone();
            expected.update(signed);
            expected.verify_slice(tag).is_ok()
        };
        if !self.accepted.iter().any(is_valid) {
            return Err(Refusal::Forged);
        }
        signed.get(HEAD_BYTES..).ok_or(Refusal::Size)
    }
}

fn key(secret: &[u8], cluster_name: &str) -> Hmac<Sha256> {
    let mut derived = keyed(secret);
    derived.update(PURPOSE);
    derived.update(cluster_name.as_bytes());
    keyed(&derived.finalize().into_bytes())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("any length") };
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head { from: NodeId(7), life: 11, number: 13, to: NodeId(17), for_life: 19 };

    fn keys(signs: &str, also: &[&str], cluster: &str) -> Keys {
        let also = also.iter().map(|secret| (*secret).to_owned()).collect();
        Keys::new(&Secrets::new(signs, also), cluster)
    }

    #[test]
    fn what_is_sealed_is_opened() {
        let keys = keys("s", &[], "c");
        let frame = keys.seal(HEAD, b"body");
        assert_eq!(frame.len(), OVERHEAD + 4);
        assert_eq!(Head::read(&frame), Ok(HEAD));
        assert_eq!(keys.verify(&frame), Ok(&b"body"[..]));
    }

    #[test]
    fn other_keys_and_changed_bytes_are_refused() {
        let own = keys("s", &["t"], "c");
        for (signs, cluster, is_accepted) in [
            ("s", "c", true),
            ("t", "c", true),
            ("u", "c", false),
            ("", "c", false),
            ("s", "d", false),
            ("s", "", false),
        ] {
            let frame = keys(signs, &[], cluster).seal(HEAD, b"body");
            assert_eq!(own.verify(&frame).is_ok(), is_accepted, "{signs} {cluster}");
        }
        let frame = own.seal(HEAD, b"body");
        for place in 0..frame.len() {
            let mut changed = frame.clone();
            changed[place] ^= 1;
            assert_eq!(own.verify(&changed), Err(Refusal::Forged), "byte {place}");
        }
        assert_eq!(own.verify(&frame[..frame.len() - 1]), Err(Refusal::Forged));
    }

    #[test]
    fn heads_that_cannot_be_read_are_refused() {
        let frame = keys("s", &[], "c").seal(HEAD, b"");
        for length in 1..frame.len() {
            assert_eq!(Head::read(&frame[..length]), Err(Refusal::Size), "{length} bytes");
        }
        assert_eq!(Head::read(b""), Err(Refusal::Size));
        let mut large = frame.clone();
        large.resize(limits::DATAGRAM_BYTES + 1, 0);
        assert_eq!(Head::read(&large), Err(Refusal::Size));
        let mut later = frame;
        later[0] = VERSION + 1;
        assert_eq!(Head::read(&later), Err(Refusal::Version));
    }
}
