//! What nodes ask of each other's MapReduce: streams of units of work, and what queries run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::{FrameStream, Service};
use mapring_types::{Error, ErrorKind, NodeId, Result};

use crate::limits;
use crate::node::{Node, serve};
use crate::registry::{Registry, Shutdown};
use crate::unit::{self, LaneRequest};

/// Asks for the reports of the oldest queries that a node coordinates, and how many others there are.
pub(crate) const LIST: u8 = 2;
/// Ends one of them, by its number: answered by whether it was under way.
pub(crate) const END: u8 = 3;
/// Asks for the report of one of them, by its number.
pub(crate) const SHOW: u8 = 4;

/// Answers other nodes, and this node itself.
pub(crate) struct MapReduceService {
    pub(crate) node: Arc<Node>,
    pub(crate) registry: Arc<Registry>,
}

#[async_trait]
impl Service for MapReduceService {
    async fn call(&self, _from: NodeId, operation: u8, body: Bytes) -> Result<Bytes> {
        match operation {
            LIST => Ok(unit::encode(&self.registry.reports())),
            SHOW => Ok(unit::encode(&self.registry.report(unit::decode(&body)?))),
            END => Ok(unit::encode(&self.registry.end(unit::decode(&body)?))),
            _ => Err(Error::invalid(format!("mapreduce has no operation {operation}"))),
        }
    }

    async fn open(&self, _from: NodeId, operation: u8, body: Bytes) -> Result<FrameStream> {
        if operation != unit::OPEN_LANE {
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
        let request: LaneRequest = unit::decode(&body)?;
        Ok(serve(self.node.clone(), request))
    }
}
