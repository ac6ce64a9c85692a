//! What a node gives to one that fills itself.

use std::ops::ControlFlow;
use std::sync::Arc;

use mapring_cluster::Change;
use mapring_engine::{ScanDepth, ScanRange};
use mapring_net::Class;
use mapring_types::limits::{LEASE, PAGE_BYTES};
use mapring_types::{Error, NodeId, Record, Result};

use super::{Heads, Progress};
use crate::integrity::propose;
use crate::wire::{AskHeads, AskRepair, Donor, Fetch, Operation};
use crate::{Shared, limits};

impl Shared {
    fn admit_donation(&self, donor: &Donor) -> Result<()> {
        if donor.incomplete_too {
            return Ok(());
        }
        self.integrity.admit(donor.vnode, donor.home)
    }

    /// A page of names and clocks of a slice here.
    ///
    /// # Errors
    /// `Unavailable` when this node lacks some itself, `Storage`, `Corrupt`.
    pub(crate) async fn heads_here(&self, request: AskHeads) -> Result<Heads> {
        let AskHeads { donor, after } = request;
        self.admit_donation(&donor)?;
        let work = move |core: &crate::vnode::Core| {
            let range = ScanRange::home(donor.home.0).after(after);
            let mut page = Heads::default();
            let (mut bytes, mut full, mut failure) = (0, false, None);
            core.engine.scan(donor.vnode.0, &range, ScanDepth::Heads, &mut |place, record| {
                match Record::decode_without_bodies(&record.head) {
                    Ok(object) => {
                        bytes += place.id.key.len() + 16 * object.clock.len() + 64;
                        page.items.push((place.id, object.clock));
                    }
                    Err(error) => {
                        failure = Some(error.context(&place.id));
                        return ControlFlow::Break(());
                    }
                }
                full =
                    page.items.len() >= limits::REPAIR_PAGE || bytes >= limits::REPAIR_PAGE_BYTES;
                if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            failure.map_or(Ok(()), Err)?;
            page.next = page.items.last().filter(|_| full).map(|(id, _)| id.clone());
            Ok(page)
        };
        self.vnodes.run(work).await
    }

    /// The first of some objects of a slice here, as many as make a page.
    ///
    /// # Errors
    /// As [`Shared::heads_here`].
    pub(crate) async fn fetch_here(&self, request: Fetch) -> Result<Vec<Option<Record>>> {
        let Fetch { donor, ids } = request;
        self.admit_donation(&donor)?;
        let work = move |core: &crate::vnode::Core| {
            let (mut records, mut bytes) = (Vec::new(), 0);
            for id in ids {
                let record = core.engine.get(donor.vnode.0, &core.place(id))?;
                bytes += record.as_ref().map_or(0, Record::len);
                records.push(record);
                if bytes >= PAGE_BYTES {
                    break;
                }
            }
            Ok(records)
        };
        self.vnodes.run(work).await
    }

    /// How far the filling of a node is; `None` when it lacks nothing.
    ///
    /// # Errors
    /// `NotFound` for who is no member; `Unavailable`, `Timeout`.
    pub(crate) async fn repair_status(self: &Arc<Self>, node: NodeId) -> Result<Option<Progress>> {
        let asked = if node == self.me {
            Ok(self.repair_here())
        } else {
            let class = Class::Foreground;
            self.ask(node, class, Operation::Repair, AskRepair, LEASE).await.flat()
        };
        // A node that has not seen yet that it is incomplete is not finished.
        let view = self.parts.cluster.view();
        let incomplete = view.state.members.get(&node).is_some_and(|member| member.incomplete);
        Ok(asked?.or_else(|| incomplete.then(Progress::default)))
    }

    /// How far the filling of this node is.
    pub(crate) fn repair_here(&self) -> Option<Progress> {
        self.integrity.lacking().then(|| self.integrity.progress())
    }

    /// Has a node filled again.
    ///
    /// # Errors
    /// As [`mapring_cluster::Cluster::propose`].
    pub(crate) async fn repair(&self, node: NodeId) -> Result<()> {
        let view = self.parts.cluster.view();
        match view.state.members.get(&node) {
            None => Err(Error::new(
                mapring_types::ErrorKind::NotFound,
                format!("node {node} is not a member"),
            )),
            Some(member) if member.incomplete => Ok(()),
            Some(_) => propose(self, Change::Lost { id: node }).await,
        }
    }
}
