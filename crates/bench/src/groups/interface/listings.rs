//! All keys of a bucket, streamed, against a native scan that only counts them.

use std::time::Instant;

use crate::http;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::table::{digits, whole};
use crate::tool::median;
use crate::usage::cpu_seconds;

use super::{names::GROUP, pages};
use crate::groups::queries::{check, count_query};

/// Digits of a key, and the quotes and the comma about it.
const KEY_BYTES: u64 = 9 + 3;

pub(super) async fn run(plan: &Plan, nodes: &Nodes, objects: u64) -> Outcome<Row> {
    let host = nodes.client()?.address().to_owned();
    let path = format!("/buckets/{}/keys?keys=stream", pages::BUCKET);
    let query = count_query(pages::BUCKET);
    let (mut listed, mut scanned, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.turns.min(3) {
        let before = cpu_seconds(nodes).await?;
        let began = Instant::now();
        let answer = http::get(&host, &path).await?;
        seconds.push(began.elapsed().as_secs_f64());
        let between = cpu_seconds(nodes).await?;
        if answer.bytes < objects * KEY_BYTES {
            return Err(format!("a listing has only {} bytes", answer.bytes).into());
        }
        check(nodes.client()?, &query, &format!("[{objects}]")).await?;
        listed.push(between - before);
        scanned.push(cpu_seconds(nodes).await? - between);
    }
    let each = |cpu: &[f64]| median(cpu.iter().copied()) * 1e6 / objects as f64;
    let rate = objects as f64 / median(seconds.into_iter());
    let what = format!("{} keys of a bucket, keys=stream, one node", whole(objects));
    Ok(Row::new(GROUP, what, each(&listed), "µs/key")
        .against("native count of the objects", each(&scanned))
        .clock(format!("{} keys/s", digits(rate))))
}
