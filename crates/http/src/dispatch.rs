//! The way of a request to the handler of its route.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use mapring_api::permission::Caller;
use parking_lot::Mutex;

use crate::app::{App, Origin, Request};
use crate::in_json::in_json;
use crate::params::Params;
use crate::reply::{Reply, Stop};
use crate::route::Action;
use crate::{body, jobs, path, routes};

/// Answers a request of `caller`.
pub(crate) async fn dispatch(app: &App, caller: &Caller, request: http::Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    let (resource, action) = match routes::find(&head.method, head.uri.path()) {
        Ok(found) => found,
        Err(stop) => {
            body::discard(body, &head.headers);
            return in_json(head.uri.path(), &head.headers, stop.into());
        }
    };
    let mut request = Request {
        names: path::names(resource.path, head.uri.path()),
        params: Params::parse(head.uri.query()),
        method: head.method,
        headers: head.headers,
        body: Mutex::new(body),
        origin: action.origin,
        upload: action.upload,
        origin_checked: AtomicBool::new(false),
    };
    let handled = handle(app, caller, action, &mut request);
    let handled = match action.tells_stop {
        true => handled.await,
        false => app.unless_over(handled).await,
    };
    body::discard(request.body.into_inner(), &request.headers);
    in_json(head.uri.path(), &request.headers, handled.unwrap_or_else(Reply::from))
}

async fn handle(
    app: &App,
    caller: &Caller,
    action: &Action,
    request: &mut Request,
) -> Result<Reply, Stop> {
    // Here and not in the handlers, so that none can forget it.
    app.permissions.check(caller, action.permission, action.on.target(&request.names))?;
    if let Some(known) = action.params {
        jobs::check_params(&request.params, known)?;
    }
    let reply = (action.handler)(app, request).await?;
    // The handlers do this themselves, each at its place among Riak's decisions.
    let checked = request.origin_checked.load(Ordering::Relaxed);
    assert!(action.origin == Origin::Any || checked, "a request from any page was answered");
    Ok(reply)
}
