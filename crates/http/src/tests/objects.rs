//! Objects on the wire. The shapes are those of recorded exchanges with Riak.

use super::Fixture;
use super::wire::{Client, Response};

const SHAPE: &[&str] = &["content-type", "content-length", "vary", "link", "x-riak-deleted"];

/// One request, and what the answer must look like.
struct Case {
    request: (&'static str, &'static str),
    lines: &'static [&'static str],
    body: &'static [u8],
    status: u16,
    /// Content-Type, Content-Length, Vary, Link, X-Riak-Deleted.
    shape: [&'static str; 5],
    answer: &'static str,
}

const TEXT: &[&str] = &["Content-Type: text/plain"];
const AE: &str = "Accept-Encoding";
const UP: &str = "</buckets/b>; rel=\"up\"";

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { request: ("PUT", "/buckets/b/keys/k"), lines: &["Content-Type: application/json"], body: b"{\"a\":1}",
        status: 204, shape: ["application/json", "-", AE, "-", "-"], answer: "" },
    Case { request: ("GET", "/buckets/b/keys/k"), lines: &[], body: b"",
        status: 200, shape: ["application/json", "7", AE, UP, "-"], answer: "{\"a\":1}" },
    Case { request: ("HEAD", "/buckets/b/keys/k"), lines: &[], body: b"",
        status: 200, shape: ["application/json", "7", AE, UP, "-"], answer: "" },
    Case { request: ("GET", "//riak/b//k/"), lines: &[], body: b"",
        status: 200, shape: ["application/json", "7", AE, "</riak/b>; rel=\"up\"", "-"], answer: "{\"a\":1}" },
    Case { request: ("PUT", "/buckets/b/keys/k?returnbody=true"), lines: TEXT, body: b"hello",
        status: 200, shape: ["text/plain", "5", AE, UP, "-"], answer: "hello" },
    Case { request: ("POST", "/types/default/buckets/b/keys/k"), lines: &["Content-Type: text/plain; charset=utf-8"], body: b"posted",
        status: 204, shape: ["text/plain; charset=utf-8", "-", AE, "-", "-"], answer: "" },
    Case { request: ("GET", "/buckets/b/keys/k"), lines: &["Accept: image/png"], body: b"",
        status: 406, shape: ["text/html", "101", "-", "-", "-"], answer: "<html><head><title>406 Not Acceptable</title></head><body><h1>Not Acceptable</h1></body></html>" },
    Case { request: ("GET", "/buckets/b/keys/k"), lines: &["Accept: text/html, */*;q=0.5"], body: b"",
        status: 200, shape: ["text/plain; charset=utf-8", "6", AE, UP, "-"], answer: "posted" },
    Case { request: ("PUT", "/buckets/b/keys/k"), lines: &[], body: b"nocontenttype",
        status: 400, shape: ["text/plain", "35", "-", "-", "-"], answer: "Missing Content-Type request header" },
    Case { request: ("PUT", "/buckets/b/keys/k"), lines: &["Content-Type: garbage"], body: b"x",
        status: 415, shape: ["text/plain", "67", AE, "-", "-"], answer: "\"garbage\" is not a valid media type for the Content-type header.\n" },
    Case { request: ("PUT", "/buckets/b/keys/k"), lines: &["Content-Type: text/plain", "Accept: multipart/mixed"], body: b"x",
        status: 406, shape: ["text/html", "101", "-", "-", "-"], answer: "<html><head><title>406 Not Acceptable</title></head><body><h1>Not Acceptable</h1></body></html>" },
    Case { request: ("GET", "/buckets/b/keys/missing"), lines: &[], body: b"",
        status: 404, shape: ["text/plain", "10", "-", "-", "-"], answer: "not found\n" },
    Case { request: ("HEAD", "/buckets/b/keys/missing"), lines: &[], body: b"",
        status: 404, shape: ["text/plain", "-", "-", "-", "-"], answer: "" },
    Case { request: ("DELETE", "/buckets/b/keys/missing"), lines: &[], body: b"",
        status: 404, shape: ["text/plain", "10", AE, "-", "-"], answer: "not found\n" },
    Case { request: ("DELETE", "/buckets/b/keys/k"), lines: &[], body: b"",
        status: 204, shape: ["text/html", "-", AE, "-", "-"], answer: "" },
    Case { request: ("GET", "/buckets/b/keys/k"), lines: &[], body: b"",
        status: 404, shape: ["text/plain", "10", "-", "-", "true"], answer: "not found\n" },
    Case { request: ("DELETE", "/buckets/b/keys/k"), lines: &[], body: b"",
        status: 404, shape: ["text/plain", "10", AE, "-", "-"], answer: "not found\n" },
    Case { request: ("PUT", "/buckets/b/keys/enc"), lines: &["Content-Type: text/plain", "Content-Encoding: gzip"], body: b"\x1fxx",
        status: 204, shape: ["text/plain", "-", AE, "-", "-"], answer: "" },
    Case { request: ("GET", "/buckets/b/keys/enc"), lines: &[], body: b"",
        status: 200, shape: ["text/plain", "3", "-", UP, "-"], answer: "\x1fxx" },
    Case { request: ("GET", "/buckets/b/keys/enc"), lines: &["Accept-Encoding: identity"], body: b"",
        status: 406, shape: ["text/html", "101", "-", "-", "-"], answer: "<html><head><title>406 Not Acceptable</title></head><body><h1>Not Acceptable</h1></body></html>" },
    Case { request: ("GET", "/buckets/b/keys/enc"), lines: &["Accept-Encoding: gzip"], body: b"",
        status: 200, shape: ["text/plain", "3", "-", UP, "-"], answer: "\x1fxx" },
    Case { request: ("PUT", "/buckets/b/keys/cs"), lines: &["Content-Type: text/plain; charset=utf-8", "Accept-Charset: iso-8859-1"], body: b"x",
        status: 406, shape: ["text/html", "101", "-", "-", "-"], answer: "<html><head><title>406 Not Acceptable</title></head><body><h1>Not Acceptable</h1></body></html>" },
    Case { request: ("PUT", "/buckets/b/keys/g"), lines: &["Content-Type: garbage", "Accept: text/plain"], body: b"x",
        status: 406, shape: ["text/html", "101", "-", "-", "-"], answer: "<html><head><title>406 Not Acceptable</title></head><body><h1>Not Acceptable</h1></body></html>" },
    Case { request: ("PUT", "/buckets/b/keys/empty"), lines: TEXT, body: b"",
        status: 204, shape: ["text/plain", "-", AE, "-", "-"], answer: "" },
    Case { request: ("GET", "/buckets/b/keys/empty"), lines: &[], body: b"",
        status: 200, shape: ["text/plain", "0", AE, UP, "-"], answer: "" },
    Case { request: ("PUT", "/buckets/b/keys/a+b"), lines: TEXT, body: b"plus",
        status: 204, shape: ["text/plain", "-", AE, "-", "-"], answer: "" },
    Case { request: ("GET", "/buckets/b/keys/a%20b"), lines: &[], body: b"",
        status: 200, shape: ["text/plain", "4", AE, UP, "-"], answer: "plus" },
    Case { request: ("PUT", "/buckets/b/keys/l"), lines: &["Content-Type: text/plain", "Link: garbage"], body: b"x",
        status: 400, shape: ["text/plain", "89", "-", "-", "-"], answer: "Invalid Link header. Links must be of the form\n</buckets/BUCKET/keys/KEY>; riaktag=\"TAG\"\nOther characters in a name or tag are percent-encoded: %2C for a comma, %2F for a slash.\n" },
    Case { request: ("PUT", "/buckets/b/keys/i"), lines: &["Content-Type: text/plain", "X-Riak-Index-n_int: abc"], body: b"x",
        status: 400, shape: ["text/plain", "44", "-", "-", "-"], answer: "Could not parse field 'n_int', value 'abc'.\n" },
    Case { request: ("PUT", "/buckets/b/keys/v"), lines: &["Content-Type: text/plain", "X-Riak-Vclock: aGVsbG8="], body: b"x",
        status: 400, shape: ["text/plain", "39", "-", "-", "-"], answer: "the vclock was not made by this cluster\n" },
    Case { request: ("PUT", "/buckets/b/keys/w?w=4"), lines: TEXT, body: b"x",
        status: 400, shape: ["text/plain", "59", AE, "-", "-"], answer: "Specified w/dw/pw values invalid for bucket n value of 3\n" },
    Case { request: ("GET", "/types/nope/buckets/b/keys/none"), lines: &[], body: b"",
        status: 404, shape: ["text/plain", "25", "-", "-", "-"], answer: "Unknown bucket type: nope" },
    Case { request: ("PUT", "/types/nope/buckets/b/keys/none"), lines: TEXT, body: b"x",
        status: 404, shape: ["text/plain", "25", "-", "-", "-"], answer: "Unknown bucket type: nope" },
    Case { request: ("GET", "/buckets/b/keys/a/b"), lines: &[], body: b"",
        status: 400, shape: ["text/plain", "121", "-", "-", "-"], answer: "Invalid link walk query submitted. Valid link walk query format is: /riak/some_bucket/some_key/<bucket>,<riaktag>,0|1/...\nA slash that belongs to the key is written as %2F.\n" },
    Case { request: ("POST", "/buckets/b/keys/a/b/c"), lines: TEXT, body: b"x",
        status: 400, shape: ["text/plain", "171", "-", "-", "-"], answer: "Invalid link walk query submitted. Valid link walk query format is: /riak/some_bucket/some_key/<bucket>,<riaktag>,0|1/...\nA slash that belongs to the key is written as %2F.\n" },
    Case { request: ("PUT", "/buckets/b/keys/x,y/a,b,1"), lines: TEXT, body: b"x",
        status: 405, shape: ["text/plain", "-", "-", "-", "-"], answer: "A slash that belongs to the key is written as %2F.\n" },
    Case { request: ("GET", "/buckets/b/keys/k?pr=x&r=2&notfound_ok=2"), lines: &[], body: b"",
        status: 400, shape: ["text/plain", "92", "-", "-", "-"], answer: "pr query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'\nnotfound_ok query parameter must be true or false\n" },
    Case { request: ("PUT", "/buckets/b/keys/k?sync_on_write=some"), lines: TEXT, body: b"x",
        status: 400, shape: ["text/plain", "92", "-", "-", "-"], answer: "sync_on_write query parameter must be one of the following words: [default,backend,one,all]\n" },
    Case { request: ("PUT", "/buckets/b/keys/k?node_confirms=4"), lines: TEXT, body: b"x",
        status: 400, shape: ["text/plain", "59", AE, "-", "-"], answer: "Specified w/dw/pw values invalid for bucket n value of 3\n" },
    Case { request: ("GET", "/buckets/b/keys/k?r=x"), lines: &[], body: b"",
        status: 400, shape: ["text/plain", "91", "-", "-", "-"], answer: "r query parameter must be an integer or one of the following words: 'one', 'quorum' or 'all'\n" },
];

/// Bodies of pages and of lengths that only this crate knows are compared loosely.
fn check(case: &Case, response: &Response) {
    let name = format!("{:?} {:?}: {}", case.request, case.lines, response.head);
    assert_eq!(response.status, case.status, "{name}");
    let mut expect = case.shape.to_vec();
    if case.status >= 400 && case.request.0 != "HEAD" {
        // The length follows from the text, which is compared below.
        let length = case.answer.len().to_string().leak();
        expect[1] = length;
    }
    let expect: Vec<String> =
        SHAPE.iter().zip(expect).map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(response.shape(SHAPE), expect.join("\n"), "{name}");
    assert_eq!(response.text(), case.answer, "{name}");
    assert!(response.header("date").is_some(), "{name}");
    assert!(response.header("server").is_some_and(|server| server.starts_with("mapring/")));
}

#[tokio::test]
async fn exchanges_have_their_recorded_shapes() {
    let fixture = Fixture::start().await;
    // One connection for all: no answer may spoil it for the next.
    let mut client = fixture.connect().await;
    for case in CASES {
        let (method, path) = case.request;
        let response = client.request(method, path, case.lines, case.body).await;
        check(case, &response);
    }
}

#[tokio::test]
async fn a_value_comes_back_with_all_that_it_carries() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let lines = [
        "Content-Type: application/json",
        "x-riak-meta-fooBar: Bar Baz",
        "X-Riak-Meta-Two: 2",
        "X-Riak-Index-f_bin: v2, v1",
        "x-riak-index-N_int: 42",
        "Link: </buckets/o/keys/1>; riaktag=\"t\"",
        "Link: </buckets/o/keys/2>; riaktag=\"u v\"",
    ];
    let put = client.request("PUT", "/buckets/b/keys/k", &lines, b"{}").await;
    assert_eq!(put.status, 204);
    let got = client.get("/buckets/b/keys/k").await;
    assert_eq!(
        got.shape(&["x-riak-meta-foobar", "x-riak-meta-two", "x-riak-index-f_bin", "link"]),
        "x-riak-meta-foobar: Bar Baz\nx-riak-meta-two: 2\nx-riak-index-f_bin: v1, v2\n\
         link: </buckets/o/keys/1>; riaktag=\"t\", </buckets/o/keys/2>; riaktag=\"u+v\", \
         </buckets/b>; rel=\"up\""
    );
    assert_eq!(got.header("x-riak-index-n_int"), Some("42"));
    for line in [
        "HTTP/1.1 200 OK",
        "X-Riak-Meta-Foobar: Bar Baz",
        "x-riak-index-f_bin: v1, v2",
        "x-riak-index-n_int: 42",
    ] {
        assert!(got.head.split("\r\n").any(|found| found == line), "{line}: {}", got.head);
    }
    assert!(got.head.contains("\r\nETag: \""), "{}", got.head);
    let missing = client.get("/buckets/b/keys/none").await;
    assert!(missing.head.starts_with("HTTP/1.1 404 Object Not Found\r\n"), "{}", missing.head);
    assert!(got.header("etag").is_some_and(|etag| etag.starts_with('"')));
    assert_eq!(got.header("last-modified"), Some("Sun, 22 Nov 2026 04:48:31 GMT"));
    assert!(got.header("x-riak-vclock").is_some());
}

#[tokio::test]
async fn keys_are_generated() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    for (path, prefix) in [
        ("/riak/b+c", "/riak/b+c/"),
        ("/buckets/b/keys", "/buckets/b/keys/"),
        ("/types/default/buckets/b/keys", "/types/default/buckets/b/keys/"),
    ] {
        let made = client.request("POST", path, TEXT, b"n").await;
        assert_eq!((made.status, made.text()), (201, String::new()));
        assert_eq!(
            made.shape(&["content-type", "content-length", "vary"]),
            "content-type: text/plain\ncontent-length: 0\nvary: Accept-Encoding"
        );
        let location = made.header("location").unwrap().to_owned();
        assert!(location.starts_with(prefix), "{location}");
        assert_eq!(client.get(&location).await.text(), "n");
        let made = client.request("POST", &format!("{path}?returnbody=true"), TEXT, b"n").await;
        assert_eq!((made.status, made.text()), (201, "n".into()));
        assert!(made.header("x-riak-vclock").is_some() && made.header("location").is_some());
    }
    for path in ["/buckets/b/keys", "/buckets/b/keys/"] {
        let refused = client.request("PUT", path, TEXT, b"x").await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    }
    let refused = client.request("POST", "/buckets/b/keys", &[], b"zzz").await;
    assert_eq!(refused.status, 400);
}

async fn with_siblings(client: &mut Client) -> Vec<String> {
    let props = b"{\"props\":{\"allow_mult\":true}}";
    let lines = ["Content-Type: application/json"];
    let set = client.request("PUT", "/buckets/sib/props", &lines, props).await;
    assert_eq!((set.status, set.header("content-type")), (204, Some("application/json")));
    for (lines, body) in [
        (&["Content-Type: text/plain", "X-Riak-Index-f_bin: x, y"][..], &b"value a"[..]),
        (&["Content-Type: application/json", "Link: </buckets/o/keys/z>; riaktag=\"t\""], b"{}"),
    ] {
        assert_eq!(client.request("PUT", "/buckets/sib/keys/k", lines, body).await.status, 204);
    }
    let list = client.get("/buckets/sib/keys/k").await;
    assert_eq!(list.status, 300);
    assert_eq!(
        list.shape(&["content-type", "vary", "last-modified", "link"]),
        "content-type: text/plain\nvary: Accept, Accept-Encoding\n\
         last-modified: Sun, 22 Nov 2026 04:48:31 GMT\nlink: -"
    );
    let text = list.text();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("Siblings:"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn siblings_are_listed_parted_and_chosen() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let tags = with_siblings(&mut client).await;
    assert_eq!(tags.len(), 2);
    let path = "/buckets/sib/keys/k";
    let parts = client.request("GET", path, &["Accept: multipart/mixed"], b"").await;
    let content_type = parts.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").unwrap();
    let text = parts.text();
    assert!(text.starts_with(&format!("\r\n--{boundary}\r\nContent-Type: text/plain\r\n")));
    assert!(text.ends_with(&format!("\r\n\r\n{{}}\r\n--{boundary}--\r\n")), "{text}");
    assert!(text.contains("x-riak-index-f_bin: x\r\nx-riak-index-f_bin: y\r\n\r\nvalue a\r\n"));
    for (tag, body) in tags.iter().zip(["value a", "{}"]) {
        let one = client.get(&format!("{path}?vtag={tag}")).await;
        assert_eq!((one.status, one.text()), (200, body.into()));
        assert_eq!(one.header("etag"), Some(format!("\"{tag}\"").as_str()));
        let refused = client
            .request("GET", &format!("{path}?vtag={tag}"), &["Accept: multipart/mixed"], b"")
            .await;
        assert_eq!(refused.status, 406);
    }
    let wrong = client.get(&format!("{path}?vtag=nope")).await;
    assert_eq!((wrong.status, wrong.header("content-type")), (404, Some("text/html")));
    assert_eq!(wrong.header("vary"), Some("Accept, Accept-Encoding"));
    let json = client.request("GET", path, &["Accept: application/json"], b"").await;
    assert_eq!(json.status, 406);

    let more = client.request("PUT", &format!("{path}?returnbody=true"), TEXT, b"c").await;
    assert_eq!((more.status, more.header("vary")), (300, Some("Accept-Encoding")));
    assert!(more.header("content-type").unwrap().starts_with("multipart/mixed; boundary="));
    let vclock = format!("X-Riak-Vclock: {}", more.header("x-riak-vclock").unwrap());
    let lines = ["Content-Type: text/plain", vclock.as_str()];
    let solved = client.request("PUT", &format!("{path}?returnbody=true"), &lines, b"one").await;
    assert_eq!((solved.status, solved.text()), (200, "one".into()));
    let stale = client.request("DELETE", path, &[vclock.as_str()], b"").await;
    assert_eq!(stale.status, 204);
    let both = client.request("GET", path, &["Accept: multipart/mixed"], b"").await;
    assert_eq!(both.status, 300);
    assert!(both.text().contains("Content-Type: application/octet-stream\r\n"));
    assert!(both.text().contains("X-Riak-Deleted: true\r\n\r\n\r\n--"));
}

#[tokio::test]
async fn conditions_hold_or_not() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let path = "/buckets/b/keys/k";
    let create = ["Content-Type: text/plain", "If-None-Match: *"];
    assert_eq!(client.request("PUT", path, &create, b"1").await.status, 204);
    assert_eq!(client.request("PUT", path, &create, b"2").await.status, 412);
    let etag = client.get(path).await.header("etag").unwrap().to_owned();
    let same = client.request("GET", path, &[&format!("If-None-Match: {etag}")], b"").await;
    assert_eq!((same.status, same.header("etag")), (304, Some(etag.as_str())));
    assert_eq!(
        same.shape(&["content-type", "content-length", "vary"]),
        "content-type: -\ncontent-length: -\nvary: Accept-Encoding"
    );
    let update = ["Content-Type: text/plain", &format!("If-Match: {etag}")];
    assert_eq!(client.request("PUT", path, &update, b"3").await.status, 204);
    assert_eq!(client.request("PUT", path, &update, b"4").await.status, 412);
    assert_eq!(client.request("DELETE", path, &["If-Match: \"x\""], b"").await.status, 412);
    let since = ["If-Modified-Since: Sun, 22 Nov 2026 04:48:31 GMT"];
    // The date lies ahead of the machine's clock, so it does not count.
    assert!(matches!(client.request("GET", path, &since, b"").await.status, 200 | 304));
    assert_eq!(client.request("DELETE", path, &[], b"").await.status, 204);
    assert_eq!(client.request("PUT", path, &create, b"5").await.status, 204);
}

#[tokio::test]
async fn a_write_may_ask_that_nothing_has_changed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let path = "/buckets/b/keys/k";
    assert_eq!(client.request("PUT", path, TEXT, b"1").await.status, 204);
    let clock = |response: &Response| response.header("x-riak-vclock").unwrap().to_owned();
    let condition = |clock: &str| format!("X-Riak-If-Not-Modified: {clock}");
    let first = condition(&clock(&client.get(path).await));
    assert_eq!(client.request("PUT", path, &[TEXT[0], &first], b"2").await.status, 204);
    for (method, lines) in [("PUT", vec![TEXT[0], &first]), ("DELETE", vec![&first])] {
        let refused = client.request(method, path, &lines, b"3").await;
        assert_eq!((refused.status, refused.header("vary")), (409, Some(AE)), "{method}");
        assert!(refused.text().contains("X-Riak-If-Not-Modified"), "{}", refused.text());
        let lines: Vec<&str> = lines.into_iter().filter(|line| *line != first).collect();
        let lines = [&lines[..], &["X-Riak-If-Not-Modified: aGVsbG8="]].concat();
        let wrong = client.request(method, path, &lines, b"3").await;
        let text = "X-Riak-If-Not-Modified: the vclock was not made by this cluster\n";
        assert_eq!((wrong.status, wrong.text().as_str()), (400, text), "{method}");
    }
    let now = client.get(path).await;
    assert_eq!(now.text(), "2");
    let second = condition(&clock(&now));
    let missing = "/buckets/b/keys/missing";
    assert_eq!(client.request("PUT", missing, &[TEXT[0], &second], b"x").await.status, 409);
    assert_eq!(client.request("DELETE", missing, &[&second], b"").await.status, 404);
    assert_eq!(client.request("DELETE", path, &[&second], b"").await.status, 204);
    // What was deleted is as it was left; and reads do not look at the header.
    let left = condition(&clock(&client.get(path).await));
    assert_eq!(client.request("PUT", path, &[TEXT[0], &second], b"4").await.status, 409);
    assert_eq!(client.request("PUT", path, &[TEXT[0], &left], b"4").await.status, 204);
    assert_eq!(client.request("GET", path, &[&first], b"").await.status, 200);
}

#[tokio::test]
async fn functions_are_called_before_and_after_writes() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let json = &["Content-Type: application/json"];
    let hooks = async |client: &mut Client, props: &str| {
        let body = format!("{{\"props\":{props}}}");
        let set = client.request("PUT", "/buckets/b/props", json, body.as_bytes()).await;
        assert_eq!((set.status, set.header("warning")), (204, None), "{props}: {}", set.text());
    };
    let path = "/buckets/b/keys/k";
    hooks(&mut client, r#"{"precommit":[{"name":"upper"}],"postcommit":[{"name":"told"}]}"#).await;
    assert_eq!(client.request("PUT", path, TEXT, b"words").await.status, 204);
    assert_eq!(client.get(path).await.text(), "WORDS");
    for (name, status, put, post, delete) in [
        (
            "refuse",
            403,
            "PUT aborted by pre-commit hook.",
            "POST aborted by pre-commit hook.",
            "DELETE aborted by pre-commit hook.",
        ),
        ("say", 403, "because <é>", "because <é>", "because <é>"),
        ("break", 500, "Error:\nno object\n", "Error:\nno object\n", "Error:\nno object\n"),
    ] {
        hooks(&mut client, &format!(r#"{{"precommit":[{{"name":"{name}"}}]}}"#)).await;
        for (method, path, body, words) in [
            ("PUT", path, &b"x"[..], put),
            ("POST", "/buckets/b/keys", b"x", post),
            ("DELETE", path, b"", delete),
        ] {
            let refused = client.request(method, path, TEXT, body).await;
            assert_eq!((refused.status, refused.text().as_str()), (status, words), "{method}");
            assert_eq!(refused.header("content-type"), Some("text/plain"));
        }
        assert_eq!(client.get(path).await.text(), "WORDS");
    }
    // What is not there is not deleted, and nobody is asked.
    assert_eq!(client.request("DELETE", "/buckets/b/keys/none", &[], b"").await.status, 404);
    hooks(&mut client, r#"{"precommit":[{"name":"other"}]}"#).await;
    assert_eq!(client.request("DELETE", path, &[], b"").await.status, 204);
    let told = |deleted| ("told".to_owned(), bytes::Bytes::from("k"), deleted);
    assert_eq!(*fixture.store.told.lock(), [told(false), told(true)]);
}

#[tokio::test]
async fn methods_and_origins_are_checked_first() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let path = "/buckets/b/keys/k?r=nonsense";
    let options = client.request("OPTIONS", path, &[], b"").await;
    assert_eq!(options.status, 405);
    assert_eq!(options.header("allow"), Some("HEAD, GET, POST, PUT, DELETE"));
    assert_eq!(client.request("PATCH", path, TEXT, b"x").await.status, 501);
    assert_eq!(client.request("GET", path, &["Origin: null"], b"").await.status, 400);
    let path = "/buckets/b/keys/k";
    assert_eq!(client.request("GET", path, &["Origin: null"], b"").await.status, 403);
    assert_eq!(client.request("GET", path, &["Referer: http://e/"], b"").await.status, 403);
    assert_eq!(client.request("GET", path, &["Referer: http://h:8098/"], b"").await.status, 404);
}

#[tokio::test]
async fn of_what_is_too_large_to_be_read_the_parts_are() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let props = br#"{"props":{"allow_mult":true}}"#;
    let json = &["Content-Type: application/json"];
    assert_eq!(client.request("PUT", "/buckets/b/props", json, props).await.status, 204);
    let path = "/buckets/b/keys/k";
    for body in [b"first value", b"other value"] {
        assert_eq!(client.request("PUT", path, TEXT, body).await.status, 204);
    }
    let whole = client.request("GET", path, &[], b"").await;
    let tags: Vec<String> = whole.text().lines().skip(1).map(str::to_owned).collect();
    *fixture.store.read_bytes.lock() = 20;
    let list = client.request("GET", path, &[], b"").await;
    assert_eq!((list.status, list.text()), (300, whole.text()));
    let multipart = &["Accept: multipart/mixed"];
    let refused = client.request("GET", path, multipart, b"").await;
    let text = "Error:\nb/k: the object is large\n";
    assert_eq!((refused.status, refused.text()), (500, text.to_owned()));
    let head = client.request("HEAD", path, multipart, b"").await;
    assert_eq!((head.status, head.header("x-riak-vclock")), (300, whole.header("x-riak-vclock")));
    for (tag, body) in tags.iter().zip(["first value", "other value"]) {
        let one = client.request("GET", &format!("{path}?vtag={tag}"), &[], b"").await;
        assert_eq!((one.status, one.text()), (200, body.to_owned()));
    }
    assert_eq!(client.request("GET", &format!("{path}?vtag=x"), &[], b"").await.status, 404);
    // A condition needs no bytes.
    let stale = &["Content-Type: text/plain", "If-Match: \"x\""];
    assert_eq!(client.request("PUT", path, stale, b"x").await.status, 412);
    let clock = format!("X-Riak-Vclock: {}", head.header("x-riak-vclock").unwrap());
    let mended = client.request("PUT", path, &["Content-Type: text/plain", &clock], b"one").await;
    assert_eq!(mended.status, 204);
    assert_eq!(client.request("GET", path, &[], b"").await.text(), "one");
}

#[tokio::test]
async fn errors_of_the_store_have_their_texts() {
    use mapring_types::error::QuorumKind;
    use mapring_types::{Error, ErrorKind};
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let quorum = ErrorKind::Quorum { what: QuorumKind::Pw, got: 2, want: 3 };
    for (kind, status, text) in [
        (quorum, 503, "PW-value unsatisfied: 2/3\n"),
        (ErrorKind::Timeout, 503, "request timed out\n"),
        (ErrorKind::TooLarge, 500, "Error:\ntoo many siblings\n"),
    ] {
        for (method, vary) in [("GET", None), ("PUT", Some(AE)), ("DELETE", Some(AE))] {
            *fixture.store.failure.lock() = Some(Error::new(kind, "too many siblings"));
            let answer = client.request(method, "/buckets/b/keys/k", TEXT, b"").await;
            assert_eq!((answer.status, answer.text()), (status, text.to_owned()));
            assert_eq!(answer.header("vary"), vary);
        }
    }
}
