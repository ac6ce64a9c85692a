//! Forgetting the pairs of queries whose coordinators have gone without a word.

use std::sync::Arc;

use async_trait::async_trait;
use mapring_background::{Context, Next, Worker};
use mapring_types::Result;

use crate::limits;
use crate::node::Node;

/// See the module.
pub(crate) struct ForgetPairs(pub(crate) Arc<Node>);

#[async_trait]
impl Worker for ForgetPairs {
    fn name(&self) -> &'static str {
        "forget-pairs"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let node = &self.0;
        let forgotten = node.pairs.expire(node.age(), limits::PAIRS_IDLE);
        for query in &forgotten {
            tracing::info!(query = format_args!("{query:x}"), "the pairs of a query are forgotten");
        }
        node.show_pairs();
        let usage = node.pairs.usage();
        context.say(format!(
            "{} queries have {} bytes in memory and {} in files",
            usage.queries, usage.memory_bytes, usage.disk_bytes
        ));
        Ok(Next::Wait)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(limits::KEEP_PAIRS).await;
    }
}
