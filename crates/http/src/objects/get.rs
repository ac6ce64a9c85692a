//! Reading an object.

use http::{Method, StatusCode};
use mapring_kv::{GetOptions, ObjectPart};
use mapring_types::{Error, ErrorKind, Object, ObjectId, Sibling};

use super::{check, content, represent};
use crate::app::{App, Request};
use crate::decision::{self, Only, Present};
use crate::headers::media as media_header;
use crate::path::Style;
use crate::reply::{Reply, Stop, VARY_BOTH, VARY_ENCODING, media};

pub(super) async fn get(app: &App, request: &Request, id: &ObjectId) -> Result<Reply, Stop> {
    let style = request.names.style;
    let options = request.params.object()?;
    request.check_origin(app)?;
    options.check_read(check::props(app, &id.bucket)?.n_val)?;
    let options = options.reading();
    let pending = app.stats.begin_get();
    let found = match app.objects.get(id, &options).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            part(app, request, id, &options, error).await
        }
        found => found,
    };
    pending.got(&found);
    let Some(object) = found? else { return Err(Reply::not_found().into()) };
    if object.is_tombstone() {
        return Ok(represent::tombstone(&object));
    }
    match (request.params.get("vtag"), object.siblings.as_slice()) {
        (Some(tag), _) => match object.siblings.iter().find(|sibling| sibling.vtag() == tag) {
            Some(sibling) => one(app, request, &object, sibling, id, style).await,
            None => Err(no_such_tag(request, &object)?.into()),
        },
        (None, [only]) => one(app, request, &object, only, id, style).await,
        (None, _) => {
            let chosen = decision::representation(&request.headers, &represent::SIBLING_TYPES)?;
            let present = Present { etag: object.etag(), last_modified: object.last_modified() };
            check(app, request, &present).map_err(|stop| stop.vary(VARY_BOTH))?;
            represent::choices(app, &object, id, style, chosen)
        }
    }
}

/// What can be told of an object that is too large to be read whole: one value, or all but the bytes
/// of its values where the answer has none of these.
async fn part(
    app: &App,
    request: &Request,
    id: &ObjectId,
    options: &GetOptions,
    error: Error,
) -> mapring_types::Result<Option<Object>> {
    if let Some(tag) = request.params.get("vtag") {
        return app.objects.get_part(id, options, ObjectPart::Value(tag.to_owned())).await;
    }
    let found = app.objects.get_part(id, options, ObjectPart::Heads).await?;
    let chosen = decision::representation(&request.headers, &represent::SIBLING_TYPES);
    let list = chosen.is_ok_and(|chosen| chosen == media::TEXT);
    match &found {
        Some(object) if object.is_tombstone() => Ok(found),
        Some(object) if list && object.siblings.len() > 1 => Ok(found),
        Some(_) if request.method == Method::HEAD => Ok(found),
        _ => Err(error),
    }
}

async fn one(
    app: &App,
    request: &Request,
    object: &Object,
    sibling: &Sibling,
    id: &ObjectId,
    style: Style,
) -> Result<Reply, Stop> {
    acceptable(request, sibling)?;
    let present = Present { etag: sibling.vtag(), last_modified: sibling.last_modified };
    check(app, request, &present).map_err(|stop| stop.vary(VARY_ENCODING))?;
    let content = content::of(app, request, sibling, &present).await?;
    Ok(represent::value(object, sibling, &present.etag, id, style, content))
}

/// Refuses those who do not take a value as it was stored.
fn acceptable(request: &Request, sibling: &Sibling) -> Result<(), Stop> {
    let metadata = &sibling.metadata;
    let only = Only {
        charset: metadata.charset.as_deref(),
        encoding: metadata.content_encoding.as_deref(),
    };
    let content_type = media_header::bare(&metadata.content_type);
    decision::representation_of(&request.headers, &[content_type], only).map(drop)
}

fn check(app: &App, request: &Request, present: &Present) -> Result<(), Stop> {
    let now = app.node.clock.now_micros();
    decision::conditions(&request.method, &request.headers, Some(present), now)
}

/// A tag that no value has: the representation is chosen first, as in Webmachine.
fn no_such_tag(request: &Request, object: &Object) -> Result<Reply, Stop> {
    let page = Reply::page(StatusCode::NOT_FOUND);
    match object.siblings.as_slice() {
        [only] => {
            acceptable(request, only)?;
            Ok(page.vary(VARY_ENCODING))
        }
        _ => {
            decision::representation(&request.headers, &represent::SIBLING_TYPES)?;
            Ok(page.vary(VARY_BOTH))
        }
    }
}
