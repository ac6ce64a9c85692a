//! Objects: GET, HEAD, PUT, POST, DELETE (reference §2).

mod delete;
mod get;
mod put;
mod represent;

use http::Method;
use mapring_types::{BucketId, ObjectId, Quorum, limits};

use crate::decision;
use crate::multipart::random_name;
use crate::reply::{Reply, Stop};
use crate::route::{Style, object_path};
use crate::server::{App, Request};

/// `…/keys/K`, `/riak/B/K`.
pub(crate) async fn object(
    app: &App,
    request: &mut Request,
    id: ObjectId,
    style: Style,
) -> Result<Reply, Stop> {
    decision::allow(&request.method, "HEAD, GET, POST, PUT, DELETE")?;
    check_names(&id)?;
    match request.method {
        Method::PUT | Method::POST => put::put(app, request, &id, style).await,
        Method::DELETE => delete::delete(app, request, &id).await,
        _ => get::get(app, request, &id, style).await,
    }
}

/// `POST` to a bucket: an object with a generated key.
pub(crate) async fn create(
    app: &App,
    request: &mut Request,
    bucket: BucketId,
    style: Style,
) -> Result<Reply, Stop> {
    let id = ObjectId::new(bucket, random_name(app.node.entropy.as_ref()));
    check_names(&id)?;
    let reply = put::put(app, request, &id, style).await?;
    Ok(reply
        .with_status(http::StatusCode::CREATED)
        .header(http::header::LOCATION, object_path(&id, style)))
}

fn check_names(id: &ObjectId) -> Result<(), Stop> {
    let longest = id.key.len().max(id.bucket.name.len()).max(id.bucket.bucket_type.len());
    if longest > limits::KEY_BYTES {
        let text = format!("a name of {longest} bytes is longer than {}\n", limits::KEY_BYTES);
        return Err(Reply::bad_request(text).into());
    }
    Ok(())
}

/// Checks that the bucket type exists and that no quorum asks for more replicas than there are.
fn check_bucket(app: &App, bucket: &BucketId, quorums: &[Quorum]) -> Result<(), Stop> {
    let Some(props) = app.objects.view().props(bucket) else {
        return Err(Reply::unknown_type(&bucket.bucket_type).into());
    };
    let n_val = props.n_val;
    let too_high = |quorum: &Quorum| matches!(quorum, Quorum::Count(count) if *count > n_val);
    if quorums.iter().any(too_high) {
        return Err(Reply::bad_request(format!(
            "Specified w/dw/pw values invalid for bucket n value of {n_val}\n"
        ))
        .into());
    }
    Ok(())
}
