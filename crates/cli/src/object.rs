//! `mapring get`, `put` and `del`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use mapring_client::{Error, NewObject, Place, Stored};
use mapring_types::limits;

use crate::Target;
use crate::failure::{Failure, Outcome, print};

/// Which object is meant.
#[derive(Args)]
struct Name {
    /// The bucket
    bucket: String,

    /// The key
    key: String,

    /// The bucket type
    #[arg(long = "type", value_name = "TYPE")]
    bucket_type: Option<String>,
}

impl Name {
    fn place(&self) -> Place {
        Place { bucket_type: self.bucket_type.clone(), ..Place::new(&self.bucket, &self.key) }
    }
}

#[derive(Args)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    name: Name,

    /// Print what the object carries beside its bytes, too
    #[arg(long, short = 'i')]
    include: bool,

    /// Print this sibling
    #[arg(long, value_name = "TAG")]
    vtag: Option<String>,

    #[command(flatten)]
    target: Target,
}

/// Content type by the file's ending if it is not given; application/octet-stream for others.
#[derive(Args)]
pub(crate) struct PutArguments {
    #[command(flatten)]
    name: Name,

    /// The file to store; - is standard input
    #[arg(default_value = "-")]
    file: PathBuf,

    /// The text to store, instead of a file
    #[arg(long, short, conflicts_with = "file", value_name = "TEXT")]
    data: Option<String>,

    /// What the bytes are
    #[arg(long, short = 't', value_name = "TYPE")]
    content_type: Option<String>,

    /// The clock of what you have read: replaces that and no more
    #[arg(long, value_name = "CLOCK")]
    vclock: Option<String>,

    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct DelArguments {
    #[command(flatten)]
    name: Name,

    #[command(flatten)]
    target: Target,
}

pub(crate) async fn get(arguments: &GetArguments) -> Outcome {
    let client = arguments.target.client()?;
    let place = arguments.name.place();
    let stored = match &arguments.vtag {
        None => client.get(&place).await,
        Some(tag) => client.get_sibling(&place, tag).await,
    };
    let stored = stored.map_err(|error| told(&arguments.name, error))?;
    if arguments.include {
        print(head(&stored).as_bytes())?;
    }
    print(&stored.body)
}

fn head(stored: &Stored) -> String {
    let mut text = format!("content-type: {}\n", stored.content_type);
    let known = [
        ("etag", &stored.etag),
        ("last-modified", &stored.last_modified),
        ("vclock", &stored.vclock),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    for (name, value) in &stored.metadata {
        text.push_str(&format!("meta {name}: {value}\n"));
    }
    text + "\n"
}

pub(crate) async fn put(arguments: &PutArguments) -> Outcome {
    let client = arguments.target.client()?;
    let body = match &arguments.data {
        Some(text) => text.clone().into_bytes(),
        None => read(&arguments.file)?,
    };
    let given = arguments.content_type.clone();
    let content_type = given.unwrap_or_else(|| match arguments.data {
        Some(_) => "text/plain; charset=utf-8".to_owned(),
        None => content_type(&arguments.file).to_owned(),
    });
    let vclock = arguments.vclock.clone();
    let object = NewObject { body: body.into(), content_type, vclock, ..NewObject::default() };
    let done = client.put(&arguments.name.place(), object).await;
    done.map_err(|error| told(&arguments.name, error))
}

pub(crate) async fn del(arguments: &DelArguments) -> Outcome {
    let done = arguments.target.client()?.delete(&arguments.name.place()).await;
    done.map_err(|error| told(&arguments.name, error))
}

fn told(name: &Name, error: Error) -> Failure {
    let hint = match error {
        Error::Siblings { .. } => " (print one with --vtag TAG)",
        _ => "",
    };
    Failure::failed(format!("{}/{}: {error}{hint}", name.bucket, name.key))
}

/// Reads a file or standard input, up to the largest object.
fn read(file: &Path) -> Outcome<Vec<u8>> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("cannot read {}: {error}", file.display()));
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let mut body = Vec::new();
    source.take(limits::OBJECT_BYTES as u64 + 1).read_to_end(&mut body).map_err(failed)?;
    if body.len() > limits::OBJECT_BYTES {
        let most = limits::OBJECT_BYTES;
        return Err(Failure::failed(format!("{} is larger than {most} bytes", file.display())));
    }
    Ok(body)
}

/// What a file's ending says of its contents.
pub(crate) fn content_type(file: &Path) -> &'static str {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "txt" | "text" | "log" | "md" | "rs" | "toml" | "sh" | "py" | "c" | "h" | "yml"
        | "yaml" | "xml" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "js" => "application/javascript",
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "pdf" => "application/pdf",
        "gz" => "application/gzip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_name_content_types() {
        assert_eq!(content_type(Path::new("a/b.JSON")), "application/json");
        assert_eq!(content_type(Path::new("Makefile")), "application/octet-stream");
    }
}
