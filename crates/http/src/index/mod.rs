//! Secondary indexes by URL: equality, ranges, `$key` and `$bucket`, in pages and as streams (facts R305 to
//! R316).

mod answer;
pub(crate) mod continuation;
mod request;

use futures::{StreamExt as _, stream};
use mapring_kv::IndexScan;
use mapring_types::limits as shared;

use crate::app::{App, Request};
use crate::decision;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

use request::IndexRequest;

/// `GET …/buckets/B/index/F/V`, `…/index/F/S/E`.
pub(crate) async fn get(app: &App, request: &Request) -> Result<Reply, Stop> {
    let asked = IndexRequest::read(request)?;
    request.check_origin(app)?;
    decision::representation(&request.headers, &[media::JSON])?;
    let bucket = request.names.bucket.clone();
    if app.objects.view().props(&bucket).is_none() {
        return Err(Reply::unknown_type(&bucket.bucket_type).vary(VARY_ENCODING).into());
    }
    let IndexRequest { selection, after, test, most, timeout, shape } = asked;
    // As long as any request may take, where nothing is said: Riak has no bound of its own here.
    let timeout = timeout.unwrap_or(shared::MAX_TIMEOUT);
    let hits = match selection {
        Some(selection) => {
            let scan = IndexScan { bucket, selection, after, test, most, timeout };
            app.objects.index(scan)
        }
        None => stream::empty().boxed(),
    };
    let hits = app.unless_over_stream(hits);
    if shape.streams {
        let boundary = crate::multipart::random_name(app.node.entropy.as_ref());
        return Ok(answer::stream(hits, shape, &boundary));
    }
    answer::whole(hits, shape).await
}
