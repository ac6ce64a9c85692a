//! How commands end.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

/// The command could not be done.
const FAILED: u8 = 1;

/// The command was asked wrongly: clap's status, too.
const USAGE: u8 = 2;

impl Failure {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { status: FAILED, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { status: USAGE, message: message.into() }
    }

    /// Ends with a status that has a meaning of its own.
    pub(crate) fn with_status(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Ends with that status and says nothing more.
    pub(crate) fn silent(status: u8) -> Self {
        Self { status, message: String::new() }
    }

    /// Puts words before the message.
    pub(crate) fn context(mut self, context: impl std::fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Says it on standard error and gives the exit status.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            // There is nobody left to tell when this fails.
            let _ = writeln!(io::stderr().lock(), "mapring: {}", self.message);
        }
        ExitCode::from(self.status)
    }
}

impl From<mapring_client::Error> for Failure {
    fn from(error: mapring_client::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<mapring_types::Error> for Failure {
    fn from(error: mapring_types::Error) -> Self {
        Self::failed(error.to_string())
    }
}

/// Writes to standard output. When its reader has gone (`| head`), the command ends silently.
pub(crate) fn print(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure { status: FAILED, message: String::new() },
        _ => Failure::failed(format!("cannot write to standard output: {error}")),
    })
}

/// Asks a question on the terminal, and returns whether it is answered by yes. Without a terminal
/// nobody is there to ask: an error that names the flag to be given instead.
pub(crate) fn confirm(question: &str, flag: &str) -> Outcome<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!("{question} There is no terminal to ask: give {flag}")));
    }
    let mut terminal = io::stderr().lock();
    let mut answer = String::new();
    write!(terminal, "{question} [y/N] ")
        .and_then(|()| terminal.flush())
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::failed(format!("cannot ask on the terminal: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Writes to standard output what a node said in JSON.
pub(crate) fn print_json(json: &[u8]) -> Outcome {
    print(&[json, b"\n"].concat())
}

/// Writes a line to standard output.
pub(crate) fn print_line(line: &str) -> Outcome {
    print(format!("{line}\n").as_bytes())
}
