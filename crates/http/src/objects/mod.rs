//! Objects: GET, HEAD, PUT, POST, DELETE (facts R15 to R28).

mod check;
mod content;
mod delete;
mod get;
mod hooks;
mod put;
mod represent;
mod upload;

use http::StatusCode;
use http::header::LOCATION;
use mapring_types::ObjectId;

use crate::app::{App, Request};
use crate::multipart::random_name;
use crate::path::{is_link_step, object_path};
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

/// What most who come to a walk have to know.
const SLASH: &str = "A slash that belongs to the key is written as %2F.\n";

/// A path that goes on after a key. Walks along links are not served; what is no walk at all is told
/// so as Riak does.
pub(crate) async fn walk(request: &Request) -> Result<Reply, Stop> {
    if request.names.steps.iter().all(|step| is_link_step(step)) {
        let text = "link walking is not served here; use link phases of /mapred";
        return Err(Reply::text(StatusCode::NOT_FOUND, format!("{text}\n{SLASH}")).into());
    }
    let text = format!(
        "Invalid link walk query submitted. Valid link walk query format is: \
         /riak/some_bucket/some_key/<bucket>,<riaktag>,0|1/...\n{SLASH}"
    );
    Err(Reply::bad_request(text).into())
}
