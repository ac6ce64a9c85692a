use std::collections::BTreeSet;

use bytes::Bytes;
use mapring_ring::{Partition, PreferenceEntry};
use mapring_types::{ActorId, Dot, Metadata, Object, Sibling, VersionVector};

use super::read::ReadCore;
use super::write::WriteCore;
use super::*;
use crate::request::absence::{self, Absence, Around, Asked};
use crate::resolution::Resolution;

fn object(counter: u64) -> Object {
    let dot = Dot { actor: ActorId(1), counter };
    let (metadata, body) = (Metadata::default(), Bytes::new());
    let sibling = Sibling { dot, last_modified: counter, deleted: false, metadata, body };
    let mut object = Object::default();
    object.update(&VersionVector::new(), sibling);
    object
}

/// Replicas as words: node, `*` for a fallback, then what became of it: nothing (waiting), `=N` (an
/// object with counter N, or stored), `-` (missing), `!` (failed). Each has a vnode of its own.
fn replicas(text: &str) -> Vec<(PreferenceEntry, String)> {
    let replica = |(at, word): (usize, &str)| {
        let split = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let (node, rest) = word.split_at(split);
        let entry = PreferenceEntry {
            vnode: Partition(at as u16),
            node: NodeId(node.parse().unwrap()),
            primary: !rest.starts_with('*'),
        };
        (entry, rest.trim_start_matches('*').to_owned())
    };
    text.split_whitespace().enumerate().map(replica).collect()
}

fn read_core(need: ReadNeed, text: &str) -> ReadCore {
    let mut core = ReadCore::new(need, Resolution::LastWrite);
    for (entry, state) in replicas(text) {
        let index = core.add(entry).unwrap();
        match state.as_str() {
            "" => {}
            "-" => core.apply(index, None),
            "!" => core.fail(index),
            found => core.apply(index, Some(object(found[1..].parse().unwrap()))),
        }
    }
    core
}

fn words(verdict: Verdict, merged: &Object) -> String {
    match verdict {
        Verdict::Wait => "wait".into(),
        Verdict::Enough if merged.siblings.is_empty() => "not found".into(),
        Verdict::Enough => format!("found {}", merged.siblings[0].dot.counter),
        Verdict::Fail(error) => error.to_string(),
    }
}

#[track_caller]
fn read(need: ReadNeed, text: &str, expect: &str) {
    let core = read_core(need, text);
    assert_eq!(words(core.verdict(), &core.merged), expect, "{text}");
}

const NEED: ReadNeed =
    ReadNeed { n: 3, r: 2, pr: 0, confirms: 0, basic_quorum: false, notfound_ok: true };

#[test]
fn reads_answer_at_r() {
    read(NEED, "1 2 3", "wait");
    read(NEED, "1=1 2 3", "wait");
    read(NEED, "1=1 2=2 3", "found 2");
    read(NEED, "1=1 2- 3", "found 1");
    read(NEED, "1- 2- 3", "not found");
    read(NEED, "1=1 2! 3", "wait");
    read(NEED, "1=1 2! 3!", "R-value unsatisfied: 1/2");
    read(NEED, "1! 2! 3", "R-value unsatisfied: 1/2");
    read(NEED, "", "R-value unsatisfied: 0/2");
    let all = ReadNeed { r: 3, ..NEED };
    read(all, "1=1 2=1 3", "wait");
    read(all, "1=1 2=1 3!", "R-value unsatisfied: 2/3");
    read(all, "1=1 2=1", "R-value unsatisfied: 2/3");
}

#[test]
fn a_fallback_without_the_object_waits_for_the_primaries() {
    read(NEED, "1- 2 3*-", "wait");
    read(NEED, "1- 2=4 3*-", "found 4");
    read(NEED, "1- 2! 3*-", "not found");
    read(NEED, "1- 2 3*=4", "found 4");
    read(ReadNeed { r: 1, ..NEED }, "1 2 3*-", "wait");
    read(ReadNeed { r: 1, ..NEED }, "1! 2! 3*-", "not found");
}

/// The entries, with vnodes 0 to 2, of the primaries 1 to 3 in a state other than `down`.
fn primary(at: usize) -> PreferenceEntry {
    let (vnode, node) = (Partition(at as u16), NodeId(at as u64 + 1));
    PreferenceEntry { vnode, node, primary: true }
}

/// A GET of an object of three replicas, with each member in a state: has it, lacks it, refuses, is
/// down. All who are asked answer at once, and answer the same again.
fn get(need: ReadNeed, primaries: &[&str], others: &[&str]) -> String {
    let answer = |core: &mut ReadCore, index: usize, state: &str| match state {
        "has" => core.apply(index, Some(object(1))),
        "lacks" => core.apply(index, None),
        _ => core.fail(index),
    };
    let mut core = ReadCore::new(need, Resolution::LastWrite);
    core.set_primaries((0..primaries.len()).map(primary).collect());
    let other = |at: usize| NodeId((primaries.len() + at + 1) as u64);
    let state_of = |node: NodeId| {
        let at = node.0 as usize - 1;
        *primaries.iter().chain(others).nth(at).unwrap()
    };
    let quiet = primaries.iter().chain(others).all(|state| *state != "down");
    let quiet = quiet && others.iter().all(|state| *state == "lacks");
    let is_up = |at: &usize| others[*at] != "down";
    let around = Around {
        spread: primaries.len(),
        quiet,
        up: (0..others.len()).filter(is_up).map(other).collect(),
        down: (0..others.len()).filter(|at| !is_up(at)).map(other).collect(),
        cut_off: false,
        holding: BTreeSet::new(),
    };
    let mut stand_ins = around.up.iter();
    for (at, state) in primaries.iter().enumerate() {
        if *state != "down" {
            let index = core.add(primary(at)).unwrap();
            answer(&mut core, index, state);
        }
        if (*state == "down" || *state == "refuses")
            && let Some(&node) = stand_ins.next()
        {
            let entry = PreferenceEntry { node, primary: false, ..primary(at) };
            let index = core.add(entry).unwrap();
            answer(&mut core, index, state_of(node));
        }
    }
    for _ in 0..5 {
        match core.verdict() {
            Verdict::Wait => return "waits".into(),
            Verdict::Fail(error) => return format!("503 {error}"),
            Verdict::Enough if core.is_there() => return "200".into(),
            Verdict::Enough => {}
        }
        match core.absence(&around) {
            Absence::Known => return "404".into(),
            Absence::Wait => return "waits".into(),
            Absence::Unknown(nodes) => return format!("503 {}", core.unknown(&nodes)),
            Absence::Search(nodes) => {
                for node in nodes {
                    let (index, _) = core.add_beside(node).unwrap();
                    answer(&mut core, index, state_of(node));
                }
            }
            Absence::Again => {
                for (index, entry) in core.again() {
                    answer(&mut core, index, state_of(entry.node));
                }
            }
        }
    }
    "goes on for ever".into()
}

#[test]
fn what_is_found_not_found_and_not_known_is_as_the_documentation_says() {
    let page = include_str!("../../../../../docs/http.md");
    let (_, table) = page.split_once("| nodes | primaries |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut checked = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [nodes, primaries, others, r, notfound_ok, expect] = cells[..] else {
            panic!("{row}");
        };
        let states = |cell: &'static str| -> Vec<&str> {
            cell.split(", ").filter(|state| !state.is_empty()).collect()
        };
        let (primaries, others) = (states(primaries), states(others));
        assert_eq!(nodes.parse(), Ok(primaries.len() + others.len()), "{row}");
        let need = ReadNeed { r: r.parse().unwrap(), notfound_ok: notfound_ok == "true", ..NEED };
        let found = get(need, &primaries, &others);
        assert!(found.starts_with(expect) && expect.len() >= 3, "{row}: {found}");
        // Where the primaries lie in the list makes no difference.
        let turned = [primaries[1], primaries[2], primaries[0]];
        let found = get(need, &turned, &others);
        assert!(found.starts_with(expect), "{row}, turned: {found}");
        checked += 1;
    }
    assert!(checked >= 40, "{checked} rows");
}

fn entries(nodes: &[u64]) -> Vec<PreferenceEntry> {
    let entry = |(at, node): (usize, &u64)| PreferenceEntry {
        vnode: Partition(at as u16),
        node: NodeId(*node),
        primary: true,
    };
    nodes.iter().enumerate().map(entry).collect()
}

/// Judges a list of three: which of its primaries, by place, lack the object, are waited for, are
/// unreachable.
fn judged(list: &[u64], without: &[usize], waiting: &[usize], around: &Around) -> Absence {
    let all = entries(list);
    let some = |places: &[usize]| places.iter().map(|at| all[*at]).collect::<Vec<_>>();
    let unreachable = |at: &usize| !without.contains(at) && !waiting.contains(at);
    let asked = Asked {
        without: some(without),
        waiting: some(waiting),
        unreachable: some(&(0..all.len()).filter(unreachable).collect::<Vec<_>>()),
        sure: true,
        ..Asked::default()
    };
    absence::judge(2, &asked, around)
}

fn nodes(numbers: &[u64]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

#[test]
fn in_quiet_times_a_majority_of_primaries_settles_it() {
    let quiet = Around { spread: 3, quiet: true, up: nodes(&[4, 5]), ..Around::default() };
    assert_eq!(judged(&[1, 2, 3], &[0], &[1, 2], &quiet), Absence::Wait);
    assert_eq!(judged(&[1, 2, 3], &[0, 1], &[2], &quiet), Absence::Known);
    let uneasy = Around { quiet: false, ..quiet };
    assert_eq!(judged(&[1, 2, 3], &[0, 1], &[2], &uneasy), Absence::Search(nodes(&[4, 5])));
    // Among three nodes one alone is no majority, whatever is amiss.
    let alone = Around { up: Vec::new(), ..uneasy };
    assert_eq!(judged(&[1, 2, 3], &[0, 1], &[2], &alone), Absence::Known);
    assert_eq!(judged(&[1, 2, 3], &[0, 1], &[], &alone), Absence::Known);
    assert_eq!(judged(&[1, 2, 3], &[0], &[1], &alone), Absence::Wait);
}

#[test]
fn who_makes_no_majority_with_the_others_is_not_waited_for() {
    let around = Around { spread: 3, up: nodes(&[4, 5]), ..Around::default() };
    let list = entries(&[1, 2, 3]);
    let asked = Asked {
        without: list[..2].to_vec(),
        waiting: list[2..].to_vec(),
        others: [NodeId(4)].into(),
        awaited: [NodeId(5)].into(),
        ..Asked::default()
    };
    assert_eq!(absence::judge(2, &asked, &around), Absence::Wait);
    let others = [NodeId(4), NodeId(5)].into();
    let answered = Asked { others, awaited: BTreeSet::new(), ..asked };
    assert_eq!(absence::judge(2, &answered, &around), Absence::Again);
    let again = Asked { again: true, ..answered };
    assert_eq!(absence::judge(2, &again, &around), Absence::Known);
    // One that ought to meet all writes does.
    assert_eq!(absence::judge(1, &again, &around), Absence::Wait);
}

#[test]
fn a_node_named_twice_is_no_majority_where_there_are_more() {
    let three = Around { spread: 2, up: nodes(&[3]), ..Around::default() };
    // With a stand-in it may be.
    assert_eq!(judged(&[1, 2, 1], &[1], &[], &three), Absence::Search(nodes(&[3])));
    let asked = Asked {
        without: vec![entries(&[1, 2, 1])[1]],
        unreachable: vec![entries(&[1, 2, 1])[0], entries(&[1, 2, 1])[2]],
        others: [NodeId(3)].into(),
        ..Asked::default()
    };
    assert_eq!(absence::judge(2, &asked, &three), Absence::Again);
    let again = Asked { again: true, ..asked };
    assert_eq!(absence::judge(2, &again, &three), Absence::Known);
    // Of two nodes one alone acknowledges.
    let two = Around { spread: 1, ..Around::default() };
    let unknown = Absence::Unknown([NodeId(1)].into());
    assert_eq!(judged(&[1, 2, 1], &[1], &[], &two), unknown);
    assert_eq!(judged(&[1, 2, 1], &[0, 2], &[], &two), Absence::Known);
}

#[test]
fn who_was_last_known_to_hold_something_and_is_away_leaves_it_open() {
    let around = Around {
        spread: 3,
        down: [NodeId(4), NodeId(5)].into(),
        holding: [NodeId(4), NodeId(5)].into(),
        ..Around::default()
    };
    let unknown = Absence::Unknown([NodeId(4), NodeId(5)].into());
    assert_eq!(judged(&[1, 2, 3], &[0, 1, 2], &[], &around), unknown);
    let innocent = Around { holding: [NodeId(4)].into(), ..around };
    assert_eq!(judged(&[1, 2, 3], &[0, 1, 2], &[], &innocent), Absence::Known);
    let cut_off = Around { cut_off: true, ..innocent.clone() };
    assert_eq!(judged(&[1, 2, 3], &[0, 1, 2], &[], &cut_off), unknown);
    // With a primary away it may be the one that it stood in beside.
    let unknown = Absence::Unknown([3, 4, 5].map(NodeId).into());
    assert_eq!(judged(&[1, 2, 3], &[0, 1], &[], &innocent), unknown);
}

#[test]
fn of_two_replicas_one_may_be_down_and_of_one_none() {
    let two = ReadNeed { n: 2, ..NEED };
    assert_eq!(get(two, &["lacks", "down"], &["lacks", "lacks"]), "404");
    assert_eq!(get(two, &["lacks", "refuses"], &["lacks", "lacks"]), "404");
    assert_eq!(get(two, &["lacks", "down"], &["has", "lacks"]), "200");
    assert!(get(two, &["lacks", "down"], &["lacks", "down"]).starts_with("503"));
    let one = ReadNeed { n: 1, r: 1, ..NEED };
    assert_eq!(get(one, &["lacks"], &["lacks", "lacks"]), "404");
    assert!(get(one, &["down"], &["lacks", "lacks"]).starts_with("503"));
    assert!(get(one, &["refuses"], &["lacks", "lacks"]).starts_with("503"));
    assert_eq!(get(one, &["down"], &["has", "lacks"]), "200");
}

#[test]
fn a_tombstone_is_no_more_than_nothing() {
    let mut core = read_core(NEED, "1 2 3");
    core.set_primaries(entries(&[1, 2, 3]));
    let mut tombstone = object(4);
    tombstone.siblings[0].deleted = true;
    core.apply(0, Some(tombstone));
    core.apply(1, None);
    core.fail(2);
    assert!(matches!(core.verdict(), Verdict::Enough) && !core.is_there());
    let around = Around { spread: 3, up: nodes(&[4]), ..Around::default() };
    assert_eq!(core.absence(&around), Absence::Search(nodes(&[4])));
}

#[test]
fn pr_counts_primaries_alone() {
    let need = ReadNeed { pr: 2, ..NEED };
    read(need, "1=1 2 3*=1", "wait");
    read(need, "1=1 2=1 3*", "found 1");
    read(need, "1=1 2! 3*=1", "PR-value unsatisfied: 1/2");
    read(ReadNeed { pr: 3, ..NEED }, "1 2 3*", "PR-value unsatisfied: 2/3");
}

#[test]
fn notfound_ok_false_takes_missing_for_failure() {
    let need = ReadNeed { notfound_ok: false, ..NEED };
    read(need, "1- 2 3", "wait");
    read(need, "1- 2=1 3=1", "found 1");
    read(need, "1- 2- 3", "not found");
    read(need, "1- 2- 3=1", "R-value unsatisfied: 1/2");
    read(need, "1- 2! 3", "R-value unsatisfied: 1/2");
    read(ReadNeed { r: 1, ..need }, "1- 2- 3", "wait");
    read(ReadNeed { r: 1, ..need }, "1- 2- 3-", "not found");
}

#[test]
fn basic_quorum_gives_up_at_a_majority() {
    let need = ReadNeed { r: 1, basic_quorum: true, notfound_ok: false, ..NEED };
    read(need, "1- 2 3", "wait");
    read(need, "1- 2- 3", "not found");
    read(need, "1! 2! 3", "R-value unsatisfied: 0/1");
    read(ReadNeed { notfound_ok: true, ..need }, "1! 2! 3", "R-value unsatisfied: 0/1");
    read(ReadNeed { notfound_ok: true, ..need }, "1- 2 3", "not found");
}

#[test]
fn a_node_named_twice_counts_once_while_another_may_answer() {
    read(NEED, "1=1 2 1=1", "wait");
    read(NEED, "1=1 2=1 1", "found 1");
    read(NEED, "1=1 2! 1=1", "found 1");
    read(NEED, "1=1 1=1 1", "found 1");
    read(NEED, "1=1 2! 1=1 3*", "wait");
}

#[test]
fn stale_and_missing_primaries_are_repaired() {
    let stale = |text: &str| -> Vec<u64> {
        read_core(NEED, text).stale().map(|entry| entry.node.0).collect()
    };
    assert_eq!(stale("1=1 2=2 3-"), [1, 3]);
    assert_eq!(stale("1=2 2! 3"), [0; 0]);
    assert_eq!(stale("1- 2- 3*=1"), [1, 2]);
    assert_eq!(stale("1=2 2=2 3*-"), [0; 0]);
    assert_eq!(stale("1- 2- 3-"), [0; 0]);
    let core = read_core(NEED, "1=1 2=2 3-");
    let missing: Vec<bool> = core.stale().map(|entry| core.is_missing(entry)).collect();
    assert_eq!(missing, [false, true]);
}

#[track_caller]
fn write(need: WriteNeed, text: &str, expect: &str) {
    write_of(need, 1, text, expect);
}

#[track_caller]
fn write_of(need: WriteNeed, spread: usize, text: &str, expect: &str) {
    let mut core = WriteCore::new(need, spread);
    for (entry, state) in replicas(text) {
        let index = core.add(entry).unwrap();
        if !state.is_empty() {
            core.apply(index, state == "=");
        }
    }
    let verdict = match core.verdict() {
        Verdict::Wait => "wait".into(),
        Verdict::Enough => "enough".into(),
        Verdict::Fail(error) => error.to_string(),
    };
    assert_eq!(verdict, expect, "{text}");
}

#[test]
fn writes_answer_at_w_dw_pw() {
    let need = WriteNeed { n: 3, w: 2, dw: 2, pw: 0, confirms: 0 };
    write(need, "1= 2 3", "wait");
    write(need, "1= 2= 3", "enough");
    write(need, "1= 2 3*=", "enough");
    write(need, "1= 2! 3!", "W-value unsatisfied: 1/2");
    write(need, "1= 2! 3! 4*", "wait");
    write(need, "1= 2 1=", "wait");
    write(need, "1= 2! 1=", "enough");
    write_of(need, 2, "1= 2! 1=", "W-value unsatisfied: 1/2");
    write_of(need, 2, "1= 2! 1= 3*", "wait");
    write_of(need, 2, "1= 2! 1 3*=", "enough");
    write_of(WriteNeed { w: 3, ..need }, 2, "1= 2! 1= 3*=", "enough");
    write(WriteNeed { w: 0, dw: 0, ..need }, "1= 2 3", "enough");
    write(WriteNeed { dw: 3, ..need }, "1= 2= 3", "wait");
    write(WriteNeed { dw: 3, ..need }, "1= 2= 3!", "DW-value unsatisfied: 2/3");
    write(WriteNeed { w: 3, ..need }, "1 2", "W-value unsatisfied: 2/3");
    let primaries = WriteNeed { pw: 2, ..need };
    write(primaries, "1= 2 3*=", "wait");
    write(primaries, "1= 2= 3*", "enough");
    write(primaries, "1= 2! 3*=", "PW-value unsatisfied: 1/2");
    write(WriteNeed { pw: 3, ..need }, "1 2 3*", "PW-value unsatisfied: 2/3");
}

/// Fact R270.
#[test]
fn node_confirms_counts_distinct_nodes() {
    let need = WriteNeed { n: 3, w: 2, dw: 2, pw: 0, confirms: 2 };
    write(need, "1= 2= 3", "enough");
    write_of(need, 1, "1= 1= 2", "wait");
    write_of(need, 1, "1= 1= 2=", "enough");
    write_of(need, 1, "1= 1= 2!", "node_confirms-value unsatisfied: 1/2");
    write(WriteNeed { confirms: 3, ..need }, "1= 2= 3!", "node_confirms-value unsatisfied: 2/3");
    write(WriteNeed { confirms: 3, ..need }, "1= 2= 3! 4*=", "enough");
    let need = ReadNeed { r: 1, confirms: 2, ..NEED };
    read(need, "1=1 2 3", "wait");
    read(need, "1=1 2=1 3", "found 1");
    read(need, "1=1 2! 3!", "node_confirms-value unsatisfied: 1/2");
}

#[test]
fn more_than_n_is_refused_in_riaks_words() {
    let props = BucketProps::default();
    let text = "Specified w/dw/pw values invalid for bucket n value of 3";
    for quorum in ["r", "pr"] {
        let mut options = GetOptions::default();
        *if quorum == "r" { &mut options.r } else { &mut options.pr } = Quorum::Count(4);
        assert_eq!(ReadNeed::new(&props, &options).unwrap_err().to_string(), text);
    }
    let asked = WriteQuorums { dw: Quorum::Count(4), ..WriteQuorums::default() };
    let error = WriteNeed::new(&props, asked, Quorum::Default).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, text));
    let error = WriteNeed::new(&props, WriteQuorums::default(), Quorum::Count(4)).unwrap_err();
    assert_eq!(error.message(), text);
    let need = WriteNeed::new(&props, WriteQuorums::default(), Quorum::Default).unwrap();
    assert_eq!(need, WriteNeed { n: 3, w: 2, dw: 2, pw: 0, confirms: 0 });
}
