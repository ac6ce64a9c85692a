//! Bounds of the client, each with its reason and what happens when it is reached.

use std::time::Duration;

/// Connections kept open without a request. More are closed when their request is done.
pub const IDLE_CONNECTIONS: usize = 64;

/// An open connection is not used again after so long without a request: shorter than the time
/// after which servers close it, so that a request seldom meets a closing connection.
pub const IDLE: Duration = Duration::from_secs(30);

/// Largest answer that is collected in memory, in bytes: an object with its names, or a plain
/// MapReduce answer. Larger: the call fails and the connection is dropped.
pub const ANSWER_BYTES: usize = 256 << 20;

/// Largest error text that is read, in bytes; the rest is thrown away.
pub const ERROR_BYTES: usize = 64 << 10;

/// Largest part of a chunked MapReduce answer or piece of a key list, in bytes. The server closes
/// parts far below, but one value may be as large as a function's result may be.
pub const PART_BYTES: usize = 128 << 20;

/// Longest head of a multipart part, in bytes.
pub const PART_HEAD_BYTES: usize = 8 << 10;

// A whole object must fit into an answer.
const _: () = assert!(ANSWER_BYTES > mapring_types::limits::OBJECT_BYTES);
