//! `mapring load`: files into objects.

mod source;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use futures::{StreamExt, stream};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use mapring_client::{Client, Place};
use tokio::sync::mpsc;

use crate::Target;
use crate::failure::{Failure, Outcome, print_line};
use crate::limits;
use source::{Item, Shape};

/// Objects are written in the order of the files, several at once, with retries while a node is
/// too busy or cannot be reached. If one cannot be written, the command says at which line it
/// stopped: everything before that line is stored.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The bucket
    bucket: String,

    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    form: Form,

    /// With --ndjson: take the key from this field of each record (a text or a number)
    #[arg(long, value_name = "FIELD", requires = "ndjson")]
    key: Option<String>,

    /// The bucket type
    #[arg(long = "type", value_name = "TYPE")]
    bucket_type: Option<String>,

    /// Writes under way at once
    #[arg(long, value_name = "N", default_value_t = 32)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Form {
    /// Every line that is not blank is an object, text/plain, under the key FILE:LINE
    #[arg(long)]
    lines: bool,

    /// Every line is a JSON document, under the key FILE:LINE or that of --key
    #[arg(long)]
    ndjson: bool,

    /// Every file is an object under its name, its content type by its ending
    #[arg(long = "files")]
    whole: bool,
}

/// What a load has done.
#[derive(Debug, Default)]
struct Tally {
    objects: u64,
    bytes: u64,
    /// The place of the last object of those that are stored without a gap.
    last: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let files = source::open(&arguments.files)?;
    let bar = progress(arguments, files.iter().map(|file| file.bytes).sum());
    let (sender, receiver) = mpsc::channel(limits::LOAD_READ_AHEAD);
    let shape = arguments.shape();
    std::thread::Builder::new()
        .name("reader".into())
        .spawn(move || source::read(files, &shape, &sender))
        .map_err(|error| Failure::failed(format!("cannot start a thread: {error}")))?;
    let started = Instant::now();
    let mut tally = Tally::default();
    let outcome = write_all(arguments, &client, receiver, &bar, &mut tally).await;
    bar.finish_and_clear();
    match outcome {
        Ok(()) => print_line(&tally.summary(&arguments.bucket, started.elapsed())),
        Err(failure) => Err(failure.context(match &tally.last {
            Some(last) => format!("stopped; everything up to {last} is stored"),
            None => "stopped; nothing is known to be stored".to_owned(),
        })),
    }
}

/// Writes everything that comes, several at once, and counts in order.
async fn write_all(
    arguments: &Arguments,
    client: &Client,
    mut receiver: mpsc::Receiver<Outcome<Item>>,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Outcome {
    let items = stream::poll_fn(move |context| receiver.poll_recv(context));
    let writes = items.map(|item| write(arguments, client, item));
    let mut written = writes.buffered(arguments.concurrency.into());
    loop {
        let next = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(Failure::failed("interrupted")),
            next = written.next() => next,
        };
        let Some(item) = next.transpose()? else { return Ok(()) };
        tally.objects += 1;
        tally.bytes += item.object.body.len() as u64;
        tally.last = Some(item.place);
        bar.inc(item.read_bytes);
    }
}

/// Stores one object, again while that may help.
async fn write(arguments: &Arguments, client: &Client, item: Outcome<Item>) -> Outcome<Item> {
    let item = item?;
    let place = Place {
        bucket_type: arguments.bucket_type.clone(),
        ..Place::new(&arguments.bucket, &item.key)
    };
    let mut pause = limits::LOAD_PAUSE;
    for attempt in 1.. {
        match client.put(&place, item.object.clone()).await {
            Ok(()) => break,
            Err(error) if attempt < limits::LOAD_TRIES && error.is_transient() => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => return Err(Failure::from(error).context(&item.place)),
        }
    }
    Ok(item)
}

impl Arguments {
    fn shape(&self) -> Shape {
        match self.form {
            Form { lines: true, .. } => Shape::Lines,
            Form { ndjson: true, .. } => Shape::Records { key: self.key.clone() },
            Form { .. } => Shape::Files,
        }
    }
}

impl Tally {
    fn summary(&self, bucket: &str, took: Duration) -> String {
        let seconds = took.as_secs_f64().max(1e-3);
        format!(
            "{} objects ({}) stored in {bucket} in {seconds:.1} s, {:.0} objects a second",
            HumanCount(self.objects),
            HumanBytes(self.bytes),
            self.objects as f64 / seconds
        )
    }
}

/// A bar on standard error; nothing when that is no terminal.
fn progress(arguments: &Arguments, bytes: u64) -> ProgressBar {
    if arguments.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let template = "{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
