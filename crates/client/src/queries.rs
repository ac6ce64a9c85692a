//! The queries that run.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use crate::connection::Client;
use crate::error::{Error, Result};
use crate::limits;
use crate::object::escape;

/// The queries of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunningQueries {
    /// What runs or waits for its turn, the oldest first.
    pub queries: Vec<RunningQuery>,
    /// How many more there are: of each node the oldest are listed.
    #[serde(default)]
    pub left_out: u64,
    /// Nodes that did not tell theirs.
    pub unreachable: Vec<String>,
}

/// A query under way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunningQuery {
    /// Its id, as in the header `X-Query-Id`.
    pub id: String,
    /// The node that coordinates it.
    pub node: String,
    /// `waiting` or `running`.
    pub state: String,
    /// Milliseconds since it was asked.
    pub age_ms: u64,
    /// Inputs that its map and link phases have done.
    pub inputs_done: u64,
    /// Its phases.
    pub phases: Vec<RunningPhase>,
    /// What it and its functions have counted, by name; nodes of former releases do not tell.
    #[serde(default)]
    pub counters: BTreeMap<String, i64>,
    /// The beginning of its text.
    pub query: String,
}

/// A phase of a query under way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunningPhase {
    /// Its number, from 0.
    pub phase: u64,
    /// `map`, `reduce`, `link`, `keys` or `gather`.
    pub kind: String,
    /// What it calls, in short.
    pub function: String,
    /// Inputs that it has taken.
    pub inputs: u64,
    /// Results that it has made.
    pub results: u64,
    /// Partitions that it has worked through.
    pub partitions_done: u64,
    /// Partitions that it is to work through; 0 where it works on named inputs.
    pub partitions: u64,
}

impl Client {
    /// The queries that the members of the cluster coordinate.
    ///
    /// # Errors
    /// As for any request.
    pub async fn queries(&self) -> Result<RunningQueries> {
        serde_json::from_slice(&self.queries_json().await?).map_err(Error::form)
    }

    /// As [`Client::queries`], as the node writes it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn queries_json(&self) -> Result<bytes::Bytes> {
        let answer =
            self.send(Method::GET, "/admin/queries", HeaderMap::new(), bytes::Bytes::new()).await?;
        answer.expect(&[StatusCode::OK]).await?.body.collect(limits::ANSWER_BYTES).await
    }

    /// One query; `None` when it is not under way.
    ///
    /// # Errors
    /// As for any request; 503 when the node that coordinates it cannot be asked.
    pub async fn query(&self, id: &str) -> Result<Option<RunningQuery>> {
        let path = format!("/admin/queries/{}", escape(id));
        let answer = self.send(Method::GET, &path, HeaderMap::new(), bytes::Bytes::new()).await?;
        match answer.expect(&[StatusCode::OK]).await {
            Ok(answer) => {
                let json = answer.body.collect(limits::ANSWER_BYTES).await?;
                serde_json::from_slice(&json).map(Some).map_err(Error::form)
            }
            Err(Error::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends a query; returns whether it was under way.
    ///
    /// # Errors
    /// As for any request; 503 when the node that coordinates it cannot be asked.
    pub async fn end_query(&self, id: &str) -> Result<bool> {
        let path = format!("/admin/queries/{}", escape(id));
        let answer =
            self.send(Method::DELETE, &path, HeaderMap::new(), bytes::Bytes::new()).await?;
        match answer.expect(&[StatusCode::NO_CONTENT]).await {
            Ok(answer) => {
                answer.body.collect(limits::ERROR_BYTES).await?;
                Ok(true)
            }
            Err(Error::Status { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
