//! Writing an object.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use mapring_kv::NewValue;
use mapring_types::{BucketId, Metadata, Object, ObjectId};

use super::upload::Target;
use super::{check, content, hooks, represent, upload};
use crate::app::{App, Request};
use crate::body::Begun;
use crate::decision::{self, Only};
use crate::headers::{self, indexes, links, media as media_header};
use crate::negotiate;
use crate::path::Style;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

pub(super) async fn put(app: &App, request: &mut Request, id: &ObjectId) -> Result<Reply, Stop> {
    let style = request.names.style;
    let Some(content_type) = content_type(&request.headers) else {
        return Err(Reply::bad_request("Missing Content-Type request header").into());
    };
    let options = request.params.object()?;
    let metadata = metadata(&request.headers, &id.bucket, style)?;
    let context = check::context(&request.headers)?;
    request.check_origin(app)?;
    let props = check::props(app, &id.bucket)?;
    let media = media_header::parse(&content_type);
    let (chosen, charset) = match &media {
        Ok(media) => (media_header::bare(&media.content_type), media.charset.as_deref()),
        Err(given) => (given.as_str(), None),
    };
    let only = Only { charset, encoding: None };
    decision::representation_of(&request.headers, &[chosen], only)?;
    let unchanged = check::conditions(app, request, id, &options).await?;
    let media = media.map_err(|given| {
        let text = format!("\"{given}\" is not a valid media type for the Content-type header.\n");
        Reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).vary(VARY_ENCODING)
    })?;
    check::quorums(options.check_write(props.n_val))?;
    let metadata =
        Metadata { content_type: media.content_type, charset: media.charset, ..metadata };
    let begun = request.begin(app).await?;
    let reply_type = media_header::format(&metadata.content_type, metadata.charset.as_deref());
    let options = options.writing(unchanged);
    let pending = app.stats.begin_put();
    let (written, _share) = match begun {
        Begun::Whole(held) => {
            let (body, share) = held.into_parts();
            let value = NewValue { metadata, body, deleted: false };
            let place = (id, context.as_ref());
            let value =
                hooks::before(app, &request.method, &props.precommit(), place, value).await?;
            (app.objects.put(id, context, value, &options).await, Some(share))
        }
        Begun::Part(held, more) => {
            hooks::refuse_stream(&props.precommit(), app.objects.body_sizes().whole_bytes)?;
            let target = Target { id, context, metadata, options: &options };
            (upload::write(app, request, target, (held, more)).await?, None)
        }
    };
    pending.put(&written);
    let object = written.map_err(|error| check::not_written(request, error))?;
    hooks::after(app, &props, id, &object).await;
    if request.params.is_true("returnbody") {
        return whole(app, request, &object, id, style).await;
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

/// The object as it is after the write. Here, siblings come as parts to those who do not say.
async fn whole(
    app: &App,
    request: &Request,
    object: &Object,
    id: &ObjectId,
    style: Style,
) -> Result<Reply, Stop> {
    match object.siblings.as_slice() {
        [only] => {
            let content = content::all(app, only, false).await?;
            Ok(represent::value(object, only, &only.vtag(), id, style, content))
        }
        _ => {
            let accept = headers::text(&request.headers, "accept");
            let provided = [media::MULTIPART, media::TEXT];
            let chosen = negotiate::choose(&provided, accept).unwrap_or(media::TEXT);
            Ok(represent::choices(app, object, id, style, chosen)?.vary(VARY_ENCODING))
        }
    }
}
