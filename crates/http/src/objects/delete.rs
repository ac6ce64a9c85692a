//! Deleting an object.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use mapring_types::{Object, ObjectId};

use super::{check, hooks};
use crate::app::{App, Request};
use crate::decision;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

pub(super) async fn delete(app: &App, request: &Request, id: &ObjectId) -> Result<Reply, Stop> {
    let options = request.params.object()?;
    let context = check::context(&request.headers)?;
    request.check_origin(app)?;
    let props = check::props(app, &id.bucket)?;
    decision::encodings(&request.headers)?;
    let unchanged = check::conditions(app, request, id, &options).await?;
    check::quorums(options.check_deletion(props.n_val))?;
    let (pre, post) = (props.precommit(), props.postcommit());
    let mut known = None;
    if !pre.is_empty() || !post.is_empty() {
        let place = (id, context.as_ref());
        known = hooks::before_deletion(app, &pre, place, &options.reading()).await?;
        if known.is_none() {
            return Ok(Reply::not_found().vary(VARY_ENCODING));
        }
    }
    let options = options.deleting(unchanged);
    let pending = app.stats.begin_put();
    let deleted = app.objects.delete(id, context, &options).await;
    pending.put(&deleted);
    if deleted.map_err(|error| check::not_written(request, error))? {
        if let Some(known) = known {
            hooks::after(app, &props, id, &gone(known)).await;
        }
        let reply = Reply::empty(StatusCode::NO_CONTENT);
        Ok(reply.header(CONTENT_TYPE, media::HTML).vary(VARY_ENCODING))
    } else {
        Ok(Reply::not_found().vary(VARY_ENCODING))
    }
}

/// What was there, as functions see that it was deleted: without bytes, and marked.
fn gone(mut object: Object) -> Object {
    for sibling in &mut object.siblings {
        sibling.deleted = true;
        sibling.metadata.blocks = None;
        sibling.body.clear();
    }
    object
}
