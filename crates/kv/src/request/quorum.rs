//! Which answers satisfy a request: quorum numbers resolved against a bucket, and the pure state
//! machines of reads ([`read`]) and writes ([`write`]). No waiting and no runtime here; `get` and
//! `coordinate` drive them.

pub(crate) mod read;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use mapring_types::error::QuorumKind;
use mapring_types::{BucketProps, Error, ErrorKind, NodeId, Quorum, Result};

use crate::request::options::GetOptions;
use crate::write::WriteQuorums;

/// What a read needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadNeed {
    pub(crate) n: u32,
    pub(crate) r: u32,
    pub(crate) pr: u32,
    /// Distinct nodes.
    pub(crate) confirms: u32,
    pub(crate) basic_quorum: bool,
    pub(crate) notfound_ok: bool,
}

impl ReadNeed {
    /// # Errors
    /// `Invalid` when more replicas are asked for than there are.
    pub(crate) fn new(props: &BucketProps, options: &GetOptions) -> Result<Self> {
        let n = props.n_val;
        Ok(Self {
            n,
            r: resolve(options.r, props.r, n)?.max(1),
            pr: resolve(options.pr, props.pr, n)?,
            confirms: resolve(options.node_confirms, props.node_confirms, n)?,
            basic_quorum: options.basic_quorum.unwrap_or(props.basic_quorum),
            notfound_ok: options.notfound_ok.unwrap_or(props.notfound_ok),
        })
    }
}

/// What a write needs. An acknowledgement here always means stored as durably as configured, so
/// that `w` and `dw` differ only in name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteNeed {
    pub(crate) n: u32,
    pub(crate) w: u32,
    pub(crate) dw: u32,
    pub(crate) pw: u32,
    /// Distinct nodes.
    pub(crate) confirms: u32,
}

impl WriteNeed {
    /// # Errors
    /// `Invalid` when more replicas are asked for than there are.
    pub(crate) fn new(
        props: &BucketProps,
        quorums: WriteQuorums,
        node_confirms: Quorum,
    ) -> Result<Self> {
        let n = props.n_val;
        Ok(Self {
            n,
            w: resolve(quorums.w, props.w, n)?,
            dw: resolve(quorums.dw, props.dw, n)?,
            pw: resolve(quorums.pw, props.pw, n)?,
            confirms: resolve(node_confirms, props.node_confirms, n)?,
        })
    }
}

fn resolve(asked: Quorum, property: Quorum, n: u32) -> Result<u32> {
    let number = asked.resolve(property, n);
    if number > n {
        // Riak has this one text for reads too.
        return Err(Error::invalid(format!(
            "Specified w/dw/pw values invalid for bucket n value of {n}"
        )));
    }
    Ok(number)
}

/// Whether `counted` replicas are `need` of them, on distinct nodes as far as the nodes `in_play`
/// allow, and on `spread` nodes at least: of few nodes a list names one twice.
fn reaches(
    need: u32,
    counted: impl Iterator<Item = NodeId> + Clone,
    in_play: impl Iterator<Item = NodeId> + Clone,
    spread: usize,
) -> bool {
    let need = usize::try_from(need).unwrap_or(usize::MAX);
    if counted.clone().count() < need {
        return false;
    }
    distinct(counted) >= need.min(distinct(in_play).max(spread))
}

/// How many nodes there are among `nodes`, which are few: a set would cost more than it saves.
fn distinct(nodes: impl Iterator<Item = NodeId> + Clone) -> usize {
    let first = |(at, node): &(usize, NodeId)| !nodes.clone().take(*at).any(|other| other == *node);
    nodes.clone().enumerate().filter(first).count()
}

/// The error of a missed quorum.
pub(crate) fn missed(what: QuorumKind, got: u32, want: u32) -> Error {
    let kind = ErrorKind::Quorum { what, got, want };
    Error::new(kind, format!("{what}-value unsatisfied: {got}/{want}"))
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// What a request is to do next.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Wait for more answers.
    Wait,
    /// The need is met.
    Enough,
    /// It cannot be met any more.
    Fail(Error),
}
