//! A body that is larger than what a node may take for it.

use std::time::Instant;

use tokio::time::sleep;

use crate::http;
use crate::nodes::Nodes;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report::Row;
use crate::table::{digits, whole};
use crate::tool::Tool;
use crate::usage::{forget_peaks, peak, resident};

use super::names::GROUP;

/// What was aimed at: megabytes that the node grows by.
const GROWTH: f64 = 64.0;

/// The object.
const PATH: &str = "/buckets/bodies/keys/large";

/// Cached data is not what a body takes; a body of the plan's size must be allowed.
const SETTINGS: [(&str, &str); 2] =
    [("MAPRING__STORAGE__CACHE", "64 MB"), ("MAPRING__OBJECTS__MAX_BODY_SIZE", "4 GB")];

/// How long memory rests before it is looked at.
const REST: std::time::Duration = std::time::Duration::from_secs(2);

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    let nodes = Nodes::start_with(tool, 1, &SETTINGS).await?;
    let client = nodes.client()?;
    client.set_bucket_props(&crate::data::place("bodies"), r#"{"props":{"n_val":1}}"#).await?;
    let host = client.address().to_owned();
    // What is taken once is taken before.
    http::put(&host, PATH, plan.body_bytes / 16).await?;
    http::get(&host, PATH).await?;
    let mut rows = Vec::new();
    for (what, upload) in [("stored", true), ("read", false)] {
        sleep(REST).await;
        forget_peaks(&nodes);
        let before = resident(&nodes);
        let began = Instant::now();
        let answer = match upload {
            true => http::put(&host, PATH, plan.body_bytes).await?,
            false => http::get(&host, PATH).await?,
        };
        let seconds = began.elapsed().as_secs_f64();
        if !upload && answer.bytes < plan.body_bytes {
            return Err(format!("{} bytes of {} were read", answer.bytes, plan.body_bytes).into());
        }
        let growth = peak(&nodes) - before;
        let megabytes = plan.body_bytes as f64 / 1e6;
        rows.push(
            Row::new(
                GROUP,
                format!("a body of {} MB is {what}: the node grows by", whole(megabytes as u64)),
                growth,
                "MB",
            )
            .target(format!("< {GROWTH} MB"), growth < GROWTH)
            .clock(format!(
                "{} s, {} MB/s, from {} MB",
                digits(seconds),
                digits(megabytes / seconds),
                digits(before)
            )),
        );
    }
    nodes.stop().await?;
    Ok(rows)
}
