//! Groups whose values come while they are reduced.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_script::native::{self, Folding};
use mapring_script::protocol::{Request, Response};
use mapring_script::{
    CallContext, FailureCause, JsonText, PhaseFunction, QueryTag, Reduced, ScriptError,
};

use crate::failure::{CallFailure, unexpected};
use crate::parts::parts;
use crate::pool::{Lease, Pool};
use crate::workers::GroupStream;

/// A group in a worker, which it holds until it is over.
pub(crate) struct ProcessStream {
    /// `None` when the function has ended.
    lease: Option<Lease>,
    /// What it gave.
    reduced: Option<Reduced>,
}

impl ProcessStream {
    /// Calls the function.
    pub(crate) async fn begin(
        pool: &Arc<Pool>,
        (query, phase): (QueryTag, usize),
        function: &PhaseFunction,
        context: &CallContext,
        key: Bytes,
    ) -> Result<Self, ScriptError> {
        let lease = pool.acquire(query, phase).await?;
        let mut stream = Self { lease: Some(lease), reduced: None };
        let (function, context) = (function.clone(), context.clone());
        stream.step(&Request::StreamOpen { query, function, context, key }).await?;
        Ok(stream)
    }

    /// Sends a request; false when the function has ended.
    async fn step(&mut self, request: &Request) -> Result<bool, ScriptError> {
        let Some(lease) = &mut self.lease else { return Ok(false) };
        let answer = lease.call(request).await;
        match answer {
            Ok(Response::More) => return Ok(true),
            Ok(Response::Reduced(reduced)) => self.reduced = Some(reduced),
            Ok(_) => return Err(unexpected()),
            Err(CallFailure::Failed(error)) => {
                self.lease = None;
                return Err(error);
            }
            Err(failure) => return Err(failure.into_error()),
        }
        self.lease = None;
        Ok(false)
    }
}

#[async_trait]
impl GroupStream for ProcessStream {
    async fn push(&mut self, values: Vec<JsonText>) -> Result<bool, ScriptError> {
        for part in parts(values, |value| value.0.len()) {
            if !self.step(&Request::StreamValues(part)).await? {
                break;
            }
        }
        Ok(self.lease.is_some())
    }

    async fn finish(mut self: Box<Self>) -> Result<Reduced, ScriptError> {
        // A function that asks again after the end gets the same answer.
        while self.step(&Request::StreamValues(Vec::new())).await? {}
        self.reduced.take().ok_or_else(over)
    }
}

impl Drop for ProcessStream {
    fn drop(&mut self) {
        // The function waits for values in the midst of its call: there is no other way out.
        if let Some(lease) = self.lease.take() {
            lease.end();
        }
    }
}

/// A group that a function of `Job` reduces in this process.
pub(crate) struct NativeStream {
    /// `None` when it has failed.
    folding: Option<Folding>,
    key: Bytes,
}

impl NativeStream {
    pub(crate) fn begin(function: &PhaseFunction, key: Bytes) -> Result<Self, ScriptError> {
        Ok(Self { folding: Some(native::fold_stream(function)?), key })
    }
}

#[async_trait]
impl GroupStream for NativeStream {
    async fn push(&mut self, values: Vec<JsonText>) -> Result<bool, ScriptError> {
        let folding = self.folding.as_mut().ok_or_else(over)?;
        if let Err(error) = folding.push(&values) {
            self.folding = None;
            return Err(error);
        }
        Ok(true)
    }

    async fn finish(mut self: Box<Self>) -> Result<Reduced, ScriptError> {
        let folding = self.folding.take().ok_or_else(over)?;
        Ok(Reduced { results: folding.finish(&self.key)?, ..Reduced::default() })
    }
}

fn over() -> ScriptError {
    ScriptError::new(FailureCause::Worker, "the group is over")
}
