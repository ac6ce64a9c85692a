//! Counters of Riak 1.4: `/buckets/B/counters/K`, in buckets of no type (facts R211 to R213). They are data
//! types like others, in a bucket that may hold other objects too.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use mapring_datatypes::{Kind, Op, Update, object};
use mapring_types::{BucketProps, Object};

use super::{hooks, refused};
use crate::app::{App, Request};
use crate::decision;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

fn props(app: &App, request: &Request) -> Result<BucketProps, Stop> {
    let bucket = &request.names.bucket;
    let props = app.objects.view().props(bucket);
    props.ok_or_else(|| Reply::unknown_type(&bucket.bucket_type).into())
}

fn number(object: &Object) -> Result<Reply, Stop> {
    // An object that is none counts as one that nobody has counted.
    let found = object::find(object, Kind::Counter)?.and_then(|counter| counter.number());
    let text = found.unwrap_or(0).to_string();
    Ok(Reply::text(StatusCode::OK, text).vary(VARY_ENCODING))
}

/// `GET`: the number.
pub(crate) async fn get(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = request.object();
    super::names(&id)?;
    let options = request.params.object()?;
    request.check_origin(app)?;
    options.check_read(props(app, request)?.n_val)?;
    decision::representation(&request.headers, &[media::TEXT])?;
    // As in Riak these count as reads and writes of objects (fact R350).
    let pending = app.stats.begin_get();
    let found = app.objects.get(&id, &options.reading()).await;
    pending.got(&found);
    match found?.filter(|object| !object.is_tombstone()) {
        Some(object) => number(&object),
        None => Err(Reply::not_found().into()),
    }
}

/// `POST`: adds the number in the body.
pub(crate) async fn add(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let id = request.object();
    super::names(&id)?;
    let held = request.read(app).await?;
    let text = std::str::from_utf8(&held.bytes).unwrap_or_default();
    let by: i64 = text.parse().map_err(|_| Reply::page(StatusCode::BAD_REQUEST))?;
    let options = request.params.object()?;
    request.check_origin(app)?;
    let props = props(app, request)?;
    decision::representation(&request.headers, &[media::TEXT])?;
    if !props.allow_mult || props.last_write_wins {
        let text = "Counters require bucket property 'allow_mult=true'";
        return Err(Reply::text(StatusCode::CONFLICT, text).into());
    }
    options.check_write(props.n_val)?;
    let pending = app.stats.begin_put();
    let sent = format!("{{\"increment\":{by}}}");
    hooks::before(app, &props, (&id, Kind::Counter), sent.into()).await?;
    let update = Update::new(Op::Counter(by));
    let written = app.objects.update(&id, &update, &options.writing(None)).await;
    pending.put(&written);
    let object = written.map_err(refused)?;
    hooks::after(app, &props, &id, &object).await;
    if request.params.is_true("returnvalue") {
        return number(&object);
    }
    let reply = Reply::empty(StatusCode::NO_CONTENT);
    Ok(reply.header(CONTENT_TYPE, media::TEXT).vary(VARY_ENCODING))
}
