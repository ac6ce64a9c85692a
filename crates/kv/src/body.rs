//! The bytes of a value, read piece by piece.

use bytes::Bytes;
use mapring_types::{Object, Result, Sibling, VersionVector};

/// An object whose values' bytes are read as they are needed.
#[derive(Debug, Clone)]
pub struct OpenObject {
    /// All writes that it takes into account.
    pub clock: VersionVector,
    /// Its values, in the order of their dots; tombstones are among them.
    pub values: Vec<OpenValue>,
}

/// A value and how its bytes are read.
#[derive(Debug, Clone)]
pub struct OpenValue {
    /// Everything but the bytes: these are empty here.
    pub sibling: Sibling,
    /// The bytes.
    pub body: Body,
}

/// The bytes of a value. Cheap to clone. They are those of one write: what is written to the object
/// later does not change them.
#[derive(Debug, Clone)]
pub struct Body(Bytes);

impl OpenObject {
    /// Opens the values of an object.
    pub fn new(object: Object) -> Self {
        let values = object.siblings.into_iter().map(OpenValue::new).collect();
        Self { clock: object.clock, values }
    }

    /// The newest value, by time and then by dot.
    pub fn newest(&self) -> Option<&OpenValue> {
        self.values.iter().max_by_key(|value| (value.sibling.last_modified, value.sibling.dot))
    }
}

impl OpenValue {
    fn new(mut sibling: Sibling) -> Self {
        let body = Body(std::mem::take(&mut sibling.body));
        Self { sibling, body }
    }
}

impl Body {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads `most` bytes from `offset` on; fewer only where the body ends. Nothing beyond its end.
    ///
    /// # Errors
    /// Those of [`crate::Kv::get`].
    #[expect(clippy::unused_async, reason = "what is not in memory is waited for")]
    pub async fn read_at(&self, offset: u64, most: usize) -> Result<Bytes> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let to = from.saturating_add(most).min(self.0.len());
        Ok(self.0.slice(from..to))
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::{ActorId, Dot, Metadata};

    use super::*;

    fn sibling(counter: u64, last_modified: u64, body: &'static str) -> Sibling {
        let dot = Dot { actor: ActorId(1), counter };
        let metadata = Metadata::default();
        Sibling { dot, last_modified, deleted: false, metadata, body: body.into() }
    }

    #[tokio::test]
    async fn ranges_end_with_the_body() {
        let mut object = Object::default();
        object.update(&VersionVector::new(), sibling(1, 5, "0123456789"));
        object.update(&VersionVector::new(), sibling(2, 4, ""));
        let open = OpenObject::new(object);
        assert!(open.values.iter().all(|value| value.sibling.body.is_empty()));
        let newest = open.newest().unwrap();
        assert_eq!((newest.sibling.dot.counter, newest.body.len()), (1, 10));
        for (offset, most, expect) in [
            (0, 10, "0123456789"),
            (0, 4, "0123"),
            (4, 4, "4567"),
            (8, 4, "89"),
            (10, 4, ""),
            (u64::MAX, 1, ""),
            (9, usize::MAX, "9"),
            (3, 0, ""),
        ] {
            assert_eq!(newest.body.read_at(offset, most).await.unwrap(), expect, "{offset} {most}");
        }
        assert!(open.values[1].body.is_empty());
    }
}
