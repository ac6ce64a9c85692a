//! Objects as map functions see them.

use crate::case::{Case, Need, Topic};
use crate::phases::{map_erl, map_js, map_named};

pub(super) fn cases() -> Vec<Case> {
    let mut t = Topic::new("objects");
    t.fact(55);
    shape(&mut t);
    metadata(&mut t);
    siblings(&mut t);
    tombstones(&mut t);
    t.cases
}

/// What an expression over the object `v`, its first value `w` and its metadata `m` is.
fn sees(t: &mut Topic, input: &str, expression: &str, expect: &str) {
    sees_with(t, input, "", expression, expect);
}

/// The same with more members of the query.
fn sees_with(t: &mut Topic, input: &str, members: &str, expression: &str, expect: &str) {
    // The JavaScript of Riak has no Object.keys.
    let source = format!(
        "function(v) {{
            function keys(o) {{ var k = []; for (var n in o) k.push(n); return k.sort(); }}
            var w = v.values[0], m = w.metadata;
            return [{expression}]; }}"
    );
    let title = format!("{input}: {expression}");
    let case = t.query(&title, &format!("[{input}]"), &[map_js(&source)]);
    case.body(&format!("[{expect}]"));
    if !members.is_empty() {
        case.with(members);
    }
}

const FULL: &str = r#"["mrc_one","k"]"#;
const BARE: &str = r#"["mrc_one","bare"]"#;
const TYPED: &str = r#"["mrc_n","t1",null,"conformance"]"#;

fn shape(t: &mut Topic) {
    sees(t, BARE, "keys(v)", r#"["bucket","bucket_type","key","values","vclock"]"#);
    sees(t, BARE, "v.bucket_type", "\"default\"");
    sees(t, BARE, "v.bucket", "\"mrc_one\"");
    sees(t, BARE, "v.key", "\"bare\"");
    sees(t, BARE, "/^[A-Za-z0-9+\\/]+=*$/.test(v.vclock)", "true");
    sees(t, BARE, "v.values.length", "1");
    sees(t, BARE, "keys(w)", r#"["data","metadata"]"#);
    sees(t, BARE, "w.data", "\"bare\"");
    sees(t, TYPED, "v.bucket_type", "\"conformance\"");
    sees(t, TYPED, "v.bucket", "\"mrc_n\"");
    sees(t, TYPED, "w.data", "\"10\"");
    sees(t, r#"["mrc_v","number"]"#, "w.data", "\"3.5\"");
    sees(t, r#"["mrc_v","empty"]"#, "w.data", "\"\"");
    sees(t, r#"["mrc_u","uni"]"#, "w.data.length", "4");
    sees(t, r#"["mrc_u","é"]"#, "v.key.charCodeAt(0)", "233");
    sees(t, r#"["mrc_u","a/b"]"#, "v.key", "\"a/b\"");
}

fn metadata(t: &mut Topic) {
    sees(
        t,
        FULL,
        "keys(m)",
        r#"["Links","X-Riak-Last-Modified","X-Riak-Meta","X-Riak-VTag","charset","content-encoding","content-type","index"]"#,
    );
    sees(t, FULL, "m['content-type']", "\"text/html\"");
    sees(t, FULL, "m.charset", "\"utf-8\"");
    sees(t, FULL, "m['content-encoding']", "\"x-own\"");
    sees(t, FULL, "typeof m['X-Riak-VTag'], m['X-Riak-VTag'].length > 10", "\"string\",true");
    sees(
        t,
        FULL,
        "/^[A-Z][a-z]{2}, \\d{2} [A-Z][a-z]{2} \\d{4} \\d{2}:\\d{2}:\\d{2} GMT$/\
         .test(m['X-Riak-Last-Modified'])",
        "true",
    );
    sees(t, FULL, "m.Links.sort()", r#"[["mrc_n","n1","one"],["mrc_n","n2","two"]]"#);
    sees(
        t,
        FULL,
        "keys(m['X-Riak-Meta'])",
        r#"["X-Riak-Meta-Foobar","X-Riak-Meta-Fruit","X-Riak-Meta-Tree"]"#,
    );
    sees(t, FULL, "m['X-Riak-Meta']['X-Riak-Meta-Fruit']", "\"apple\"");
    sees(t, FULL, "keys(m.index)", r#"["a_bin","d_int","n_int"]"#);
    sees(t, FULL, "m.index.a_bin.sort(), m.index.n_int", r#"["x","y"],-12"#);
    sees(t, FULL, "m.index.d_int", "3");
    t.fact(14);
    sees(t, FULL, "m['X-Riak-Meta']['X-Riak-Meta-Foobar']", "\"mixed\"");
    t.fact(55);
    sees(t, BARE, "m['content-type']", "\"text/plain\"");
    sees(t, BARE, "m.Links, m['X-Riak-Meta'], m.index", "[],{},[]");
    sees(
        t,
        BARE,
        "'charset' in m, 'content-encoding' in m, 'X-Riak-Deleted' in m",
        "false,false,false",
    );
    sees(t, r#"["mrc_i","o1"]"#, "m.index.a_bin, m.index.n_int", "\"red\",1");
    sees(t, r#"["mrc_i","o7"]"#, "m.index.n_int.sort()", "[5,6]");
    sees(t, r#"["mrc_i","over"]"#, "m.index", r#"{"a_bin":"new"}"#);
    sees(t, r#"["mrc_links","coded"]"#, "m.Links", r#"[["mrc_u","a/b","t g"]]"#);
}

fn siblings(t: &mut Topic) {
    let two = r#"["mrc_sib","two"]"#;
    sees(t, two, "v.values.length", "2");
    sees(t, two, "v.values.map(function(s) { return s.data; }).sort()", r#"["one","two"]"#);
    sees(t, two, "v.values.map(function(s) { return s.metadata.Links.length; }).sort()", "[1,2]");
    sees(
        t,
        two,
        "v.values[0].metadata['X-Riak-VTag'] === v.values[1].metadata['X-Riak-VTag']",
        "false",
    );
    let dead = r#"["mrc_sib","dead"]"#;
    let of = |what: &str| format!("v.values.map(function(s) {{ return {what}; }}).sort()");
    let pass = r#""tombstones":"pass""#;
    sees_with(t, dead, pass, &of("s.data"), r#"["","second"]"#);
    let deleted = of("s.metadata['X-Riak-Deleted'] === 'true'");
    sees_with(t, dead, pass, &deleted, "[false,true]");
    t.fact(76);
    t.query(
        "one value of several siblings",
        r#"[["mrc_sib","two"]]"#,
        &[map_erl("map_object_value")],
    )
    .fails(0, &["badmatch"]);
    t.fact(55);
}

/// Deleted objects that are still there.
fn tombstones(t: &mut Topic) {
    let why = "tombstones are no inputs unless the query says \"tombstones\":\"pass\"";
    let look = map_js(
        "function(v) { var w = v.values[0]; return [w.metadata['X-Riak-Deleted'], w.data]; }",
    );
    let gone = r#"[["mrc_del","gone"]]"#;
    t.query("a tombstone by its key", gone, &[look.clone()])
        .needs(Need::Tombstones)
        .riak_only(why)
        .body(r#"["true",""]"#);
    t.query("a tombstone is no JSON", gone, &[map_named("Riak.mapValuesJson")])
        .needs(Need::Tombstones)
        .riak_only(why)
        .fails(0, &["SyntaxError"]);
    t.query("a tombstone in its bucket", r#""mrc_del""#, &[map_named("Riak.mapValues")])
        .needs(Need::Tombstones)
        .riak_only(why)
        .any_order(r#"["here",""]"#);
}
