//! More pairs than memory holds, of very many keys, made by a map of few inputs.

use std::time::Instant;

use serde_json::Value;

use crate::data;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::table::digits;
use crate::tool::Tool;
use crate::usage::{cpu_seconds, forget_peaks, peak};

use super::measure::{memory_row, start};
use super::queries::{GROUP, sum_by_key};

const BUCKET: &str = "pairs";

/// Pairs that a call of the map makes.
const PAIRS: u64 = 1_000;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let nodes = start(tool, 3).await?;
    let (pairs, keys) = (plan.group.pairs, plan.group.keys);
    // One object, many times: what is mapped stands beside its name.
    data::store(nodes.client()?, BUCKET, "text/plain", 1, |_| "seed".to_owned()).await?;
    let key = data::key(0);
    let numbers = (0..pairs / PAIRS).map(|number| format!(r#"["{BUCKET}","{key}",{number}]"#));
    let inputs = format!("[{}]", numbers.collect::<Vec<_>>().join(","));
    // Odd and no multiple of five, so that each key comes as often as any other.
    let map = format!(
        "function(v, n) {{ n *= {PAIRS}; \
         for (var i = 0; i < {PAIRS}; i++) emit((n + i) * 7919 % {keys}, 1); }}"
    );
    forget_peaks(&nodes);
    let before = cpu_seconds(&nodes).await?;
    let began = Instant::now();
    let mut parts = nodes.client()?.mapred_chunked(sum_by_key(&inputs, &map)).await?;
    let mut next = 0;
    while let Some(part) = parts.next().await? {
        for result in part.data {
            let (key, count): (u64, Value) = serde_json::from_str(result.get())?;
            if key != next || count != pairs / keys {
                return Err(format!("{key}: {count} came as number {next}").into());
            }
            next += 1;
        }
    }
    if next != keys {
        return Err(format!("{next} keys came").into());
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds(&nodes).await? - before;
    let most = peak(&nodes);
    nodes.stop().await?;
    let what = format!("{} pairs of {} keys, 3 nodes", digits(pairs as f64), digits(keys as f64));
    Ok(vec![
        Row::new(GROUP, what.clone(), cpu / pairs as f64 * 1e6, "µs/pair").clock(format!(
            "{} s, {} pairs/s",
            digits(seconds),
            digits(pairs as f64 / seconds)
        )),
        memory_row(&what, most),
    ])
}
