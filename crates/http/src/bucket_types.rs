//! Bucket types as operators make them: `/admin/bucket-types` (fact R278).

use http::StatusCode;
use mapring_cluster::Change;
use mapring_types::BucketProps;
use mapring_types::props::{Existing, PropChanges};
use serde_json::{Map, Value, json};

use crate::app::{App, Request};
use crate::listing::ascii;
use crate::props::{
    changed, check_changes, check_new, parse, propose, tell_unheeded, type_members,
    type_properties, unknown_type,
};
use crate::reply::{Reply, Stop};

/// `/admin/bucket-types`: the names of all bucket types, and of those that are not activated.
pub(crate) async fn list(app: &App) -> Result<Reply, Stop> {
    let view = app.objects.view();
    let types = &view.state.bucket_types;
    let names: Vec<&str> =
        std::iter::once("default").chain(types.keys().map(String::as_str)).collect();
    let is_inactive = |changes: &PropChanges| !BucketProps::typed().with(changes).is_active();
    let inactive = types.iter().filter(|(_, changes)| is_inactive(changes));
    let inactive: Vec<&str> = inactive.map(|(name, _)| name.as_str()).collect();
    let document = json!({ "bucket_types": names, "inactive": inactive }).to_string();
    Ok(Reply::json(StatusCode::OK, ascii(&document)))
}

/// `/admin/bucket-types/T`: whether it can be used, and its properties.
pub(crate) async fn show(app: &App, request: &Request) -> Result<Reply, Stop> {
    let raw = &request.names.bucket.bucket_type;
    let props = type_properties(app, raw).ok_or_else(|| no_such_type(raw))?;
    let document = json!({
        "name": String::from_utf8_lossy(raw),
        "status": if props.is_active() { "active" } else { "created" },
        "props": type_members(app, raw, &props),
    });
    Ok(Reply::json(StatusCode::OK, ascii(&document.to_string())))
}

/// `PUT /admin/bucket-types/T`: creates a bucket type, in use at once unless its properties say
/// `"active":false`. Creating one that exists with the same properties is no error; other properties are
/// refused, as they are changed by a POST.
pub(crate) async fn create(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let given = read(app, request).await?;
    let name = own_name(request)?.to_owned();
    let changes = check_new(&given)?;
    request.check_origin(app)?;
    if let Some(present) = app.objects.view().state.bucket_types.get(&name) {
        let differs = |(prop, value): (&String, &Value)| match prop.as_str() {
            "active" => BucketProps::typed().with(present).is_active() != (*value == true),
            _ => present.0.get(prop) != Some(value),
        };
        if changes.0.iter().any(differs) {
            let text = format!("the bucket type {name} exists with other properties\n");
            return Err(Reply::text(StatusCode::CONFLICT, text).into());
        }
        return Ok(changed());
    }
    let told = tell_unheeded(changed(), &changes, &name);
    propose(app, Change::SetBucketType { name, changes }).await?;
    Ok(told)
}

/// `POST /admin/bucket-types/T`: changes its properties: any while it is not activated.
pub(crate) async fn update(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let mut given = read(app, request).await?;
    let name = own_name(request)?.to_owned();
    let present = known(app, request)?;
    request.check_origin(app)?;
    let changes = if present.is_active() {
        check_changes(&given, &present, Existing::Type)?
    } else {
        // It is activated by name, so that nobody does it in passing.
        given.shift_remove("active");
        // It must hang together with what was set before.
        let set = app.objects.view().state.bucket_types.get(&name).cloned().unwrap_or_default();
        let mut whole = set.0;
        whole.extend(given);
        check_new(&whole)?
    };
    let told = tell_unheeded(changed(), &changes, &name);
    propose(app, Change::SetBucketType { name, changes }).await?;
    Ok(told)
}

/// `POST /admin/bucket-types/T/activate`: it can be used from now on. Once more is no error.
pub(crate) async fn activate(app: &App, request: &Request) -> Result<Reply, Stop> {
    let name = own_name(request)?.to_owned();
    let present = known(app, request)?;
    request.check_origin(app)?;
    if !present.is_active() {
        let changes = PropChanges(Map::from_iter([("active".to_owned(), true.into())]));
        propose(app, Change::SetBucketType { name, changes }).await?;
    }
    Ok(changed())
}

/// `POST /admin/bucket-types/T/reset`: its properties are those of a new type again, but for what cannot
/// change and what has no default.
pub(crate) async fn reset(app: &App, request: &Request) -> Result<Reply, Stop> {
    let name = own_name(request)?.to_owned();
    known(app, request)?;
    request.check_origin(app)?;
    let set = app.objects.view().state.bucket_types.get(&name).cloned().unwrap_or_default();
    let changes = BucketProps::reset(&set);
    propose(app, Change::SetBucketType { name, changes }).await?;
    Ok(changed())
}

/// The properties in the body of a request; none where it has no body.
async fn read(app: &App, request: &mut Request) -> Result<Map<String, Value>, Stop> {
    let held = request.read(app).await?;
    if held.bytes.is_empty() {
        return Ok(Map::new());
    }
    parse(&held.bytes).map_err(|why| {
        let form = "the body must be a JSON object of the form {\"props\":{...}}";
        Reply::bad_request(format!("{form}{why}\n")).into()
    })
}

/// The name in the path, unless no such type can be made or changed.
fn own_name(request: &Request) -> Result<&str, Stop> {
    let raw = &request.names.bucket.bucket_type;
    let name = std::str::from_utf8(raw)
        .map_err(|_| Reply::bad_request("the name of a bucket type must be UTF-8\n"))?;
    if ["default", "any"].contains(&name) {
        return Err(Reply::bad_request(format!("the bucket type {name} is reserved\n")).into());
    }
    Ok(name)
}

fn known(app: &App, request: &Request) -> Result<BucketProps, Stop> {
    let raw = &request.names.bucket.bucket_type;
    type_properties(app, raw).ok_or_else(|| unknown_type(raw))
}

fn no_such_type(name: &[u8]) -> Stop {
    let text = format!("{} is not an existing bucket type\n", String::from_utf8_lossy(name));
    Reply::text(StatusCode::NOT_FOUND, text).into()
}
