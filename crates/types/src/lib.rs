//! The vocabulary of mapring: names of things, objects and their causality, quorum values, bucket
//! properties, error kinds and limits.
//!
//! This crate does no I/O and knows no runtime. Everything that is stored or sent begins with a
//! version byte; see [`versioned`].

pub mod blocks;
pub mod clock;
pub mod env;
pub mod error;
pub mod failpoint;
pub mod index;
pub mod limits;
pub mod name;
pub mod object;
pub mod piece;
pub mod props;
pub mod quorum;
pub mod quote;
pub mod record;
pub mod secret;
pub mod versioned;

pub use blocks::{Blocks, UploadId};
pub use clock::{ActorId, Dot, VersionVector};
pub use env::{Clock, Entropy};
pub use error::{Error, ErrorKind, Result};
pub use index::IndexValue;
pub use name::{BucketId, NodeId, ObjectId};
pub use object::{Link, Metadata, Object, Sibling};
pub use piece::Piece;
pub use props::BucketProps;
pub use quorum::{Quorum, SyncOnWrite};
pub use quote::quote;
pub use record::Record;
pub use secret::Secrets;
pub use versioned::{Release, Releases, Versioned};
