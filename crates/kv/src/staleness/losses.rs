//! That this node, or another, has lost data: the cluster is told.

use mapring_cluster::{Change, Outcome};
use mapring_engine::Engine;
use mapring_types::{Error, Result};

use crate::peer::extent::Extent;
use crate::staleness::state::Staleness;
use crate::storage::apart;

impl Staleness {
    /// Why this node began with less than another member remembers of it.
    pub(crate) fn is_less_than(&self, remembered: &Extent) -> Option<String> {
        let in_flight = self.node.vnodes.in_flight();
        let opened = Extent { incarnation: in_flight.incarnation(), ..self.peers.extents.opened() };
        let why = remembered.beyond(&opened)?;
        if remembered.incarnation > opened.incarnation {
            in_flight.raise_incarnation(remembered.incarnation);
        }
        Some(why)
    }
}

/// Declares that this incarnation has begun with an older state of the data. Nothing is served any
/// more that is not filled again.
pub(crate) async fn go_back(staleness: &Staleness, why: &str) -> Result<()> {
    tracing::error!(why, "the data directory is a copy of an earlier time");
    let incarnation = staleness.node.vnodes.in_flight().incarnation();
    staleness.integrity.state.lock().older = Some(incarnation);
    staleness.integrity.set_incomplete(true);
    give_actors_up(staleness).await?;
    let lost = format!("the data directory is a copy of an earlier time: {why}");
    staleness.integrity.report(|progress| progress.lost = Some(lost));
    seal(staleness).await?;
    propose(staleness, Change::WentBack { id: staleness.node.me, run: incarnation }).await
}

/// What the actors of this node stamped last may not lie here any more.
pub(crate) async fn give_actors_up(staleness: &Staleness) -> Result<()> {
    let ring_size = staleness.node.view().plan().ring_size();
    staleness.node.vnodes.run(move |core| core.actors.retire_all(ring_size)).await
}

/// Where there is data the metadata has to know so, also when it is itself of an earlier time: else
/// nothing would count as lost.
pub(crate) async fn seal(staleness: &Staleness) -> Result<()> {
    if staleness.node.view().state.sealed {
        return Ok(());
    }
    let engine = staleness.node.parts.engine.clone();
    let has_data = |engine: &dyn Engine| engine.vnodes().into_iter().any(apart::is_vnode);
    if staleness.node.vnodes.run(move |_| Ok(has_data(&*engine))).await? {
        propose(staleness, Change::Seal).await?;
    }
    Ok(())
}

/// Has a change decided.
///
/// # Errors
/// As [`mapring_cluster::Cluster::propose`]; `Invalid` when it is refused.
pub(crate) async fn propose(staleness: &Staleness, change: Change) -> Result<()> {
    match staleness.node.parts.cluster.propose(change).await? {
        Outcome::Applied => Ok(()),
        Outcome::Refused(why) => Err(Error::invalid(why)),
    }
}
