//! Objects: GET, HEAD, PUT, POST, DELETE (facts R15 to R28).

mod check;
mod content;
mod delete;
mod get;
mod hooks;
mod put;
mod represent;
mod upload;
mod walk;

use http::StatusCode;
use http::header::LOCATION;
use mapring_types::ObjectId;

use crate::app::{App, Request};
use crate::multipart::random_name;
use crate::path::object_path;
use crate::reply::{Reply, Stop};

/// `GET …/keys/K`, `GET /riak/B/K`.
pub(crate) async fn get(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = request.object();
    check::names(&id)?;
    get::get(app, request, &id).await
}

/// `PUT` and `POST` there.
pub(crate) async fn put(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let id = request.object();
    check::names(&id)?;
    put::put(app, request, &id).await
}

/// `DELETE` there.
pub(crate) async fn delete(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = request.object();
    check::names(&id)?;
    delete::delete(app, request, &id).await
}

/// `POST` to a bucket: an object with a generated key.
pub(crate) async fn create(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let key = random_name(app.node.entropy.as_ref());
    let id = ObjectId::new(request.names.bucket.clone(), key);
    check::names(&id)?;
    let reply = put::put(app, request, &id).await?;
    let location = object_path(&id, request.names.style);
    Ok(reply.with_status(StatusCode::CREATED).header(LOCATION, location))
}

/// What the header `Allow` says of a walk.
pub(crate) const WALK_METHODS: &str = "GET, HEAD, POST";

/// `GET …/keys/K/<bucket>,<tag>,<keep>/…`: a walk along links.
pub(crate) async fn walk(app: &App, request: &Request) -> Result<Reply, Stop> {
    walk::get(app, request).await
}

/// `POST` there, which does nothing.
pub(crate) async fn post_walk(app: &App, request: &Request) -> Result<Reply, Stop> {
    walk::post(app, request).await
}

/// Any other method on a path that goes on after a key.
pub(crate) async fn no_walk(request: &Request) -> Result<Reply, Stop> {
    Err(walk::wrong_method(request, WALK_METHODS))
}
