//! Pieces of sources, as they travel to the nodes.

use mapring_kv::Cursor;
use mapring_readers::{Format, Generator, Piece};
use mapring_script::{JsonText, PhaseFunction};
use mapring_types::clock::{ActorId, Dot};
use mapring_types::{Error, ObjectId, Result};
use serde::{Deserialize, Serialize};

/// A piece of a source: any node can work through it, and go on where another has stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) roots: ShardRoots,
    /// The formats over each root, the lowest first; none where roots are the inputs.
    pub(crate) formats: Vec<Format>,
    /// Whether a root that does not exist fails the query, or is passed over.
    pub(crate) fails_on_missing: bool,
    /// What samples and random items follow that have no seed.
    pub(crate) seed: u64,
}

/// What inputs are taken out of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ShardRoots {
    /// Objects, in order.
    Objects(Vec<ShardObject>),
    /// Items of a generator.
    Generated {
        generator: Generator,
        /// The number, among all of the query, of the generator's first item, …
        base: u64,
        /// … the first item of the shard, as the generator counts, …
        first: u64,
        /// … and how many there are.
        count: u64,
    },
    /// Names.
    Named {
        /// What they are names of.
        kind: String,
        /// The number, among all of the query, of the first.
        base: u64,
        names: Vec<String>,
    },
    /// What the query's own code reads.
    Reader {
        /// The code.
        function: PhaseFunction,
        /// The number of the shard among those of the reader.
        index: u32,
        /// What its `read` gets.
        state: JsonText,
    },
}

/// An object, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardObject {
    pub(crate) id: ObjectId,
    /// Key data that the query gives.
    pub(crate) keydata: Option<JsonText>,
    pub(crate) piece: Piece,
    /// The write whose bytes were divided: others cannot be read in its pieces. Where it is not given all
    /// values of the object are read.
    pub(crate) write: Option<Dot>,
}

/// A shard that a node is to work through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardUnit {
    /// The unit, numbered by the coordinator within the phase: shards that follow each other have growing
    /// numbers.
    pub(crate) unit: u32,
    /// Counts how often the unit was given out.
    pub(crate) attempt: u32,
    pub(crate) shard: Shard,
    /// Start at this place.
    pub(crate) after: Option<Cursor>,
    /// How many pages of it have been accepted.
    pub(crate) page: u32,
    /// The state that its function has left with the last of them, when that is an object.
    pub(crate) state: Option<JsonText>,
    /// No more inputs than these are wanted.
    pub(crate) most: Option<u64>,
}

impl Shard {
    /// How many roots there are.
    pub(crate) fn roots(&self) -> u64 {
        match &self.roots {
            ShardRoots::Objects(objects) => objects.len() as u64,
            ShardRoots::Generated { count, .. } => *count,
            ShardRoots::Named { names, .. } => names.len() as u64,
            // How many it gives is not known.
            ShardRoots::Reader { .. } => 1,
        }
    }

    /// Whether the roots are the inputs, but for those that samples leave out.
    pub(crate) fn is_plain(&self) -> bool {
        self.formats.iter().all(|format| matches!(format, Format::Sample { .. }))
    }

    /// The input before a place, or what it is taken out of, as far as that can be named.
    pub(crate) fn input_at(&self, place: &Cursor) -> Option<String> {
        let root = |root: u64, within: bool| if within { Some(root) } else { root.checked_sub(1) };
        if let ShardRoots::Reader { .. } = &self.roots {
            let place = ReaderPlace::of(place).ok()?;
            return Some(format!("item {}", place.done));
        }
        let ShardPlace { root: at, within } = ShardPlace::of(place).ok()?;
        let at = root(at, within.is_some())?;
        match &self.roots {
            ShardRoots::Objects(objects) => {
                Some(objects.get(usize::try_from(at).ok()?)?.id.to_string())
            }
            ShardRoots::Generated { base, first, .. } => {
                Some(format!("item {}", base + first + at))
            }
            ShardRoots::Named { names, .. } => names.get(usize::try_from(at).ok()?).cloned(),
            ShardRoots::Reader { .. } => None,
        }
    }

    /// What it is, for whoever looks at it.
    pub(crate) fn words(&self) -> String {
        match &self.roots {
            ShardRoots::Objects(objects) => match objects.as_slice() {
                [only] => match only.piece {
                    Piece::Whole => only.id.to_string(),
                    Piece::Bytes { start, end } => format!("{} bytes ({start},{end}]", only.id),
                    Piece::Members { first, until: Some(until), .. } => {
                        format!("{} members {first} to {}", only.id, until.saturating_sub(1))
                    }
                    Piece::Members { first, until: None, .. } => {
                        format!("{} members from {first} on", only.id)
                    }
                },
                [first, .., last] => {
                    format!("{} to {}, {} objects", first.id, last.id, objects.len())
                }
                [] => "no objects".to_owned(),
            },
            ShardRoots::Generated { base, first, count, .. } => {
                let from = base + first;
                format!("items {from} to {}", (from + count).saturating_sub(1))
            }
            ShardRoots::Named { kind, names, .. } => format!("{} {kind}", names.len()),
            ShardRoots::Reader { index, .. } => format!("shard {index} of a reader"),
        }
    }
}

/// A place in a shard: everything before it has been worked on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ShardPlace {
    /// The root.
    pub(crate) root: u64,
    /// How far it has been read; `None` when nothing of it has.
    pub(crate) within: Option<ValuePlace>,
}

/// A place in a value of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValuePlace {
    /// The number of the value among those of the object.
    pub(crate) value: u32,
    /// The write that it comes from: the place means nothing in the bytes of another.
    pub(crate) write: Dot,
    /// How far it has been read.
    pub(crate) cursor: mapring_readers::Cursor,
}

impl ShardPlace {
    /// As a cursor: of two the one further on has the greater bytes.
    pub(crate) fn to_cursor(&self) -> Cursor {
        let mut bytes = self.root.to_be_bytes().to_vec();
        ValuePlace::write(self.within.as_ref(), &mut bytes);
        Cursor::new(bytes)
    }

    /// From a cursor.
    ///
    /// # Errors
    /// `Corrupt` when it is none.
    pub(crate) fn of(cursor: &Cursor) -> Result<Self> {
        let cut = || Error::corrupt("a place in a shard is cut off");
        let (root, rest) = cursor.place().split_first_chunk::<8>().ok_or_else(cut)?;
        Ok(Self { root: u64::from_be_bytes(*root), within: ValuePlace::read(rest)? })
    }
}

impl ValuePlace {
    fn write(place: Option<&Self>, bytes: &mut Vec<u8>) {
        if let Some(Self { value, write, cursor }) = place {
            bytes.extend(value.to_be_bytes());
            bytes.extend(write.actor.0.to_be_bytes());
            bytes.extend(write.counter.to_be_bytes());
            bytes.extend_from_slice(cursor.as_bytes());
        }
    }

    fn read(rest: &[u8]) -> Result<Option<Self>> {
        let cut = || Error::corrupt("a place in a shard is cut off");
        if rest.is_empty() {
            return Ok(None);
        }
        let (value, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let (actor, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let (counter, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let write = Dot {
            actor: ActorId(u64::from_be_bytes(*actor)),
            counter: u64::from_be_bytes(*counter),
        };
        let cursor = mapring_readers::Cursor::new(rest.to_vec());
        Ok(Some(Self { value: u32::from_be_bytes(*value), write, cursor }))
    }
}

/// A place in what a reader gives: everything before it has been worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReaderPlace {
    /// How many items have been.
    pub(crate) done: u64,
    /// The state from which the next is read, …
    pub(crate) state: String,
    /// … past so many others. Places with as many items done have the same state.
    pub(crate) skip: u64,
    /// How far the next item, or the object that it names, has been read.
    pub(crate) within: Option<ValuePlace>,
}

impl ReaderPlace {
    /// As a cursor: of two the one further on has the greater bytes.
    pub(crate) fn to_cursor(&self) -> Cursor {
        let mut bytes = self.done.to_be_bytes().to_vec();
        bytes.extend((self.state.len() as u64).to_be_bytes());
        bytes.extend_from_slice(self.state.as_bytes());
        bytes.extend(self.skip.to_be_bytes());
        ValuePlace::write(self.within.as_ref(), &mut bytes);
        Cursor::new(bytes)
    }

    /// From a cursor.
    ///
    /// # Errors
    /// `Corrupt` when it is none.
    pub(crate) fn of(cursor: &Cursor) -> Result<Self> {
        let cut = || Error::corrupt("a place in what a reader gives is cut off");
        let (done, rest) = cursor.place().split_first_chunk::<8>().ok_or_else(cut)?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| cut())?;
        let (state, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        let state = String::from_utf8(state.to_vec())
            .map_err(|_| Error::corrupt("a reader's state is no text"))?;
        let (skip, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let within = ValuePlace::read(rest)?;
        Ok(Self { done: u64::from_be_bytes(*done), state, skip: u64::from_be_bytes(*skip), within })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_forward_as_bytes() {
        let place = |root, within: Option<(u32, &'static [u8])>| ShardPlace {
            root,
            within: within.map(|(value, cursor)| ValuePlace {
                value,
                write: Dot { actor: ActorId(3), counter: 9 },
                cursor: mapring_readers::Cursor::new(cursor),
            }),
        };
        let places = [
            place(0, None),
            place(0, Some((0, b"\x01\0\0"))),
            place(0, Some((0, b"\x01\0\x05"))),
            place(0, Some((1, b"\x01\0\0"))),
            place(1, None),
            place(256, Some((0, b"\x01"))),
        ];
        let cursors: Vec<Cursor> = places.iter().map(ShardPlace::to_cursor).collect();
        assert!(cursors.is_sorted());
        for (place, cursor) in places.iter().zip(&cursors) {
            assert_eq!(&ShardPlace::of(cursor).unwrap(), place);
        }
        assert!(ShardPlace::of(&Cursor::new("short")).is_err());
        assert!(ShardPlace::of(&Cursor::new("longer than 8")).is_err());
    }

    #[test]
    fn places_of_readers_go_forward_as_bytes() {
        let within = |value| {
            let (write, cursor) =
                (Dot { actor: ActorId(0), counter: 1 }, mapring_readers::Cursor::new(&b"\x01"[..]));
            Some(ValuePlace { value, write, cursor })
        };
        let place = |done, state: &str, skip, within| ReaderPlace {
            done,
            state: state.to_owned(),
            skip,
            within,
        };
        let places = [
            place(0, "{\"at\":0}", 0, None),
            place(0, "{\"at\":0}", 0, within(0)),
            place(0, "{\"at\":0}", 0, within(1)),
            place(1, "{\"at\":0}", 1, None),
            place(2, "1", 0, None),
            place(256, "0", 0, None),
        ];
        let cursors: Vec<Cursor> = places.iter().map(ReaderPlace::to_cursor).collect();
        assert!(cursors.is_sorted());
        for (place, cursor) in places.iter().zip(&cursors) {
            assert_eq!(&ReaderPlace::of(cursor).unwrap(), place);
            let cut = &cursor.place()[..cursor.place().len() - 1];
            assert_ne!(ReaderPlace::of(&Cursor::new(cut.to_vec())).ok().as_ref(), Some(place));
        }
        assert!(ReaderPlace::of(&Cursor::new(vec![255; 20])).is_err());
    }
}
