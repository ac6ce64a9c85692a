//! How an object appears in an answer (facts R18 to R21).

use http::StatusCode;
use http::header::{CONTENT_ENCODING, ETAG, LAST_MODIFIED, LINK};
use mapring_types::{Object, ObjectId, Sibling};

use crate::app::App;
use crate::headers::{DELETED, VCLOCK, indexes, links, media as media_header};
use crate::multipart;
use crate::path::Style;
use crate::reply::{Reply, VARY_BOTH, VARY_ENCODING, media};

/// The media types of an object that has several values, the first for those who do not say.
pub(super) const SIBLING_TYPES: [&str; 2] = [media::TEXT, media::MULTIPART];

/// One value, with its tag: its bytes, with everything else in headers.
pub(super) fn value(
    object: &Object,
    sibling: &Sibling,
    tag: &str,
    id: &ObjectId,
    style: Style,
) -> Reply {
    let metadata = &sibling.metadata;
    let content_type = media_header::format(&metadata.content_type, metadata.charset.as_deref());
    let mut reply = Reply::new(StatusCode::OK, &content_type, sibling.body.clone())
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
) -> Reply {
    let reply = if media_type == media::MULTIPART {
        let boundary = multipart::random_name(app.node.entropy.as_ref());
        let body = multipart::siblings(&object.siblings, &id.bucket, style, &boundary);
        // Riak writes a space here, and none in the streams of /mapred; clients expect both.
        let content_type = format!("{}; boundary={boundary}", media::MULTIPART);
        Reply::new(StatusCode::MULTIPLE_CHOICES, &content_type, body)
    } else {
        let mut list = String::from("Siblings:\n");
        for sibling in &object.siblings {
            list.push_str(&sibling.vtag());
            list.push('\n');
        }
        Reply::text(StatusCode::MULTIPLE_CHOICES, list)
    };
    reply
        .header(VCLOCK, object.clock.to_header())
        .header(ETAG, format!("\"{}\"", object.etag()))
        .header(LAST_MODIFIED, multipart::http_date(object.last_modified()))
        .vary(VARY_BOTH)
}

/// 404 for what was deleted: the clock lets a client write again in its place.
pub(super) fn tombstone(object: &Object) -> Reply {
    Reply::not_found().header(VCLOCK, object.clock.to_header()).header(DELETED, "true")
}
