//! Gathering results into pages, and sending each page as one frame.

use mapring_script::{FailureCause, JsonText};
use mapring_types::{Error, Result};
use tokio::time::Instant;

use super::lane::Lane;
use super::work::worker_lost;
use crate::limits;
use crate::metered::count;
use crate::unit::{self, Broken, Page, Progress, Work};

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
    bytes: usize,
    inputs: u64,
    reached: Option<Progress>,
    began: Instant,
}

impl<'l> Pager<'l> {
    pub(super) fn new(lane: &'l Lane, unit: u32, attempt: u32) -> Self {
        let (results, reached, began) = (Vec::new(), None, Instant::now());
        Self { lane, unit, attempt, results, bytes: 0, inputs: 0, reached, began }
    }

    /// Adds the results of one input; `reached` is where to go on after it. Ends the page when it
    /// is full.
    pub(super) async fn add(
        &mut self,
        results: Vec<JsonText>,
        reached: Progress,
    ) -> Result<(), UnitEnd> {
        self.inputs += 1;
        self.bytes += results.iter().map(|value| value.0.len()).sum::<usize>();
        if self.lane.request.results || self.lane.request.prereduce.is_some() {
            self.results.extend(results);
        }
        self.reached = Some(reached);
        let full =
            self.bytes >= limits::PAGE_RESULT_BYTES || self.inputs >= self.lane.node.page_inputs;
        if full { self.send().await } else { Ok(()) }
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
        let inputs = std::mem::take(&mut self.inputs);
        self.bytes = 0;
        let (results, reduced) = self.prereduce(results).await?;
        if !matches!(self.lane.request.work, Work::Keys) {
            count("mapring_query_inputs_total", inputs);
        }
        let (unit, attempt) = (self.unit, self.attempt);
        let page = Page { unit, attempt, progress, results, reduced, inputs };
        let frame = unit::encode_page(page);
        let sent = self.lane.frames.send(frame).await;
        // Waiting for the coordinator to take a page is no work on the next one.
        self.began = Instant::now();
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
