//! Where a stage of a job notes what becomes of its shards.

use std::sync::Arc;

use crate::graph::StageId;
use crate::handle::QueryHandle;
use crate::watched::{Done, ShardKind, Watched};

/// See the module. Methods are those of [`Watched`].
#[derive(Clone)]
pub(crate) struct StageWatch {
    handle: Arc<QueryHandle>,
    stage: StageId,
}

impl StageWatch {
    /// For a stage of a job; `None` for one of a query, which nobody watches so closely.
    pub(crate) fn of(handle: &Arc<QueryHandle>, stage: StageId) -> Option<Self> {
        handle.watched().map(|_| Self { handle: handle.clone(), stage })
    }

    fn with(&self, note: impl FnOnce(&Watched, StageId)) {
        if let Some(watched) = self.handle.watched() {
            note(watched, self.stage);
        }
    }

    pub(crate) fn planned(&self, unit: u32, description: String) {
        let kind = ShardKind::Lasting;
        self.with(|watched, stage| watched.planned((stage, unit), kind, description));
    }

    /// The same of a batch of inputs, which others have when the job goes on elsewhere.
    pub(crate) fn planned_batch(&self, unit: u32, description: String) {
        let kind = ShardKind::Batch;
        self.with(|watched, stage| watched.planned((stage, unit), kind, description));
    }

    pub(crate) fn given(&self, unit: u32, node: String, attempt: u32) {
        self.with(|watched, stage| watched.given((stage, unit), node, attempt));
    }

    pub(crate) fn accepted(&self, unit: u32, done: Done) {
        self.with(|watched, stage| watched.accepted((stage, unit), done));
    }

    pub(crate) fn failed(&self, unit: u32, why: String, is_final: bool) {
        self.with(|watched, stage| watched.failed((stage, unit), why, is_final));
    }

    pub(crate) fn ended(&self, unit: u32) {
        self.with(|watched, stage| watched.ended((stage, unit)));
    }
}
