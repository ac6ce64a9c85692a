//! How a condition names what it is about.
//!
//! A text is a path of names with dots between them, `address.zip`, or one of the words with `@`. A
//! list gives the names one by one, `["a.b","@c"]`, and so names that have a dot or begin with `@`;
//! the empty list is the whole value. A name that is a number also takes an element of a list, from 0.

use serde_json::value::RawValue;

use super::condition::Subject;
use crate::limits;

/// Reads the subject of a condition.
///
/// # Errors
/// What is wrong with it.
pub(super) fn subject(given: &RawValue) -> Result<Subject, String> {
    if let Ok(names) = serde_json::from_str::<Vec<String>>(given.get()) {
        return path(names);
    }
    let Ok(text) = serde_json::from_str::<String>(given.get()) else {
        return Err("what a filter is about is a text such as \"address.zip\" or \"@key\", or a \
                    list of names"
            .to_owned());
    };
    let Some(word) = text.strip_prefix('@') else {
        return path(text.split('.').map(str::to_owned).collect());
    };
    let (word, name) = word.split_once('.').unwrap_or((word, ""));
    match (word, name) {
        ("key", "") => Ok(Subject::Key),
        ("last_modified", "") => Ok(Subject::LastModified),
        ("content_type", "") => Ok(Subject::ContentType),
        ("meta", name) if !name.is_empty() => Ok(Subject::Meta(name.to_lowercase())),
        ("index", name) if name.ends_with("_int") || name.ends_with("_bin") => {
            Ok(Subject::Index(name.to_lowercase()))
        }
        _ => Err(format!(
            "there is no \"{}\"; there are @key, @last_modified, @content_type, @meta.NAME, \
             @index.NAME_int and @index.NAME_bin, and a member of a value that is called so is \
             written as a list, [\"{}\"]",
            mapring_types::quote(&text),
            mapring_types::quote(&text)
        )),
    }
}

fn path(names: Vec<String>) -> Result<Subject, String> {
    if names.len() > limits::PATH_NAMES {
        return Err(format!("a path has more than {} names", limits::PATH_NAMES));
    }
    // In a list each name is meant as it stands, but `a..b` is a slip.
    if names.len() != 1 && names.iter().any(String::is_empty) || names == [""] {
        return Err("a path has an empty name".to_owned());
    }
    Ok(Subject::Path(names))
}
