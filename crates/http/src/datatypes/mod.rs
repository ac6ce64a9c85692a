//! Data types: `/types/T/buckets/B/datatypes`, with a key or without (facts R203 to R210).

pub(crate) mod counters;
mod hooks;

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, LOCATION};
use mapring_api::options::ObjectOptions;
use mapring_datatypes::{Datatype, Kind, json, object};
use mapring_types::{BucketProps, Error, ErrorKind, Object, ObjectId, limits as shared};

use crate::app::{App, Request};
use crate::headers::{DELETED, media as media_header};
use crate::listing::ascii;
use crate::multipart::random_name;
use crate::params::Params;
use crate::path::{Style, encode_segment, object_path};
use crate::reply::{Reply, Stop, VARY_ENCODING, media};
use crate::{decision, limits};

/// What a request asks for beside its object.
struct Options {
    object: ObjectOptions,
    include_context: bool,
    return_body: bool,
}

impl Options {
    /// # Errors
    /// 400, in Riak's words.
    fn read(params: &Params) -> Result<Self, Stop> {
        // Of a timeout it has words of its own here.
        let object = ObjectOptions::read(|name| params.get(name).filter(|_| name != "timeout"))?;
        let flag = |name: &str, usual: bool| {
            let given = params.get(name).unwrap_or("default").to_ascii_lowercase();
            match given.as_str() {
                "default" => Ok(usual),
                "true" => Ok(true),
                "false" => Ok(false),
                _ => {
                    let text = format!("{name} query parameter must be true or false\n");
                    Err(Stop::from(Reply::bad_request(text)))
                }
            }
        };
        let include_context = flag("include_context", true)?;
        let return_body = flag("returnbody", false)?;
        let object = ObjectOptions { timeout: timeout(params)?, ..object };
        Ok(Self { object, include_context, return_body })
    }
}

fn timeout(params: &Params) -> Result<Option<Duration>, Stop> {
    let Some(text) = params.get("timeout") else { return Ok(None) };
    match text.parse() {
        Ok(millis) if millis > 0 => {
            Ok(Some(Duration::from_millis(millis).min(shared::MAX_TIMEOUT)))
        }
        _ => {
            let why = format!(
                "timeout query parameter must be an integer greater than 0, {text} is invalid\n"
            );
            Err(Reply::bad_request(why).into())
        }
    }
}

/// The kind of a bucket's data types, and its properties, once the request is known to be for one.
///
/// # Errors
/// 404, 301 and 403, in this order.
fn kind(app: &App, request: &Request) -> Result<(Kind, BucketProps), Stop> {
    let bucket = &request.names.bucket;
    let Some(props) = app.objects.view().props(bucket) else {
        let name = String::from_utf8_lossy(&bucket.bucket_type);
        let text = format!("Unknown bucket type: {name}\n");
        return Err(Reply::text(StatusCode::NOT_FOUND, text).into());
    };
    if bucket.bucket_type == mapring_types::name::DEFAULT_TYPE {
        let (bucket, key) = (encode_segment(&bucket.name), encode_segment(&request.names.key));
        let text = "Counters in the default bucket-type should use the legacy URL\n";
        let reply = Reply::text(StatusCode::MOVED_PERMANENTLY, text);
        return Err(reply.header(LOCATION, format!("/buckets/{bucket}/counters/{key}")).into());
    }
    let forbidden = |text: String| Err(Reply::text(StatusCode::FORBIDDEN, text).into());
    if !props.allow_mult || props.last_write_wins {
        return forbidden("Bucket must be allow_mult=true\n".to_owned());
    }
    match Kind::of(&props) {
        Some(kind) => Ok((kind, props)),
        None => {
            let word = props.datatype().unwrap_or("undefined");
            forbidden(format!("Bucket datatype '{word}' is not a supported type.\n"))
        }
    }
}

fn names(id: &ObjectId) -> Result<(), Stop> {
    let longest = id.key.len().max(id.bucket.name.len());
    if longest > shared::KEY_BYTES {
        let text = format!("a name of {longest} bytes is longer than {}\n", shared::KEY_BYTES);
        return Err(Reply::bad_request(text).into());
    }
    Ok(())
}

async fn document(object: Object, kind: Kind, with_context: bool) -> Result<Reply, Stop> {
    let document = off_reactor(object.body_bytes(), move || {
        // What else lies there is not shown, as in Riak.
        let found = object::find(&object, kind)?.unwrap_or_else(|| Datatype::new(kind));
        Ok::<_, Error>(ascii(&json::document(&found, with_context)))
    });
    Ok(Reply::json(StatusCode::OK, document.await??).vary(VARY_ENCODING))
}

/// Does work that takes as long as there are bytes: aside, if these are many.
///
/// # Errors
/// 500 when the work itself fails, which is a defect.
async fn off_reactor<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stop> {
    if bytes <= limits::PARSE_INLINE_BYTES {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("cannot work on a data type").with_source(error).into())
}

fn not_found(kind: Kind) -> Reply {
    let document = format!("{{\"type\":\"{}\",\"error\":\"notfound\"}}", kind.word());
    Reply::json(StatusCode::NOT_FOUND, document).vary(VARY_ENCODING)
}

/// `GET …/datatypes/K`.
pub(crate) async fn get(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = request.object();
    names(&id)?;
    let Options { object: options, include_context, .. } = Options::read(&request.params)?;
    request.check_origin(app)?;
    let (kind, props) = kind(app, request)?;
    decision::representation(&request.headers, &[media::JSON])?;
    options.check_read(props.n_val)?;
    let pending = app.stats.begin_get().of(kind);
    let found = app.objects.get(&id, &options.reading()).await;
    pending.got(&found);
    match found? {
        None => Ok(not_found(kind)),
        Some(object) if object.is_tombstone() => Ok(not_found(kind).header(DELETED, "true")),
        Some(object) => document(object, kind, include_context).await,
    }
}

/// `GET …/datatypes`: there is nothing without a key.
pub(crate) async fn no_key(app: &App, request: &Request) -> Result<Reply, Stop> {
    Options::read(&request.params)?;
    request.check_origin(app)?;
    let (kind, _) = kind(app, request)?;
    decision::representation(&request.headers, &[media::JSON])?;
    Ok(not_found(kind))
}

/// `POST …/datatypes/K`.
pub(crate) async fn update(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let id = request.object();
    write(app, request, &id).await
}

/// `POST …/datatypes`: under a key that is made for it.
pub(crate) async fn create(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let key = random_name(app.node.entropy.as_ref());
    let id = ObjectId::new(request.names.bucket.clone(), key);
    let reply = write(app, request, &id).await?;
    // Riak names the object, not the data type. Clients take the last segment.
    let location = object_path(&id, Style::Typed);
    Ok(reply.with_status(StatusCode::CREATED).header(LOCATION, location))
}

async fn write(app: &App, request: &mut Request, id: &ObjectId) -> Result<Reply, Stop> {
    names(id)?;
    let given = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_header::bare(given.unwrap_or_default()).eq_ignore_ascii_case(media::JSON) {
        return Err(Reply::page(StatusCode::NOT_ACCEPTABLE).into());
    }
    let options = Options::read(&request.params)?;
    request.check_origin(app)?;
    let (kind, props) = kind(app, request)?;
    decision::representation(&request.headers, &[media::JSON])?;
    options.object.check_write(props.n_val)?;
    let held = request.read(app).await?;
    let (body, _share) = held.into_parts();
    let (precision, sent) = (props.hll_precision(), body.clone());
    let read = off_reactor(body.len(), move || json::update(kind, precision, &body)).await?;
    let update = read.map_err(|error| Reply::bad_request(error.to_string()))?;
    let pending = app.stats.begin_put().of(kind);
    hooks::before(app, &props, (id, kind), sent).await?;
    let written = app.objects.update(id, &update, &options.object.writing(None)).await;
    pending.put(&written);
    let object = written.map_err(refused)?;
    hooks::after(app, &props, id, &object).await;
    if options.return_body {
        return document(object, kind, options.include_context).await;
    }
    let reply = Reply::empty(StatusCode::NO_CONTENT);
    Ok(reply.header(CONTENT_TYPE, media::JSON).vary(VARY_ENCODING))
}

/// The answer where an update was not made. Riak fails on a removal of what is not there (fact R208).
fn refused(error: Error) -> Stop {
    if error.kind() != ErrorKind::Precondition {
        return error.into();
    }
    let text = format!("Error:\n{}\n", error.message());
    Reply::text(StatusCode::INTERNAL_SERVER_ERROR, text).into()
}
