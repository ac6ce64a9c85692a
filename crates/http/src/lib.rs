//! The public HTTP interface.
