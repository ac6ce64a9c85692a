//! Streams of keys.

use std::collections::VecDeque;

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use crate::connection::{Body, Client};
use crate::error::{Error, Result};
use crate::json::Scanner;
use crate::limits;
use crate::object::{Place, bucket_path};

/// The keys of a bucket as they are found, in no order. Dropping it ends the listing.
pub struct Keys {
    body: Body,
    pieces: Pieces,
}

impl Client {
    /// Lists the keys of a bucket, given by a [`Place`] whose key does not matter.
    ///
    /// # Errors
    /// As for any request; [`Error::Status`] 404 for an unknown bucket type.
    pub async fn keys(&self, place: &Place) -> Result<Keys> {
        let path = format!("{}/keys?keys=stream", bucket_path(place));
        let answer = self.send(Method::GET, &path, HeaderMap::new(), Default::default()).await?;
        let answer = answer.expect(&[StatusCode::OK]).await?;
        Ok(Keys { body: answer.body, pieces: Pieces::default() })
    }
}

impl Keys {
    /// The next keys, `None` at the end.
    ///
    /// # Errors
    /// When the listing fails: what came before is then not all.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>> {
        loop {
            while let Some(piece) = self.pieces.next()? {
                if !piece.is_empty() {
                    return Ok(Some(piece));
                }
            }
            match self.body.next().await? {
                Some(bytes) => self.pieces.push(&bytes)?,
                None => {
                    return if self.pieces.is_whole() { Ok(None) } else { Err(Error::Incomplete) };
                }
            }
        }
    }
}

/// Concatenated JSON objects, taken apart.
#[derive(Default)]
struct Pieces {
    scanner: Scanner,
    unread: BytesMut,
    ready: VecDeque<BytesMut>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Keys { keys: Vec<String> },
    Error { error: serde_json::Value },
}

impl Pieces {
    fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(length) = self.scanner.push(bytes) {
            let (piece, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
            self.unread.extend_from_slice(piece);
            self.ready.push_back(self.unread.split());
            bytes = rest;
        }
        self.unread.extend_from_slice(bytes);
        if self.unread.len() > limits::PART_BYTES {
            return Err(Error::TooLarge { limit: limits::PART_BYTES });
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Vec<String>>> {
        let Some(piece) = self.ready.pop_front() else { return Ok(None) };
        match serde_json::from_slice(&piece).map_err(Error::form)? {
            Piece::Keys { keys } => Ok(Some(keys)),
            Piece::Error { error } => {
                let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
                Err(Error::Status { status: 200, text: format!("the listing failed: {text}") })
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.unread.iter().all(u8::is_ascii_whitespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_taken_apart() {
        let mut pieces = Pieces::default();
        pieces.push(br#"{"keys":["a","}"#).unwrap();
        assert_eq!(pieces.next().unwrap(), None);
        assert!(!pieces.is_whole());
        pieces.push(br#""]}{"keys":[]}{"error":"timeout"}"#).unwrap();
        assert_eq!(pieces.next().unwrap().unwrap(), ["a", "}"]);
        assert!(pieces.next().unwrap().unwrap().is_empty());
        assert!(pieces.next().unwrap_err().to_string().contains("timeout"));
        assert!(pieces.is_whole());
    }
}
