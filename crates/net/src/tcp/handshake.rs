//! How two nodes agree to talk: before anything else on every connection, in both directions.
//!
//! ```text
//! caller    hello   ──▶  who I am, whom I expect, what the connection is for, a nonce
//!           hello   ◀──  who I am, a nonce
//!           proof   ──▶  HMAC-SHA-256 of both hellos under the shared secret, as caller
//!           proof   ◀──  the same, as answerer
//! ```
//!
//! Either side may send a refusal with its reason instead and close. The head of every message
//! (magic, version, kind, length) and the refusal keep their form over all versions of the
//! protocol, so that nodes of different versions can say so. A hello ends with the releases of the
//! formats that its node knows ([`mapring_types::versioned`]); former nodes say nothing there, and
//! read over it. Nothing after the handshake is
//! encrypted: the secret keeps strangers and strayed nodes out, not somebody on the wire. A proof
//! under any of the accepted secrets will do, so that one can take the place of another node by node.

use hmac::{Hmac, Mac};
use mapring_types::{Error, ErrorKind, NodeId, Releases, Result, Secrets};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Class, limits};

/// The version of everything that follows on the connection.
pub(super) const PROTOCOL_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"MRNG";
const HEAD_BYTES: usize = 9;

const REFUSAL: u8 = 0;
const HELLO: u8 = 1;
const PROOF: u8 = 2;

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Unary calls in small frames.
    Calls(Class),
    /// HTTP/2: streams and large calls.
    Streams(Class),
}

impl Purpose {
    fn number(self) -> u8 {
        match self {
            Self::Calls(Class::Foreground) => 1,
            Self::Calls(Class::Background) => 2,
            Self::Streams(Class::Foreground) => 3,
            Self::Streams(Class::Background) => 4,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Calls(Class::Foreground),
            2 => Self::Calls(Class::Background),
            3 => Self::Streams(Class::Foreground),
            4 => Self::Streams(Class::Background),
            _ => return None,
        })
    }
}

/// What a node says of itself, and knows.
pub(super) struct Identity {
    pub(super) me: NodeId,
    pub(super) cluster_name: String,
    pub(super) ring_size: u16,
    pub(super) releases: Releases,
    /// None for a cluster without a secret.
    pub(super) secrets: Secrets,
}

#[derive(Serialize, Deserialize)]
struct Hello {
    cluster_name: String,
    ring_size: u16,
    id: NodeId,
    /// Whom the caller means to reach; nobody in particular while joining, and in the answer.
    expected: Option<NodeId>,
    /// See [`Purpose::number`]; the answer repeats it.
    purpose: u8,
    nonce: [u8; 32],
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: NodeId,
    pub(super) releases: Releases,
}

/// The calling side. Returns who is at the other end.
pub(super) async fn greet<S>(
    stream: &mut S,
    identity: &Identity,
    expected: Option<NodeId>,
    purpose: Purpose,
) -> Result<Known>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mine = hello(identity, expected, purpose)?;
    send(stream, HELLO, &mine).await?;
    let theirs = receive(stream, HELLO).await?;
    let peer = checked(stream, examine_answer(identity, expected, &theirs)).await?;
    send(stream, PROOF, &prove(identity, b"caller", &mine, &theirs)?).await?;
    let proof = receive(stream, PROOF).await?;
    checked(stream, verify(identity, b"answerer", &mine, &theirs, &proof)).await?;
    Ok(peer)
}

/// The answering side. Returns who calls, and what for.
pub(super) async fn answer<S>(stream: &mut S, identity: &Identity) -> Result<(Known, Purpose)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let theirs = match receive(stream, HELLO).await {
        Err(error) if error.kind() == ErrorKind::Precondition => {
            return checked(stream, Err(Error::new(ErrorKind::Forbidden, error.message()))).await;
        }
        received => received?,
    };
    let (peer, purpose) = checked(stream, examine_call(identity, &theirs)).await?;
    let mine = hello(identity, None, purpose)?;
    send(stream, HELLO, &mine).await?;
    let proof = receive(stream, PROOF).await?;
    checked(stream, verify(identity, b"caller", &theirs, &mine, &proof)).await?;
    send(stream, PROOF, &prove(identity, b"answerer", &theirs, &mine)?).await?;
    Ok((peer, purpose))
}

fn hello(identity: &Identity, expected: Option<NodeId>, purpose: Purpose) -> Result<Vec<u8>> {
    let hello = Hello {
        cluster_name: identity.cluster_name.clone(),
        ring_size: identity.ring_size,
        id: identity.me,
        expected,
        purpose: purpose.number(),
        nonce: rand::random(),
    };
    postcard::to_allocvec(&hello)
        .and_then(|begun| postcard::to_extend(&identity.releases, begun))
        .map_err(|error| Error::internal("cannot encode a handshake").with_source(error))
}

fn examine_answer(identity: &Identity, expected: Option<NodeId>, body: &[u8]) -> Result<Known> {
    let (hello, releases) = examine(identity, body)?;
    match expected {
        Some(expected) if expected != hello.id => Err(wrong_node(hello.id, expected)),
        _ => Ok(Known { id: hello.id, releases }),
    }
}

fn examine_call(identity: &Identity, body: &[u8]) -> Result<(Known, Purpose)> {
    let (hello, releases) = examine(identity, body)?;
    match hello.expected {
        Some(expected) if expected != identity.me => Err(wrong_node(identity.me, expected)),
        _ => {
            let purpose = Purpose::from_number(hello.purpose)
                .ok_or_else(|| forbidden(format!("purpose {} is unknown here", hello.purpose)))?;
            Ok((Known { id: hello.id, releases }, purpose))
        }
    }
}

/// What both sides ask of each other.
fn examine(identity: &Identity, body: &[u8]) -> Result<(Hello, Releases)> {
    let (hello, releases) = parse(body).map_err(|_| Error::corrupt("a damaged handshake"))?;
    if hello.cluster_name != identity.cluster_name {
        let (here, there) = (&identity.cluster_name, hello.cluster_name.escape_debug());
        return Err(forbidden(format!("the cluster name is {here}, not {there}")));
    }
    if hello.ring_size != identity.ring_size {
        let (here, there) = (identity.ring_size, hello.ring_size);
        return Err(forbidden(format!("the ring size is {here}, not {there}")));
    }
    if hello.id == identity.me {
        let me = identity.me;
        return Err(Error::unavailable(format!(
            "both ends are node {me}: a node called itself, or two nodes share one identity"
        )));
    }
    if identity.releases.common(releases).is_none() {
        let here = identity.releases;
        return Err(forbidden(format!(
            "the releases {here} of the formats are known here, not {releases}: update the nodes \
             through a release between them"
        )));
    }
    Ok((hello, releases))
}

fn parse(body: &[u8]) -> postcard::Result<(Hello, Releases)> {
    match postcard::take_from_bytes(body)? {
        (hello, []) => Ok((hello, Releases::BEFORE)),
        (hello, rest) => Ok((hello, postcard::from_bytes(rest)?)),
    }
}

fn wrong_node(found: NodeId, expected: NodeId) -> Error {
    Error::unavailable(format!("the node there is {found}, not {expected}"))
}

fn forbidden(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::Forbidden, reason)
}

fn authenticator(secret: &[u8], role: &[u8], a: &[u8], b: &[u8]) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)
        .map_err(|error| Error::internal("the secret cannot be a key").with_source(error))?;
    mac.update(&PROTOCOL_VERSION.to_le_bytes());
    for part in [role, a, b] {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    Ok(mac)
}

fn prove(identity: &Identity, role: &[u8], caller: &[u8], answerer: &[u8]) -> Result<Vec<u8>> {
    let secret = identity.secrets.signs();
    Ok(authenticator(secret, role, caller, answerer)?.finalize().into_bytes().to_vec())
}

fn verify(
    identity: &Identity,
    role: &[u8],
    caller: &[u8],
    answerer: &[u8],
    proof: &[u8],
) -> Result<()> {
    for secret in identity.secrets.accepted() {
        if authenticator(secret, role, caller, answerer)?.verify_slice(proof).is_ok() {
            return Ok(());
        }
    }
    Err(forbidden("the shared secret differs"))
}

/// Tells the other side when `examined` is a refusal.
async fn checked<S: AsyncWrite + Unpin, T>(stream: &mut S, examined: Result<T>) -> Result<T> {
    if let Err(error) = &examined {
        // The connection is given up in any case: whether the reason arrives makes no difference.
        let _ = send(stream, REFUSAL, &encode_refusal(error)).await;
        let _ = stream.shutdown().await;
    }
    examined
}

/// One byte tells whether trying again may help, the rest is text.
fn encode_refusal(error: &Error) -> Vec<u8> {
    let mut body = vec![u8::from(error.kind() == ErrorKind::Unavailable)];
    body.extend(super::wire::cut(error.message(), limits::REASON_BYTES).as_bytes());
    body
}

fn decode_refusal(body: &[u8]) -> Error {
    let (kind, text) = match body.split_first() {
        Some((1, text)) => (ErrorKind::Unavailable, text),
        Some((_, text)) => (ErrorKind::Forbidden, text),
        None => (ErrorKind::Unavailable, &b"no reason given"[..]),
    };
    // The text goes into logs: nothing in it may act there.
    let text = String::from_utf8_lossy(text);
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    Error::new(kind, format!("refused by the peer: {text}"))
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, kind: u8, body: &[u8]) -> Result<()> {
    let length = u16::try_from(body.len())
        .map_err(|_| Error::internal("a handshake message is too long"))?;
    let mut message = Vec::with_capacity(HEAD_BYTES + body.len());
    message.extend(MAGIC);
    message.extend(PROTOCOL_VERSION.to_le_bytes());
    message.push(kind);
    message.extend(length.to_le_bytes());
    message.extend(body);
    stream.write_all(&message).await.map_err(broken)?;
    stream.flush().await.map_err(broken)
}

/// Reads one message of the given kind. A message of another protocol version is `Precondition`.
async fn receive<S: AsyncRead + Unpin>(stream: &mut S, wanted: u8) -> Result<Vec<u8>> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.map_err(broken)?;
    let [m0, m1, m2, m3, v0, v1, kind, l0, l1] = head;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(Error::corrupt("the other side does not speak mapring's protocol"));
    }
    let version = u16::from_le_bytes([v0, v1]);
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length > limits::HANDSHAKE_BYTES {
        return Err(Error::corrupt(format!("a handshake message of {length} bytes")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(broken)?;
    if kind == REFUSAL {
        return Err(decode_refusal(&body));
    }
    if version != PROTOCOL_VERSION {
        return Err(Error::new(
            ErrorKind::Precondition,
            format!("the protocol version is {PROTOCOL_VERSION}, not {version}"),
        ));
    }
    if kind != wanted {
        return Err(Error::corrupt(format!("a handshake message of kind {kind}, not {wanted}")));
    }
    Ok(body)
}

fn broken(error: std::io::Error) -> Error {
    Error::unavailable("the connection broke during the handshake").with_source(error)
}

#[cfg(test)]
mod tests {
    use mapring_types::Release;
    use proptest::prelude::*;

    use super::*;

    fn identity(id: u64) -> Identity {
        Identity {
            me: NodeId(id),
            cluster_name: "c".into(),
            ring_size: 64,
            releases: Releases::own(),
            secrets: Secrets::new("open sesame", Vec::new()),
        }
    }

    const PURPOSE: Purpose = Purpose::Calls(Class::Background);

    async fn meet(
        caller: &Identity,
        expected: Option<NodeId>,
        answerer: &Identity,
    ) -> (Result<Known>, Result<(Known, Purpose)>) {
        let (mut near, mut far) = tokio::io::duplex(64);
        tokio::join!(greet(&mut near, caller, expected, PURPOSE), answer(&mut far, answerer))
    }

    #[tokio::test]
    async fn both_sides_learn_who_the_other_is() {
        for expected in [None, Some(NodeId(2))] {
            let (caller, answerer) = meet(&identity(1), expected, &identity(2)).await;
            let known = |id| Known { id: NodeId(id), releases: Releases::own() };
            assert_eq!(caller.unwrap(), known(2));
            assert_eq!(answerer.unwrap(), (known(1), PURPOSE));
        }
    }

    /// A new secret takes the place of the old one node by node: first all accept it, then all sign
    /// with it, then none accepts the old one any more.
    #[tokio::test]
    async fn two_secrets_are_valid_while_one_follows_the_other() {
        let with = |id, signs: &str, also: &[&str]| {
            let also = also.iter().map(|secret| (*secret).to_owned()).collect();
            Identity { secrets: Secrets::new(signs, also), ..identity(id) }
        };
        let steps: [(&str, &[&str]); 4] =
            [("old", &[]), ("old", &["new"]), ("new", &["old"]), ("new", &[])];
        for pair in steps.windows(2) {
            for (one, two) in [(pair[0], pair[1]), (pair[1], pair[0]), (pair[1], pair[1])] {
                let (caller, answerer) = (with(1, one.0, one.1), with(2, two.0, two.1));
                let met = meet(&caller, None, &answerer).await;
                assert!(met.0.is_ok() && met.1.is_ok(), "{one:?} to {two:?}");
            }
        }
        let met = meet(&with(1, "old", &[]), None, &with(2, "new", &[])).await;
        let words = "the shared secret differs";
        refused(met, ErrorKind::Forbidden, words, words);
    }

    /// A node of before ends its hello where the releases begin, and reads no further.
    #[tokio::test]
    async fn a_node_that_does_not_tell_its_releases_is_of_the_first() {
        let kept = std::fs::read(format!("{}/fixtures/hello-1", env!("CARGO_MANIFEST_DIR")));
        let kept = kept.unwrap();
        let (hello, releases) = parse(&kept).unwrap();
        let Hello { cluster_name, ring_size, id, expected, purpose, nonce } = hello;
        assert_eq!((cluster_name.as_str(), ring_size, id), ("c", 64, NodeId(1)));
        assert_eq!((expected, purpose, nonce), (Some(NodeId(2)), 2, [7; 32]));
        assert_eq!(releases, Releases::BEFORE);
        let told = hello_bytes_of_before(&super::hello(&identity(1), None, PURPOSE).unwrap());
        assert_eq!(told.id, NodeId(1));
    }

    /// As nodes of before read a hello.
    fn hello_bytes_of_before(bytes: &[u8]) -> Hello {
        postcard::from_bytes(bytes).unwrap()
    }

    /// Both sides say `words`, and the kind tells whether trying again makes sense.
    #[track_caller]
    fn refused(
        met: (Result<Known>, Result<(Known, Purpose)>),
        kind: ErrorKind,
        caller_words: &str,
        answerer_words: &str,
    ) {
        let caller = met.0.unwrap_err();
        assert_eq!(caller.kind(), kind);
        assert!(caller.to_string().contains(caller_words), "{caller}");
        let answerer = met.1.unwrap_err();
        assert!(answerer.to_string().contains(answerer_words), "{answerer}");
    }

    #[tokio::test]
    async fn differences_are_refused_with_words_on_both_sides() {
        let change = |how: fn(&mut Identity)| {
            let mut changed = identity(1);
            how(&mut changed);
            changed
        };
        let forbidden = ErrorKind::Forbidden;
        let later = |i: &mut Identity| {
            i.releases = Releases { reads: Release::new(8), writes: Release::new(9) };
        };
        let known = Release::current().number();
        let releases =
            format!("the releases 1 to {known} of the formats are known here, not 8 to 9");
        for (caller, kind, words) in [
            (change(|i| i.cluster_name = "d".into()), forbidden, "the cluster name is c, not d"),
            (change(|i| i.ring_size = 8), forbidden, "the ring size is 64, not 8"),
            (change(later), forbidden, releases.as_str()),
            (
                change(|i| i.secrets = Secrets::new("sesame", Vec::new())),
                forbidden,
                "the shared secret differs",
            ),
            (change(|i| i.secrets = Secrets::default()), forbidden, "the shared secret differs"),
            (change(|i| i.me = NodeId(2)), ErrorKind::Unavailable, "both ends are node"),
        ] {
            refused(meet(&caller, None, &identity(2)).await, kind, words, words);
        }
        let stray = meet(&identity(1), Some(NodeId(7)), &identity(2)).await;
        let words = "the node there is 0000000000000002, not 0000000000000007";
        refused(stray, ErrorKind::Unavailable, words, words);
    }

    #[tokio::test]
    async fn another_protocol_version_is_told_so() {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let mut message = [&MAGIC[..], &9u16.to_le_bytes(), &[HELLO], &3u16.to_le_bytes()].concat();
        message.extend(b"new");
        near.write_all(&message).await.unwrap();
        let error = answer(&mut far, &identity(2)).await.unwrap_err();
        assert_eq!(error.to_string(), "the protocol version is 1, not 9");
        let told = receive(&mut near, HELLO).await.unwrap_err();
        assert_eq!(told.to_string(), "refused by the peer: the protocol version is 1, not 9");
        assert_eq!(told.kind(), ErrorKind::Forbidden);
    }

    #[tokio::test]
    async fn a_proof_is_worth_nothing_in_the_other_role_or_on_another_connection() {
        let (one, two) = (identity(1), identity(2));
        let first = hello(&one, None, PURPOSE).unwrap();
        let second = hello(&two, None, PURPOSE).unwrap();
        let proof = prove(&one, b"caller", &first, &second).unwrap();
        verify(&two, b"caller", &first, &second, &proof).unwrap();
        verify(&two, b"answerer", &first, &second, &proof).unwrap_err();
        let later = hello(&two, None, PURPOSE).unwrap();
        verify(&two, b"caller", &first, &later, &proof).unwrap_err();
    }

    proptest! {
        /// I9: whatever comes, the answer is an error, and nothing panics.
        #[test]
        fn garbage_is_refused(
            head in any::<bool>(),
            kind in 0u8..4,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut near, mut far) = tokio::io::duplex(8192);
                if head {
                    send(&mut near, kind, &bytes).await.unwrap();
                } else {
                    near.write_all(&bytes).await.unwrap();
                }
                near.shutdown().await.unwrap();
                answer(&mut far, &identity(2)).await.unwrap_err();
            });
        }
    }
}
