//! Formats of inputs: from the bytes of an object to a stream of items.
//!
//! A [`Reader`] is a stack of layers over the bytes of one *root*, an object or a text in memory. Each
//! layer gives *documents* to the one above it: [`gzip`] and [`base64`] give one for one, [`zip`] gives
//! its members, [`lines`], [`csv`], [`records`] and [`fields`] give texts. What the top layer gives are
//! the items.
//!
//! Nothing here waits. A reader is *pulled*: it gives an item, or says from which byte on it needs the
//! root, is fed and pulled again. So who drives it decides where bytes come from and on which thread
//! they are worked on, and memory does not grow with the root: one chunk of it, the buffers of the
//! layers, one item ([`limits`]).
//!
//! After each item [`Reader::cursor`] is the place from which a reader elsewhere goes on. Roots of some
//! formats can be read in pieces by several readers ([`split`]): [`Piece`].
//!
//! A damaged file is a [`ReadError`] that says where. After one the reader goes on behind the damage:
//! with the next line, record or member, or where nothing can be known of what follows, with the next
//! document below.

pub mod limits;

mod base64;
mod blocks;
mod cp437;
mod csv;
mod cursor;
mod documents;
mod encoding;
mod error;
mod fields;
mod format;
mod generate;
mod gzip;
mod held;
mod inflate;
mod input;
mod lines;
mod peek;
mod reader;
mod records;
mod sample;
mod split;
mod splitter;
mod zip;

pub use cursor::Cursor;
pub use encoding::Encoding;
pub use error::{FormatError, ReadError};
pub use format::{Format, LineFormat, Root};
pub use generate::{Generated, Generator, splitmix};
pub use reader::{Item, ItemKind, Pulled, Reader};
pub use sample::{KeySample, key_number};
pub use split::{MemberPieces, Piece, split};
pub use zip::{Member, MemberList, MembersPulled};
