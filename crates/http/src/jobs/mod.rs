//! Jobs: `/jobs` and what lies below.
//!
//! A job is started by a document, and lives on when its client goes. Whatever is not done is told in
//! JSON ([`refusals`], [`mapring_api::jobs`]). [`results`] are what a job gave, as `/mapred` would have
//! answered; [`events`] what happens in it; [`routes`] stand here because there are many.

mod appengine;
mod events;
mod named;
mod pipelines;
mod refusals;
mod results;
mod routes;

use http::StatusCode;
use http::header::LOCATION;
use mapring_runner::{JobsError, ListRequest, Naming, StartRequest, StartedJob};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::{App, Request};
use crate::body::Held;
use crate::listing::ascii;
use crate::path::encode_segment;
use crate::reply::{Reply, Stop};
use crate::{decision, headers, limits};

pub(crate) use refusals::check_params;
use refusals::{flag, refused};
pub(crate) use routes::ROUTES;

/// Makes that a job is started once, however often it is asked.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The header that tells the id of a job.
const JOB_ID: &str = "X-Job-Id";

/// `POST /jobs`: starts a job, or with `?dry_run=true` says what it would be divided into.
async fn start(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = document(app, request).await?;
    let name = naming(request)?;
    begin(app, request, held, name).await
}

async fn begin(app: &App, request: &Request, held: Held, name: Naming) -> Result<Reply, Stop> {
    if flag(&request.params, DRY_RUN)? {
        let planned = app.jobs.dry_run(held.bytes.clone()).await.map_err(refused)?;
        return Ok(shown(StatusCode::OK, &planned));
    }
    let job = StartRequest { body: held.bytes.clone(), name };
    let job = app.jobs.start(job).await.map_err(refused)?;
    Ok(started("/jobs", &job).named(JOB_ID, job.id))
}

/// The parameter that asks for nothing to be started.
const DRY_RUN: &str = "dry_run";

/// `PUT /jobs/ID`: starts a job under an id that its client has chosen.
async fn start_as(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = document(app, request).await?;
    let name = Naming::Id(id(request));
    begin(app, request, held, name).await
}

/// `GET /jobs`: the newest first.
async fn list(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let listed = app.jobs.list(list_request(request)?).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &listed))
}

/// `GET /jobs/ID`.
async fn show(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let job = app.jobs.show(&id(request)).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &job))
}

/// `GET /jobs/ID/errors`.
async fn errors(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let errors = app.jobs.errors(&id(request)).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &errors))
}

/// `POST /jobs/ID/abort`, perhaps with `{"message":…}`.
async fn abort(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let message = message(app, request).await?;
    app.jobs.abort(&id(request), message).await.map_err(refused)?;
    Ok(aborted())
}

/// `DELETE /jobs/ID`, with `?abort=true` also of a job that is active.
async fn remove(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let abort = flag(&request.params, "abort")?;
    app.jobs.remove(&id(request), abort).await.map_err(refused)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// The id or name in the path.
fn id(request: &Request) -> String {
    String::from_utf8_lossy(&request.names.name).into_owned()
}

/// Reads the body, which is a JSON document.
async fn document(app: &App, request: &mut Request) -> Result<Held, Stop> {
    let held = request.read(app).await?;
    request.check_origin(app)?;
    decision::json_body(&request.headers)?;
    Ok(held)
}

/// Reads why something is aborted: a body that may be missing.
async fn message(app: &App, request: &mut Request) -> Result<Option<String>, Stop> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Message {
        message: Option<String>,
    }
    let held = request.read(app).await?;
    request.check_origin(app)?;
    if held.bytes.is_empty() {
        return Ok(None);
    }
    decision::json_body(&request.headers)?;
    let Message { message } = serde_json::from_slice(&held.bytes).map_err(|error| {
        refused(JobsError::invalid("", format!("is of the form {{\"message\": TEXT}}: {error}")))
    })?;
    match message {
        Some(text) if text.len() > limits::MESSAGE_BYTES => {
            let most = format!("has at most {} bytes", limits::MESSAGE_BYTES);
            Err(refused(JobsError::invalid("message", most)))
        }
        message => Ok(message),
    }
}

/// How a job that is posted gets its id.
fn naming(request: &Request) -> Result<Naming, Stop> {
    let Some(given) = request.headers.get(IDEMPOTENCY_KEY) else { return Ok(Naming::New) };
    let text = headers::text(&request.headers, IDEMPOTENCY_KEY);
    match text.filter(|text| !text.is_empty()) {
        Some(text) => Ok(Naming::Key(text.to_owned())),
        None => {
            let given = String::from_utf8_lossy(given.as_bytes());
            let message = format!("the header is a text in ASCII, not \"{given}\"");
            Err(refused(JobsError::invalid(IDEMPOTENCY_KEY, message)))
        }
    }
}

/// What a list is asked for.
fn list_request(request: &Request) -> Result<ListRequest, Stop> {
    let given = |name: &str| request.params.get(name).filter(|value| !value.is_empty());
    let count = given("count").map(|text| {
        text.parse().map_err(|_| {
            let text = mapring_types::quote(text);
            refused(JobsError::invalid("count", format!("is a number of jobs, not \"{text}\"")))
        })
    });
    Ok(ListRequest {
        count: count.transpose()?,
        cursor: given("cursor").map(str::to_owned),
        state: given("state").map(str::to_owned),
        name: given("name").map(str::to_owned),
    })
}

/// What is answered to a start, the first and any further one alike.
fn started(at: &str, StartedJob { id, .. }: &StartedJob) -> Reply {
    let href = format!("{at}/{}", encode_segment(id.as_bytes()));
    shown(StatusCode::ACCEPTED, &json!({ "id": id, "href": href })).header(LOCATION, href)
}

/// What App Engine answered, too.
fn aborted() -> Reply {
    shown(StatusCode::ACCEPTED, &json!({ "status": "Abort signal sent." }))
}

/// A document, in ASCII.
fn shown(status: StatusCode, document: &impl Serialize) -> Reply {
    match serde_json::to_string(document) {
        Ok(text) => Reply::json(status, ascii(&text)),
        // Only maps with keys that are no texts cannot be written.
        Err(error) => Reply::from_error(
            &mapring_types::Error::internal("cannot write the answer").with_source(error),
        ),
    }
}
