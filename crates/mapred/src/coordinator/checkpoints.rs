//! Checkpoints of a job: what it has done is kept now and then, and another coordinator goes on from there.
//!
//! They are made between two events, when every write that an accepted page asked for is made: so what is
//! accepted has taken effect, its results are on their way to whoever takes them, and all else is begun
//! again. A reduce is asked before what it has come to, and pairs stay where they lie, under the query for
//! which they were made: the nodes that have them save them (`naming`). What is to become objects in the end is put aside meanwhile (`outputs::aside`).

use std::sync::Arc;

use mapring_types::Result as KvResult;
use tokio::time::Instant;

use super::Coordinator;
use super::naming::Naming;
use super::saving::Saving;
use super::stage::StageKind;
use crate::failure::Failure;
use crate::job::{Checkpoint, JobOptions};
use crate::limits;
use crate::saved::{Saved, SavedStage, hash, wrong};
use crate::watched::Watched;

impl Coordinator {
    /// Whether what the query does can be kept.
    pub(super) fn is_resumable(&self) -> bool {
        self.stages.all().all(|stage| match stage.kind {
            StageKind::Lanes(_) | StageKind::Reduce(_) => true,
            StageKind::Gather(_) | StageKind::Groups(_) => true,
            StageKind::Echo | StageKind::Dropped => false,
        })
    }

    /// Keeps checkpoints, if the job wants them and they can be made.
    pub(super) fn keep_checkpoints(&mut self, job: &JobOptions) {
        let resumable = self.is_resumable();
        self.shared.handle.set_resumable(resumable);
        let sink = job.checkpoints.as_ref().filter(|_| resumable);
        let naming = || Naming::new(&self.shared);
        self.saving = sink.map(|sink| Saving::new(sink.clone(), naming(), job.slice));
    }

    /// Whether a checkpoint is to be made as soon as everything accepted has taken effect.
    pub(super) fn checkpoint_is_due(&self) -> bool {
        let Some(saving) = &self.saving else { return false };
        let moved = saving.pages != self.pages;
        // Results may have become too many to be put aside.
        let resumable = self.shared.handle.is_resumable();
        // Until it is known what the inputs are there is nothing to keep.
        saving.under_way.is_none()
            && saving.next <= Instant::now()
            && moved
            && resumable
            && self.sources.splitting.is_none()
    }

    /// Has each reduce find out what is to be kept of it; returns whether all know.
    pub(super) fn reduces_are_kept(&mut self) -> bool {
        let mut all = true;
        for stage in self.stages.iter_mut() {
            if let StageKind::Reduce(reduce) = &mut stage.kind {
                all &= reduce.keep();
            }
        }
        all
    }

    /// Makes a checkpoint.
    ///
    /// # Errors
    /// A defect.
    pub(super) fn checkpoint(&mut self) -> Result<(), Failure> {
        let saved = self.saved();
        let bytes = saved.as_ref().map(Saved::encode).transpose()?;
        let Some(saving) = &mut self.saving else { return Ok(()) };
        saving.next = Instant::now() + saving.slice;
        saving.pages = self.pages;
        match (saved, bytes.filter(|bytes| bytes.len() <= limits::CHECKPOINT_BYTES)) {
            (Some(saved), Some(bytes)) => {
                if let Some(keeping) = &mut self.keeping {
                    keeping.name(&saved.queries());
                }
                saving.begin(Checkpoint { rows: saved.rows, bytes }, saved.pairs());
            }
            // There will be less of it when more is done.
            _ => tracing::debug!("a job has too much before it to be kept"),
        }
        Ok(())
    }

    /// Takes note of a checkpoint that was kept, or could not be.
    pub(super) fn checkpointed(&mut self, kept: KvResult<()>) {
        let Some(saving) = &mut self.saving else { return };
        saving.under_way = None;
        if let Err(error) = kept {
            let job = self.shared.handle.job_id();
            tracing::warn!(job, %error, "a checkpoint of a job could not be kept");
            // The next one is made although nothing more may have been done.
            saving.pages = u64::MAX;
        }
    }

    /// What is done, as it is kept; `None` where there is too much to keep.
    fn saved(&self) -> Option<Saved> {
        let listed = self.sources.save()?;
        let query = self.shared.query;
        let stages = self.stages.all().map(|stage| match &stage.kind {
            StageKind::Lanes(lanes) => Some(SavedStage::Lanes(lanes.save())),
            StageKind::Reduce(reduce) => reduce.save().map(SavedStage::Reduce),
            StageKind::Gather(gather) => Some(SavedStage::Gather(gather.save(query))),
            StageKind::Groups(groups) => groups.save(query).map(SavedStage::Groups),
            StageKind::Echo | StageKind::Dropped => None,
        });
        Some(Saved {
            query: hash(&self.query.spec().text),
            stages: stages.collect::<Option<_>>()?,
            next_input_at: self.next_input_at.map(|at| at as u64),
            inputs_taken: self.inputs_taken,
            listed,
            numbering: self.numbering.as_ref().map(|numbering| numbering.save(self.listing)),
            left: self.left,
            rows: self.out.rows(),
            progress: self.shared.handle.save(),
            shards: self.shared.handle.watched().map(Watched::save).unwrap_or_default(),
        })
    }

    /// Goes on from what was kept.
    ///
    /// # Errors
    /// When it makes no sense.
    pub(super) fn restore(&mut self, saved: Saved) -> Result<(), Failure> {
        let Saved {
            query: _,
            stages,
            next_input_at,
            inputs_taken,
            listed,
            numbering,
            left,
            rows,
            progress,
            shards,
        } = saved;
        if !self.is_resumable() {
            return Err(wrong("is of a query that cannot be kept").into());
        }
        let ids: Vec<_> = self.graph.stages().map(|(id, _)| id).collect();
        let tells = (numbering.is_some(), left.is_some());
        if stages.len() != ids.len() || tells != (self.numbering.is_some(), self.left.is_some()) {
            return Err(wrong("is of another query").into());
        }
        if let Some((own, saved)) = self.numbering.as_mut().zip(numbering) {
            self.listing = own.restore(saved);
        }
        self.shared.handle.restore(progress)?;
        if let Some(watched) = self.shared.handle.watched() {
            watched.restore(shards, &self.graph);
        }
        for (id, saved) in ids.into_iter().zip(stages) {
            let gather = self.graph.feeders(id).next().map(|gather| &self.stages.get(gather).kind);
            let shuffle = match gather {
                Some(StageKind::Gather(gather)) => Some(Arc::clone(gather.shuffle())),
                _ => None,
            };
            match (&mut self.stages.get_mut(id).kind, saved, shuffle) {
                (StageKind::Lanes(lanes), SavedStage::Lanes(saved), _) => {
                    lanes.restore(saved, &mut self.router)?;
                }
                (StageKind::Reduce(reduce), SavedStage::Reduce(saved), _) => reduce.restore(saved),
                (StageKind::Gather(gather), SavedStage::Gather(saved), _) => {
                    gather.restore(saved, &self.router)?;
                }
                (StageKind::Groups(_), SavedStage::Groups(None), _) => {}
                (StageKind::Groups(groups), SavedStage::Groups(Some(saved)), Some(shuffle)) => {
                    groups.restore(saved, &shuffle, &self.router)?;
                }
                _ => return Err(wrong("is of another query").into()),
            }
        }
        let at =
            next_input_at.map(|at| usize::try_from(at).map_err(|_| wrong("has no such input")));
        self.next_input_at = at.transpose()?;
        self.inputs_taken = inputs_taken;
        self.sources.restore(listed);
        self.left = left;
        self.out.begin_at(rows);
        Ok(())
    }
}
