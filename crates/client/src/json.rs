//! Finding the end of a JSON value in bytes that come in pieces.

/// Follows a JSON object or list to its end, without reading what is inside.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// Takes more bytes of a value; gives how many of them belong to it once it has ended.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        *self = Self::default();
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ends: &[usize]) {
        for piece in 1..=text.len() {
            let mut scanner = Scanner::default();
            let mut found = Vec::new();
            for (number, bytes) in text.as_bytes().chunks(piece).enumerate() {
                let mut from = 0;
                while let Some(length) = scanner.push(&bytes[from..]) {
                    from += length;
                    found.push(number * piece + from);
                }
            }
            assert_eq!(found, ends, "in pieces of {piece}");
        }
    }

    #[test]
    fn ends_are_found_in_any_pieces() {
        check("{}", &[2]);
        check(r#"{"a":[1,{"b":2}]}[]"#, &[17, 19]);
        check(r#"{"}":"\"}\\"}{}"#, &[13, 15]);
        check(r#"{"a":"#, &[]);
    }
}
