//! `/admin/workers`: what this node does in the background, how fast, and in what jail functions run.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::app::{App, Request};
use crate::decision;
use crate::listing::ascii;
use crate::reply::{Reply, Stop};

/// What can be set of a worker.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    throttle: u32,
}

/// `/admin/workers`.
pub(crate) async fn list(app: &App) -> Result<Reply, Stop> {
    let view = app.objects.view();
    let node = view.state.members.get(&view.me).map(|member| member.name.as_str());
    let document = json!({
        "node": node,
        "workers": app.objects.workers(),
        "sandbox": (app.node.sandbox)(),
    });
    Ok(Reply::json(StatusCode::OK, ascii(&document.to_string())))
}

/// `PUT /admin/workers/NAME`: sets how many times as long as it has worked a worker rests.
pub(crate) async fn throttle(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = request.read(app).await?;
    request.check_origin(app)?;
    decision::json_body(&request.headers)?;
    let settings: Settings = serde_json::from_slice(&held.bytes).map_err(|error| {
        let form = r#"a worker PUT must be a JSON object of the form {"throttle": TIMES}"#;
        Reply::bad_request(format!("{form}: {error}"))
    })?;
    let name = String::from_utf8_lossy(&request.names.name).into_owned();
    let status = app.objects.throttle(&name, settings.throttle)?;
    Ok(Reply::json(StatusCode::OK, ascii(&json!(status).to_string())))
}
