//! The other members: what nodes ask of each other (`wire`, `replica`), how far their data is
//! (`extent`), who has told what it holds (`calm`), who does not answer (`silence`), and whether it is
//! this node that stood still (`beat`).

pub(crate) mod beat;
pub(crate) mod calm;
pub(crate) mod extent;
pub(crate) mod replica;
pub(crate) mod silence;
pub(crate) mod wire;
