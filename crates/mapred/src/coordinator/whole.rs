//! Whether the pairs that a job goes on with are there: nodes may have been started again since, or have
//! waited too long for it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use mapring_net::{Call, Class};
use mapring_script::QueryTag;
use mapring_types::{Error, ErrorKind, NodeId, Release, Result};
use tokio::time::Instant;

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

/// A run of a query and one of its gathering stages.
type Key = (QueryTag, u32, RunId);

/// Segments that are looked for at each node, by query and gathering stage.
type Wanted = BTreeMap<(NodeId, QueryTag, u32), Vec<(RunId, Bits)>>;

/// What a node does not have of a run, or may have.
struct Lacking {
    run: Key,
    partitions: Bits,
    /// It has not answered.
    silent: bool,
}

/// The pairs that were accepted before a job goes on.
pub(crate) struct FormerPairs {
    shared: Shared,
    /// The runs that are still needed, by query and gathering stage.
    runs: BTreeMap<Key, GatheredRun>,
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
    /// Looks for all of them. Nodes that do not answer may be starting: for a while they are asked again.
    ///
    /// # Errors
    /// When some are gone, and the job is to begin anew.
    pub(crate) async fn check(&self) -> std::result::Result<(), Failure> {
        let of = |run: &GatheredRun| Bits::of(run.partitions.iter().copied());
        let mut sought: BTreeMap<Key, Bits> =
            self.runs.iter().map(|(key, run)| (*key, of(run))).collect();
        let mut until = Instant::now() + limits::SEEK_PAIRS;
        loop {
            let before = count(&sought);
            sought = self.look_for(sought).await?;
            if sought.is_empty() {
                return Ok(());
            }
            if count(&sought) < before {
                until = Instant::now() + limits::SEEK_PAIRS;
            }
            if Instant::now() >= until {
                return Err(self.gone());
            }
            tokio::time::sleep(limits::SEEK_AGAIN).await;
        }
    }

    /// Looks for both copies of segments; gives those of which a node that does not answer may have one,
    /// and nobody else has.
    async fn look_for(
        &self,
        sought: BTreeMap<Key, Bits>,
    ) -> std::result::Result<BTreeMap<Key, Bits>, Failure> {
        let mut wanted = Wanted::new();
        for ((query, stage, id), partitions) in sought {
            let Some(run) = self.runs.get(&(query, stage, id)) else { continue };
            wanted.entry((run.made_by, query, stage)).or_default().push((id, partitions));
        }
        // What who made them lacks the others may have.
        let mut silent = BTreeSet::new();
        let mut second = BTreeMap::<(NodeId, Key), Vec<u32>>::new();
        let mut left = BTreeMap::<Key, Vec<u32>>::new();
        for lacking in self.lacking(wanted).await {
            let Some(run) = self.runs.get(&lacking.run) else { continue };
            if lacking.silent {
                silent.insert(lacking.run);
            }
            for partition in lacking.partitions.partitions() {
                let held =
                    usize::try_from(partition).ok().and_then(|at| run.shuffle.holders.get(at));
                match held.and_then(|held| second_copy(*held, run.made_by)) {
                    Some(other) => second.entry((other, lacking.run)).or_default().push(partition),
                    None if lacking.silent => left.entry(lacking.run).or_default().push(partition),
                    None => return Err(self.gone()),
                }
            }
        }
        let mut wanted = Wanted::new();
        for ((node, (query, stage, id)), partitions) in second {
            wanted.entry((node, query, stage)).or_default().push((id, Bits::of(partitions)));
        }
        for lacking in self.lacking(wanted).await {
            if !lacking.silent && !silent.contains(&lacking.run) {
                return Err(self.gone());
            }
            left.entry(lacking.run).or_default().extend(lacking.partitions.partitions());
        }
        Ok(left.into_iter().map(|(run, partitions)| (run, Bits::of(partitions))).collect())
    }

    fn gone(&self) -> Failure {
        self.shared.handle.set_begins_anew();
        let message = "pairs that were gathered before are gone: the job begins anew";
        Failure::new(FailureKind::Node(ErrorKind::Unavailable), message)
    }

    /// What nodes lack of what is wanted; of one that does not answer, all.
    async fn lacking(&self, wanted: Wanted) -> Vec<Lacking> {
        let asked = wanted.into_iter().map(|((node, query, stage), runs)| async move {
            let mut found = Vec::new();
            let mut silent = false;
            for some in runs.chunks(limits::SOUGHT_RUNS) {
                let lacking = match silent {
                    true => some.to_vec(),
                    false => self.ask(node, query, stage, some).await.unwrap_or_else(|error| {
                        tracing::debug!(%error, %node, "a node does not tell which pairs it has");
                        silent = true;
                        some.to_vec()
                    }),
                };
                let of =
                    |(run, partitions)| Lacking { run: (query, stage, run), partitions, silent };
                found.extend(lacking.into_iter().map(of));
            }
            found
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

/// How many segments are looked for.
fn count(sought: &BTreeMap<Key, Bits>) -> usize {
    sought.values().map(|partitions| partitions.partitions().count()).sum()
}
