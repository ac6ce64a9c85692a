//! What phases give each other, and the client.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::JsonText;

/// A result of a phase.
///
/// Erlang's pairs, `{error,notfound}` or the members of an object that a reduce gives in place of a
/// list, are told from the values that would be the same JSON: a list of nothing but pairs is
/// written as one object (fact R68).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Row {
    /// A value.
    Value(JsonText),
    /// A pair: the text of an object with exactly one member, without white space around it.
    Pair(JsonText),
}

impl Row {
    /// The value that is written so.
    pub fn value(text: impl Into<String>) -> Self {
        Self::Value(JsonText(text.into()))
    }

    /// The pair of a name and a value, both JSON.
    pub fn pair(name: &str, value: &str) -> Self {
        Self::Pair(JsonText(format!("{{{name}:{value}}}")))
    }

    /// The pair that is the only member of an object. Text that is no object with a member, which
    /// user code can make of one, stands for itself.
    pub fn pair_of(object: String) -> Self {
        let has_member = object.starts_with("{\"") && object.ends_with('}');
        if has_member { Self::Pair(JsonText(object)) } else { Self::Value(JsonText(object)) }
    }

    /// Its JSON; of a pair that of an object.
    pub fn text(&self) -> &str {
        let (Self::Value(text) | Self::Pair(text)) = self;
        &text.0
    }

    /// As [`Row::text`].
    pub fn into_text(self) -> String {
        let (Self::Value(text) | Self::Pair(text)) = self;
        text.0
    }

    /// The bytes of its JSON.
    pub fn bytes(&self) -> usize {
        self.text().len()
    }

    /// The member that a pair is, `"name":value`; `None` for a value.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Value(_) => None,
            Self::Pair(text) => text.0.strip_prefix('{')?.strip_suffix('}'),
        }
    }
}

/// What stands in front of a pair where rows are stored or sent: no JSON of a value begins so. Nodes
/// of all versions read and write rows as one text.
const PAIR_MARK: &str = " ";

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(text) => serializer.serialize_str(&text.0),
            Self::Pair(text) => serializer.collect_str(&format_args!("{PAIR_MARK}{}", text.0)),
        }
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.strip_prefix(PAIR_MARK) {
            // Of a text that is no pair no mark is left, or it would be another one when it is sent on.
            Some(object) => Self::pair_of(object.trim_start_matches(PAIR_MARK).to_owned()),
            None => Self::Value(JsonText(text)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn sent_as(row: &Row, text: &str) {
        let sent = postcard::to_allocvec(row).unwrap();
        assert_eq!(sent, postcard::to_allocvec(text).unwrap());
        assert_eq!(postcard::from_bytes::<Row>(&sent).unwrap(), *row);
    }

    #[test]
    fn rows_travel_as_texts() {
        sent_as(&Row::value("[1]"), "[1]");
        sent_as(&Row::value(r#"{"a":1}"#), r#"{"a":1}"#);
        sent_as(&Row::pair("\"a\"", "1"), r#" {"a":1}"#);
    }

    #[test]
    fn what_is_no_member_is_no_pair() {
        assert_eq!(Row::pair("\"a\"", "[2]").member(), Some(r#""a":[2]"#));
        for text in ["{}", "7", "null", "{\"", "{\"a\":1", ""] {
            assert_eq!(Row::pair_of(text.to_owned()), Row::value(text));
            let sent = postcard::to_allocvec(&format!(" {text}")).unwrap();
            assert_eq!(postcard::from_bytes::<Row>(&sent).unwrap(), Row::value(text));
            let twice = postcard::to_allocvec(&format!("  {text}")).unwrap();
            assert_eq!(postcard::from_bytes::<Row>(&twice).unwrap(), Row::value(text));
        }
    }
}
