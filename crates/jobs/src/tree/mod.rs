//! Files as JSON values that know where in the file they lie.

mod places;
#[cfg(test)]
mod tests;
mod toml;
mod yaml;

pub(crate) use places::Tree;
pub use places::{Mistake, Mistakes, Place};

use crate::limits;
use places::whole;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// YAML 1.2 with its core schema: `yes`, `no`, `on` and `off` are texts.
    Yaml,
    /// TOML.
    Toml,
}

impl Tree {
    /// Reads a file.
    pub(crate) fn read(text: &str, syntax: Syntax) -> Result<Self, Mistakes> {
        if text.len() > limits::CONFIG_BYTES {
            let message = format!("the file is longer than {} bytes", limits::CONFIG_BYTES);
            return Err(Mistakes(vec![whole(message)]));
        }
        match syntax {
            Syntax::Yaml => yaml::read(text),
            Syntax::Toml => toml::read(text),
        }
    }
}
