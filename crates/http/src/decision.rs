//! Webmachine's decisions, in its order: methods, origin, representation, conditions (facts R7 to
//! R9, R13).

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, CONTENT_TYPE, ETAG, HOST, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, REFERER, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::headers::media as media_header;
use crate::negotiate;
use crate::reply::{Reply, Stop, media};

/// The methods that Webmachine knows; others are answered with 501, not 405.
const KNOWN: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "OPTIONS"];

/// The answer to a method that is not in `allow`, which is as in the header `Allow`.
pub(crate) fn wrong_method(method: &Method, allow: &'static str) -> Reply {
    if KNOWN.contains(&method.as_str()) {
        return Reply::not_allowed(allow);
    }
    Reply::page(StatusCode::NOT_IMPLEMENTED)
}

/// Refuses requests that a foreign web page makes a browser send.
pub(crate) fn same_origin(headers: &HeaderMap, check_referer: bool) -> Result<(), Stop> {
    let forbidden = || Err(Reply::page(StatusCode::FORBIDDEN).into());
    if headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes() == b"null") {
        return forbidden();
    }
    let foreign = check_referer && headers.get(REFERER).is_some_and(|page| !is_own(headers, page));
    if foreign { forbidden() } else { Ok(()) }
}

/// Refuses what a browser sends for a page of another site, however little it tells of that page: it
/// sends a GET for any page, without asking the server before, and the answer need not be readable
/// to have changed something. Over plain HTTP a browser may tell nothing of a page that wants it so; then
/// it is refused for being a browser, which a page cannot hide.
pub(crate) fn no_other_site(headers: &HeaderMap, check_referer: bool) -> Result<(), Stop> {
    same_origin(headers, check_referer)?;
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let elsewhere = matches!(site, Some(b"cross-site" | b"same-site"));
    let foreign = check_referer && headers.get(ORIGIN).is_some_and(|page| !is_own(headers, page));
    let tells = site.is_some() || headers.contains_key(ORIGIN) || headers.contains_key(REFERER);
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
    let silent = !tells && agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"));
    let refused = elsewhere || foreign || silent;
    if refused { Err(Reply::page(StatusCode::FORBIDDEN).into()) } else { Ok(()) }
}

/// Whether a page, or an origin, is the server's own.
fn is_own(headers: &HeaderMap, page: &HeaderValue) -> bool {
    let own = headers.get(HOST).and_then(|host| host.to_str().ok()).map(with_port);
    let theirs = page.to_str().ok().and_then(|page| {
        let rest = page.strip_prefix("http://")?;
        Some(with_port(rest.split(['/', '?', '#']).next()?))
    });
    own.is_some() && own == theirs
}

/// A host with its port, which is 80 when it is not given.
fn with_port(authority: &str) -> String {
    let authority = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port { authority } else { format!("{authority}:80") }
}

/// The value of a header. Several headers of one name are one list.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// In which charset and encoding there is something, where there is no other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Only<'a> {
    pub(crate) charset: Option<&'a str>,
    pub(crate) encoding: Option<&'a str>,
}

/// Chooses among the media types of a resource, or refuses with 406.
pub(crate) fn representation<'a>(
    headers: &HeaderMap,
    provided: &[&'a str],
) -> Result<&'a str, Stop> {
    representation_of(headers, provided, Only::default())
}

/// As [`representation`], of what has one charset or encoding alone (fact R266).
pub(crate) fn representation_of<'a>(
    headers: &HeaderMap,
    provided: &[&'a str],
    only: Only<'_>,
) -> Result<&'a str, Stop> {
    let refused = || Stop::from(Reply::page(StatusCode::NOT_ACCEPTABLE));
    let chosen = negotiate::choose(provided, list(headers, &ACCEPT).as_deref());
    let chosen = chosen.ok_or_else(refused)?;
    if let Some(accept) = list(headers, &ACCEPT_CHARSET)
        && let Some(charset) = only.charset
    {
        negotiate::choose_named(&[charset], &accept, "ISO-8859-1").ok_or_else(refused)?;
    }
    if let Some(accept) = list(headers, &ACCEPT_ENCODING) {
        let own = [only.encoding.unwrap_or("identity"), "gzip"];
        let offered = if only.encoding.is_some() { &own[..1] } else { &own[..] };
        negotiate::choose_named(offered, &accept, "identity").ok_or_else(refused)?;
    }
    Ok(chosen)
}

/// Refuses those who take no encoding that there is, where there is one representation.
pub(crate) fn encodings(headers: &HeaderMap) -> Result<(), Stop> {
    let Some(accept) = list(headers, &ACCEPT_ENCODING) else { return Ok(()) };
    let chosen = negotiate::choose_named(&["identity", "gzip"], &accept, "identity");
    chosen.map(drop).ok_or_else(|| Reply::page(StatusCode::NOT_ACCEPTABLE).into())
}

/// What a client accepts, if it says so: several headers of one name are one list.
pub(crate) fn accept(headers: &HeaderMap) -> Option<String> {
    list(headers, &ACCEPT)
}

/// Refuses queries that are said not to be JSON with 415. One of which nothing is said is taken for
/// JSON, as some clients send it (fact R341); but not from a page of another site, which a browser
/// lets send just that without asking, and which Riak's check of the type keeps out.
pub(crate) fn query_body(headers: &HeaderMap) -> Result<(), Stop> {
    let says_nothing = !headers.contains_key(CONTENT_TYPE);
    if says_nothing && !headers.contains_key(ORIGIN) { Ok(()) } else { json_body(headers) }
}

/// Refuses request bodies that are not JSON with 415.
pub(crate) fn json_body(headers: &HeaderMap) -> Result<(), Stop> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_header::bare(given).eq_ignore_ascii_case(media::JSON) {
        return Ok(());
    }
    let given = match headers.get(CONTENT_TYPE) {
        Some(given) => format!("is {}", String::from_utf8_lossy(given.as_bytes())),
        None => "is missing".into(),
    };
    let text = format!("the header Content-Type {given}; it must be {}\n", media::JSON);
    Err(Reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into())
}

/// What the conditions of a request are compared with.
pub(crate) struct Present {
    /// The entity tag, without quotes.
    pub(crate) etag: String,
    /// Microseconds since the Unix epoch.
    pub(crate) last_modified: u64,
}

/// Whether a request has any condition.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// Whether a write has a condition that another write might break.
pub(crate) fn is_bound(headers: &HeaderMap) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE].iter().any(|name| headers.contains_key(name))
}

/// Checks the conditions of a request against what there is (`None`: nothing). `now` is in
/// microseconds since the Unix epoch.
///
/// # Errors
/// 304 for GET and HEAD, 412.
pub(crate) fn conditions(
    method: &Method,
    headers: &HeaderMap,
    present: Option<&Present>,
    now: u64,
) -> Result<(), Stop> {
    let failed = || Err(Reply::page(StatusCode::PRECONDITION_FAILED).into());
    let Some(present) = present else {
        return if headers.contains_key(IF_MATCH) { failed() } else { Ok(()) };
    };
    if headers.contains_key(IF_MATCH) && !tags_match(headers, &IF_MATCH, &present.etag) {
        return failed();
    }
    let modified = present.last_modified / 1_000_000;
    if seconds(headers, &IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since) {
        return failed();
    }
    let reads = method == Method::GET || method == Method::HEAD;
    let unchanged = || {
        let etag = format!("\"{}\"", present.etag);
        Err(Reply::empty(StatusCode::NOT_MODIFIED).header(ETAG, etag).into())
    };
    if headers.contains_key(IF_NONE_MATCH) && tags_match(headers, &IF_NONE_MATCH, &present.etag) {
        return if reads { unchanged() } else { failed() };
    }
    // Also where another tag was given: as Webmachine goes on.
    match seconds(headers, &IF_MODIFIED_SINCE).filter(|since| *since <= now / 1_000_000) {
        Some(since) if reads && modified <= since => unchanged(),
        _ => Ok(()),
    }
}

/// Whether a client says that it has what has this tag: of a resource of which no time is known.
pub(crate) fn has_tag(headers: &HeaderMap, etag: &str) -> bool {
    tags_match(headers, &IF_NONE_MATCH, etag)
}

/// Whether what a client has a part of is still what there is: a range of it alone makes sense then.
/// Also where the client does not say.
pub(crate) fn range_applies(headers: &HeaderMap, present: &Present) -> bool {
    let Some(given) = headers.get(IF_RANGE) else { return true };
    let tag = given.to_str().unwrap_or_default();
    match tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) {
        Some(tag) => tag == present.etag,
        // A weak tag is no date either.
        None => seconds(headers, &IF_RANGE) == Some(present.last_modified / 1_000_000),
    }
}

/// Whether a list of tags has `etag`, or is the star. Tags are what stands within quotes, whatever stands
/// around them (fact R267).
fn tags_match(headers: &HeaderMap, name: &HeaderName, etag: &str) -> bool {
    let given = list(headers, name).unwrap_or_default();
    if given.trim() == "*" {
        return true;
    }
    let mut letters = given.chars();
    while letters.by_ref().any(|letter| letter == '"') {
        let mut tag = String::new();
        while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
            // What is escaped stands for itself.
            tag.extend(if letter == '\\' { letters.next() } else { Some(letter) });
        }
        if tag == etag {
            return true;
        }
    }
    false
}

/// A date header in seconds since the Unix epoch; `None` when there is none that can be read.
fn seconds(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let time = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn methods_are_told_apart() {
        let status = |method: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            Stop::from(wrong_method(&method, "HEAD, GET")).status()
        };
        assert_eq!(["PUT", "OPTIONS", "PATCH", "BREW"].map(status), [405, 405, 501, 501]);
    }

    #[track_caller]
    fn origin(values: &[(HeaderName, &str)], expect: bool) {
        assert_eq!(same_origin(&headers(values), true).is_ok(), expect, "{values:?}");
    }

    #[test]
    fn foreign_pages_are_refused() {
        origin(&[], true);
        origin(&[(ORIGIN, "null")], false);
        origin(&[(ORIGIN, "http://elsewhere")], true);
        origin(&[(HOST, "h:8098"), (REFERER, "http://h:8098/a?b")], true);
        origin(&[(HOST, "H"), (REFERER, "http://h:80/")], true);
        origin(&[(HOST, "[::1]"), (REFERER, "http://[::1]:80")], true);
        origin(&[(HOST, "h:8098"), (REFERER, "http://h:8099/")], false);
        origin(&[(HOST, "h:8098"), (REFERER, "https://h:8098/")], false);
        origin(&[(HOST, "h:8098"), (REFERER, "nonsense")], false);
        origin(&[(REFERER, "http://h/")], false);
        let referer = headers(&[(HOST, "h"), (REFERER, "http://elsewhere/")]);
        assert!(same_origin(&referer, false).is_ok());
    }

    #[test]
    fn what_a_get_changes_is_for_no_other_site() {
        let fetched = HeaderName::from_static("sec-fetch-site");
        let check = |name: &HeaderName, value, checked, expect| {
            let headers = headers(&[(HOST, "h:8098"), (name.clone(), value)]);
            assert_eq!(no_other_site(&headers, checked).is_ok(), expect, "{name}: {value}");
        };
        check(&ACCEPT, "*/*", true, true);
        for site in ["none", "same-origin"] {
            check(&fetched, site, true, true);
        }
        // A browser says this of itself, whatever proxy there is.
        for (site, checked) in [("cross-site", true), ("same-site", true), ("cross-site", false)] {
            check(&fetched, site, checked, false);
        }
        check(&ORIGIN, "http://h:8098", true, true);
        check(&ORIGIN, "http://elsewhere", true, false);
        check(&ORIGIN, "http://elsewhere", false, true);
        check(&ORIGIN, "null", false, false);
        check(&REFERER, "http://elsewhere/", true, false);
        check(&USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)", true, false);
        check(&USER_AGENT, "curl/8.14.1", true, true);
        let own = [(HOST, "h:8098"), (USER_AGENT, "Mozilla/5.0"), (fetched, "none")];
        assert!(no_other_site(&headers(&own), true).is_ok());
    }

    #[track_caller]
    fn condition(method: &Method, name: HeaderName, value: &str, expect: (u16, u16)) {
        let headers = headers(&[(name.clone(), value)]);
        // 22 Nov 2026 04:48:31.
        let present = Present { etag: "tag".into(), last_modified: 1_795_322_911_500_000 };
        let now = present.last_modified + 60_000_000;
        let status = |present| {
            conditions(method, &headers, present, now).err().map_or(0, |stop: Stop| stop.status())
        };
        assert_eq!((status(Some(&present)), status(None)), expect, "{name}: {value}");
    }

    #[test]
    fn a_range_is_of_what_the_client_knows() {
        let present = Present { etag: "tag".into(), last_modified: 1_795_322_911_500_000 };
        let applies = |value: &str| range_applies(&headers(&[(IF_RANGE, value)]), &present);
        assert!(range_applies(&HeaderMap::new(), &present) && applies("\"tag\""));
        assert!(applies("Sun, 22 Nov 2026 04:48:31 GMT"));
        for other in ["\"other\"", "W/\"tag\"", "tag", "Sun, 22 Nov 2026 04:48:30 GMT", ""] {
            assert!(!applies(other), "{other}");
        }
    }

    /// Fact R267.
    #[test]
    fn another_tag_leaves_the_time_to_decide() {
        let present = Present { etag: "tag".into(), last_modified: 1_795_322_911_500_000 };
        let now = present.last_modified + 60_000_000;
        for (since, status) in
            [("Sun, 22 Nov 2026 04:48:31 GMT", 304), ("Sun, 22 Nov 2026 04:48:30 GMT", 0)]
        {
            let given = headers(&[(IF_NONE_MATCH, "\"other\""), (IF_MODIFIED_SINCE, since)]);
            let stop = conditions(&Method::GET, &given, Some(&present), now).err();
            assert_eq!(stop.map_or(0, |stop| stop.status()), status, "{since}");
        }
    }

    #[test]
    fn what_has_one_encoding_is_refused_to_those_who_want_another() {
        let gzipped = Only { charset: Some("utf-8"), encoding: Some("gzip") };
        for (name, value, of_any, of_one) in [
            (ACCEPT_ENCODING, "identity", true, false),
            (ACCEPT_ENCODING, "gzip", true, true),
            (ACCEPT_ENCODING, "identity;q=0, *;q=0", false, false),
            (ACCEPT_CHARSET, "iso-8859-1", true, false),
            (ACCEPT_CHARSET, "UTF-8", true, true),
            (ACCEPT, "image/png", false, false),
        ] {
            let given = headers(&[(name, value)]);
            let any = representation(&given, &["text/plain"]).is_ok();
            let one = representation_of(&given, &["text/plain"], gzipped).is_ok();
            assert_eq!((any, one), (of_any, of_one), "{value}");
        }
    }

    #[test]
    fn conditions_are_checked() {
        let (same, before, after, future) = (
            "Sun, 22 Nov 2026 04:48:31 GMT",
            "Sun, 22 Nov 2026 04:48:30 GMT",
            "Sun, 22 Nov 2026 04:48:32 GMT",
            "Sun, 22 Nov 2036 04:48:30 GMT",
        );
        for method in [&Method::GET, &Method::PUT] {
            let unchanged = if method == Method::GET { 304 } else { 412 };
            condition(method, IF_MATCH, "\"tag\"", (0, 412));
            condition(method, IF_MATCH, "\"other\", \"tag\"", (0, 412));
            condition(method, IF_MATCH, "*", (0, 412));
            condition(method, IF_MATCH, "\"other\"", (412, 412));
            condition(method, IF_NONE_MATCH, "*", (unchanged, 0));
            condition(method, IF_NONE_MATCH, "W/\"tag\"", (unchanged, 0));
            condition(method, IF_NONE_MATCH, "\"other\"", (0, 0));
            condition(method, IF_NONE_MATCH, "\"o\\\"ther\" and \"tag\"", (unchanged, 0));
            condition(method, IF_NONE_MATCH, "tag", (0, 0));
            condition(method, IF_NONE_MATCH, "\"other\", *", (0, 0));
            condition(method, IF_MATCH, "tag", (412, 412));
            condition(method, IF_UNMODIFIED_SINCE, before, (412, 0));
            condition(method, IF_UNMODIFIED_SINCE, same, (0, 0));
            condition(method, IF_UNMODIFIED_SINCE, "nonsense", (0, 0));
        }
        condition(&Method::GET, IF_MODIFIED_SINCE, same, (304, 0));
        condition(&Method::GET, IF_MODIFIED_SINCE, after, (304, 0));
        condition(&Method::GET, IF_MODIFIED_SINCE, before, (0, 0));
        condition(&Method::GET, IF_MODIFIED_SINCE, future, (0, 0));
        condition(&Method::PUT, IF_MODIFIED_SINCE, same, (0, 0));
    }
}
