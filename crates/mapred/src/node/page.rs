//! Gathering results into pages, and sending each page as one frame.

use mapring_script::{Combined, Row};
use tokio::time::Instant;

use super::lane::Lane;
use super::outcome::{Outcome, UnitEnd};
use crate::limits;
use crate::metered::count;
use crate::unit::{self, Broken, Cost, Page, Progress, Work};

/// What an input that is left out takes in a page, about.
fn skipped_bytes(broken: &Broken) -> usize {
    let input = broken.input.as_ref().map_or(0, |(id, keydata)| {
        let keydata = keydata.as_ref().map_or(0, |text| text.0.len());
        id.bucket.name.len() + id.key.len() + keydata
    });
    broken.error.message.len() + broken.error.stack.as_ref().map_or(0, String::len) + input + 64
}

/// Gathers the results of one unit.
pub(super) struct Pager<'l> {
    lane: &'l Lane,
    unit: u32,
    attempt: u32,
    results: Vec<Row>,
    /// Whether some of these are what the pre-reduce has made of them.
    combined: bool,
    /// How many results there were, and their bytes, whatever became of them here.
    made: (u64, u64),
    /// Bytes that are held.
    bytes: usize,
    inputs: u64,
    /// The most inputs of the next call, while some fail.
    careful: usize,
    skipped: Vec<Broken>,
    cost: Cost,
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
            combined: false,
            made: (0, 0),
            bytes: 0,
            inputs: 0,
            careful: usize::MAX,
            skipped: Vec::new(),
            cost: Cost::default(),
            reached: None,
            began: Instant::now(),
        }
    }

    /// Where costs of the page are noted.
    pub(super) fn cost(&mut self) -> &mut Cost {
        &mut self.cost
    }

    /// As [`Pager::cost`], and how many inputs the next call may have.
    pub(super) fn calls(&mut self) -> (&mut Cost, &mut usize) {
        (&mut self.cost, &mut self.careful)
    }

    /// Adds what became of one input, or of some together; `reached` is where to go on after it. Ends the page when it is
    /// full.
    pub(super) async fn add(&mut self, outcome: Outcome, reached: Progress) -> Result<(), UnitEnd> {
        self.inputs += outcome.inputs() as u64;
        match outcome {
            Outcome::Results(results) => {
                let bytes = results.iter().map(Row::bytes).sum::<usize>();
                self.bytes += bytes;
                self.made.0 += results.len() as u64;
                self.made.1 += bytes as u64;
                if self.lane.request.results || self.lane.request.prereduce.is_some() {
                    self.results.extend(results);
                }
            }
            Outcome::Combined(Combined { made, made_bytes, values, .. }) => {
                self.bytes += values.iter().map(Row::bytes).sum::<usize>();
                self.made.0 += made;
                self.made.1 += made_bytes;
                self.combined |= (values.len() as u64) < made;
                self.results.extend(values);
            }
            Outcome::Skipped(broken) => {
                self.bytes += skipped_bytes(&broken);
                self.skipped.push(*broken);
            }
        }
        self.reached = Some(reached);
        let enough = self.lane.request.options.most_results.is_some_and(|most| self.made.0 >= most);
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

    /// Ends the page when it holds much: its unit gives up its permit.
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
        let (made, made_bytes) = std::mem::take(&mut self.made);
        assert!(skipped.len() as u64 <= inputs, "{} of {inputs} inputs failed", skipped.len());
        self.bytes = 0;
        let began = Instant::now();
        let combined = std::mem::take(&mut self.combined);
        let (results, reduced) = match &self.lane.prereduce {
            Some(prereduce) => {
                let kept = if self.lane.request.results { results.clone() } else { Vec::new() };
                let (query, workers) = (self.lane.request.query, self.lane.node.workers.as_ref());
                let reduced = prereduce.run(query, workers, results, combined).await?;
                (kept, Some(reduced))
            }
            None => (results, None),
        };
        let mut cost = std::mem::take(&mut self.cost);
        if reduced.is_some() {
            cost.prereduce_us += unit::micros(began.elapsed());
        }
        if !matches!(self.lane.request.work, Work::Keys { .. }) {
            count("mapring_mapred_inputs_total", inputs);
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
            cost,
            run: None,
        };
        let frame = unit::encode_page(self.lane.version, page)?;
        let began = Instant::now();
        let sent = self.lane.frames.send(frame).await;
        // Waiting for the coordinator to take a page is no work on the next one.
        self.began = Instant::now();
        self.cost.held_back_us = unit::micros(self.began - began);
        sent.map_err(|_| UnitEnd::Gone)
    }
}
