//! Gathering results into pages, and sending each page as one frame.

use mapring_script::{FailureCause, JsonText};
use mapring_types::{Error, Result};
use tokio::time::Instant;

use super::lane::Lane;
use super::work::{Outcome, worker_lost};
use crate::limits;
use crate::metered::count;
use crate::unit::{self, Broken, Page, Progress, Spent, Work};

/// What an input that is left out takes in a page, about.
fn skipped_bytes(broken: &Broken) -> usize {
    let input = broken.input.as_ref().map_or(0, |(id, keydata)| {
        let keydata = keydata.as_ref().map_or(0, |text| text.0.len());
        id.bucket.name.len() + id.key.len() + keydata
    });
    broken.error.message.len() + broken.error.stack.as_ref().map_or(0, String::len) + input + 64
}

/// Why a unit ended before its end.
pub(super) enum UnitEnd {
    /// Nobody takes its frames.
    Gone,
    /// It cannot be run here.
    Unable(Error),
    /// A function failed.
    Broken(Box<Broken>),
}

impl From<Error> for UnitEnd {
    fn from(error: Error) -> Self {
        Self::Unable(error)
    }
}

/// Gathers the results of one unit.
pub(super) struct Pager<'l> {
    lane: &'l Lane,
    unit: u32,
    attempt: u32,
    results: Vec<JsonText>,
    count: u64,
    bytes: usize,
    inputs: u64,
    /// The most inputs of the next call, while some fail.
    careful: usize,
    skipped: Vec<Broken>,
    spent: Spent,
    reached: Option<Progress>,
    began: Instant,
}

impl<'l> Pager<'l> {
    pub(super) fn new(lane: &'l Lane, unit: u32, attempt: u32) -> Self {
        Self {
            lane,
            unit,
            attempt,
            results: Vec::new(),
            count: 0,
            bytes: 0,
            inputs: 0,
            careful: usize::MAX,
            skipped: Vec::new(),
            spent: Spent::default(),
            reached: None,
            began: Instant::now(),
        }
    }

    /// Where costs of the page are noted.
    pub(super) fn spent(&mut self) -> &mut Spent {
        &mut self.spent
    }

    /// As [`Pager::spent`], and how many inputs the next call may have.
    pub(super) fn calls(&mut self) -> (&mut Spent, &mut usize) {
        (&mut self.spent, &mut self.careful)
    }

    /// Adds what became of one input; `reached` is where to go on after it. Ends the page when it is
    /// full.
    pub(super) async fn add(&mut self, outcome: Outcome, reached: Progress) -> Result<(), UnitEnd> {
        self.inputs += 1;
        match outcome {
            Outcome::Results(results) => {
                self.bytes += results.iter().map(|value| value.0.len()).sum::<usize>();
                self.count += results.len() as u64;
                if self.lane.request.results || self.lane.request.prereduce.is_some() {
                    self.results.extend(results);
                }
            }
            Outcome::Skipped(broken) => {
                self.bytes += skipped_bytes(&broken);
                self.skipped.push(*broken);
            }
        }
        self.reached = Some(reached);
        let enough = self.lane.request.manner.most_results.is_some_and(|most| self.count >= most);
        let full = enough
            || self.bytes >= limits::PAGE_RESULT_BYTES
            || self.inputs >= self.lane.node.page_inputs;
        if full { self.send().await } else { Ok(()) }
    }

    /// Everything up to a place has been looked at.
    pub(super) fn reach(&mut self, reached: Progress) {
        self.reached = Some(reached);
    }

    /// Ends the page when it has taken long.
    pub(super) async fn end_if_late(&mut self) -> Result<(), UnitEnd> {
        if self.began.elapsed() >= limits::PAGE_TIME { self.send().await } else { Ok(()) }
    }

    /// Ends the page when it holds much: its unit gives up its turn.
    pub(super) async fn end_if_large(&mut self) -> Result<(), UnitEnd> {
        if self.bytes >= limits::PAGE_KEPT_BYTES { self.send().await } else { Ok(()) }
    }

    /// Ends the unit.
    pub(super) async fn end(mut self, progress: Progress) -> Result<(), UnitEnd> {
        self.reached = Some(progress);
        self.send().await
    }

    async fn send(&mut self) -> Result<(), UnitEnd> {
        let Some(progress) = self.reached.take() else { return Ok(()) };
        let results = std::mem::take(&mut self.results);
        let skipped = std::mem::take(&mut self.skipped);
        let inputs = std::mem::take(&mut self.inputs);
        let (made, made_bytes) =
            (std::mem::take(&mut self.count), std::mem::take(&mut self.bytes) as u64);
        let began = Instant::now();
        let (results, reduced) = self.prereduce(results).await?;
        let mut spent = std::mem::take(&mut self.spent);
        if reduced.is_some() {
            spent.prereduce_us += unit::micros(began.elapsed());
        }
        if !matches!(self.lane.request.work, Work::Keys { .. }) {
            count("mapring_query_inputs_total", inputs);
        }
        let (unit, attempt) = (self.unit, self.attempt);
        let page = Page {
            unit,
            attempt,
            progress,
            results,
            reduced,
            inputs,
            made,
            made_bytes,
            skipped,
            spent,
        };
        let frame = unit::encode_page(page);
        let began = Instant::now();
        let sent = self.lane.frames.send(frame).await;
        // Waiting for the coordinator to take a page is no work on the next one.
        self.began = Instant::now();
        self.spent.held_back_us = unit::micros(self.began - began);
        sent.map_err(|_| UnitEnd::Gone)
    }

    /// Runs the pre-reduce, if there is one, over a page's results. Its state ends here: a page
    /// that has been accepted must need nothing of the node any more.
    async fn prereduce(
        &self,
        results: Vec<JsonText>,
    ) -> Result<(Vec<JsonText>, Option<Vec<JsonText>>), UnitEnd> {
        let request = &self.lane.request;
        let Some(reduce) = &request.prereduce else { return Ok((results, None)) };
        let kept = if request.results { results.clone() } else { Vec::new() };
        if results.is_empty() {
            return Ok((kept, Some(Vec::new())));
        }
        let phase = usize::try_from(reduce.phase).unwrap_or(usize::MAX);
        let function = std::sync::Arc::new(reduce.function.clone());
        let workers = &self.lane.node.workers;
        let reduced = async {
            let mut reducing =
                workers.reduce(request.query, phase, &function, reduce.timing).await?;
            reducing.push(results).await?;
            reducing.finish().await
        };
        match reduced.await {
            Ok(reduced) => Ok((kept, Some(reduced))),
            Err(error) if error.cause == FailureCause::Worker => {
                Err(UnitEnd::Unable(worker_lost(&error)))
            }
            Err(error) => {
                let broken = Broken { phase: reduce.phase, error, input: None };
                Err(UnitEnd::Broken(Box::new(broken)))
            }
        }
    }
}
