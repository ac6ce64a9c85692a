//! The interface over real sockets, with a small store and scripted queries behind it.

mod bodies;
mod bucket_queries;
mod clients;
mod connections;
mod datatypes;
pub(crate) mod fake;
pub(crate) mod fake_jobs;
mod folds;
mod indexes;
mod jobs;
mod objects;
mod others;
mod permissions;
mod stack;
mod walks;
mod wire;

use std::sync::Arc;

use mapring_api::figures::SystemFacts;
use mapring_api::permission::{AllowAll, Permissions};
use mapring_types::env::{SystemClock, SystemEntropy};
use tokio::net::TcpListener;

use crate::{HttpConfig, HttpParts, HttpServer, NodeFacts, SandboxFacts, StorageFacts};

/// A server over a [`fake::Store`].
pub(crate) struct Fixture {
    pub(crate) server: HttpServer,
    pub(crate) store: Arc<fake::Store>,
    pub(crate) queries: Arc<fake::Script>,
    pub(crate) jobs: Arc<fake_jobs::PlayedJobs>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with(HttpConfig::default()).await
    }

    pub(crate) async fn with(config: HttpConfig) -> Self {
        Self::permitting(config, Arc::new(AllowAll)).await
    }

    pub(crate) async fn permitting(config: HttpConfig, permissions: Arc<dyn Permissions>) -> Self {
        let store = Arc::new(fake::Store::new());
        let queries = Arc::new(fake::Script::default());
        let jobs = Arc::new(fake_jobs::PlayedJobs::default());
        let node = NodeFacts {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            serving: Arc::new(|| true),
            storage: Arc::new(|| StorageFacts { engine: "memory".into(), disk_bytes: 7 }),
            system: Arc::new(SystemFacts::default),
            sandbox: Arc::new(SandboxFacts::default),
        };
        let parts = HttpParts {
            objects: store.clone(),
            hooks: store.clone(),
            queries: queries.clone(),
            jobs: jobs.clone(),
            permissions,
            node,
            metrics: Arc::new(|| "mapring_up 1\n".to_owned()),
            config,
        };
        let server = HttpServer::start(parts, TcpListener::bind("127.0.0.1:0").await.unwrap());
        Self { server, store, queries, jobs }
    }

    pub(crate) async fn connect(&self) -> wire::Client {
        wire::Client::connect(self.server.local_addr()).await
    }
}
