//! Looks whether this node has what it once stored, declares what it lacks, and has it filled.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use futures::future::join_all;
use mapring_background::{Context, Next, Worker};
use mapring_cluster::{Change, Member, Outcome, View};
use mapring_engine::Loss;
use mapring_net::Class;
use mapring_types::{ErrorKind, Result};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::limits;
use crate::peer::extent::Extents;
use crate::repair::fill::fill;
use crate::staleness::integrity::{Integrity, Numbers};
use crate::staleness::losses::{give_actors_up, go_back, propose, seal};
use crate::staleness::state::Staleness;
use crate::view::changed;

/// Looks again and again.
pub(crate) struct RepairWorker {
    staleness: Weak<Staleness>,
    integrity: Arc<Integrity>,
    changes: watch::Receiver<Arc<View>>,
    failed: bool,
}

impl RepairWorker {
    pub(crate) fn new(staleness: &Arc<Staleness>) -> Self {
        Self {
            integrity: staleness.integrity.clone(),
            changes: staleness.node.parts.cluster.changes(),
            staleness: Arc::downgrade(staleness),
            failed: false,
        }
    }
}

#[async_trait]
impl Worker for RepairWorker {
    fn name(&self) -> &'static str {
        "repair"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some(staleness) = self.staleness.upgrade() else { return Ok(Next::End) };
        self.changes.borrow_and_update();
        let engine = staleness.node.parts.engine.clone();
        match staleness.node.vnodes.run(move |_| engine.reopen()).await {
            Err(error) if error.kind() == ErrorKind::Storage => {
                tracing::warn!(%error, "the storage still fails");
            }
            _ => {}
        }
        let outcome = round(&staleness, Some(context)).await;
        self.failed = outcome.is_err();
        if let Err(error) = &outcome {
            let why = error.to_string();
            self.integrity.report(|progress| progress.waits_for = Some(why));
            // Without the metadata it serves what it has, with new actors.
            if self.integrity.opened.elapsed() >= limits::CONFIRM_PATIENCE {
                self.integrity.set_tried();
            }
            context.say("the data of this node is not confirmed or filled yet");
        } else {
            context.say("nothing is known to be missing");
        }
        outcome.map(|()| Next::Wait)
    }

    async fn wait(&mut self) {
        let tried = self.integrity.is_tried();
        if self.failed || !tried {
            // Not sooner when the view changes: what it proposes, and who is asked and refuses, are
            // changes of the view.
            sleep(limits::CONFIRM_TICK).await;
        }
        if !tried {
            return;
        }
        tokio::select! {
            biased;
            () = self.integrity.wake.notified() => {}
            () = changed(&mut self.changes) => {}
            () = sleep(limits::INTEGRITY_TICK) => {}
        }
    }
}

fn own(staleness: &Staleness) -> Option<Member> {
    staleness.node.view().state.members.get(&staleness.node.me).cloned()
}

/// One look at what is missing; fills it, and rests in `context` between its pieces.
///
/// # Errors
/// What keeps it from being declared or filled.
pub(crate) async fn round(staleness: &Arc<Staleness>, context: Option<&Context>) -> Result<()> {
    let integrity = &staleness.integrity;
    if own(staleness).is_none() {
        return Ok(());
    }
    confirm(staleness).await?;
    accuse(staleness).await?;
    let loss = staleness.node.parts.engine.loss();
    let declared = integrity.state.lock().declared.clone();
    if let Some(loss) = loss.as_ref().filter(|loss| declared.as_ref() != Some(loss)) {
        integrity.set_incomplete(true);
        integrity.empty();
        integrity.report(|progress| progress.lost = Some(loss.what.clone()));
        declare(staleness).await?;
        integrity.state.lock().declared = Some(loss.clone());
    }
    let Some(member) = own(staleness) else { return Ok(()) };
    if !member.incomplete {
        // Before there is data nothing is lost.
        return settle(staleness, loss).await;
    }
    integrity.set_incomplete(true);
    let went_back = staleness.node.view().state.went_back.get(&staleness.node.me).copied();
    if went_back == Some(staleness.node.vnodes.in_flight().incarnation())
        && !integrity.state.lock().gave_up
    {
        // Another member may have found it.
        give_actors_up(staleness).await?;
        integrity.state.lock().gave_up = true;
    }
    integrity.begin(member.losses);
    integrity.set_tried();
    fill(staleness, member.losses, context).await?;
    propose(staleness, Change::Filled { id: staleness.node.me, losses: member.losses }).await?;
    tracing::info!("everything that was missing here has been filled again");
    staleness.node.vnodes.run(|core| Extents::prove(&*core.engine)).await?;
    settle(staleness, loss).await
}

/// Nothing is missing any more, unless something else has been lost meanwhile.
async fn settle(staleness: &Arc<Staleness>, filled: Option<Loss>) -> Result<()> {
    let integrity = &staleness.integrity;
    let whole = match staleness.node.parts.engine.loss() {
        None => true,
        Some(now) if Some(&now) == filled.as_ref() => {
            let engine = staleness.node.parts.engine.clone();
            staleness.node.vnodes.run(move |_| engine.clear_loss(&now)).await?
        }
        Some(_) => false,
    };
    let said = staleness.node.view().state.went_back.get(&staleness.node.me).copied();
    let undeclared = integrity
        .state
        .lock()
        .older
        .is_some_and(|incarnation| said.is_none_or(|s| s < incarnation));
    if whole && !undeclared && own(staleness).is_some_and(|member| !member.incomplete) {
        integrity.set_incomplete(false);
        integrity.report(|progress| (progress.lost, progress.waits_for) = (None, None));
    } else {
        integrity.wake.notify_one();
    }
    integrity.set_tried();
    Ok(())
}

/// Has the metadata and the other members confirm that the data directory is the one of the last
/// start, with all that it had.
async fn confirm(staleness: &Arc<Staleness>) -> Result<()> {
    let Some(numbers) = staleness.integrity.state.lock().numbers.clone() else { return Ok(()) };
    let Numbers { known, next } = numbers.clone();
    let change = Change::Start { id: staleness.node.me, known, next };
    let refused = match staleness.node.parts.cluster.propose(change).await? {
        Outcome::Applied => None,
        Outcome::Refused(why) => Some(why),
    };
    let past = match &refused {
        Some(why) => Past::Older(why.clone()),
        None => remembered(staleness).await?,
    };
    match past {
        Past::Same { all_say_so } => {
            let confirmed = numbers.clone();
            staleness
                .node
                .vnodes
                .run(move |core| {
                    confirmed.confirm(&*core.engine)?;
                    // Who does not answer may remember more: then no dot of before is gone on from.
                    if all_say_so {
                        core.actors.confirm();
                        Extents::prove(&*core.engine)?;
                    }
                    Ok(())
                })
                .await?;
        }
        Past::Older(why) => {
            go_back(staleness, &why).await?;
            if refused.is_some() {
                // Declared, it is used on as it is.
                let start = own(staleness).map_or(0, |member| member.start);
                let change = Change::Start { id: staleness.node.me, known: vec![start], next };
                propose(staleness, change).await?;
            }
            let confirmed = numbers.clone();
            staleness.node.vnodes.run(move |core| confirmed.confirm(&*core.engine)).await?;
        }
    }
    staleness.integrity.state.lock().numbers = None;
    Ok(())
}

/// What the other members remember of the data here.
enum Past {
    /// No more than it is; whether all of them say so.
    Same { all_say_so: bool },
    /// More, for this reason.
    Older(String),
}

/// Asks the other members how far they remember the data here to have been.
///
/// # Errors
/// `Unavailable` when one did not answer, for a while after the start: it may just be starting too.
async fn remembered(staleness: &Arc<Staleness>) -> Result<Past> {
    // Whether they are up is not known yet.
    let members = staleness.node.view().state.members.clone();
    let others = members.into_keys().filter(|node| *node != staleness.node.me);
    let asked = others.map(|node| async move {
        let report = staleness.staleness_of(node, Class::Foreground, limits::PROBE_PATIENCE).await;
        (node, report)
    });
    let (mut older, mut silent) = (None, None);
    for (node, report) in join_all(asked).await {
        match report {
            Ok(report) => {
                if let Some(why) = report.yours.and_then(|yours| staleness.is_less_than(&yours)) {
                    older = Some(format!("{} remembers that {why}", staleness.node.name(node)));
                }
            }
            Err(error) => silent = Some(error.context(staleness.node.name(node))),
        }
    }
    match (older, silent) {
        (Some(why), _) => Ok(Past::Older(why)),
        (None, Some(error)) if staleness.integrity.opened.elapsed() < limits::RECALL_PATIENCE => {
            Err(error)
        }
        (None, silent) => Ok(Past::Same { all_say_so: silent.is_none() }),
    }
}

/// Declares of others what was found of them: they may not have been told.
async fn accuse(staleness: &Staleness) -> Result<()> {
    let view = staleness.node.view();
    let said = |node| view.state.went_back.get(&node).copied().unwrap_or_default();
    for (id, incarnation) in staleness.peers.extents.went_back(said) {
        if view.state.members.contains_key(&id) {
            propose(staleness, Change::WentBack { id, run: incarnation }).await?;
        }
    }
    Ok(())
}

async fn declare(staleness: &Staleness) -> Result<()> {
    seal(staleness).await?;
    propose(staleness, Change::Lost { id: staleness.node.me }).await
}
