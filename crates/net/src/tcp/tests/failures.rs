//! Peers that are wrong, gone, silent or hostile.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{StreamExt, future};
use mapring_types::limits::UNARY_BYTES;
use mapring_types::{ErrorKind, NodeId, Releases, Secrets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::handshake::{self, Identity};
use super::super::{TcpConfig, TcpTransport};
use super::tools::{TestNode, config, eventually, operation};
use super::{LONG, SECOND};
use crate::{Peer, limits};

/// What "quickly" means where the peer is known to be gone.
const AT_ONCE: Duration = SECOND;
/// What a silent peer may cost.
const WITHIN_LEASE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn strangers_are_refused_with_words() {
    let two = TestNode::start(2).await;
    let forbidden = ErrorKind::Forbidden;
    for (stranger, words) in [
        (
            TcpConfig { cluster_name: "other".into(), ..config(1) },
            "the cluster name is test, not other",
        ),
        (TcpConfig { ring_size: 128, ..config(1) }, "the ring size is 64, not 128"),
        (
            TcpConfig { secrets: Secrets::new("guess", Vec::new()), ..config(1) },
            "the shared secret differs",
        ),
        (TcpConfig { secrets: Secrets::default(), ..config(1) }, "the shared secret differs"),
    ] {
        let stranger = TestNode::with(stranger).await;
        let error = stranger.call(&two, operation::ECHO, b"", LONG).await.unwrap_err();
        assert_eq!(error.kind(), forbidden, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains(&two.address().to_string()), "{error}");
        let error = stranger.open(&two, operation::ENDLESS, b"").await.err().unwrap();
        assert_eq!(error.kind(), forbidden, "{error}");
    }
    assert_eq!(two.probe.callers(), []);
}

#[tokio::test]
async fn another_node_at_the_address_is_not_taken_for_the_peer() {
    let (one, two) = TestNode::pair().await;
    let mistaken = Peer { id: Some(NodeId(7)), ..two.peer() };
    let error = one.call_at(&mistaken, operation::ECHO, b"", LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let words = "the node there is 0000000000000002, not 0000000000000007";
    assert!(error.to_string().contains(words), "{error}");

    let myself = Peer { id: None, ..one.peer() };
    let error = one.call_at(&myself, operation::ECHO, b"", LONG).await.unwrap_err();
    assert!(error.to_string().contains("both ends are node"), "{error}");
}

#[tokio::test]
async fn clusters_without_a_secret_work() {
    let open = |id| TcpConfig { secrets: Secrets::default(), ..config(id) };
    let (one, two) = (TestNode::with(open(1)).await, TestNode::with(open(2)).await);
    two.transport.serve(two.probe.services());
    assert_eq!(one.call(&two, operation::ECHO, b"x", LONG).await.unwrap(), "x");
}

#[tokio::test]
async fn a_peer_that_is_not_there_fails_at_once() {
    let one = TestNode::start(1).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let peer = Peer { id: Some(NodeId(2)), address: gone.to_string() };
    let start = Instant::now();
    for _ in 0..100 {
        let error = one.call_at(&peer, operation::ECHO, b"", LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let text = error.to_string();
        assert!(text.contains("node 0000000000000002") && text.contains("refused"), "{text}");
    }
    let nowhere = Peer { id: None, address: "no.such.name.invalid:1".into() };
    let error = one.call_at(&nowhere, operation::ECHO, b"", LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() < WITHIN_LEASE, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_killed_peer_fails_its_calls_at_once_and_is_used_again_when_it_is_back() {
    let (one, two) = TestNode::pair().await;
    let (peer, address) = (two.peer(), two.address());
    let call = one.call_at(&peer, operation::HANG, b"", LONG);
    let large = vec![0; UNARY_BYTES + 1];
    let large_call = one.call_at(&peer, operation::HANG, &large, LONG);
    let mut stream = one.open(&two, operation::ENDLESS, b"").await.unwrap();
    let kill = async {
        eventually("all run", || two.probe.running() == 3).await;
        two.transport.shutdown().await;
        Instant::now()
    };
    let (call, large_call, killed) = future::join3(call, large_call, kill).await;
    for ended in [call, large_call] {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("node 0000000000000002"), "{error}");
    }
    let end = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the stream ended as if it were whole"),
        }
    };
    assert_eq!(end.kind(), ErrorKind::Unavailable, "{end}");
    assert!(killed.elapsed() < AT_ONCE, "{:?}", killed.elapsed());

    let start = Instant::now();
    let error = one.call_at(&peer, operation::ECHO, b"", LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() < AT_ONCE);

    let again = TestNode::with(TcpConfig { listen: address, ..config(2) }).await;
    again.transport.serve(again.probe.services());
    let back = Instant::now();
    while one.call_at(&peer, operation::ECHO, b"", LONG).await.is_err() {
        assert!(back.elapsed() < AT_ONCE, "still not used");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let frames = one.open(&again, operation::COUNT, b"10").await.unwrap();
    assert_eq!(frames.count().await, 10);
}

#[tokio::test]
async fn a_connection_that_is_given_up_takes_unsent_calls_with_it() {
    use crate::{Class, Transport};

    let one = TestNode::start(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = Peer { id: Some(NodeId(2)), address: address.to_string() };
    // More than the operating system takes in for somebody who does not read.
    let large = bytes::Bytes::from(vec![0; UNARY_BYTES]);
    let calls = (0..100).map(|_| {
        let class = Class::Background;
        one.transport.call(&peer, class, operation::ECHO, large.clone(), LONG)
    });
    let read = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        handshake::answer(&mut stream, &identity(2)).await.unwrap();
        stream
    };
    let (ended, mut stream) = future::join(future::join_all(calls), read).await;
    assert!(ended.iter().all(|call| call.is_err()));
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read).await;
    assert!(end.is_err(), "all of {} bytes came, and an end", read.len());
}

fn identity(id: u64) -> Identity {
    let known = config(id);
    Identity {
        me: known.me,
        cluster_name: known.cluster_name,
        ring_size: known.ring_size,
        releases: Releases::own(),
        secrets: known.secrets,
    }
}

/// A listener that plays dead: at once, or after the handshake.
async fn silent(answers_handshake: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let identity = identity(2);
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if answers_handshake {
                handshake::answer(&mut stream, &identity).await.unwrap();
            }
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_paused_peer_is_noticed_within_five_seconds() {
    use crate::{Class, Transport};

    let one = TestNode::start(1).await;
    let attempts = [true, false].map(|answers| {
        let one = &one;
        async move {
            let peer = Peer { id: Some(NodeId(2)), address: silent(answers).await.to_string() };
            let start = Instant::now();
            let call = one.call_at(&peer, operation::ECHO, b"", LONG);
            let open = one.transport.open(
                &peer,
                Class::Background,
                operation::ENDLESS,
                bytes::Bytes::new(),
                LONG,
            );
            let (call, open) = future::join(call, open).await;
            for error in [call.unwrap_err(), open.err().unwrap()] {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("node 0000000000000002"), "{error}");
            }
            assert!(start.elapsed() < WITHIN_LEASE, "{:?}", start.elapsed());
        }
    });
    future::join_all(attempts).await;
}

#[tokio::test]
async fn a_peer_that_lets_short_calls_time_out_is_noticed_as_well() {
    use crate::{Class, Transport};

    let one = TestNode::start(1).await;
    let peer = Peer { id: Some(NodeId(2)), address: silent(true).await.to_string() };
    let (start, short) = (Instant::now(), Duration::from_millis(200));
    let call = || {
        // The one class with a single connection.
        let (class, body) = (Class::Background, bytes::Bytes::new());
        one.transport.call(&peer, class, operation::ECHO, body, short)
    };
    let error = loop {
        let error = call().await.unwrap_err();
        if error.kind() != ErrorKind::Timeout {
            break error;
        }
        assert!(start.elapsed() < 2 * WITHIN_LEASE, "the connection is used for ever");
    };
    assert!(error.to_string().contains("silent"), "{error}");
}

#[tokio::test]
async fn a_short_timeout_is_kept_even_without_a_connection() {
    let one = TestNode::start(1).await;
    let peer = Peer { id: Some(NodeId(2)), address: silent(false).await.to_string() };
    let (start, soon) = (Instant::now(), Duration::from_millis(100));
    let error = one.call_at(&peer, operation::ECHO, b"", soon).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(start.elapsed() < AT_ONCE);
}

/// Passes bytes between nodes until it is told to stop: the connections then stay open, as those of
/// a node that is paused or cut off.
async fn freezing_proxy(target: SocketAddr, frozen: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(target).await.unwrap();
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            for (mut from, mut to) in [(near_in, far_out), (far_in, near_out)] {
                let frozen = frozen.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 4096];
                    loop {
                        let read = from.read(&mut buffer).await.unwrap_or(0);
                        if *frozen.borrow() {
                            return future::pending().await;
                        }
                        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    address
}

#[tokio::test]
async fn a_peer_cut_off_in_the_middle_is_noticed_by_both_sides() {
    let (one, two) = TestNode::pair().await;
    let (freeze, frozen) = watch::channel(false);
    let address = freezing_proxy(two.address(), frozen).await.to_string();
    let peer = Peer { id: Some(two.id), address };
    let call = one.call_at(&peer, operation::HANG, b"", LONG);
    let large = vec![0; UNARY_BYTES + 1];
    let large_call = one.call_at(&peer, operation::HANG, &large, LONG);
    let cut = async {
        eventually("both run", || two.probe.running() == 2).await;
        // Longer than the lease, so that only signs of life can have kept the calls.
        tokio::time::sleep(WITHIN_LEASE).await;
        assert_eq!(two.probe.running(), 2, "a slow answer is no silence");
        freeze.send_replace(true);
        Instant::now()
    };
    let (call, large_call, cut) = future::join3(call, large_call, cut).await;
    for error in [call.unwrap_err(), large_call.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert!(cut.elapsed() < WITHIN_LEASE, "{:?}", cut.elapsed());
    eventually("the peer has dropped the work", || two.probe.running() == 0).await;
    assert!(cut.elapsed() < 2 * WITHIN_LEASE, "{:?}", cut.elapsed());
}

#[tokio::test]
async fn noise_on_the_port_is_cut_off_and_costs_nobody_else() {
    let (one, two) = TestNode::pair().await;
    let mut visitors = Vec::new();
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 5000], b"MRNG\x01\x00\x01\xff\xff"] {
        let mut visitor = TcpStream::connect(two.address()).await.unwrap();
        let _ = visitor.write_all(noise).await;
        visitors.push(visitor);
    }
    for visitor in &mut visitors {
        let mut rest = Vec::new();
        // Closed in order or reset: either way it is over.
        let end = tokio::time::timeout(SECOND, visitor.read_to_end(&mut rest)).await;
        assert!(end.is_ok() && rest.is_empty(), "{rest:?}");
    }
    let mut quiet = TcpStream::connect(two.address()).await.unwrap();
    assert_eq!(one.call(&two, operation::ECHO, b"hello", LONG).await.unwrap(), "hello");
    let start = Instant::now();
    assert_eq!(quiet.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(start.elapsed() < limits::HANDSHAKE_TIMEOUT + SECOND);
}

#[tokio::test]
async fn a_cluster_name_that_fits_no_handshake_is_refused() {
    let long = TcpConfig { cluster_name: "c".repeat(256), ..config(1) };
    let error = TcpTransport::bind(long).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
