//! `/admin/queries`: the queries that run, and ending them.

use http::{Method, StatusCode};
use mapring_mapred::QueryId;
use serde_json::json;

use crate::app::{App, Request};
use crate::decision;
use crate::listing::ascii;
use crate::reply::{Reply, Stop};

/// `/admin/queries`: all that the members of the cluster coordinate, the oldest first.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Reply, Stop> {
    decision::allow(&request.method, "GET, HEAD")?;
    let document = json!(app.queries.running().await);
    Ok(Reply::json(StatusCode::OK, ascii(&document.to_string())))
}

/// `/admin/queries/ID`: shows one, or ends it.
pub(crate) async fn one(app: &App, request: &Request, id: &[u8]) -> Result<Reply, Stop> {
    decision::allow(&request.method, "GET, HEAD, DELETE")?;
    let text = String::from_utf8_lossy(id);
    let unknown =
        || Reply::text(StatusCode::NOT_FOUND, format!("no query {text} is under way\n")).into();
    let id: QueryId = text.parse().map_err(|()| unknown())?;
    if request.method == Method::DELETE {
        decision::same_origin(&request.headers, app.config.secure_referer_check)?;
        let ended = app.queries.end(id).await?;
        return if ended { Ok(Reply::empty(StatusCode::NO_CONTENT)) } else { Err(unknown()) };
    }
    let found = app.queries.show(id).await?.ok_or_else(unknown)?;
    Ok(Reply::json(StatusCode::OK, ascii(&json!(found).to_string())))
}
