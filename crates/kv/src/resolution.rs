//! How concurrent values of an object are resolved.
//!
//! Made once from the properties of the bucket. What follows from it for a write, a read, a scan or a
//! reap is decided here alone, so that a further kind is added in this file.

use mapring_datatypes::object as datatypes;
use mapring_engine::ScanDepth;
use mapring_types::{BucketProps, Object, Record, Result, VersionVector};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// They stay beside each other until a client replaces them (`allow_mult`); those that are data types
    /// are read as one.
    Siblings,
    /// The newest of them alone counts.
    LastWrite,
}

impl Resolution {
    /// What the properties of a bucket ask for.
    pub(crate) fn of(props: &BucketProps) -> Self {
        if props.allow_mult && !props.last_write_wins { Self::Siblings } else { Self::LastWrite }
    }

    /// As [`Resolution::of`]. Of a bucket type that is not known here nothing is thrown away.
    pub(crate) fn of_known(props: Option<&BucketProps>) -> Self {
        props.map_or(Self::Siblings, Self::of)
    }

    /// Whether all concurrent values stay and are seen, so that an object grows with each of them.
    pub(crate) fn keeps_all(self) -> bool {
        match self {
            Self::Siblings => true,
            Self::LastWrite => false,
        }
    }

    /// Adds to what a writer has seen what its write replaces all the same, of all that its node
    /// knows.
    pub(crate) fn widen(self, context: &mut VersionVector, known: &VersionVector) {
        match self {
            Self::Siblings => {}
            Self::LastWrite => context.merge(known),
        }
    }

    /// Leaves of an object what its readers are to see, under the clock of all.
    pub(crate) fn resolve(self, object: &mut Object) {
        match self {
            Self::Siblings => datatypes::settle(object),
            Self::LastWrite => object.resolve_to_newest(),
        }
    }

    /// As [`Resolution::resolve`], of a record that was read as far as `depth` says.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn resolve_record(self, record: Record, depth: ScanDepth) -> Result<Record> {
        let as_it_is = match self {
            // Without their bytes nothing can be made of data types.
            Self::Siblings => depth == ScanDepth::Heads || !datatypes::may_be_in(&record.head),
            Self::LastWrite => false,
        };
        if as_it_is || Record::sibling_count(&record.head)? < 2 {
            return Ok(record);
        }
        let mut object = match depth {
            ScanDepth::Records => record.decode()?,
            ScanDepth::Heads => Record::decode_without_bodies(&record.head)?,
        };
        self.resolve(&mut object);
        Ok(Record::encode(&object))
    }

    /// Whether what readers are to see of a stored object follows from its head.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn is_known_by_head(self, head: &[u8]) -> Result<bool> {
        match self {
            Self::Siblings => Ok(!datatypes::may_be_in(head) || Record::sibling_count(head)? < 2),
            Self::LastWrite => Ok(true),
        }
    }

    /// Whether readers of an object find it deleted.
    pub(crate) fn is_tombstone(self, object: &Object) -> bool {
        match self {
            Self::Siblings => object.is_tombstone() && !object.siblings.is_empty(),
            Self::LastWrite => object.newest().is_some_and(|newest| newest.deleted),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mapring_types::{ActorId, Dot, Metadata, Sibling};

    use super::*;

    /// An object with a value for each letter: `v` a value, `x` a deletion, the last the newest.
    fn object(values: &str) -> Object {
        let mut object = Object::default();
        for (at, value) in (1..).zip(values.chars()) {
            let dot = Dot { actor: ActorId(at), counter: 1 };
            let (metadata, body) = (Metadata::default(), Bytes::from(format!("{at}")));
            let sibling = Sibling { dot, last_modified: at, deleted: value == 'x', metadata, body };
            object.update(&VersionVector::new(), sibling);
        }
        object
    }

    #[test]
    fn properties_say_which() {
        for (allow_mult, last_write_wins, keeps_all) in
            [(true, false, true), (true, true, false), (false, false, false), (false, true, false)]
        {
            let props = BucketProps { allow_mult, last_write_wins, ..BucketProps::default() };
            assert_eq!(Resolution::of(&props).keeps_all(), keeps_all);
            assert_eq!(Resolution::of_known(Some(&props)), Resolution::of(&props));
        }
        assert!(Resolution::of_known(None).keeps_all());
    }

    #[test]
    fn what_readers_see_of_concurrent_values() {
        for (values, seen_of_all, deleted_for_all, deleted_for_last) in [
            ("", 0, false, false),
            ("v", 1, false, false),
            ("x", 1, true, true),
            ("vx", 2, false, true),
            ("xv", 2, false, false),
            ("xx", 2, true, true),
        ] {
            let object = object(values);
            let deleted = |resolution: Resolution| resolution.is_tombstone(&object);
            assert_eq!(deleted(Resolution::Siblings), deleted_for_all, "{values}");
            assert_eq!(deleted(Resolution::LastWrite), deleted_for_last, "{values}");
            for (resolution, expect) in
                [(Resolution::Siblings, seen_of_all), (Resolution::LastWrite, values.len().min(1))]
            {
                let mut seen = object.clone();
                resolution.resolve(&mut seen);
                assert_eq!(seen.siblings.len(), expect, "{values}");
                assert_eq!((&seen.clock, seen.newest()), (&object.clock, object.newest()));
                let record = Record::encode(&object);
                let record = resolution.resolve_record(record, ScanDepth::Records).unwrap();
                assert_eq!(record.decode().unwrap(), seen, "{values}");
            }
        }
    }
}
