//! Members that come, go, take the place of another, and lose data.

use mapring_ring::claim;
use mapring_types::{Error, NodeId, Release, Result};

use super::member::{Member, MemberStatus};
use super::metadata::{ClusterState, room};
use crate::limits;

impl ClusterState {
    /// The last release of the formats that all members read: what is stored, and sent to others, is
    /// written in it.
    pub fn release(&self) -> Release {
        let known = self.members.values().map(Member::release).min();
        known.unwrap_or(Release::FIRST).min(Release::current())
    }

    pub(super) fn join(
        &mut self,
        id: NodeId,
        member: &Member,
        replaces: Option<NodeId>,
    ) -> Result<()> {
        match self.holder(&member.name).filter(|holder| *holder != id) {
            Some(holder) if replaces == Some(holder) && !self.members.contains_key(&id) => {
                self.replace(holder, id, member);
                return Ok(());
            }
            Some(holder) => {
                let name = &member.name;
                let message = format!("the name {name} belongs to node {holder} already");
                return Err(Error::invalid(message));
            }
            None => {}
        }
        if let Some(known) = self.members.get_mut(&id) {
            let Member { status, incomplete, losses, start, .. } = *known;
            *known = Member { status, incomplete, losses, start, ..member.clone() };
            return Ok(());
        }
        room(true, self.members.len(), limits::MEMBERS, "members")?;
        let status = if self.sealed { MemberStatus::Joining } else { MemberStatus::Valid };
        let own = Member { status, incomplete: false, losses: 0, start: 0, ..member.clone() };
        self.members.insert(id, own);
        if status == MemberStatus::Valid {
            let valid: Vec<NodeId> = self
                .members
                .iter()
                .filter(|(_, member)| member.status == MemberStatus::Valid)
                .map(|(id, _)| *id)
                .collect();
            self.plan = claim::claim(&self.plan, &valid);
        }
        Ok(())
    }

    /// A member without partitions has gone for good.
    pub(super) fn forget(&mut self, id: NodeId) -> Result<()> {
        self.check_forget(id)?;
        self.members.remove(&id);
        self.went_back.remove(&id);
        Ok(())
    }

    /// A member has started, on a data directory that is numbered anew.
    pub(super) fn start(&mut self, id: NodeId, known: &[u64], next: u64) -> Result<()> {
        let member = self.member_mut(id)?;
        if member.start != next && !known.contains(&member.start) {
            return Err(Error::invalid(format!(
                "node {id} was started on a later state of its data directory before"
            )));
        }
        member.start = next;
        Ok(())
    }

    /// A member has begun a run with older data.
    pub(super) fn go_back(&mut self, id: NodeId, run: u64) -> Result<()> {
        if self.went_back.get(&id).is_some_and(|known| *known >= run) {
            return Ok(());
        }
        // Who acknowledged something had data, whatever this metadata has forgotten.
        self.member_mut(id)?;
        self.sealed = true;
        self.lose(id)?;
        self.went_back.insert(id, run);
        Ok(())
    }

    /// A member has all again of what it had lost.
    pub(super) fn fill(&mut self, id: NodeId, losses: u64) -> Result<()> {
        let member = self.member_mut(id)?;
        if member.losses != losses {
            return Err(Error::invalid(format!("node {id} has lost data since")));
        }
        member.incomplete = false;
        Ok(())
    }

    /// A member lacks some of its data. Before there is data nothing is lost.
    pub(super) fn lose(&mut self, id: NodeId) -> Result<()> {
        let sealed = self.sealed;
        let member = self.member_mut(id)?;
        member.losses = member.losses.saturating_add(1);
        member.incomplete = sealed && member.status == MemberStatus::Valid;
        Ok(())
    }

    fn member_mut(&mut self, id: NodeId) -> Result<&mut Member> {
        let unknown = || Error::invalid(format!("node {id} is no member"));
        self.members.get_mut(&id).ok_or_else(unknown)
    }

    /// Whether a member may be removed: only one that owns nothing may, since replicas would be gone
    /// with another.
    ///
    /// # Errors
    /// `Invalid`, with the reason.
    pub fn check_forget(&self, id: NodeId) -> Result<()> {
        let Some(member) = self.members.get(&id) else {
            return Err(Error::invalid(format!("node {id} is no member")));
        };
        let owned = self.plan.owned_by(id).count();
        if owned > 0 {
            return Err(Error::invalid(format!(
                "{} owns {owned} partitions: start a node of the name {} with an empty data \
                 directory, which takes its place",
                self.named(id),
                member.name
            )));
        }
        Ok(())
    }

    /// Gives the place and the partitions of `old` to `id`.
    fn replace(&mut self, old: NodeId, id: NodeId, member: &Member) {
        let Some(former) = self.members.remove(&old) else { return };
        self.went_back.remove(&old);
        let incomplete = self.sealed && former.status == MemberStatus::Valid;
        let (status, losses) = (former.status, u64::from(incomplete));
        self.members.insert(id, Member { status, incomplete, losses, start: 0, ..member.clone() });
        let owned = self.plan.owners().contains(&Some(old));
        let owners = self.plan.owners().iter().map(|owner| match owner {
            Some(owner) if *owner == old => Some(id),
            other => *other,
        });
        if let (true, Some(owners)) = (owned, owners.collect()) {
            self.plan = self.plan.next(owners);
        }
    }
}
