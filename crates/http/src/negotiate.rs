//! Choosing a representation by `Accept` (fact R10).

/// One entry of an `Accept` header.
struct Range<'a> {
    kind: &'a str,
    subkind: &'a str,
    /// Thousandths.
    quality: u16,
}

/// Chooses from `provided` (media types without parameters) what `accept` likes best. Without a
/// header, the first. Of equal quality the range that stands *later* wins, as in Webmachine; a
/// wildcard takes the first type that it fits. `None`: 406.
pub fn choose<'a>(provided: &[&'a str], accept: Option<&str>) -> Option<&'a str> {
    let accept = accept.map(str::trim).filter(|text| !text.is_empty());
    let Some(accept) = accept else { return provided.first().copied() };
    let mut ranges: Vec<Range<'_>> = accept.split(',').filter_map(parse).collect();
    ranges.reverse();
    // Stable: what stood later stays in front of its equals.
    ranges.sort_by_key(|range| std::cmp::Reverse(range.quality));
    let excluded = |media: &str| {
        ranges.iter().any(|range| range.quality == 0 && range.kind != "*" && fits(range, media))
    };
    ranges
        .iter()
        .filter(|range| range.quality > 0)
        .find_map(|range| provided.iter().find(|media| fits(range, media) && !excluded(media)))
        .copied()
}

fn parse(entry: &str) -> Option<Range<'_>> {
    let mut parts = entry.split(';').map(str::trim);
    let media = parts.next()?;
    // Old Java clients send a lone star.
    let (kind, subkind) = if media == "*" { ("*", "*") } else { media.split_once('/')? };
    let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let quality = match quality {
        None => 1_000,
        Some(text) => {
            let value: f64 = text.trim().parse().ok()?;
            // In range after the clamp.
            (value.clamp(0.0, 1.0) * 1_000.0) as u16
        }
    };
    Some(Range { kind, subkind, quality })
}

fn fits(range: &Range<'_>, media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    let (kind, subkind) = media.split_once('/').unwrap_or((media, ""));
    let same = |wanted: &str, there: &str| wanted == "*" || wanted.eq_ignore_ascii_case(there);
    same(range.kind, kind) && same(range.subkind, subkind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIBLINGS: &[&str] = &["text/plain", "multipart/mixed"];
    const JSON: &[&str] = &["application/json"];

    #[track_caller]
    fn check(provided: &[&str], accept: Option<&str>, expect: Option<&str>) {
        assert_eq!(choose(provided, accept), expect, "{accept:?}");
    }

    #[test]
    fn the_best_is_chosen() {
        check(SIBLINGS, None, Some("text/plain"));
        check(SIBLINGS, Some(""), Some("text/plain"));
        check(SIBLINGS, Some("*/*"), Some("text/plain"));
        check(SIBLINGS, Some("multipart/mixed"), Some("multipart/mixed"));
        check(SIBLINGS, Some("multipart/mixed, */*;q=0.5"), Some("multipart/mixed"));
        // Python, Ruby, Erlang, PHP.
        check(
            SIBLINGS,
            Some("multipart/mixed, application/json, */*;q=0.5"),
            Some("multipart/mixed"),
        );
        check(
            SIBLINGS,
            Some("multipart/mixed, application/json;q=0.7, */*;q=0.5"),
            Some("multipart/mixed"),
        );
        check(SIBLINGS, Some("multipart/mixed, */*;q=0.9"), Some("multipart/mixed"));
        check(SIBLINGS, Some("*/*, multipart/mixed"), Some("multipart/mixed"));
        check(SIBLINGS, Some("multipart/mixed, */*"), Some("text/plain"));
        check(SIBLINGS, Some("application/json"), None);
        check(SIBLINGS, Some("image/png"), None);
        check(SIBLINGS, Some("multipart/*"), Some("multipart/mixed"));
        check(SIBLINGS, Some("text/plain;q=0.1, multipart/mixed;q=0.2"), Some("multipart/mixed"));
        check(SIBLINGS, Some("text/plain;q=0, */*"), Some("multipart/mixed"));
        check(JSON, Some("Application/JSON; charset=utf-8"), Some("application/json"));
        check(JSON, Some("*/*;q=0"), None);
        check(JSON, Some("*"), Some("application/json"));
        check(JSON, Some("text/html, */*;q=0.5"), Some("application/json"));
        check(JSON, Some("multipart/mixed"), None);
        check(&["text/plain; x=y"], Some("text/plain"), Some("text/plain; x=y"));
        check(JSON, Some("application/json;q=wrong"), None);
    }
}
