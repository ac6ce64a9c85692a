//! The other members: what nodes ask of each other (`wire`, `replica`), how far their data is
//! (`extent`), who has told what it holds (`calm`), who does not answer (`suspicion`), and whether
//! it is this node that stood still (`pause`).

pub(crate) mod calm;
pub(crate) mod extent;
pub(crate) mod pause;
pub(crate) mod replica;
pub(crate) mod suspicion;
pub(crate) mod wire;
