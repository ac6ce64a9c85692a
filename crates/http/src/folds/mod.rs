//! OpenRiak's operational folds over a bucket (facts R329 to R336): counts and sizes, keys by their siblings
//! or sizes, tombstones, repair, reaping and erasing by range. What serves replication between clusters is
//! not offered.

mod filter;
mod routes;

use std::future::Future;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use mapring_kv::{Census, Counted, DeleteOptions, Figures, Found, GetOptions, Wanted};
use mapring_types::{BucketId, Error, ErrorKind, ObjectId, Quorum, limits as shared};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::app::{App, Request};
use crate::body::Growing;
use crate::listing::{ascii, json_string};
use crate::reply::{Reply, Stop, VARY_ENCODING, media};
use crate::{decision, limits};

use filter::Filter;

pub(crate) use routes::ROUTES;

/// `/objectstats/…/buckets/B`: how many objects there are and how large.
pub(crate) async fn statistics(app: &App, request: &Request) -> Result<Reply, Stop> {
    let census = begin(app, request, Wanted::Figures)?;
    let mut figures = Figures::default();
    let mut pages = app.unless_over_stream(app.objects.census(census));
    while let Some(page) = pages.try_next().await? {
        figures.add(&page.figures);
    }
    // Riak writes what is empty as a list.
    let sizes = if figures.sizes.is_empty() { json!([]) } else { json!(figures.sizes) };
    let siblings = if figures.siblings.is_empty() { json!([]) } else { json!(figures.siblings) };
    let document = json!({
        "total_count": figures.count, "total_size": figures.bytes,
        "sizes": sizes, "siblings": siblings,
    });
    Ok(Reply::json(StatusCode::OK, document.to_string()).vary(VARY_ENCODING))
}

/// `/siblings/…/buckets/B/counts/N`: keys with more values than that.
pub(crate) async fn siblings(app: &App, request: &Request) -> Result<Reply, Stop> {
    let most = number(request, "sibling_count", "count")?;
    keys_and_values(app, request, Wanted::MoreSiblings(most)).await
}

/// `/objectsizes/…/buckets/B/sizes/N`: keys of more bytes than that.
pub(crate) async fn sizes(app: &App, request: &Request) -> Result<Reply, Stop> {
    let most = number(request, "object_size", "size")?;
    keys_and_values(app, request, Wanted::Larger(most)).await
}

/// `/tombs/…/buckets/B`: tombstones and their clocks.
pub(crate) async fn tombstones(app: &App, request: &Request) -> Result<Reply, Stop> {
    keys_and_clocks(app, request, Wanted::Tombstones).await
}

/// `/rangetrees/…/buckets/B/keysclocks`: keys and clocks.
pub(crate) async fn clocks(app: &App, request: &Request) -> Result<Reply, Stop> {
    keys_and_clocks(app, request, Wanted::All).await
}

/// `/rangerepair/…/buckets/B`: reads all replicas, which brings them together.
pub(crate) async fn repair(app: &App, request: &Request) -> Result<Reply, Stop> {
    let census = begin(app, request, Wanted::All)?;
    let options = GetOptions { r: Quorum::All, ..GetOptions::default() };
    dispatched(app, census, |id, _| {
        let options = options.clone();
        async move {
            match app.objects.get(&id, &options).await {
                Err(error) if error.kind() == ErrorKind::TooLarge => Ok::<_, Stop>(true),
                found => Ok(found.map(|_| true)?),
            }
        }
    })
    .await
}

/// `/reap/…/buckets/B`: counts tombstones, or has them reaped.
pub(crate) async fn reap(app: &App, request: &Request) -> Result<Reply, Stop> {
    let filter = Filter::read(request)?;
    let census = begin(app, request, Wanted::Tombstones)?;
    if !filter.changes {
        return count(app, census).await;
    }
    let ends = Instant::now() + census.timeout;
    dispatched(app, census, |id, _| async move {
        // As many wait as may: others are reaped meanwhile.
        while !app.objects.reap(&id) {
            if Instant::now() >= ends {
                return Err(Stop::from(Error::timeout("too many tombstones wait")));
            }
            sleep(limits::REAP_PAUSE).await;
        }
        Ok(true)
    })
    .await
}

/// `/erase/…/buckets/B`: counts objects, or deletes them as they were met; what is written meanwhile stays.
pub(crate) async fn erase(app: &App, request: &Request) -> Result<Reply, Stop> {
    let filter = Filter::read(request)?;
    let census = begin(app, request, Wanted::Live)?;
    if !filter.changes {
        return count(app, census).await;
    }
    dispatched(app, census, |id, found| async move {
        let options = DeleteOptions::default();
        Ok::<_, Stop>(app.objects.delete(&id, Some(found.clock), &options).await?)
    })
    .await
}

/// `/aaebucketlist`: all buckets of all types.
pub(crate) async fn buckets(app: &App, request: &Request) -> Result<Reply, Stop> {
    if let Some(given) = request.params.get("nval")
        && given.parse::<u64>().ok().filter(|n_val| *n_val > 0).is_none()
    {
        return Err(Reply::bad_request(format!("Invalid n_val {given:?}")).into());
    }
    ready(app, request)?;
    let timeout = request.params.timeout()?.unwrap_or(shared::LIST_BUCKETS_TIMEOUT);
    let types = app.objects.view().state.bucket_types.keys().cloned().collect::<Vec<_>>();
    let mut held = Growing::new(&app.bodies);
    let mut results = Vec::new();
    for kind in std::iter::once("default".to_owned()).chain(types) {
        let names = app.objects.list_buckets(kind.clone().into(), timeout);
        let mut names = app.unless_over_stream(names);
        while let Some(page) = names.try_next().await? {
            for name in page {
                let name = json_string(&name);
                results.push(match kind.as_str() {
                    "default" => format!("{{\"bucket\":{name}}}"),
                    kind => {
                        let kind = json_string(kind.as_bytes());
                        format!("{{\"bucket-type\":{kind},\"bucket\":{name}}}")
                    }
                });
                held.add(results.last().map_or(0, String::len))?;
            }
        }
    }
    Ok(list("results", &results))
}

/// What belongs to replication between clusters.
pub(crate) async fn not_offered() -> Result<Reply, Stop> {
    let text = "replication between clusters, its queues and its trees are not offered here\n";
    Err(Reply::text(StatusCode::NOT_IMPLEMENTED, text).into())
}

fn ready(app: &App, request: &Request) -> Result<(), Stop> {
    request.check_origin(app)?;
    decision::representation(&request.headers, &[media::JSON]).map(drop)
}

/// Checks a request, in Riak's order.
fn begin(app: &App, request: &Request, wanted: Wanted) -> Result<Census, Stop> {
    let Filter { selection, modified, .. } = Filter::read(request)?;
    let timeout = request.params.timeout()?.unwrap_or(limits::FOLD_TIMEOUT);
    ready(app, request)?;
    let bucket = request.names.bucket.clone();
    if app.objects.view().props(&bucket).is_none() {
        return Err(Reply::unknown_type(&bucket.bucket_type).vary(VARY_ENCODING).into());
    }
    Ok(Census { bucket, selection, modified, wanted, timeout })
}

/// The number in a path.
fn number(request: &Request, of: &str, what: &str) -> Result<u64, Stop> {
    let given = String::from_utf8_lossy(&request.names.name).into_owned();
    let shown = match given.parse::<i128>() {
        Ok(number) if number > 0 => return Ok(u64::try_from(number).unwrap_or(u64::MAX)),
        Ok(number) => number.to_string(),
        Err(_) => format!("{given:?}"),
    };
    let text = format!("{of} requires integer for {what}. Value {shown} invalid");
    Err(Reply::bad_request(text).into())
}

async fn keys_and_values(app: &App, request: &Request, wanted: Wanted) -> Result<Reply, Stop> {
    let census = begin(app, request, wanted)?;
    let found = found(app, census).await?;
    let of = |found: &Found| {
        format!("{{\"key\":{},\"value\":{}}}", json_string(&found.key), found.value)
    };
    Ok(list("results", &found.iter().map(of).collect::<Vec<_>>()))
}

async fn keys_and_clocks(app: &App, request: &Request, wanted: Wanted) -> Result<Reply, Stop> {
    let census = begin(app, request, wanted)?;
    let BucketId { bucket_type, name } = census.bucket.clone();
    let bucket = json_string(&name);
    let bucket = if bucket_type == mapring_types::name::DEFAULT_TYPE {
        format!("\"bucket\":{bucket}")
    } else {
        format!("\"bucket-type\":{},\"bucket\":{bucket}", json_string(&bucket_type))
    };
    let found = found(app, census).await?;
    let of = |found: &Found| {
        let (key, clock) = (json_string(&found.key), found.clock.to_header());
        format!("{{{bucket},\"key\":{key},\"clock\":\"{clock}\"}}")
    };
    Ok(list("keys-clocks", &found.iter().map(of).collect::<Vec<_>>()))
}

fn list(field: &str, items: &[String]) -> Reply {
    let document = format!("{{\"{field}\":[{}]}}", items.join(","));
    Reply::json(StatusCode::OK, ascii(&document)).vary(VARY_ENCODING)
}

/// All that a census finds, in the order of the keys.
async fn found(app: &App, census: Census) -> Result<Vec<Found>, Stop> {
    let mut held = Growing::new(&app.bodies);
    let mut all = Vec::new();
    let mut pages = app.unless_over_stream(app.objects.census(census));
    while let Some(Counted { found, .. }) = pages.try_next().await? {
        let bytes = |found: &Found| 3 * found.key.len() + 64 * found.clock.len() + 128;
        held.add(found.iter().map(bytes).sum())?;
        all.extend(found);
    }
    all.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(all)
}

async fn count(app: &App, census: Census) -> Result<Reply, Stop> {
    let mut count = 0;
    let mut pages = app.unless_over_stream(app.objects.census(census));
    while let Some(page) = pages.try_next().await? {
        count += page.found.len();
    }
    let document = json!({ "dispatched_count": count }).to_string();
    Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
}

/// Does something with all that a census finds, a few at a time, and tells with how many.
async fn dispatched<F>(
    app: &App,
    census: Census,
    each: impl Fn(ObjectId, Found) -> F,
) -> Result<Reply, Stop>
where
    F: Future<Output = Result<bool, Stop>>,
{
    let (bucket, mut count) = (census.bucket.clone(), 0_u64);
    let ends = Instant::now() + census.timeout;
    let mut pages = app.unless_over_stream(app.objects.census(census));
    while let Some(page) = pages.try_next().await? {
        let one = |found: Found| each(ObjectId::new(bucket.clone(), found.key.clone()), found);
        let mut done =
            stream::iter(page.found.into_iter().map(one)).buffer_unordered(limits::FOLD_CHANGES);
        while let Some(changed) = done.try_next().await? {
            count += u64::from(changed);
            if Instant::now() >= ends {
                return Err(Error::timeout("the fold did not end in time").into());
            }
        }
    }
    let document = json!({ "dispatched_count": count }).to_string();
    Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
}
