//! What rows of mapring's own read besides: ages, people, files and archives.
//!
//! | bucket | what is in it |
//! |---|---|
//! | `myInput` | four people with their ages, as RapMedusa's example has them |
//! | `people` | `p1` … `p4`: JSON objects with a name, an age, a city and a time; `p5`: no JSON |
//! | `files` | `q`, `abc`: lines; `abc.gz`; `ten.zip`, `three.zip`, `docs.zip`: archives |
//! | `nd` | `r`: a record a line |
//! | `topics`, `videos` | kinds of objects |
//! | `tenants` | one object in the bucket type `tenant1`, two in `tenant2` |

use std::path::Path;
use std::process::{Command, Stdio};

use crate::fixtures::put;
use crate::wire::Request;

/// Bucket types with a bucket `tenants`.
pub(crate) const TYPES: [&str; 2] = ["tenant1", "tenant2"];

/// What the names of archives end with, as a row has them.
pub(crate) const ZIPPED: &str = ".zip\"";
pub(crate) const GZIPPED: &str = ".gz\"";

const ABC: &str = "a\nbb\n\nccc\ndddd";

/// Path below `/`, content type, value.
const OBJECTS: [(&str, &str, &str); 19] = [
    ("buckets/myInput/keys/1", "application/json", r#"{"name":"Chad","age":43}"#),
    ("buckets/myInput/keys/2", "application/json", r#"{"name":"Ron","age":21}"#),
    ("buckets/myInput/keys/3", "application/json", r#"{"name":"George","age":54}"#),
    ("buckets/myInput/keys/4", "application/json", r#"{"name":"Alice","age":54}"#),
    (
        "buckets/people/keys/p1",
        "application/json",
        r#"{"name":"Ann","age":30,"city":"Oslo","active":true,"joined":"2024-01-05T00:00:00Z"}"#,
    ),
    (
        "buckets/people/keys/p2",
        "application/json",
        r#"{"name":"Bob","age":21,"city":"Rome","active":false,"joined":"2024-02-10T12:00:00Z"}"#,
    ),
    (
        "buckets/people/keys/p3",
        "application/json",
        r#"{"name":"Cid","age":30,"city":"Rome","active":true,"joined":"2024-03-15T00:00:00Z","address":{"zip":"0150"}}"#,
    ),
    (
        "buckets/people/keys/p4",
        "application/json",
        r#"{"name":"Dee","age":45,"city":"Oslo","active":false,"joined":"2024-03-15T08:30:00Z"}"#,
    ),
    ("buckets/people/keys/p5", "text/plain", "not json"),
    ("buckets/files/keys/q", "text/plain", "20-questions\r\n20q\r\na\r\n"),
    ("buckets/files/keys/abc", "text/plain", ABC),
    ("buckets/nd/keys/r", "application/x-ndjson", "[\"a\",1]\n[\"b\",2]\n[\"a\",3]\n"),
    ("buckets/topics/keys/t1", "text/plain", "one"),
    ("buckets/topics/keys/t2", "text/plain", "two"),
    ("buckets/videos/keys/v1", "text/plain", "three"),
    ("buckets/in2/keys/1", "text/plain", "x"),
    ("types/tenant1/buckets/tenants/keys/a", "text/plain", "1"),
    ("types/tenant2/buckets/tenants/keys/a", "text/plain", "2"),
    ("types/tenant2/buckets/tenants/keys/b", "text/plain", "3"),
];

/// Everything but the archives.
pub(crate) fn writes() -> Vec<Request> {
    let one = |&(path, content_type, value): &(&str, &str, &str)| {
        put(&format!("/{path}"), content_type, value.as_bytes())
    };
    OBJECTS.iter().map(one).collect()
}

/// The archives, made by programs that are not ours.
///
/// # Errors
/// Why they could not be made.
pub(crate) fn archives() -> Result<Vec<Request>, String> {
    let stars = (0..10).map(|number| format!("{number}: {}", "*".repeat(number)));
    let line = |file: usize, line: usize| format!("archive 0 file {file} line {line}");
    let lines = (0..3).map(|file| (0..=file).map(|at| line(file, at)).collect::<Vec<_>>());
    let numbered = |texts: Vec<String>| -> Vec<(String, String)> {
        texts.into_iter().enumerate().map(|(at, text)| (format!("{at}.txt"), text)).collect()
    };
    let docs = [("one.txt", "The cat sat. The cat ran!"), ("two.txt", "A dog sat")];
    let docs = docs.map(|(name, text)| (name.to_owned(), text.to_owned()));
    Ok(vec![
        put("/buckets/files/keys/abc.gz", "application/gzip", &gzip(ABC)?),
        archive("ten.zip", &numbered(stars.collect()), "-0")?,
        archive("three.zip", &numbered(lines.map(|lines| lines.join("\n")).collect()), "-0")?,
        archive("docs.zip", &docs, "-9")?,
    ])
}

fn archive(key: &str, members: &[(String, String)], level: &str) -> Result<Request, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    for (name, text) in members {
        std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
    }
    let mut zip = Command::new("zip");
    zip.args(["-q", "-X", level, "made.zip"]).args(members.iter().map(|(name, _)| name));
    run(&mut zip, folder.path())?;
    let bytes = std::fs::read(folder.path().join("made.zip")).map_err(|error| error.to_string())?;
    Ok(put(&format!("/buckets/files/keys/{key}"), "application/zip", &bytes))
}

fn gzip(text: &str) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    std::fs::write(folder.path().join("text"), text).map_err(|error| error.to_string())?;
    run(Command::new("gzip").args(["-n", "-c", "text"]), folder.path())
}

/// What a program prints.
fn run(command: &mut Command, folder: &Path) -> Result<Vec<u8>, String> {
    let name = command.get_program().display().to_string();
    let output = command.current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name} cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{name}: {said}")) }
}
