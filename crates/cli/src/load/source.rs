//! Files, taken apart into objects.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use mapring_client::NewObject;
use mapring_types::limits;
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use crate::failure::{Failure, Outcome};
use crate::object::content_type;

/// How files are taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object a line.
    Lines,
    /// A JSON document a line, its key from a field where one is named.
    Records {
        /// The field.
        key: Option<String>,
    },
    /// An object a file.
    Files,
}

/// A file that could be opened.
pub(super) struct Source {
    name: String,
    file: File,
    /// Its size when it was opened.
    pub(super) bytes: u64,
}

/// An object to be stored.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it stands: `file:line`, or the file.
    pub(super) place: String,
    pub(super) key: String,
    pub(super) object: NewObject,
    /// Bytes of the file since the item before.
    pub(super) read_bytes: u64,
}

/// Opens all files, so that a wrong name is told before anything is stored.
pub(super) fn open(files: &[PathBuf]) -> Outcome<Vec<Source>> {
    files.iter().map(|path| open_one(path)).collect()
}

fn open_one(path: &Path) -> Outcome<Source> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| Failure::failed(format!("cannot read {name}: {error}"));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::failed(format!("{name} is a directory")));
    }
    Ok(Source { name: name.clone(), file, bytes: metadata.len() })
}

/// Sends every object of the files, up to the first error or until nobody takes them.
pub(super) fn read(files: Vec<Source>, shape: &Shape, sender: &Sender<Outcome<Item>>) {
    for source in files {
        let mut send = |item| sender.blocking_send(item).is_ok();
        let more = match shape {
            Shape::Files => send(whole(source)),
            _ => lines(&source.name, BufReader::new(source.file), shape, &mut send),
        };
        if !more {
            return;
        }
    }
}

fn whole(source: Source) -> Outcome<Item> {
    let Source { name, file, bytes } = source;
    let mut body = Vec::new();
    file.take(limits::OBJECT_BYTES as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|error| Failure::failed(format!("cannot read {name}: {error}")))?;
    check_size(&name, body.len())?;
    let content_type = content_type(Path::new(&name)).to_owned();
    let object = NewObject { body: body.into(), content_type, ..NewObject::default() };
    Ok(Item { place: name.clone(), key: name, object, read_bytes: bytes })
}

/// Gives every object of a file to `send`; false when it refused or the file failed.
fn lines(
    name: &str,
    mut file: impl BufRead,
    shape: &Shape,
    send: &mut impl FnMut(Outcome<Item>) -> bool,
) -> bool {
    let mut read_bytes = 0;
    for number in 1_u64.. {
        let place = format!("{name}:{number}");
        let mut line = Vec::new();
        // One byte more than fits, besides the line's end, shows that it does not fit.
        let most = limits::OBJECT_BYTES as u64 + 3;
        match file.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) => return true,
            Ok(length) => read_bytes += length as u64,
            Err(error) => {
                send(Err(Failure::failed(format!("cannot read {place}: {error}"))));
                return false;
            }
        }
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let numbered = format!("{name}:{number:08}");
        let item = object(&place, numbered, line, shape).map(|(key, object)| Item {
            place,
            key,
            object,
            read_bytes,
        });
        read_bytes = 0;
        let good = item.is_ok();
        if !send(item) || !good {
            return false;
        }
    }
    true
}

/// The key and the object of a line.
fn object(
    place: &str,
    numbered: String,
    line: Vec<u8>,
    shape: &Shape,
) -> Outcome<(String, NewObject)> {
    check_size(place, line.len())?;
    let (key, content_type) = match shape {
        Shape::Records { key } => {
            let document: Value = serde_json::from_slice(&line)
                .map_err(|error| Failure::failed(format!("{place}: not JSON: {error}")))?;
            let key = match key {
                Some(field) => field_key(place, &document, field)?,
                None => numbered,
            };
            (key, "application/json")
        }
        _ if std::str::from_utf8(&line).is_ok() => (numbered, "text/plain; charset=utf-8"),
        _ => (numbered, "text/plain"),
    };
    let content_type = content_type.to_owned();
    Ok((key, NewObject { body: line.into(), content_type, ..NewObject::default() }))
}

fn field_key(place: &str, document: &Value, field: &str) -> Outcome<String> {
    match document.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(Failure::failed(format!("{place}: {field:?} cannot be a key"))),
        None => Err(Failure::failed(format!("{place}: there is no field {field:?}"))),
    }
}

fn check_size(place: &str, bytes: usize) -> Outcome {
    let most = limits::OBJECT_BYTES;
    if bytes <= most {
        return Ok(());
    }
    Err(Failure::failed(format!("{place}: larger than {most} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shape: &Shape, expect: &[(&str, &str)]) {
        let mut found = Vec::new();
        lines("f", text.as_bytes(), shape, &mut |item| {
            found.push(match item {
                Ok(item) => (item.key, String::from_utf8(item.object.body.to_vec()).unwrap()),
                Err(failure) => ("error".to_owned(), format!("{failure:?}")),
            });
            true
        });
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for ((key, body), (expect_key, expect_body)) in found.iter().zip(expect) {
            assert_eq!(key, expect_key);
            assert!(body.contains(expect_body), "{body}");
        }
    }

    #[test]
    fn lines_become_objects() {
        check(
            "one\n\n  \ntwo\r\nthree",
            &Shape::Lines,
            &[("f:00000001", "one"), ("f:00000004", "two"), ("f:00000005", "three")],
        );
        check("", &Shape::Lines, &[]);
    }

    #[test]
    fn records_have_keys() {
        let text = "{\"id\":\"a\"}\n{\"id\":7}\n";
        check(
            text,
            &Shape::Records { key: None },
            &[("f:00000001", "{\"id\":\"a\"}"), ("f:00000002", "{\"id\":7}")],
        );
        let by = |field: &str| Shape::Records { key: Some(field.to_owned()) };
        check(text, &by("id"), &[("a", "a"), ("7", "7")]);
        check(text, &by("no"), &[("error", "f:1: there is no field")]);
        check(
            "{}\nx\n{}",
            &Shape::Records { key: None },
            &[("f:00000001", ""), ("error", "f:2: not JSON")],
        );
    }
}
