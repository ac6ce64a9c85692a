//! PySpark over the same data in files: what a user who has no store with functions would pick.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::machine;
use crate::outcome::Outcome;

const PACKAGE: &str = "pyspark==4.*";

const SCRIPT: &str = include_str!("spark.py");

/// For the installation, which loads 400 MB, …
const INSTALLATION: Duration = Duration::from_secs(600);

/// … and for a start or a task.
const PATIENCE: Duration = Duration::from_secs(300);

/// Its process, which ends with this.
pub(super) struct Spark {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

/// What it is to do with the lines of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    Words,
    /// Adds up `n` by this field.
    Sum(&'static str),
}

/// What it did.
#[derive(Debug, Deserialize)]
pub(super) struct Did {
    pub(super) seconds: f64,
    pub(super) keys: u64,
    pub(super) sum: u64,
}

impl Spark {
    /// Starts it with as many threads as there are cores, and has it do something small.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(super) async fn start() -> Outcome<Self> {
        let python = installed().await?;
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("spark.py");
        std::fs::write(&script, SCRIPT)?;
        let mut child = Command::new(python)
            .arg(&script)
            .arg(machine::cores().to_string())
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().ok_or("it has no input")?;
        let output = child.stdout.take().ok_or("it has no output")?;
        let output = BufReader::new(output).lines();
        let mut spark = Self { _child: child, input, output, folder };
        spark.line().await?;
        Ok(spark)
    }

    /// A file with a line for each number.
    pub(super) fn file(
        &self,
        name: &str,
        lines: u64,
        line: impl Fn(u64) -> String,
    ) -> Outcome<PathBuf> {
        use std::io::Write as _;
        let path = self.folder.path().join(name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        for number in 0..lines {
            writeln!(file, "{}", line(number))?;
        }
        file.flush()?;
        Ok(path)
    }

    pub(super) async fn run(&mut self, file: &std::path::Path, task: Task) -> Outcome<Did> {
        let field = match task {
            Task::Words => None,
            Task::Sum(field) => Some(field),
        };
        let task = json!({"file": file.to_string_lossy(), "field": field});
        self.input.write_all(format!("{task}\n").as_bytes()).await?;
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    async fn line(&mut self) -> Outcome<String> {
        match timeout(PATIENCE, self.output.next_line()).await?? {
            Some(line) => Ok(line),
            None => {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                let log = log.unwrap_or_default();
                let last = log.lines().rev().find(|line| !line.trim().is_empty());
                Err(last.unwrap_or("it ended").to_owned().into())
            }
        }
    }
}

/// The Python that has it. What is installed once is kept in the user's cache.
async fn installed() -> Outcome<PathBuf> {
    let mut java = Command::new("java");
    run(java.arg("-version"), PATIENCE).await.map_err(|error| format!("no Java: {error}"))?;
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => return Err("there is no cache to install it in: HOME is not set".into()),
    };
    let folder = cache.join("mapring-bench").join("pyspark-4");
    let python = folder.join("bin").join("python");
    let imports = ["-c", "import pyspark"];
    if run(Command::new(&python).args(imports), PATIENCE).await.is_ok() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder), PATIENCE).await?;
    let pip = ["-m", "pip", "install", "--quiet", PACKAGE];
    run(Command::new(&python).args(pip), INSTALLATION).await?;
    run(Command::new(&python).args(imports), PATIENCE).await?;
    Ok(python)
}

async fn run(command: &mut Command, patience: Duration) -> Outcome {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(patience, command.output()).await??;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.lines().last().unwrap_or("it failed").to_owned().into())
}
