//! Inputs that are taken out of others, or made: what the forms of [`super::sources`] come to.

use std::sync::Arc;

use mapring_readers::{Format, Generator};
use mapring_script::JsonText;

use super::phase::Code;
use super::query::{PackedKeys, Scan};

/// Parts, one after another.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) parts: Vec<Part>,
}

/// Roots, and what is taken out of them.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) roots: Roots,
    /// The formats over each root, the lowest first.
    pub(crate) formats: Vec<Format>,
    /// Whether an object that does not exist fails the query, or is passed over.
    pub(crate) fails_on_missing: bool,
    /// Only the first so many inputs are wanted.
    pub(crate) most: Option<u64>,
}

/// What inputs are taken out of.
#[derive(Debug)]
pub(crate) enum Roots {
    /// Objects of a bucket.
    Scan(Scan),
    /// Named objects, in order.
    Keys(Arc<PackedKeys>),
    /// What the query's own code reads.
    Reader(Arc<ReaderSpec>),
    /// Items that no object holds.
    Generated(Generator),
    /// What a job has given, by its id: items, or the objects that it wrote.
    Job(String),
    /// The names of the buckets of a bucket type that have objects.
    Buckets {
        /// The bucket type.
        bucket_type: String,
        /// What the names begin with.
        prefix: String,
    },
    /// The names of the bucket types.
    BucketTypes {
        /// What the names begin with.
        prefix: String,
    },
}

/// Inputs that a query's own code divides and reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReaderSpec {
    pub(crate) code: Code,
    /// What its `split` gets.
    pub(crate) params: Option<JsonText>,
}

impl Source {
    pub(super) fn of(roots: Roots) -> Self {
        let part = Part { roots, formats: Vec::new(), fails_on_missing: false, most: None };
        Self { parts: vec![part] }
    }

    /// What it is, for whoever looks at the plan.
    pub(crate) fn words(&self) -> String {
        self.parts.iter().map(Part::words).collect::<Vec<_>>().join(", then ")
    }
}

impl Part {
    fn words(&self) -> String {
        let roots = match &self.roots {
            Roots::Scan(scan) => format!("objects of {}", scan.bucket),
            Roots::Keys(keys) => format!("{} listed objects", keys.len()),
            Roots::Generated(generator) => {
                format!("{} of {}", generator.count(), generator.name())
            }
            Roots::Job(id) => format!("what the job {id:?} gave"),
            Roots::Reader(_) => "what a reader gives".to_owned(),
            Roots::Buckets { bucket_type, prefix } => {
                format!("buckets of {bucket_type} that begin with {prefix:?}")
            }
            Roots::BucketTypes { prefix } => format!("bucket types that begin with {prefix:?}"),
        };
        let over = self.formats.iter().rev().map(|format| format.word().to_owned());
        let words = over.chain([roots]).collect::<Vec<_>>().join(" of ");
        match self.most {
            Some(most) => format!("the first {most} of {words}"),
            None => words,
        }
    }

    /// Whether the roots are the inputs, but for those that samples leave out.
    pub(crate) fn is_plain(&self) -> bool {
        self.formats.iter().all(|format| matches!(format, Format::Sample { .. }))
    }
}
