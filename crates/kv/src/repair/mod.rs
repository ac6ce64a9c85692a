//! Filling a node that has lost data: `watch` finds that it has, `sources` chooses replicas to fill
//! from, `exchange` brings a slice and theirs together, `fill` does so with all slices; `answer` is
//! what the others do for it.

pub(crate) mod answer;
pub(crate) mod exchange;
pub(crate) mod fill;
pub(crate) mod sources;
pub(crate) mod watch;
