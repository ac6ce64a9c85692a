//! A query's own code as the writer of its outputs: it says what of each result goes into which object.

use std::sync::Arc;

use mapring_script::{CallContext, PhaseFunction, QueryTag, Row};
use mapring_workers::Workers;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::Recorder;
use crate::failure::{Failure, FailureKind};
use crate::limits;
use crate::parts::{Caller, strange};
use crate::spool::Spool;

/// See the module.
pub(crate) struct CustomWriter {
    workers: Arc<dyn Workers>,
    query: QueryTag,
    phase: usize,
    context: Arc<CallContext>,
    function: Arc<PhaseFunction>,
    /// Its `this.state` as JSON.
    state: String,
    /// The names of the objects as a list of JSON, in the order in which they came.
    names: String,
}

/// How things stand after a call.
#[derive(Deserialize)]
struct Head<'h> {
    #[serde(borrow)]
    state: &'h RawValue,
    #[serde(borrow)]
    names: &'h RawValue,
}

const WHAT: &str = "the writer";

impl CustomWriter {
    pub(crate) fn new(
        workers: Arc<dyn Workers>,
        query: QueryTag,
        phase: usize,
        context: &CallContext,
        function: PhaseFunction,
    ) -> Self {
        let number = u32::try_from(phase).unwrap_or(u32::MAX);
        let context = Arc::new(CallContext { phase: number, ..context.clone() });
        let (state, names) = ("null".to_owned(), "[]".to_owned());
        Self { workers, query, phase, context, function: Arc::new(function), state, names }
    }

    /// Gives it results, some at once.
    ///
    /// # Errors
    /// What it failed with; a name that is none; no room for the text.
    pub(super) async fn write(
        &mut self,
        results: Vec<Row>,
        recorder: &Recorder<'_>,
        spool: &mut Spool,
    ) -> Result<(), Failure> {
        let mut results = results.into_iter().peekable();
        while results.peek().is_some() {
            let mut records = String::from(",\"records\":[");
            let mut count = 0;
            while count < limits::CALL_INPUTS
                && records.len() < limits::CALL_BYTES
                && let Some(row) = results.next()
            {
                if count > 0 {
                    records.push(',');
                }
                records.push_str(row.text());
                count += 1;
            }
            records.push(']');
            self.call(&records, recorder, spool).await?;
        }
        Ok(())
    }

    /// Ends all objects.
    ///
    /// # Errors
    /// As [`CustomWriter::write`].
    pub(super) async fn close(
        &mut self,
        recorder: &Recorder<'_>,
        spool: &mut Spool,
    ) -> Result<(), Failure> {
        self.call("", recorder, spool).await
    }

    async fn call(
        &mut self,
        more: &str,
        recorder: &Recorder<'_>,
        spool: &mut Spool,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::function(&error).in_phase(self.phase);
        let (state, names, most) = (&self.state, &self.names, limits::WRITER_NAMES);
        let asked = format!("{{\"state\":{state},\"names\":{names},\"most\":{most}{more}}}");
        let Self { query, phase, .. } = *self;
        let (workers, context) = (self.workers.as_ref(), &self.context);
        let caller = Caller { workers, query, phase, context };
        let given = caller.ask(&self.function, WHAT, asked).await.map_err(failed)?;
        let mut given = given.into_iter().map(Row::into_text);
        let head = given.next().unwrap_or_default();
        let head: Head<'_> = serde_json::from_str(&head).map_err(|_| failed(strange(WHAT)))?;
        let (state, names) = (head.state.get().to_owned(), head.names.get().to_owned());
        if state.len() > limits::STATE_CHARACTERS {
            let most = limits::STATE_CHARACTERS;
            let message = format!("{WHAT}: its state is larger than {most} bytes of JSON");
            return Err(Failure::new(FailureKind::BadInput, message).in_phase(self.phase));
        }
        for part in given {
            let part: Result<(&RawValue, &RawValue), _> = serde_json::from_str(&part);
            let (name, text) = part.map_err(|_| failed(strange(WHAT)))?;
            if let Err(why) = recorder.put_text(name.get(), text.get(), spool)? {
                let message = format!("{WHAT}: {why}");
                return Err(Failure::new(FailureKind::BadInput, message).in_phase(self.phase));
            }
        }
        (self.state, self.names) = (state, names);
        spool.settle().await
    }
}
