//! Objects on the ring: vnodes, get, put and delete coordination, read repair, folds, listings.
//!
//! Bottom-up, and no file uses one of a later part:
//!
//! 1. [`limits`], [`window`], [`by_kind`], [`executor`], `stats`, `sizes`, `parts`, `resolution`, `write`, `body`,
//!    `blocks`, `reserved`, `view`: bounds, figures of the last minute, those of data types, where blocking work runs, all
//!    figures, settings, what becomes of concurrent values, a write on its way, the bytes of a value and
//!    where they lie if they are many, names that no client has, what follows from a view of the cluster;
//! 2. `storage`: what lies on this node;
//! 3. `peer`: the other members, and asking them;
//! 4. `staleness`: which replicas lack writes, and what brings these there;
//! 5. `request`: single objects, read, written and deleted;
//! 6. `scan`: many objects, folded over and listed;
//! 7. `repair`: filling a node that has lost data;
//! 8. `service`, `kv`: what other nodes and this one call.

mod blocks;
mod body;
pub mod by_kind;
pub mod executor;
#[cfg(test)]
mod formats;
mod kv;
pub mod limits;
mod parts;
mod peer;
mod repair;
mod request;
mod reserved;
mod resolution;
mod scan;
mod service;
mod sizes;
mod staleness;
mod stats;
mod storage;
mod view;
pub mod window;
mod write;

pub use body::{BlockSource, Body, OpenObject, OpenValue};
pub use executor::Executor;
pub use kv::Kv;
pub use parts::{KvConfig, KvParts};
pub use peer::wire::SERVICE;
pub use request::options::{DeleteOptions, GetOptions, ObjectPart, PutOptions};
pub use request::own::ReservedObjects;
pub use request::requests::Backlog;
pub use request::upload::Upload;
pub use scan::census::{Census, Counted, Figures, Found, Wanted};
pub use scan::entries::{Hit, IndexScan};
pub use scan::fold::{Cursor, FoldRequest, Item, KeyTest, Page, Refine, Selection};
pub use sizes::{BodySizes, ObjectSizes};
pub use staleness::holdings::{Holdings, StaleReplicas};
pub use staleness::progress::Progress;
pub use stats::{KvFigures, KvStats, WalkFigures};
pub use write::NewValue;
