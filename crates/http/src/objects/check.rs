//! What reading, writing and deleting check alike.

use http::{HeaderMap, HeaderName, Method, StatusCode};
use mapring_api::options::ObjectOptions;
use mapring_kv::ObjectPart;
use mapring_types::{BucketId, BucketProps, Error, ErrorKind, ObjectId, VersionVector, limits};

use crate::app::{App, Request};
use crate::decision::{self, Present};
use crate::headers::{IF_NOT_MODIFIED, VCLOCK};
use crate::reply::{Reply, Stop, VARY_ENCODING};

pub(super) fn names(id: &ObjectId) -> Result<(), Stop> {
    let longest = id.key.len().max(id.bucket.name.len()).max(id.bucket.bucket_type.len());
    if longest > limits::KEY_BYTES {
        let text = format!("a name of {longest} bytes is longer than {}\n", limits::KEY_BYTES);
        return Err(Reply::bad_request(text).into());
    }
    Ok(())
}

/// The properties of a bucket whose type must exist.
pub(super) fn props(app: &App, bucket: &BucketId) -> Result<BucketProps, Stop> {
    let props = app.objects.view().props(bucket);
    props.ok_or_else(|| Reply::unknown_type(&bucket.bucket_type).into())
}

/// The answer to a write that asks for more replicas than there are: Riak finds it out where it would
/// write.
pub(super) fn quorums(checked: mapring_types::Result<()>) -> Result<(), Stop> {
    checked.map_err(|error| Stop::from(error).vary(VARY_ENCODING))
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
pub(super) async fn conditions(
    app: &App,
    request: &Request,
    id: &ObjectId,
    options: &ObjectOptions,
) -> Result<Option<VersionVector>, Stop> {
    let seen = clock(&request.headers, &IF_NOT_MODIFIED, "X-Riak-If-Not-Modified: ")?;
    if seen.is_none() && !decision::is_conditional(&request.headers) {
        return Ok(None);
    }
    let found = match app.objects.get(id, &options.reading()).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            app.objects.get_part(id, &options.reading(), ObjectPart::Heads).await?
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
