//! One worker process, as its node sees it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mapring_script::limits::CONTEXTS;
use mapring_script::protocol::{self, HEADER_BYTES, Request, Response, VERSION};
use mapring_script::sandbox::{LayerReport, Sandbox};
use mapring_script::{CallBounds, FailureCause, QueryTag, ScriptError, worker::LOG_MARK};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::ProcessConfig;
use crate::limits;
use crate::processes::{Entry, Processes};

/// Memory that the allocator reserves at once. Its default of 1 GB would count against the limit.
const RESERVE: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "32M");

/// A running process.
pub(crate) struct Worker {
    child: Child,
    stream: UnixStream,
    /// What calls are held to: its own limit, …
    own_call_limit: Duration,
    /// … what is said of the present query beside that, and what follows.
    bounds: Option<CallBounds>,
    call_limit: Duration,
    /// The input of the call under way, and since when it runs, by the last news.
    call: (Option<u32>, Instant),
    /// Whether there has been news since the last request.
    told: bool,
    stderr_tail: Arc<Mutex<VecDeque<String>>>,
    stderr_reader: JoinHandle<()>,
    /// After `child`: it stays in the list until it is gone.
    _entry: Option<Entry>,
    /// The queries that it has contexts of, the one it worked for last first.
    queries: VecDeque<QueryTag>,
    /// Whether it holds a reduce.
    pub(crate) reducing: bool,
    /// Whether so much of its memory is taken that the next query should not have to do with the rest.
    pub(crate) large: bool,
    /// Which edition of the files of functions it has; 0 for none.
    pub(crate) edition: u64,
    /// The layers of its jail.
    pub(crate) layers: Vec<LayerReport>,
}

/// Why a process is terminated.
pub(crate) enum StopCause {
    /// A call took too long.
    Time {
        /// The input of the call.
        input: Option<u32>,
    },
    /// The interpreter broke and said so.
    Broken(ScriptError),
    /// The process ended, or its socket failed.
    Ended,
}

/// The end of a process.
pub(crate) struct Exit {
    pub(crate) error: ScriptError,
    /// Whether it is known in which call it came, or else that it was while the function was made.
    pub(crate) known: bool,
}

impl Worker {
    /// Starts a process and waits until it is ready.
    pub(crate) async fn start(
        config: &ProcessConfig,
        processes: &Arc<Processes>,
    ) -> Result<Self, String> {
        let words = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()
            .and_then(|pair| pair.0.set_nonblocking(true).map(|()| pair))
            .map_err(|error| words("no socket", error))?;
        let program = config.program.display().to_string();
        let mut child = Command::new(&config.program)
            .args(&config.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_clear()
            .env(RESERVE.0, RESERVE.1)
            .envs(mapring_types::versioned::told())
            // The terminal's Ctrl-C is for the node, which ends its workers in its own time.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| words(&program, error))?;
        let stream = UnixStream::from_std(ours).map_err(|error| words("socket", error))?;
        let stderr_tail = Arc::new(Mutex::new(VecDeque::new()));
        let stderr = child.stderr.take().ok_or("the process has no standard error")?;
        let stderr_reader = tokio::spawn(read_stderr(stderr, Arc::clone(&stderr_tail)));
        let _entry = child.id().map(|id| processes.enter(id));
        let mut worker = Self {
            child,
            stream,
            own_call_limit: Duration::from_millis(config.limits.call_ms),
            bounds: None,
            call_limit: Duration::from_millis(config.limits.call_ms),
            call: (None, Instant::now()),
            told: false,
            stderr_tail,
            stderr_reader,
            _entry,
            queries: VecDeque::new(),
            reducing: false,
            large: false,
            edition: 0,
            layers: Vec::new(),
        };
        let sandbox = config.sandbox;
        let hello = Request::Hello { version: VERSION, limits: config.limits, sandbox };
        match timeout(limits::START_PATIENCE, worker.exchange(&hello)).await {
            Ok(Ok(Response::Ready { version: VERSION, sandbox: layers })) => {
                worker.layers = layers;
            }
            _ => {
                let error = worker.terminate(StopCause::Ended).await.error;
                return Err(format!("{program}: {}", error.message));
            }
        }
        match lacks(sandbox, &worker.layers) {
            None => Ok(worker),
            Some(why) => {
                worker.dismiss().await;
                Err(why)
            }
        }
    }

    /// Sends a request and waits for its answer, as long as each call keeps to its limit: the worker's
    /// own, or that of `bounds`.
    pub(crate) async fn call(
        &mut self,
        request: &Request,
        bounds: Option<CallBounds>,
    ) -> Result<Response, StopCause> {
        if std::mem::take(&mut self.reducing) && !continues(request) {
            self.send(&Request::Abandon).await.map_err(|_| StopCause::Ended)?;
        }
        if self.bounds != bounds {
            let own = self.own_call_limit;
            self.call_limit = bounds.map_or(own, |held| Duration::from_millis(held.call_ms));
            self.bounds = bounds;
            self.send(&Request::Hold(bounds)).await.map_err(|_| StopCause::Ended)?;
        }
        match request {
            Request::Map { query, .. }
            | Request::Combine { query, .. }
            | Request::MapPairs { query, .. }
            | Request::CombineGroups { query, .. }
            | Request::ReduceGroups { query, .. }
            | Request::StreamOpen { query, .. } => self.works_for(*query),
            Request::ReduceOpen { query, .. } => {
                self.works_for(*query);
                self.reducing = true;
            }
            Request::ReducePush(_) => self.reducing = true,
            _ => {}
        }
        self.exchange(request).await
    }

    /// Whether it has a context of the query.
    pub(crate) fn knows(&self, query: QueryTag) -> bool {
        self.queries.contains(&query)
    }

    /// The query that it worked for last.
    pub(crate) fn last_query(&self) -> Option<QueryTag> {
        self.queries.front().copied()
    }

    /// Keeps account of the contexts about as the worker itself does, which forgets them also when
    /// they are old or large: a wrong guess costs a context.
    fn works_for(&mut self, query: QueryTag) {
        self.queries.retain(|known| *known != query);
        self.queries.push_front(query);
        self.queries.truncate(CONTEXTS);
    }

    async fn exchange(&mut self, request: &Request) -> Result<Response, StopCause> {
        (self.call, self.told, self.large) = ((None, Instant::now()), false, false);
        let sent =
            timeout_at(self.call.1 + self.call_limit + limits::CALL_GRACE, self.send(request))
                .await;
        sent.map_err(|_| StopCause::Time { input: None })?.map_err(|_| StopCause::Ended)?;
        self.call.1 = Instant::now();
        loop {
            let (input, since) = self.call;
            let answer =
                timeout_at(since + self.call_limit + limits::CALL_GRACE, self.receive()).await;
            match answer.map_err(|_| StopCause::Time { input })?.map_err(|_| StopCause::Ended)? {
                Response::Busy { input, call_ms } => {
                    let elapsed = Duration::from_millis(call_ms);
                    if elapsed >= self.call_limit {
                        return Err(StopCause::Time { input });
                    }
                    let now = Instant::now();
                    self.call = (input, now.checked_sub(elapsed).unwrap_or(now));
                    self.told = true;
                }
                Response::Large => self.large = true,
                Response::Broken(error) => return Err(StopCause::Broken(error)),
                answer => return Ok(answer),
            }
        }
    }

    async fn send(&mut self, request: &Request) -> std::io::Result<()> {
        self.stream.write_all(&protocol::encode(request)?).await
    }

    async fn receive(&mut self) -> std::io::Result<Response> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await?;
        let length = protocol::body_length(header)?;
        let mut body = Vec::with_capacity(length.min(limits::EXPECTED_RESPONSE_BYTES));
        (&mut self.stream).take(length as u64).read_to_end(&mut body).await?;
        if body.len() < length {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        protocol::decode(&body)
    }

    /// Ends the process, waits until it is gone, and names the cause.
    pub(crate) async fn terminate(mut self, cause: StopCause) -> Exit {
        let (input, since) = self.call;
        let tried_long = self.told && since.elapsed() >= limits::LONG_CALL;
        if matches!(cause, StopCause::Ended) {
            // It has most likely ended by itself: how, tells the cause.
            let _ = timeout(limits::EXIT_PATIENCE, self.child.wait()).await;
        }
        let _ = self.child.start_kill();
        let status = self.child.wait().await;
        let _ = timeout(limits::EXIT_PATIENCE, &mut self.stderr_reader).await;
        self.stderr_reader.abort();
        match cause {
            StopCause::Time { input } => {
                let limit = self.call_limit.as_millis();
                let message = format!("timeout: the call took longer than {limit} ms");
                let error = ScriptError::new(FailureCause::Time, message);
                Exit { error: ScriptError { input, ..error }, known: true }
            }
            StopCause::Broken(error) => Exit { error, known: true },
            StopCause::Ended => {
                let lines: Vec<String> = self.stderr_tail.lock().drain(..).collect();
                let error = exit_error(status.ok(), &lines);
                let input = input.filter(|_| tried_long);
                Exit { error: ScriptError { input, ..error }, known: tried_long }
            }
        }
    }

    /// Ends an idle process.
    pub(crate) async fn dismiss(mut self) {
        drop(self.stream);
        if timeout(limits::EXIT_PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        self.stderr_reader.abort();
    }
}

/// What a jail lacks that it is required to have.
fn lacks(sandbox: Sandbox, layers: &[LayerReport]) -> Option<String> {
    if sandbox != Sandbox::Required {
        return None;
    }
    let required = layers.iter().filter(|report| report.layer.is_required());
    let missing = required.filter_map(|report| Some((report.layer.name(), report.missing()?)));
    let missing: Vec<String> = missing.map(|(name, why)| format!("{name} ({why})")).collect();
    let list = missing.join(", ");
    (!list.is_empty()).then(|| format!("script.sandbox is \"required\", and a worker lacks {list}"))
}

fn continues(request: &Request) -> bool {
    matches!(
        request,
        Request::ReducePush(_)
            | Request::ReduceSuspend
            | Request::ReduceSave(_)
            | Request::ReduceFinish
    )
}

/// Reads what a worker writes: lines of user code go to the log, others are kept.
async fn read_stderr(stderr: ChildStderr, tail: Arc<Mutex<VecDeque<String>>>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    let (mut second, mut logged) = (Instant::now(), 0);
    loop {
        line.clear();
        // A line without end must not fill the memory: it comes in pieces.
        let mut piece = (&mut stderr).take(limits::STDERR_LINE_BYTES as u64);
        match piece.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let Some(message) = text.strip_prefix(LOG_MARK) else {
            let mut tail = tail.lock();
            if tail.len() >= limits::STDERR_LINES {
                tail.pop_front();
            }
            tail.push_back(text.to_owned());
            continue;
        };
        if second.elapsed() >= Duration::from_secs(1) {
            (second, logged) = (Instant::now(), 0);
        }
        logged += 1;
        if logged <= limits::LOG_LINES {
            tracing::info!(message, "a function logs");
        }
    }
}

/// The cause of an end, from what the runtime of the worker says when it gives up.
fn exit_error(status: Option<ExitStatus>, lines: &[String]) -> ScriptError {
    let said = |text: &str| lines.iter().any(|line| line.contains(text));
    let end = status.map_or_else(|| "an unknown end".to_owned(), |status| status.to_string());
    if said("memory allocation of") || said("capacity overflow") || said("out of memory") {
        let message = "the worker needed more memory than it may have";
        return ScriptError::new(FailureCause::Memory, message);
    }
    let signal = status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
    if said("overflowed its stack") || signal == Some(11) {
        let message = "the calls, or the value or source, nested too deeply for the stack";
        return ScriptError::new(FailureCause::Stack, message);
    }
    let mut message = format!("the script worker ended: {end}");
    if let Some(line) = lines.last() {
        message = format!("{message}: {line}");
    }
    ScriptError::new(FailureCause::Worker, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use mapring_script::sandbox::{Layer, LayerState};

    use super::*;

    #[track_caller]
    fn check(signal: i32, lines: &[&str], expected: FailureCause) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(exit_error(Some(ExitStatus::from_raw(signal)), &lines).cause, expected);
    }

    #[test]
    fn what_is_required_is_asked_for() {
        let report = |layer, state| LayerReport { layer, state };
        let held = report(Layer::Seccomp, LayerState::Held);
        let not_needed = report(Layer::User, LayerState::NotNeeded);
        let apart = report(Layer::Namespaces, LayerState::Missing("refused".to_owned()));
        let paths = report(Layer::Landlock, LayerState::Missing("too old".to_owned()));
        let enough = [held.clone(), not_needed, apart];
        assert_eq!(lacks(Sandbox::Required, &enough), None);
        let too_little = [held, paths];
        assert_eq!(lacks(Sandbox::On, &too_little), None);
        let why = lacks(Sandbox::Required, &too_little).unwrap();
        assert!(why.ends_with("a worker lacks landlock (too old)"), "{why}");
    }

    #[test]
    fn causes_of_an_end() {
        check(6, &["memory allocation of 1073741824 bytes failed"], FailureCause::Memory);
        check(6, &["", "thread 'script' has overflowed its stack"], FailureCause::Stack);
        check(11, &[], FailureCause::Stack);
        check(9, &[], FailureCause::Worker);
        check(0, &["something else"], FailureCause::Worker);
    }
}
