//! Objects: GET, HEAD, PUT, POST, DELETE (facts R15 to R28).

mod check;
mod delete;
mod get;
mod put;
mod represent;

use http::Method;
use mapring_types::{BucketId, ObjectId};

use crate::app::{App, Request};
use crate::decision;
use crate::multipart::random_name;
use crate::reply::{Reply, Stop};
use crate::route::{Style, object_path};

/// `…/keys/K`, `/riak/B/K`.
pub(crate) async fn object(
    app: &App,
    request: &mut Request,
    id: ObjectId,
    style: Style,
) -> Result<Reply, Stop> {
    decision::allow(&request.method, "HEAD, GET, POST, PUT, DELETE")?;
    check::names(&id)?;
    match request.method {
        Method::PUT | Method::POST => put::put(app, request, &id, style).await,
        Method::DELETE => delete::delete(app, request, &id).await,
        _ => get::get(app, request, &id, style).await,
    }
}

/// `POST` to a bucket: an object with a generated key.
pub(crate) async fn create(
    app: &App,
    request: &mut Request,
    bucket: BucketId,
    style: Style,
) -> Result<Reply, Stop> {
    let id = ObjectId::new(bucket, random_name(app.node.entropy.as_ref()));
    check::names(&id)?;
    let reply = put::put(app, request, &id, style).await?;
    Ok(reply
        .with_status(http::StatusCode::CREATED)
        .header(http::header::LOCATION, object_path(&id, style)))
}
