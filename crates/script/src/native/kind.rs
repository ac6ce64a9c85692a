//! What the built-ins of both names have in common.

use crate::{FailureCause, ScriptError};

/// The module of the Erlang-named built-ins.
pub const MODULE: &str = "riak_kv_mapreduce";

/// Which kind of phase a function is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Map phases.
    Map,
    /// Reduce phases.
    Reduce,
}

pub(super) fn bad_argument(message: impl Into<String>) -> ScriptError {
    ScriptError::new(FailureCause::BadArgument, message)
}
