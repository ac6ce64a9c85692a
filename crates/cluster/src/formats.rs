//! What former releases have stored and sent is read, byte for byte as they made it.

use std::collections::BTreeMap;

use mapring_net::Call;
use mapring_types::props::PropChanges;
use mapring_types::{BucketId, NodeId, Release, Releases};

use crate::wire::{
    self, Adopt, Adopted, ChooseAnswer, ChooseRequest, JoinAnswer, JoinRequest, ProposeAnswer,
    ProposeRequest, Verdict,
};
use crate::{Change, Chosen, Member, MemberStatus, Outcome};

fn member(name: &str, zone: Option<&str>) -> Member {
    Member {
        name: name.to_owned(),
        cluster_address: format!("{name}:7001"),
        http_address: format!("{name}:8098"),
        status: MemberStatus::Joining,
        incomplete: false,
        losses: 0,
        start: 0,
        zone: zone.map(str::to_owned),
        releases: None,
    }
}

/// One of each change.
pub(crate) fn changes() -> Vec<Change> {
    let props = |n_val: u32| {
        let changes = [("n_val".to_owned(), n_val.into()), ("allow_mult".to_owned(), false.into())];
        PropChanges(changes.into_iter().collect())
    };
    let (one, two, three) = (NodeId(7), NodeId(8), NodeId(9));
    let bucket = BucketId::typed(&b"maps"[..], &b"caf\xc3\xa9"[..]);
    vec![
        Change::Found { id: 5 },
        Change::Join { id: one, member: member("n1", Some("hall 1")), replaces: None },
        Change::Join { id: two, member: member("n2", None), replaces: None },
        Change::SetBucketType { name: "maps".to_owned(), changes: props(2) },
        Change::SetBucket { bucket: bucket.clone(), changes: props(3) },
        Change::SetBucket { bucket: BucketId::untyped("b"), changes: props(1) },
        Change::ResetBucket { bucket },
        Change::Start { id: one, known: vec![0], next: u64::MAX },
        Change::Seal,
        Change::Lost { id: one },
        Change::Filled { id: one, losses: 1 },
        Change::WentBack { id: two, run: 3 },
        Change::BeginChain,
        Change::Join { id: three, member: member("n3", None), replaces: None },
        Change::Forget { id: three },
        Change::Join { id: NodeId(10), member: member("n2", None), replaces: Some(two) },
    ]
}

/// What is kept under a name is read as `call`, and what is asked now is the same.
#[track_caller]
fn check_request<C: Call + std::fmt::Debug>(name: &str, call: &C) {
    let kept = kept(name);
    assert_eq!(wire::request(call).unwrap(), kept, "{name}");
    let served = futures::executor::block_on(wire::serve(&kept, async |read: C| {
        assert_eq!(format!("{read:?}"), format!("{call:?}"));
        Err(mapring_types::Error::invalid("that is all"))
    }));
    assert_eq!(served.unwrap_err().message(), "that is all", "{name}");
}

#[track_caller]
fn check_answer<C: Call<Answer: std::fmt::Debug>>(name: &str, expected: &C::Answer) {
    let read = wire::answered::<C>(&kept(name)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{name}");
}

fn kept(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/message-2-{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn messages_of_former_releases_are_read() {
    check_request(
        "join",
        &JoinRequest {
            id: NodeId(7),
            name: "n1".to_owned(),
            cluster_address: "n1:7001".to_owned(),
            http_address: "n1:8098".to_owned(),
            zone: Some("hall 1".to_owned()),
            releases: None,
            cluster_name: "c".to_owned(),
            ring_size: 64,
            started: 1_700_000_000_000_000,
            stored: true,
            cluster_id: 5,
            forwarded: false,
        },
    );
    let addresses = BTreeMap::from([(NodeId(8), (3, "n2:7001".to_owned()))]);
    let verdict = Verdict::Refused("no".to_owned());
    check_answer::<JoinRequest>("join-answer", &JoinAnswer { verdict, addresses });
    check_request("propose", &ProposeRequest { change: changes()[1].clone() });
    let outcome = Outcome::Refused("no".to_owned());
    let decided = ProposeAnswer::Decided { outcome, index: 7 };
    check_answer::<ProposeRequest>("propose-answer", &decided);
    check_request("choose", &ChooseRequest { node: NodeId(7) });
    let chosen = Chosen {
        node: "n1".to_owned(),
        index: 7,
        continues_at: 1_000,
        nodes: Vec::new(),
        missing: vec!["n2".to_owned()],
    };
    check_answer::<ChooseRequest>("choose-answer", &ChooseAnswer::Chosen(chosen));
    check_answer::<Adopt>("adopted", &Adopted::Dropped(Some((3, 4))));
}

/// Whoever tells nothing new tells nothing else than before: an old program reads a request to join
/// that says which releases the node knows.
#[test]
fn a_request_to_join_says_more_than_former_ones_and_is_read_by_them() {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let mut before = read(std::str::from_utf8(&kept("join")[1..]).unwrap());
    let mut call: JoinRequest = serde_json::from_value(before.clone()).unwrap();
    call.releases = Some(Releases::own());
    let bytes = wire::request(&call).unwrap();
    before["releases"] = serde_json::json!({"reads": 1, "writes": Release::current().number()});
    assert_eq!(read(std::str::from_utf8(&bytes[1..]).unwrap()), before);
    assert_eq!(bytes[0], kept("join")[0]);
}
