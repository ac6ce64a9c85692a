use bytes::Bytes;
use mapring_ring::Partition;
use mapring_types::{ActorId, Dot, Metadata, Sibling};

use super::*;

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
    let mut core = ReadCore::new(need);
    for (entry, state) in replicas(text) {
        let index = core.add(entry).unwrap();
        match state.as_str() {
            "" => {}
            "-" => core.apply(index, Ok(None)),
            "!" => core.apply(index, Err(Error::timeout("silent"))),
            found => core.apply(index, Ok(Some(object(found[1..].parse().unwrap())))),
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

const NEED: ReadNeed = ReadNeed { n: 3, r: 2, pr: 0, basic_quorum: false, notfound_ok: true };

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
    let need = WriteNeed { n: 3, w: 2, dw: 2, pw: 0 };
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

#[test]
fn more_than_n_is_refused_in_riaks_words() {
    let props = BucketProps::default();
    let text = "Specified w/dw/pw values invalid for bucket n value of 3";
    for quorum in ["r", "pr"] {
        let mut options = GetOptions::default();
        *if quorum == "r" { &mut options.r } else { &mut options.pr } = Quorum::Count(4);
        assert_eq!(ReadNeed::new(&props, &options).unwrap_err().to_string(), text);
    }
    let options = PutOptions { dw: Quorum::Count(4), ..PutOptions::default() };
    let error = WriteNeed::new(&props, &options).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, text));
    let need = WriteNeed::new(&props, &PutOptions::default()).unwrap();
    assert_eq!(need, WriteNeed { n: 3, w: 2, dw: 2, pw: 0 });
}
