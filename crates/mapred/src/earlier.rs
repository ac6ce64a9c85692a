//! What jobs have given, as inputs of queries: whoever keeps jobs knows it.

use async_trait::async_trait;
use mapring_types::Result;

/// Finds what jobs have given.
#[async_trait]
pub trait EarlierJobs: Send + Sync + 'static {
    /// What a job has given that has ended well.
    ///
    /// # Errors
    /// There is no such job, it has not ended well, or has given more than lies in a query.
    async fn results(&self, id: &str) -> Result<EarlierResults>;
}

/// What a job has given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EarlierResults {
    /// The results in order, each as JSON.
    pub rows: Vec<String>,
    /// Whether they are the names of the objects that it wrote, which are meant then.
    pub are_names: bool,
}
