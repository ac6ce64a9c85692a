//! What is stored, as the test knows it, and what every query must answer by that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::query::{Inputs, Query, Shape, left_out};
use super::random::Random;

/// Objects that queries map: enough that every partition has some.
pub(super) const ITEMS: u32 = 150;

/// Objects that items point to.
const TARGETS: u32 = 40;

pub(super) const ITEM_BUCKET: &str = "items";
pub(super) const TARGET_BUCKET: &str = "targets";

/// The acknowledged version of each item that exists.
#[derive(Debug, Default)]
pub(super) struct Model(pub(super) BTreeMap<u32, u32>);

pub(super) fn item_key(item: u32) -> String {
    format!("i{item:03}")
}

pub(super) fn target_key(target: u32) -> String {
    format!("t{target:02}")
}

/// What is stored under a target.
pub(super) fn target_body(target: u32) -> String {
    format!("target {target}")
}

pub(super) fn targets() -> std::ops::Range<u32> {
    0..TARGETS
}

/// The target that a version of an item points to.
pub(super) fn pointed_at(item: u32, version: u32) -> u32 {
    (item * 7 + version) % TARGETS
}

/// What is stored under an item.
pub(super) fn item_body(item: u32, version: u32) -> String {
    let target = target_key(pointed_at(item, version));
    json!({"n": item, "v": version, "target": target}).to_string()
}

/// The link of an item to its target, as a header.
pub(super) fn item_link(item: u32, version: u32) -> String {
    let target = target_key(pointed_at(item, version));
    format!("</buckets/{TARGET_BUCKET}/keys/{target}>; riaktag=\"t\"")
}

/// The index of the versions of items.
pub(super) const VERSIONS: &str = "version_int";

/// Pairs that a map makes of each item where they are grouped by key, …
pub(super) const PAIRS: u32 = 20;

/// … and how many keys they have at most.
pub(super) const KEYS: u32 = 300;

/// How many inputs a long list has.
const THOUSAND: usize = 1_000;

/// An input of a query: an item, and its key data when the query lists its inputs.
type Input = (u32, Option<u32>);

impl Model {
    /// The document of a query and its answer.
    pub(super) fn ask(&self, query: &Query, random: &mut Random) -> (Value, Vec<String>) {
        let (asked, inputs) = self.inputs(query.inputs, random);
        let mut document = json!({"inputs": asked, "query": query.phases(), "timeout": 60_000});
        if query.inputs == Inputs::Merged {
            document["consistency"] = json!("quorum");
        }
        if query.shape == Shape::Skip {
            document["on_error"] = json!({"mode": "skip"});
        }
        let mut answer = self.answer(query.shape, &inputs);
        answer.sort_unstable();
        (document, answer)
    }

    /// The inputs as a query has them, and what they are.
    fn inputs(&self, form: Inputs, random: &mut Random) -> (Value, Vec<Input>) {
        let mut inputs: Vec<Input> = self.0.keys().map(|&item| (item, None)).collect();
        match form {
            Inputs::Bucket => (json!(ITEM_BUCKET), inputs),
            Inputs::Listed | Inputs::Thousand => {
                // An input that is named twice counts twice.
                let besides = match form {
                    Inputs::Thousand => THOUSAND - inputs.len(),
                    _ => inputs.len() / 10,
                };
                let again: Vec<Input> = (0..besides).map(|_| *random.pick(&inputs)).collect();
                inputs.extend(again);
                random.shuffle(&mut inputs);
                for (at, input) in inputs.iter_mut().enumerate() {
                    input.1 = Some(u32::try_from(at).unwrap());
                }
                let listed =
                    |(item, keydata): &Input| json!([ITEM_BUCKET, item_key(*item), keydata]);
                (inputs.iter().map(listed).collect(), inputs)
            }
            Inputs::Filtered => {
                let from = u32::try_from(random.below(ITEMS as usize / 3)).unwrap();
                let to = from + ITEMS / 2;
                inputs.retain(|(item, _)| (from..=to).contains(item));
                let filters =
                    json!([["tokenize", "i", 1], ["string_to_int"], ["between", from, to]]);
                (json!({"bucket": ITEM_BUCKET, "key_filters": filters}), inputs)
            }
            Inputs::Indexed | Inputs::Merged => {
                let mut versions: Vec<u32> = self.0.values().copied().collect();
                versions.sort_unstable();
                // Some of the oldest and of the newest are left out, once there are any such.
                let at = |place: usize| versions[(versions.len() - 1) * place / 8];
                let (from, to) = (at(random.below(3)), at(8 - random.below(2)));
                inputs.retain(|(item, _)| (from..=to).contains(&self.0[item]));
                let index =
                    json!({"bucket": ITEM_BUCKET, "index": VERSIONS, "start": from, "end": to});
                (index, inputs)
            }
        }
    }

    /// Results as JSON text, in no order.
    fn answer(&self, shape: Shape, inputs: &[Input]) -> Vec<String> {
        let target = |item: u32| pointed_at(item, self.0[&item]);
        let text = |text: String| json!(text).to_string();
        match shape {
            Shape::Map | Shape::ReduceNative => {
                let result = |(item, keydata): &Input| {
                    let keydata = keydata.map_or(String::new(), |number| format!("#{number}"));
                    text(format!("{}={}{keydata}", item_key(*item), self.0[item]))
                };
                inputs.iter().map(result).collect()
            }
            Shape::Reduce | Shape::PreReduce => {
                let weight = |item: &u32| u64::from(item * 100_000 + self.0[item]);
                let sum: u64 = inputs.iter().map(|(item, _)| weight(item)).sum();
                vec![json!({"count": inputs.len(), "sum": sum}).to_string()]
            }
            Shape::MapMap => {
                let result = |(item, _): &Input| {
                    text(format!("{}<{}", target_key(target(*item)), item_key(*item)))
                };
                inputs.iter().map(result).collect()
            }
            Shape::Skip => {
                let result = |(item, _): &Input| {
                    let key = json!(item_key(*item));
                    if item.is_multiple_of(5) { left_out(&key) } else { key.to_string() }
                };
                inputs.iter().map(result).collect()
            }
            Shape::MapLinkMap | Shape::LinkMap => {
                let result = |(item, _): &Input| text(format!("{}/t", target_key(target(*item))));
                inputs.iter().map(result).collect()
            }
            Shape::MapNative => {
                let result = |(item, _): &Input| text(target_body(target(*item)));
                inputs.iter().map(result).collect()
            }
            Shape::Count => vec![inputs.len().to_string()],
            Shape::Groups | Shape::Streamed => {
                self.groups(inputs).into_iter().map(listed).collect()
            }
            Shape::Combined => {
                let total = |(key, values): (u32, Vec<u32>)| {
                    json!([key, values.len(), values.iter().sum::<u32>()]).to_string()
                };
                self.groups(inputs).into_iter().map(total).collect()
            }
            Shape::Regrouped => {
                let mut sizes = BTreeMap::<u32, Vec<u32>>::new();
                for (key, values) in self.groups(inputs) {
                    sizes.entry(u32::try_from(values.len()).unwrap()).or_default().push(key);
                }
                sizes.into_iter().map(listed).collect()
            }
        }
    }

    /// The pairs of inputs by their keys, the values in order.
    fn groups(&self, inputs: &[Input]) -> BTreeMap<u32, Vec<u32>> {
        let mut groups = BTreeMap::<u32, Vec<u32>>::new();
        for (item, _) in inputs {
            for pair in 0..PAIRS {
                let key = (item * 7 + self.0[item] + pair * 13) % KEYS;
                groups.entry(key).or_default().push(item * 100 + pair);
            }
        }
        groups.values_mut().for_each(|values| values.sort_unstable());
        groups
    }
}

/// The result of a group whose values are listed.
fn listed((key, values): (u32, Vec<u32>)) -> String {
    let values: Vec<String> = values.iter().map(u32::to_string).collect();
    json!([key, values.join(" ")]).to_string()
}
