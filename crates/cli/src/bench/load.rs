//! What all kinds of load have in common.

use std::time::Duration;

use clap::Args;
use mapring_client::Client;

use crate::failure::{Failure, Outcome};

/// Whom to load, how long and how often.
#[derive(Args)]
pub(super) struct Load {
    /// The nodes to speak to, in turn; may be repeated. What the whole cluster uses is measured
    #[arg(
        long = "url",
        env = "MAPRING_URL",
        default_value = "http://127.0.0.1:8098",
        value_name = "http://HOST:PORT",
        value_delimiter = ','
    )]
    pub(super) urls: Vec<String>,

    /// Seconds of load before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(super) warm_up: Duration,

    /// Seconds to measure
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(super) duration: Duration,

    /// End after so many requests even if the time is not over
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,

    /// Show no progress
    #[arg(long, short)]
    pub(super) quiet: bool,
}

impl Load {
    pub(super) fn clients(&self) -> Outcome<Vec<Client>> {
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
