//! Many small jobs one after another, and lists of those that have ended.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mapring_client::{Client, Error, JobFilter};
use tokio::time::{Instant, sleep};

use crate::nodes::Nodes;
use crate::outcome::{Failure, Outcome};
use crate::plan::Plan;
use crate::report::Row;
use crate::table::digits;
use crate::tool::{Tool, median};
use crate::usage::resident;

use super::run::{GROUP, none_active, start};

/// What was aimed at: jobs an hour on three nodes, …
const AN_HOUR: f64 = 10_000.0;

/// … with as much memory as before, and lists as fast as before, but for noise.
const NO_GROWTH: f64 = 1.15;
const CONSTANT: f64 = 1.25;

/// Memory for what storage has read, of each node.
const CACHE: &str = "16 MB";

/// Starts under way at once.
const STARTS: usize = 16;

/// How soon a start is tried again that was refused because there are too many jobs.
const AGAIN: Duration = Duration::from_millis(100);

/// Jobs of a page, and how often it is asked for.
const PAGE: u32 = 100;
const PAGES: usize = 20;

/// Adds ten numbers up.
const SMALL: &str = r#"{"inputs":{"range":{"start":0,"end":10}},"query":[{"map":{"language":"javascript","source":"function(v) { return [Number(v.values[0].data)]; }"}},{"reduce":{"language":"javascript","name":"Riak.reduceSum"}}]}"#;

pub(super) async fn run(plan: &Plan, tool: &Tool) -> Outcome<Vec<Row>> {
    // What is stored of jobs fills a cache whatever becomes of the rest.
    let settings = [("MAPRING__STORAGE__CACHE", CACHE)];
    let nodes = Nodes::start_with(tool, 3, &settings).await?;
    let clients: Vec<Client> = nodes.clients().cloned().collect();
    let third = plan.jobs.small / 3;
    let (mut seconds, mut memory, mut pages) = (0.0, Vec::new(), Vec::new());
    for _ in 0..3 {
        let began = Instant::now();
        start_all(&clients, third).await?;
        none_active(nodes.client()?).await?;
        seconds += began.elapsed().as_secs_f64();
        memory.push(resident(&nodes));
        pages.push(page(nodes.client()?).await?);
    }
    nodes.stop().await?;
    let jobs = (3 * third) as f64;
    let an_hour = jobs / seconds * 3_600.0;
    let after = |share: u64| digits((share * third) as f64);
    let mut rows = vec![
        Row::new(
            GROUP,
            format!("{} small jobs, 3 nodes", digits(jobs)),
            seconds / jobs * 1e3,
            "ms/job",
        )
        .target(format!("≥ {} an hour", digits(AN_HOUR)), an_hour >= AN_HOUR)
        .clock(format!("{} jobs an hour", digits(an_hour))),
    ];
    if let [first, second, last] = memory[..] {
        let what = format!("memory of a node with its workers after {} small jobs", after(3));
        rows.push(
            Row::new(GROUP, what, last, "MB")
                .against(&format!("after {}", after(1)), first)
                .target(format!("≤ {NO_GROWTH} × it"), last <= NO_GROWTH * first)
                .clock(format!("after {}: {} MB", after(2), digits(second))),
        );
    }
    if let [first, second, last] = pages[..] {
        let what = format!("a page of {PAGE} jobs among {} that have ended, 3 nodes", after(3));
        rows.push(
            Row::new(GROUP, what, last, "ms")
                .against(&format!("among {}", after(1)), first)
                .target(format!("≤ {CONSTANT} × it"), last <= CONSTANT * first)
                .clock(format!("among {}: {} ms", after(2), digits(second))),
        );
    }
    Ok(rows)
}

/// Starts so many jobs as fast as they are taken, by way of all nodes.
async fn start_all(clients: &[Client], count: u64) -> Outcome {
    let nodes = clients.iter().cycle().take(usize::try_from(count)?);
    let starts = stream::iter(nodes).map(|client| async move {
        loop {
            match start(client, SMALL).await {
                Ok(_) => return Ok(()),
                Err(error) if is_full(&error) => sleep(AGAIN).await,
                Err(error) => return Err(error),
            }
        }
    });
    starts.buffer_unordered(STARTS).try_collect::<()>().await
}

/// There are as many jobs as may be.
fn is_full(error: &Failure) -> bool {
    match error.downcast_ref::<Error>() {
        Some(Error::Refused(refusal)) => refusal.status == 429,
        _ => false,
    }
}

/// How long the newest page takes, in milliseconds.
async fn page(client: &Client) -> Outcome<f64> {
    let filter = JobFilter { count: Some(PAGE), ..JobFilter::default() };
    let mut took = Vec::new();
    for _ in 0..PAGES {
        let began = Instant::now();
        let list = client.jobs(&filter).await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        if list.jobs.len() != PAGE as usize {
            return Err(format!("a page has {} jobs", list.jobs.len()).into());
        }
    }
    Ok(median(took.into_iter()))
}
