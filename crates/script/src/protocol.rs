//! What a node and its script workers say to each other over a unix socket: frames of a length
//! (four bytes, little endian) and a postcard body.
//!
//! The node speaks first, with [`Request::Hello`]; the worker answers [`Response::Ready`]. Then
//! every request but [`Request::Abandon`] and [`Request::Hold`] has exactly one answer, with [`Response::Busy`] in
//! between while it takes long.

use std::io::{self, Read, Write};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::library::Library;
use crate::limits::FRAME_BYTES;
use crate::sandbox::{LayerReport, Sandbox};
use crate::{
    CallBounds, CallContext, Combined, CombinedGroups, Combiner, Effects, Group, Grouping,
    JsonText, MapInput, Mapped, MappedPairs, PhaseFunction, QueryTag, ReduceState, ReduceTiming,
    Reduced, Row, ScriptError, ScriptLimits, Values,
};

/// The version of the frames: node and worker are one program, so that they differ only when the
/// program's file was replaced under a running node.
pub const VERSION: u16 = 8;

/// Bytes of a frame's length.
pub const HEADER_BYTES: usize = 4;

/// What a node asks of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The first frame.
    Hello {
        /// [`VERSION`].
        version: u16,
        /// What the worker holds itself to.
        limits: ScriptLimits,
        /// Whether it jails itself.
        sandbox: Sandbox,
    },
    /// What calls are held to from now on; `None` for what the worker is. Has no answer.
    Hold(Option<CallBounds>),
    /// The files of functions that contexts made from now on have.
    Library(Library),
    /// See [`crate::Runtime::map`].
    Map {
        /// The query.
        query: QueryTag,
        /// The function.
        function: PhaseFunction,
        /// Where the calls belong.
        context: CallContext,
        /// The batch.
        inputs: Vec<MapInput>,
    },
    /// See [`crate::js::JsRuntime::combine`].
    Combine {
        /// The query.
        query: QueryTag,
        /// The map function.
        function: PhaseFunction,
        /// Where the calls belong.
        context: CallContext,
        /// The batch.
        inputs: Vec<MapInput>,
        /// The reduce function.
        reduce: PhaseFunction,
    },
    /// See [`crate::js::JsRuntime::map_pairs`].
    MapPairs {
        /// The query.
        query: QueryTag,
        /// The map function.
        function: PhaseFunction,
        /// What becomes of its results.
        grouping: Grouping,
        /// Where the calls belong.
        context: CallContext,
        /// The batch.
        inputs: Vec<MapInput>,
    },
    /// See [`crate::js::JsRuntime::combine_groups`].
    CombineGroups {
        /// The query.
        query: QueryTag,
        /// The combiner.
        combiner: Combiner,
        /// Where the calls belong.
        context: CallContext,
        /// The groups.
        groups: Vec<Group>,
    },
    /// See [`crate::js::JsRuntime::reduce_groups`].
    ReduceGroups {
        /// The query.
        query: QueryTag,
        /// The function.
        function: PhaseFunction,
        /// How values come to it.
        values: Values,
        /// Where the calls belong.
        context: CallContext,
        /// The groups.
        groups: Vec<Group>,
    },
    /// Calls a grouped reduce function with a group whose values come in [`Request::StreamValues`].
    StreamOpen {
        /// The query.
        query: QueryTag,
        /// The function.
        function: PhaseFunction,
        /// Where the call belongs.
        context: CallContext,
        /// The group's key in its canonical form.
        key: Bytes,
    },
    /// The next values of the group, at least one; none when there are no more.
    StreamValues(Vec<JsonText>),
    /// See [`crate::Runtime::reduce_open`].
    ReduceOpen {
        /// The query.
        query: QueryTag,
        /// The function.
        function: PhaseFunction,
        /// Where the calls belong.
        context: CallContext,
        /// When to call it.
        timing: ReduceTiming,
        /// Where to go on.
        state: ReduceState,
    },
    /// See [`crate::Runtime::reduce_push`].
    ReducePush(Vec<Row>),
    /// See [`crate::Runtime::reduce_suspend`].
    ReduceSuspend,
    /// See [`crate::Runtime::reduce_save`].
    ReduceSave(u64),
    /// See [`crate::Runtime::reduce_finish`].
    ReduceFinish,
    /// Forgets the reduce under way. Has no answer.
    Abandon,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To `Hello`.
    Ready {
        /// [`VERSION`].
        version: u16,
        /// The layers of its jail; none where it has none.
        sandbox: Vec<LayerReport>,
    },
    /// A request is being worked on: comes every [`crate::limits::HEARTBEAT_MS`], and when a call
    /// is over that it told of.
    Busy {
        /// The input of the batch that the function is being called with.
        input: Option<u32>,
        /// For how long this call has run, in milliseconds.
        call_ms: u64,
    },
    /// Comes before an answer: the process holds more than half of its memory, garbage not counted.
    /// The next query should not have to make do with the rest.
    Large,
    /// To `Library`: what is wrong with its files. They are used as far as they can be.
    Library(Vec<String>),
    /// To `MapPairs`.
    Pairs(MappedPairs),
    /// To `CombineGroups`.
    Groups(CombinedGroups),
    /// To `StreamOpen` and `StreamValues`: the function wants more values.
    More,
    /// To `Map` and `ReduceGroups`: the results of the first inputs, or groups.
    Mapped(Mapped),
    /// To `Combine`.
    Combined(Combined),
    /// To `Combine` and `MapPairs`: the function that follows the map failed. The worker goes on.
    ReduceFailed(ScriptError),
    /// To `ReduceOpen` and `ReducePush`: what the calls asked for.
    Done(Effects),
    /// To `ReduceSuspend`.
    Suspended(ReduceState),
    /// To `ReduceSave`.
    Saved(Option<ReduceState>),
    /// To `ReduceFinish`: the results, and what the last call asked for. To `StreamOpen` and
    /// `StreamValues`: the function has ended, whether it has had all values or not.
    Reduced(Reduced),
    /// The request failed. The worker goes on.
    Failed(ScriptError),
    /// The interpreter itself failed: the worker ends.
    Broken(ScriptError),
}

/// Encodes a frame, with its length.
///
/// # Errors
/// `InvalidData` when it is larger than [`FRAME_BYTES`].
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(message, vec![0; HEADER_BYTES]).map_err(invalid)?;
    let length = frame.len() - HEADER_BYTES;
    if length > FRAME_BYTES {
        return Err(invalid(format!("a frame of {length} bytes is too large")));
    }
    let length = u32::try_from(length).map_err(invalid)?;
    frame[..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The length of the body that follows a header.
///
/// # Errors
/// `InvalidData` when it is larger than [`FRAME_BYTES`].
pub fn body_length(header: [u8; HEADER_BYTES]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(header)).map_err(invalid)?;
    if length > FRAME_BYTES {
        return Err(invalid(format!("a frame of {length} bytes is too large")));
    }
    Ok(length)
}

/// Decodes a frame's body.
///
/// # Errors
/// `InvalidData` when it is damaged.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(invalid)
}

/// Writes a frame.
///
/// # Errors
/// Those of the stream, and of [`encode`].
pub fn write<T: Serialize>(stream: &mut impl Write, message: &T) -> io::Result<()> {
    stream.write_all(&encode(message)?)
}

/// Reads a frame.
///
/// # Errors
/// Those of the stream (`UnexpectedEof` at its end), and of [`decode`].
pub fn read<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let length = body_length(header)?;
    let mut body = Vec::new();
    // Memory is taken as bytes come, not as the header promises.
    stream.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    decode(&body)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_damaged_ones_are_refused() {
        let results = vec![vec![Row::value("1")], vec![]];
        let message = Response::Mapped(Mapped { results, ..Mapped::default() });
        let frame = encode(&message).unwrap();
        assert_eq!(read::<Response>(&mut frame.as_slice()).unwrap(), message);
        for cut in 0..frame.len() {
            assert!(read::<Response>(&mut &frame[..cut]).is_err());
        }
        let huge = [0xff; 8];
        let error = read::<Response>(&mut huge.as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
