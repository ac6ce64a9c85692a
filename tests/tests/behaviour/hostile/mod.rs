//! User code that cannot hurt a node (invariants I7 and I9), a group of hostile functions a file.
//!
//! Each function runs in a map and in a reduce, on a real node, as a row of a table that says what
//! may come of it. The answer must come within the limit of a call and two seconds, and be an error
//! of the documented form that names the true cause, or a right answer where the language has one.
//! All the while somebody pings the node, and an honest client asks queries whose answers must be
//! right: which they are not if anything of a hostile function reaches the next query.
//!
//! And datagrams from those who are no members (`gossip`).

mod rig;
mod row;

mod loops;
mod memory;
mod nesting;
mod recursion;
mod results;
mod tampering;
mod thrown;

mod gossip;

mod crowd;
mod deaths;
mod documents;
mod killed;

mod random;
