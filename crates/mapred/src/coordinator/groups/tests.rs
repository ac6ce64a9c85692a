//! The order of results.

use super::*;

fn merged(merge: &mut Merge) -> Vec<String> {
    merge.ready().1.into_iter().map(Row::into_text).collect()
}

fn push(merge: &mut Merge, partition: usize, keys: &str) {
    let groups = keys.bytes().map(|key| (Bytes::from(vec![key]), 1)).collect();
    let rows = keys.chars().map(|key| Row::value(key.to_string())).collect();
    merge.push(partition, groups, rows).unwrap();
}

#[test]
fn results_come_in_the_order_of_all_keys() {
    let mut merge = Merge::new(3);
    push(&mut merge, 0, "adg");
    push(&mut merge, 1, "be");
    assert!(merge.ready().1.is_empty() && merge.wants(2) && !merge.wants(0));
    push(&mut merge, 2, "c");
    assert_eq!(merged(&mut merge), ["a", "b", "c"]);
    assert!(merge.wants(2));
    merge.end(2);
    assert_eq!(merged(&mut merge), ["d", "e"]);
    merge.end(1);
    assert_eq!(merged(&mut merge), ["g"]);
    merge.end(0);
    assert!(merge.is_empty() && merge.ready().1.is_empty());
}

#[test]
fn groups_of_no_results_count() {
    let mut merge = Merge::new(2);
    let groups = vec![(Bytes::from_static(b"a"), 0), (Bytes::from_static(b"x"), 0)];
    merge.push(0, groups, vec![]).unwrap();
    push(&mut merge, 1, "b");
    assert_eq!(merged(&mut merge), ["b"]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut merge = Merge::new(1);
    let a = || (Bytes::from_static(b"a"), 1);
    assert!(merge.push(0, vec![a()], vec![]).is_err());
    push(&mut merge, 0, "b");
    assert!(merge.push(0, vec![a()], vec![Row::value("1")]).is_err());
}
