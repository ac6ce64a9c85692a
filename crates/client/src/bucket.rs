//! Properties of buckets.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::connection::Client;
use crate::error::Result;
use crate::limits;
use crate::object::{Place, bucket_path};

impl Client {
    /// The properties of the bucket of `place` (whose key does not matter), a JSON object of the
    /// form `{"props": {…}}`.
    ///
    /// # Errors
    /// As for any request.
    pub async fn bucket_props(&self, place: &Place) -> Result<Bytes> {
        let path = format!("{}/props", bucket_path(place));
        let answer = self.send(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
        answer.expect(&[StatusCode::OK]).await?.body.collect(limits::ANSWER_BYTES).await
    }

    /// Changes properties of that bucket; the others stay.
    ///
    /// # Errors
    /// As for any request; 400 names the refused properties.
    pub async fn set_bucket_props(&self, place: &Place, props: impl Into<Bytes>) -> Result<()> {
        let path = format!("{}/props", bucket_path(place));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.send(Method::PUT, &path, headers, props.into()).await?;
        answer.expect(&[StatusCode::NO_CONTENT]).await?.body.collect(limits::ERROR_BYTES).await?;
        Ok(())
    }
}
