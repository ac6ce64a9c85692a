//! What each change does to the metadata, and what is refused.

use mapring_ring::RingSize;
use mapring_types::props::PropChanges;
use mapring_types::{BucketId, NodeId};

use super::*;
use crate::limits;

fn member(name: &str, address: &str) -> Member {
    Member {
        name: name.to_owned(),
        cluster_address: address.to_owned(),
        http_address: format!("{address}0"),
        status: MemberStatus::Valid,
        incomplete: false,
        losses: 0,
        start: 0,
        zone: None,
        releases: None,
    }
}

fn join(id: u64, name: &str, replaces: Option<u64>) -> Change {
    let member = member(name, &format!("host{id}:1"));
    Change::Join { id: NodeId(id), member, replaces: replaces.map(NodeId) }
}

fn cluster(changes: impl IntoIterator<Item = Change>) -> ClusterState {
    let mut state = ClusterState::new("c", RingSize::new(64).unwrap());
    for change in changes {
        assert_eq!(state.apply(&change), Outcome::Applied, "{change:?}");
    }
    state
}

fn three() -> ClusterState {
    cluster((1..=3).map(|id| join(id, &format!("n{id}"), None)))
}

fn owned(state: &ClusterState, id: u64) -> usize {
    state.plan.owned_by(NodeId(id)).count()
}

#[track_caller]
fn check_refused(state: &mut ClusterState, change: &Change) {
    let before = state.clone();
    let outcome = state.apply(change);
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert_eq!(*state, before);
}

#[test]
fn nodes_that_join_before_data_share_the_ring() {
    let state = three();
    for id in 1..=3 {
        assert!((21..=22).contains(&owned(&state, id)), "{}", owned(&state, id));
    }
}

#[test]
fn a_node_that_joins_after_data_owns_nothing() {
    let mut state = three();
    let plan = state.plan.clone();
    state.apply(&Change::Seal);
    assert_eq!(state.apply(&join(4, "n4", None)), Outcome::Applied);
    assert_eq!(state.members[&NodeId(4)].status, MemberStatus::Joining);
    assert_eq!(state.plan, plan);
}

#[test]
fn a_second_join_updates_addresses_only() {
    let mut state = three();
    state.apply(&Change::Seal);
    let plan = state.plan.clone();
    let moved = Member { incomplete: true, ..member("n2", "elsewhere:9") };
    let change = Change::Join { id: NodeId(2), member: moved, replaces: None };
    assert_eq!(state.apply(&change), Outcome::Applied);
    assert_eq!(state.members[&NodeId(2)], member("n2", "elsewhere:9"));
    assert_eq!(state.plan, plan);
}

#[test]
fn a_name_is_given_once() {
    let mut state = three();
    check_refused(&mut state, &join(4, "n2", None));
    check_refused(&mut state, &join(4, "n2", Some(3)));
    check_refused(&mut state, &join(3, "n2", None));
    check_refused(&mut state, &join(3, "n2", Some(2)));
}

#[test]
fn a_replacement_takes_place_and_partitions() {
    for sealed in [false, true] {
        let mut state = three();
        if sealed {
            state.apply(&Change::Seal);
        }
        let (before, version) = (owned(&state, 2), state.plan.version());
        assert_eq!(state.apply(&join(9, "n2", Some(2))), Outcome::Applied);
        assert_eq!((owned(&state, 2), owned(&state, 9)), (0, before));
        assert_eq!(state.plan.version(), version + 1);
        assert!(!state.members.contains_key(&NodeId(2)));
        let new = &state.members[&NodeId(9)];
        assert_eq!((new.status, new.incomplete), (MemberStatus::Valid, sealed));
        // Told again, it changes nothing.
        let after = state.clone();
        assert_eq!(state.apply(&join(9, "n2", Some(2))), Outcome::Applied);
        assert_eq!(state, after);
    }
}

#[test]
fn a_replaced_joining_node_leaves_no_trace() {
    let mut state = three();
    state.apply(&Change::Seal);
    state.apply(&join(4, "n4", None));
    let plan = state.plan.clone();
    state.apply(&join(5, "n4", Some(4)));
    let new = &state.members[&NodeId(5)];
    assert_eq!((new.status, new.incomplete), (MemberStatus::Joining, false));
    assert_eq!(state.plan, plan);
}

#[test]
fn a_node_that_lost_data_is_incomplete_until_that_loss_is_filled() {
    let lost = Change::Lost { id: NodeId(2) };
    let filled = |losses| Change::Filled { id: NodeId(2), losses };
    let mut state = three();
    state.apply(&lost);
    assert!(!state.members[&NodeId(2)].incomplete, "before there is data nothing is lost");
    state.apply(&Change::Seal);
    state.apply(&lost);
    assert!(state.members[&NodeId(2)].incomplete);
    state.apply(&lost);
    check_refused(&mut state, &filled(2));
    assert_eq!(state.apply(&filled(3)), Outcome::Applied);
    assert!(!state.members[&NodeId(2)].incomplete);
    state.apply(&join(4, "n4", None));
    state.apply(&Change::Lost { id: NodeId(4) });
    assert!(!state.members[&NodeId(4)].incomplete, "who owns nothing lacks nothing");
    check_refused(&mut state, &Change::Lost { id: NodeId(9) });
    // Joining again, as at every start, changes nothing of it.
    state.apply(&lost);
    state.apply(&join(2, "n2", None));
    assert!(state.members[&NodeId(2)].incomplete && state.members[&NodeId(2)].losses == 4);
}

#[test]
fn a_run_with_older_data_is_a_loss_whoever_says_so_first() {
    let went_back = |run| Change::WentBack { id: NodeId(2), run };
    let mut state = three();
    state.apply(&Change::Seal);
    for (run, losses) in [(7, 1), (7, 1), (6, 1), (9, 2)] {
        assert_eq!(state.apply(&went_back(run)), Outcome::Applied);
        let member = &state.members[&NodeId(2)];
        assert_eq!((member.incomplete, member.losses), (true, losses), "run {run}");
    }
    state.apply(&Change::Filled { id: NodeId(2), losses: 2 });
    state.apply(&went_back(9));
    assert!(!state.members[&NodeId(2)].incomplete);
    check_refused(&mut state, &Change::WentBack { id: NodeId(9), run: 1 });
    state.apply(&join(9, "n2", Some(2)));
    assert!(state.went_back.is_empty());
}

#[test]
fn a_copy_of_a_data_directory_is_known_by_its_number() {
    let start = |known: &[u64], next| Change::Start { id: NodeId(1), known: known.to_vec(), next };
    let mut state = three();
    assert_eq!(state.apply(&start(&[0], 7)), Outcome::Applied);
    // The answer may not have arrived.
    assert_eq!(state.apply(&start(&[0], 7)), Outcome::Applied);
    assert_eq!(state.apply(&start(&[0, 7], 8)), Outcome::Applied);
    check_refused(&mut state, &start(&[0, 7], 9));
    check_refused(&mut state, &start(&[0], 9));
    assert_eq!(state.members[&NodeId(1)].start, 8);
}

#[test]
fn the_metadata_stays_small() {
    let mut state = three();
    let set = |number: usize| Change::SetBucket {
        bucket: BucketId::untyped(number.to_string()),
        changes: PropChanges::default(),
    };
    for number in 0..limits::BUCKETS {
        assert_eq!(state.apply(&set(number)), Outcome::Applied);
    }
    check_refused(&mut state, &set(limits::BUCKETS));
    assert_eq!(state.apply(&set(7)), Outcome::Applied);
}

#[test]
fn the_first_identity_stays() {
    let mut state = three();
    state.apply(&Change::Found { id: 5 });
    state.apply(&Change::Found { id: 6 });
    assert_eq!(state.id, 5);
}

#[test]
fn only_a_member_without_partitions_can_be_forgotten() {
    let mut state = three();
    state.apply(&Change::Seal);
    state.apply(&join(4, "n4", None));
    let plan = state.plan.clone();
    for id in [3, 9] {
        check_refused(&mut state, &Change::Forget { id: NodeId(id) });
    }
    assert_eq!(state.apply(&Change::Forget { id: NodeId(4) }), Outcome::Applied);
    assert!(!state.members.contains_key(&NodeId(4)));
    assert_eq!(state.plan, plan);
    // Its name is free again.
    assert_eq!(state.apply(&join(5, "n4", None)), Outcome::Applied);
}

#[test]
fn a_member_written_before_there_were_zones_is_read_and_written_the_same() {
    let text = r#"{"name":"n1","cluster_address":"a:1","http_address":"a:2","status":"valid",
        "incomplete":false,"losses":1,"start":7}"#;
    let old: Member = serde_json::from_str(text).unwrap();
    assert_eq!((old.zone.as_deref(), old.start), (None, 7));
    let again = serde_json::to_string(&old).unwrap();
    assert_eq!(again, text.split_whitespace().collect::<String>());
    let mut state = three();
    let moved = Member { zone: Some("hall 1".into()), ..member("n2", "host2:1") };
    state.apply(&Change::Join { id: NodeId(2), member: moved, replaces: None });
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<ClusterState>(&text).unwrap(), state);
}

#[test]
fn json_round_trip() {
    let mut state = three();
    let bucket = BucketId::untyped(&b"\xff\x00bucket"[..]);
    let changes = PropChanges(serde_json::Map::from_iter([("n_val".to_owned(), 2.into())]));
    state.apply(&Change::SetBucket { bucket, changes });
    state.apply(&join(u64::MAX, "last", None));
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<ClusterState>(&text).unwrap(), state);
}

#[test]
fn a_raised_n_val_is_not_believed_of_older_objects() {
    let mut state = ClusterState::new("c", RingSize::new(64).unwrap());
    let bucket = BucketId::untyped("b");
    let set = |n_val: u32| {
        let props = serde_json::json!({ "n_val": n_val });
        let changes = PropChanges(props.as_object().cloned().unwrap());
        Change::SetBucket { bucket: bucket.clone(), changes }
    };
    assert_eq!(state.least_n_val(&bucket), Some(3));
    for (n_val, least) in [(5, 3), (2, 2), (3, 2), (1, 1), (4, 1)] {
        state.apply(&set(n_val));
        assert_eq!(state.least_n_val(&bucket), Some(least), "{n_val}");
    }
    assert_eq!(state.least_n_val(&BucketId::typed("no", "b")), None);
}
