//! Why a query failed: facts, of which a protocol makes what its clients read.

use std::fmt;
use std::ops::Deref;

use mapring_script::{FailureCause, JsonText, Row, ScriptError};
use mapring_types::{BucketId, Error, ErrorKind, ObjectId};

use crate::grammar::Scan;
use crate::writing::may_pass;

/// Why a query failed, and where; or why one of its inputs was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(Box<FailureFacts>);

/// What is known of a [`Failure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureFacts {
    /// What kind of thing happened.
    pub kind: FailureKind,
    /// What happened, in words.
    pub message: String,
    /// The phase, from 0, where it was in one.
    pub phase: Option<usize>,
    /// What that phase calls, in short, where its function failed.
    pub function: Option<String>,
    /// What was being worked on, where that is known.
    pub input: Option<FailedInput>,
    /// The JavaScript stack, with places in the function's source.
    pub stack: Option<String>,
    /// The name of the node on which it was.
    pub node: Option<String>,
    /// The shard that was worked on, by its number within its stage (`ctx.shard.number`), and which attempt at
    /// it that was, from 1.
    pub shard: Option<(u32, u32)>,
}

/// What kind of thing ended a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Its time is over.
    Timeout,
    /// The node that coordinates it stops: another node can be asked.
    Stopping,
    /// An operator ended it.
    Ended,
    /// A phase's function failed.
    Function(FailureCause),
    /// What a function wanted written or deleted could not be, for this reason.
    Write(ErrorKind),
    /// The function of a phase cannot be had.
    NoFunction,
    /// A result is no input for the phase that follows.
    BadInput,
    /// An object that it was to write is there already.
    Exists,
    /// Its pairs, or those of one of its groups, are more than may be.
    GroupSize,
    /// Its plain answer is larger than what may be put aside.
    AnswerSize,
    /// Nodes could not do their part, for this reason.
    Node(ErrorKind),
}

impl FailureKind {
    /// The `type` of a failure as users read it, where something that a phase was given had a part in
    /// it.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Function(cause) => Some(match cause {
                FailureCause::Syntax => "syntax",
                FailureCause::Thrown => "exception",
                FailureCause::Undefined => "undefined",
                FailureCause::Time => "timeout",
                FailureCause::Memory => "memory",
                FailureCause::Stack => "stack",
                FailureCause::ResultSize => "result_size",
                FailureCause::NotAList => "non_list_result",
                FailureCause::NotJson => "bad_json",
                FailureCause::NotUtf8 => "bad_utf8_character_code",
                FailureCause::BadArgument => "badarg",
                FailureCause::Worker => "worker",
                FailureCause::NotAPair => "not_a_pair",
                FailureCause::Failed => "fail",
                FailureCause::Retry => "retry",
                FailureCause::GroupSize => "group_size",
                FailureCause::Damaged => "damaged_input",
                FailureCause::Missing => "missing_input",
                FailureCause::Changed => "changed_input",
            }),
            Self::Write(_) => Some("write"),
            Self::BadInput => Some("bad_input"),
            Self::GroupSize => Some("group_size"),
            Self::Timeout
            | Self::Stopping
            | Self::Ended
            | Self::NoFunction
            | Self::Exists
            | Self::AnswerSize
            | Self::Node(_) => None,
        }
    }

    /// Whether the same query may do better a moment later.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Stopping => true,
            Self::Node(kind) | Self::Write(kind) => may_pass(kind),
            _ => false,
        }
    }
}

/// What a failing phase was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailedInput {
    /// An object.
    Object {
        /// Its bucket type, bucket and key.
        id: ObjectId,
        /// Its key data.
        keydata: Option<JsonText>,
    },
    /// The object that holds the phase's function.
    Code(ObjectId),
    /// A result of the phase.
    Row(Row),
}

impl Failure {
    /// A failure outside any phase.
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self(Box::new(FailureFacts {
            kind,
            message: message.to_string(),
            phase: None,
            function: None,
            input: None,
            stack: None,
            node: None,
            shard: None,
        }))
    }

    /// The query's time is over.
    pub(crate) fn timeout() -> Self {
        Self::new(FailureKind::Timeout, "the query took longer than it may")
    }

    /// The node that coordinates the query stops before the query has ended.
    pub(crate) fn stopping(node: &str) -> Self {
        let message = "this node is stopping and ends its queries: ask another node";
        Self::new(FailureKind::Stopping, message).on(node)
    }

    /// There is no such bucket type.
    pub(crate) fn no_bucket_type(bucket: &BucketId) -> Self {
        let name = bucket.bucket_type.escape_ascii();
        let kind = FailureKind::Node(ErrorKind::NotFound);
        Self::new(kind, format_args!("the bucket type {name} does not exist"))
    }

    /// As [`Failure::no_bucket_type`], for inputs: where a whole bucket is named as a pair, perhaps an
    /// object was meant.
    pub(crate) fn no_bucket_type_of(scan: &Scan) -> Self {
        let bucket = &scan.bucket;
        let mut failure = Self::no_bucket_type(bucket);
        if !scan.is_whole() {
            return failure;
        }
        let part = |part: &[u8]| crate::pair::quoted(&String::from_utf8_lossy(part));
        let (bucket_type, name) = (part(&bucket.bucket_type), part(&bucket.name));
        failure.0.message +=
            &format!(": a pair of texts is [type, bucket]; one object is [[{bucket_type},{name}]]");
        failure
    }

    /// The query cannot go on, by no fault of its own.
    pub(crate) fn broken_off(message: impl fmt::Display) -> Self {
        Self::new(FailureKind::Node(ErrorKind::Internal), message)
    }

    /// A function failed.
    pub(crate) fn function(error: &ScriptError) -> Self {
        let kind = FailureKind::Function(error.cause);
        Self::new(kind, &error.message).with_stack(error.stack.clone())
    }

    /// The failure as one of a phase.
    #[must_use]
    pub fn in_phase(mut self, phase: usize) -> Self {
        self.0.phase = Some(phase);
        self
    }

    /// The failure as one of an input.
    #[must_use]
    pub fn of(mut self, input: FailedInput) -> Self {
        self.0.input = Some(input);
        self
    }

    /// The failure as one on a node.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.0.node = Some(node.to_owned());
        self
    }

    /// The failure as one of an attempt at a shard.
    #[must_use]
    pub(crate) fn in_shard(mut self, number: u32, attempt: u32) -> Self {
        self.0.shard = Some((number, attempt));
        self
    }

    /// The failure in other words.
    #[must_use]
    pub(crate) fn saying(mut self, message: String) -> Self {
        self.0.message = message;
        self
    }

    /// The failure with a JavaScript stack.
    #[must_use]
    pub fn with_stack(mut self, stack: Option<String>) -> Self {
        self.0.stack = stack;
        self
    }

    /// The failure as one of what a phase calls.
    #[must_use]
    pub(crate) fn calling(mut self, function: &str) -> Self {
        self.0.function = Some(function.to_owned());
        self
    }

    /// About the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let input = match &self.input {
            Some(FailedInput::Object { id, keydata }) => {
                let keydata = keydata.as_ref().map_or(0, |text| text.0.len());
                id.bucket.bucket_type.len() + id.bucket.name.len() + id.key.len() + keydata
            }
            Some(FailedInput::Code(id)) => id.bucket.name.len() + id.key.len(),
            Some(FailedInput::Row(row)) => row.bytes(),
            None => 0,
        };
        let texts = [&self.function, &self.stack, &self.node].into_iter().flatten();
        size_of::<FailureFacts>()
            + self.message.len()
            + texts.map(String::len).sum::<usize>()
            + input
    }
}

impl Deref for Failure {
    type Target = FailureFacts;

    fn deref(&self) -> &FailureFacts {
        &self.0
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(FailureKind::Node(error.kind()), &error)
    }
}

/// For logs: what happened, and where.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailureFacts { phase, function, node, input, .. } = &**self;
        if let Some(phase) = phase {
            write!(f, "phase {phase}: ")?;
        }
        if let Some(function) = function {
            write!(f, "{function}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(FailedInput::Object { id, .. }) = input {
            write!(f, ", for {id}")?;
        }
        node.as_ref().map_or(Ok(()), |node| write!(f, ", on {node}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_and_where() {
        let error = ScriptError {
            cause: FailureCause::Thrown,
            message: "TypeError: é".into(),
            stack: Some("at f (1:2)".into()),
            input: Some(0),
        };
        let id = ObjectId::new(BucketId::typed("t", "b"), "k");
        let input = FailedInput::Object { id, keydata: None };
        let failure = Failure::function(&error).in_phase(1).of(input).on("n2");
        assert_eq!(failure.to_string(), "phase 1: TypeError: é, for t/b/k, on n2");
        assert_eq!(failure.kind, FailureKind::Function(FailureCause::Thrown));
        assert_eq!(failure.stack.as_deref(), Some("at f (1:2)"));
        let failure = Failure::no_bucket_type_of(&Scan::whole(BucketId::typed("my\"Input", "1")));
        let hint = r#": a pair of texts is [type, bucket]; one object is [["my\"Input","1"]]"#;
        assert!(failure.to_string().ends_with(hint), "{failure}");
        let failure = Failure::from(Error::unavailable("nobody is there"));
        assert_eq!(failure.to_string(), "nobody is there");
        assert_eq!(failure.kind, FailureKind::Node(ErrorKind::Unavailable));
    }
}
