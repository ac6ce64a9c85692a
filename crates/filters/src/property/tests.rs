//! What objects meet, by tables and by two oracles: `serde_json::Value`, and python's `json`.

mod oracles;

use bytes::Bytes;
use mapring_types::{
    ActorId, Blocks, Dot, IndexValue, Metadata, Object, Sibling, UploadId, VersionVector,
};
use serde_json::value::RawValue;

use super::{Access, PropertyError, PropertyFilters};

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn parsed(filters: &str) -> PropertyFilters {
    PropertyFilters::parse(raw(filters)).unwrap_or_else(|error| panic!("{filters}: {error:?}"))
}

fn sibling(at: u64, body: &[u8], metadata: Metadata) -> Sibling {
    let dot = Dot { actor: ActorId(at), counter: 1 };
    // 2024-05-01T00:00:00Z, and so many seconds.
    let last_modified = (1_714_521_600 + at) * 1_000_000;
    let body = Bytes::copy_from_slice(body);
    Sibling { dot, last_modified, deleted: false, metadata, body }
}

fn object(values: impl IntoIterator<Item = Sibling>) -> Object {
    let mut object = Object::default();
    values.into_iter().for_each(|value| object.update(&VersionVector::new(), value));
    object
}

fn keeps(filters: &str, body: &[u8]) -> bool {
    let filters = parsed(filters);
    let sent: PropertyFilters =
        postcard::from_bytes(&postcard::to_allocvec(&filters).unwrap()).unwrap();
    assert_eq!(sent, filters);
    let test = sent.compile().unwrap();
    let whole = test.keeps(&object([sibling(1, body, Metadata::default())]));
    assert_eq!(test.keeps_body(body).unwrap_or(whole), whole, "{filters:?}");
    whole
}

/// Bodies that meet a filter, and bodies that do not.
#[track_caller]
fn check(filter: &str, met: &[&str], missed: &[&str]) {
    let filters = format!("[{filter}]");
    for (bodies, expect) in [(met, true), (missed, false)] {
        for body in bodies {
            let shown = body.get(..200).unwrap_or(body);
            assert_eq!(keeps(&filters, body.as_bytes()), expect, "{filters} of {shown}");
        }
    }
}

const NO_JSON: [&str; 8] = [
    "",
    "not json",
    "{",
    r#"{"a":1"#,
    r#"{"a":1} x"#,
    r#"{"a":1,}"#,
    r#"{"a":01}"#,
    "{\"a\":1}\u{b}",
];

#[test]
fn values_are_compared_by_type_and_value() {
    check(
        r#"["a","=",1]"#,
        &[r#"{"a":1}"#, r#" { "b":[{"a":2}], "a" : 1.0 } "#, r#"{"a":10e-1}"#, r#"{"a":1}"#],
        &[r#"{"a":"1"}"#, r#"{"a":2}"#, r#"{"b":1}"#, r#"{"a":[1]}"#, r#"{"a":true}"#, "1", "[1]"],
    );
    check(
        r#"["a","!=",1]"#,
        &[r#"{"a":"1"}"#, r#"{"a":2}"#, r#"{"b":1}"#, r#"{"a":null}"#, "1"],
        &[r#"{"a":1}"#, r#"{"a":1.000}"#],
    );
    check(r#"["a","=",null]"#, &[r#"{"a":null}"#], &[r#"{"a":0}"#, "{}", r#"{"a":false}"#]);
    check(r#"["a","=","é"]"#, &[r#"{"a":"é"}"#, r#"{"a":"\u00e9"}"#], &[r#"{"a":"e"}"#]);
    check(
        r#"["a","=",{"x":[1,"y"],"z":null}]"#,
        &[r#"{"a":{"z":null,"x":[1.0,"\u0079"]}}"#],
        &[
            r#"{"a":{"x":[1,"y"]}}"#,
            r#"{"a":{"x":["y",1],"z":null}}"#,
            r#"{"a":{"x":[1,"y"],"z":0}}"#,
        ],
    );
    check(r#"["a","=",[]]"#, &[r#"{"a":[]}"#, r#"{"a":[ ]}"#], &[r#"{"a":[0]}"#, r#"{"a":{}}"#]);
}

#[test]
fn order_is_within_a_type() {
    check(
        r#"["a",">",21]"#,
        &[r#"{"a":22}"#, r#"{"a":21.0000000000000000000001}"#, r#"{"a":1e999}"#],
        &[r#"{"a":21}"#, r#"{"a":-1e999}"#, r#"{"a":"30"}"#, r#"{"a":[30]}"#, r#"{"a":null}"#],
    );
    check(r#"["a","<=",21]"#, &[r#"{"a":21.0}"#, r#"{"a":-5}"#], &[r#"{"a":null}"#, "{}"]);
    check(
        r#"["a","<","b"]"#,
        &[r#"{"a":"a~"}"#, r#"{"a":""}"#, r#"{"a":"B"}"#],
        &[r#"{"a":"b"}"#, r#"{"a":"é"}"#, r#"{"a":1}"#],
    );
    check(r#"["a",">=",true]"#, &[r#"{"a":true}"#], &[r#"{"a":false}"#, r#"{"a":1}"#]);
    check(r#"["a",">=","\ud83d\ude00"]"#, &[r#"{"a":"😀"}"#], &[r#"{"a":"\uffff"}"#]);
    let large = r#"["a",">",9007199254740992]"#;
    check(large, &[r#"{"a":9007199254740993}"#], &[r#"{"a":9007199254740992}"#]);
    check(
        r#"["joined",">=","2024-03-15T00:00:00Z"]"#,
        &[r#"{"joined":"2024-03-15T08:30:00Z"}"#],
        &[r#"{"joined":"2024-02-10T12:00:00Z"}"#],
    );
}

#[test]
fn sets_beginnings_and_what_is_there() {
    let set = r#"["a","in",["x",1,true,[2],"\u00e9"]]"#;
    check(
        set,
        &[r#"{"a":"x"}"#, r#"{"a":1.0}"#, r#"{"a":true}"#, r#"{"a":[2e0]}"#, r#"{"a":"é"}"#],
        &[r#"{"a":"1"}"#, r#"{"a":2}"#, r#"{"a":null}"#, r#"{"a":[2,2]}"#, "{}"],
    );
    check(r#"["a","in",[]]"#, &[], &[r#"{"a":null}"#, "{}"]);
    check(
        r#"["a","prefix","2024-"]"#,
        &[r#"{"a":"2024-"}"#, r#"{"a":"\u0032024-05"}"#],
        &[r#"{"a":"2023-05"}"#, r#"{"a":2024}"#, "{}"],
    );
    for filter in [r#"["a","exists",true]"#, r#"["a","exists"]"#] {
        check(filter, &[r#"{"a":null}"#, r#"{"a":1}"#], &["{}", "[]", r#"{"b":{"a":1}}"#]);
    }
    check(r#"["a","exists",false]"#, &["{}", "7"], &[r#"{"a":null}"#]);
}

#[test]
fn paths() {
    let zip = r#"["address.zip","=","0150"]"#;
    check(
        zip,
        &[r#"{"address":{"zip":"0150"}}"#],
        &[r#"{"address.zip":"0150"}"#, r#"{"address":"0150"}"#, r#"{"address":[{"zip":"0150"}]}"#],
    );
    check(r#"[["address.zip"],"=","0150"]"#, &[r#"{"address.zip":"0150"}"#], &[]);
    check(r#"[["@key"],"=",1]"#, &[r#"{"@key":1}"#], &[]);
    check(r#"[[],"=",7]"#, &["7", " 7.0\n"], &["8", r#"{"":7}"#]);
    check(r#"[[],"exists",true]"#, &["null", "{}", "\"x\""], &NO_JSON);
    check(
        r#"["a.1.b","=",1]"#,
        &[r#"{"a":[0,{"b":1}]}"#, r#"{"a":{"1":{"b":1}}}"#],
        &[r#"{"a":[{"b":1}]}"#, r#"{"a":{"01":{"b":1}}}"#, r#"{"a":[]}"#],
    );
    check(r#"["0","=","x"]"#, &[r#"["x"]"#, r#"{"0":"x"}"#], &[r#"[]"#, r#"[["x"]]"#]);
    check(r#"["\u00e9.\"","=",1]"#, &[r#"{"\u00e9":{"\"":1}}"#, r#"{"é":{"\u0022":1}}"#], &[]);
    // Both what is at the end of a path, and what is on the way.
    check(r#"["a.b","=",1],["a","=",{"b":1}]"#, &[r#"{"a":{"b":1}}"#], &[r#"{"a":{"b":1,"c":2}}"#]);
    // The last of several members of one name, as functions have it.
    check(r#"["a","=",1]"#, &[r#"{"a":2,"a":1}"#], &[r#"{"a":1,"a":2}"#]);
    check(r#"["a.b","=",1]"#, &[r#"{"a":7,"a":{"b":1}}"#], &[r#"{"a":{"b":1},"a":7}"#]);
    // Half a surrogate is no name and no text of a query, and still JSON, and has its place in the
    // order of texts.
    check(r#"["a","=",1]"#, &[r#"{"\ud800":0,"a":1}"#], &[]);
    check(r#"["a","=","x"]"#, &[], &[r#"{"a":"\ud800"}"#]);
    check(r#"["a","!=","x"]"#, &[r#"{"a":"\ud800"}"#], &[]);
    check(r#"["a",">","x"]"#, &[r#"{"a":"\ud800"}"#, r#"{"a":"\udfff\ud800y"}"#], &[]);
    check(r#"["a","<","\ue000"]"#, &[r#"{"a":"\ud800"}"#, r#"{"a":"\udfff\\"}"#], &[]);
    check(r#"["a",">","\ud7ff"]"#, &[r#"{"a":"\ud800"}"#, r#"{"a":"\ud83d\ude00"}"#], &[]);
    check(r#"["a","prefix","x\\"]"#, &[r#"{"a":"x\\\ud800"}"#], &[r#"{"a":"\ud800x\\"}"#]);
    check(r#"["a","in",["x","y"]]"#, &[], &[r#"{"a":"\ud800"}"#, r#"{"a":"x\ud800"}"#]);
}

#[test]
fn what_is_no_json_meets_only_what_nothing_meets() {
    for filter in [
        r#"["a","=",1]"#,
        r#"["a",">",0]"#,
        r#"["a","in",[1]]"#,
        r#"["a","exists",true]"#,
        r#"["a","prefix",""]"#,
        r#"["a","<=",1]"#,
    ] {
        check(filter, &[], &NO_JSON);
    }
    check(r#"["a","!=",1]"#, &NO_JSON, &[]);
    check(r#"["a","exists",false]"#, &NO_JSON, &[]);
    assert!(!keeps(r#"[["a","=",1]]"#, b"{\"a\":1,\"b\":\"\xff\"}"));
    assert!(keeps(r#"[["a","!=",2]]"#, b"{\"a\":2,\"b\":\"\xff\"}"));
}

#[test]
fn what_lies_in_blocks_is_neither_kept_nor_left_out() {
    let json = || Metadata { content_type: "application/json".into(), ..Metadata::default() };
    let blocks = Blocks { upload: UploadId(1), bytes: 1 << 30, block_bytes: 1 << 20, n_val: 3 };
    let in_blocks = || Metadata { blocks: Some(Box::new(blocks)), ..json() };
    let large = object([sibling(1, b"", in_blocks())]);
    let both = object([sibling(1, br#"{"a":1}"#, json()), sibling(2, b"", in_blocks())]);
    for (filters, of_large, of_both) in [
        (r#"[["a","=",1]]"#, (false, Some(1 << 30)), (true, None)),
        (r#"[["a","!=",1]]"#, (false, Some(1 << 30)), (false, Some(1 << 30))),
        (r#"[["b","exists",false]]"#, (false, Some(1 << 30)), (true, None)),
        (r#"[["a","=",2],["@content_type","=","text/plain"]]"#, (false, None), (false, None)),
        (r#"[["@content_type","=","application/json"]]"#, (true, None), (true, None)),
    ] {
        let test = parsed(filters).compile().unwrap();
        let found = |object: &Object| (test.keeps(object), test.unread(object));
        assert_eq!((found(&large), found(&both)), (of_large, of_both), "{filters}");
    }
}

#[test]
fn depth_takes_no_stack() {
    let deep = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let nested = format!("{{\"x\":{},\"b\":1}}", "[".repeat(100_000) + &"]".repeat(100_000));
    check(r#"["b","=",1]"#, &[&nested], &[&nested.replace(",\"b\"", "],\"b\"")]);
    check(r#"["a.a.a","exists",true]"#, &[&deep(100_000)], &[&deep(2)]);
    check(
        r#"["a","=",[[1]]]"#,
        &[],
        &[&format!("{{\"a\":{}}}", "[".repeat(9_999) + &"]".repeat(9_999))],
    );
    let path = vec!["a"; 32].join(".");
    check(&format!(r#"["{path}","=",1]"#), &[&deep(32)], &[&deep(31), &deep(33)]);
}

fn metadata() -> Metadata {
    let user =
        |name: &str, text: &str| (format!("X-Riak-Meta-{name}"), Bytes::from(text.to_owned()));
    let int = |text: &str| ("age_int".to_owned(), IndexValue::Int(text.to_owned()));
    let bin =
        |text: &'static [u8]| ("tag_bin".to_owned(), IndexValue::Bin(Bytes::from_static(text)));
    Metadata {
        content_type: "application/json".to_owned(),
        user: vec![user("Color", "red"), user("Color", "blue"), user("Size-X", "12")],
        indexes: vec![int("-7"), int("20"), int("90071992547409930"), bin(b"b"), bin(b"\xff")],
        ..Metadata::default()
    }
}

#[track_caller]
fn check_head(filter: &str, expect: bool) {
    let test = parsed(&format!("[{filter}]")).compile().unwrap();
    assert!(test.tests_objects() && !test.tests_bodies());
    assert_eq!(test.keeps(&object([sibling(1, b"", metadata())])), expect, "{filter}");
}

#[test]
fn what_values_carry() {
    for (filter, expect) in [
        (r#"["@content_type","=","application/json"]"#, true),
        (r#"["@content_type","prefix","text/"]"#, false),
        (r#"["@content_type","exists",true]"#, true),
        (r#"["@meta.color","=","red"]"#, true),
        (r#"["@meta.COLOR","=","blue"]"#, true),
        (r#"["@meta.color","!=","blue"]"#, false),
        (r#"["@meta.color","!=","green"]"#, true),
        (r#"["@meta.size-x","in",["11","12"]]"#, true),
        (r#"["@meta.none","exists",false]"#, true),
        (r#"["@meta.none","=",""]"#, false),
        (r#"["@meta.none","!=",""]"#, true),
        (r#"["@last_modified",">=","2024-05-01T00:00:01Z"]"#, true),
        (r#"["@last_modified",">","2024-05-01T00:00:01Z"]"#, false),
        (r#"["@last_modified","=",1714521601000]"#, true),
        (r#"["@last_modified","in",["2024-05-01T02:00:01+02:00"]]"#, true),
        (r#"["@last_modified","<","2024-05-01"]"#, false),
        (r#"["@index.age_int","=",20]"#, true),
        (r#"["@index.AGE_int","=","020"]"#, true),
        (r#"["@index.age_int",">",90071992547409929]"#, true),
        (r#"["@index.age_int",">",90071992547409930]"#, false),
        (r#"["@index.age_int","<",-6]"#, true),
        (r#"["@index.age_int","!=",20]"#, false),
        (r#"["@index.age_int","!=",21]"#, true),
        (r#"["@index.age_int","in",[1,2,-7]]"#, true),
        (r#"["@index.other_int","exists",false]"#, true),
        (r#"["@index.other_int","!=",1]"#, true),
        (r#"["@index.tag_bin","prefix","b"]"#, true),
        (r#"["@index.tag_bin",">","b"]"#, false),
        // Of one index one term must be so: -7 is small enough and 20 large enough.
        (r#"["@index.age_int",">",-7],["@index.age_int","<",20]"#, false),
        (r#"["@index.age_int",">=",-7],["@index.age_int","<",20]"#, true),
        (r#"["@index.age_int",">",0],["@index.age_int","!=",-7]"#, false),
    ] {
        check_head(filter, expect);
    }
}

#[test]
fn one_value_meets_them_all() {
    let text = |text: &str| Metadata { content_type: text.to_owned(), ..Metadata::default() };
    let two = object([
        sibling(1, br#"{"a":1,"b":1}"#, text("one")),
        sibling(2, br#"{"a":2,"b":2}"#, text("two")),
    ]);
    for (filters, expect) in [
        (r#"[["a","=",1]]"#, true),
        (r#"[["a","=",2]]"#, true),
        (r#"[["a","=",1],["b","=",2]]"#, false),
        (r#"[["a","=",1],["b","=",1]]"#, true),
        (r#"[["a","!=",1]]"#, true),
        (r#"[["a","!=",1],["a","!=",2]]"#, false),
        (r#"[["@content_type","=","one"],["a","=",2]]"#, false),
        (r#"[["@content_type","=","one"],["a","=",1]]"#, true),
        (r#"[["@last_modified",">","2024-05-01T00:00:01Z"],["a","=",2]]"#, true),
        ("[]", true),
    ] {
        assert_eq!(parsed(filters).compile().unwrap().keeps(&two), expect, "{filters}");
    }
}

#[test]
fn keys_are_told_by_themselves() {
    for (filters, met, missed) in [
        (r#"[["@key","=","p1"]]"#, "p1", "p10"),
        (r#"[["@key","prefix","p"],["@key","!=","p1"]]"#, "p10", "p1"),
        (r#"[["@key",">","a"],["@key","<=","b"]]"#, "b", "b0"),
        (r#"[["@key","in",["x","y"]]]"#, "y", "z"),
    ] {
        let test = parsed(filters).compile().unwrap();
        assert!(test.tests_keys() && !test.tests_objects());
        assert!(test.keeps_key(met.as_bytes()) && !test.keeps_key(missed.as_bytes()), "{filters}");
    }
    let test = parsed(r#"[["a","=",1]]"#).compile().unwrap();
    assert!(!test.tests_keys() && test.tests_bodies());
}

#[test]
fn parts_of_a_bucket() {
    let keys = |from: &'static str, to: Option<&'static [u8]>| Access::Keys {
        from: from.into(),
        to: to.map(Bytes::from_static),
    };
    let int = |text: &str| IndexValue::Int(text.to_owned());
    let bin = |bytes: &'static [u8]| IndexValue::Bin(Bytes::from_static(bytes));
    let terms = |field: &str, from, to| Access::Terms { field: field.to_owned(), from, to };
    for (filters, expect) in [
        ("[]", Access::All),
        (r#"[["age","=",1]]"#, Access::All),
        (r#"[["@key","!=","x"]]"#, Access::All),
        (r#"[["@key","prefix",""]]"#, Access::All),
        (r#"[["@key","=","x"]]"#, keys("x", Some(b"x"))),
        (r#"[["@key","in",["c","a","b"]]]"#, keys("a", Some(b"c"))),
        (r#"[["@key","prefix","p"]]"#, keys("p", Some(b"q"))),
        (r#"[["@key","prefix","pé"]]"#, keys("pé", Some(b"p\xc3\xaa"))),
        (r#"[["@key",">","a"]]"#, keys("a", None)),
        (r#"[["@key","<=","m"]]"#, keys("", Some(b"m"))),
        (r#"[["@key",">=","a"],["@key",">","b"],["@key","<","m"]]"#, keys("b", Some(b"m"))),
        // Nothing lies between: what lies on the bound is refused.
        (r#"[["@key",">=","b"],["@key","<=","a"]]"#, keys("b", Some(b"b"))),
        (r#"[["@index.n_int","=",5]]"#, terms("n_int", int("5"), int("5"))),
        (r#"[["@index.n_int",">",5],["@index.n_int","<",9]]"#, terms("n_int", int("5"), int("9"))),
        (r#"[["@index.n_int",">=",5]]"#, terms("n_int", int("5"), bin(b""))),
        (r#"[["@index.n_int","<",5]]"#, Access::All),
        (r#"[["@index.n_int","!=",5]]"#, Access::All),
        (r#"[["@index.n_int","exists"]]"#, Access::All),
        (r#"[["@index.n_int","in",[7,-1]]]"#, terms("n_int", int("-1"), int("7"))),
        (r#"[["@index.t_bin","<","b"]]"#, terms("t_bin", bin(b""), bin(b"b"))),
        (r#"[["@index.t_bin",">","b"]]"#, terms("t_bin", bin(b"b"), bin(b"\xff"))),
        (r#"[["@index.t_bin","prefix","b"]]"#, terms("t_bin", bin(b"b"), bin(b"b\xff"))),
        // A term of an index is looked for before a range of keys, and that before one of an index.
        (r#"[["@key",">","a"],["@index.n_int","=",5]]"#, terms("n_int", int("5"), int("5"))),
        (r#"[["@index.n_int",">",5],["@key",">","a"]]"#, keys("a", None)),
        (r#"[["@index.n_int","=",5],["@key","=","a"]]"#, keys("a", Some(b"a"))),
        (
            r#"[["@index.a_int",">",1],["@index.b_int",">",1],["@index.b_int","<",3]]"#,
            terms("b_int", int("1"), int("3")),
        ),
    ] {
        assert_eq!(parsed(filters).access(), expect, "{filters}");
    }
}

#[test]
fn of_several_terms_one_counts() {
    let test = parsed(r#"[["@index.age_int",">",-7]]"#).compile().unwrap();
    let object = object([sibling(1, b"", metadata())]);
    for (term, expect) in [("-7", false), ("20", true), ("90071992547409930", false)] {
        let term = IndexValue::Int(term.to_owned());
        assert_eq!(test.is_first_term(&object, "age_int", &term), expect, "{term:?}");
    }
}

#[test]
fn filters_that_are_none() {
    let many = format!("[{}]", vec![r#"["a","exists"]"#; 1_001].join(","));
    let long = format!(r#"[["a","=","{}"]]"#, "x".repeat(crate::limits::FILTERS_BYTES));
    let deep = format!(r#"[["{}","=",1]]"#, vec!["a"; 33].join("."));
    for (filters, place, why) in [
        (r#""age=30""#, "filters", "is a list of filters"),
        ("{}", "filters", "is a list of filters"),
        (r#"["age","=",30]"#, "filters[0]", "a filter is a list"),
        (r#"[["age","=",30],["age"]]"#, "filters[1]", "a filter is a list"),
        (r#"[["age","=",30,1]]"#, "filters[0]", "a filter is a list"),
        (r#"[["age","="]]"#, "filters[0]", "\"=\" takes a value"),
        (r#"[["age","~",1]]"#, "filters[0]", "there is no operator \"~\": the operators are ="),
        (r#"[["age",1,1]]"#, "filters[0]", "an operator is one of = != <"),
        (r#"[[1,"=",1]]"#, "filters[0]", "what a filter is about is a text"),
        (r#"[["","=",1]]"#, "filters[0]", "a path has an empty name"),
        (r#"[["a..b","=",1]]"#, "filters[0]", "a path has an empty name"),
        (r#"[["@age","=",1]]"#, "filters[0]", "there is no \"@age\"; there are @key"),
        (r#"[["@meta","=","x"]]"#, "filters[0]", "there is no \"@meta\""),
        (r#"[["@key.x","=","x"]]"#, "filters[0]", "there is no \"@key.x\""),
        (r#"[["@index.age","=",1]]"#, "filters[0]", "there is no \"@index.age\""),
        (r#"[["@index.age_int","=","x"]]"#, "filters[0]", "its terms are whole numbers, not"),
        (r#"[["@index.age_int","=",1.5]]"#, "filters[0]", "its terms are whole numbers, not 1.5"),
        (r#"[["@index.age_int","prefix","1"]]"#, "filters[0]", "\"prefix\" takes a text"),
        (r#"[["@index.tag_bin","=",1]]"#, "filters[0]", "its terms are texts, not 1"),
        (r#"[["@key","=",1]]"#, "filters[0]", "compared with texts, not with 1"),
        (r#"[["@last_modified",">","soon"]]"#, "filters[0]", "a time is an ISO 8601 text"),
        (r#"[["@last_modified","prefix","2024"]]"#, "filters[0]", "\"prefix\" takes a text"),
        (r#"[["a","<",[1]]]"#, "filters[0]", "\"<\" takes a number, a text, true or false"),
        (r#"[["a",">=",null]]"#, "filters[0]", "\">=\" takes a number"),
        (r#"[["a","in",1]]"#, "filters[0]", "\"in\" takes a list of values"),
        (r#"[["a","in"]]"#, "filters[0]", "\"in\" takes a list of values"),
        (r#"[["a","prefix",1]]"#, "filters[0]", "\"prefix\" takes a text"),
        (r#"[["a","exists","yes"]]"#, "filters[0]", "\"exists\" takes true or false"),
        (r#"[["a","=","\ud800"]]"#, "filters[0]", "half of a surrogate pair"),
        (&many, "filters", "more than 1000 filters"),
        (&long, "filters", "longer than"),
        (&deep, "filters[0]", "a path has more than 32 names"),
    ] {
        let error = PropertyFilters::parse(raw(filters)).unwrap_err();
        assert_eq!(error.place, place, "{}", filters.get(..60).unwrap_or(filters));
        assert!(error.why.contains(why), "{}: {}", filters.get(..60).unwrap_or(filters), error.why);
    }
}

#[test]
fn ranges_and_times_beside_filters() {
    let modified = |from: Option<&str>, to: Option<&str>| -> Result<bool, PropertyError> {
        let filters = PropertyFilters::modified(from.map(raw), to.map(raw))?;
        let test = filters.compile().unwrap();
        Ok(test.keeps(&object([sibling(1, b"", Metadata::default())])))
    };
    let at = r#""2024-05-01T00:00:01Z""#;
    assert_eq!(modified(Some(at), None), Ok(true));
    assert_eq!(modified(None, Some(at)), Ok(false), "the end is not included");
    assert_eq!(modified(Some("1714521600500"), Some("1714521601500")), Ok(true));
    assert_eq!(modified(None, None), Ok(true));
    let refused = modified(Some(at), Some("true")).unwrap_err();
    assert_eq!(refused.place, "modified.to");
    let range = PropertyFilters::key_range(Some(raw("\"a\"")), Some(raw("\"m\""))).unwrap();
    let test = range.compile().unwrap();
    assert!(test.keeps_key(b"a") && test.keeps_key(b"m") && !test.keeps_key(b"m0"));
    assert_eq!(
        PropertyFilters::key_range(None, Some(raw("1"))).unwrap_err().place,
        "key_range.end"
    );
    let prefix = PropertyFilters::key_prefix(raw("\"a\"")).unwrap().and(range);
    assert_eq!(prefix.len(), 3);
    assert_eq!(PropertyFilters::key_prefix(raw("[]")).unwrap_err().place, "prefix");
}
