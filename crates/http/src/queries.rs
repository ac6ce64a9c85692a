//! `/admin/queries`: the queries that run, and ending them.

use http::StatusCode;
use mapring_mapred::QueryId;
use serde_json::json;

use crate::app::{App, Request};
use crate::listing::ascii;
use crate::reply::{Reply, Stop};

/// `/admin/queries`: all that the members of the cluster coordinate, the oldest first.
pub(crate) async fn list(app: &App) -> Result<Reply, Stop> {
    let document = json!(app.queries.running().await);
    Ok(Reply::json(StatusCode::OK, ascii(&document.to_string())))
}

/// `/admin/queries/ID`: shows one.
pub(crate) async fn show(app: &App, request: &Request) -> Result<Reply, Stop> {
    let found = app.queries.show(id(request)?).await?.ok_or_else(|| unknown(request))?;
    Ok(Reply::json(StatusCode::OK, ascii(&json!(found).to_string())))
}

/// `DELETE /admin/queries/ID`: ends one.
pub(crate) async fn end(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = id(request)?;
    request.check_origin(app)?;
    match app.queries.end(id).await? {
        true => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        false => Err(unknown(request)),
    }
}

fn id(request: &Request) -> Result<QueryId, Stop> {
    let text = String::from_utf8_lossy(&request.names.name);
    text.parse().map_err(|()| unknown(request))
}

fn unknown(request: &Request) -> Stop {
    let text = String::from_utf8_lossy(&request.names.name);
    Reply::text(StatusCode::NOT_FOUND, format!("no query {text} is under way\n")).into()
}
