//! What tests of inputs that come of a source have in common.

use super::world::{World, gather};
use crate::failure::Failure;

pub(super) const LIST: &str = r#"[{"map":{"language":"javascript","name":"json"}}]"#;
pub(super) const KEYS: &str = r#"[{"map":{"language":"javascript","name":"key"}}]"#;
pub(super) const KEYDATA: &str = r#"[{"map":{"language":"javascript","name":"keydata"}}]"#;
pub(super) const SUM: &str = r#"[{"map":{"language":"javascript","name":"json"}},
                      {"reduce":{"language":"javascript","name":"sum"}}]"#;
pub(super) const GROUP: &str = r#"[{"map":{"language":"javascript","name":"remainder"}},
                        {"reduce":{"language":"javascript","name":"list","group":true}}]"#;

/// The results of the only phase that is kept.
pub(super) async fn run(
    world: &World,
    inputs: &str,
    query: &str,
    more: &str,
) -> Result<Vec<String>, Failure> {
    let found = gather(world.start(0, inputs, query, more)).await?;
    assert!(found.len() <= 1, "{found:?}");
    Ok(found.into_values().next().unwrap_or_default())
}

/// What is found, in any order.
#[track_caller]
pub(super) fn same(mut found: Vec<String>, mut expect: Vec<String>, what: &str) {
    found.sort_unstable();
    expect.sort_unstable();
    assert_eq!(found, expect, "{what}");
}

pub(super) fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

/// What [`GROUP`] gives of the numbers up to one.
pub(super) fn grouped(to: u64) -> Vec<String> {
    let list = |rest| {
        let values = texts((0..to).filter(|number| number % 10 == rest));
        format!("[{rest},[{}]]", values.join(","))
    };
    (0..10).map(list).collect()
}
