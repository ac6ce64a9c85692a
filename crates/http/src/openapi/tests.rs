//! The document and the table of routes say the same.

use std::cell::RefCell;
use std::collections::BTreeSet;

use http::Method;
use mapring_api::options::ObjectOptions;
use serde_json::{Value, json};

use super::document;
use super::interface::sample;
use super::operation::names;
use crate::routes;
use crate::tests::Fixture;

const METHODS: [Method; 4] = [Method::GET, Method::PUT, Method::POST, Method::DELETE];

/// The most bytes that the document may have: it stays in memory.
const MOST_BYTES: usize = 1 << 20;

fn described() -> Value {
    json!(document(routes::find))
}

/// Each operation with its path and its method.
fn operations(document: &Value) -> Vec<(&str, Method, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method.as_str().to_lowercase()) {
                found.push((path.as_str(), method, operation));
            }
        }
    }
    found
}

/// The parameters of an operation that are in some place.
fn parameters(operation: &Value, place: &str) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let there = all.filter(|parameter| parameter["in"] == place);
    there.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

/// All that a document refers to.
fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = described();
    let mut found = BTreeSet::new();
    for (path, method, _) in operations(&document) {
        let route = routes::find(&method, &sample(path)).ok();
        let (resource, _) = route.unwrap_or_else(|| panic!("{method} {path} is no route"));
        found.insert((resource.path, method.to_string()));
    }
    let table = routes::all().flat_map(|resource| {
        let methods = resource.actions.iter().flat_map(|action| action.methods);
        // What is asked by HEAD is described with GET.
        let methods = methods.filter(|method| *method != Method::HEAD);
        methods.map(move |method| (resource.path, method.to_string()))
    });
    assert_eq!(found, table.collect());
}

#[test]
fn methods_that_are_not_described_are_refused() {
    let document = described();
    for path in document["paths"].as_object().unwrap().keys() {
        let item = &document["paths"][path];
        for method in METHODS {
            let is_described = item.get(method.as_str().to_lowercase()).is_some();
            let found = routes::find(&method, &sample(path));
            // A walk has an action for all others, which refuses them in its own words.
            let taken = found.is_ok_and(|(_, action)| !action.methods.is_empty());
            assert_eq!(taken, is_described, "{method} {path}");
        }
    }
}

#[test]
fn operations_are_whole() {
    let document = described();
    let mut ids = BTreeSet::new();
    let tags: Vec<&Value> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{method} {path}: {id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{id}");
        assert!(tags.contains(&&operation["tags"][0]), "{id}");
        let expect: BTreeSet<String> = names(path).map(str::to_owned).collect();
        assert_eq!(parameters(operation, "path"), expect, "{id}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let what = parameter["description"].as_str().unwrap_or_default();
            assert!(!what.is_empty(), "{id}: {}", parameter["name"]);
            assert!(parameter["schema"].is_object(), "{id}: {}", parameter["name"]);
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.is_empty(), "{id}");
        for (status, response) in responses {
            assert!(matches!(status.parse(), Ok(200_u16..=599)), "{id}: {status}");
            let told = response["description"].is_string() || response["$ref"].is_string();
            assert!(told, "{id}: {status}");
        }
    }
}

#[test]
fn what_is_referred_to_is_there_and_what_is_there_is_referred_to() {
    let document = described();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference} is not there");
    }
    for (kind, there) in document["components"].as_object().unwrap() {
        for name in there.as_object().unwrap().keys() {
            let place = format!("#/components/{kind}/{name}");
            // What is answered to a method that is not described is told of the whole.
            let needed = found.contains(place.as_str()) || name == "E405" || name == "JobEvent";
            assert!(needed, "{place} is not referred to");
        }
    }
}

/// Where others are refused, all parameters are described, and no others.
#[test]
fn parameters_are_those_that_are_known() {
    let document = described();
    for (path, method, operation) in operations(&document) {
        let (_, action) = routes::find(&method, &sample(path)).ok().unwrap();
        let Some(known) = action.params else { continue };
        let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(parameters(operation, "query"), known, "{method} {path}");
    }
}

#[test]
fn parameters_of_objects_are_those_that_are_read() {
    let asked = RefCell::new(BTreeSet::new());
    let options = ObjectOptions::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    assert_eq!(options.unwrap(), ObjectOptions::default());
    let document = described();
    let item = &document["paths"]["/buckets/{bucket}/keys/{key}"];
    let mut described = BTreeSet::new();
    for method in ["get", "put", "delete"] {
        described.extend(parameters(&item[method], "query"));
    }
    let own = |name: &str| described.remove(name);
    assert!(["vtag", "returnbody"].map(own).iter().all(|there| *there));
    assert_eq!(described, asked.into_inner());
}

#[test]
fn a_body_is_described_where_one_is_taken() {
    let document = described();
    for (path, method, operation) in operations(&document) {
        let (_, action) = routes::find(&method, &sample(path)).ok().unwrap();
        let takes = action.upload != crate::app::Upload::Nothing;
        assert_eq!(operation.get("requestBody").is_some(), takes, "{method} {path}");
        let most = operation["requestBody"]["x-max-bytes"].as_u64().unwrap_or_default();
        assert_eq!(most, action.upload.most_bytes() as u64, "{method} {path}");
    }
}

#[tokio::test]
async fn the_document_is_served_and_known_again() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let found = client.get("/openapi.json").await;
    assert_eq!((found.status, found.header("content-type")), (200, Some("application/json")));
    let text = found.text();
    assert!(text.is_ascii() && text.len() < MOST_BYTES, "{} bytes", text.len());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document, described());
    let tag = found.header("etag").unwrap().to_owned();
    let given = format!("If-None-Match: {tag}");
    let same = client.request("GET", "/openapi.json", &[given.as_str()], b"").await;
    assert_eq!((same.status, same.header("etag")), (304, Some(tag.as_str())));
    let other = client.request("GET", "/openapi.json", &["If-None-Match: \"x\""], b"").await;
    assert_eq!(other.status, 200);
}
