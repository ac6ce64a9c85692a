//! What a route is made of. All of them stand in [`routes`](crate::routes).

use futures::future::BoxFuture;
use http::Method;
use mapring_api::permission::{Permission, Target};

use crate::app::{App, Origin, Request, Upload};
use crate::path::Names;
use crate::reply::{Reply, Stop};

/// A path and what can be done with what it names.
#[derive(Debug)]
pub(crate) struct Resource {
    /// See [`path::matches`].
    pub(crate) path: &'static str,
    /// What the header `Allow` says. Besides, a bucket's keys take POST and do not say so: in Riak
    /// the list of keys and the making of objects are two resources.
    pub(crate) allow: &'static str,
    /// What is done, by method.
    pub(crate) actions: &'static [Action],
}

/// A route.
pub(crate) const fn resource(
    path: &'static str,
    allow: &'static str,
    actions: &'static [Action],
) -> Resource {
    Resource { path, allow, actions }
}

// A handler of GET is one of HEAD too: the answer then leaves without its body.
pub(crate) const READ: &[Method] = &[Method::GET, Method::HEAD];
pub(crate) const PUT: &[Method] = &[Method::PUT];
pub(crate) const POST: &[Method] = &[Method::POST];
pub(crate) const DELETE: &[Method] = &[Method::DELETE];

/// What `Allow` says of what can only be looked at.
pub(crate) const READ_METHODS: &str = "GET, HEAD";

/// What is done with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action {
    /// Its methods; none stands for all.
    pub(crate) methods: &'static [Method],
    /// What its caller needs, …
    pub(crate) permission: Permission,
    /// … and on what.
    pub(crate) on: On,
    /// From which web pages it may come.
    pub(crate) origin: Origin,
    /// What it may carry.
    pub(crate) upload: Upload,
    /// The parameters that it has, where others are refused; elsewhere, as in Riak, they count for nothing.
    pub(crate) params: Option<&'static [&'static str]>,
    /// Whether it answers by itself, in words of its own, when the node stops before it is done.
    pub(crate) tells_stop: bool,
    /// Does it.
    pub(crate) handler: Handler,
}

/// A handler, whose work begins when it is awaited.
pub(crate) type Handler =
    for<'a> fn(&'a App, &'a mut Request) -> BoxFuture<'a, Result<Reply, Stop>>;

/// What a permission is needed on, of what a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Nothing of it.
    Cluster,
    /// The bucket type.
    Type,
    /// The bucket.
    Bucket,
}

impl On {
    pub(crate) fn target(self, names: &Names) -> Target<'_> {
        match self {
            Self::Cluster => Target::Cluster,
            Self::Type => Target::Type(&names.bucket.bucket_type),
            Self::Bucket => Target::Bucket(&names.bucket),
        }
    }
}

/// An action that takes nothing, from wherever it comes.
pub(crate) const fn action(
    methods: &'static [Method],
    permission: Permission,
    on: On,
    handler: Handler,
) -> Action {
    let (origin, upload, params, tells_stop) = (Origin::Any, Upload::Nothing, None, false);
    Action { methods, permission, on, origin, upload, params, tells_stop, handler }
}

impl Action {
    pub(crate) const fn own_origin(self) -> Self {
        Self { origin: Origin::Own, ..self }
    }

    pub(crate) const fn own_site(self) -> Self {
        Self { origin: Origin::OwnSite, ..self }
    }

    pub(crate) const fn takes(self, upload: Upload) -> Self {
        Self { upload, ..self }
    }

    /// It has these parameters, and no others.
    pub(crate) const fn asks(self, params: &'static [&'static str]) -> Self {
        Self { params: Some(params), ..self }
    }

    pub(crate) const fn telling_stop(self) -> Self {
        Self { tells_stop: true, ..self }
    }

    pub(crate) fn is_for(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}
