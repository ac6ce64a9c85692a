//! Whether the pairs that a job goes on with are there: nodes may have been started again since, or have
//! waited too long for it.

use std::collections::BTreeMap;

use futures::future::join_all;
use mapring_net::{Call, Class};
use mapring_script::QueryTag;
use mapring_types::{Error, ErrorKind, NodeId, Release, Result};

use super::Coordinator;
use super::gather::GatheredRun;
use super::shared::Shared;
use super::stage::StageKind;
use crate::failure::{Failure, FailureKind};
use crate::holders::second_copy;
use crate::limits;
use crate::segments::{Bits, LookForSegments};
use crate::unit::RunId;
use crate::wire;

/// Segments that are looked for, by node, query and gathering stage.
type Wanted = BTreeMap<(NodeId, QueryTag, u32), Vec<(RunId, Bits)>>;

/// The pairs that were accepted before a job goes on.
pub(crate) struct FormerPairs {
    shared: Shared,
    /// The runs that are still needed, by query and gathering stage.
    runs: BTreeMap<(QueryTag, u32, RunId), GatheredRun>,
}

impl Coordinator {
    /// What was gathered before the job went on.
    pub(crate) fn former_pairs(&self) -> FormerPairs {
        let mut runs = BTreeMap::new();
        for stage in self.stages.all() {
            let accepted = match &stage.kind {
                StageKind::Gather(gather) => gather.runs(),
                StageKind::Groups(groups) => groups.runs(),
                _ => &[],
            };
            for run in accepted {
                let Some(query) = run.query else { continue };
                runs.insert((query, run.shuffle.stage, run.id), run.clone());
            }
        }
        FormerPairs { shared: self.shared.clone(), runs }
    }
}

impl FormerPairs {
    /// Looks for all of them.
    ///
    /// # Errors
    /// When some are gone, and the job is to begin anew.
    pub(crate) async fn check(&self) -> std::result::Result<(), Failure> {
        let mut wanted = Wanted::new();
        for ((query, stage, id), run) in &self.runs {
            let all = wanted.entry((run.made_by, *query, *stage)).or_default();
            all.push((*id, Bits::of(run.partitions.iter().copied())));
        }
        // What who made them lacks the others may have.
        let mut second = BTreeMap::<(NodeId, QueryTag, u32, RunId), Vec<u32>>::new();
        for (query, stage, id, lacking) in self.lacking(wanted).await {
            let Some(run) = self.runs.get(&(query, stage, id)) else { continue };
            for partition in lacking.partitions() {
                let held =
                    usize::try_from(partition).ok().and_then(|at| run.shuffle.holders.get(at));
                let Some(other) = held.and_then(|held| second_copy(*held, run.made_by)) else {
                    return Err(self.gone());
                };
                second.entry((other, query, stage, id)).or_default().push(partition);
            }
        }
        let mut wanted = Wanted::new();
        for ((node, query, stage, id), partitions) in second {
            wanted.entry((node, query, stage)).or_default().push((id, Bits::of(partitions)));
        }
        match self.lacking(wanted).await.is_empty() {
            true => Ok(()),
            false => Err(self.gone()),
        }
    }

    fn gone(&self) -> Failure {
        self.shared.handle.set_begins_anew();
        let message = "pairs that were gathered before are gone: the job begins anew";
        Failure::new(FailureKind::Node(ErrorKind::Unavailable), message)
    }

    /// What nodes lack of what is wanted; of one that cannot be asked, all.
    async fn lacking(&self, wanted: Wanted) -> Vec<(QueryTag, u32, RunId, Bits)> {
        let asked = wanted.into_iter().map(|((node, query, stage), runs)| async move {
            let lacking = match self.ask(node, query, stage, &runs).await {
                Ok(lacking) => lacking,
                Err(error) => {
                    tracing::debug!(%error, %node, "a node does not tell which pairs it has");
                    runs
                }
            };
            lacking.into_iter().map(move |(run, bits)| (query, stage, run, bits))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn ask(
        &self,
        node: NodeId,
        query: QueryTag,
        stage: u32,
        runs: &[(RunId, Bits)],
    ) -> Result<Vec<(RunId, Bits)>> {
        let peer = self.shared.cluster.view().peer(node);
        let peer = peer.ok_or_else(|| Error::unavailable("the node is no member"))?;
        let call = LookForSegments { query, stage, runs: runs.to_vec() };
        let body = wire::encode(wire::version_at(Release::GROUPS), &call)?;
        let (method, patience) = (LookForSegments::method(), limits::STORE_PATIENCE);
        let transport = &self.shared.transport;
        let answer = transport.call(&peer, Class::Foreground, method, body, patience).await?;
        wire::decode(&answer)
    }
}
