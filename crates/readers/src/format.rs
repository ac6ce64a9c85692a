//! What a stack of layers is made of.

use serde::{Deserialize, Serialize};

use crate::base64::Base64;
use crate::blocks::Blocks;
use crate::csv::Csv;
use crate::documents::Documents;
use crate::encoding::Encoding;
use crate::error::FormatError;
use crate::fields::Fields;
use crate::gzip::Gzip;
use crate::held::Held;
use crate::input::Input;
use crate::limits;
use crate::lines::Lines;
use crate::records::Records;
use crate::sample::{self, Sample};
use crate::split::Piece;
use crate::splitter::{Separator, Splitter};
use crate::zip::{Span, Zip};

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Root {
    /// Its bytes.
    pub length: u64,
    /// A number that tells it from others: samples of them differ.
    pub number: u64,
    /// What samples follow that have no seed.
    pub seed: u64,
}

impl Root {
    fn seed(&self, given: Option<u64>) -> u64 {
        given.unwrap_or(self.seed) ^ self.number
    }
}

/// How lines are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineFormat {
    /// The name of the encoding, as of [`Encoding::of`]; UTF-8 when it is not given.
    pub encoding: Option<String>,
    /// What ends a line: a line feed when it is not given.
    pub separator: Option<String>,
    /// Whether the carriage return before a line feed stays.
    pub keep_cr: bool,
}

impl LineFormat {
    fn separator(&self) -> Result<Separator, FormatError> {
        let encoding = match &self.encoding {
            None => Encoding::UTF_8,
            Some(name) => Encoding::of(name)
                .ok_or_else(|| FormatError::new("encoding", "there is no such encoding"))?,
        };
        Separator::new(self.separator.as_deref(), encoding, self.keep_cr)
    }
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Documents compressed with gzip.
    Gzip,
    /// Archives, of which the members are taken.
    Zip,
    /// Documents written in base64.
    Base64,
    /// Texts, of which the lines are taken.
    Lines(LineFormat),
    /// Tables, of which the rows are taken.
    Csv {
        /// Whether the first row names the columns.
        header: bool,
        /// What separates fields: a comma when it is not given.
        separator: Option<String>,
    },
    /// Lines of JSON or record files, of which the records are taken.
    Records,
    /// JSON objects, of which the fields are taken.
    Fields,
    /// A part of what is below, chosen by where it is.
    Sample {
        /// How many of 2^64.
        share: u64,
        /// Which; those of the root's own seed when it is not given.
        seed: Option<u64>,
    },
}

impl Format {
    /// Whether it can be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), FormatError> {
        let nothing: Box<dyn Documents> = Box::new(Input::new(0));
        self.over(nothing, &Piece::Whole, &Root::default()).map(|_| ())
    }

    /// Whether a root can be read in pieces of bytes when this is the lowest layer.
    pub fn splits_bytes(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.separator().is_ok_and(|separator| separator.splits()),
            Self::Records => true,
            Self::Gzip
            | Self::Zip
            | Self::Base64
            | Self::Csv { .. }
            | Self::Fields
            | Self::Sample { .. } => false,
        }
    }

    /// What it is called.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zip => "zip",
            Self::Base64 => "base64",
            Self::Lines(_) => "lines",
            Self::Csv { .. } => "csv",
            Self::Records => "records",
            Self::Fields => "fields",
            Self::Sample { .. } => "sample",
        }
    }

    /// Whether it leaves a root out: only a sample does.
    pub fn leaves_out(&self, root: &Root) -> bool {
        match self {
            Self::Sample { share, seed } => !sample::chosen(*share, root.seed(*seed), &[0]),
            _ => false,
        }
    }

    /// The layer over another; `piece` where that is the root.
    pub(crate) fn over(
        &self,
        inner: Box<dyn Documents>,
        piece: &Piece,
        root: &Root,
    ) -> Result<Box<dyn Documents>, FormatError> {
        let no_piece = || FormatError::new("piece", "the format is not read in such pieces");
        let bytes = match piece {
            Piece::Whole => None,
            Piece::Bytes { start, end } if self.splits_bytes() => Some((*start, *end)),
            Piece::Members { .. } if *self == Self::Zip => None,
            Piece::Bytes { .. } | Piece::Members { .. } => return Err(no_piece()),
        };
        Ok(match self {
            Self::Gzip => Box::new(Gzip::new(inner)),
            Self::Zip => {
                let span = match *piece {
                    Piece::Members { first, entry, until } => Some(Span { first, entry, until }),
                    _ => None,
                };
                // A stream has no end to look for the directory at: it is held.
                let held: Box<dyn Documents> = match inner.length() {
                    Some(_) => inner,
                    None => Box::new(Held::new(inner)),
                };
                Box::new(Zip::new(held, span))
            }
            Self::Base64 => Box::new(Base64::new(inner)),
            Self::Lines(lines) => {
                Box::new(Lines::new(inner, Splitter::new(lines.separator()?, bytes)))
            }
            Self::Csv { header, separator } => {
                Box::new(Csv::new(inner, *header, separator.as_deref())?)
            }
            Self::Records => {
                let lines = Separator::new(None, Encoding::UTF_8, false)?;
                let lines = Splitter::new(lines, bytes);
                Box::new(Records::new(inner, lines, Blocks::new(bytes)))
            }
            Self::Fields => Box::new(Fields::new(inner)),
            Self::Sample { share, seed } => Box::new(Sample::new(inner, *share, root.seed(*seed))),
        })
    }
}

/// Whether a stack can be.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(formats: &[Format]) -> Result<(), FormatError> {
    if formats.len() > limits::LAYERS {
        let message = format!("formats lie over each other more than {} deep", limits::LAYERS);
        return Err(FormatError::new("inputs", message));
    }
    formats.iter().try_for_each(Format::check)
}
