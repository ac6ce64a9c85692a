//! What nodes ask of each other's MapReduce: streams of units of work, and what queries run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::{Call, FrameStream, Service, calls};
use mapring_types::{Error, ErrorKind, NodeId, Result};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::node::{Node, fetch, keep, lacks, save, serve};
use crate::registry::{Registry, Shutdown};
use crate::report::QueryReport;
use crate::segments::{
    FetchSegment, ForgetPairs, KeepPairs, LookForSegments, SavePairs, StoreSegments,
};
use crate::unit::{Frame, JobLane, LaneRequest, SERVICE};
use crate::wire::{self, Sent};

calls!(SERVICE;
    /// A stream: what is answered is its frames.
    LaneRequest = 1 => Frame,
    /// The reports, and how many other queries there are.
    List = 2 => (Vec<QueryReport>, u64),
    /// Whether it was under way.
    End = 3 => bool,
    Show = 4 => Option<QueryReport>,
    /// As a `LaneRequest`. Nodes that know no jobs are never asked.
    JobLane = 9 => Frame,
);

crate::wire::new!("jobs": JobLane);

/// Asks for the reports of the oldest queries that a node coordinates.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct List;

/// Ends one of them, by its number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct End(pub(crate) u64);

/// Asks for the report of one of them, by its number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Show(pub(crate) u64);

/// Answers other nodes, and this node itself.
pub(crate) struct MapReduceService {
    pub(crate) node: Arc<Node>,
    pub(crate) registry: Arc<Registry>,
}

#[async_trait]
impl Service for MapReduceService {
    async fn call(&self, _from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        match operation {
            List::OPERATION => answer(&body, |_: List| self.registry.reports()),
            Show::OPERATION => answer(&body, |call: Show| self.registry.report(call.0)),
            End::OPERATION => answer(&body, |call: End| self.registry.end(call.0)),
            StoreSegments::OPERATION => {
                let (version, call) = wire::decode_request::<StoreSegments>(&body)?;
                keep(&self.node, call).await?;
                wire::encode(version, &())
            }
            FetchSegment::OPERATION => {
                let (version, call) = wire::decode_request::<FetchSegment>(&body)?;
                wire::encode(version, &fetch(&self.node, call).await?)
            }
            LookForSegments::OPERATION => {
                let (version, call) = wire::decode_request::<LookForSegments>(&body)?;
                wire::encode(version, &lacks(&self.node, call).await?)
            }
            SavePairs::OPERATION => {
                let (version, call) = wire::decode_request::<SavePairs>(&body)?;
                save(&self.node, call).await?;
                wire::encode(version, &())
            }
            KeepPairs::OPERATION => answer(&body, |call: KeepPairs| {
                self.node.pairs.touch(call.0, self.node.age());
            }),
            ForgetPairs::OPERATION => answer(&body, |call: ForgetPairs| {
                self.node.forget_pairs(call.0);
            }),
            _ => Err(Error::invalid(format!("mapreduce has no operation {operation}"))),
        }
    }

    async fn open(&self, _from: NodeId, operation: u8, body: Bytes) -> Result<FrameStream> {
        if ![LaneRequest::OPERATION, JobLane::OPERATION].contains(&operation) {
            return Err(Error::invalid(format!("mapreduce has no stream {operation}")));
        }
        if self.registry.shutdown() == Shutdown::Complete {
            // Whoever is told so asks another replica.
            return Err(Error::unavailable("this node is stopping"));
        }
        if self.node.lanes.load(Ordering::Relaxed) >= limits::LANES as u64 {
            let message = "this node serves as many streams of queries as it may";
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        if operation == JobLane::OPERATION {
            let (version, JobLane { terms, lane }) = wire::decode_request(&body)?;
            return Ok(serve(self.node.clone(), version, lane, Some(terms)));
        }
        let (version, request) = wire::decode_request::<LaneRequest>(&body)?;
        Ok(serve(self.node.clone(), version, request, None))
    }
}

fn answer<C>(body: &[u8], work: impl FnOnce(C) -> C::Answer) -> Result<Bytes>
where
    C: Call<Answer: Sent> + Sent,
{
    let (version, call) = wire::decode_request(body)?;
    wire::encode(version, &work(call))
}
