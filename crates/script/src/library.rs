//! Users' own files of functions (Riak's `js_source_dir`): evaluated in every new context before the
//! built-ins, so that queries can call what they define.

use serde::{Deserialize, Serialize};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name in its directory, which errors and stacks show.
    pub name: String,
    /// JavaScript.
    pub text: String,
}

/// All files, in the order in which they are evaluated. A file that fails does not keep the others
/// from being used: what is wrong with it is told with the error of every query that misses a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// The files.
    pub files: Vec<SourceFile>,
    /// What is wrong beside them, such as a file that could not be read.
    pub complaints: Vec<String>,
}
