//! The program of a worker process: one socket as standard input, one interpreter.
//!
//! Three threads: the main one reads requests, so that the process ends with its node even while
//! JavaScript spins; the interpreter's has the large stack; a third says what a long call is doing.
//! The process limits its own memory and jails itself ([`crate::sandbox`]) before it has any threads,
//! and before it reads anything but the node's first word. Whatever ends it (memory, stack, the
//! parent's clock) costs this process only.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::js::{JsRuntime, More};
use crate::memory::Resident;
use crate::progress::Progress;
use crate::protocol::{self, Request, Response, VERSION};
use crate::sandbox::{self, Sandbox};
use crate::{
    CallBounds, CombineError, Combined, CombinedGroups, Effects, FailureCause, Mapped, MappedPairs,
    Reduced, Row, Runtime, ScriptError, ScriptLimits, limits,
};

/// What begins a line of user code on the worker's standard error.
pub const LOG_MARK: &str = crate::js::LOG_MARK;

/// Why the worker gave up, as exit status.
const CANNOT_START: i32 = 3;
/// The interpreter failed and cannot be used again.
const BROKEN: i32 = 4;

type Writer = Arc<Mutex<UnixStream>>;

/// Runs a worker until its socket closes; gives the exit status. The process should do nothing
/// else, since its limits hold for all of it.
pub fn main() -> i32 {
    match start() {
        Ok((requests, reader)) => read_requests(reader, &requests),
        Err(error) => {
            eprintln!("cannot start a script worker: {error}");
            CANNOT_START
        }
    }
}

fn start() -> io::Result<(SyncSender<Request>, UnixStream)> {
    let socket = rustix::io::dup(io::stdin().as_fd())?;
    let mut reader = UnixStream::from(socket);
    let Request::Hello { version: VERSION, limits, sandbox: wanted } = protocol::read(&mut reader)?
    else {
        return Err(io::Error::other("the node speaks another version of the protocol"));
    };
    limit(limits)?;
    let writer: Writer = Arc::new(Mutex::new(reader.try_clone()?));
    // It opens what tells the size of the process, so that the jail comes after it.
    let size = Arc::new(Size::new(limits.memory_bytes));
    let jailed = wanted != Sandbox::Off;
    let layers = if jailed { sandbox::enter() } else { Vec::new() };
    let news = Arc::clone(&writer);
    let progress = Arc::new(Progress::telling(move || {
        // Nobody is there to be told when this fails; the next answer fails too.
        let _ = send(&news, &Response::Busy { input: None, call_ms: 0 });
    }));
    // One request is worked on at a time; another may be on its way after those without an answer.
    let (requests, queue) = sync_channel(3);
    let (watched, answers) = (Arc::clone(&progress), Arc::clone(&writer));
    let looked_at = Arc::clone(&size);
    std::thread::Builder::new()
        .name("watch".into())
        .stack_size(256 << 10)
        .spawn(move || watch(&watched, &answers, &looked_at))?;
    let stack = usize::try_from(limits.stack_bytes).unwrap_or(usize::MAX);
    let answers = Arc::clone(&writer);
    std::thread::Builder::new()
        .name("script".into())
        .stack_size(stack)
        .spawn(move || interpret(limits, queue, &answers, &progress, &size))?;
    if jailed {
        sandbox::close_behind_threads()?;
    }
    send(&writer, &Response::Ready { version: VERSION, sandbox: layers })?;
    Ok((requests, reader))
}

/// How large the process is, and may be.
struct Size {
    resident: Resident,
    /// What it may be in any case, …
    own: u64,
    /// … and now.
    most: AtomicU64,
}

impl Size {
    fn new(own: u64) -> Self {
        Self { resident: Resident::default(), own, most: AtomicU64::new(own) }
    }

    /// From now on it may grow by no more than `bounds` say.
    fn hold(&self, bounds: Option<CallBounds>) {
        let grown = |bounds: CallBounds| self.resident.bytes().saturating_add(bounds.memory_bytes);
        let most = bounds.map_or(self.own, |bounds| grown(bounds).min(self.own));
        self.most.store(most, Ordering::Relaxed);
    }
}

/// Holds this process to its limits.
fn limit(limits: ScriptLimits) -> io::Result<()> {
    let hold = |resource, most: u64| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    // Stacks of threads count as data, and so does what the allocator keeps for later: the exact
    // limit is that of `watch`, this one is for what grows faster than it looks.
    let memory = limits.memory_bytes.saturating_mul(2).saturating_add(limits.stack_bytes);
    hold(Resource::Data, memory.saturating_add(limits::WORKER_BASE_BYTES))?;
    hold(Resource::Core, 0)?;
    hold(Resource::Nofile, limits::WORKER_FILES)?;
    // Queries give way to reads and writes. A refusal does no harm.
    let _ = rustix::process::nice(5);
    Ok(())
}

fn read_requests(mut reader: UnixStream, requests: &SyncSender<Request>) -> i32 {
    loop {
        match protocol::read(&mut reader) {
            Ok(request) => {
                if requests.send(request).is_err() {
                    return BROKEN;
                }
            }
            // The node is gone, or no longer wants this worker.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return 0,
            Err(error) => {
                eprintln!("cannot read a request: {error}");
                return BROKEN;
            }
        }
    }
}

fn send(writer: &Writer, response: &Response) -> io::Result<()> {
    protocol::write(&mut *writer.lock().unwrap_or_else(PoisonError::into_inner), response)
}

/// Says what the interpreter does, as long as one call takes or many do, and ends the process when
/// it has grown beyond its limit.
fn watch(progress: &Progress, writer: &Writer, size: &Size) {
    loop {
        std::thread::sleep(Duration::from_millis(limits::HEARTBEAT_MS));
        // Taken under the lock: after an answer no news of its request must follow.
        let mut stream = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((input, elapsed)) = progress.announce() else { continue };
        let call_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if protocol::write(&mut *stream, &Response::Busy { input, call_ms }).is_err() {
            return;
        }
        let (bytes, most) = (size.resident.bytes(), size.most.load(Ordering::Relaxed));
        if bytes > most {
            eprintln!("out of memory: the process has {bytes} bytes of {most}");
            std::process::exit(BROKEN);
        }
    }
}

fn interpret(
    held_to: ScriptLimits,
    queue: Receiver<Request>,
    writer: &Writer,
    progress: &Arc<Progress>,
    size: &Size,
) {
    let mut runtime = JsRuntime::with_progress(held_to, Arc::clone(progress));
    let link =
        Link { queue: Rc::new(queue), writer: Arc::clone(writer), progress: Arc::clone(progress) };
    let queue = Rc::clone(&link.queue);
    loop {
        let request = match queue.recv_timeout(Duration::from_millis(limits::REST_MS)) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => {
                runtime.rest();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Request::Hold(bounds) = request {
            runtime.hold(bounds);
            size.hold(bounds);
            continue;
        }
        let answer = catch_unwind(AssertUnwindSafe(|| answer(&mut runtime, &link, request)));
        let response = match answer {
            Ok(None) => continue,
            Ok(Some(response)) => response,
            Err(panic) => {
                let error = broken(panic.as_ref());
                Response::Broken(ScriptError { input: progress.last_input(), ..error })
            }
        };
        let over = matches!(response, Response::Broken(_));
        let told =
            if !over && runtime.is_large() { send(writer, &Response::Large) } else { Ok(()) };
        if let Err(error) = told.and_then(|()| answer_with(writer, response)) {
            eprintln!("cannot answer: {error}");
            std::process::exit(BROKEN);
        }
        if over {
            // Its memory may be in any state: nothing of it must run again, not even destructors.
            std::process::exit(BROKEN);
        }
    }
}

/// Sends an answer, or that it is too large to be sent.
fn answer_with(writer: &Writer, response: Response) -> io::Result<()> {
    match send(writer, &response) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let message = format!("the results of a batch are too large: {error}");
            let error = ScriptError::new(FailureCause::ResultSize, message);
            send(writer, &Response::Failed(error))
        }
        sent => sent,
    }
}

/// What a call needs to ask the node for values while it runs.
struct Link {
    queue: Rc<Receiver<Request>>,
    writer: Writer,
    progress: Arc<Progress>,
}

impl Link {
    /// What asks for the next values of the group under way.
    fn more(&self) -> More {
        let (queue, writer) = (Rc::clone(&self.queue), Arc::clone(&self.writer));
        let progress = Arc::clone(&self.progress);
        Box::new(move || {
            progress.wait(|| {
                if let Err(error) = send(&writer, &Response::More) {
                    eprintln!("cannot ask for values: {error}");
                    std::process::exit(BROKEN);
                }
                match queue.recv() {
                    Ok(Request::StreamValues(values)) => Some(values).filter(|v| !v.is_empty()),
                    // Nothing else may come in the midst of a call.
                    _ => std::process::exit(BROKEN),
                }
            })
        })
    }
}

fn answer(runtime: &mut JsRuntime, link: &Link, request: Request) -> Option<Response> {
    let response = match request {
        Request::Hello { .. } => Ok(Response::Ready { version: VERSION, sandbox: Vec::new() }),
        Request::Library(library) => runtime.set_library(library).map(Response::Library),
        Request::Map { query, function, context, inputs } => {
            runtime.enter(context);
            let results = runtime.map(query, &function, inputs);
            results.map(|results| mapped(runtime, results))
        }
        Request::Combine { query, function, context, inputs, reduce } => {
            runtime.enter(context);
            match runtime.combine(query, &function, &inputs, &reduce) {
                Ok(combined) => {
                    let effects = runtime.take_effects();
                    Ok(Response::Combined(Combined { effects, ..combined }))
                }
                Err(CombineError::Map(error)) => Err(error),
                Err(CombineError::Reduce(error)) => Ok(Response::ReduceFailed(error)),
            }
        }
        Request::MapPairs { query, function, grouping, context, inputs } => {
            runtime.enter(context);
            match runtime.map_pairs(query, &function, &grouping, &inputs) {
                Ok(pairs) => {
                    let (effects, handled) = (runtime.take_effects(), runtime.take_handled());
                    Ok(Response::Pairs(MappedPairs { effects, handled, ..pairs }))
                }
                Err(CombineError::Map(error)) => Err(error),
                Err(CombineError::Reduce(error)) => Ok(Response::ReduceFailed(error)),
            }
        }
        Request::CombineGroups { query, combiner, context, groups } => {
            runtime.enter(context);
            runtime.combine_groups(query, &combiner, groups).map(|combined| {
                let effects = runtime.take_effects();
                Response::Groups(CombinedGroups { effects, ..combined })
            })
        }
        Request::ReduceGroups { query, function, values, context, groups } => {
            runtime.enter(context);
            let results = runtime.reduce_groups(query, &function, values, groups);
            results.map(|results| mapped(runtime, results))
        }
        Request::StreamOpen { query, function, context, key } => {
            runtime.enter(context);
            runtime.reduce_stream(query, &function, &key, link.more()).map(|results| {
                Response::Reduced(Reduced { results, effects: runtime.take_effects() })
            })
        }
        Request::StreamValues(_) => {
            Err(ScriptError::new(FailureCause::Worker, "no group is under way"))
        }
        Request::ReduceOpen { query, function, context, timing, state } => {
            runtime.enter(context);
            let opened = runtime.reduce_open(query, &function, timing, state);
            opened.map(|()| Response::Done(Effects::default()))
        }
        Request::ReducePush(inputs) => {
            runtime.reduce_push(inputs).map(|()| Response::Done(runtime.take_effects()))
        }
        Request::ReduceSuspend => runtime.reduce_suspend().map(Response::Suspended),
        Request::ReduceSave(most) => runtime.reduce_save(most).map(Response::Saved),
        Request::ReduceFinish => runtime
            .reduce_finish()
            .map(|results| Response::Reduced(Reduced { results, effects: runtime.take_effects() })),
        // These are seen to before.
        Request::Hold(_) => return None,
        Request::Abandon => {
            runtime.abandon();
            return None;
        }
    };
    Some(response.unwrap_or_else(Response::Failed))
}

/// Results with what the calls left beside them.
fn mapped(runtime: &mut JsRuntime, results: Vec<Vec<Row>>) -> Response {
    let (effects, handled) = (runtime.take_effects(), runtime.take_handled());
    Response::Mapped(Mapped { results, effects, handled })
}

/// A panic of the interpreter. Functions bring it about (a comparator that contradicts itself, for
/// one), so it is their failure.
fn broken(panic: &(dyn std::any::Any + Send)) -> ScriptError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    // What a collection says that is asked for more than any memory.
    if text.contains("capacity overflow") {
        return ScriptError::new(FailureCause::Memory, "the function asked for too much memory");
    }
    ScriptError::new(FailureCause::Thrown, format!("the function broke the interpreter: {text}"))
}
