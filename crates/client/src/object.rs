//! Reading, writing and deleting objects.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::connection::{Answer, Client};
use crate::error::{Error, Result};
use crate::limits;

/// Where an object lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The bucket type; `None` for `default`.
    pub bucket_type: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

/// A value to store.
#[derive(Debug, Clone, Default)]
pub struct NewObject {
    /// The bytes.
    pub body: Bytes,
    /// Their `Content-Type`.
    pub content_type: String,
    /// The clock of what the writer has read; replaces that and no more.
    pub vclock: Option<String>,
    /// User metadata, without the prefix `X-Riak-Meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// A value as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The bytes.
    pub body: Bytes,
    /// Their `Content-Type`.
    pub content_type: String,
    /// The clock; send it with the next write.
    pub vclock: Option<String>,
    /// The tag of this value, without quotes.
    pub etag: Option<String>,
    /// When it was written, as the server says it.
    pub last_modified: Option<String>,
    /// User metadata, by lower-case name without the prefix `X-Riak-Meta-`.
    pub metadata: BTreeMap<String, String>,
}

const VCLOCK: &str = "x-riak-vclock";
const META: &str = "x-riak-meta-";

/// What stands unescaped in a path: letters, digits and a few marks.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

impl Place {
    /// A place in the default bucket type.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket_type: None, bucket: bucket.into(), key: key.into() }
    }

    /// The path of the object, relative to the node.
    pub fn path(&self) -> String {
        format!("{}/keys/{}", bucket_path(self), escape(&self.key))
    }
}

/// `/buckets/B`, or `/types/T/buckets/B`.
pub(crate) fn bucket_path(place: &Place) -> String {
    let bucket = escape(&place.bucket);
    match &place.bucket_type {
        Some(bucket_type) => format!("/types/{}/buckets/{bucket}", escape(bucket_type)),
        None => format!("/buckets/{bucket}"),
    }
}

pub(crate) fn escape(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

impl Client {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Siblings`], and as for any request.
    pub async fn get(&self, place: &Place) -> Result<Stored> {
        self.read(&place.path()).await
    }

    /// Reads one of an object's siblings.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_sibling(&self, place: &Place, tag: &str) -> Result<Stored> {
        self.read(&format!("{}?vtag={}", place.path(), escape(tag))).await
    }

    async fn read(&self, path: &str) -> Result<Stored> {
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Err(not_found(answer).await),
            StatusCode::MULTIPLE_CHOICES => {
                let text = answer.body.collect(limits::ANSWER_BYTES).await?;
                let text = String::from_utf8_lossy(&text);
                let tags = text.lines().skip(1).filter(|line| !line.is_empty());
                Err(Error::Siblings { tags: tags.map(str::to_owned).collect() })
            }
            _ => stored(answer.expect(&[StatusCode::OK]).await?).await,
        }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// As for any request; after a [`Error::Timeout`] or [`Error::Broken`] the write may have been
    /// done.
    pub async fn put(&self, place: &Place, object: NewObject) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, value(&object.content_type)?);
        if let Some(vclock) = &object.vclock {
            headers.insert(HeaderName::from_static(VCLOCK), value(vclock)?);
        }
        for (name, text) in &object.metadata {
            let name: HeaderName = format!("{META}{name}").parse().map_err(Error::form)?;
            headers.insert(name, value(text)?);
        }
        let answer = self.send(Method::PUT, &place.path(), headers, object.body).await?;
        let good = [StatusCode::NO_CONTENT, StatusCode::OK];
        // Read to the end, so that the connection can be used again.
        answer.expect(&good).await?.body.collect(limits::ERROR_BYTES).await?;
        Ok(())
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// [`Error::NotFound`], and as for any request.
    pub async fn delete(&self, place: &Place) -> Result<()> {
        let path = place.path();
        let answer = self.send(Method::DELETE, &path, HeaderMap::new(), Bytes::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(not_found(answer).await);
        }
        let answer = answer.expect(&[StatusCode::NO_CONTENT]).await?;
        answer.body.collect(limits::ERROR_BYTES).await?;
        Ok(())
    }
}

/// A missing object, unless the node says that something else is missing.
async fn not_found(answer: Answer) -> Error {
    match answer.expect(&[]).await {
        Err(Error::Status { text, .. }) if text == "not found" || text.is_empty() => {
            Error::NotFound
        }
        Err(error) => error,
        Ok(_) => Error::NotFound,
    }
}

async fn stored(answer: Answer) -> Result<Stored> {
    let text = |name: &str| answer.header(name).map(str::to_owned);
    let metadata = answer
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(META)?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect();
    Ok(Stored {
        content_type: text("content-type").unwrap_or_default(),
        vclock: text(VCLOCK),
        etag: text("etag").map(|etag| etag.trim_matches('"').to_owned()),
        last_modified: text("last-modified"),
        metadata,
        body: answer.body.collect(limits::ANSWER_BYTES).await?,
    })
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| Error::form(format!("{text:?} cannot be a header")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(Place::new("b", "a/b c+é").path(), "/buckets/b/keys/a%2Fb%20c%2B%C3%A9");
        let place = Place { bucket_type: Some("t t".into()), ..Place::new("b", "k:1") };
        assert_eq!(place.path(), "/types/t%20t/buckets/b/keys/k:1");
    }
}
