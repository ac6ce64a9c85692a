//! `/jobs/ID/results`: what a job gave.

use axum::body::Body;
use futures::stream;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use mapring_runner::JobResults;

use super::{flag, id, refused};
use crate::app::{App, Request};
use crate::reply::{Reply, Stop, VARY_BOTH, media};
use crate::{decision, events, limits, mapred};

/// `GET /jobs/ID/results`: as the query would have been answered; with `Accept` for parts or lines, or
/// with `?chunked=true`, however many there are.
pub(super) async fn results(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let offered = [media::JSON, media::LINES, media::EVENTS, media::MULTIPART];
    let chosen = decision::representation(&request.headers, &offered)?;
    let chunked = flag(&request.params, "chunked")?;
    let id = id(request);
    let found = async { app.jobs.results(&id).await.map_err(refused) };
    let JobResults { query, results } = app.unless_over(found).await?;
    let results = app.results_unless_over(results);
    let form = match chosen {
        media::LINES => Some(events::Form::Lines),
        media::EVENTS => Some(events::Form::Events),
        _ => None,
    };
    if let Some(form) = form {
        let share = app.bodies.take(limits::KEPT_BYTES)?;
        return Ok(events::kept(form, &id, results, share).vary(VARY_BOTH));
    }
    if chosen == media::MULTIPART || chunked {
        let share = app.bodies.take(limits::KEPT_BYTES)?;
        return Ok(mapred::chunked(app, results, None, share).vary(VARY_BOTH));
    }
    if request.method == Method::HEAD {
        // How long it is is known only when all of it has been read.
        let nothing = Body::from_stream(stream::empty::<std::io::Result<bytes::Bytes>>());
        return Ok(Reply::new(StatusCode::OK, media::JSON, nothing).vary(VARY_BOTH));
    }
    Ok(match app.queries.answer(&query, results).await {
        Err(failure) => mapred::failed(&failure),
        Ok(answer) => {
            let content_type = if answer.is_lines { media::LINES } else { media::JSON };
            Reply::new(StatusCode::OK, content_type, Body::from_stream(answer.body))
                .header(CONTENT_LENGTH, answer.length.to_string())
        }
    }
    .vary(VARY_BOTH))
}
