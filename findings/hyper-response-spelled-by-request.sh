#!/usr/bin/env bash
# hyper: once a server has moved a request's extensions into its answer, the client decides how names of
# the answer's headers are spelled, also of those that hyper writes itself. A header of which the
# request had fewer values is spelled in two ways within one answer. And the option for it,
# preserve_header_case, rules only reading: its text says that with it hyper "will also look for" a
# spelling that an answer carries, but hyper does so without the option, too.
#
# A small program serves one request at a time in memory and prints the names of each answer's headers.
# Needs cargo (1.85 or later) and access to the crates. Takes half a minute.
#
# Ends with 0 while hyper behaves so, and with another status when that changes.
set -euo pipefail

HYPER=1.12.0

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<END
[package]
name = "spelling"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
http-body-util = "=0.1.5"
hyper = { version = "=$HYPER", features = ["http1", "server"] }
hyper-util = { version = "=0.1.21", default-features = false, features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["rt", "io-util"] }

[profile.dev]
debug = false

[workspace]
END

cat >"$folder/src/main.rs" <<'END'
//! Prints how the names of an answer's headers are spelled, by options and by what the answer carries.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::ready;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::http::Extensions;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const MIXED: &str = "X-User-ID: 1\r\ndATE: Tue, 15 Nov 1994 08:12:31 GMT\r\nConTent-Length: 0\r\n";
const LOW: &str = "x-user-id: 1\r\n";

enum Carried {
    Nothing,
    TheRequests,
    These(Extensions),
}

/// Prints what comes of a request with these headers; gives its extensions.
async fn serve(title: &str, (keep, words): (bool, bool), headers: &str, carried: Carried) -> Extensions {
    let (near, mut far) = duplex(4096);
    let request = format!("GET / HTTP/1.1\r\nhost: here\r\n{headers}\r\n");
    far.write_all(request.as_bytes()).await.expect("there is room");
    let found = Cell::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let own = request.into_parts().0.extensions;
        let mut response = Response::new(Full::new(Bytes::from("hello")));
        for (name, value) in [("x-user-id", "7"), ("x-user-id", "8"), ("x-other-name", "9")] {
            response.headers_mut().append(name, value.parse().expect("a value"));
        }
        match &carried {
            Carried::Nothing => {}
            Carried::TheRequests => response.extensions_mut().extend(own.clone()),
            Carried::These(others) => response.extensions_mut().extend(others.clone()),
        }
        found.set(Some(own));
        ready(Ok::<_, Infallible>(response))
    });
    http1::Builder::new()
        .keep_alive(false)
        .preserve_header_case(keep)
        .title_case_headers(words)
        .serve_connection(TokioIo::new(near), service)
        .await
        .expect("it is answered");
    let mut answer = String::new();
    far.read_to_string(&mut answer).await.expect("text");
    let head = answer.lines().skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = head.filter_map(|line| Some(line.split_once(':')?.0)).collect();
    println!("{title}\n  {}", names.join(" "));
    found.take().expect("there was a request")
}

async fn all() {
    let (on, off, both) = ((true, false), (false, false), (true, true));
    let mixed = serve("on, nothing carried over", on, MIXED, Carried::Nothing).await;
    serve("on, extensions carried over", on, MIXED, Carried::TheRequests).await;
    serve("on, carried over, request in lower case", on, LOW, Carried::TheRequests).await;
    serve("on and title case, carried over", both, MIXED, Carried::TheRequests).await;
    serve("off, carried over", off, MIXED, Carried::TheRequests).await;
    serve("off, those of another request carried over", off, LOW, Carried::These(mixed)).await;
}

fn main() {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(all());
}
END

found=$(cd "$folder" && cargo run --quiet)

# Seen with hyper 1.12.0.
expected='on, nothing carried over
  x-user-id x-user-id x-other-name connection content-length date
on, extensions carried over
  X-User-ID x-user-id x-other-name connection ConTent-Length dATE
on, carried over, request in lower case
  x-user-id x-user-id x-other-name connection content-length date
on and title case, carried over
  X-User-ID X-User-Id X-Other-Name Connection ConTent-Length dATE
off, carried over
  x-user-id x-user-id x-other-name connection content-length date
off, those of another request carried over
  X-User-ID x-user-id x-other-name connection ConTent-Length dATE'

# Why: with the option on, each request carries a private map in its extensions, from each name to the
# spellings in the order they came. What writes an answer takes the map if there is one, and asks for
# no option. Each value of a header uses up one spelling; what is left is written as without a map.
#
# Why it matters: moving the extensions over is a common way to tell an outer layer who the user is, or
# which route it was. With the option on, it makes each client see its own spelling come back, and who
# compares heads byte by byte finds that they differ. On the other hand there is no public way to make
# the map, but as it is used wherever it is found, a server can spell names as it likes if it has
# hyper read them once. mapring does that, in memory, for the names that Riak spells `ETag` and
# `x-riak-index-f_bin`; its connections to clients have the option off.
printf '%s\n' "hyper $HYPER:" "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
