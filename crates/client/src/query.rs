//! MapReduce.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::connection::{Answer, Body, Client};
use crate::error::{Error, QueryFailure, Result};
use crate::limits;
use crate::multipart::{Item, Parser};

/// Some results of one phase.
#[derive(Debug, Deserialize)]
pub struct Part {
    /// The phase, from 0.
    pub phase: usize,
    /// The results, each as JSON text. Pairs, which a node sends as the members of one object, are
    /// objects with one member.
    #[serde(deserialize_with = "values")]
    pub data: Vec<Box<RawValue>>,
    /// Inputs that were left out (`on_error`), each a JSON object as failures are.
    #[serde(default)]
    pub skipped: Vec<Box<RawValue>>,
    /// What the query cost, when it was asked for (`profile`).
    #[serde(default)]
    pub profile: Option<Box<RawValue>>,
}

/// Reads a list, or an object member by member: names may come more than once.
fn values<'de, D: Deserializer<'de>>(data: D) -> std::result::Result<Vec<Box<RawValue>>, D::Error> {
    struct Values;

    impl<'de> Visitor<'de> for Values {
        type Value = Vec<Box<RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list or an object of results")
        }

        fn visit_seq<A: SeqAccess<'de>>(
            self,
            mut list: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = list.next_element()? {
                values.push(value);
            }
            Ok(values)
        }

        fn visit_map<A: MapAccess<'de>>(
            self,
            mut members: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut values = Vec::new();
            while let Some((name, value)) = members.next_entry::<String, Box<RawValue>>()? {
                let name = serde_json::Value::from(name);
                let pair = RawValue::from_string(format!("{{{name}:{value}}}"));
                values.push(pair.map_err(serde::de::Error::custom)?);
            }
            Ok(values)
        }
    }

    data.deserialize_any(Values)
}

/// The results of a query as they come. Dropping it ends the query.
pub struct Parts {
    body: Body,
    parser: Parser,
    id: Option<String>,
}

impl Client {
    /// Runs a query (a JSON document) and waits for its whole answer, a JSON document.
    ///
    /// # Errors
    /// [`Error::Query`] when it fails, [`Error::Status`] 400 when it cannot be read.
    pub async fn mapred(&self, query: impl Into<Bytes>) -> Result<Bytes> {
        let answer = self.post_query("/mapred", query.into()).await?;
        answer.body.collect(limits::ANSWER_BYTES).await
    }

    /// Runs a query whose results are sent as they are found.
    ///
    /// # Errors
    /// As [`Client::mapred`]; most failures come later, by [`Parts::next`].
    pub async fn mapred_chunked(&self, query: impl Into<Bytes>) -> Result<Parts> {
        Parts::of(self.post_query("/mapred?chunked=true", query.into()).await?)
    }

    async fn post_query(&self, path: &str, query: Bytes) -> Result<Answer> {
        // A query may find nothing to send for as long as its own deadline.
        let patience = deadline(&query).saturating_add(Duration::from_secs(10));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.send_with_patience(Method::POST, path, headers, query, patience).await?;
        match answer.expect(&[StatusCode::OK]).await {
            Err(Error::Status { status, text }) => match serde_json::from_str(&text) {
                Ok(failure) => Err(Error::Query(Box::new(failure))),
                Err(_) => Err(Error::Status { status, text }),
            },
            other => other,
        }
    }
}

/// How long the query asks to be given.
fn deadline(query: &[u8]) -> Duration {
    #[derive(Deserialize)]
    struct Timeout {
        timeout: Option<f64>,
    }
    let asked = serde_json::from_slice(query).ok().and_then(|timeout: Timeout| timeout.timeout);
    asked
        .filter(|millis| *millis > 0.0)
        .and_then(|millis| Duration::try_from_secs_f64(millis / 1_000.0).ok())
        .unwrap_or(mapring_types::limits::REQUEST_TIMEOUT)
        .min(mapring_types::limits::MAX_TIMEOUT)
}

impl Parts {
    pub(crate) fn of(answer: Answer) -> Result<Self> {
        let content_type = answer.header(header::CONTENT_TYPE).unwrap_or_default();
        let parser = Parser::new(content_type)?;
        let id = answer.header(HeaderName::from_static("x-query-id")).map(str::to_owned);
        Ok(Self { body: answer.body, parser, id })
    }

    /// The query's id, by which it can be looked at and ended.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The next results, `None` when the query is complete.
    ///
    /// # Errors
    /// [`Error::Query`] when the query failed: what came before is then not all.
    pub async fn next(&mut self) -> Result<Option<Part>> {
        loop {
            match self.parser.next()? {
                Some(Item::Part(json)) => {
                    return serde_json::from_slice(&json).map(Some).map_err(Error::form);
                }
                Some(Item::Failure(json)) => return Err(failure(&json)),
                Some(Item::End) => {
                    // To the end of the body, so that the connection can be used again.
                    while self.body.next().await?.is_some() {}
                    return Ok(None);
                }
                None => match self.body.next().await? {
                    Some(bytes) => self.parser.push(&bytes),
                    None if self.parser.is_ended() => return Ok(None),
                    None => return Err(Error::Incomplete),
                },
            }
        }
    }
}

fn failure(json: &[u8]) -> Error {
    match serde_json::from_slice::<QueryFailure>(json) {
        Ok(failure) => Error::Query(Box::new(failure)),
        Err(_) => Error::form(String::from_utf8_lossy(json)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_lists_or_pairs() {
        let read = |text: &str| -> Vec<String> {
            let part: Part = serde_json::from_str(text).unwrap();
            part.data.iter().map(|value| value.get().to_owned()).collect()
        };
        assert_eq!(read(r#"{"phase":0,"data":[1,{"a": 2}]}"#), ["1", "{\"a\": 2}"]);
        let pairs = read(r#"{"phase":0,"data":{"a":1,"a":[2],"\u00e9":"x"}}"#);
        assert_eq!(pairs, ["{\"a\":1}", "{\"a\":[2]}", "{\"é\":\"x\"}"]);
        assert!(serde_json::from_str::<Part>(r#"{"phase":0,"data":7}"#).is_err());
    }

    #[test]
    fn deadlines() {
        for (query, seconds) in [
            (r#"{"inputs":"b","timeout":120000}"#, 120),
            (r#"{"inputs":"b","timeout":-1}"#, 60),
            (r#"{"inputs":"b"}"#, 60),
            ("nonsense", 60),
            (r#"{"timeout":1e300}"#, 60),
            (r#"{"timeout":1e12}"#, 24 * 3600),
        ] {
            assert_eq!(deadline(query.as_bytes()), Duration::from_secs(seconds), "{query}");
        }
    }
}
