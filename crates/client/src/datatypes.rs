//! Data types: counters, sets, maps and HyperLogLogs, which are changed where they lie and never conflict.
//!
//! Each lies in a bucket of a bucket type that has its kind as `datatype`; counters may also lie in a
//! bucket of no type that keeps siblings. Nothing is repeated here: an update whose answer does not come,
//! [`Error::Timeout`] or [`Error::Broken`], may have been made, and a counter would count it twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::connection::{Answer, Client};
use crate::error::{Error, Result};
use crate::limits;
use crate::object::{Place, bucket_path, escape};

/// A data type of which something can be removed, as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen<T> {
    /// Its value.
    pub value: T,
    /// Stands for what was read: removals that come with it remove that and nothing newer.
    pub context: Option<String>,
}

/// What is to be done to a set. What stands in both is there afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SetChange {
    /// Elements that it loses.
    #[serde(rename = "remove_all", skip_serializing_if = "BTreeSet::is_empty")]
    pub remove: BTreeSet<String>,
    /// Elements that it gets.
    #[serde(rename = "add_all", skip_serializing_if = "BTreeSet::is_empty")]
    pub add: BTreeSet<String>,
}

/// The fields of a map, by their names without the kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapValue {
    /// Numbers that are counted up and down.
    pub counters: BTreeMap<String, i128>,
    /// Whether something is so.
    pub flags: BTreeMap<String, bool>,
    /// Maps within it.
    pub maps: BTreeMap<String, Self>,
    /// Texts, of which the last one counts.
    pub registers: BTreeMap<String, String>,
    /// Sets.
    pub sets: BTreeMap<String, BTreeSet<String>>,
}

/// The kind of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldKind {
    /// One of [`MapValue::counters`].
    Counter,
    /// One of [`MapValue::flags`].
    Flag,
    /// One of [`MapValue::maps`].
    Map,
    /// One of [`MapValue::registers`].
    Register,
    /// One of [`MapValue::sets`].
    Set,
}

/// What is to be done to a map: fields that are not there are made. Removals come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapChange {
    /// Fields that it loses, with all that is in them.
    pub remove: BTreeSet<(String, FieldKind)>,
    /// What is added to counters.
    pub counters: BTreeMap<String, i64>,
    /// What flags become.
    pub flags: BTreeMap<String, bool>,
    /// What is done to maps within it.
    pub maps: BTreeMap<String, Self>,
    /// What registers become.
    pub registers: BTreeMap<String, String>,
    /// What is done to sets.
    pub sets: BTreeMap<String, SetChange>,
}

impl FieldKind {
    /// The word that ends the name of such a field on the wire.
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Flag => "flag",
            Self::Map => "map",
            Self::Register => "register",
            Self::Set => "set",
        }
    }

    fn full(self, name: &str) -> String {
        format!("{name}_{}", self.word())
    }
}

impl Client {
    /// Reads a counter.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nobody has counted, and as for any request; 403 and 404 name what is wrong
    /// with the bucket type.
    pub async fn counter(&self, place: &Place) -> Result<i128> {
        if place.bucket_type.is_none() {
            let text = self.read_datatype(&counter_path(place)).await?;
            return number(&text);
        }
        Ok(self.shown("counter", place).await?.value)
    }

    /// Adds to a counter, also less than nothing; gives what it is then.
    ///
    /// # Errors
    /// As for any request: see the module about those after which it may have counted.
    pub async fn count(&self, place: &Place, by: i64) -> Result<i128> {
        let body = Bytes::from(by.to_string());
        if place.bucket_type.is_none() {
            let path = format!("{}?returnvalue=true", counter_path(place));
            let text = self.change_datatype(&path, body).await?;
            return number(&text);
        }
        let path = format!("{}?returnbody=true", datatype_path(place));
        let text = self.change_datatype(&path, body).await?;
        Ok(Document::read("counter", &text)?.value)
    }

    /// Reads a set.
    ///
    /// # Errors
    /// As [`Client::counter`].
    pub async fn set(&self, place: &Place) -> Result<Seen<BTreeSet<String>>> {
        self.shown("set", place).await
    }

    /// Changes a set. Without a `context` what is removed has to be there, and goes as the node knows it.
    ///
    /// # Errors
    /// As for any request; 500 with `not_present` where it is not there.
    pub async fn change_set(
        &self,
        place: &Place,
        change: &SetChange,
        context: Option<&str>,
    ) -> Result<()> {
        self.update(place, change, context).await
    }

    /// Reads a set of which nothing is removed.
    ///
    /// # Errors
    /// As [`Client::counter`].
    pub async fn gset(&self, place: &Place) -> Result<BTreeSet<String>> {
        Ok(self.shown("gset", place).await?.value)
    }

    /// Adds to a set of which nothing is removed.
    ///
    /// # Errors
    /// As for any request.
    pub async fn add_to_gset(&self, place: &Place, add: BTreeSet<String>) -> Result<()> {
        self.update(place, &SetChange { add, ..SetChange::default() }, None).await
    }

    /// Reads about how many distinct texts were added to a HyperLogLog.
    ///
    /// # Errors
    /// As [`Client::counter`].
    pub async fn hll(&self, place: &Place) -> Result<u64> {
        Ok(self.shown("hll", place).await?.value)
    }

    /// Adds to a HyperLogLog.
    ///
    /// # Errors
    /// As for any request.
    pub async fn add_to_hll(&self, place: &Place, add: BTreeSet<String>) -> Result<()> {
        self.update(place, &SetChange { add, ..SetChange::default() }, None).await
    }

    /// Reads a map.
    ///
    /// # Errors
    /// As [`Client::counter`].
    pub async fn map(&self, place: &Place) -> Result<Seen<MapValue>> {
        self.shown("map", place).await
    }

    /// Changes a map. Without a `context` what is removed has to be there, and goes as the node knows it.
    ///
    /// # Errors
    /// As for any request; 500 with `not_present` where it is not there.
    pub async fn change_map(
        &self,
        place: &Place,
        change: &MapChange,
        context: Option<&str>,
    ) -> Result<()> {
        self.update(place, change, context).await
    }

    async fn shown<T: DeserializeOwned>(&self, kind: &str, place: &Place) -> Result<Seen<T>> {
        let text = self.read_datatype(&datatype_path(place)).await?;
        Document::read(kind, &text)
    }

    async fn read_datatype(&self, path: &str) -> Result<Bytes> {
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(missing(answer).await);
        }
        answer.expect(&[StatusCode::OK]).await?.body.collect(limits::ANSWER_BYTES).await
    }

    async fn update<T: Serialize>(
        &self,
        place: &Place,
        change: &T,
        context: Option<&str>,
    ) -> Result<()> {
        let body = serde_json::to_vec(&Update { change, context }).map_err(Error::form)?;
        self.change_datatype(&datatype_path(place), body.into()).await.map(drop)
    }

    async fn change_datatype(&self, path: &str, body: Bytes) -> Result<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.send(Method::POST, path, headers, body).await?;
        let good = [StatusCode::OK, StatusCode::NO_CONTENT];
        answer.expect(&good).await?.body.collect(limits::ANSWER_BYTES).await
    }
}

fn datatype_path(place: &Place) -> String {
    let bucket_type = place.bucket_type.as_deref().unwrap_or("default");
    let (bucket, key) = (escape(&place.bucket), escape(&place.key));
    format!("/types/{}/buckets/{bucket}/datatypes/{key}", escape(bucket_type))
}

/// Of a counter in a bucket of no type.
fn counter_path(place: &Place) -> String {
    format!("{}/counters/{}", bucket_path(place), escape(&place.key))
}

fn number(text: &[u8]) -> Result<i128> {
    let text = String::from_utf8_lossy(text);
    text.trim().parse().map_err(|_| Error::form(format!("{text:?} is no number")))
}

/// A missing data type, unless the node says that something else is missing.
async fn missing(answer: Answer) -> Error {
    match answer.expect(&[]).await {
        Err(Error::Status { text, .. })
            if text == "not found" || text.contains("\"error\":\"notfound\"") =>
        {
            Error::NotFound
        }
        Err(error) => error,
        Ok(_) => Error::NotFound,
    }
}

/// What a node gives of a data type.
#[derive(Deserialize)]
struct Document<T> {
    #[serde(rename = "type")]
    kind: String,
    value: T,
    context: Option<String>,
}

impl<T: DeserializeOwned> Document<T> {
    fn read(kind: &str, text: &[u8]) -> Result<Seen<T>> {
        let read: Self = serde_json::from_slice(text).map_err(Error::form)?;
        if read.kind != kind {
            return Err(Error::form(format!("it is a {} and no {kind}", read.kind)));
        }
        Ok(Seen { value: read.value, context: read.context })
    }
}

/// What a node is told to do.
#[derive(Serialize)]
struct Update<'a, T> {
    #[serde(flatten)]
    change: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
}

/// What is to be done to a field.
#[derive(Serialize)]
#[serde(untagged)]
enum FieldChange<'a> {
    Counter(i64),
    Flag(&'static str),
    Map(&'a MapChange),
    Register { assign: &'a str },
    Set(&'a SetChange),
}

impl MapChange {
    /// By the full names of the fields.
    fn fields(&self) -> BTreeMap<String, FieldChange<'_>> {
        let counter = |(name, by): (&String, &i64)| {
            (FieldKind::Counter.full(name), FieldChange::Counter(*by))
        };
        let flag = |(name, on): (&String, &bool)| {
            let word = if *on { "enable" } else { "disable" };
            (FieldKind::Flag.full(name), FieldChange::Flag(word))
        };
        let mut fields: BTreeMap<_, _> = self.counters.iter().map(counter).collect();
        fields.extend(self.flags.iter().map(flag));
        for (name, change) in &self.maps {
            fields.insert(FieldKind::Map.full(name), FieldChange::Map(change));
        }
        for (name, assign) in &self.registers {
            fields.insert(FieldKind::Register.full(name), FieldChange::Register { assign });
        }
        for (name, change) in &self.sets {
            fields.insert(FieldKind::Set.full(name), FieldChange::Set(change));
        }
        fields
    }
}

impl Serialize for MapChange {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut object = to.serialize_map(None)?;
        if !self.remove.is_empty() {
            let names: Vec<String> =
                self.remove.iter().map(|(name, kind)| kind.full(name)).collect();
            object.serialize_entry("remove", &names)?;
        }
        object.serialize_entry("update", &self.fields())?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for MapValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_map(Fields)
    }
}

/// Reads fields by their full names.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = MapValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fields of a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> std::result::Result<MapValue, A::Error> {
        let mut map = MapValue::default();
        while let Some(full) = from.next_key::<String>()? {
            let (name, word) = full.rsplit_once('_').unwrap_or((full.as_str(), ""));
            let name = name.to_owned();
            match word {
                "counter" => _ = map.counters.insert(name, from.next_value()?),
                "flag" => _ = map.flags.insert(name, from.next_value()?),
                "map" => _ = map.maps.insert(name, from.next_value()?),
                "register" => _ = map.registers.insert(name, from.next_value()?),
                "set" => _ = map.sets.insert(name, from.next_value()?),
                _ => return Err(A::Error::custom(format!("the field {full:?} is of no kind"))),
            }
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn paths_say_the_type() {
        let place = Place { bucket_type: Some("t/".into()), ..Place::new("b", "k c") };
        assert_eq!(datatype_path(&place), "/types/t%2F/buckets/b/datatypes/k%20c");
        assert_eq!(counter_path(&Place::new("b", "k")), "/buckets/b/counters/k");
    }

    #[test]
    fn changes_are_told_with_their_context() {
        let set = SetChange { add: texts(&["b", "é"]), remove: texts(&["a"]) };
        let told = serde_json::to_string(&Update { change: &set, context: Some("c") }).unwrap();
        assert_eq!(told, r#"{"remove_all":["a"],"add_all":["b","é"],"context":"c"}"#);
        let inner = MapChange {
            registers: [("r".to_owned(), "v".to_owned())].into(),
            ..MapChange::default()
        };
        let map = MapChange {
            remove: [("x".to_owned(), FieldKind::Set)].into(),
            counters: [("c".to_owned(), -3)].into(),
            flags: [("f".to_owned(), true)].into(),
            maps: [("m_n".to_owned(), inner)].into(),
            sets: [("s".to_owned(), set)].into(),
            registers: BTreeMap::new(),
        };
        let told = serde_json::to_string(&Update { change: &map, context: None }).unwrap();
        let expected = concat!(
            r#"{"remove":["x_set"],"update":{"c_counter":-3,"f_flag":"enable","#,
            r#""m_n_map":{"update":{"r_register":{"assign":"v"}}},"#,
            r#""s_set":{"remove_all":["a"],"add_all":["b","é"]}}}"#,
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn values_are_read_by_kind() {
        let most = i128::from(u64::MAX) + 1;
        let text = format!(r#"{{"type":"counter","value":{most}}}"#);
        let read: Seen<i128> = Document::read("counter", text.as_bytes()).unwrap();
        assert_eq!(read, Seen { value: most, context: None });
        let text = br#"{"type":"map","value":{"c_counter":5,"f_flag":false,"r_register":"\u00e9",
            "s_set":["b","a"],"m_map":{"n_map":{"a_b_flag":true}}},"context":"c"}"#;
        let read: Seen<MapValue> = Document::read("map", text).unwrap();
        let flag = MapValue { flags: [("a_b".to_owned(), true)].into(), ..MapValue::default() };
        let within = MapValue { maps: [("n".to_owned(), flag)].into(), ..MapValue::default() };
        let expected = MapValue {
            counters: [("c".to_owned(), 5)].into(),
            flags: [("f".to_owned(), false)].into(),
            maps: [("m".to_owned(), within)].into(),
            registers: [("r".to_owned(), "é".to_owned())].into(),
            sets: [("s".to_owned(), texts(&["a", "b"]))].into(),
        };
        assert_eq!((read.value, read.context.as_deref()), (expected, Some("c")));
    }

    #[test]
    fn other_answers_are_no_data_types() {
        let wrong = |kind: &str, text: &str| {
            Document::<BTreeSet<String>>::read(kind, text.as_bytes()).unwrap_err().to_string()
        };
        assert!(wrong("set", r#"{"type":"gset","value":[]}"#).contains("a gset and no set"));
        assert!(wrong("set", "[]").contains("cannot read the answer"));
        let odd = Document::<MapValue>::read("map", br#"{"type":"map","value":{"x":1}}"#);
        assert!(odd.unwrap_err().to_string().contains("\"x\" is of no kind"));
        assert_eq!(number(b"-5\n").unwrap(), -5);
        assert!(number(b"five").is_err());
    }
}
