//! `/job-configs` and `/schedules`: jobs that are started by name, and by the clock.

use http::StatusCode;

use super::{document, id, list_request, refused, shown};
use crate::app::{App, Request};
use crate::reply::{Reply, Stop};

/// `GET /job-configs`.
pub(super) async fn configs(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    Ok(shown(StatusCode::OK, &app.jobs.configs(list_request(request)?).await.map_err(refused)?))
}

/// `GET /job-configs/NAME`.
pub(super) async fn config(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let config = app.jobs.config(&id(request)).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &config.document()))
}

/// `PUT /job-configs/NAME`.
pub(super) async fn put_config(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = document(app, request).await?;
    app.jobs.put_config(&id(request), held.bytes.clone()).await.map_err(refused)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /job-configs/NAME`.
pub(super) async fn remove_config(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    app.jobs.remove_config(&id(request)).await.map_err(refused)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `GET /schedules`.
pub(super) async fn schedules(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let listed = app.jobs.schedules(list_request(request)?).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &listed))
}

/// `GET /schedules/NAME`.
pub(super) async fn schedule(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let schedule = app.jobs.schedule(&id(request)).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &schedule))
}

/// `PUT /schedules/NAME`.
pub(super) async fn put_schedule(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = document(app, request).await?;
    app.jobs.put_schedule(&id(request), held.bytes.clone()).await.map_err(refused)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /schedules/NAME`.
pub(super) async fn remove_schedule(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    app.jobs.remove_schedule(&id(request)).await.map_err(refused)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
