//! Datagrams that no member has sent, to three nodes over real sockets: each is refused and counted by
//! its reason, no member is thought gone, and the cluster goes on answering.
//!
//! They are made here by what the frame is documented to be. Those of the rows are well formed but for
//! what is wrong with them, or noise: harmless to whoever would read on.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hmac::{Hmac, Mac};
use mapring_client::{NewObject, Place};
use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sha2::Sha256;

const SECRET: &str = "right";
const NAME: &str = "mapring";

/// Largest datagram that is read.
const DATAGRAM_BYTES: usize = 16 << 10;

/// Most nodes that a datagram may tell of.
const MEMBERS: u64 = 1_000;

/// What stands before a body; version 1.
#[derive(Clone, Copy)]
struct Head {
    from: u64,
    life: u64,
    number: u64,
    to: u64,
    for_life: u64,
}

impl Head {
    fn words(self) -> [u64; 5] {
        [self.from, self.life, self.number, self.to, self.for_life]
    }

    fn read(frame: &[u8]) -> Self {
        let word = |place: usize| {
            let bytes = &frame[1 + 8 * place..][..8];
            u64::from_be_bytes(bytes.try_into().unwrap())
        };
        let [from, life, number, to, for_life] = [0, 1, 2, 3, 4].map(word);
        Self { from, life, number, to, for_life }
    }

    fn seal(self, secret: &str, body: &[u8]) -> Vec<u8> {
        let tag = |key: &[u8], parts: &[&[u8]]| {
            let mut tag = Hmac::<Sha256>::new_from_slice(key).unwrap();
            parts.iter().for_each(|part| tag.update(part));
            tag.finalize().into_bytes().to_vec()
        };
        let key = tag(secret.as_bytes(), &[b"mapring gossip 1:", NAME.as_bytes()]);
        let mut frame = vec![1];
        frame.extend(self.words().into_iter().flat_map(u64::to_be_bytes));
        frame.extend(body);
        let tag = tag(&key, &[&frame]);
        frame.extend(tag);
        frame
    }
}

fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// That a node in some life is about to stop.
fn leaving(node: u64, life: u64) -> Vec<u8> {
    let mut entry = Vec::new();
    for number in [node, life, 1 << 40] {
        varint(number, &mut entry);
    }
    // No addresses, of no cluster, no plan, no load, leaving.
    entry.extend([0, 0, 0, 0, 0, 1]);
    entry
}

/// Somebody with a socket of his own.
struct Stranger {
    socket: UdpSocket,
    nodes: Vec<(u64, SocketAddr)>,
}

impl Stranger {
    async fn among(cluster: &Cluster) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut nodes = Vec::new();
        for node in &cluster.nodes {
            let members = node.status().await.members;
            let own = members.iter().find(|member| member.name == node.settings.name).unwrap();
            let id = u64::from_str_radix(&own.id, 16).unwrap();
            nodes.push((id, node.settings.cluster.parse().unwrap()));
        }
        Self { socket, nodes }
    }

    fn send(&self, number: usize, frame: &[u8]) {
        self.socket.send_to(frame, self.nodes[number].1).unwrap();
    }

    /// In the name of each other node to each node, in a life that is later than all of them.
    fn send_all(&self, secret: &str, body: impl Fn(u64) -> Vec<u8>) {
        for (to, address) in &self.nodes {
            for (from, _) in self.nodes.iter().filter(|(from, _)| from != to) {
                let head = Head { from: *from, life: 1 << 62, number: 1, to: *to, for_life: 0 };
                self.socket.send_to(&head.seal(secret, &body(*from)), address).unwrap();
            }
        }
    }

    /// What the first node says to the second one, as somebody on the way could record it: it answers
    /// who speaks in an early life of that one.
    fn recorded(&self) -> Option<Vec<u8>> {
        let (from, to) = (self.nodes[1].0, self.nodes[0].0);
        let head = Head { from, life: 1, number: 1, to, for_life: 0 };
        self.send(0, &head.seal(SECRET, &leaving(from, 1)));
        let mut answer = vec![0; DATAGRAM_BYTES];
        let (length, _) = self.socket.recv_from(&mut answer).ok()?;
        answer.truncate(length);
        Some(answer)
    }
}

/// How many datagrams a node has refused for a reason.
async fn refused(node: &Node, reason: &str) -> u64 {
    let text = Exchange::get(node, "/metrics").await.text().await;
    let name = format!("mapring_gossip_refused_total{{reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(name.as_str()));
    line.map_or(0, |value| value.parse().unwrap())
}

/// All members are up as each node has it, and each takes a write and reads it.
async fn check_well(cluster: &Cluster, row: &str) {
    for node in &cluster.nodes {
        let status = node.status().await;
        assert_eq!(status.members.len(), 3, "{row}: {status:?}");
        assert!(status.members.iter().all(|member| member.up), "{row}: {status:?}");
        let place = Place::new("b", row.to_owned());
        let content_type = "text/plain".into();
        let object = NewObject { body: "x".into(), content_type, ..NewObject::default() };
        node.client.put(&place, object).await.unwrap();
        assert_eq!(node.client.get(&place).await.unwrap().body, "x", "{row}");
    }
}

/// What is sent to all three nodes, and as what it is refused.
type Row = (&'static str, &'static str, fn(&Stranger));

const ROWS: &[Row] = &[
    ("nothing", "size", |stranger| (0..3).for_each(|node| stranger.send(node, b""))),
    ("a byte", "size", |stranger| (0..3).for_each(|node| stranger.send(node, &[1]))),
    ("too large", "size", |stranger| {
        (0..3).for_each(|node| stranger.send(node, &vec![1; DATAGRAM_BYTES + 1]));
    }),
    ("far too large", "size", |stranger| {
        (0..3).for_each(|node| stranger.send(node, &vec![1; 60_000]));
    }),
    // The head of chitchat's, and its message that a cluster is another one.
    ("plain gossip", "version", |stranger| {
        (0..3).for_each(|node| stranger.send(node, &[0x53, 0xb0, 1, 3]));
    }),
    ("all leave, by another secret", "forged", |stranger| {
        stranger.send_all("wrong", |from| leaving(from, 1 << 62));
    }),
    ("all leave, by no secret", "forged", |stranger| {
        stranger.send_all("", |from| leaving(from, 1 << 62));
    }),
    ("a thousand members, by another secret", "forged", |stranger| {
        stranger.send_all("wrong", |from| {
            let invented = (1..=MEMBERS).flat_map(|node| leaving(node << 32, 1));
            leaving(from, 1 << 62).into_iter().chain(invented).take(DATAGRAM_BYTES - 100).collect()
        });
    }),
    ("somebody else, by the secret", "unknown", |stranger| {
        for (to, address) in &stranger.nodes {
            let head = Head { from: 7, life: 1 << 62, number: 1, to: *to, for_life: 0 };
            stranger.socket.send_to(&head.seal(SECRET, &leaving(7, 1 << 62)), address).unwrap();
        }
    }),
    ("a member of long ago", "stale", |stranger| {
        for (to, address) in &stranger.nodes {
            for (from, _) in stranger.nodes.iter().filter(|(from, _)| from != to) {
                let head = Head { from: *from, life: 1, number: 1, to: *to, for_life: 0 };
                let frame = head.seal(SECRET, &leaving(*from, 1));
                stranger.socket.send_to(&frame, address).unwrap();
            }
        }
    }),
];

async fn started() -> (Cluster, Stranger) {
    let cluster = Cluster::start_with(3, &[("MAPRING__CLUSTER__SECRET", SECRET)]).await;
    cluster.wait_formats().await;
    let stranger = Stranger::among(&cluster).await;
    (cluster, stranger)
}

#[tokio::test]
async fn what_no_member_has_sent_is_refused() {
    let (cluster, stranger) = started().await;
    let before: Vec<usize> = cluster.nodes.iter().map(|node| node.log().len()).collect();
    for (row, reason, send) in ROWS {
        let mut counts = Vec::new();
        for node in &cluster.nodes {
            counts.push(refused(node, reason).await);
        }
        send(&stranger);
        for (node, count) in cluster.nodes.iter().zip(counts) {
            let what = format!("{row} to be refused by {}", node.settings.name);
            eventually(&what, || async { holds(refused(node, reason).await > count) }).await;
        }
        check_well(&cluster, row).await;
    }
    for (node, before) in cluster.nodes.iter().zip(before) {
        let log = node.log();
        assert!(!log[before..].contains("a member is down"), "{log}");
        assert!(!log.contains("gossip has ended") && !log.contains("gossip has failed"), "{log}");
    }
}

#[tokio::test]
async fn what_was_recorded_counts_once_and_what_a_member_says_must_make_sense() {
    let (cluster, stranger) = started().await;
    let (second, row) = (&cluster.nodes[1], "recorded");
    let before = refused(second, "replayed").await;
    eventually("a recorded datagram to be refused", || async {
        let frame = stranger.recorded()?;
        stranger.send(1, &frame);
        stranger.send(1, &frame);
        holds(refused(second, "replayed").await > before)
    })
    .await;
    check_well(&cluster, row).await;

    let row = "more members than there can be";
    let before = refused(second, "content").await;
    eventually(row, || async {
        let head = Head::read(&stranger.recorded()?);
        // The next number: the node itself uses it, too, sooner or later.
        let head = Head { number: head.number + 1, ..head };
        let mut body = leaving(head.from, head.life);
        body.extend((0..MEMBERS).flat_map(|node| leaving(node % 100, 1)));
        let frame = head.seal(SECRET, &body);
        assert!(frame.len() <= DATAGRAM_BYTES, "{} bytes", frame.len());
        stranger.send(1, &frame);
        holds(refused(second, "content").await > before)
    })
    .await;
    check_well(&cluster, row).await;
}

#[tokio::test]
async fn noise_costs_nothing() {
    const DATAGRAMS: usize = 20_000;
    let (cluster, stranger) = started().await;
    let seed = std::env::var("MAPRING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("MAPRING_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let genuine = Head { from: stranger.nodes[1].0, life: 9, number: 9, to: 9, for_life: 9 };
    for round in 0..DATAGRAMS {
        let mut frame = genuine.seal("wrong", &leaving(1, 1));
        match round % 3 {
            0 => frame = (0..random.random_range(0..200)).map(|_| random.random()).collect(),
            1 => {
                let place = random.random_range(0..frame.len());
                frame[place] = random.random();
            }
            _ => frame.truncate(random.random_range(0..frame.len())),
        }
        stranger.send(round % 3, &frame);
        if round % 1_000 == 0 {
            check_well(&cluster, "noise").await;
        }
    }
    check_well(&cluster, "noise").await;
    for node in &cluster.nodes {
        assert!(
            refused(node, "version").await + refused(node, "size").await > 0,
            "MAPRING_SEED={seed}"
        );
        let log = node.log();
        assert!(!log.contains("gossip has ended") && !log.contains("gossip has failed"), "{log}");
    }
}
