//! `/stats`: Riak's statistics of this node (facts R36, R240, R241).

use http::StatusCode;
use mapring_api::figures::{ClusterFacts, Figures};
use mapring_cluster::View;
use serde_json::Value;

use crate::app::{App, Request};
use crate::decision;
use crate::listing::ascii;
use crate::reply::{Reply, Stop, VARY_BOTH, media};

/// `/stats`: JSON, or the same a line each for who asks for text.
pub(crate) async fn stats(app: &App, request: &Request) -> Result<Reply, Stop> {
    let chosen = decision::representation(&request.headers, &[media::JSON, media::TEXT])?;
    let document = Value::Object(figures(app).await.document());
    let text = if chosen == media::JSON {
        document.to_string()
    } else {
        serde_json::to_string_pretty(&document).unwrap_or_default()
    };
    Ok(Reply::new(StatusCode::OK, chosen, ascii(&text)).vary(VARY_BOTH))
}

async fn figures(app: &App) -> Figures {
    // The engine and the system look at files.
    let (storage, system) = (app.node.storage.clone(), app.node.system.clone());
    let looked = tokio::task::spawn_blocking(move || (storage(), system())).await;
    let (storage, mut system) = looked.unwrap_or_default();
    let runtime = tokio::runtime::Handle::current().metrics();
    system.tasks = runtime.num_alive_tasks() as u64;
    system.threads = runtime.num_workers() as u64;
    Figures {
        gets: app.stats.gets(),
        puts: app.stats.puts(),
        kv: app.objects.figures(),
        hooks: app.hooks.figures(),
        queries: app.queries.figures(),
        system,
        cluster: cluster(&app.objects.view()),
        engine: storage.engine,
        disk_bytes: storage.disk_bytes,
        body_bytes: app.bodies.taken_bytes(),
        uptime: app.stats.uptime(),
        now: app.node.clock.now_micros() / 1_000_000,
    }
}

fn cluster(view: &View) -> ClusterFacts {
    let plan = view.plan();
    let owned = |id| plan.owned_by(id).count();
    let others = view.up.iter().filter(|&&id| id != view.me);
    let others = others.filter_map(|id| view.state.members.get(id));
    let members = view.state.members.iter();
    let own = view.state.members.get(&view.me);
    ClusterFacts {
        name: own.map(|member| member.name.clone()).unwrap_or_default(),
        connected: others.map(|member| member.name.clone()).collect(),
        members: members.map(|(id, member)| (member.name.clone(), owned(*id))).collect(),
        own_partitions: owned(view.me),
        ring_size: plan.ring_size().get().into(),
    }
}
