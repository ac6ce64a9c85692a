//! How Erlang writes what stands in Riak's texts.

/// Bytes, as its term: in quotes where all are printable ASCII, else as numbers.
pub fn binary(bytes: &[u8]) -> String {
    let printable = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    if printable {
        let text = String::from_utf8_lossy(bytes).replace('\\', "\\\\").replace('"', "\\\"");
        return format!("<<\"{text}\">>");
    }
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("<<{}>>", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_quoted_where_they_can_be() {
        assert_eq!(binary(b""), "<<\"\">>");
        assert_eq!(binary(b"a \\ \"b\""), r#"<<"a \\ \"b\"">>"#);
        assert_eq!(binary("é\n".as_bytes()), "<<195,169,10>>");
    }
}
