//! What the public interface does, whatever protocol carries it.
//!
//! A protocol reads requests and writes answers; what lies between is the same for all and stands
//! here. [`backend`] is what a node can do. [`options`] are the quorums and other options of a
//! request for an object, in Riak's words. [`permission`] is asked whether a caller may do what it
//! asks for. [`meaning`] is the one table that says what an error means to a client. [`stats`]
//! counts what this node has answered, [`figures`] tells that and more under Riak's keys. Nothing here
//! knows HTTP.
//!
//! [`hooks`] has functions called before and after writes. [`mapred`] says in Riak's words why a query failed, or is not run; [`jobs`] says why something that
//! concerns jobs is not done.

pub mod backend;
pub mod figures;
mod hooked;
pub mod hooks;
pub mod jobs;
pub mod limits;
pub mod mapred;
pub mod meaning;
pub mod options;
pub mod permission;
pub mod stats;
