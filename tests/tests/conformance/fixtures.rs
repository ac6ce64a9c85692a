//! What is stored before the table runs. Rows only read, so that they can run in any order.
//!
//! | bucket | what is in it |
//! |---|---|
//! | `mrc_n` | `n1` … `n5`: the texts `1` … `5`; in the bucket type `t1` … `t3`: `10`, `20`, `30` |
//! | `mrc_big` | the keys `0` … `59`, each its own value |
//! | `mrc_j` | JSON objects: `j1`, `j2`, `j3` |
//! | `mrc_v` | other JSON, and what is none |
//! | `mrc_one` | `k`, an object with all metadata; `bare`, one with little |
//! | `mrc_links` | a small graph |
//! | `mrc_sib` | `two` siblings with links; `dead`, a value and a tombstone |
//! | `mrc_del` | `here`, and `gone`, a tombstone |
//! | `mrc_src` | JavaScript sources |
//! | `mrc_f*` | keys to filter: with dashes, words, integers, decimals |
//! | `mrc_i` | index entries, also of objects that were overwritten and deleted |
//! | `mrc_dt`, in [`DATATYPES`] | what rows about data types write, each row its own key |
//! | `mrc_u` | names and values that are not plain ASCII |
//!
//! What rows of mapring's own read besides is in [`crate::files`].

use futures::{StreamExt as _, stream};

use crate::case::Need;
use crate::files;
use crate::runner::Servers;
use crate::wire::{Request, Response, send};
use mapring_tests::harness::{eventually, holds, skip};

/// The bucket type that must be active.
pub(crate) const TYPE: &str = "conformance";

/// Bucket types with data types: their names and properties.
pub(crate) const DATATYPES: [(&str, &str); 5] = [
    ("mrc_counters", r#"{"props":{"datatype":"counter"}}"#),
    ("mrc_sets", r#"{"props":{"datatype":"set"}}"#),
    ("mrc_maps", r#"{"props":{"datatype":"map"}}"#),
    ("mrc_gsets", r#"{"props":{"datatype":"gset"}}"#),
    ("mrc_hlls", r#"{"props":{"datatype":"hll","hll_precision":12}}"#),
];

/// The keys of `mrc_big`.
const MANY: u32 = 60;

/// Objects without headers of their own: bucket, key as in a path, content type, value.
const PLAIN: [(&str, &str, &str, &str); 52] = [
    ("mrc_n", "n1", "text/plain", "1"),
    ("mrc_n", "n2", "text/plain", "2"),
    ("mrc_n", "n3", "text/plain", "3"),
    ("mrc_n", "n4", "text/plain", "4"),
    ("mrc_n", "n5", "text/plain", "5"),
    ("mrc_j", "j1", "application/json", r#"{"a":1,"s":"xé","t":"red"}"#),
    ("mrc_j", "j2", "application/json", r#"{"a":2,"s":"y","t":"blue"}"#),
    ("mrc_j", "j3", "application/json", r#"{"a":3,"s":"z","t":"red"}"#),
    ("mrc_v", "list", "application/json", r#"[1,[2],"x"]"#),
    ("mrc_v", "null", "application/json", "null"),
    ("mrc_v", "text", "application/json", r#""words""#),
    ("mrc_v", "number", "application/json", "3.5"),
    ("mrc_v", "broken", "application/json", r#"{"a":"#),
    ("mrc_v", "empty", "text/plain", ""),
    ("mrc_v", "plain", "text/plain", "not JSON"),
    ("mrc_one", "bare", "text/plain", "bare"),
    ("mrc_del", "here", "text/plain", "here"),
    ("mrc_del", "gone", "text/plain", "gone"),
    ("mrc_src", "map", "text/javascript", "function(v) { return ['stored ' + v.key]; }"),
    ("mrc_src", "arg", "text/javascript", "function(v, kd, arg) { return [kd, arg]; }"),
    ("mrc_src", "sum", "text/javascript", "function(l) { return [l.length]; }"),
    ("mrc_src", "name", "text/javascript", "Riak.mapValues"),
    ("mrc_src", "broken", "text/javascript", "function(v) { return [; }"),
    ("mrc_f", "2010-red-3", "text/plain", "a"),
    ("mrc_f", "2010-blue-20", "text/plain", "b"),
    ("mrc_f", "2011-red-100", "text/plain", "c"),
    ("mrc_f", "2012-green-7", "text/plain", "d"),
    ("mrc_fw", "alpha", "text/plain", "a"),
    ("mrc_fw", "Beta", "text/plain", "b"),
    ("mrc_fw", "gamma", "text/plain", "c"),
    ("mrc_fw", "delta", "text/plain", "d"),
    ("mrc_fw", "beta", "text/plain", "e"),
    ("mrc_fi", "1", "text/plain", "a"),
    ("mrc_fi", "7", "text/plain", "b"),
    ("mrc_fi", "10", "text/plain", "c"),
    ("mrc_fi", "-5", "text/plain", "d"),
    ("mrc_fi", "007", "text/plain", "e"),
    ("mrc_fd", "1.5", "text/plain", "a"),
    ("mrc_fd", "2.0", "text/plain", "b"),
    ("mrc_fd", "10.25", "text/plain", "c"),
    // As stored: a%2Fb, c+d, e%20f.
    ("mrc_fu", "a%252Fb", "text/plain", "a"),
    ("mrc_fu", "c%2Bd", "text/plain", "b"),
    ("mrc_fu", "e%2520f", "text/plain", "c"),
    ("mrc_i", "none", "text/plain", "none"),
    ("mrc_u", "uni", "text/plain", "é☃😀"),
    ("mrc_u", "escapes", "text/plain", "\"\\\n\t/<>\u{1}"),
    ("mrc_u", "a%2Fb", "text/plain", "slash"),
    ("mrc_u", "a%20b", "text/plain", "space"),
    ("mrc_u", "%C3%A9", "text/plain", "acute"),
    ("mrc_u%2F1", "k", "text/plain", "bucket with slash"),
    ("mrc_links", "lone", "text/plain", "L"),
    ("mrc_links", "b2", "text/plain", "B2"),
];

/// Objects with headers: path below `/`, value, headers.
type Headed = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const HEADED: [Headed; 17] = [
    (
        "buckets/mrc_one/keys/k",
        "all",
        &[
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Encoding", "x-own"),
            ("x-riak-meta-fruit", "apple"),
            ("X-Riak-Meta-Tree", "oak"),
            ("x-riak-meta-fooBar", "mixed"),
            ("X-Riak-Index-d_int", "3, 3"),
            ("x-riak-index-A_bin", "y, x"),
            ("x-riak-index-n_int", "-12"),
            (
                "Link",
                "</buckets/mrc_n/keys/n1>; riaktag=\"one\", </buckets/mrc_n/keys/n2>; \
                 riaktag=\"two\"",
            ),
        ],
    ),
    (
        "buckets/mrc_links/keys/a",
        "A",
        &[(
            "Link",
            "</buckets/mrc_links/keys/b>; riaktag=\"x\", </buckets/mrc_links/keys/c>; \
             riaktag=\"x\", </buckets/mrc_links/keys/b>; riaktag=\"y\", </buckets/mrc_n/keys/n1>; \
             riaktag=\"y\"",
        )],
    ),
    ("buckets/mrc_links/keys/b", "B", &[("Link", "</buckets/mrc_links/keys/c>; riaktag=\"z\"")]),
    (
        "buckets/mrc_links/keys/c",
        "C",
        &[(
            "Link",
            "</buckets/mrc_n/keys/n3>; riaktag=\"w\", </buckets/mrc_n/keys/nope>; riaktag=\"w\"",
        )],
    ),
    (
        "buckets/mrc_links/keys/coded",
        "D",
        &[("Link", "</buckets/mrc_u/keys/a%2Fb>; riaktag=\"t%20g\"")],
    ),
    ("buckets/mrc_i/keys/o1", "o1", &[("X-Riak-Index-a_bin", "red"), ("X-Riak-Index-n_int", "1")]),
    (
        "buckets/mrc_i/keys/o2",
        "o2",
        &[("X-Riak-Index-a_bin", "red, blue"), ("X-Riak-Index-n_int", "2")],
    ),
    (
        "buckets/mrc_i/keys/o3",
        "o3",
        &[("X-Riak-Index-a_bin", "green"), ("X-Riak-Index-n_int", "10")],
    ),
    (
        "buckets/mrc_i/keys/o4",
        "o4",
        &[("X-Riak-Index-a_bin", "Zebra"), ("X-Riak-Index-n_int", "-3")],
    ),
    ("buckets/mrc_i/keys/o5", "o5", &[("X-Riak-Index-n_int", "123456789012345678901234567890")]),
    ("buckets/mrc_i/keys/o7", "o7", &[("X-Riak-Index-n_int", "5, 6")]),
    (
        "buckets/mrc_i/keys/over",
        "first",
        &[("X-Riak-Index-a_bin", "old"), ("X-Riak-Index-n_int", "77")],
    ),
    (
        "buckets/mrc_i/keys/gone",
        "gone",
        &[("X-Riak-Index-a_bin", "gone"), ("X-Riak-Index-n_int", "78")],
    ),
    (
        "types/conformance/buckets/mrc_i/keys/ti",
        "ti",
        &[("X-Riak-Index-a_bin", "red"), ("X-Riak-Index-n_int", "1")],
    ),
    (
        "types/conformance/buckets/mrc_links/keys/typed",
        "T",
        &[("Link", "</buckets/mrc_n/keys/n1>; riaktag=\"t\"")],
    ),
    ("types/conformance/buckets/mrc_n/keys/t1", "10", &[]),
    ("types/conformance/buckets/mrc_n/keys/t2", "20", &[]),
];

/// An object without anything but its value, `bare`.
pub(crate) const BARE: &str = "/buckets/mrc_one/keys/bare";
/// One with all that an object can carry.
pub(crate) const FULL: &str = "/buckets/mrc_one/keys/k";
/// One with two values.
pub(crate) const SIBLINGS: &str = "/buckets/mrc_sib/keys/two";

pub(crate) fn put(path: &str, content_type: &str, value: &[u8]) -> Request {
    Request::new("PUT", path).body(content_type, value)
}

/// Everything that may be stored in any order.
fn first_writes(with_type: bool) -> Vec<Request> {
    let plain = PLAIN.iter().map(|(bucket, key, content_type, value)| {
        put(&format!("/buckets/{bucket}/keys/{key}"), content_type, value.as_bytes())
    });
    let headed = HEADED.iter().filter(|(path, ..)| with_type || !path.starts_with("types/"));
    let headed = headed.map(|(path, value, headers)| {
        let request = put(&format!("/{path}"), "text/plain", value.as_bytes());
        headers.iter().fold(request, |request, (name, value)| request.header(name, Some(value)))
    });
    let many = (0..MANY).map(|number| {
        put(&format!("/buckets/mrc_big/keys/{number}"), "text/plain", number.to_string().as_bytes())
    });
    let mut writes: Vec<Request> = plain.chain(headed).chain(many).collect();
    if with_type {
        writes.push(put("/types/conformance/buckets/mrc_n/keys/t3", "text/plain", b"30"));
    }
    writes.push(put("/buckets/mrc_bin/keys/latin", "text/plain", b"caf\xe9"));
    writes
}

/// What follows on the first writes.
fn second_writes() -> Vec<Request> {
    vec![
        put("/buckets/mrc_i/keys/over", "text/plain", b"second")
            .header("X-Riak-Index-a_bin", Some("new")),
        Request::new("DELETE", "/buckets/mrc_i/keys/gone"),
        Request::new("DELETE", "/buckets/mrc_del/keys/gone"),
    ]
}

/// Stores everything, and finds out what the servers lack.
pub(crate) async fn load(servers: &mut Servers) {
    create_type(servers).await;
    let loader = Loader { authorities: servers.authorities.clone() };
    let with_type = !servers.lacks.contains(&Need::BucketType);
    for writes in [first_writes(with_type), second_writes()] {
        let sent = stream::iter(writes.iter()).map(|request| loader.done(request));
        sent.buffer_unordered(16).collect::<Vec<_>>().await;
    }
    loader.siblings().await;
    if servers.own {
        loader.own(servers).await;
    } else {
        loader.probe(servers).await;
    }
    if servers.own && std::env::var_os("MAPRING_CONFORMANCE_URL").is_none() {
        return;
    }
    if std::env::var_os("MAPRING_CONFORMANCE_TOMBSTONES").is_none() {
        servers.lacks.insert(Need::Tombstones);
    }
}

async fn create_type(servers: &mut Servers) {
    let first = &servers.authorities[0];
    if servers.own {
        create_named_type(&servers.authorities, TYPE, PLAIN_TYPE).await;
        for (name, props) in DATATYPES {
            create_named_type(&servers.authorities, name, props).await;
        }
        updates_are_taken(&servers.authorities).await;
        return;
    }
    let props = Request::new("GET", &format!("/types/{TYPE}/props"));
    if send(first, &props).await.unwrap().status != 200 {
        servers.lacks.insert(Need::BucketType);
    }
    for (name, _) in DATATYPES {
        let props = Request::new("GET", &format!("/types/{name}/props"));
        if send(first, &props).await.unwrap().status != 200 {
            servers.lacks.insert(Need::DataTypes);
        }
    }
}

/// Waits until all nodes know that all others know data types.
async fn updates_are_taken(authorities: &[String]) {
    let path = "/types/mrc_counters/buckets/mrc_dt/datatypes/first";
    let update = Request::new("POST", path).body("application/json", "1");
    for authority in authorities {
        eventually("updates of data types to be taken", || async {
            holds(send(authority, &update).await.ok()?.status == 204)
        })
        .await;
    }
}

/// What bucket types of ordinary objects are created with.
const PLAIN_TYPE: &str = r#"{"props":{"allow_mult":false}}"#;

/// Creates a bucket type through the first of mapring's nodes; then all of them know it.
async fn create_named_type(authorities: &[String], name: &str, props: &str) {
    let path = format!("/admin/bucket-types/{name}");
    let request = Request::new("PUT", &path).body("application/json", props);
    let answer = send(&authorities[0], &request).await.unwrap();
    assert!(answer.status == 204, "{answer}");
    let props = Request::new("GET", &format!("/types/{name}/props"));
    for authority in authorities {
        eventually("the bucket type to be known", || async {
            holds(send(authority, &props).await.ok()?.status == 200)
        })
        .await;
    }
}

struct Loader {
    authorities: Vec<String>,
}

impl Loader {
    async fn ask(&self, request: &Request) -> Response {
        let answer = send(&self.authorities[0], request).await;
        answer.unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    async fn done(&self, request: &Request) {
        let answer = self.ask(request).await;
        let fine = matches!(answer.status, 200 | 204 | 404);
        assert!(fine, "{} {}: {answer}", request.method, request.path);
    }

    /// `two` has two values, `dead` a value and a tombstone, however often this is done.
    async fn siblings(&self) {
        let props = r#"{"props":{"allow_mult":true}}"#;
        let path = "/buckets/mrc_sib/props";
        self.done(&Request::new("PUT", path).body("application/json", props)).await;
        for authority in &self.authorities {
            eventually("siblings to be allowed", || async {
                let props = send(authority, &Request::new("GET", path)).await.ok()?;
                holds(props.text().contains("\"allow_mult\":true"))
            })
            .await;
        }
        let link = |to: &str| format!("</buckets/mrc_n/keys/{to}>; riaktag=\"s\"");
        let both = format!("{}, {}", link("n2"), link("n1"));
        let two = "/buckets/mrc_sib/keys/two";
        let write = put(two, "text/plain", b"one").header("Link", Some(&link("n1")));
        self.done(&write.header("X-Riak-Vclock", self.clock(two).await.as_deref())).await;
        self.done(&put(two, "text/plain", b"two").header("Link", Some(&both))).await;
        let dead = "/buckets/mrc_sib/keys/dead";
        let write = put(dead, "text/plain", b"first");
        self.done(&write.header("X-Riak-Vclock", self.clock(dead).await.as_deref())).await;
        let stale = self.clock(dead).await;
        let write = put(dead, "text/plain", b"second");
        self.done(&write.header("X-Riak-Vclock", stale.as_deref())).await;
        let delete = Request::new("DELETE", dead);
        self.done(&delete.header("X-Riak-Vclock", stale.as_deref())).await;
    }

    async fn clock(&self, path: &str) -> Option<String> {
        let answer = self.ask(&Request::new("GET", path)).await;
        answer.header("X-Riak-Vclock").map(str::to_owned)
    }

    /// What only rows of mapring's own read.
    async fn own(&self, servers: &mut Servers) {
        for name in files::TYPES {
            create_named_type(&self.authorities, name, PLAIN_TYPE).await;
        }
        let archives = files::archives();
        if let Err(why) = &archives {
            skip(&format!("no archives for the table: {why}"));
            servers.lacks.insert(Need::Archives);
        }
        let writes = files::writes().into_iter().chain(archives.unwrap_or_default());
        let writes: Vec<Request> = writes.collect();
        let sent = stream::iter(&writes).map(|request| self.done(request));
        sent.buffer_unordered(16).collect::<Vec<_>>().await;
    }

    async fn probe(&self, servers: &mut Servers) {
        let map = crate::phases::map_js("function() { return [1]; }");
        let query = crate::case::query(r#"[["mrc_n","n1"]]"#, &[map]);
        let request = Request::new("POST", "/mapred").body("application/json", query);
        if self.ask(&request).await.status != 200 {
            servers.lacks.insert(Need::Javascript);
        }
        let index = Request::new("GET", "/buckets/mrc_i/index/a_bin/red");
        if self.ask(&index).await.status != 200 {
            servers.lacks.insert(Need::Indexes);
        }
    }
}
