//! Requests from a grammar of routes, methods, headers and bodies, most of them damaged.

use mapring_fuzz::{Corpus, Step, damaged};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Behind each request: whatever that has become of, the node ends the connection after this one.
const LAST: &[u8] = b"GET /ping HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "GET", "PUT", "PUT", "POST", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH",
    "BREW",
];

/// What requests are for. Nobody asks a node to leave, or to fill itself: its name is in none.
const PATHS: &[&str] = &[
    "/",
    "/ping",
    "/stats",
    "/metrics",
    "/buckets",
    "/buckets/{bucket}/props",
    "/buckets/{bucket}/keys",
    "/buckets/{bucket}/keys/{key}",
    "/buckets/{bucket}/keys/{key}/preflist",
    "/buckets/{bucket}/keys/{key}/{step}",
    "/buckets/{bucket}/keys/{key}/{step}/{step}",
    "/buckets/{bucket}/counters/{key}",
    "/buckets/{bucket}/index/{field}/{term}",
    "/buckets/{bucket}/index/{field}/{term}/{term}",
    "/buckets/{bucket}/query",
    "/riak",
    "/riak/{bucket}",
    "/riak/{bucket}/{key}",
    "/riak/{bucket}/{key}/{step}",
    "/mapred",
    "/mapred",
    "/types/{type}/props",
    "/types/{type}/buckets",
    "/types/{type}/buckets/{bucket}/props",
    "/types/{type}/buckets/{bucket}/keys",
    "/types/{type}/buckets/{bucket}/keys/{key}",
    "/types/{type}/buckets/{bucket}/datatypes",
    "/types/{type}/buckets/{bucket}/datatypes/{key}",
    "/types/{type}/buckets/{bucket}/index/{field}/{term}",
    "/jobs",
    "/jobs/{name}",
    "/jobs/{name}/abort",
    "/job-configs/{name}",
    "/schedules/{name}",
    "/pipelines",
    "/pipelines/{name}",
    "/objectstats/buckets/{bucket}",
    "/siblings/buckets/{bucket}/counts/1",
    "/objectsizes/buckets/{bucket}/sizes/100",
    "/tombs/buckets/{bucket}",
    "/rangetrees/buckets/{bucket}/keysclocks",
    "/rangerepl/all",
    "/admin/ready",
    "/admin/live",
    "/admin/cluster",
    "/admin/bucket-types",
    "/admin/bucket-types/{type}",
    "/admin/bucket-types/{type}/activate",
    "/admin/queries",
    "/admin/queries/{name}",
    "/admin/workers",
    "/nothing/{name}",
];

/// What stands in the paths.
const NAMES: &[(&str, &[&str])] = &[
    ("{bucket}", &["b", "hostile", "a+b", "%D0%BA", "c%2Fd", "%ff"]),
    ("{key}", &["k", "k1", "k2", "k%00", "a%2Fb", "%zz"]),
    ("{type}", &["default", "maps", "sets", "counters", "hlls", "nope"]),
    ("{field}", &["f_bin", "f_int", "$key", "$bucket", "nope"]),
    ("{term}", &["a", "z", "1", "-20", "_", "%ff"]),
    ("{step}", &["_,_,_", "b,t,1", "_,_,", "x"]),
    ("{name}", &["one", "two", "1-2", "%2e"]),
];

const QUERIES: &[&str] = &[
    "",
    "",
    "",
    "?keys=true",
    "?keys=stream",
    "?buckets=true",
    "?props=true&keys=true",
    "?chunked=true",
    "?r=2&pr=one&timeout=5000",
    "?w=all&dw=0&pw=quorum&returnbody=true",
    "?returnbody=true&returnhead=1",
    "?return_terms=true&max_results=2&stream=true",
    "?max_results=3&continuation=g2gCbQAAAAV2YWw0OW0AAAAFb2JqNDk=",
    "?term_regex=^a.*",
    "?vtag=abc&basic_quorum=true&notfound_ok=false",
    "?include_context=false",
    "?timeout=1",
    "?r=many",
    "?filter=%7B%22key_range%22:%22all%22%7D",
];

/// Headers by the corpora that have values of theirs.
const VALUES: &[(&str, &str)] = &[
    ("Link", "links"),
    ("Accept", "accept"),
    ("Accept-Encoding", "accept"),
    ("Content-Type", "media_types"),
    ("X-Riak-Vclock", "clocks"),
    ("X-Riak-If-Not-Modified", "clocks"),
    ("X-Riak-Index-f_int", "index_numbers"),
    ("X-Riak-Index-f_bin", "segments"),
    ("X-Riak-Meta-Color", "segments"),
];

const HEADERS: &[&str] = &[
    "If-None-Match: *",
    "If-None-Match: \"a\", \"b\"",
    "If-Match: \"a\"",
    "If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT",
    "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
    "Range: bytes=1-3",
    "Range: bytes=-0, 5-",
    "Content-Encoding: gzip",
    "Expect: 100-continue",
    "X-Riak-ClientId: me",
    "Referer: http://elsewhere.example/",
    "Idempotency-Key: one",
    "Last-Event-ID: 1-2",
    "Connection: keep-alive",
    "Transfer-Encoding: chunked",
    "Content-Length: 3",
];

/// Corpora that are bodies of requests.
const BODIES: &[&str] = &[
    "queries",
    "queries",
    "updates",
    "bucket_queries",
    "jobs",
    "pipelines",
    "schedules",
    "named_jobs",
    "lenient_json",
    "segments",
];

/// Whose bodies they are, by what paths contain: so that many are meant.
const MEANT: &[(&str, &str)] = &[
    ("/mapred", "queries"),
    ("/datatypes", "updates"),
    ("/counters", "updates"),
    ("/query", "bucket_queries"),
    ("/jobs", "jobs"),
    ("/job-configs", "named_jobs"),
    ("/pipelines", "pipelines"),
    ("/schedules", "schedules"),
];

/// Properties, as bodies have them. None has functions: those of a bucket fail each of its writes.
const PROPERTIES: &[&str] = &[
    r#"{"props":{"allow_mult":true}}"#,
    r#"{"props":{"n_val":1,"r":"quorum","w":2}}"#,
    r#"{"props":{"last_write_wins":"true","notfound_ok":false}}"#,
    r#"{"props":{"datatype":"map","allow_mult":true}}"#,
    r#"{"props":{"datatype":"counter","allow_mult":true,"n_val":3}}"#,
    r#"{"props":{"n_val":0,"pr":"none"}}"#,
];

/// Makes requests.
pub(super) struct Requests {
    random: StdRng,
    values: Vec<(&'static str, Vec<Vec<u8>>)>,
    bodies: Vec<(&'static str, Vec<Vec<u8>>)>,
}

impl Requests {
    pub(super) fn new(seed: u64) -> Self {
        let kept = |name: &'static str| Corpus::of(name).into_inputs();
        Self {
            random: StdRng::seed_from_u64(seed),
            values: VALUES.iter().map(|(header, name)| (*header, kept(name))).collect(),
            bodies: BODIES.iter().map(|name| (*name, kept(name))).collect(),
        }
    }

    /// The next.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let request = self.whole();
        let mut request = match self.random.random_range(0..5) {
            0 | 1 => request,
            _ => {
                let steps = self.steps(4);
                let others = self.some_bodies();
                damaged(request, &others, &steps)
            }
        };
        request.extend_from_slice(LAST);
        request
    }

    /// One that is as it should be, but for what its parts mean together.
    fn whole(&mut self) -> Vec<u8> {
        let mut path = (*PATHS.choose(&mut self.random).unwrap()).to_owned();
        for (hole, names) in NAMES {
            while path.contains(hole) {
                path = path.replacen(hole, names.choose(&mut self.random).unwrap(), 1);
            }
        }
        let mut method = *METHODS.choose(&mut self.random).unwrap();
        if meant(&path).is_some() && self.random.random_bool(0.6) {
            method = "POST";
        }
        let query = QUERIES.choose(&mut self.random).unwrap();
        let mut request = format!("{method} {path}{query} HTTP/1.1\r\nHost: test\r\n").into_bytes();
        for _ in 0..self.random.random_range(0..4) {
            let header = self.header();
            request.extend_from_slice(&header);
            request.extend_from_slice(b"\r\n");
        }
        if !["PUT", "POST", "PATCH"].contains(&method) {
            request.extend_from_slice(b"\r\n");
            return request;
        }
        let body = self.body(&path);
        if self.random.random_bool(0.7) {
            request.extend_from_slice(b"Content-Type: application/json\r\n");
        }
        if self.random.random_bool(0.1) {
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for part in body.chunks(50) {
                request.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                request.extend_from_slice(part);
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\n\r\n");
        } else {
            let length = format!("Content-Length: {}\r\n\r\n", body.len());
            request.extend_from_slice(length.as_bytes());
            request.extend_from_slice(&body);
        }
        request
    }

    fn header(&mut self) -> Vec<u8> {
        if self.random.random_bool(0.5) {
            return HEADERS.choose(&mut self.random).unwrap().as_bytes().to_vec();
        }
        let (name, values) = self.values.choose(&mut self.random).unwrap();
        let value = values.choose(&mut self.random).unwrap();
        [name.as_bytes(), b": ", &value[..]].concat()
    }

    /// A body, damaged as often as not.
    fn body(&mut self, path: &str) -> Vec<u8> {
        if path.ends_with("/props") || path.contains("bucket-types") {
            return PROPERTIES.choose(&mut self.random).unwrap().as_bytes().to_vec();
        }
        let is_meant = self.random.random_bool(0.8);
        let others = match meant(path).filter(|_| is_meant) {
            Some(meant) => self.bodies.iter().find(|(name, _)| *name == meant),
            None => self.bodies.choose(&mut self.random),
        };
        let others = others.map(|(_, others)| others.clone()).unwrap_or_default();
        let body = others.choose(&mut self.random).cloned().unwrap_or_default();
        if self.random.random_bool(0.5) {
            return body;
        }
        let steps = self.steps(3);
        damaged(body, &others, &steps)
    }

    fn some_bodies(&mut self) -> Vec<Vec<u8>> {
        self.bodies.choose(&mut self.random).map(|(_, some)| some.clone()).unwrap_or_default()
    }

    fn steps(&mut self, most: usize) -> Vec<Step> {
        let count = self.random.random_range(1..=most);
        (0..count).map(|_| self.random.random()).collect()
    }
}

/// The corpus whose bodies a path takes.
fn meant(path: &str) -> Option<&'static str> {
    MEANT.iter().find(|(part, _)| path.contains(part)).map(|(_, name)| *name)
}
