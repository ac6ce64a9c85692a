//! Writing an object.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use mapring_kv::{NewValue, ObjectPart, PutOptions};
use mapring_types::{
    BucketId, Error, ErrorKind, Metadata, Object, ObjectId, VersionVector, limits,
};

use super::{check_bucket, get, represent};
use crate::body;
use crate::decision::{self, Present};
use crate::headers::{self, IF_NOT_MODIFIED, VCLOCK, indexes, links, media as media_header};
use crate::negotiate;
use crate::params::ObjectParams;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};
use crate::route::Style;
use crate::server::{App, Request};

pub(super) async fn put(
    app: &App,
    request: &mut Request,
    id: &ObjectId,
    style: Style,
) -> Result<Reply, Stop> {
    let Some(content_type) = content_type(&request.headers) else {
        return Err(Reply::bad_request("Missing Content-Type request header").into());
    };
    let params = request.params.object()?;
    let metadata = metadata(&request.headers, &id.bucket, style)?;
    let context = context(&request.headers)?;
    decision::same_origin(&request.headers, app.config.secure_referer_check)?;
    check_bucket(app, &id.bucket, &[params.r, params.w, params.dw, params.pr, params.pw])?;
    let media = media_header::parse(&content_type).map_err(|given| {
        let text = format!("\"{given}\" is not a valid media type for the Content-type header.\n");
        Reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    })?;
    let chosen = media_header::bare(&media.content_type);
    decision::representation(&request.headers, &[chosen])?;
    let metadata =
        Metadata { content_type: media.content_type, charset: media.charset, ..metadata };
    let unchanged = check_conditions(app, request, id, &params).await?;
    let held = body::read(request.body.get_mut(), limits::OBJECT_BYTES, &app.bodies).await?;
    let reply_type = media_header::format(&metadata.content_type, metadata.charset.as_deref());
    let value = NewValue { metadata, body: held.bytes.clone(), deleted: false };
    let ObjectParams { w, dw, pw, timeout, .. } = params;
    let options = PutOptions { w, dw, pw, timeout, unchanged };
    let started = app.stats.start();
    let written = app.objects.put(id, context, value, &options).await;
    app.stats.put(started, written.is_ok());
    let object = written.map_err(|error| not_written(request, error))?;
    if request.params.is_true("returnbody") {
        return Ok(whole(app, request, &object, id, style));
    }
    let reply = Reply::empty(StatusCode::NO_CONTENT);
    // Clients fail on an answer without a type, even where there is nothing to have one.
    Ok(reply.header(CONTENT_TYPE, reply_type).vary(VARY_ENCODING))
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn metadata(headers: &HeaderMap, bucket: &BucketId, style: Style) -> Result<Metadata, Stop> {
    Ok(Metadata {
        content_encoding: headers::text(headers, CONTENT_ENCODING.as_str()).map(str::to_owned),
        links: links::parse(headers, bucket, style).map_err(Reply::bad_request)?,
        user: headers::user_metadata(headers),
        indexes: indexes::parse(headers).map_err(Reply::bad_request)?,
        ..Metadata::default()
    })
}

/// What the client had seen of the object.
pub(super) fn context(headers: &HeaderMap) -> Result<Option<VersionVector>, Stop> {
    clock(headers, &VCLOCK, "")
}

/// The clock in a header; `before` stands before what is wrong with it.
fn clock(
    headers: &HeaderMap,
    name: &HeaderName,
    before: &str,
) -> Result<Option<VersionVector>, Stop> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let clock = VersionVector::from_header(&text)
        .map_err(|error| Reply::bad_request(format!("{before}{error}\n")))?;
    Ok(Some(clock))
}

/// Reads the object for the request's conditions, if it has any. What was read is what the write
/// depends on: the clock, for [`PutOptions::unchanged`].
pub(super) async fn check_conditions(
    app: &App,
    request: &Request,
    id: &ObjectId,
    params: &ObjectParams,
) -> Result<Option<VersionVector>, Stop> {
    let seen = clock(&request.headers, &IF_NOT_MODIFIED, "X-Riak-If-Not-Modified: ")?;
    if seen.is_none() && !decision::is_conditional(&request.headers) {
        return Ok(None);
    }
    let found = match app.objects.get(id, &get::options(params)).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            app.objects.get_part(id, &get::options(params), ObjectPart::Heads).await?
        }
        found => found?,
    };
    let clock = found.as_ref().map(|object| object.clock.clone());
    let present = found
        .filter(|object| !object.is_tombstone())
        .map(|object| Present { etag: object.etag(), last_modified: object.last_modified() });
    // Nothing is deleted where there is nothing.
    let deletes_nothing = request.method == Method::DELETE && present.is_none();
    let now = app.node.clock.now_micros();
    decision::conditions(&request.method, &request.headers, present.as_ref(), now)
        .map_err(|stop| stop.vary(VARY_ENCODING))?;
    if seen.is_some() && seen != clock && !deletes_nothing {
        return Err(modified());
    }
    let bound = seen.is_some() || decision::is_bound(&request.headers);
    Ok(bound.then(|| clock.unwrap_or_default()))
}

/// The answer for a write that was not made.
pub(super) fn not_written(request: &Request, error: Error) -> Stop {
    if error.kind() == ErrorKind::Precondition && request.headers.contains_key(IF_NOT_MODIFIED) {
        return modified();
    }
    Stop::from(error).vary(VARY_ENCODING)
}

fn modified() -> Stop {
    let text = "the object is not as X-Riak-If-Not-Modified says: its vclock is another\n";
    Stop::from(Reply::text(StatusCode::CONFLICT, text)).vary(VARY_ENCODING)
}

/// The object as it is after the write. Here, siblings come as parts to those who do not say.
fn whole(app: &App, request: &Request, object: &Object, id: &ObjectId, style: Style) -> Reply {
    match object.siblings.as_slice() {
        [only] => represent::value(object, only, &only.vtag(), id, style),
        _ => {
            let accept = headers::text(&request.headers, "accept");
            let provided = [media::MULTIPART, media::TEXT];
            let chosen = negotiate::choose(&provided, accept).unwrap_or(media::TEXT);
            represent::choices(app, object, id, style, chosen).vary(VARY_ENCODING)
        }
    }
}
