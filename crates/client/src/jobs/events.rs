//! What happens in a job, as lines of JSON that come one by one.

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;

use crate::connection::Body;
use crate::error::{Error, Result};
use crate::limits;

/// Something that happened in a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct JobEvent {
    /// Its id, after which one can go on.
    pub id: String,
    /// What kind it is, such as `state`, `checkpoint`, `shard`, `log`.
    pub event: String,
    /// The rest.
    pub data: Value,
}

/// The events of a job as they come, until the job has ended or its node stops. Dropping it is the way
/// to leave it.
pub struct JobEvents {
    body: Body,
    unread: BytesMut,
}

impl JobEvents {
    pub(super) fn new(body: Body) -> Self {
        Self { body, unread: BytesMut::new() }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// As for any request.
    pub async fn next(&mut self) -> Result<Option<JobEvent>> {
        loop {
            if let Some(event) = next_line(&mut self.unread)? {
                return Ok(Some(event));
            }
            match self.body.next().await? {
                Some(bytes) => self.unread.extend_from_slice(&bytes),
                None if self.unread.is_empty() => return Ok(None),
                None => return Err(Error::Incomplete),
            }
            if self.unread.len() > limits::PART_BYTES {
                return Err(Error::TooLarge { limit: limits::PART_BYTES });
            }
        }
    }
}

/// The event of the next whole line. A node that has nothing to tell writes empty ones.
fn next_line(unread: &mut BytesMut) -> Result<Option<JobEvent>> {
    while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
        let line = unread.split_to(end + 1);
        let line = line.trim_ascii();
        if !line.is_empty() {
            return serde_json::from_slice(line).map(Some).map_err(Error::form);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines() {
        let mut unread = BytesMut::from(
            &b"\n{\"id\":\"1-2\",\"event\":\"state\",\"data\":{\"state\":\"done\"}}\n\n{\"id\":"[..],
        );
        let event = next_line(&mut unread).unwrap().unwrap();
        assert_eq!((event.id.as_str(), event.event.as_str()), ("1-2", "state"));
        assert_eq!(event.data["state"], "done");
        assert_eq!(next_line(&mut unread).unwrap(), None);
        assert_eq!(&unread[..], b"{\"id\":");
        unread.extend_from_slice(b"7}\n");
        assert!(next_line(&mut unread).is_err());
    }
}
