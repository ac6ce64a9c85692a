//! Data types as values of objects.
//!
//! A write at a coordinator joins all values of the kind that it knows, applies the operation, and puts
//! what comes of it in their place, under its dot. Values that two coordinators wrote at the same time lie
//! beside each other, as siblings do, until the next write joins them; who reads the object joins them too.
//! Values that are none stay as they are.

use mapring_types::{Dot, Error, Metadata, Object, Result, Sibling, VersionVector};

use crate::json;
use crate::kind::Kind;
use crate::op::Update;
use crate::state::Datatype;

/// What all media types of data types begin with.
const MEDIA: &str = "application/riak_";

/// The kind that a value may be, by its media type.
fn kind_of(sibling: &Sibling) -> Option<Kind> {
    if sibling.deleted || !sibling.metadata.content_type.starts_with(MEDIA) {
        return None;
    }
    Kind::ALL.into_iter().find(|kind| kind.content_type() == sibling.metadata.content_type)
}

/// The data type that a value is, if it is one.
fn read(sibling: &Sibling) -> Result<Option<Datatype>> {
    let Some(kind) = kind_of(sibling) else { return Ok(None) };
    Ok(Datatype::from_body(&sibling.body)?.filter(|read| read.kind() == kind))
}

/// The kind of the data types that an object has values of, if any; one alone where there are several. By
/// their media types: nothing is decoded.
pub fn kind(object: &Object) -> Option<Kind> {
    object.siblings.iter().find_map(kind_of)
}

/// Whether the head of a stored object names a data type. For scans, which ask it of every object: nothing
/// is decoded. It may be wrong about one that is none, never about one that is.
pub fn may_be_in(head: &[u8]) -> bool {
    let first = MEDIA.as_bytes()[0];
    let mut rest = head;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        rest = &rest[at..];
        if rest.starts_with(MEDIA.as_bytes()) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// The data type of a kind that an object is: all its values of the kind in one.
///
/// # Errors
/// `Corrupt`, `Unavailable`: see [`Datatype::from_body`].
pub fn find(object: &Object, kind: Kind) -> Result<Option<Datatype>> {
    let mut found: Option<Datatype> = None;
    for sibling in object.siblings.iter().filter(|sibling| kind_of(sibling) == Some(kind)) {
        match (read(sibling)?, &mut found) {
            (None, _) => {}
            (Some(state), Some(found)) if !mapring_types::failpoint!(LastReplaces) => {
                found.merge(&state);
            }
            (Some(state), found) => *found = Some(state),
        }
    }
    Ok(found)
}

/// Makes one value of those that are a data type of one kind, under the dot of the newest. What cannot be
/// read stays as it is: whoever writes it is told.
pub fn settle(object: &mut Object) {
    for kind in Kind::ALL {
        let of_kind = |sibling: &&Sibling| kind_of(sibling) == Some(kind);
        if object.siblings.iter().filter(of_kind).count() < 2 {
            continue;
        }
        let Ok(Some(state)) = find(object, kind) else { continue };
        let parts = object
            .siblings
            .iter()
            .filter(|sibling| matches!(read(sibling), Ok(Some(read)) if read.kind() == kind));
        let parts: Vec<Dot> = parts.map(|sibling| sibling.dot).collect();
        let of_parts = object.siblings.iter().filter(|sibling| parts.contains(&sibling.dot));
        let Some(newest) = of_parts.max_by_key(|sibling| (sibling.last_modified, sibling.dot))
        else {
            continue;
        };
        let newest = newest.dot;
        object.siblings.retain(|sibling| sibling.dot == newest || !parts.contains(&sibling.dot));
        if let Some(sibling) = object.siblings.iter_mut().find(|sibling| sibling.dot == newest) {
            sibling.body = state.to_body();
        }
    }
}

/// Makes the bodies of data types readable: each becomes its value as JSON (fact R214). Returns whether
/// there were any.
pub fn show(object: &mut Object) -> bool {
    settle(object);
    let mut any = false;
    for sibling in &mut object.siblings {
        if let Ok(Some(state)) = read(sibling) {
            sibling.body = json::value(&state).into();
            any = true;
        }
    }
    any
}

/// What an update has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Actors in the state: see [`Datatype::actors`].
    pub actors: usize,
    /// Bytes of the state.
    pub bytes: usize,
}

/// Applies an update to an object under the dot of the write; `asked_at` is when it was asked for, in
/// microseconds since the Unix epoch. A deleted value goes; what it replaced is not there again. After an
/// error the object is to be thrown away.
///
/// # Errors
/// As [`Datatype::apply`] and [`find`]; `Corrupt` for a value that claims to have seen the write.
pub fn update(object: &mut Object, update: &Update, dot: Dot, asked_at: u64) -> Result<Made> {
    let kind = update.kind();
    let last_modified = asked_at.max(object.last_modified().saturating_add(1));
    let mut state = find(object, kind)?.unwrap_or_else(|| Datatype::new(kind));
    // A client may have stored bytes that look like one. What they say they have seen is not true.
    if state.context().covers(dot) && !mapring_types::failpoint!(ReusedDot) {
        return Err(Error::corrupt("a data type has seen a write that was not made yet"));
    }
    // Whatever the object has seen of the kind is in the state, or was deleted: so nobody waits for it.
    state.see(&object.clock);
    state.apply(update, dot, last_modified)?;
    let body = state.to_body();
    let made = Made { actors: state.actors(), bytes: body.len() };
    // One that has the media type and is none, as a client may have stored it, stays as a value.
    object.siblings.retain(|sibling| {
        !sibling.deleted && !matches!(read(sibling), Ok(Some(read)) if read.kind() == kind)
    });
    let metadata = Metadata { content_type: kind.content_type().to_owned(), ..Metadata::default() };
    let sibling = Sibling { dot, last_modified, deleted: false, metadata, body };
    object.update(&VersionVector::new(), sibling);
    Ok(made)
}
