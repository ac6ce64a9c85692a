//! Choosing a representation by `Accept` (fact R10), and a charset and an encoding by `Accept-Charset` and
//! `Accept-Encoding` (fact R266).

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

/// Chooses from `provided` (charsets, or encodings) what `accept` likes best, as Webmachine does. What
/// the header does not name is as good as its star, if it has one; without one, only `usual` is. `None`:
/// 406.
pub fn choose_named<'a>(provided: &[&'a str], accept: &str, usual: &str) -> Option<&'a str> {
    let named = |entry| {
        let (name, quality) = split(entry)?;
        (!name.is_empty()).then_some((quality, name))
    };
    let mut accepted: Vec<(u16, &str)> = accept.split(',').filter_map(named).collect();
    accepted.sort_unstable();
    accepted.reverse();
    let qualities = |wanted: &str| -> Vec<u16> {
        accepted.iter().filter(|(_, name)| *name == wanted).map(|(quality, _)| *quality).collect()
    };
    let (star, of_usual) = (qualities("*"), qualities(usual));
    let usual_is_good = match of_usual.as_slice() {
        [] => star != [0],
        qualities => qualities != [0],
    };
    let any_is_good = !star.is_empty() && star != [0];
    let mut left = provided.to_vec();
    for (quality, name) in accepted {
        if quality == 0 {
            left.retain(|offered| *offered != name);
        } else if let Some(found) = left.iter().find(|offered| offered.eq_ignore_ascii_case(name)) {
            return Some(found);
        }
    }
    if any_is_good {
        return left.first().copied();
    }
    left.into_iter().find(|offered| usual_is_good && *offered == usual)
}

/// An entry of a list without its parameters, and its quality in thousandths.
fn split(entry: &str) -> Option<(&str, u16)> {
    let mut parts = entry.split(';').map(str::trim);
    let name = parts.next()?;
    let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let quality = match quality {
        None => 1_000,
        Some(text) => {
            let value: f64 = text.trim().parse().ok()?;
            // In range after the clamp.
            (value.clamp(0.0, 1.0) * 1_000.0) as u16
        }
    };
    Some((name, quality))
}

fn parse(entry: &str) -> Option<Range<'_>> {
    let (media, quality) = split(entry)?;
    // Old Java clients send a lone star.
    let (kind, subkind) = if media == "*" { ("*", "*") } else { media.split_once('/')? };
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

    #[track_caller]
    fn named(provided: &[&str], accept: &str, usual: &str, expect: Option<&str>) {
        assert_eq!(choose_named(provided, accept, usual), expect, "{provided:?} by {accept}");
    }

    #[test]
    fn charsets_and_encodings_are_chosen() {
        let own = ["identity", "gzip"];
        let encoding =
            |provided: &[&str], accept, expect| named(provided, accept, "identity", expect);
        encoding(&own, "gzip", Some("gzip"));
        encoding(&own, "gzip;q=0.5, identity", Some("identity"));
        encoding(&own, "br", Some("identity"));
        encoding(&own, "", Some("identity"));
        encoding(&own, "*", Some("identity"));
        encoding(&own, "identity;q=0, *", Some("gzip"));
        encoding(&own, "identity;q=0", None);
        encoding(&own, "identity;q=0, *;q=0", None);
        encoding(&own, "*;q=0", None);
        encoding(&own, "GZIP", Some("gzip"));
        // What was stored with an encoding has no other.
        encoding(&["gzip"], "identity", None);
        encoding(&["gzip"], "identity;q=1.0,*;q=0.5", Some("gzip"));
        encoding(&["x-own"], "gzip, deflate", None);
        encoding(&["x-own"], "gzip, *;q=0.1", Some("x-own"));
        let charset = |accept, expect| named(&["utf-8"], accept, "ISO-8859-1", expect);
        charset("UTF-8", Some("utf-8"));
        charset("iso-8859-1", None);
        charset("iso-8859-1, *;q=0.1", Some("utf-8"));
        charset("utf-8;q=0", None);
        named(&["ISO-8859-1"], "utf-8", "ISO-8859-1", Some("ISO-8859-1"));
    }
}
