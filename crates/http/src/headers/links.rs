//! The `Link` header in both URL styles (fact R26).

use bytes::Bytes;
use http::HeaderMap;
use http::header::LINK;
use mapring_types::{BucketId, Link};

use crate::path::{Style, decode_segment, encode_segment};

/// Reads the links of a request to an object of `bucket`, in the order given.
///
/// # Errors
/// The text of the 400 answer.
pub fn parse(headers: &HeaderMap, bucket: &BucketId, style: Style) -> Result<Vec<Link>, String> {
    let mut links = Vec::new();
    for header in headers.get_all(LINK) {
        // Clients that do not percent-encode send the bytes of UTF-8.
        let text = std::str::from_utf8(header.as_bytes()).map_err(|_| refusal(style))?;
        for item in items(text).map(str::trim).filter(|item| !item.is_empty()) {
            match parse_item(item, style).ok_or_else(|| refusal(style))? {
                Item::Link(link) => links.push(link),
                Item::Up(up) if up == bucket.name => {}
                Item::Up(_) => return Err(refusal(style)),
            }
        }
    }
    Ok(links)
}

/// The items of a list: what commas separate that stand within no quotes.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

enum Item {
    Link(Link),
    Up(Bytes),
}

fn parse_item(item: &str, style: Style) -> Option<Item> {
    let (target, parameter) = item.strip_prefix('<')?.split_once('>')?;
    let parameter = parameter.trim_start().strip_prefix(';')?.trim();
    let (name, value) = parameter.split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    let segments: Vec<&str> = target.strip_prefix('/')?.split('/').collect();
    let path = match (style, segments.as_slice()) {
        (Style::Old, ["riak", bucket]) => (bucket, None),
        (Style::Old, ["riak", bucket, key]) => (bucket, Some(key)),
        (Style::New | Style::Typed, ["buckets", bucket]) => (bucket, None),
        (Style::New | Style::Typed, ["buckets", bucket, "keys", key]) => (bucket, Some(key)),
        _ => return None,
    };
    match (name.trim(), path) {
        ("riaktag", (bucket, Some(key))) => Some(Item::Link(Link {
            bucket: not_empty(decode_segment(bucket))?,
            key: not_empty(decode_segment(key))?,
            tag: decode_segment(value),
        })),
        ("rel", (bucket, None)) if value == "up" => Some(Item::Up(decode_segment(bucket))),
        _ => None,
    }
}

fn not_empty(name: Bytes) -> Option<Bytes> {
    if name.is_empty() { None } else { Some(name) }
}

fn refusal(style: Style) -> String {
    let form = match style {
        Style::Old => "</riak/BUCKET/KEY>; riaktag=\"TAG\"",
        Style::New | Style::Typed => "</buckets/BUCKET/keys/KEY>; riaktag=\"TAG\"",
    };
    format!(
        "Invalid Link header. Links must be of the form\n{form}\n\
         Other characters in a name or tag are percent-encoded: %2C for a comma, %2F for a slash.\n"
    )
}

/// Writes the links of an object of `bucket`, the way up to the bucket last.
pub fn format(links: &[Link], bucket: &BucketId, style: Style) -> String {
    let mut out = String::new();
    for link in links {
        let (bucket, key) = (encode_segment(&link.bucket), encode_segment(&link.key));
        let tag = encode_segment(&link.tag);
        let target = match style {
            Style::Old => format!("/riak/{bucket}/{key}"),
            Style::New | Style::Typed => format!("/buckets/{bucket}/keys/{key}"),
        };
        out.push_str(&format!("<{target}>; riaktag=\"{tag}\", "));
    }
    let root = if style == Style::Old { "riak" } else { "buckets" };
    out.push_str(&format!("</{root}/{}>; rel=\"up\"", encode_segment(&bucket.name)));
    out
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn link(bucket: &'static str, key: &'static str, tag: &'static str) -> Link {
        Link { bucket: bucket.into(), key: key.into(), tag: tag.into() }
    }

    fn read(style: Style, values: &[&str]) -> Result<Vec<Link>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        parse(&headers, &BucketId::untyped("b c"), style)
    }

    #[track_caller]
    fn check(style: Style, values: &[&str], expect: &[Link]) {
        assert_eq!(read(style, values).unwrap(), expect);
    }

    #[test]
    fn links_are_read_in_order() {
        check(Style::New, &[], &[]);
        check(Style::Old, &[r#"</riak/a/k>;riaktag="t""#], &[link("a", "k", "t")]);
        check(
            Style::New,
            &[
                r#"</buckets/a/keys/k%2C1>; riaktag="t+1", </buckets/a/keys/2>; riaktag="""#,
                r#"</buckets/z/keys/3>; riaktag="u", </buckets/b+c>; rel="up""#,
            ],
            &[link("a", "k,1", "t 1"), link("a", "2", ""), link("z", "3", "u")],
        );
        check(Style::Typed, &[r#"</buckets/a/keys/k>; riaktag="t""#], &[link("a", "k", "t")]);
        // Python does not encode tags.
        check(
            Style::New,
            &[r#"</buckets/a/keys/k>; riaktag="tag2!@#%^&*)""#],
            &[link("a", "k", "tag2!@#%^&*)")],
        );
        // Nor do others commas in tags, or what is no ASCII.
        check(
            Style::New,
            &[r#"</buckets/a/keys/k>; riaktag="x,y", </buckets/é/keys/ключ>; riaktag=",t,","#],
            &[link("a", "k", "x,y"), link("é", "ключ", ",t,")],
        );
    }

    #[test]
    fn other_links_are_refused_with_the_form() {
        let new = "Invalid Link header. Links must be of the form\n\
                   </buckets/BUCKET/keys/KEY>; riaktag=\"TAG\"\n\
                   Other characters in a name or tag are percent-encoded: %2C for a comma, %2F for a \
                   slash.\n";
        let old = "Invalid Link header. Links must be of the form\n\
                   </riak/BUCKET/KEY>; riaktag=\"TAG\"\n\
                   Other characters in a name or tag are percent-encoded: %2C for a comma, %2F for a \
                   slash.\n";
        for item in [
            "garbage",
            r#"</riak/a/k>; riaktag="t""#,
            r#"</buckets/a/keys/k>; riaktag=t"#,
            r#"</buckets/a/keys/k>; rel="next""#,
            r#"</buckets/other>; rel="up""#,
            r#"</buckets/a/keys/>; riaktag="t""#,
            r#"</buckets/a,b/keys/k>; riaktag="t""#,
        ] {
            assert_eq!(read(Style::New, &[item]).unwrap_err(), new, "{item}");
        }
        assert_eq!(read(Style::Old, &[r#"</buckets/a/keys/k>; riaktag="t""#]).unwrap_err(), old);
    }

    #[test]
    fn links_are_written_with_the_way_up() {
        let bucket = BucketId::untyped("cr ud");
        assert_eq!(format(&[], &bucket, Style::New), r#"</buckets/cr+ud>; rel="up""#);
        let links = [link("sib", "z", "t"), link("a", "k,1", "x y")];
        assert_eq!(
            format(&links, &bucket, Style::Old),
            r#"</riak/sib/z>; riaktag="t", </riak/a/k%2C1>; riaktag="x+y", </riak/cr+ud>; rel="up""#
        );
        assert_eq!(
            format(&links[..1], &bucket, Style::Typed),
            r#"</buckets/sib/keys/z>; riaktag="t", </buckets/cr+ud>; rel="up""#
        );
    }
}
