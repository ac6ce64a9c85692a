//! How an object appears in an answer (facts R18 to R21).

use http::StatusCode;
use http::header::{CONTENT_ENCODING, ETAG, LAST_MODIFIED, LINK};
use mapring_types::{Object, ObjectId, Sibling};

use super::content::{self, Content};
use crate::app::App;
use crate::headers::{DELETED, VCLOCK, indexes, links, media as media_header};
use crate::multipart;
use crate::path::Style;
use crate::reply::{Reply, Stop, VARY_BOTH, VARY_ENCODING, media};

/// The media types of an object that has several values, the first for those who do not say.
pub(super) const SIBLING_TYPES: [&str; 2] = [media::TEXT, media::MULTIPART];

/// One value, with its tag: its bytes, or some of them, with everything else in headers.
pub(super) fn value(
    object: &Object,
    sibling: &Sibling,
    tag: &str,
    id: &ObjectId,
    style: Style,
    content: Content,
) -> Reply {
    let metadata = &sibling.metadata;
    let content_type = media_header::format(&metadata.content_type, metadata.charset.as_deref());
    let mut reply = content
        .into_reply(&content_type)
        .header(VCLOCK, object.clock.to_header())
        .header(ETAG, format!("\"{tag}\""))
        .header(LAST_MODIFIED, multipart::http_date(sibling.last_modified))
        .header(LINK, links::format(&metadata.links, &id.bucket, style));
    for (name, value) in &metadata.user {
        reply = reply.named(name, value);
    }
    for (field, terms) in indexes::by_field(&metadata.indexes) {
        reply = reply.named(&format!("{}{field}", indexes::PREFIX), terms.join(&b", "[..]));
    }
    if sibling.deleted {
        reply = reply.header(DELETED, "true");
    }
    match &metadata.content_encoding {
        // There is one encoding, so nothing varies.
        Some(encoding) => reply.header(CONTENT_ENCODING, encoding),
        None => reply.vary(VARY_ENCODING),
    }
}

/// Several values, as a list of tags or as parts.
pub(super) fn choices(
    app: &App,
    object: &Object,
    id: &ObjectId,
    style: Style,
    media_type: &str,
) -> Result<Reply, Stop> {
    let reply = if media_type == media::MULTIPART {
        let boundary = multipart::random_name(app.node.entropy.as_ref());
        // Riak writes a space here, and none in the streams of /mapred; clients expect both.
        let content_type = format!("{}; boundary={boundary}", media::MULTIPART);
        let siblings = &object.siblings;
        if siblings.iter().any(|sibling| sibling.metadata.blocks.is_some()) {
            let parts = multipart::sibling_parts(siblings, &id.bucket, style, &boundary);
            let content = content::in_parts(app, siblings, parts)?;
            content.into_reply(&content_type).with_status(StatusCode::MULTIPLE_CHOICES)
        } else {
            let body = multipart::siblings(siblings, &id.bucket, style, &boundary);
            Reply::new(StatusCode::MULTIPLE_CHOICES, &content_type, body)
        }
    } else {
        let mut list = String::from("Siblings:\n");
        for sibling in &object.siblings {
            list.push_str(&sibling.vtag());
            list.push('\n');
        }
        Reply::text(StatusCode::MULTIPLE_CHOICES, list)
    };
    Ok(reply
        .header(VCLOCK, object.clock.to_header())
        .header(ETAG, format!("\"{}\"", object.etag()))
        .header(LAST_MODIFIED, multipart::http_date(object.last_modified()))
        .vary(VARY_BOTH))
}

/// 404 for what was deleted: the clock lets a client write again in its place.
pub(super) fn tombstone(object: &Object) -> Reply {
    Reply::not_found().header(VCLOCK, object.clock.to_header()).header(DELETED, "true")
}
