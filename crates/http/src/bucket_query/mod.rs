//! OpenRiak's queries of a bucket's indexes, as JSON documents (facts R317 to R328).

mod accumulate;
mod document;

use futures::StreamExt as _;
use http::StatusCode;
use mapring_api::meaning;
use mapring_filters::EntryTest;
use mapring_kv::{Cursor, IndexScan, Selection};
use mapring_types::{BucketId, ErrorKind, IndexValue};
use serde_json::json;
use tokio::time::Instant;

use crate::app::{App, Request};
use crate::body::Growing;
use crate::decision;
use crate::headers::CONTINUATION;
use crate::index::continuation;
use crate::listing::ascii;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

use accumulate::{Accumulated, Keys};
pub(crate) use document::AccumulationOption;
use document::{BucketQuery, Combination, NO_QUEUES, Part};
#[cfg(test)]
pub(crate) use document::{MEMBERS, QUERY_MEMBERS};

/// `POST …/buckets/B/query`.
pub(crate) async fn run(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = request.read(app).await?;
    let query =
        BucketQuery::read(&held.bytes).map_err(|refusal| error(refusal.status, &refusal.text))?;
    request.check_origin(app)?;
    decision::representation(&request.headers, &[media::JSON])?;
    let bucket = request.names.bucket.clone();
    if app.objects.view().props(&bucket).is_none() {
        return Err(Reply::unknown_type(&bucket.bucket_type).vary(VARY_ENCODING).into());
    }
    let ends = Instant::now() + query.timeout;
    let run = Run { app, bucket, ends, held: Growing::new(&app.bodies) };
    match &query.combination {
        Combination::Single(part) => run.single(&query, part).await,
        Combination::Sets(sets, parts) => run.sets(&query, sets, parts).await,
    }
}

/// `GET …/buckets/B/query`: of results that were put into a queue, which is not offered.
pub(crate) async fn results(request: &Request) -> Result<Reply, Stop> {
    if request.params.get("result_queue").is_none() {
        let text = "No valid result_queue reference passed as query parameter";
        return Err(error(StatusCode::BAD_REQUEST, text));
    }
    Err(error(StatusCode::NOT_IMPLEMENTED, NO_QUEUES))
}

fn error(status: StatusCode, text: &str) -> Stop {
    Reply::json(status, ascii(&json!({ "error": text }).to_string())).into()
}

/// A query under way.
struct Run<'a> {
    app: &'a App,
    bucket: BucketId,
    ends: Instant,
    held: Growing,
}

impl Run<'_> {
    async fn single(mut self, query: &BucketQuery, part: &Part) -> Result<Reply, Stop> {
        let mut found = Accumulated::new(query.option);
        let mut last = None;
        let scan = self.scan(query, part)?;
        self.read(query, scan, |hit| {
            let whole = query.term == "term";
            if query.most.is_some() {
                last = hit.term.clone().map(|term| (term, hit.key.clone()));
            }
            let term = if whole { hit.term.map(bytes_of) } else { hit.given };
            found.add(term, hit.key)
        })
        .await?;
        let reply = Reply::json(StatusCode::OK, found.to_json()).vary(VARY_ENCODING);
        // After as many as were asked for there may be more.
        match last.filter(|_| query.most == Some(found.hits())) {
            Some((term, key)) => {
                let token = continuation::write(Some(&term), &key);
                Ok(reply.header(CONTINUATION, token))
            }
            None => Ok(reply),
        }
    }

    async fn sets(
        mut self,
        query: &BucketQuery,
        sets: &mapring_filters::SetExpression,
        parts: &[Part],
    ) -> Result<Reply, Stop> {
        let mut found = Keys::default();
        for part in parts {
            let scan = self.scan(query, part)?;
            self.read(query, scan, |hit| found.add(part.tag, hit.key)).await?;
        }
        let keys = found.combined(sets);
        let document = accumulate::keys_to_json(query.option, &keys);
        Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
    }

    fn scan(&self, query: &BucketQuery, part: &Part) -> Result<Option<IndexScan>, Stop> {
        let (from, to) = (part.from.clone(), part.to.clone());
        if from > to {
            return Ok(None);
        }
        let (from, to) = (IndexValue::Bin(from), IndexValue::Bin(to));
        let selection = Selection::Terms { field: part.field.clone(), from, to };
        let after =
            query.after.clone().map(|(term, key)| Cursor::at_term(IndexValue::Bin(term), key));
        let test: Option<EntryTest> = part.test.clone();
        let timeout = self.ends.saturating_duration_since(Instant::now());
        let bucket = self.bucket.clone();
        Ok(Some(IndexScan { bucket, selection, after, test, most: query.most, timeout }))
    }

    /// Reads the hits of a part; `add` tells how many bytes it keeps of each.
    async fn read(
        &mut self,
        query: &BucketQuery,
        scan: Option<IndexScan>,
        mut add: impl FnMut(mapring_kv::Hit) -> usize,
    ) -> Result<(), Stop> {
        let Some(scan) = scan else { return Ok(()) };
        let mut hits = self.app.unless_over_stream(self.app.objects.index(scan));
        while let Some(page) = hits.next().await {
            let page = page.map_err(|failure| match failure.kind() {
                ErrorKind::Timeout => error(StatusCode::SERVICE_UNAVAILABLE, "timeout"),
                _ => {
                    let status = crate::reply::status_of(meaning::class(failure.kind()));
                    let option = query.option.word();
                    error(status, &format!("Query with option {option} failed - {failure}"))
                }
            })?;
            let bytes: usize = page.into_iter().map(&mut add).sum();
            self.held.add(bytes)?;
        }
        Ok(())
    }
}

fn bytes_of(term: IndexValue) -> bytes::Bytes {
    match term {
        IndexValue::Bin(term) => term,
        IndexValue::Int(text) => text.into(),
    }
}
