//! Properties of buckets and bucket types (facts R29 to R32, R274 to R277).

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, WARNING};
use mapring_cluster::{Change, Outcome};
use mapring_types::props::{self, Existing, PropChanges, PropErrors, Unheeded, unheeded};
use mapring_types::{BucketId, BucketProps};
use serde_json::{Map, Value, json};

use crate::app::{App, Request};
use crate::listing::ascii;
use crate::reply::{Reply, Stop, VARY_ENCODING, media};
use crate::{decision, limits};

/// Looks at what may be wrong with a request for JSON.
pub(crate) fn ready(app: &App, request: &Request) -> Result<(), Stop> {
    request.check_origin(app)?;
    decision::representation(&request.headers, &[media::JSON])?;
    Ok(())
}

/// The properties of a bucket, or a page that there is no such type.
pub(crate) fn props_of(app: &App, bucket: &BucketId) -> Result<BucketProps, Stop> {
    let props = app.objects.view().props(bucket);
    props.ok_or_else(|| Reply::missing_type(&bucket.bucket_type).into())
}

/// The properties of a bucket as JSON.
pub(crate) fn props_json(app: &App, props: &BucketProps, bucket: &BucketId) -> String {
    let name = String::from_utf8_lossy(&bucket.name);
    let mut members = props.to_json(&name);
    if !bucket.is_untyped() {
        members.insert("claimant".into(), claimant(app).into());
    }
    ascii(&Value::Object(members).to_string())
}

/// What Riak shows of who decides about a bucket type: the node that leads the metadata, or else this
/// one.
fn claimant(app: &App) -> String {
    let view = app.objects.view();
    let leader = app.objects.cluster_status().leader;
    let leads = |id: &mapring_types::NodeId| leader.as_ref() == Some(&id.to_string());
    let id = view.state.members.keys().copied().find(|id| leads(id)).unwrap_or(view.me);
    view.state.members.get(&id).map(|member| member.name.clone()).unwrap_or_default()
}

/// `…/buckets/B/props`.
pub(crate) async fn get(app: &App, request: &Request) -> Result<Reply, Stop> {
    let bucket = &request.names.bucket;
    ready(app, request)?;
    let props = props_of(app, bucket)?;
    let document = format!("{{\"props\":{}}}", props_json(app, &props, bucket));
    Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
}

/// `PUT …/buckets/B/props`, `PUT /riak/B`.
pub(crate) async fn set(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let target = Target::Bucket(request.names.bucket.clone());
    write(app, request, target).await
}

/// `DELETE …/buckets/B/props`.
pub(crate) async fn reset(app: &App, request: &Request) -> Result<Reply, Stop> {
    let bucket = request.names.bucket.clone();
    ready(app, request)?;
    props_of(app, &bucket)?;
    propose(app, Change::ResetBucket { bucket }).await?;
    Ok(changed())
}

/// `/types/T/props`.
pub(crate) async fn get_type(app: &App, request: &Request) -> Result<Reply, Stop> {
    let name = &request.names.bucket.bucket_type;
    ready(app, request)?;
    let props = type_properties(app, name).filter(BucketProps::is_active);
    let props = props.ok_or_else(|| Reply::missing_type(name))?;
    let document = ascii(&json!({ "props": type_members(app, name, &props) }).to_string());
    Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
}

/// What is shown of the properties of a type.
pub(crate) fn type_members(app: &App, name: &[u8], props: &BucketProps) -> Map<String, Value> {
    let mut members = props.to_json("");
    members.shift_remove("name");
    if name != mapring_types::name::DEFAULT_TYPE {
        members.insert("claimant".into(), claimant(app).into());
    }
    members
}

/// `PUT /types/T/props`.
pub(crate) async fn set_type(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let target = Target::Type(request.names.bucket.bucket_type.clone());
    write(app, request, target).await
}

/// The properties of a bucket type without those of any bucket in it, also of one that is not activated.
pub(crate) fn type_properties(app: &App, name: &[u8]) -> Option<BucketProps> {
    if name == mapring_types::name::DEFAULT_TYPE {
        return Some(BucketProps::default());
    }
    let view = app.objects.view();
    let changes = view.state.bucket_types.get(std::str::from_utf8(name).ok()?)?;
    Some(BucketProps::typed().with(changes))
}

/// Whose properties are written.
enum Target {
    Bucket(BucketId),
    Type(Bytes),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bucket(bucket) => bucket.fmt(f),
            Self::Type(name) => f.write_str(&String::from_utf8_lossy(name)),
        }
    }
}

impl Target {
    fn word(&self) -> &'static str {
        match self {
            Self::Bucket(_) => "bucket",
            Self::Type(_) => "bucket type",
        }
    }

    fn existing(&self) -> Existing {
        match self {
            Self::Bucket(bucket) if bucket.is_untyped() => Existing::UntypedBucket,
            Self::Bucket(_) => Existing::TypedBucket,
            Self::Type(_) => Existing::Type,
        }
    }

    fn present(&self, app: &App) -> Result<BucketProps, Stop> {
        match self {
            Self::Bucket(bucket) => props_of(app, bucket),
            Self::Type(name) => {
                let props = type_properties(app, name).filter(BucketProps::is_active);
                props.ok_or_else(|| unknown_type(name))
            }
        }
    }

    fn change(self, changes: PropChanges) -> Result<Change, Stop> {
        match self {
            Self::Bucket(bucket) => Ok(Change::SetBucket { bucket, changes }),
            Self::Type(name) if name == mapring_types::name::DEFAULT_TYPE => {
                let text = "the properties of the bucket type default cannot be changed\n";
                Err(Reply::text(StatusCode::FORBIDDEN, text).into())
            }
            Self::Type(name) => {
                let name = String::from_utf8_lossy(&name).into_owned();
                Ok(Change::SetBucketType { name, changes })
            }
        }
    }
}

/// 404 for a change of a type that there is not.
pub(crate) fn unknown_type(name: &[u8]) -> Stop {
    let name = String::from_utf8_lossy(name);
    let text = format!("Cannot modify unknown bucket type: {name}");
    Reply::text(StatusCode::NOT_FOUND, text).into()
}

/// In Riak's order: the form comes before all else, and what the properties are after it.
async fn write(app: &App, request: &mut Request, target: Target) -> Result<Reply, Stop> {
    let held = request.read(app).await?;
    let props = parse(&held.bytes).map_err(|why| {
        Reply::bad_request(format!(
            "{} PUT must be a JSON object of the form:\n\
             {{\"props\":{{...bucket properties...}}}}{why}",
            target.word()
        ))
    })?;
    ready(app, request)?;
    let present = target.present(app)?;
    decision::json_body(&request.headers).map_err(|stop| stop.on_a_page().vary(VARY_ENCODING))?;
    let changes = check_changes(&props, &present, target.existing())?;
    let whose = target.to_string();
    let reply = tell_unheeded(changed(), &changes, &whose);
    propose(app, target.change(changes)?).await?;
    Ok(reply)
}

/// The properties in a body, or else what to say beside the form that it should have.
pub(crate) fn parse(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let mut body: Value = serde_json::from_slice(body).map_err(|error| {
        // It may have the form, but the parser bounds its own stack.
        let too_deep = error.to_string().starts_with("recursion limit");
        if too_deep { "\nIts arrays and objects are nested too deeply." } else { "" }
    })?;
    match body.get_mut("props").map(Value::take) {
        Some(Value::Object(props)) => Ok(props),
        _ => Err(""),
    }
}

/// The changes that are asked of what has the properties `present`.
pub(crate) fn check_changes(
    given: &Map<String, Value>,
    present: &BucketProps,
    existing: Existing,
) -> Result<PropChanges, Stop> {
    let mut changes = props::check(given).map_err(|errors| refuse(&errors))?;
    // What says no more than what is so anyway need not be kept.
    if existing != Existing::Type {
        changes.0.shift_remove("active");
    }
    let mut errors = relied_upon(&changes);
    // Riak's words where there are some.
    errors.extend(props::check_update(present, &changes, existing).err().unwrap_or_default());
    if errors.is_empty() { Ok(changes) } else { Err(refuse(&errors)) }
}

/// As [`check_changes`], of a type that is to be created, or can still become anything.
pub(crate) fn check_new(given: &Map<String, Value>) -> Result<PropChanges, Stop> {
    let changes = props::check_new(given).map_err(|errors| refuse(&errors))?;
    let errors = relied_upon(&changes);
    if errors.is_empty() { Ok(changes) } else { Err(refuse(&errors)) }
}

fn refuse(errors: &PropErrors) -> Stop {
    let reply = Reply::json(StatusCode::BAD_REQUEST, ascii(&json!(errors).to_string()));
    reply.vary(VARY_ENCODING).into()
}

/// The properties that are refused because whoever sets them relies on them, each with the reason.
fn relied_upon(changes: &PropChanges) -> PropErrors {
    let refused = changes.0.iter().filter_map(|(name, value)| match unheeded(name, value)? {
        Unheeded::Refused(why) => Some((name.clone(), why.to_owned())),
        Unheeded::Stored => None,
    });
    refused.collect()
}

/// Says of properties that were stored and that nothing acts on, to the client and in the log.
pub(crate) fn tell_unheeded(reply: Reply, changes: &PropChanges, whose: &str) -> Reply {
    let stored = changes.0.iter().filter(|(name, value)| unheeded(name, value).is_some());
    let Some(names) = named(stored.map(|(name, _)| name.as_str())) else { return reply };
    let whose = whose.escape_debug().to_string();
    tracing::warn!(whose, properties = names, "properties are stored that nothing acts on");
    reply.header(WARNING, format!("299 mapring \"stored, but nothing acts on: {names}\""))
}

/// A list of names for a header; `None` when there are none. Names may hold anything and be many.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let (mut list, mut more) = (String::new(), 0);
    for name in names {
        if list.len() + name.len() > limits::WARNING_BYTES {
            more += 1;
            continue;
        }
        list.push_str(if list.is_empty() { "" } else { ", " });
        list.extend(name.chars().map(|letter| if plain(letter) { letter } else { '?' }));
    }
    match (list.is_empty(), more) {
        (true, 0) => None,
        (_, 0) => Some(list),
        (true, _) => Some(format!("{more} with long names")),
        (false, _) => Some(format!("{list} and {more} more")),
    }
}

/// Has the cluster decide about a change.
pub(crate) async fn propose(app: &App, change: Change) -> Result<(), Stop> {
    match app.objects.propose(change).await? {
        Outcome::Applied => Ok(()),
        Outcome::Refused(why) => Err(Reply::bad_request(format!("{why}\n")).into()),
    }
}

/// 204 for what was changed.
pub(crate) fn changed() -> Reply {
    Reply::empty(StatusCode::NO_CONTENT).header(CONTENT_TYPE, media::JSON).vary(VARY_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_fit_into_a_header() {
        let long = "x".repeat(limits::WARNING_BYTES + 1);
        let many: Vec<String> = (0..10_000).map(|number| format!("name{number}")).collect();
        let named = |names: &[&str]| named(names.iter().copied());
        assert_eq!(named(&[]), None);
        assert_eq!(named(&["backend", "a\r\nb\"é"]).unwrap(), "backend, a??b??");
        assert_eq!(named(&[&long]).unwrap(), "1 with long names");
        assert_eq!(named(&[&long, "search"]).unwrap(), "search and 1 more");
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let list = named(&many).unwrap();
        assert!(list.len() < 2 * limits::WARNING_BYTES && list.ends_with(" more"), "{list}");
    }
}
