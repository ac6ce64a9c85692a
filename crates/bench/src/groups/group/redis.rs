//! Redis with a function in Lua over the same texts, which lie in its memory.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::outcome::Outcome;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Commands that are sent before their answers are read.
const AT_ONCE: u64 = 1_000;

/// Counts the words of so many texts, and how many there are in all.
const COUNT: &str = r"
local counts, total = {}, 0
for number = 0, tonumber(ARGV[1]) - 1 do
  for word in string.gmatch(string.lower(redis.call('GET', 'text' .. number)), '[%w_]+') do
    counts[word] = (counts[word] or 0) + 1
  end
end
redis.call('DEL', 'counts')
for word, count in pairs(counts) do
  redis.call('HSET', 'counts', word, count)
  total = total + count
end
return total
";

/// A server that ends with this.
pub(super) struct Redis {
    _child: Child,
    _folder: TempDir,
    stream: BufReader<UnixStream>,
}

impl Redis {
    /// Starts a server of its own, which stores nothing on the disk.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(super) async fn start() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("socket");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("redis-server cannot be run: {error}"))?;
        let began = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket).await {
                Ok(stream) => break stream,
                Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        };
        Ok(Self { _child: child, _folder: folder, stream: BufReader::new(stream) })
    }

    /// Stores a text for each number.
    pub(super) async fn store(&mut self, count: u64, text: impl Fn(u64) -> String) -> Outcome {
        for first in (0..count).step_by(usize::try_from(AT_ONCE)?) {
            let last = count.min(first + AT_ONCE);
            let mut commands = String::new();
            for number in first..last {
                commands += &command(&["SET", &format!("text{number}"), &text(number)]);
            }
            self.stream.write_all(commands.as_bytes()).await?;
            for _ in first..last {
                self.answer().await?;
            }
        }
        Ok(())
    }

    /// The seconds that it takes, and the words.
    pub(super) async fn count_words(&mut self, texts: u64) -> Outcome<(f64, u64)> {
        let began = Instant::now();
        let count = command(&["EVAL", COUNT, "0", &texts.to_string()]);
        self.stream.write_all(count.as_bytes()).await?;
        let words = self.answer().await?;
        Ok((began.elapsed().as_secs_f64(), words.trim_start_matches(':').parse()?))
    }

    /// The first line of an answer, which has no other here.
    async fn answer(&mut self) -> Outcome<String> {
        let mut line = String::new();
        // No answer that is wanted is longer than a number.
        (&mut self.stream).take(1 << 16).read_line(&mut line).await?;
        match line.trim_end().strip_prefix('-') {
            Some(error) => Err(error.to_owned().into()),
            None if line.is_empty() => Err("it closed the connection".into()),
            None => Ok(line.trim_end().to_owned()),
        }
    }
}

/// A command in its protocol.
fn command(words: &[&str]) -> String {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words.collect::<String>())
}
