//! Headers of requests.

use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue};
use mapring_fuzz::Corpus;
use mapring_http::headers::{canonical, indexes, links, media};
use mapring_http::negotiate::{choose, choose_named};
use mapring_http::path::Style;
use mapring_types::{BucketId, IndexValue, VersionVector, limits};

use crate::{halves, text};

#[test]
fn fuzz_links() {
    Corpus::of("links").run(|bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let bucket = BucketId::untyped("b");
        let headers: HeaderMap = [(LINK, value)].into_iter().collect();
        for style in [Style::Old, Style::New, Style::Typed] {
            match links::parse(&headers, &bucket, style) {
                Ok(read) => {
                    assert!(read.len() <= bytes.len());
                    let written = links::format(&read, &bucket, style);
                    let value = HeaderValue::from_str(&written).unwrap();
                    let headers: HeaderMap = [(LINK, value)].into_iter().collect();
                    assert_eq!(links::parse(&headers, &bucket, style), Ok(read), "{written}");
                }
                Err(why) => assert!(why.contains("Links must be of the form"), "{why}"),
            }
        }
    });
}

/// What follows the prefix in the name of a header, a line end, and its value.
#[test]
fn fuzz_index_headers() {
    Corpus::of("index_headers").run(|bytes| {
        let Some((field, value)) = text(bytes).map(halves) else { return };
        let name = format!("{}{field}", indexes::PREFIX);
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return };
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { return };
        let headers: HeaderMap = [(name, value)].into_iter().collect();
        match indexes::parse(&headers) {
            Ok(read) => {
                assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
                assert!(read.len() <= limits::INDEX_TERMS);
                let written = read.iter().map(|(field, term)| {
                    let name = format!("{}{field}", indexes::PREFIX);
                    let value = HeaderValue::from_bytes(term.as_bytes()).unwrap();
                    (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
                });
                let mut headers = HeaderMap::new();
                written.for_each(|(name, value)| {
                    headers.append(name, value);
                });
                assert_eq!(indexes::parse(&headers), Ok(read));
            }
            Err(why) => assert!(why.ends_with('\n') && why.len() > 20, "{why}"),
        }
    });
}

#[test]
fn fuzz_numbers_of_indexes() {
    Corpus::of("index_numbers").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        let Some(IndexValue::Int(number)) = IndexValue::int(given) else { return };
        assert!(number.len() <= given.len());
        assert_eq!(IndexValue::int(&number), Some(IndexValue::Int(number.clone())));
        if let (Ok(given), Ok(number)) = (given.parse::<i128>(), number.parse::<i128>()) {
            assert_eq!(given, number);
        }
    });
}

#[test]
fn fuzz_media_types() {
    Corpus::of("media_types").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        let Ok(read) = media::parse(given) else { return };
        let written = media::format(&read.content_type, read.charset.as_deref());
        let again = media::parse(&written).unwrap();
        assert_eq!(again.content_type, read.content_type, "{written}");
        assert_eq!(again.charset.is_some(), read.charset.is_some(), "{written}");
        // A blank comes behind each separator, and `; charset=` before what may be empty.
        assert!(written.len() <= 2 * given.len() + "; charset=".len());
        assert!(!media::bare(given).is_empty());
    });
}

#[test]
fn fuzz_accept() {
    const OFFERED: [&str; 3] = ["text/plain", "multipart/mixed", "application/json; charset=utf-8"];
    Corpus::of("accept").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        let chosen = choose(&OFFERED, Some(given));
        assert!(chosen.is_none_or(|chosen| OFFERED.contains(&chosen)));
        if !given.trim().is_empty() {
            let twice = format!("{given},{given}");
            assert_eq!(choose(&OFFERED, Some(&twice)), chosen, "what is said twice is said");
        }
        let encodings = ["identity", "gzip"];
        let chosen = choose_named(&encodings, given, "identity");
        assert!(chosen.is_none_or(|chosen| encodings.contains(&chosen)));
    });
}

#[test]
fn fuzz_clocks() {
    Corpus::of("clocks").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        match VersionVector::from_header(given) {
            Ok(clock) => {
                // An entry has at least two bytes, and base64 makes more of them.
                assert!(2 * clock.len() <= given.len());
                let written = clock.to_header();
                assert_eq!(VersionVector::from_header(&written).unwrap(), clock, "{written}");
            }
            Err(error) => assert!(error.message().starts_with("the vclock "), "{error}"),
        }
    });
}

#[test]
fn fuzz_names_of_headers() {
    Corpus::of("header_names").run(|bytes| {
        let Some(given) = text(bytes) else { return };
        let name = canonical(given);
        assert!(name.eq_ignore_ascii_case(given));
        assert_eq!(canonical(&name), name);
    });
}
