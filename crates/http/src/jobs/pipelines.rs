//! `/pipelines` and what lies below: jobs and other steps that follow each other.

use http::StatusCode;
use mapring_runner::{JobsError, Naming, StartRequest};
use serde_json::json;

use super::{
    DRY_RUN, aborted, document, flag, id, list_request, message, naming, refused, shown, started,
};
use crate::app::{App, Request};
use crate::reply::{Reply, Stop};

/// `POST /pipelines`.
pub(super) async fn start(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    refuse_dry_run(request)?;
    let held = document(app, request).await?;
    let name = naming(request)?;
    let pipeline = StartRequest { body: held.bytes.clone(), name };
    let pipeline = app.jobs.start_pipeline(pipeline).await.map_err(refused)?;
    Ok(started("/pipelines", &pipeline))
}

/// Who asks for a dry run must not have a pipeline started.
fn refuse_dry_run(request: &Request) -> Result<(), Stop> {
    if !flag(&request.params, DRY_RUN)? {
        return Ok(());
    }
    let message = "is not done of pipelines: what their steps get is known when these have begun";
    Err(refused(JobsError::invalid(DRY_RUN, message)))
}

/// `PUT /pipelines/ID`.
pub(super) async fn start_as(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    refuse_dry_run(request)?;
    let held = document(app, request).await?;
    let pipeline = StartRequest { body: held.bytes.clone(), name: Naming::Id(id(request)) };
    let pipeline = app.jobs.start_pipeline(pipeline).await.map_err(refused)?;
    Ok(started("/pipelines", &pipeline))
}

/// `GET /pipelines`: the newest first.
pub(super) async fn list(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let listed = app.jobs.pipelines(list_request(request)?).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &listed))
}

/// `GET /pipelines/ID`.
pub(super) async fn show(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let pipeline = app.jobs.pipeline(&id(request)).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &pipeline))
}

/// `POST /pipelines/ID/abort`, perhaps with `{"message":…}`.
pub(super) async fn abort(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let message = message(app, request).await?;
    app.jobs.abort_pipeline(&id(request), message).await.map_err(refused)?;
    Ok(aborted())
}

/// `POST /pipelines/ID/steps/STEP/approve`.
pub(super) async fn approve(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let step = String::from_utf8_lossy(&request.names.step).into_owned();
    app.jobs.approve_step(&id(request), &step).await.map_err(refused)?;
    Ok(shown(StatusCode::ACCEPTED, &json!({ "status": "Approved." })))
}

/// `DELETE /pipelines/ID`, with `?abort=true` also of one that is active.
pub(super) async fn remove(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let abort = flag(&request.params, "abort")?;
    app.jobs.remove_pipeline(&id(request), abort).await.map_err(refused)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
