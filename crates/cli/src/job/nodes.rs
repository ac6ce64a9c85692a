//! Which nodes the commands about jobs speak to: any of them knows every job.

use std::cell::Cell;

use clap::Args;
use mapring_client::{Client, Error, Result};
use tokio::time::{Instant, sleep};

use crate::failure::{Failure, Outcome};
use crate::limits;

#[derive(Args)]
pub(crate) struct Nodes {
    /// The nodes to speak to; may be repeated: the next is asked when one cannot be reached
    #[arg(
        long = "url",
        env = "MAPRING_URL",
        default_value = "http://127.0.0.1:8098",
        value_name = "http://HOST:PORT",
        value_delimiter = ',',
        global = true
    )]
    urls: Vec<String>,
}

impl Nodes {
    pub(crate) fn clients(&self) -> Outcome<Clients> {
        let clients: Result<Vec<_>> = self.urls.iter().map(|url| Client::new(url)).collect();
        match clients {
            Ok(clients) if clients.is_empty() => Err(Failure::usage("--url: no node is given")),
            Ok(clients) => Ok(Clients { clients, first: Cell::new(0) }),
            Err(error) => Err(Failure::usage(error.to_string())),
        }
    }
}

/// A client of each node.
pub(crate) struct Clients {
    clients: Vec<Client>,
    /// The one that answered last.
    first: Cell<usize>,
}

impl Clients {
    /// Asks one node after the other, until one is not merely away or busy.
    pub(crate) async fn ask<T>(&self, question: impl AsyncFn(&Client) -> Result<T>) -> Result<T> {
        let mut last = None;
        for step in 0..self.clients.len() {
            let at = (self.first.get() + step) % self.clients.len();
            let Some(client) = self.clients.get(at) else { continue };
            match question(client).await {
                Err(error) if error.is_transient() => last = Some(error),
                answer => {
                    self.first.set(at);
                    return answer;
                }
            }
        }
        Err(last.unwrap_or(Error::NotFound))
    }

    /// As [`Clients::ask`], again and again for as long as a cluster may take to get over the loss of a
    /// node.
    pub(crate) async fn patiently<T>(
        &self,
        question: impl AsyncFn(&Client) -> Result<T>,
    ) -> Result<T> {
        let until = Instant::now() + limits::JOB_PATIENCE;
        loop {
            match self.ask(&question).await {
                Err(error) if error.is_transient() && Instant::now() < until => {
                    sleep(limits::PROGRESS_EVERY).await;
                }
                answer => return answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(urls: &[&str]) -> Clients {
        Nodes { urls: urls.iter().map(|url| (*url).to_owned()).collect() }.clients().unwrap()
    }

    fn away(client: &Client) -> Error {
        Error::Connect { address: client.address().to_owned(), reason: "away".into() }
    }

    #[tokio::test]
    async fn the_next_is_asked_when_one_is_away() {
        let clients = clients(&["http://a:1", "http://b:2", "http://c:3"]);
        let asked = Cell::new(0);
        let answer = async |client: &Client| {
            asked.set(asked.get() + 1);
            if client.address() == "b:2" { Ok("b") } else { Err(away(client)) }
        };
        assert_eq!((clients.ask(answer).await.unwrap(), asked.get()), ("b", 2));
        // Who answered is asked first from then on.
        assert_eq!((clients.ask(answer).await.unwrap(), asked.get()), ("b", 3));
        let refused: Result<()> = clients
            .ask(async |_| {
                asked.set(asked.get() + 1);
                Err(Error::Status { status: 404, text: "x".into() })
            })
            .await;
        assert_eq!((refused.unwrap_err().to_string().as_str(), asked.get()), ("404: x", 4));
        let nobody: Result<()> = clients.ask(async |client| Err(away(client))).await;
        assert!(nobody.unwrap_err().to_string().contains("a:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_is_given_time() {
        let clients = clients(&["http://a:1"]);
        let asked = Cell::new(0);
        let later = async |client: &Client| {
            asked.set(asked.get() + 1);
            if asked.get() > 20 { Ok(7) } else { Err(away(client)) }
        };
        assert_eq!(clients.patiently(later).await.unwrap(), 7);
        let begun = Instant::now();
        let never: Result<()> = clients.patiently(async |client| Err(away(client))).await;
        assert!(never.is_err() && begun.elapsed() >= limits::JOB_PATIENCE);
    }

    #[test]
    fn urls_are_checked() {
        assert!(Nodes { urls: vec!["http://a:1".into(), "b".into()] }.clients().is_err());
        assert!(Nodes { urls: vec![] }.clients().is_err());
    }
}
