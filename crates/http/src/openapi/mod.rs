//! `/openapi.json`: the whole interface as an OpenAPI 3.1 document, for programs that make clients of it.
//!
//! Operations are described by family; at which paths they are, with which permission, and what a body may
//! have at most comes from the table of routes. Tests hold the two to each other, the parameters to those
//! that are read, and the members of documents to what their parsers take.

mod admin;
mod answers;
mod buckets;
mod datatypes;
mod documents;
mod folds;
mod health;
mod indexes;
mod interface;
mod jobs;
mod mapred;
mod objects;
mod operation;
mod params;
mod pipelines;
mod schema;
#[cfg(test)]
mod tests;
mod types;

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::OnceLock;

use bytes::Bytes;
use http::StatusCode;
use http::header::ETAG;
use mapring_types::Error;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Tag,
};

use crate::app::Request;
use crate::decision;
use crate::listing::ascii;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

use interface::{Find, Interface};
use schema::Member;

/// The document as it is sent.
struct Document {
    text: Bytes,
    /// With its quotes.
    etag: String,
}

/// It says the same for as long as the program runs. `None` where it could not be written.
static DOCUMENT: OnceLock<Option<Document>> = OnceLock::new();

/// What the interface is.
const ABOUT: &str = "The public HTTP interface of mapring: Riak's, and jobs, pipelines and folds beside it. \
    HEAD is answered wherever GET is, without the body. Any other method that is not described at a path is \
    answered with 405, and one that HTTP does not know with 501. A path and its query of more than 65,534 \
    bytes are answered with 414. Slashes that are doubled or at the end do not count.";

/// The families.
const TAGS: [(&str, &str); 11] = [
    (objects::TAG, "Values under keys, and walks along their links."),
    (buckets::TAG, "Lists of buckets and keys, and the properties of buckets."),
    (types::TAG, "Bucket types and their properties."),
    (indexes::TAG, "Keys by secondary indexes."),
    (datatypes::TAG, "Counters, sets, maps and HyperLogLogs, which merge by themselves."),
    (mapred::TAG, "Queries: MapReduce in one request."),
    (jobs::TAG, "Queries that outlive their requests, by document, by name and by the clock."),
    (pipelines::TAG, "Jobs and other steps that follow each other."),
    (folds::TAG, "Counting, erasing, reaping and repairing by range, for operators."),
    (admin::TAG, "The cluster and what runs in it, for operators."),
    (health::TAG, "How a node is."),
];

/// `GET /openapi.json`.
pub(crate) async fn get(request: &Request, find: Find) -> Result<Reply, Stop> {
    decision::representation(&request.headers, &[media::JSON])?;
    let made = DOCUMENT.get_or_init(|| written(&document(find)));
    let Some(made) = made else {
        return Err(Error::internal("the description of the interface cannot be written").into());
    };
    if decision::has_tag(&request.headers, made.etag.trim_matches('"')) {
        let same = Reply::empty(StatusCode::NOT_MODIFIED).header(ETAG, &made.etag);
        return Ok(same.vary(VARY_ENCODING));
    }
    let reply = Reply::json(StatusCode::OK, made.text.clone());
    Ok(reply.header(ETAG, &made.etag).vary(VARY_ENCODING))
}

fn written(document: &OpenApi) -> Option<Document> {
    let text = ascii(&document.to_json().ok()?);
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    Some(Document { etag: format!("\"{:016x}\"", hasher.finish()), text: text.into() })
}

/// The document of what `find` finds.
fn document(find: Find) -> OpenApi {
    let mut interface = Interface::new(find);
    let families = [
        objects::describe,
        buckets::describe,
        types::describe,
        indexes::describe,
        datatypes::describe,
        mapred::describe,
        jobs::describe,
        pipelines::describe,
        folds::describe,
        admin::describe,
        health::describe,
    ];
    for describe in families {
        describe(&mut interface);
    }
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas())
        .responses_from_iter(answers::refusals());
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title("mapring")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license.build()));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(interface.paths)
        .components(Some(components.build()))
        .tags(Some(TAGS.map(|(name, about)| tag(name, about))))
        .build()
}

/// What JSON documents look like, by the names that operations give them.
fn schemas() -> Vec<Member> {
    let families = [
        answers::schemas(),
        buckets::schemas(),
        types::schemas(),
        indexes::schemas(),
        datatypes::schemas(),
        mapred::schemas(),
        jobs::schemas(),
        pipelines::schemas(),
        folds::schemas(),
        admin::schemas(),
        health::schemas(),
    ];
    families.into_iter().flatten().collect()
}

fn tag(name: &str, about: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(about)).build()
}
