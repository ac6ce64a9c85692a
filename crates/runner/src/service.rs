//! What the runners of other nodes ask of this one.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_cluster::Change;
use mapring_net::{Call, FrameStream, Service, calls};
use mapring_types::{Error, NodeId, Result};
use serde::{Deserialize, Serialize};

use crate::lease::{Here, Noted, SilenceOf};
use crate::limits;
use crate::report::EventId;
use crate::runner::Runner;
use crate::store::objects::{ListHere, ObjectStore};
use crate::wire::{self, SERVICE};

calls!(SERVICE;
    /// A [`crate::JobDetail`] as JSON, without its document; `None` where the job is not worked on here.
    Show = 4 => Option<Bytes>,
    /// [`crate::JobSummary`]s as JSON, of those that are worked on here.
    Summaries = 5 => Bytes,
    /// [`crate::JobErrors`] as JSON.
    Errors = 6 => Option<Bytes>,
    /// [`crate::JobEvent`]s as JSON; none where none has come in time.
    Events = 7 => Option<Bytes>,
    /// Whether anybody was waited for.
    GiveUpTelling = 8 => bool,
);

/// Asks for what is shown of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Show(pub(crate) String);

/// Asks for what lists show of jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Summaries(pub(crate) Vec<String>);

/// Asks for the errors of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Errors(pub(crate) String);

/// Asks for the events of a job after one; waits for them for a while.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Events(pub(crate) String, pub(crate) EventId);

/// Has a job or a pipeline wait no longer for those who are being told of its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GiveUpTelling(pub(crate) String);

/// See the module.
pub(crate) struct RunnerService {
    pub(crate) runner: Arc<Runner>,
    pub(crate) store: ObjectStore,
}

#[async_trait]
impl Service for RunnerService {
    async fn call(&self, from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        let runner = &self.runner;
        match operation {
            ListHere::OPERATION => wire::encode(&self.store.list_here(wire::decode(&body)?).await?),
            Here::OPERATION => {
                here(runner, from, wire::decode(&body)?).await?;
                wire::encode(&())
            }
            SilenceOf::OPERATION => {
                let SilenceOf(node) = wire::decode(&body)?;
                wire::encode(&runner.heard.give_up(node))
            }
            Show::OPERATION => {
                let Show(id) = wire::decode(&body)?;
                wire::encode(&show(runner, &id)?)
            }
            Summaries::OPERATION => {
                let Summaries(ids) = wire::decode(&body)?;
                wire::encode(&summaries(runner, &ids)?)
            }
            Errors::OPERATION => {
                let Errors(id) = wire::decode(&body)?;
                wire::encode(&errors(runner, &id)?)
            }
            Events::OPERATION => {
                let Events(id, after) = wire::decode(&body)?;
                wire::encode(&events(runner, &id, after).await?)
            }
            GiveUpTelling::OPERATION => {
                let GiveUpTelling(id) = wire::decode(&body)?;
                wire::encode(&give_up_telling(runner, &id))
            }
            _ => Err(Error::invalid(format!("the runner has no operation {operation}"))),
        }
    }

    async fn open(&self, _from: NodeId, operation: u8, _body: Bytes) -> Result<FrameStream> {
        Err(Error::invalid(format!("the runner has no stream {operation}")))
    }
}

/// A node says that it is there.
async fn here(runner: &Runner, from: NodeId, here: Here) -> Result<()> {
    check_known(runner, from, here)?;
    match runner.heard.note(from) {
        Noted::Yes => Ok(()),
        Noted::No => {
            let message = "the jobs of the node may just be taken over by another";
            Err(Error::unavailable(message))
        }
        Noted::Unsure => {
            runner.decide(Change::TrustOwners).await?;
            check_known(runner, from, here)?;
            runner.heard.trust(from);
            Ok(())
        }
    }
}

/// Whether a node knows of all take-overs that this one knows of, and is a member.
fn check_known(runner: &Runner, from: NodeId, Here(takes): Here) -> Result<()> {
    let view = runner.view();
    if takes < view.state.job_takes {
        let message = "the node does not know of all jobs that were taken over";
        return Err(Error::unavailable(message));
    }
    if !view.state.members.contains_key(&from) {
        let message = "the node is no member, or not yet as far as this one knows";
        return Err(Error::unavailable(message));
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Result<Bytes> {
    let text = serde_json::to_vec(value);
    text.map(Bytes::from).map_err(|error| {
        Error::internal("what is told of a job cannot be written").with_source(error)
    })
}

/// What is shown of a job that this node works on.
pub(crate) fn show(runner: &Runner, id: &str) -> Result<Option<Bytes>> {
    let Some(live) = runner.live(id) else { return Ok(None) };
    let name = runner.peers.name(runner.me());
    json(&live.detail(&name, runner.now_ms())).map(Some)
}

/// What lists show of those of some jobs that this node works on.
pub(crate) fn summaries(runner: &Runner, ids: &[String]) -> Result<Bytes> {
    let name = runner.peers.name(runner.me());
    let live = ids.iter().take(limits::MOST_LISTED).filter_map(|id| runner.live(id));
    let summaries: Vec<_> =
        live.map(|live| live.detail(&name, runner.now_ms()).summary()).collect();
    json(&summaries)
}

/// The errors of a job that this node works on.
pub(crate) fn errors(runner: &Runner, id: &str) -> Result<Option<Bytes>> {
    let Some(live) = runner.live(id) else { return Ok(None) };
    live.look(runner.now_ms());
    json(&live.errors().0).map(Some)
}

/// Has a job that this node works on wait no longer for those who are being told of its end. Returns whether
/// anybody was waited for.
pub(crate) fn give_up_telling(runner: &Runner, id: &str) -> bool {
    runner.live(id).is_some_and(|live| live.give_up_telling())
}

/// The events of a job that this node works on.
pub(crate) async fn events(runner: &Runner, id: &str, after: EventId) -> Result<Option<Bytes>> {
    let Some(live) = runner.live(id) else { return Ok(None) };
    let waited = tokio::time::timeout(limits::EVENTS_WAIT, live.events.wait(after)).await;
    json(&waited.unwrap_or_default()).map(Some)
}
