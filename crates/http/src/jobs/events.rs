//! `/jobs/ID/events`: what happens in a job, as server-sent events or JSON lines.
//!
//! A browser that loses its connection asks again with the id of the last event that it has seen. When
//! the job has ended and there is nothing more to tell, the answer is 204, at which browsers stop to ask.

use std::convert::Infallible;
use std::pin::pin;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use mapring_runner::{EventId, JobEvent, JobsError};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{id, refused};
use crate::app::{App, Request, Stage, reached};
use crate::events::Form;
use crate::listing::ascii;
use crate::reply::{Reply, Stop, VARY_BOTH, media};
use crate::{decision, headers, limits};

const LAST_EVENT_ID: &str = "Last-Event-ID";

/// `GET /jobs/ID/events`, all, or those after `Last-Event-ID` or `?after=`.
pub(super) async fn events(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let chosen = decision::representation(&request.headers, &[media::EVENTS, media::LINES])?;
    let form = if chosen == media::LINES { Form::Lines } else { Form::Events };
    let events = app.jobs.events(&id(request), after(request)?).await.map_err(refused)?;
    // What has ended may be asked again: whatever is ready leaves together.
    let mut events = events.fuse();
    let events = match timeout(limits::FIRST_EVENT, events.next()).await {
        Ok(None) => return Ok(Reply::empty(StatusCode::NO_CONTENT).vary(VARY_BOTH)),
        Ok(Some(event)) => stream::iter([event]).chain(events).boxed(),
        // It goes on, and nothing has happened yet.
        Err(_) => events.boxed(),
    };
    let state = (events, app.stage.clone());
    let pieces = stream::unfold(state, move |(mut events, stage)| async move {
        let piece = next_piece(form, &mut events, &stage).await?;
        Some((Ok::<_, Infallible>(piece), (events, stage)))
    });
    Ok(Reply::new(StatusCode::OK, chosen, Body::from_stream(pieces))
        .header(CACHE_CONTROL, "no-store")
        .vary(VARY_BOTH))
}

/// After which event it goes on.
fn after(request: &Request) -> Result<Option<EventId>, Stop> {
    let given = headers::text(&request.headers, LAST_EVENT_ID).or(request.params.get("after"));
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(None) };
    given.parse().map(Some).map_err(|()| {
        let message = format!("is the id of an event, not \"{}\"", mapring_types::quote(given));
        refused(JobsError::invalid("after", message))
    })
}

/// What is told next; `None` at the end, which is also where the node begins to stop: its clients ask
/// another one then.
async fn next_piece(
    form: Form,
    events: &mut BoxStream<'static, JobEvent>,
    stage: &watch::Receiver<Stage>,
) -> Option<Bytes> {
    let mut stops = pin!(reached(stage, Stage::Finishing));
    let next = tokio::select! {
        biased;
        () = &mut stops => return None,
        next = timeout(limits::EVENTS_SILENCE, events.next()) => next,
    };
    let Ok(event) = next else { return Some(form.nothing()) };
    let mut text = written(form, &event?);
    while text.len() < limits::FLUSH_BYTES
        && let Some(Some(event)) = events.next().now_or_never()
    {
        text.push_str(&written(form, &event));
    }
    Some(text.into())
}

fn written(form: Form, event: &JobEvent) -> String {
    let JobEvent { id, time_ms, kind, data } = event;
    let json = json!({ "id": id.to_string(), "event": kind, "time_ms": time_ms, "data": data });
    let json = ascii(&json.to_string());
    match form {
        Form::Lines => format!("{json}\n"),
        Form::Events => format!("id: {id}\nevent: {kind}\ndata: {json}\n\n"),
    }
}
