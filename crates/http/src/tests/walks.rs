//! Walks along links (facts R300 to R304).

use super::Fixture;
use super::wire::{Client, Response};

async fn put(client: &mut Client, path: &str, links: &str, body: &str) {
    let link = format!("Link: {links}");
    let mut lines = vec!["Content-Type: text/plain"];
    if !links.is_empty() {
        lines.push(&link);
    }
    assert_eq!(client.request("PUT", path, &lines, body.as_bytes()).await.status, 204, "{path}");
}

/// a → b (x, y), c (x); b → c (z); c → nothing that is there.
async fn graph(client: &mut Client) {
    let (b, c) = ("</buckets/w/keys/b>; riaktag", "</buckets/w/keys/c>; riaktag");
    let links = format!("{b}=\"x\", {b}=\"y\", {c}=\"x\", </buckets/n/keys/1>; riaktag=\"y\"");
    put(client, "/buckets/w/keys/a", &links, "A").await;
    put(client, "/buckets/w/keys/b", &format!("{c}=\"z\""), "B").await;
    put(client, "/buckets/w/keys/c", "</buckets/w/keys/none>; riaktag=\"w%2Cx\"", "C").await;
    put(client, "/buckets/n/keys/1", "", "N").await;
}

/// The values in each part of the answer.
fn steps(response: &Response) -> Vec<Vec<String>> {
    assert_eq!(response.status, 200, "{}", response.text());
    let content_type = response.header("content-type").unwrap();
    let outer = content_type.strip_prefix("multipart/mixed; boundary=").unwrap();
    let text = response.text();
    let body = text.strip_suffix(&format!("\r\n--{outer}--\r\n")).unwrap();
    let between = format!("\r\n--{outer}\r\n");
    body.split(&between)
        .skip(1)
        .map(|part| {
            let (head, inside) = part.split_once("\r\n").unwrap();
            let inner = head.strip_prefix("Content-Type: multipart/mixed; boundary=").unwrap();
            let end = format!("\r\n--{inner}--\r\n");
            let inside = inside.strip_suffix(&end).unwrap();
            let between = format!("\r\n--{inner}\r\n");
            let objects = inside.split(&between).skip(1);
            objects.map(|object| object.split_once("\r\n\r\n").unwrap().1.to_owned()).collect()
        })
        .collect()
}

#[tokio::test]
async fn walks_give_the_objects_of_the_steps_that_are_kept() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    graph(&mut client).await;
    for (path, expect) in [
        ("_,_,_", vec![vec!["N", "B", "B", "C"]]),
        ("_,_,0", vec![vec!["N", "B", "B", "C"]]),
        ("w,x,1", vec![vec!["B", "C"]]),
        ("n,_,1", vec![vec!["N"]]),
        ("_,none,1", vec![vec![]]),
        ("w,y,_/_,z,_", vec![vec!["C"]]),
        ("w,y,1/_,z,_", vec![vec!["B"], vec!["C"]]),
        ("w,y,1/_,z,0/_,_,1", vec![vec!["B"], vec![]]),
        ("w,y,1/_,_,0", vec![vec!["B"]]),
        ("w,y,0/_,_,0", vec![vec!["C"]]),
        ("w,x,_/_,w%2Cx,1", vec![vec![]]),
        ("w%2Cx%2C1", vec![vec!["B", "C"]]),
    ] {
        let found = steps(&client.get(&format!("/buckets/w/keys/a/{path}")).await);
        let found: Vec<Vec<&str>> =
            found.iter().map(|step| step.iter().map(String::as_str).collect()).collect();
        assert_eq!(found, expect, "{path}");
    }
}

#[tokio::test]
async fn parts_have_what_an_object_has() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    graph(&mut client).await;
    for (path, location, link) in [
        ("/riak/w/a/w,y,1", "/riak/w/b", "</riak/w/c>; riaktag=\"z\", </riak/w>; rel=\"up\""),
        (
            "/types/default/buckets/w/keys/a/w,y,1",
            "/buckets/w/keys/b",
            "</buckets/w/keys/c>; riaktag=\"z\", </buckets/w>; rel=\"up\"",
        ),
    ] {
        let response = client.get(path).await;
        let text = response.text();
        let vclock = text.find("\r\nX-Riak-Vclock: ").unwrap();
        let after = &text[vclock + 2..];
        let (_, after) = after.split_once("\r\n").unwrap();
        let expect =
            format!("Location: {location}\r\nContent-Type: text/plain\r\nLink: {link}\r\nEtag: ");
        assert!(after.starts_with(&expect), "{after}");
        assert!(response.header("expires").is_some());
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
    }
    let head = client.request("HEAD", "/riak/w/a/_,_,_", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let post = client.request("POST", "/riak/w/a/_,_,_", &[], b"").await;
    assert_eq!((post.status, post.header("content-type")), (204, Some("multipart/mixed")));
}

#[tokio::test]
async fn an_object_with_siblings_is_one_of_them_and_all_their_links_are_followed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    let json = &["Content-Type: application/json"];
    let props = br#"{"props":{"allow_mult":true}}"#;
    assert_eq!(client.request("PUT", "/buckets/s/props", json, props).await.status, 204);
    graph(&mut client).await;
    put(&mut client, "/buckets/w/keys/to", "</buckets/s/keys/s>; riaktag=\"s\"", "O").await;
    put(&mut client, "/buckets/s/keys/s", "</buckets/w/keys/b>; riaktag=\"p\"", "S1").await;
    put(&mut client, "/buckets/s/keys/s", "</buckets/w/keys/c>; riaktag=\"q\"", "S2").await;
    let list = client.get("/buckets/s/keys/s").await.text();
    let tags: Vec<&str> = list.lines().skip(1).collect();
    let response = client.get("/buckets/w/keys/to/s,_,1/_,_,1").await;
    assert_eq!(steps(&response)[1], ["B", "C"]);
    let text = response.text();
    let shown = format!("Location: /buckets/s/keys/s?vtag={}\r\n", tags[0]);
    assert!(text.contains(&shown), "{text}");
    assert!(text.contains(&format!("X-Riak-Sibling-VTags: {}\r\n", tags[1])), "{text}");
    assert_eq!(steps(&client.get("/buckets/s/keys/s/_,_,1").await), [["B", "C"]]);
}

#[tokio::test]
async fn what_is_no_walk_is_refused() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    graph(&mut client).await;
    for (method, path, line, status, words) in [
        ("GET", "/riak/w/a/b,t", "", 400, "Invalid link walk query submitted. Valid link "),
        ("POST", "/riak/w/a/b,,1", "", 400, "some_bucket/some_key/<bucket>,<riaktag>,0|1/..."),
        ("GET", "/riak/w/nope/_,_,1", "", 404, ""),
        ("POST", "/riak/w/nope/_,_,1", "", 404, ""),
        ("GET", "/riak/w/a/_,_,1", "Accept: text/plain", 406, ""),
        ("GET", "/riak/w/a/_,_,1", "Referer: http://elsewhere/", 403, ""),
        (
            "GET",
            "/types/t/buckets/w/keys/a/_,_,1",
            "",
            403,
            "Link-walking is not allowed on keys stored in bucket-types.",
        ),
        ("GET", "/types/t/buckets/w/keys/a/x", "", 400, "Invalid link walk"),
        ("DELETE", "/riak/w/a/_,_,1", "", 405, "%2F"),
        ("PATCH", "/riak/w/a/_,_,1", "", 501, ""),
    ] {
        let lines: Vec<&str> = (!line.is_empty()).then_some(line).into_iter().collect();
        let response = client.request(method, path, &lines, b"").await;
        assert_eq!(response.status, status, "{method} {path}");
        assert!(response.text().contains(words), "{method} {path}: {}", response.text());
        let allow = (status == 405).then_some("GET, HEAD, POST");
        assert_eq!(response.header("allow"), allow);
    }
    *fixture.store.failure.lock() = Some(mapring_types::Error::timeout("slow"));
    let response = client.get("/riak/w/a/_,_,1").await;
    assert_eq!((response.status, response.text().as_str()), (503, "request timed out\n"));
}
