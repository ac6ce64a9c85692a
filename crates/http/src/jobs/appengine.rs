//! The URLs that the pages of App Engine's MapReduce asked, `/mapreduce/command/…`, with its names of
//! members: programs that look at jobs by them go on to do so.
//!
//! What is not done has a status that says so (there it was always 200), and `error_class` and
//! `error_message`. Texts of forms become what a parameter of the named job is.

use http::StatusCode;
use mapring_api::jobs::{self as said, Refusal};
use mapring_jobs::{Config, ParamType};
use mapring_runner::{JobDetail, JobSummary, JobsError, Naming, ShardDetail, StartRequest};
use serde_json::{Map, Value, json};

use super::{list_request, shown};
use crate::app::{App, Request};
use crate::listing::ascii;
use crate::params::Params;
use crate::reply::{Reply, Stop, status_of};

const ID: &str = "mapreduce_id";

/// Members of a form that are the job's and not a parameter's, with what they are called here.
const MEMBERS: [(&str, &str); 3] =
    [("shard_count", "shards"), ("processing_rate", "rate"), ("queue_name", "queue")];

/// `GET list_jobs`.
pub(super) async fn list_jobs(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let listed = app.jobs.list(list_request(request)?).await.map_err(refused)?;
    let jobs: Vec<Value> = listed.jobs.iter().map(listed_job).collect();
    let mut document = json!({ "jobs": jobs });
    if let Some(cursor) = listed.cursor {
        document["cursor"] = cursor.into();
    }
    Ok(shown(StatusCode::OK, &document))
}

fn listed_job(job: &JobSummary) -> Value {
    let mut told = json!({
        "name": job.name,
        ID: job.id,
        "active": job.active,
        "start_timestamp_ms": job.start_timestamp_ms,
        "updated_timestamp_ms": job.updated_timestamp_ms,
        "active_shards": job.active_shards,
        "shards": job.shards,
    });
    if let Some(result) = &job.result_status {
        told["result_status"] = result.as_str().into();
    }
    told
}

/// `GET get_job_detail`.
pub(super) async fn get_job_detail(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let id = needed(&request.params, ID)?;
    let job = app.jobs.show(id).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &job_detail(&job)))
}

fn job_detail(job: &JobDetail) -> Value {
    let shards: Vec<Value> = job.shards.iter().map(shard).collect();
    json!({
        "name": job.name,
        ID: job.id,
        "mapper_spec": {
            "mapper_handler_spec": job.spec["query"],
            "mapper_input_reader": job.spec["inputs"],
            "mapper_output_writer": job.spec["output"],
            "mapper_params": job.spec["params"],
            "mapper_shard_count": job.shard_count,
        },
        "params": job.spec["params"],
        "counters": job.counters,
        "active": job.active,
        "result_status": job.result_status,
        "start_timestamp_ms": job.start_timestamp_ms,
        "updated_timestamp_ms": job.updated_timestamp_ms,
        "chart_data": job.chart.processed,
        "shards": shards,
    })
}

fn shard(shard: &ShardDetail) -> Value {
    json!({
        "shard_number": shard.shard_number,
        "shard_id": shard.shard_id,
        "active": shard.active,
        "result_status": shard.result_status,
        "updated_timestamp_ms": shard.updated_timestamp_ms,
        "shard_description": shard.shard_description,
        "last_work_item": shard.last_work_item,
        "counters": shard.counters,
    })
}

/// `GET list_configs`.
pub(super) async fn list_configs(app: &App, request: &Request) -> Result<Reply, Stop> {
    request.check_origin(app)?;
    let listed = app.jobs.configs(list_request(request)?).await.map_err(refused)?;
    let configs: Vec<Value> = listed.configs.iter().map(listed_config).collect();
    let mut document = json!({ "configs": configs });
    if let Some(cursor) = listed.cursor {
        document["cursor"] = cursor.into();
    }
    Ok(shown(StatusCode::OK, &document))
}

/// A named job, with what is usual for its parameters.
fn listed_config(config: &Value) -> Value {
    let params = config["params"].as_array().into_iter().flatten();
    let params = params
        .filter_map(|param| Some((param["name"].as_str()?.to_owned(), param["default"].clone())));
    json!({ "name": config["name"], "mapper_params": params.collect::<Map<_, _>>() })
}

/// `POST start_job`: a form.
pub(super) async fn start_job(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let form = form(app, request).await?;
    let name = needed(&form, "name")?;
    let config = app.jobs.config(name).await.map_err(refused)?;
    let body = start_of(&config, &form).to_string();
    let job = StartRequest { body: body.into(), name: Naming::New };
    let job = app.jobs.start(job).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &json!({ ID: job.id })))
}

/// What a form starts. Parameters that the named job does not have stay, to be refused by name.
fn start_of(config: &Config, form: &Params) -> Value {
    let mut params = Map::new();
    let mut start = json!({ "config": config.name });
    for (name, text) in form.all() {
        let bare = name.strip_prefix("mapper_params.").or(name.strip_prefix("params."));
        let Some(bare) = bare else { continue };
        let param = config.params.iter().find(|param| param.name == bare);
        let member = MEMBERS.iter().find(|(theirs, _)| *theirs == bare);
        match (param, member) {
            (None, Some((_, ours))) => start[*ours] = typed(text, member_type(ours)),
            (param, _) => {
                let kind = param.map_or(ParamType::String, |param| param.kind);
                params.insert(bare.to_owned(), typed(text, kind));
            }
        }
    }
    start["params"] = Value::Object(params);
    start
}

fn member_type(name: &str) -> ParamType {
    if name == "queue" { ParamType::String } else { ParamType::Number }
}

/// A text of a form as a value of a type; as a text, where it is none, which is refused then.
fn typed(text: &str, kind: ParamType) -> Value {
    let text = text.trim();
    match kind {
        ParamType::String => Value::from(text),
        _ => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    }
}

/// `POST abort_job`: a form.
pub(super) async fn abort_job(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let form = form(app, request).await?;
    let id = needed(&form, ID)?;
    app.jobs.abort(id, None).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &json!({ "status": "Abort signal sent." })))
}

/// `POST cleanup_job`: a form.
pub(super) async fn cleanup_job(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let form = form(app, request).await?;
    let id = needed(&form, ID)?;
    app.jobs.remove(id, false).await.map_err(refused)?;
    Ok(shown(StatusCode::OK, &json!({ "status": format!("Job {id} successfully cleaned up.") })))
}

async fn form(app: &App, request: &mut Request) -> Result<Params, Stop> {
    let held = request.read(app).await?;
    request.check_origin(app)?;
    Ok(Params::parse(Some(&String::from_utf8_lossy(&held.bytes))))
}

fn needed<'p>(params: &'p Params, name: &str) -> Result<&'p str, Stop> {
    let given = params.get(name).filter(|value| !value.is_empty());
    given.ok_or_else(|| refused(JobsError::invalid(name, "is required")))
}

/// The answer to what is not done.
fn refused(error: JobsError) -> Stop {
    let class_name = match &error {
        JobsError::Invalid(_) | JobsError::Query(_) => "ValueError",
        JobsError::NotFound(..) => "KeyError",
        JobsError::Conflict(_) => "Conflict",
        JobsError::Full(_) => "TooMany",
        JobsError::Node(_) => "Unavailable",
    };
    let Refusal { class, .. } = said::refusal(&error);
    let told = json!({ "error_class": class_name, "error_message": error.to_string() });
    Reply::json(status_of(class), ascii(&told.to_string())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_what_parameters_are() {
        let body = br#"{"params":[{"name":"bucket"},{"name":"than","type":"integer"},
            {"name":"filters","type":"list"},{"name":"shard_count","type":"integer"}],
            "job":{"inputs":"b","query":[]}}"#;
        let config = Config::parse("count", body).unwrap();
        let form = "name=count&mapper_params.bucket=7&mapper_params.than=+21&params.filters=%5B%5D\
                    &mapper_params.shard_count=4&mapper_params.processing_rate=100\
                    &mapper_params.queue_name=low&mapper_params.other=x&mapper_handler=m.f";
        let expect = json!({
            "config": "count", "rate": 100, "queue": "low",
            "params": {"bucket": "7", "than": 21, "filters": [], "shard_count": 4, "other": "x"},
        });
        assert_eq!(start_of(&config, &Params::parse(Some(form))), expect);
    }
}
