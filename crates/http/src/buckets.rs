//! Buckets: lists of buckets and keys, properties (facts R29 to R34).

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, WARNING};
use mapring_cluster::{Change, Outcome};
use mapring_types::props::{self, PropChanges, Unheeded, unheeded};
use mapring_types::{BucketId, BucketProps, limits as shared};
use serde_json::{Map, Value, json};

use crate::app::{App, Request};
use crate::listing::{self, Mode, ascii};
use crate::reply::{Reply, Stop, VARY_ENCODING, media};
use crate::{decision, limits};

/// Properties that are fixed once a bucket or a type exists.
const FIXED: [&str; 3] = ["datatype", "consistent", "write_once"];

fn ready(app: &App, request: &Request) -> Result<(), Stop> {
    request.check_origin(app)?;
    decision::representation(&request.headers, &[media::JSON])?;
    Ok(())
}

fn props_of(app: &App, bucket: &BucketId) -> Result<BucketProps, Stop> {
    let props = app.objects.view().props(bucket);
    props.ok_or_else(|| Reply::unknown_type(&bucket.bucket_type).into())
}

/// `/buckets`, `/riak`, `/types/T/buckets`.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Reply, Stop> {
    let bucket_type = request.names.bucket.bucket_type.clone();
    let timeout = request.params.timeout()?.unwrap_or(shared::LIST_BUCKETS_TIMEOUT);
    props_of(app, &BucketId::typed(bucket_type.clone(), "any"))?;
    ready(app, request)?;
    let names = || app.unless_over_stream(app.objects.list_buckets(bucket_type.clone(), timeout));
    match Mode::of(&request.params, "buckets") {
        // Riak 2 fails here; clients have no use for either.
        Mode::Absent => Ok(Reply::json(StatusCode::OK, "{\"buckets\":[]}").vary(VARY_ENCODING)),
        Mode::Whole => listing::whole("", "buckets", names()).await,
        Mode::Stream => Ok(listing::stream(None, "buckets", names())),
    }
}

/// `…/buckets/B/keys`.
pub(crate) async fn keys(app: &App, request: &Request) -> Result<Reply, Stop> {
    list_keys(app, request, false).await
}

/// `/riak/B`.
pub(crate) async fn old_bucket(app: &App, request: &Request) -> Result<Reply, Stop> {
    let with_props = request.params.get("props") != Some("false");
    list_keys(app, request, with_props).await
}

async fn list_keys(app: &App, request: &Request, with_props: bool) -> Result<Reply, Stop> {
    let bucket = request.names.bucket.clone();
    let timeout = request.params.timeout()?.unwrap_or(shared::REQUEST_TIMEOUT);
    let props = props_of(app, &bucket)?;
    ready(app, request)?;
    let props = with_props.then(|| format!("\"props\":{}", props_json(&props, &bucket)));
    let names = || app.unless_over_stream(app.objects.list_keys(bucket.clone(), timeout));
    match Mode::of(&request.params, "keys") {
        Mode::Absent => {
            let document = format!("{{{}}}", props.unwrap_or_default());
            Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
        }
        Mode::Whole => {
            let before = props.map(|props| props + ",").unwrap_or_default();
            listing::whole(&before, "keys", names()).await
        }
        Mode::Stream => {
            let first = props.map(|props| format!("{{{props}}}"));
            Ok(listing::stream(first, "keys", names()))
        }
    }
}

fn props_json(props: &BucketProps, bucket: &BucketId) -> String {
    let name = String::from_utf8_lossy(&bucket.name);
    ascii(&Value::Object(props.to_json(&name)).to_string())
}

/// `…/buckets/B/props`.
pub(crate) async fn props(app: &App, request: &Request) -> Result<Reply, Stop> {
    let bucket = &request.names.bucket;
    let props = props_of(app, bucket)?;
    ready(app, request)?;
    let document = format!("{{\"props\":{}}}", props_json(&props, bucket));
    Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
}

/// `PUT …/buckets/B/props`, `PUT /riak/B`.
pub(crate) async fn set_props(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let target = Target::Bucket(request.names.bucket.clone());
    write_props(app, request, target).await
}

/// `DELETE …/buckets/B/props`.
pub(crate) async fn reset_props(app: &App, request: &Request) -> Result<Reply, Stop> {
    let bucket = request.names.bucket.clone();
    props_of(app, &bucket)?;
    ready(app, request)?;
    propose(app, Change::ResetBucket { bucket }).await?;
    Ok(changed())
}

/// `PUT /types/T/props`.
pub(crate) async fn set_type_props(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let target = Target::Type(request.names.bucket.bucket_type.clone());
    write_props(app, request, target).await
}

/// `/types/T/props`.
pub(crate) async fn type_props(app: &App, request: &Request) -> Result<Reply, Stop> {
    let name = &request.names.bucket.bucket_type;
    let props = type_properties(app, name).ok_or_else(|| Reply::unknown_type(name))?;
    ready(app, request)?;
    let mut members = props.to_json("");
    members.shift_remove("name");
    members.insert("active".into(), true.into());
    let document = ascii(&json!({ "props": members }).to_string());
    Ok(Reply::json(StatusCode::OK, document).vary(VARY_ENCODING))
}

/// The properties of a bucket type without those of any bucket in it.
fn type_properties(app: &App, name: &[u8]) -> Option<BucketProps> {
    if name == mapring_types::name::DEFAULT_TYPE {
        return Some(BucketProps::default());
    }
    let view = app.objects.view();
    let changes = view.state.bucket_types.get(std::str::from_utf8(name).ok()?)?;
    Some(BucketProps::typed().with(changes))
}

/// `/admin/bucket-types`: the names of all bucket types.
pub(crate) async fn list_types(app: &App) -> Result<Reply, Stop> {
    let view = app.objects.view();
    let created = view.state.bucket_types.keys().map(String::as_str);
    let names: Vec<&str> = std::iter::once("default").chain(created).collect();
    let document = json!({ "bucket_types": names }).to_string();
    Ok(Reply::json(StatusCode::OK, ascii(&document)))
}

/// `PUT /admin/bucket-types/T`: creates a bucket type, in use at once. Creating one that exists
/// with the same properties is no error; other properties are refused, as they are changed under
/// `/types/T/props`.
pub(crate) async fn create_type(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = request.read(app).await?;
    let props = if held.bytes.is_empty() { Ok(Map::new()) } else { parse_props(&held.bytes) };
    let props = props.map_err(|why| {
        let form = "the body must be a JSON object of the form {\"props\":{...}}";
        Reply::bad_request(format!("{form}{why}\n"))
    })?;
    let name = std::str::from_utf8(&request.names.bucket.bucket_type)
        .map_err(|_| Reply::bad_request("the name of a bucket type must be UTF-8\n"))?;
    if ["default", "any"].contains(&name) {
        return Err(Reply::bad_request(format!("the bucket type {name} is reserved\n")).into());
    }
    let changes = check_new_type(&props)?;
    request.check_origin(app)?;
    if let Some(present) = app.objects.view().state.bucket_types.get(name) {
        let differs = changes.0.iter().any(|(prop, value)| present.0.get(prop) != Some(value));
        if differs {
            let text = format!("the bucket type {name} exists with other properties\n");
            return Err(Reply::text(StatusCode::CONFLICT, text).into());
        }
        return Ok(changed());
    }
    let told = tell_unheeded(changed(), &changes, name);
    propose(app, Change::SetBucketType { name: name.to_owned(), changes }).await?;
    Ok(told)
}

fn check_new_type(given: &Map<String, Value>) -> Result<PropChanges, Stop> {
    let refuse =
        |errors: Value| Stop::from(Reply::json(StatusCode::BAD_REQUEST, errors.to_string()));
    let changes = props::check(given).map_err(|errors| refuse(json!(errors)))?;
    let mut errors = relied_upon(&changes);
    errors.extend(unfit_for_datatype(&BucketProps::typed().with(&changes)));
    if errors.is_empty() { Ok(changes) } else { Err(refuse(Value::Object(errors))) }
}

/// What is wrong with the properties of a new bucket type for the data type that it is to have (fact R202).
fn unfit_for_datatype(props: &BucketProps) -> Map<String, Value> {
    let mut errors = Map::new();
    let Some(word) = props.datatype() else { return errors };
    if !props::DATATYPES.contains(&word) {
        let text = format!("{word} not supported for bucket datatype property");
        errors.insert("datatype".into(), text.into());
    }
    if !props.allow_mult {
        errors.insert("allow_mult".into(), "Data Type buckets must be allow_mult=true".into());
    }
    if props.last_write_wins {
        let text = "Data Type buckets must be last_write_wins=false";
        errors.insert("last_write_wins".into(), text.into());
    }
    errors
}

/// What data types need of the properties of what exists, and changes would take from them.
fn changes_datatype(present: &BucketProps, changes: &PropChanges) -> Map<String, Value> {
    let mut errors = Map::new();
    if present.datatype().is_none() {
        return errors;
    }
    let after = present.clone().with(changes);
    if present.allow_mult && !after.allow_mult {
        let text = "Cannot change datatype bucket from allow_mult=true";
        errors.insert("allow_mult".into(), text.into());
    }
    if !present.last_write_wins && after.last_write_wins {
        let text = "Cannot change datatype bucket from last_write_wins=false";
        errors.insert("last_write_wins".into(), text.into());
    }
    if after.hll_precision() > present.hll_precision() {
        // What is there was counted with the lower one.
        errors.insert("hll_precision".into(), "Cannot be increased, only reduced".into());
    }
    errors
}

/// The properties that are refused because whoever sets them relies on them, each with the reason.
fn relied_upon(changes: &PropChanges) -> Map<String, Value> {
    let refused = changes.0.iter().filter_map(|(name, value)| match unheeded(name, value)? {
        Unheeded::Refused(why) => Some((name.clone(), why.into())),
        Unheeded::Stored => None,
    });
    refused.collect()
}

/// Says of properties that were stored and that nothing acts on, to the client and in the log.
fn tell_unheeded(reply: Reply, changes: &PropChanges, whose: &str) -> Reply {
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

    fn present(&self, app: &App) -> Result<BucketProps, Stop> {
        match self {
            Self::Bucket(bucket) => props_of(app, bucket),
            Self::Type(name) => type_properties(app, name).ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                let text = format!("Cannot modify unknown bucket type: {name}");
                Reply::text(StatusCode::NOT_FOUND, text).into()
            }),
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

async fn write_props(app: &App, request: &mut Request, target: Target) -> Result<Reply, Stop> {
    let held = request.read(app).await?;
    let props = parse_props(&held.bytes).map_err(|why| {
        Reply::bad_request(format!(
            "{} PUT must be a JSON object of the form:\n\
             {{\"props\":{{...bucket properties...}}}}{why}",
            target.word()
        ))
    })?;
    let present = target.present(app)?;
    let changes = check_props(&props, &present, target.word())?;
    request.check_origin(app)?;
    decision::json_body(&request.headers)?;
    decision::representation(&request.headers, &[media::JSON])?;
    let whose = target.to_string();
    let reply = tell_unheeded(changed(), &changes, &whose);
    propose(app, target.change(changes)?).await?;
    Ok(reply)
}

/// The properties in a body, or else what to say beside the form that it should have.
fn parse_props(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
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

fn check_props(
    given: &Map<String, Value>,
    present: &BucketProps,
    word: &str,
) -> Result<PropChanges, Stop> {
    let refuse = |errors: Value| Reply::json(StatusCode::BAD_REQUEST, errors.to_string());
    let changes = props::check(given).map_err(|errors| refuse(json!(errors)))?;
    let now = present.to_json("");
    let fixed = FIXED.iter().filter(|name| {
        let absent = if **name == "datatype" { Value::Null } else { Value::Bool(false) };
        changes.0.get(**name).is_some_and(|new| new != now.get(**name).unwrap_or(&absent))
    });
    let fixed = fixed.map(|name| {
        let text = format!("Cannot update {name} on existing {word}");
        ((*name).to_owned(), text.into())
    });
    let mut errors = relied_upon(&changes);
    errors.extend(changes_datatype(present, &changes));
    // Riak's words where there are some.
    errors.extend(fixed);
    if errors.is_empty() { Ok(changes) } else { Err(refuse(Value::Object(errors)).into()) }
}

async fn propose(app: &App, change: Change) -> Result<(), Stop> {
    match app.objects.propose(change).await? {
        Outcome::Applied => Ok(()),
        Outcome::Refused(why) => Err(Reply::bad_request(format!("{why}\n")).into()),
    }
}

fn changed() -> Reply {
    Reply::empty(StatusCode::NO_CONTENT).header(CONTENT_TYPE, media::JSON).vary(VARY_ENCODING)
}

/// `…/keys/K/preflist`: where the replicas of a key belong.
pub(crate) async fn preference_list(app: &App, request: &Request) -> Result<Reply, Stop> {
    let id = request.object();
    let props = props_of(app, &id.bucket)?;
    ready(app, request)?;
    let view = app.objects.view();
    let list = view.preference_list(&id.bucket, &id.key, props.n_val);
    let entries = list.entries.iter().map(|entry| {
        let name = view.state.members.get(&entry.node).map_or("", |member| member.name.as_str());
        json!({ "partition": entry.vnode.0, "node": name, "primary": entry.primary })
    });
    let document = json!({ "preflist": entries.collect::<Vec<_>>() }).to_string();
    Ok(Reply::json(StatusCode::OK, ascii(&document)).vary(VARY_ENCODING))
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
