//! What lies around the handling of every request: tower layers over axum's router.
//!
//! From the outside in: [`answer`] completes and counts what leaves, [`compress`] makes it smaller,
//! [`trace`] tells of it, [`panics`] answers where a handler fails.
//!
//! Riak's paths are the router's fallback, matched by the [table](crate::routes): the router knows
//! neither paths in which empty segments do not count nor names that are not UTF-8, and to what it
//! routes itself it answers HEAD, 405 and lengths itself, with other headers than Riak's. What
//! comes with paths of its own is routed beside it.
//!
//! What bounds a request and is no layer here, since it is due elsewhere:
//!
//! * the size of a head and the time for it: hyper, before there is a request;
//! * the size of a body, by its route, the time for it, and the memory of all bodies:
//!   [`body`](crate::body), where a handler asks for it, as what else is wrong is told first;
//! * how many requests there are at once: each has a connection, and connections are bounded; work
//!   that the storage cannot queue is refused there;
//! * the time for an answer: the deadline that a request gives to the store, since queries may take
//!   their minutes, and the patience with clients that take nothing.

pub(crate) mod answer;
mod compress;
mod panics;
mod then;
mod trace;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use tower::layer::layer_fn;
use tower::{ServiceBuilder, service_fn};

use crate::app::App;
use crate::dispatch::dispatch;
use crate::gzip::Compressors;
use crate::limits;
use answer::{Answer, Counters};
use compress::Compress;
use panics::CatchPanic;
use trace::Trace;

/// All layers with the router in them. A clone for each request is cheap.
pub(crate) type Stack = Answer<Compress<Trace<CatchPanic<Router>>>>;

/// Builds it.
pub(crate) fn stack(app: Arc<App>) -> Stack {
    let counters = Arc::new(Counters::default());
    let compressors = Compressors::new(if app.config.gzip { limits::COMPRESSORS } else { 0 });
    ServiceBuilder::new()
        .layer(layer_fn(move |inner| Answer::new(inner, counters.clone())))
        .layer(layer_fn(move |inner| Compress::new(inner, compressors.clone())))
        .layer(layer_fn(Trace::new))
        .layer(layer_fn(CatchPanic::new))
        .service(router(app))
}

fn router(app: Arc<App>) -> Router {
    Router::new().fallback_service(service_fn(move |request: Request<Body>| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(dispatch(&app, request).await.into_response()) }
    }))
}
