//! The work that a node does in the background.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use crate::connection::Client;
use crate::error::{Error, Result};
use crate::limits;
use crate::object::escape;

/// The background workers of one node: the one that answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Workers {
    /// Its name.
    pub node: String,
    /// By name.
    pub workers: Vec<Worker>,
    /// The jail in which functions run.
    #[serde(default)]
    pub sandbox: Sandbox,
}

/// The jail of the processes that run functions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Sandbox {
    /// What the node asks for: `on`, `off` or `required`.
    pub mode: String,
    /// Its layers.
    pub layers: Vec<SandboxLayer>,
}

/// A layer of the jail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SandboxLayer {
    /// Its name.
    pub layer: String,
    /// `held`, `not_needed` or `missing`.
    pub state: String,
    /// Why it is missing.
    pub why: Option<String>,
}

/// A kind of work in the background.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// `busy`, `throttled`, `idle`, `ended` or `broken`.
    pub state: String,
    /// What it does or did last, in a line.
    pub status: String,
    /// Rounds that are over.
    pub rounds: u64,
    /// Rounds that ended with an error.
    pub errors: u64,
    /// The last error, unless a later round succeeded.
    pub last_error: Option<String>,
    /// How long the last round took, in seconds.
    pub last_round_seconds: f64,
    /// How many times as long as it has worked it rests.
    pub throttle: u32,
}

impl Client {
    /// The background workers of the node that is asked.
    ///
    /// # Errors
    /// As for any request.
    pub async fn workers(&self) -> Result<Workers> {
        serde_json::from_slice(&self.workers_json().await?).map_err(Error::form)
    }

    /// As [`Client::workers`], as the node writes it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn workers_json(&self) -> Result<Bytes> {
        let answer = self.send(Method::GET, "/admin/workers", HeaderMap::new(), Bytes::new());
        answer.await?.expect(&[StatusCode::OK]).await?.body.collect(limits::ANSWER_BYTES).await
    }

    /// Has a worker of the node that is asked rest so many times as long as it has worked.
    ///
    /// # Errors
    /// As for any request: 404 when there is no such worker, 400 when it is too much.
    pub async fn throttle_worker(&self, name: &str, throttle: u32) -> Result<Worker> {
        let path = format!("/admin/workers/{}", escape(name));
        let body = serde_json::json!({ "throttle": throttle }).to_string();
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        let answer = self.send(Method::PUT, &path, headers, body.into()).await?;
        let answer = answer.expect(&[StatusCode::OK]).await?;
        let answer = answer.body.collect(limits::ANSWER_BYTES).await?;
        serde_json::from_slice(&answer).map_err(Error::form)
    }
}
