//! Why a query is not run: what is wrong with how it is written, and where.

use std::fmt;
use std::ops::Deref;

use mapring_types::quote;
use serde_json::value::RawValue;

/// A query that is refused before anything of it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection(Box<RejectionFacts>);

/// What is known of a [`Rejection`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionFacts {
    /// What is wrong.
    pub kind: RejectionKind,
    /// Where in the query that is, such as `query[1].map.arg`; empty where it is all of it.
    pub place: String,
    /// What is wrong there, in words, where the kind does not say it all.
    pub message: String,
    /// The JSON in question, or its beginning.
    pub given: Option<String>,
    /// What could stand there instead.
    pub hint: &'static str,
}

/// Riak's words for inputs that it cannot read.
pub(crate) const UNRECOGNIZED: &str = "Unrecognized format of \"inputs\" field";

/// What is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectionKind {
    /// There is none.
    Empty,
    /// It is no JSON, or nested deeper than is read.
    NotJson,
    /// It is JSON, but no object.
    NotAnObject,
    /// `inputs` or `query` is missing.
    Incomplete,
    /// An option has a value that it cannot have: the message says what it can be.
    Option(&'static str),
    /// A part is not what can stand there.
    Malformed,
    /// A link phase has a `bucket` or `tag` that is no text.
    LinkSpec,
    /// No index has a field of this name.
    UnknownIndex {
        /// The name.
        field: String,
    },
    /// An index cannot hold what it is asked for: the message says what it holds.
    IndexTerm {
        /// The index.
        field: String,
        /// What it is asked for, where that is a text.
        text: Option<String>,
    },
    /// There is no key filter of this name.
    UnknownFilter {
        /// The name.
        name: String,
    },
    /// A key filter can be read but not run, such as a broken expression.
    UnusableFilter,
    /// There is no built-in of this name for this kind of phase.
    UnknownFunction {
        /// The phase, from 0.
        phase: usize,
        /// The module.
        module: String,
        /// The function.
        function: String,
        /// How many arguments Riak calls it with.
        arity: u8,
    },
}

impl Rejection {
    /// What is wrong with the query as a whole.
    pub fn new(kind: RejectionKind) -> Self {
        let (place, message) = (String::new(), String::new());
        Self(Box::new(RejectionFacts { kind, place, message, given: None, hint: "" }))
    }

    /// A part is not what can stand there.
    pub(crate) fn malformed(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Malformed).at(place).saying(message)
    }

    #[must_use]
    pub(crate) fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place = place.into();
        self
    }

    #[must_use]
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    #[must_use]
    pub(crate) fn given(mut self, json: &RawValue) -> Self {
        self.0.given = Some(quote(json.get()));
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.0.hint = hint;
        self
    }

    /// The same, seen from further out.
    #[must_use]
    pub(crate) fn below(mut self, outer: &str) -> Self {
        self.0.place.insert_str(0, outer);
        self
    }

    /// Whether it is about a key filter that cannot be run. Riak finds these when it starts the query,
    /// after whatever else is wrong with it.
    pub fn is_late(&self) -> bool {
        matches!(self.kind, RejectionKind::UnknownFilter { .. } | RejectionKind::UnusableFilter)
    }
}

impl Deref for Rejection {
    type Target = RejectionFacts;

    fn deref(&self) -> &RejectionFacts {
        &self.0
    }
}

/// For logs: what is wrong, and where.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        match &self.kind {
            RejectionKind::Empty => f.write_str("there is no query"),
            RejectionKind::NotJson => write!(f, "the query is no JSON: {}", self.message),
            RejectionKind::NotAnObject => f.write_str("the query is no object"),
            RejectionKind::Incomplete => f.write_str("inputs or query is missing"),
            RejectionKind::Option(name) => write!(f, "{name} {}", self.message),
            RejectionKind::UnknownIndex { field } => write!(f, "there is no index {field}"),
            RejectionKind::UnknownFilter { name } => write!(f, "there is no key filter {name}"),
            RejectionKind::UnknownFunction { phase, module, function, .. } => {
                write!(f, "phase {phase}: there is no built-in {module}:{function} for it")
            }
            RejectionKind::LinkSpec => f.write_str("bucket and tag are texts"),
            RejectionKind::IndexTerm { .. }
            | RejectionKind::Malformed
            | RejectionKind::UnusableFilter => f.write_str(&self.message),
        }
    }
}
