//! What to compare with: an HTTP server that gives and takes the same bytes and does nothing else.
//!
//! It has the runtime, the allocator and the HTTP library of a node, so that what a node takes more
//! is its own work.

use std::io::{Read as _, Write as _};
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::machine;
use crate::outcome::Outcome;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Bytes of every object
    #[arg(long)]
    bytes: u64,
}

/// The server, in a process of its own that ends with this.
pub(crate) struct Bare {
    _child: Child,
    pub(crate) url: String,
}

impl Bare {
    pub(crate) async fn start(bytes: u64) -> Outcome<Self> {
        let mut child = Command::new(Path::new("/proc/self/exe"))
            .args(["bare", "--bytes", &bytes.to_string()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the bare server has no output")?;
        let address = BufReader::new(stdout).lines().next_line().await?;
        let address = address.ok_or("the bare server does not start")?;
        Ok(Self { _child: child, url: format!("http://{address}") })
    }
}

/// Serves, and prints its address.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let letters = (b'a'..=b'z').cycle();
    let object: Bytes = letters.take(usize::try_from(arguments.bytes)?).collect::<Vec<_>>().into();
    let read = move || {
        let object = object.clone();
        async move { ([(header::CONTENT_TYPE, "text/plain")], object) }
    };
    let router = Router::new()
        .route("/buckets/{bucket}/keys/{key}", get(read).put(write))
        .route("/metrics", get(metrics));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true); // A refusal shows in the numbers.
        });
        tokio::select! {
            served = axum::serve(listener, router) => served?,
            ended = tokio::task::spawn_blocking(end_of_input) => ended?,
        }
        Ok(())
    })
}

async fn write(body: Bytes) -> StatusCode {
    std::hint::black_box(body);
    StatusCode::NO_CONTENT
}

/// What `mapring bench` asks for.
async fn metrics() -> impl IntoResponse {
    format!("process_cpu_seconds_total {}\n", machine::own_cpu_seconds())
}

fn end_of_input() {
    let mut buffer = [0; 64];
    while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
}
