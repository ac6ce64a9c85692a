//! What is read of jobs, and what they gave.

use super::nodes::Clients;
use crate::failure::{Failure, Outcome, print};

/// Reads a document from a file, or `-` for standard input.
pub(crate) fn read(file: &str) -> Outcome<Vec<u8>> {
    crate::mapred::read(&file.into()).map_err(|failure: Failure| failure.context("the document"))
}

/// What was printed before a failure is not all.
pub(super) async fn results(id: &str, phases: bool, nodes: &Clients) -> Outcome {
    let mut parts = nodes.ask(async |node| node.job_results(id).await).await?;
    while let Some(part) = parts.next().await? {
        let mut lines = String::new();
        for value in &part.data {
            if phases {
                lines.push_str(&format!("{}\t", part.phase));
            }
            lines.push_str(value.get());
            lines.push('\n');
        }
        print(lines.as_bytes())?;
    }
    Ok(())
}
