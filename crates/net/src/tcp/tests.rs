//! Two nodes over real sockets.

mod failures;
mod tools;

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future};
use mapring_types::limits::UNARY_BYTES;
use mapring_types::{ErrorKind, NodeId};

use self::tools::{Probe, TestNode, eventually, operation};
use crate::{Class, Method, Peer, ServiceId, Services, Transport, limits};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_call_is_answered_by_the_peer_and_by_the_node_itself() {
    let (one, two) = TestNode::pair().await;
    for to in [&one, &two] {
        for class in [Class::Foreground, Class::Background] {
            let body = Bytes::from_static(b"hello");
            let answer =
                one.transport.call(&to.peer(), class, operation::ECHO, body.clone(), LONG).await;
            assert_eq!(answer.unwrap(), body);
        }
        assert_eq!(to.probe.callers(), [NodeId(1), NodeId(1)]);
    }
}

#[tokio::test]
async fn a_peer_known_by_address_alone_is_found() {
    let (one, two) = TestNode::pair().await;
    let somebody = Peer { id: None, address: format!("localhost:{}", two.address().port()) };
    let answer = one.call_at(&somebody, operation::ECHO, b"who is there", LONG).await;
    assert_eq!(answer.unwrap(), "who is there");
}

#[tokio::test]
async fn errors_come_through_with_their_kind() {
    let (one, two) = TestNode::pair().await;
    for to in [&one, &two] {
        let error = one.call(to, operation::FAIL, b"", LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "there is no such thing");

        let error = one.call(to, operation::PANIC, b"", LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);

        let unserved = Method { service: ServiceId::new(1), operation: 0 };
        let error = one.call(to, unserved, b"", LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.to_string(), "service 1 is not running here");

        let error = one.open(to, operation::FAIL, b"").await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "there is no such thing");
    }
}

#[tokio::test]
async fn large_bodies_travel_both_ways_and_each_call_runs_once() {
    let (one, two) = TestNode::pair().await;
    for length in [UNARY_BYTES - 1, UNARY_BYTES, UNARY_BYTES + 1, 10 << 20] {
        let body = Bytes::from((0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>());
        for to in [&one, &two] {
            let before = to.probe.callers().len();
            let answer = one
                .transport
                .call(&to.peer(), Class::Foreground, operation::ECHO, body.clone(), LONG)
                .await
                .unwrap();
            assert!(answer == body, "{length} bytes");
            let asked = length.to_string();
            let answer = one.call(to, operation::LARGE, asked.as_bytes(), LONG).await.unwrap();
            assert_eq!(answer.len(), length);
            assert_eq!(to.probe.callers().len(), before + 2);
        }
    }
    let too_large = Bytes::from(vec![0; mapring_types::limits::MESSAGE_BYTES + 1]);
    let call =
        one.transport.call(&two.peer(), Class::Foreground, operation::ECHO, too_large, LONG).await;
    assert_eq!(call.unwrap_err().kind(), ErrorKind::TooLarge);
    eventually("oversize replies are gone", || two.transport.shared.oversize.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once() {
    let (one, two) = TestNode::pair().await;
    let calls = (0..1_000).map(|number| {
        let (one, two) = (&one, &two);
        async move {
            let body = format!("call {number}");
            let answer = one.call(two, operation::ECHO, body.as_bytes(), LONG).await.unwrap();
            assert_eq!(answer, body);
        }
    });
    future::join_all(calls).await;
    assert_eq!(two.probe.callers().len(), 1_000);
}

#[tokio::test]
async fn slow_calls_do_not_hold_up_quick_ones() {
    let (one, two) = TestNode::pair().await;
    let waiting: Vec<_> = (0..500).map(|_| one.call(&two, operation::HANG, b"", LONG)).collect();
    let quick = async {
        eventually("all are under way", || two.probe.running() == 500).await;
        one.call(&two, operation::ECHO, b"quick", LONG).await.unwrap()
    };
    let quick =
        future::select(Box::pin(quick), future::select_all(waiting.into_iter().map(Box::pin)));
    let future::Either::Left((answer, waiting)) = quick.await else { panic!("a call ended") };
    assert_eq!(answer, "quick");
    drop(waiting);
    eventually("all are withdrawn", || two.probe.running() == 0).await;
}

#[tokio::test]
async fn a_late_answer_is_a_timeout_and_its_work_ends() {
    let (one, two) = TestNode::pair().await;
    for to in [&one, &two] {
        let soon = Duration::from_millis(100);
        let error = one.call(to, operation::HANG, b"", soon).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains(&to.id.to_string()), "{error}");
        eventually("the work has ended", || to.probe.running() == 0).await;
    }
}

#[tokio::test]
async fn dropping_a_call_drops_its_work() {
    let (one, two) = TestNode::pair().await;
    let large = vec![0; UNARY_BYTES + 1];
    for to in [&one, &two] {
        for body in [&b"small"[..], &large] {
            let call = one.call(to, operation::HANG, body, LONG);
            let started = eventually("it runs", || to.probe.running() == 1);
            let future::Either::Right(((), call)) =
                future::select(Box::pin(call), Box::pin(started)).await
            else {
                panic!("the call ended")
            };
            drop(call);
            eventually("it has been dropped", || to.probe.running() == 0).await;
        }
    }
}

#[tokio::test]
async fn calls_wait_until_the_peer_serves() {
    let (one, two) = (TestNode::start(1).await, TestNode::bound(2).await);
    for to in [&one, &two] {
        let call = one.call(to, operation::ECHO, b"patience", LONG);
        let serve = async {
            tokio::task::yield_now().await;
            to.transport.serve(to.probe.services());
        };
        assert_eq!(future::join(call, serve).await.0.unwrap(), "patience");
    }
    let three = TestNode::bound(3).await;
    let soon = Duration::from_millis(50);
    let error = three.call(&three, operation::ECHO, b"", soon).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_stream_arrives_in_order_and_ends() {
    let (one, two) = TestNode::pair().await;
    for to in [&one, &two] {
        let frames = one.open(to, operation::COUNT, b"1000").await.unwrap();
        let frames: Vec<Bytes> = frames.try_collect().await.unwrap();
        let expected: Vec<_> = (0..1000).map(|number| Bytes::from(number.to_string())).collect();
        assert_eq!(frames, expected);

        let mut frames = one.open(to, operation::BREAK, b"2").await.unwrap();
        assert_eq!(frames.next().await.unwrap().unwrap(), "0");
        assert_eq!(frames.next().await.unwrap().unwrap(), "1");
        let error = frames.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Storage, "disk gone"));
        assert!(frames.next().await.is_none());
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stops_its_producer_and_holds_up_no_other() {
    let (one, two) = TestNode::pair().await;
    let ahead = (2 * limits::STREAM_WINDOW as usize) / Probe::ENDLESS_FRAME + 8;
    for to in [&one, &two] {
        let mut frames = one.open(to, operation::ENDLESS, b"").await.unwrap();
        for taken in 1..200 {
            frames.next().await.unwrap().unwrap();
            let produced = to.probe.produced();
            assert!(produced <= taken + ahead, "{produced} produced, {taken} taken");
        }
        // Other work goes on beside it.
        let others = (0..20).map(|_| one.open(to, operation::COUNT, b"100"));
        for frames in future::try_join_all(others).await.unwrap() {
            assert_eq!(frames.count().await, 100);
        }
        let produced = to.probe.produced();
        assert!(produced <= 200 + ahead, "{produced} produced");
        assert_eq!(to.probe.running(), 1);
        drop(frames);
        eventually("the producer is dropped", || to.probe.running() == 0).await;
    }
}

#[tokio::test]
async fn dropping_an_opening_drops_its_work() {
    let (one, two) = TestNode::pair().await;
    for to in [&one, &two] {
        let opening = one.open(to, operation::HANG, b"");
        let started = eventually("it runs", || to.probe.running() == 1);
        let future::Either::Right(((), opening)) =
            future::select(Box::pin(opening), Box::pin(started)).await
        else {
            panic!("the opening ended")
        };
        drop(opening);
        eventually("it has been dropped", || to.probe.running() == 0).await;
    }
}

#[tokio::test]
async fn many_streams_can_be_open_at_once() {
    let (one, two) = TestNode::pair().await;
    let opening = (0..300).map(|_| one.open(&two, operation::ENDLESS, b""));
    let streams = future::try_join_all(opening).await.unwrap();
    assert_eq!(one.call(&two, operation::ECHO, b"still here", LONG).await.unwrap(), "still here");
    let asked = (10 << 20).to_string();
    let large = one.call(&two, operation::LARGE, asked.as_bytes(), LONG).await.unwrap();
    assert_eq!(large.len(), 10 << 20);
    drop(streams);
    eventually("all are dropped", || two.probe.running() == 0).await;
}

#[tokio::test]
async fn shutdown_ends_everything() {
    let (one, two) = TestNode::pair().await;
    let mut frames = one.open(&two, operation::ENDLESS, b"").await.unwrap();
    frames.next().await.unwrap().unwrap();
    let own = one.call(&one, operation::HANG, b"", LONG);
    let out = one.call(&two, operation::HANG, b"", LONG);
    let into = two.call(&one, operation::HANG, b"", LONG);
    let stop = async {
        eventually("all run", || one.probe.running() == 2 && two.probe.running() == 2).await;
        tokio::time::timeout(SECOND, one.transport.shutdown()).await.expect("it ends");
    };
    let (own, out, into, ()) = future::join4(own, out, into, stop).await;
    for ended in [own, out, into] {
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    while let Some(Ok(_)) = frames.next().await {}
    eventually("nothing runs", || one.probe.running() == 0 && two.probe.running() == 0).await;
    for to in [&one, &two] {
        let after = one.call(to, operation::ECHO, b"", LONG).await.unwrap_err();
        assert_eq!(after.kind(), ErrorKind::Unavailable);
    }
    one.transport.serve(Services::default());
}
