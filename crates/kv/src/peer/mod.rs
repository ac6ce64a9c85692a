//! The other members: what nodes say to each other (`wire`), asking them (`call`), and changing a
//! replica that one of them may have (`replica`); how far their data is (`extent`), who has told
//! what it holds (`reports`), who does not answer (`suspicion`), and whether it is this node that
//! stood still (`pause`).

pub(crate) mod call;
pub(crate) mod extent;
pub(crate) mod pause;
pub(crate) mod replica;
pub(crate) mod reports;
pub(crate) mod suspicion;
pub(crate) mod wire;
