//! What lies around the handling of every request: tower layers.
//!
//! From the outside in: [`answer`] completes and counts what leaves, and has names [spelled](spelling)
//! as Riak does, [`compress`] makes it smaller, [`trace`] tells of it, [`panics`] answers where a
//! handler fails.
//!
//! What they lie around is our own [table of routes](crate::routes) and no router of a library:
//! axum's knows neither paths in which empty segments do not count nor names that are not UTF-8, to
//! what it routes it answers HEAD, 405 and lengths itself, with other headers than Riak's, and as a
//! mere way to a fallback it costs a GET 3 % in clones and boxed futures.
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
mod spelling;
mod then;
mod trace;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use mapring_api::permission::Caller;
use tower::layer::layer_fn;
use tower::{Service, ServiceBuilder, service_fn};

use crate::app::App;
use crate::dispatch::dispatch;
use crate::gzip::Compressors;
use crate::limits;
use answer::{Answer, Counters};
use compress::Compress;
use panics::CatchPanic;
use trace::Trace;

/// What the layers of all connections share.
#[derive(Clone)]
pub(crate) struct Layers {
    app: Arc<App>,
    counters: Arc<Counters>,
    compressors: Compressors,
}

impl Layers {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let compressors = if app.config.gzip { limits::COMPRESSORS } else { 0 };
        Self { app, counters: Arc::default(), compressors: Compressors::new(compressors) }
    }

    /// All layers around the handling of what `caller` asks on one connection.
    pub(crate) fn stack(
        self,
        caller: Caller,
    ) -> impl Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Future<Output = Result<Response<Body>, Infallible>> + Send,
    > + Clone
    + Send {
        let Self { app, counters, compressors } = self;
        ServiceBuilder::new()
            .layer(layer_fn(move |inner| Answer::new(inner, counters.clone())))
            .layer(layer_fn(move |inner| Compress::new(inner, compressors.clone())))
            .layer(layer_fn(Trace::new))
            .layer(layer_fn(CatchPanic::new))
            .service(service_fn(move |request| {
                let (app, caller) = (app.clone(), caller);
                async move { Ok(dispatch(&app, &caller, request).await.into_response()) }
            }))
    }
}
