//! `mapring bench`: load, and what it costs the servers.
//!
//! Each connection sends its next request when it has the answer to the last one. The figure to
//! compare is the servers' processor time a request ([`usage`]): on a busy machine it is steadier
//! than rates and times, and it does not depend on how fast the load generator is.

mod drive;
mod header;
mod kv;
mod mapred;
mod random;
mod report;
mod usage;
mod wire;

use std::time::Duration;

use clap::{Args, Subcommand};
use mapring_client::Client;

use crate::failure::{Failure, Outcome};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read and write objects.
    Kv(kv::Arguments),
    /// Run a query again and again.
    Mapred(mapred::Arguments),
}

/// What both kinds of load have in common.
#[derive(Args)]
struct Load {
    /// The nodes to speak to, in turn; may be repeated. What the whole cluster uses is measured
    #[arg(
        long = "url",
        env = "MAPRING_URL",
        default_value = "http://127.0.0.1:8098",
        value_name = "http://HOST:PORT",
        value_delimiter = ','
    )]
    urls: Vec<String>,

    /// Seconds of load before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,

    /// Seconds to measure
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,

    /// End after so many requests even if the time is not over
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) async fn run(command: &Command) -> Outcome {
    match command {
        Command::Kv(arguments) => kv::run(arguments).await,
        Command::Mapred(arguments) => mapred::run(arguments).await,
    }
}

impl Load {
    fn clients(&self) -> Outcome<Vec<Client>> {
        let client = |url: &String| Client::new(url);
        let clients: Result<Vec<_>, _> = self.urls.iter().map(client).collect();
        match clients {
            Ok(clients) if clients.is_empty() => Err(Failure::usage("--url: no node is given")),
            clients => clients.map_err(|error| Failure::usage(error.to_string())),
        }
    }
}

/// Longest warm-up and measurement, in seconds: a day.
const MOST_SECONDS: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    if !(0.0..=MOST_SECONDS).contains(&number) {
        return Err(format!("not between 0 and {MOST_SECONDS} seconds"));
    }
    Ok(Duration::from_secs_f64(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_bounded() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["-1", "1e9", "NaN", "inf", "5s", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
