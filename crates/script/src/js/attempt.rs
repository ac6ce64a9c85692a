//! What the jail of a worker forbids, as a function of JavaScript: `__attempt(what, argument)` tries it and
//! says what came of it.
//!
//! It exists only with the feature `attempts`, which nothing but tests of the jail turns on. In a process
//! without a jail most of this works.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use boa_engine::{Context, JsArgs, JsResult, JsString, JsValue, NativeFunction, js_string};
use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace;
use nix::unistd::Pid as RawPid;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal};
use rustix::process::{getppid, kill_process, pidfd_open, prlimit};

/// A program that is on every system.
const PROGRAM: &str = "/bin/true";

/// Defines the function.
pub(super) fn install(context: &mut Context) -> JsResult<()> {
    let function = NativeFunction::from_fn_ptr(attempt);
    context.register_global_builtin_callable(js_string!("__attempt"), 2, function)
}

fn attempt(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let mut text = |at: usize| -> JsResult<String> {
        Ok(arguments.get_or_undefined(at).to_string(context)?.to_std_string_lossy())
    };
    let (what, argument) = (text(0)?, text(1)?);
    let outcome = match outcome(&what, &argument) {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("refused: {error}"),
    };
    Ok(JsString::from(outcome.as_str()).into())
}

fn outcome(what: &str, argument: &str) -> io::Result<()> {
    match what {
        "open" => File::open(argument).map(drop),
        "create" => File::create(argument).map(drop),
        "remove" => fs::remove_file(argument),
        "list" => fs::read_dir(argument).map(drop),
        "tcp" => TcpStream::connect(argument).map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "udp" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "unix" => UnixStream::connect(argument).map(drop),
        "abstract" => {
            let address = SocketAddr::from_abstract_name(argument)?;
            UnixListener::bind_addr(&address).map(drop)
        }
        "datagram" => UnixDatagram::unbound().map(drop),
        // Nodes do nothing at this one.
        "signal" => Ok(kill_process(parent()?, Signal::USR1)?),
        "pidfd" => Ok(pidfd_open(parent()?, PidfdFlags::empty()).map(drop)?),
        "limit" => {
            let none = Rlimit { current: Some(0), maximum: Some(0) };
            Ok(prlimit(Some(parent()?), Resource::Core, none).map(drop)?)
        }
        "ptrace" => {
            let parent = RawPid::from_raw(parent()?.as_raw_nonzero().get());
            Ok(ptrace::seize(parent, ptrace::Options::empty())?)
        }
        "execute" => Err(Command::new(PROGRAM).exec()),
        "start" => Command::new(PROGRAM).spawn()?.wait().map(drop),
        "namespace" => Ok(unshare(CloneFlags::CLONE_NEWUSER)?),
        "root" => Ok(rustix::process::chroot(argument)?),
        "thread" => {
            let thread = std::thread::Builder::new().spawn(|| ())?;
            thread.join().map_err(|_| io::Error::other("the thread panicked"))
        }
        // It tells whether there are any, by failing where there are none.
        "environment" => {
            let allowed = ["MIMALLOC_ARENA_RESERVE"];
            let names = std::env::vars_os().map(|(name, _)| name);
            let others = names.filter(|name| !allowed.iter().any(|allowed| name == allowed));
            match others.count() {
                0 => Err(io::Error::other("there is none")),
                _ => Ok(()),
            }
        }
        _ => Err(io::Error::other("nobody knows what that is")),
    }
}

fn parent() -> io::Result<Pid> {
    getppid().ok_or_else(|| io::Error::other("there is no parent"))
}
