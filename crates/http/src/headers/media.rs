//! `Content-Type`: the charset is kept apart, as Riak does.

/// A media type as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// The type with its parameters other than `charset`.
    pub content_type: String,
    /// The `charset`.
    pub charset: Option<String>,
}

/// The type of values that were stored without one, such as tombstones.
pub const DEFAULT: &str = "application/octet-stream";

/// Reads a `Content-Type`.
///
/// # Errors
/// What stands where `type/subtype` should.
pub fn parse(header: &str) -> Result<Media, String> {
    let mut parts = header.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    if name.split('/').filter(|word| !word.is_empty()).count() != 2 {
        return Err(name.to_owned());
    }
    let mut media = Media { content_type: name.to_owned(), charset: None };
    for parameter in parts.filter(|part| !part.is_empty()) {
        match parameter.split_once('=') {
            Some((key, value)) if key.trim().eq_ignore_ascii_case("charset") => {
                media.charset = Some(value.trim().trim_matches('"').to_owned());
            }
            _ => {
                media.content_type.push_str("; ");
                media.content_type.push_str(parameter);
            }
        }
    }
    Ok(media)
}

/// Writes a `Content-Type`.
pub fn format(content_type: &str, charset: Option<&str>) -> String {
    let content_type = if content_type.is_empty() { DEFAULT } else { content_type };
    match charset {
        Some(charset) => format!("{content_type}; charset={charset}"),
        None => content_type.to_owned(),
    }
}

/// A media type without its parameters.
pub fn bare(content_type: &str) -> &str {
    let bare = content_type.split(';').next().unwrap_or_default().trim();
    if bare.is_empty() { DEFAULT } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, content_type: &str, charset: Option<&str>, back: &str) {
        let media = parse(header).unwrap();
        assert_eq!(media.content_type, content_type);
        assert_eq!(media.charset.as_deref(), charset);
        assert_eq!(format(&media.content_type, media.charset.as_deref()), back);
    }

    #[test]
    fn types_are_split_and_joined() {
        check("text/plain", "text/plain", None, "text/plain");
        check(
            "text/plain; charset=utf-8",
            "text/plain",
            Some("utf-8"),
            "text/plain; charset=utf-8",
        );
        check(
            "text/html;Charset=\"UTF-8\";",
            "text/html",
            Some("UTF-8"),
            "text/html; charset=UTF-8",
        );
        check("a/b; x=y; charset=c; z", "a/b; x=y; z", Some("c"), "a/b; x=y; z; charset=c");
        assert_eq!(format("", None), DEFAULT);
        assert_eq!(bare("a/b; x=y"), "a/b");
    }

    #[test]
    fn what_is_no_type_is_named() {
        for header in ["garbage", "a/b/c", "", "/", "text/"] {
            assert_eq!(parse(header), Err(header.to_owned()));
        }
        assert_eq!(parse("garbage; charset=x"), Err("garbage".to_owned()));
    }
}
