//! The routes of jobs.

use mapring_api::permission::Permission;

use super::{appengine, events, named, pipelines, results};
use crate::app::Upload;
use crate::route::{
    Action, DELETE, Handler, On, POST, PUT, READ, READ_METHODS, Resource, action, resource,
};

/// What is looked at by those who may start jobs. It holds what users store, so no page of somebody
/// else gets it.
const fn seen(handler: Handler) -> Action {
    action(READ, Permission::MapReduce, On::Cluster, handler).own_origin().asks(&[])
}

/// The parameters of a list.
const LIST: &[&str] = &["count", "cursor", "state", "name"];
/// … of one by names …
const BY_NAME: &[&str] = &["count", "cursor"];
/// … of a start …
const STARTS: &[&str] = &[super::DRY_RUN];
/// … and of what removes something that may be active.
const REMOVES: &[&str] = &["abort"];

const START: Action = action(POST, Permission::MapReduce, On::Cluster, |app, request| {
    Box::pin(super::start(app, request))
})
.own_origin()
.takes(Upload::Job)
.asks(STARTS);

const JOBS: &[Action] =
    &[seen(|app, request| Box::pin(super::list(app, request))).asks(LIST), START];

const JOB: &[Action] = &[
    seen(|app, request| Box::pin(super::show(app, request))),
    action(PUT, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(super::start_as(app, request))
    })
    .own_origin()
    .takes(Upload::Job)
    .asks(STARTS),
    action(DELETE, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(super::remove(app, request))
    })
    .own_origin()
    .asks(REMOVES),
];

const ABORT: &[Action] = &[action(POST, Permission::MapReduce, On::Cluster, |app, request| {
    Box::pin(super::abort(app, request))
})
.own_origin()
.takes(Upload::Message)
.asks(&[])];

const CONFIG: &[Action] = &[
    seen(|app, request| Box::pin(named::config(app, request))),
    action(PUT, Permission::Administer, On::Cluster, |app, request| {
        Box::pin(named::put_config(app, request))
    })
    .own_origin()
    .takes(Upload::Job)
    .asks(&[]),
    action(DELETE, Permission::Administer, On::Cluster, |app, request| {
        Box::pin(named::remove_config(app, request))
    })
    .own_origin()
    .asks(&[]),
];

const SCHEDULE: &[Action] = &[
    seen(|app, request| Box::pin(named::schedule(app, request))),
    action(PUT, Permission::Administer, On::Cluster, |app, request| {
        Box::pin(named::put_schedule(app, request))
    })
    .own_origin()
    .takes(Upload::Job)
    .asks(&[]),
    action(DELETE, Permission::Administer, On::Cluster, |app, request| {
        Box::pin(named::remove_schedule(app, request))
    })
    .own_origin()
    .asks(&[]),
];

const PIPELINES: &[Action] = &[
    seen(|app, request| Box::pin(pipelines::list(app, request))).asks(LIST),
    action(POST, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(pipelines::start(app, request))
    })
    .own_origin()
    .takes(Upload::Job)
    .asks(STARTS),
];

const PIPELINE: &[Action] = &[
    seen(|app, request| Box::pin(pipelines::show(app, request))),
    action(PUT, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(pipelines::start_as(app, request))
    })
    .own_origin()
    .takes(Upload::Job)
    .asks(STARTS),
    action(DELETE, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(pipelines::remove(app, request))
    })
    .own_origin()
    .asks(REMOVES),
];

const ABORT_PIPELINE: &[Action] =
    &[action(POST, Permission::MapReduce, On::Cluster, |app, request| {
        Box::pin(pipelines::abort(app, request))
    })
    .own_origin()
    .takes(Upload::Message)
    .asks(&[])];

/// Whoever starts a pipeline does not consent to its steps.
const APPROVE: &[Action] = &[action(POST, Permission::Administer, On::Cluster, |app, request| {
    Box::pin(pipelines::approve(app, request))
})
.own_origin()
.asks(&[])];

/// What App Engine's pages looked at, with whatever parameters.
const fn looked(handler: Handler) -> Action {
    action(READ, Permission::MapReduce, On::Cluster, handler).own_origin()
}

/// What a form of App Engine's does.
const fn form(handler: Handler) -> Action {
    action(POST, Permission::MapReduce, On::Cluster, handler).own_origin().takes(Upload::Message)
}

const CHANGED_METHODS: &str = "GET, HEAD, PUT, DELETE";

/// See [`crate::routes`].
pub(crate) static ROUTES: &[Resource] = &[
    resource("/jobs", "GET, HEAD, POST", JOBS),
    resource("/jobs/{name}", CHANGED_METHODS, JOB),
    resource(
        "/jobs/{name}/results",
        READ_METHODS,
        const {
            &[seen(|app, request| Box::pin(results::results(app, request)))
                .asks(&["chunked"])
                .telling_stop()]
        },
    ),
    resource(
        "/jobs/{name}/errors",
        READ_METHODS,
        const { &[seen(|app, request| Box::pin(super::errors(app, request)))] },
    ),
    resource(
        "/jobs/{name}/events",
        READ_METHODS,
        const { &[seen(|app, request| Box::pin(events::events(app, request))).asks(&["after"])] },
    ),
    resource("/jobs/{name}/abort", "POST", ABORT),
    resource(
        "/job-configs",
        READ_METHODS,
        const { &[seen(|app, request| Box::pin(named::configs(app, request))).asks(BY_NAME)] },
    ),
    resource("/job-configs/{name}", CHANGED_METHODS, CONFIG),
    resource(
        "/schedules",
        READ_METHODS,
        const { &[seen(|app, request| Box::pin(named::schedules(app, request))).asks(BY_NAME)] },
    ),
    resource("/schedules/{name}", CHANGED_METHODS, SCHEDULE),
    resource("/pipelines", "GET, HEAD, POST", PIPELINES),
    resource("/pipelines/{name}", CHANGED_METHODS, PIPELINE),
    resource("/pipelines/{name}/abort", "POST", ABORT_PIPELINE),
    resource("/pipelines/{name}/steps/{step}/approve", "POST", APPROVE),
    resource(
        "/mapreduce/command/list_jobs",
        READ_METHODS,
        const { &[looked(|app, request| Box::pin(appengine::list_jobs(app, request)))] },
    ),
    resource(
        "/mapreduce/command/get_job_detail",
        READ_METHODS,
        const { &[looked(|app, request| Box::pin(appengine::get_job_detail(app, request)))] },
    ),
    resource(
        "/mapreduce/command/list_configs",
        READ_METHODS,
        const { &[looked(|app, request| Box::pin(appengine::list_configs(app, request)))] },
    ),
    resource(
        "/mapreduce/command/start_job",
        "POST",
        const { &[form(|app, request| Box::pin(appengine::start_job(app, request)))] },
    ),
    resource(
        "/mapreduce/command/abort_job",
        "POST",
        const { &[form(|app, request| Box::pin(appengine::abort_job(app, request)))] },
    ),
    resource(
        "/mapreduce/command/cleanup_job",
        "POST",
        const { &[form(|app, request| Box::pin(appengine::cleanup_job(app, request)))] },
    ),
];
