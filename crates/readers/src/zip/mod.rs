//! Archives: every member of the directory, in its order, as a document.
//!
//! The directory at the end of the archive says what there is. It is walked entry by entry and never
//! held: an archive may have millions, and several of one name, all of which are members. What a
//! member's own header says must agree with it; so must the length and the checksum of what comes of it.

mod directory;
mod layer;
mod list;

pub use list::{Member, MemberList, MembersPulled};

pub(crate) use layer::Zip;

/// Members from one of the directory on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The number of the first.
    pub(crate) first: u64,
    /// The byte of its entry.
    pub(crate) entry: u64,
    /// The number behind the last; `None` for all.
    pub(crate) until: Option<u64>,
}
