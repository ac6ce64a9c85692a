//! Repeating somebody's text in a message.

use crate::limits;

/// The first [`limits::QUOTED_CHARS`] characters of a text, with `…` behind where it goes on.
pub fn quote(text: &str) -> String {
    match text.char_indices().nth(limits::QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short() {
        assert_eq!(quote("short"), "short");
        assert_eq!(quote(&"é".repeat(600)).chars().count(), limits::QUOTED_CHARS + 1);
    }
}
