//! `mapring bench kv`: reads and writes of objects, and counters, under keys taken at random.

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mapring_client::{Client, Place};
use serde_json::{Value, json};

use super::drive::{Plan, Requester, drive};
use super::header::Header;
use super::load::Load;
use super::random::Random;
use super::report::Answered;
use super::wire::Connection;
use crate::failure::{Failure, Outcome};
use crate::limits;

/// Reads and writes objects of one size under keys taken at random, each connection one after
/// another. Before `get` and `mix` all keys are stored. Errors are counted, by kind; the exit
/// status is 1 when no request succeeded.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to do
    #[arg(long, value_enum, default_value_t = Operation::Get)]
    op: Operation,

    /// With --op mix: how many of a hundred requests read
    #[arg(long, value_name = "PERCENT", default_value_t = 80)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=100))]
    reads: u64,

    /// The bucket
    #[arg(long, default_value = "bench")]
    bucket: String,

    /// The bucket type
    #[arg(long = "type", value_name = "TYPE")]
    bucket_type: Option<String>,

    /// First set the bucket's number of replicas
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=64))]
    n_val: Option<u64>,

    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,

    /// Bytes of each object
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=limits::BENCH_BODY_BYTES))]
    value_size: u64,

    /// Send this header with each write; may be repeated. In it {key} stands for the key, {key:N} for
    /// its last N digits, {random:N} for N digits at random, others in each request
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = Header::parse)]
    headers: Vec<Header>,

    /// Connections, each with one request under way
    #[arg(long, value_name = "N", default_value_t = 32)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,

    /// Do not store the keys before get and mix: they are there
    #[arg(long)]
    no_fill: bool,

    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// Read objects
    Get,
    /// Write objects
    Put,
    /// Read and write objects
    Mix,
    /// Add one to counters: those of the data type with --type, else those of Riak 1.4
    Increment,
    /// Store each key once
    Fill,
}

/// What one request does.
#[derive(Clone, Copy)]
enum Action {
    Read,
    Write,
    Increment,
}

/// Which keys a connection takes.
#[derive(Clone)]
enum Keys {
    Random(Random),
    /// Each one once; shared by all connections.
    InOrder(Rc<Cell<u64>>),
}

struct Worker {
    connection: Connection,
    host: String,
    /// The path of the bucket's keys.
    path: String,
    keys: Keys,
    count: u64,
    /// The path of the bucket's counters.
    counters: String,
    op: Operation,
    /// How many of a hundred requests read.
    reads: u64,
    chance: Random,
    value: Rc<Vec<u8>>,
    headers: Rc<Vec<Header>>,
    request: Vec<u8>,
}

pub(super) async fn run(arguments: &Arguments) -> Outcome {
    let clients = arguments.load.clients()?;
    let place = arguments.place();
    if let (Some(n_val), Some(client)) = (arguments.n_val, clients.first()) {
        let props = format!(r#"{{"props":{{"n_val":{n_val}}}}}"#);
        client.set_bucket_props(&place, props).await?;
    }
    let n_val = n_val(&clients, &place).await;
    let reads = matches!(arguments.op, Operation::Get | Operation::Mix);
    if reads && !arguments.no_fill {
        fill(arguments, &clients).await?;
    }
    let mut plan = Plan::from(&arguments.load);
    if arguments.op == Operation::Fill {
        plan = Plan {
            warm_up: Duration::ZERO,
            duration: limits::BENCH_FILL,
            count: Some(arguments.keys),
            ..plan
        };
    }
    let measured = drive(plan, &clients, arguments.workers(&clients, arguments.op)).await?;
    let title = format!(
        "{:?} of {} bytes, {} keys, n_val {}, {} connections",
        arguments.op,
        arguments.value_size,
        arguments.keys,
        n_val.as_ref().map_or_else(|| "unknown".to_owned(), Value::to_string),
        arguments.connections
    );
    let what = json!({
        "kind": "kv",
        "op": format!("{:?}", arguments.op).to_lowercase(),
        "urls": arguments.load.urls,
        "keys": arguments.keys,
        "value_bytes": arguments.value_size,
        "connections": arguments.connections,
        "n_val": n_val,
    });
    measured.print(arguments.load.json, &title.to_lowercase(), what, None)
}

/// The replicas of the bucket; `None` of a server that has no such thing.
async fn n_val(clients: &[Client], place: &Place) -> Option<Value> {
    let props = clients.first()?.bucket_props(place).await.ok()?;
    let props: Value = serde_json::from_slice(&props).ok()?;
    props.get("props")?.get("n_val").cloned()
}

/// Stores all keys.
async fn fill(arguments: &Arguments, clients: &[Client]) -> Outcome {
    let plan = Plan {
        warm_up: Duration::ZERO,
        duration: limits::BENCH_FILL,
        count: Some(arguments.keys),
        quiet: arguments.load.quiet,
    };
    let filled = drive(plan, clients, arguments.workers(clients, Operation::Fill)).await?;
    if filled.interrupted {
        return Err(Failure::failed("interrupted while the keys were stored"));
    }
    match filled.tally.errors_by_kind() {
        errors if errors.is_empty() => Ok(()),
        errors => Err(Failure::failed(format!("not all keys could be stored: {errors}"))),
    }
}

impl Arguments {
    fn place(&self) -> Place {
        Place { bucket_type: self.bucket_type.clone(), ..Place::new(&self.bucket, "") }
    }

    /// The path of the bucket's counters, before the key.
    fn counters(&self) -> String {
        let path = self.place().path();
        let bucket = path.strip_suffix("keys/").unwrap_or(&path);
        let kind = if self.bucket_type.is_some() { "datatypes" } else { "counters" };
        format!("{bucket}{kind}/")
    }

    /// The connections, which take the nodes in turn.
    fn workers(&self, clients: &[Client], op: Operation) -> Vec<Worker> {
        let next = Rc::new(Cell::new(0));
        let value = Rc::new(value(self.value_size));
        let headers = Rc::new(self.headers.clone());
        let hosts = clients.iter().map(|client| client.address()).cycle();
        let worker = |(number, host): (u16, &str)| Worker {
            connection: Connection::new(host),
            host: host.to_owned(),
            path: self.place().path(),
            counters: self.counters(),
            op,
            keys: match op {
                Operation::Fill => Keys::InOrder(next.clone()),
                _ => Keys::Random(Random::new(number.into())),
            },
            count: self.keys,
            reads: self.reads,
            chance: Random::new(u64::from(number) << 32),
            value: value.clone(),
            headers: headers.clone(),
            request: Vec::new(),
        };
        (0..self.connections).zip(hosts).map(worker).collect()
    }
}

impl Requester for Worker {
    async fn request(&mut self) -> Result<Answered, String> {
        let key = match &mut self.keys {
            Keys::Random(random) => random.below(self.count),
            Keys::InOrder(next) => next.replace(next.get() + 1),
        };
        let action = match self.op {
            Operation::Get => Action::Read,
            Operation::Mix if self.chance.below(100) < self.reads => Action::Read,
            Operation::Increment => Action::Increment,
            Operation::Put | Operation::Mix | Operation::Fill => Action::Write,
        };
        self.write_request(key, action).map_err(|error| error.to_string())?;
        let answer = self.connection.exchange(&self.request).await?;
        match (action, answer.status) {
            (Action::Read, 200) if answer.body_bytes != self.value.len() as u64 => {
                Err("another length than was stored".to_owned())
            }
            (Action::Read, 200) | (Action::Write | Action::Increment, 200 | 204) => {
                Ok(Answered { bytes: answer.body_bytes, first: None })
            }
            (_, status) => Err(format!("status {status}")),
        }
    }
}

impl Worker {
    fn write_request(&mut self, key: u64, action: Action) -> std::io::Result<()> {
        let Self { request, path, counters, host, value, headers, chance, .. } = self;
        request.clear();
        let (method, path, media, body): (_, _, _, &[u8]) = match action {
            Action::Read => {
                return write!(request, "GET {path}{key:09} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            }
            Action::Write => ("PUT", path, "text/plain", value),
            Action::Increment => ("POST", counters, "application/json", b"1"),
        };
        let length = body.len();
        write!(
            request,
            "{method} {path}{key:09} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {media}\r\n\
             Content-Length: {length}\r\n"
        )?;
        headers.iter().try_for_each(|header| header.write(request, key, chance))?;
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        Ok(())
    }
}

/// Text of so many bytes.
fn value(bytes: u64) -> Vec<u8> {
    let letters = (b'a'..=b'z').cycle();
    letters.take(usize::try_from(bytes).unwrap_or(usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_size() {
        assert_eq!(value(0), b"");
        assert_eq!(value(28), b"abcdefghijklmnopqrstuvwxyzab");
    }
}
