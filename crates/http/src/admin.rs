//! `/`, `/ping`, `/metrics`, `/admin/…` (facts R35, R36).

use futures::future::join_all;
use http::StatusCode;
use http::header::LINK;
use mapring_cluster::{Outcome, View};
use mapring_kv::Progress;
use mapring_types::NodeId;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::app::{App, Request};
use crate::decision;
use crate::health::Facts;
use crate::listing::ascii;
use crate::reply::{Reply, Stop, VARY_BOTH, media};
use crate::{limits, status};

/// The resources with their paths, as clients look them up. Of several paths the first is the one
/// for clients that keep only one.
const RESOURCES: &[(&str, &[&str])] = &[
    ("riak_kv_wm_bucket_type", &["/types"]),
    ("riak_kv_wm_buckets", &["/buckets", "/riak", "/types"]),
    ("riak_kv_wm_counter", &["/buckets"]),
    ("riak_kv_wm_crdt", &["/types"]),
    ("riak_kv_wm_keylist", &["/buckets", "/riak", "/types"]),
    ("riak_kv_wm_mapred", &["/mapred"]),
    ("riak_kv_wm_object", &["/buckets", "/riak", "/types"]),
    ("riak_kv_wm_ping", &["/ping"]),
    ("riak_kv_wm_preflist", &["/buckets", "/types"]),
    ("riak_kv_wm_props", &["/buckets", "/riak", "/types"]),
    ("riak_kv_wm_stats", &["/stats"]),
];

/// `/ping`.
pub(crate) async fn ping(request: &Request) -> Result<Reply, Stop> {
    decision::representation(&request.headers, &[media::HTML])?;
    Ok(Reply::new(StatusCode::OK, media::HTML, "OK"))
}

/// `/`: where the resources are.
pub(crate) async fn root(request: &Request) -> Result<Reply, Stop> {
    let chosen = decision::representation(&request.headers, &[media::HTML, media::JSON])?;
    let body = if chosen == media::JSON {
        let members = RESOURCES
            .iter()
            .filter_map(|(name, paths)| Some(((*name).to_owned(), Value::from(*paths.first()?))));
        Value::Object(members.collect()).to_string()
    } else {
        let items: String = resources()
            .map(|(name, path)| format!("<li><a href=\"{path}\">{name}</a></li>"))
            .collect();
        format!("<html><body><ul>{items}</ul></body></html>")
    };
    let links: Vec<String> =
        resources().map(|(name, path)| format!("<{path}>; rel=\"{name}\"")).collect();
    Ok(Reply::new(StatusCode::OK, chosen, body).header(LINK, links.join(",")).vary(VARY_BOTH))
}

fn resources() -> impl Iterator<Item = (&'static str, &'static str)> {
    RESOURCES.iter().flat_map(|(name, paths)| paths.iter().map(move |path| (*name, *path)))
}

/// `/metrics`, for Prometheus.
pub(crate) async fn metrics(app: &App) -> Result<Reply, Stop> {
    Ok(Reply::new(StatusCode::OK, "text/plain; version=0.0.4", (app.metrics)()))
}

/// `/admin/cluster`.
pub(crate) async fn cluster(app: &App) -> Result<Reply, Stop> {
    let (stale, filling) = tokio::join!(app.objects.stale(), filling(app));
    let view = app.objects.view();
    let known = app.objects.cluster_status();
    let facts = Facts::here(&view, &known, is_live(app));
    let health = facts.stale(&view, &stale).judge();
    let mut document = status::document(&view, &known, &health, &stale, &filling);
    if let Some(members) = document.as_object_mut() {
        members.insert("metadata".to_owned(), json!(app.objects.metadata()));
    }
    Ok(Reply::json(StatusCode::OK, ascii(&document.to_string())))
}

/// How far the incomplete members are, of those that answer.
async fn filling(app: &App) -> Vec<(NodeId, Progress)> {
    let view = app.objects.view();
    let incomplete = view.state.members.iter().filter(|(_, member)| member.incomplete);
    let asked = incomplete.filter(|(id, _)| view.is_up(**id)).map(|(&id, _)| async move {
        let answer = timeout(limits::STATUS_PATIENCE, app.objects.repair_status(id)).await;
        Some((id, answer.ok()?.ok()?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// `/admin/repair/NODE`: how far a node is with filling itself from the others.
pub(crate) async fn repair(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = node_called(&app.objects.view(), &request.names.name)?;
    repair_status(app, id, StatusCode::OK).await
}

/// `POST /admin/repair/NODE`: has the node fill itself.
pub(crate) async fn start_repair(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let id = node_called(&app.objects.view(), &request.names.name)?;
    app.objects.repair(id).await?;
    repair_status(app, id, StatusCode::ACCEPTED).await
}

async fn repair_status(app: &App, id: NodeId, status: StatusCode) -> Result<Reply, Stop> {
    let progress = app.objects.repair_status(id).await?;
    let document = status::repair(&app.objects.view(), id, &progress);
    Ok(Reply::json(status, ascii(&document.to_string())))
}

/// `POST /admin/cluster/choose/NODE`: makes the metadata as that node has it that of all.
pub(crate) async fn choose(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let chosen = app.objects.choose(&String::from_utf8_lossy(&request.names.name)).await?;
    Ok(Reply::json(StatusCode::OK, ascii(&json!(chosen).to_string())))
}

/// `/admin/ready`: whether requests that are sent here can be answered, whatever their keys.
pub(crate) async fn ready(app: &App) -> Result<Reply, Stop> {
    let view = app.objects.view();
    let health = Facts::here(&view, &app.objects.cluster_status(), is_live(app)).judge();
    let mut document = json!({ "ready": health.ready, "state": health.state.word() });
    if !health.ready {
        document["why"] = health.summary.into();
    }
    Ok(Reply::json(yes_or_no(health.ready), ascii(&format!("{document}\n"))))
}

/// `/admin/live`: whether this node serves, whatever becomes of the others.
pub(crate) async fn live(app: &App) -> Result<Reply, Stop> {
    let view = app.objects.view();
    let live = is_live(app) && view.state.members.contains_key(&view.me);
    Ok(Reply::json(yes_or_no(live), format!("{}\n", json!({ "live": live }))))
}

fn yes_or_no(yes: bool) -> StatusCode {
    if yes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn is_live(app: &App) -> bool {
    !app.is_stopping() && (app.node.serving)()
}

/// `/admin/members/NODE`: a DELETE removes a member that has gone for good.
pub(crate) async fn member(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let id = node_called(&app.objects.view(), &request.names.name)?;
    Ok(match app.objects.forget(id).await? {
        Outcome::Applied => Reply::empty(StatusCode::NO_CONTENT),
        Outcome::Refused(reason) => Reply::text(StatusCode::CONFLICT, format!("{reason}\n")),
    })
}

/// The member with that name or identity.
fn node_called(view: &View, node: &[u8]) -> Result<NodeId, Stop> {
    let text = String::from_utf8_lossy(node);
    let by_id = || view.state.members.keys().copied().find(|id| id.to_string() == text);
    view.state.holder(&text).or_else(by_id).ok_or_else(|| {
        Reply::text(StatusCode::NOT_FOUND, format!("there is no node {text}\n")).into()
    })
}
