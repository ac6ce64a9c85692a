//! Deleting an object.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use mapring_types::ObjectId;

use super::check;
use crate::app::{App, Request};
use crate::reply::{Reply, Stop, VARY_ENCODING, media};

pub(super) async fn delete(app: &App, request: &Request, id: &ObjectId) -> Result<Reply, Stop> {
    let options = request.params.object()?;
    let context = check::context(&request.headers)?;
    request.check_origin(app)?;
    options.check_deletion(check::n_val(app, &id.bucket)?)?;
    let unchanged = check::conditions(app, request, id, &options).await?;
    let options = options.deleting(unchanged);
    let pending = app.stats.begin_put();
    let deleted = app.objects.delete(id, context, &options).await;
    pending.put(&deleted);
    if deleted.map_err(|error| check::not_written(request, error))? {
        let reply = Reply::empty(StatusCode::NO_CONTENT);
        Ok(reply.header(CONTENT_TYPE, media::HTML).vary(VARY_ENCODING))
    } else {
        Ok(Reply::not_found().vary(VARY_ENCODING))
    }
}
