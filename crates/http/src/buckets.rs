//! Buckets: lists of buckets and keys, preference lists (facts R33, R34).

use http::StatusCode;
use mapring_types::{BucketId, limits as shared};
use serde_json::json;

use crate::app::{App, Request};
use crate::listing::{self, Mode, ascii};
use crate::path::Style;
use crate::props::{props_json, props_of, ready};
use crate::reply::{Reply, Stop, VARY_ENCODING};

/// `/buckets`, `/riak`, `/types/T/buckets`.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Reply, Stop> {
    let bucket_type = request.names.bucket.bucket_type.clone();
    let timeout = request.params.timeout()?.unwrap_or(shared::LIST_BUCKETS_TIMEOUT);
    ready(app, request)?;
    props_of(app, &BucketId::typed(bucket_type.clone(), "any"))?;
    let names = || app.unless_over_stream(app.objects.list_buckets(bucket_type.clone(), timeout));
    match Mode::of(&request.params, "buckets") {
        // Riak 2 fails here; clients have no use for either.
        Mode::Absent => Ok(Reply::json(StatusCode::OK, "{\"buckets\":[]}").vary(VARY_ENCODING)),
        Mode::Whole => listing::whole("", "buckets", names()).await,
        Mode::Stream => Ok(listing::stream(None, "buckets", names())),
    }
}

/// `…/buckets/B/keys`.
pub(crate) async fn keys(app: &App, request: &Request) -> Result<Reply, Stop> {
    list_keys(app, request, false).await
}

/// `/riak/B`. Without properties and without keys there is no such resource (fact R269).
pub(crate) async fn old_bucket(app: &App, request: &Request) -> Result<Reply, Stop> {
    let with_props = request.params.get("props") != Some("false");
    if !with_props && Mode::of(&request.params, "keys") == Mode::Absent {
        request.check_origin(app)?;
        return Err(Reply::page(StatusCode::NOT_FOUND).into());
    }
    list_keys(app, request, with_props).await
}

async fn list_keys(app: &App, request: &Request, with_props: bool) -> Result<Reply, Stop> {
    let bucket = request.names.bucket.clone();
    let timeout = request.params.timeout()?.unwrap_or(shared::REQUEST_TIMEOUT);
    ready(app, request)?;
    let props = props_of(app, &bucket)?;
    let props = with_props.then(|| format!("\"props\":{}", props_json(app, &props, &bucket)));
    let names = || app.unless_over_stream(app.objects.list_keys(bucket.clone(), timeout));
    match Mode::of(&request.params, "keys") {
        Mode::Absent => {
            let document = format!("{{{}}}", props.unwrap_or_default());
            Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
        }
        Mode::Whole => {
            let before = props.map(|props| props + ",").unwrap_or_default();
            listing::whole(&before, "keys", names()).await
        }
        Mode::Stream => {
            // The old path begins with an object in any case.
            let old = request.names.style == Style::Old;
            let first = props.map(|props| format!("{{{props}}}")).or(old.then(|| "{}".to_owned()));
            Ok(listing::stream(first, "keys", names()))
        }
    }
}

/// `…/keys/K/preflist`: where the replicas of a key belong.
pub(crate) async fn preference_list(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = request.object();
    ready(app, request)?;
    let props = props_of(app, &id.bucket)?;
    let view = app.objects.view();
    let list = view.preference_list(&id.bucket, &id.key, props.n_val);
    let entries = list.entries.iter().map(|entry| {
        let name = view.state.members.get(&entry.node).map_or("", |member| member.name.as_str());
        json!({ "partition": entry.vnode.0, "node": name, "primary": entry.primary })
    });
    let document = json!({ "preflist": entries.collect::<Vec<_>>() }).to_string();
    Ok(Reply::json(StatusCode::OK, ascii(&document)).vary(VARY_ENCODING))
}
