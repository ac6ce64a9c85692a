//! The closed loop: so many connections, each with one request under way.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures::future::join_all;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use mapring_client::Client;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep};

use super::load::Load;
use super::report::{Answered, Measurement, Tally};
use super::usage::{Servers, Usage, Used};
use crate::failure::Outcome;
use crate::limits;

/// One connection, which knows what to ask next.
pub(super) trait Requester {
    /// Makes a request and waits for its whole answer.
    ///
    /// # Errors
    /// What went wrong, in words that are the same for the same kind of error.
    async fn request(&mut self) -> Result<Answered, String>;
}

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    /// Requests that are measured at most.
    pub(super) count: Option<u64>,
    /// Whether progress is shown.
    pub(super) quiet: bool,
}

impl From<&Load> for Plan {
    fn from(load: &Load) -> Self {
        let Load { warm_up, duration, count, quiet, .. } = *load;
        Self { warm_up, duration, count, quiet }
    }
}

struct Shared {
    /// Whether no request is to be begun any more.
    over: Cell<bool>,
    /// Requests that may still be begun.
    left: Cell<u64>,
    tally: RefCell<Tally>,
}

/// Loads the servers as planned and says what happened. Ends early at Ctrl-C.
///
/// What is measured begins and ends without a request under way, so that what the servers use is
/// that of the requests that are counted.
pub(super) async fn drive(
    plan: Plan,
    clients: &[Client],
    mut requesters: Vec<impl Requester>,
) -> Outcome<Measurement> {
    let servers = Servers::of(clients).await;
    let warm_up = Shared::new(None)?;
    let shared = Shared::new(plan.count)?;
    let bar = progress(plan.quiet);
    let began = Cell::new(None);
    let before = RefCell::new(None);
    let run = async {
        if !plan.warm_up.is_zero() {
            warm_up.run(&mut requesters, plan.warm_up, &bar).await;
        }
        before.replace(Some(servers.usage().await));
        began.set(Some((Instant::now(), own_time())));
        shared.run(&mut requesters, plan.duration, &bar).await;
    };
    let interrupted = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => true,
        () = run => false,
    };
    let (began, own_before) = began.take().unwrap_or_else(|| (Instant::now(), own_time()));
    let elapsed = began.elapsed();
    let own_time = own_time().saturating_sub(own_before);
    bar.finish_and_clear();
    let used = used(&servers, before.take()).await;
    let tally = shared.tally.into_inner();
    Ok(Measurement { tally, elapsed, used, own_time, interrupted })
}

impl Shared {
    fn new(count: Option<u64>) -> Outcome<Self> {
        let (over, left) = (Cell::new(false), Cell::new(count.unwrap_or(u64::MAX)));
        Ok(Self { over, left, tally: RefCell::new(Tally::new()?) })
    }

    /// Begins requests for so long, and waits for all of them.
    async fn run(&self, requesters: &mut [impl Requester], time: Duration, bar: &ProgressBar) {
        let loops = join_all(requesters.iter_mut().map(|one| self.repeat(one)));
        let mut loops = std::pin::pin!(loops);
        tokio::select! {
            _ = &mut loops => return,
            () = sleep(time) => {}
            () = self.show(bar, time) => {}
        }
        self.over.set(true);
        loops.await;
    }

    async fn repeat(&self, requester: &mut impl Requester) {
        while !self.over.get()
            && let Some(left) = self.left.get().checked_sub(1)
        {
            self.left.set(left);
            let began = Instant::now();
            let outcome = requester.request().await;
            let failed = outcome.is_err();
            self.tally.borrow_mut().add(began.elapsed(), outcome);
            if failed {
                sleep(limits::BENCH_ERROR_PAUSE).await;
            }
        }
    }

    /// Shows how it goes; never ends.
    async fn show(&self, bar: &ProgressBar, time: Duration) {
        let began = Instant::now();
        loop {
            sleep(limits::BENCH_SHOW_EVERY).await;
            let tally = self.tally.borrow();
            let rate = tally.requests() as f64 / began.elapsed().as_secs_f64();
            let (requests, errors) = (HumanCount(tally.requests()), HumanCount(tally.errors()));
            let of = time.as_secs_f64();
            bar.set_message(format!(
                "of {of} s: {requests} requests, {rate:.0}/s, {errors} errors"
            ));
        }
    }
}

async fn used(
    servers: &Servers,
    before: Option<Result<Vec<Usage>, String>>,
) -> Result<Used, String> {
    let before = before.ok_or_else(|| "nothing was measured".to_owned())??;
    Ok(servers.used(&before, &servers.usage().await?))
}

/// Processor time of this process.
fn own_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// A line on standard error; nothing when that is no terminal.
fn progress(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{elapsed}  {msg}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Every {
        asked: u64,
    }

    impl Requester for Every {
        async fn request(&mut self) -> Result<Answered, String> {
            self.asked += 1;
            sleep(Duration::from_millis(10)).await;
            if self.asked.is_multiple_of(5) { Err("fifth".into()) } else { Ok(Answered::default()) }
        }
    }

    fn plan(count: Option<u64>) -> Plan {
        let duration = Duration::from_millis(500);
        Plan { warm_up: Duration::from_millis(100), duration, count, quiet: true }
    }

    #[tokio::test(start_paused = true)]
    async fn ends_in_time_and_counts_what_was_measured() {
        let requesters = vec![Every { asked: 0 }, Every { asked: 0 }];
        let measured = drive(plan(None), &[], requesters).await.unwrap();
        // Two connections, half a second, 10 ms a request and 20 more after every fifth.
        let requests = measured.tally.requests();
        assert!((60..=80).contains(&requests), "{requests}");
        assert!((10..=18).contains(&measured.tally.errors()), "{}", measured.tally.errors());
        assert!(!measured.interrupted);
        let elapsed = measured.elapsed.as_millis();
        assert!((500..=550).contains(&elapsed), "{elapsed}");
    }

    #[tokio::test(start_paused = true)]
    async fn ends_after_so_many_requests() {
        let requesters = vec![Every { asked: 0 }, Every { asked: 0 }, Every { asked: 0 }];
        let measured = drive(plan(Some(7)), &[], requesters).await.unwrap();
        assert_eq!(measured.tally.requests(), 7);
        assert!(measured.elapsed < Duration::from_millis(100));
    }
}
