//! The facts R38 to R54 as tables.

use std::time::Duration;

use mapring_kv::Selection;
use mapring_script::{Function, JsonText, ReduceTiming};
use mapring_types::{BucketId, IndexValue, ObjectId};

use super::phase::Phase;
use super::*;

mod sources;

fn good(body: &str) -> Query {
    parse(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {refusal}"))
}

/// What is wrong with a body in all, and what the reader says of it.
#[track_caller]
fn refused(body: &str, kind: RejectionKind, said: &str) {
    let refusal = parse(body.as_bytes()).expect_err(body);
    assert_eq!((&refusal.kind, refusal.place.as_str()), (&kind, ""), "{body}");
    assert!(refusal.message.starts_with(said), "{body}\ngave {:?}", refusal.message);
}

/// What is wrong with a part of a query: what is said of it and of which JSON, or of which kind it is.
#[track_caller]
fn part_refused(body: &str, field: &str, starts: &str) {
    let refusal = parse(body.as_bytes()).expect_err(body);
    assert!(refusal.place.starts_with(field), "{body}\ngave {refusal:?}");
    let said = match &refusal.kind {
        RejectionKind::Malformed => refusal.message.clone(),
        kind => format!("{kind:?}"),
    };
    let given = refusal.given.as_ref().map(|given| format!(": {given}"));
    let said = said + &given.unwrap_or_default();
    assert!(said.starts_with(starts), "{body}\ngave {said:?}");
}

#[test]
fn bodies_that_are_no_queries() {
    let deep = format!("arrays and objects are nested deeper than {}", limits::NESTING);
    let deep = deep.as_str();
    for empty in ["", " \n"] {
        refused(empty, RejectionKind::Empty, "");
    }
    for (invalid, said) in [
        ("{", "EOF while parsing"),
        ("nonsense", "expected"),
        (r#"{"inputs":"b","query":[]} x"#, "trailing characters"),
        (r#"{"inputs":"b","query":[,]}"#, "expected value"),
        (r#"{,}"#, "key must be a string"),
        (r#"{"inputs":"b",,"query":[]}"#, "key must be a string"),
        // What is told is where the text as it came is wrong first.
        (r#"{"inputs":"b",}, "query":[]}"#, "key must be a string at line 1 column 15"),
        (&format!("{}{}", "[".repeat(200), "]".repeat(200)), deep),
        (&"[".repeat(1_000_000), deep),
        (
            &format!(
                r#"{{"inputs":[["b","k",{}1{}]],"query":[]}}"#,
                "[".repeat(200),
                "]".repeat(200)
            ),
            deep,
        ),
    ] {
        refused(invalid, RejectionKind::NotJson, said);
    }
    for no_object in ["[]", "7", "null", "\"inputs\""] {
        refused(no_object, RejectionKind::NotAnObject, "");
    }
    for incomplete in ["{}", r#"{"inputs":"b"}"#, r#"{"query":[]}"#] {
        refused(incomplete, RejectionKind::Incomplete, "");
    }
    let refusal = parse(b"{\"inputs\":\"\xff\",\"query\":[]}").unwrap_err();
    assert_eq!(refusal.kind, RejectionKind::NotJson);
}

#[test]
fn trailing_commas_do_no_harm() {
    let plain =
        r#"[{"map":{"language":"erlang","module":"m","function":"f","arg":[1,{"a":"x,]"}]}}]"#;
    let commas = r#"[{"map":{"language":"erlang","module":"m",
        "function":"f","arg":[1,{"a":"x,]",},],},},
    ]"#;
    let [plain, commas] = [plain, commas].map(|query| format!("{:?}", phases(query)));
    assert_eq!(plain, commas);
    let query = good("{\"inputs\":[[\"b\",\"k\",],],\"query\":[{\"link\":{},},],\"timeout\":7,}");
    assert_eq!(query.timeout(), Duration::from_millis(7));
    // With an end of a line in a string, as in the tutorial's functions.
    let source = "function(v){\n\treturn [1,];\n}";
    let fields = format!(r#""language":"javascript","source":"{source}","#);
    callee(&fields, Callee::Given(Function::Source(source.into())));
}

#[track_caller]
fn inputs_refused(inputs: &str, starts: &str) {
    let body = format!(r#"{{"inputs":{inputs},"query":[]}}"#);
    part_refused(&body, "inputs", starts);
}

#[test]
fn inputs_that_are_none() {
    let unrecognized = "Unrecognized format of \"inputs\" field: ";
    inputs_refused("[]", "No inputs were given.");
    for inputs in [
        "7",
        "null",
        "true",
        "{}",
        r#"{"bucket":"b","foo":1}"#,
        r#"{"bucket":"b","key":"k"}"#,
        r#"["a"]"#,
        r#"["a","b","c"]"#,
        "[[]]",
        r#"[["b"]]"#,
        r#"[["b",1]]"#,
        r#"[[1,"k"]]"#,
        r#"[["b","k"],7]"#,
        r#"[["b","k"],"b"]"#,
        r#"[["b","k",1,null]]"#,
        r#"[["b","k",1,2]]"#,
        r#"[["b","k",1,"t",5]]"#,
        r#"["b",1]"#,
        r#"[{"bucket":"b"}]"#,
        r#"[["b",null]]"#,
        r#""\ud800""#,
        r#"[["b","\udc00"]]"#,
    ] {
        inputs_refused(inputs, unrecognized);
    }
    inputs_refused(r#"{"bucket":"b","key_filters":[]}"#, unrecognized);
    inputs_refused(r#"{"bucket":"b","key_filters":{"eq":"x"}}"#, unrecognized);
    inputs_refused(r#"{"bucket":"b","query":"q"}"#, "Inputs from a search");
    inputs_refused(r#"{"module":"m","function":"f"}"#, "There is no generator of inputs m:f");
    let long = "k".repeat(70_000);
    inputs_refused(&format!(r#"[["b","{long}"]]"#), "A bucket type, bucket or key is longer");
    inputs_refused(&format!(r#""{long}""#), "A bucket type, bucket or key is longer");
}

#[track_caller]
fn bucket(inputs: &str, expect: BucketId) {
    let query = good(&format!(r#"{{"inputs":{inputs},"query":[]}}"#));
    let scan = Scan::whole(expect);
    assert!(matches!(&query.spec().inputs, Inputs::Scan(found) if *found == scan), "{inputs}");
}

#[test]
fn whole_buckets() {
    bucket(r#""b""#, BucketId::untyped("b"));
    bucket(r#""b\u00e9""#, BucketId::untyped("bé"));
    bucket(r#"["t","b"]"#, BucketId::typed("t", "b"));
    bucket(r#"["default","b"]"#, BucketId::untyped("b"));
}

fn terms(field: &str, from: IndexValue, to: IndexValue) -> Selection {
    Selection::Terms { field: field.into(), from, to }
}

#[test]
fn filtered_buckets() {
    let query =
        good(r#"{"inputs":{"bucket":["t","b"],"key_filters":[["starts_with","a"]]},"query":[]}"#);
    let Inputs::Scan(scan) = &query.spec().inputs else { panic!("no scan") };
    assert_eq!(scan.bucket, BucketId::typed("t", "b"));
    let filters = scan.filters.as_ref().unwrap().compile().unwrap();
    assert_eq!((filters.keeps(b"ab"), filters.keeps(b"ba")), (Ok(true), Ok(false)));
    let body = br#"{"inputs":{"bucket":"b","key_filters":[["bogus",1]]},"query":[]}"#;
    let refusal = parse(body).unwrap_err();
    assert_eq!(refusal.kind, RejectionKind::UnknownFilter { name: "bogus".into() });
    assert_eq!(refusal.place, "inputs.key_filters[0]");
    // What is wrong with the query itself is told first.
    let body = br#"{"inputs":{"bucket":"b","key_filters":[["bogus",1]]},"query":7}"#;
    assert!(parse(body).unwrap_err().message.contains("was not a list"));
    let malformed = RejectionKind::Malformed;
    let body = br#"{"inputs":{"bucket":"b","key_filters":[["eq"]]},"query":[]}"#;
    let refusal = parse(body).unwrap_err();
    assert_eq!((&refusal.kind, refusal.place.as_str()), (&malformed, "inputs.key_filters"));
    let body =
        br#"{"inputs":{"bucket":"b","key_filters":[["eq","a"],["matches","("]]},"query":[]}"#;
    let refusal = parse(body).unwrap_err();
    assert_eq!(refusal.kind, RejectionKind::UnusableFilter);
    assert_eq!(refusal.place, "inputs.key_filters[1]");
    assert!(refusal.message.starts_with("key_filters[1]: \"matches\": "), "{refusal}");
}

fn scan(inputs: &str) -> Scan {
    let query = good(&format!(r#"{{"inputs":{inputs},"query":[]}}"#));
    let Inputs::Scan(scan) = &query.spec().inputs else { panic!("no scan: {inputs}") };
    scan.clone()
}

#[test]
fn own_forms_of_buckets() {
    let b = BucketId::untyped("b");
    assert_eq!(scan(r#"{"bucket":"b"}"#), Scan::whole(b.clone()));
    assert_eq!(scan(r#"{"bucket":"b","filters":[]}"#), Scan::whole(b.clone()));
    assert_eq!(scan(r#"{"bucket":["t","b"]}"#), Scan::whole(BucketId::typed("t", "b")));
    let every = scan(r#"{"bucket":["*","b"]}"#);
    assert!(every.every_type);
    let types = every.of_each_type(["z", "a"].into_iter());
    let names: Vec<String> = types.iter().map(|scan| scan.bucket.to_string()).collect();
    assert_eq!(names, ["a/b", "b", "z/b"]);
    // Riak's own form of a bucket of a type knows no other.
    assert!(!scan(r#"["*","b"]"#).every_type);
    assert!(!scan(r#"{"bucket":["*","b"],"index":"$bucket","key":"b"}"#).every_type);
    let keys =
        |from: &'static str, to: &'static str| Selection::Keys { from: from.into(), to: to.into() };
    let int = |text: &str| IndexValue::Int(text.into());
    for (members, conditions, selection) in [
        (r#""filters":[["age","=",30],["city","!=","Oslo"]]"#, 2, Selection::All),
        (r#""prefix":"2024-""#, 1, keys("2024-", "2024.")),
        (r#""key_range":{"start":"a","end":"m"}"#, 2, keys("a", "m")),
        (r#""key_range":{"start":"a"}"#, 1, Selection::KeysFrom { from: "a".into() }),
        (r#""key_range":{"end":"m"}"#, 1, keys("", "m")),
        (r#""key_range":{"start":"m","end":"a"}"#, 2, keys("m", "m")),
        (r#""key_range":{"start":"a","end":"m"},"prefix":"b""#, 3, keys("b", "c")),
        (r#""modified":{"from":"2024-05-01T00:00:00Z","to":1714600000000}"#, 2, Selection::All),
        (r#""filters":[["@index.age_int","=",21]]"#, 1, terms("age_int", int("21"), int("21"))),
        (
            r#""filters":[["@index.age_int",">",21],["@index.age_int","<",30],["a","exists"]]"#,
            3,
            terms("age_int", int("21"), int("30")),
        ),
    ] {
        let found = scan(&format!(r#"{{"bucket":"b",{members}}}"#));
        assert_eq!(found.narrowing.conditions.len(), conditions, "{members}");
        assert_eq!((found.selection, found.bucket), (selection, b.clone()), "{members}");
    }
    let narrowed = scan(r#"{"bucket":"b","keys_only":true,"batch_size":50}"#).narrowing;
    assert_eq!((narrowed.keys_only, narrowed.batch), (true, Some(50)));
    for (word, expect) in
        [("one", Consistency::One), ("quorum", Consistency::Quorum), ("all", Consistency::All)]
    {
        let found = scan(&format!(r#"{{"bucket":"b","consistency":"{word}"}}"#));
        assert_eq!(found.consistency, Some(expect));
        assert!(found.narrowing.is_none());
    }
}

#[test]
fn riaks_forms_of_buckets_come_first() {
    let found = scan(r#"{"bucket":"b","index":"n_int","key":1,"filters":7,"keys_only":true}"#);
    let int = || IndexValue::Int("1".into());
    let whole = Scan::whole(BucketId::untyped("b"));
    assert_eq!(found, Scan { selection: terms("n_int", int(), int()), ..whole });
    let found = scan(r#"{"bucket":"b","key_filters":[["eq","a"]],"filters":7}"#);
    assert!(found.narrowing.is_none() && found.filters.is_some());
}

#[test]
fn own_forms_of_buckets_that_are_none() {
    for (members, place, says) in [
        (r#""filters":"age=30""#, ".filters", "\"filters\" is a list of filters"),
        (r#""filters":[["age","~",1]]"#, ".filters[0]", "there is no operator \"~\""),
        (r#""filters":[["a","=",1],["age","="]]"#, ".filters[1]", "\"=\" takes a value"),
        (r#""keys_only":1"#, ".keys_only", "\"keys_only\" is true or false"),
        (r#""prefix":7"#, ".prefix", "\"prefix\" is a text"),
        (r#""prefix":null"#, ".prefix", "\"prefix\" is a text"),
        (r#""key_range":["a","m"]"#, ".key_range", "\"key_range\" is an object with \"start\""),
        (r#""key_range":{}"#, ".key_range", "\"key_range\" is an object with \"start\""),
        (r#""key_range":{"start":"a","to":"b"}"#, ".key_range", "\"key_range\" is an object"),
        (r#""key_range":{"start":1}"#, ".key_range.start", "keys are texts"),
        (r#""modified":{"from":"soon"}"#, ".modified.from", "a time is an ISO 8601 text"),
        (r#""modified":"2024""#, ".modified", "\"modified\" is an object with \"from\""),
        (r#""batch_size":0"#, ".batch_size", "\"batch_size\" is a whole number above 0"),
        (r#""batch_size":"5""#, ".batch_size", "\"batch_size\" is a whole number above 0"),
        (r#""batch_size":1.5"#, ".batch_size", "\"batch_size\" is a whole number above 0"),
        (r#""consistency":"most""#, ".consistency", "\"consistency\" is \"one\""),
        (r#""filter":[["a","=",1]]"#, ".filter", "Unrecognized format of \"inputs\" field"),
    ] {
        let body = format!(r#"{{"inputs":{{"bucket":"b",{members}}},"query":[]}}"#);
        let refusal = parse(body.as_bytes()).unwrap_err();
        assert_eq!(refusal.place, format!("inputs{place}"), "{members}");
        assert!(refusal.message.starts_with(says), "{members}: {refusal}");
    }
}

#[test]
fn index_inputs() {
    let bin = |text: &'static str| IndexValue::Bin(text.into());
    let int = |text: &str| IndexValue::Int(text.into());
    let check = |members: &str, expect: Selection| {
        let query = good(&format!(r#"{{"inputs":{{"bucket":"b",{members}}},"query":[]}}"#));
        let expect = Scan { selection: expect, ..Scan::whole(BucketId::untyped("b")) };
        assert!(
            matches!(&query.spec().inputs, Inputs::Scan(found) if *found == expect),
            "{members}"
        );
    };
    check(r#""index":"f_bin","key":"x""#, terms("f_bin", bin("x"), bin("x")));
    check(r#""index":"F_Bin","start":"a","end":"c""#, terms("f_bin", bin("a"), bin("c")));
    check(r#""index":"f_bin","start":"c","end":"a""#, terms("f_bin", bin("a"), bin("c")));
    check(r#""index":"f_int","key":7"#, terms("f_int", int("7"), int("7")));
    check(r#""index":"f_int","start":"-007","end":12"#, terms("f_int", int("-7"), int("12")));
    // A key counts more than bounds.
    check(r#""index":"f_int","key":7,"start":1,"end":2"#, terms("f_int", int("7"), int("7")));
    check(r#""index":"$bucket","key":"b""#, Selection::All);
    let keys = Selection::Keys { from: "a".into(), to: "k".into() };
    check(r#""index":"$key","start":"k","end":"a""#, keys.clone());
    check(r#""index":"$key","start":"a","end":"k","key_filters":[]"#, keys);
    let typed = good(r#"{"inputs":{"bucket":["t","b"],"index":"f_int","key":1},"query":[]}"#);
    let Inputs::Scan(scan) = &typed.spec().inputs else { panic!("no scan") };
    assert_eq!(scan.bucket, BucketId::typed("t", "b"));
}

#[test]
fn index_inputs_that_are_none() {
    let unrecognized = "Unrecognized format of \"inputs\" field: ";
    for (members, starts) in [
        (r#""index":"f_bin""#, unrecognized),
        (r#""index":"f_bin","start":"a""#, unrecognized),
        (r#""index":"f_bin","end":"a""#, unrecognized),
        (r#""index":7,"key":"a""#, unrecognized),
        (r#""index":"foo","key":"x""#, "UnknownIndex { field: \"foo\" }"),
        (
            r#""index":"f_int","key":"x""#,
            "IndexTerm { field: \"f_int\", text: Some(\"x\") }: \"x\"",
        ),
        (r#""index":"f_int","key":1.5"#, "IndexTerm { field: \"f_int\", text: None }: 1.5"),
        (r#""index":"f_int","key":null"#, "IndexTerm { field: \"f_int\", text: None }: null"),
        (r#""index":"f_bin","key":5"#, "IndexTerm { field: \"f_bin\", text: None }: 5"),
        (r#""index":"$key","key":5"#, "IndexTerm { field: \"$key\", text: None }: 5"),
    ] {
        inputs_refused(&format!(r#"{{"bucket":"b",{members}}}"#), starts);
    }
    let refusal =
        parse(br#"{"inputs":{"bucket":"b","index":"f_int","start":1,"end":"x"},"query":[]}"#);
    assert_eq!(refusal.unwrap_err().place, "inputs.end");
}

#[test]
fn generators() {
    let values = |inputs: &str| {
        let query = good(&format!(r#"{{"inputs":{inputs},"query":[]}}"#));
        let Inputs::Values(values) = &query.spec().inputs else { panic!("{inputs}") };
        let all: Vec<String> = (0..values.len()).map(|at| values.get(at).unwrap().0).collect();
        assert_eq!(values.get(values.len()), None);
        all.join(" ")
    };
    assert_eq!(values(r#"{"module":"mapring","function":"list","arg":[1,"a",[]]}"#), "1 \"a\" []");
    assert_eq!(values(r#"{"module":"mapring","function":"list","arg":[]}"#), "");
    assert_eq!(values(r#"{"module":"mapring","function":"sequence","arg":[-1,2]}"#), "-1 0 1 2");
    assert_eq!(values(r#"{"module":"mapring","function":"sequence","arg":[2,1]}"#), "");
    let most = super::query::Values::Sequence(i64::MIN, i64::MAX);
    assert_eq!(most.get(0).unwrap().0, i64::MIN.to_string());
    for arg in ["7", "[1]", "[1,2,3]", "[1,1.5]", "{}"] {
        let inputs = format!(r#"{{"module":"mapring","function":"sequence","arg":{arg}}}"#);
        inputs_refused(&inputs, "The \"arg\" of mapring:sequence is [first, last]");
    }
    inputs_refused(r#"{"module":"mapring","function":"list"}"#, "The \"arg\" of mapring:list is");
}

#[test]
fn refusals_say_where() {
    for (inputs, query, place) in [
        (r#""b""#, r#"[{"map":{}}]"#, "query[0].map"),
        (r#""b""#, r#"[{"link":{}},{"reduce":{"language":"ruby"}}]"#, "query[1].reduce.language"),
        (r#""b""#, r#"[{"link":{}},{"link":{"tag":1}}]"#, "query[1].link.tag"),
        (r#""b""#, r#"[{"link":{"keep":1}}]"#, "query[0].link.keep"),
        (r#""b""#, r#"[{"map":{"language":"javascript","source":1}}]"#, "query[0].map.source"),
        (r#""b""#, "7", "query"),
        (r#""b""#, r#"[{}]"#, "query[0]"),
        (r#"[["b","k"],["b"]]"#, "[]", "inputs[1]"),
        (r#"{"bucket":7,"index":"f_int","key":1}"#, "[]", "inputs.bucket"),
    ] {
        let body = format!(r#"{{"inputs":{inputs},"query":{query}}}"#);
        assert_eq!(parse(body.as_bytes()).unwrap_err().place, place, "{body}");
    }
}

#[test]
fn options_of_phases_may_stand_beside_the_argument() {
    let phase = |members: &str| {
        let phase = format!(r#"{{"language":"javascript","name":"f",{members}}}"#);
        let query = good(&format!(r#"{{"inputs":"b","query":[{{"reduce":{phase}}}]}}"#));
        let PhaseKind::Reduce(code) = &query.spec().phases[0].kind else { panic!("no reduce") };
        (code.timing(), code.wants_prereduce())
    };
    assert_eq!(phase(r#""reduce_phase_batch_size":7"#).0, ReduceTiming::Every(7));
    assert_eq!(phase(r#""reduce_phase_only_1":true"#).0, ReduceTiming::AtEnd);
    assert_eq!(phase(r#""do_prereduce":true"#).1, Some(true));
    assert_eq!(phase(r#""do_prereduce":false"#).1, Some(false));
    let both =
        r#""reduce_phase_batch_size":7,"arg":{"reduce_phase_batch_size":9,"do_prereduce":true}"#;
    assert_eq!(phase(both), (ReduceTiming::Every(7), Some(true)));
}

fn keys(inputs: &str) -> Vec<(String, Option<String>)> {
    let query = good(&format!(r#"{{"inputs":{inputs},"query":[]}}"#));
    let Inputs::Keys(keys) = &query.spec().inputs else { panic!("{inputs} gave a bucket") };
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some((input, next)) = keys.read(at) {
        found.push((input.id.to_string(), input.keydata.map(|text| text.0)));
        at = next;
    }
    assert_eq!(found.len() as u64, keys.len());
    found
}

#[track_caller]
fn one_key(input: &str, name: &str, keydata: Option<&str>) {
    let expect = (name.to_owned(), keydata.map(str::to_owned));
    assert_eq!(keys(&format!("[{input}]")), [expect]);
}

#[test]
fn listed_keys() {
    one_key(r#"["b","k"]"#, "b/k", None);
    one_key(r#"["b","k",7]"#, "b/k", Some("7"));
    one_key(r#"["b","k",null]"#, "b/k", Some("null"));
    one_key(r#"["b","k",{"a": [1.50]}]"#, "b/k", Some(r#"{"a": [1.50]}"#));
    one_key(r#"["b","k","kd","t"]"#, "t/b/k", Some(r#""kd""#));
    one_key(r#"["b","k",null,"t"]"#, "t/b/k", Some("null"));
    one_key(r#"["b","k",null,"default"]"#, "b/k", Some("null"));
    one_key(r#"["b",""]"#, "b/", None);
    let names: Vec<String> = keys(r#"[["b","k1"],["c","k2",1],["b","k1"],["b","k3",2,"t"]]"#)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["b/k1", "c/k2", "b/k1", "t/b/k3"]);
}

#[track_caller]
fn query_refused(query: &str, starts: &str) {
    let body = format!(r#"{{"inputs":"b","query":{query}}}"#);
    part_refused(&body, "query", starts);
}

#[test]
fn phases_that_are_none() {
    for query in ["7", "null", "\"map\"", "{}", r#"{"map":{}}"#] {
        query_refused(query, "The value of the \"query\" field was not a list: ");
    }
    for query in [
        "[7]",
        "[[]]",
        "[{}]",
        "[null]",
        r#"[{"filter":{}}]"#,
        r#"[{"map":7}]"#,
        r#"[{"map":{},"reduce":{}}]"#,
        r#"[{"map":{},"map":{}}]"#,
        r#"[{"link":"x"}]"#,
    ] {
        query_refused(query, "Unrecognized format of query phase: ");
    }
    for keep in ["\"yes\"", "1", "null", "[]"] {
        let query = format!(r#"[{{"link":{{"keep":{keep}}}}}]"#);
        query_refused(&query, "The \"keep\" field was not a boolean value in: {\"link\"");
    }
    query_refused(r#"[{"map":{}}]"#, "No \"language\" was specified for the phase: ");
    query_refused(
        r#"[{"reduce":{"name":"f"}}]"#,
        "No \"language\" was specified for the phase: {\"name\":\"f\"}",
    );
    query_refused(
        r#"[{"map":{"language":"ruby"}}]"#,
        "Unknown language \"ruby\" in phase: {\"language\":\"ruby\"}",
    );
    query_refused(r#"[{"map":{"language":7}}]"#, "Unknown language 7 in phase:");
    query_refused(r#"[{"map":{"language":null}}]"#, "Unknown language null in phase:");
    let none = "No function specified in Javascript phase: ";
    query_refused(r#"[{"map":{"language":"javascript"}}]"#, none);
    query_refused(r#"[{"map":{"language":"javascript","source":7}}]"#, none);
    query_refused(r#"[{"map":{"language":"javascript","source":null}}]"#, none);
    query_refused(r#"[{"map":{"language":"javascript","key":"k"}}]"#, none);
    query_refused(
        r#"[{"map":{"language":"javascript","bucket":"b"}}]"#,
        "Javascript phase was missing a \"key\" field to match the \"bucket\" field, ",
    );
    let none = "No function specified in Erlang phase: ";
    query_refused(r#"[{"map":{"language":"erlang"}}]"#, none);
    query_refused(r#"[{"map":{"language":"erlang","module":"m"}}]"#, none);
    query_refused(r#"[{"map":{"language":"erlang","function":"f"}}]"#, none);
    query_refused(r#"[{"link":{"tag":5}}]"#, "LinkSpec: {\"tag\":5}");
    query_refused(r#"[{"link":{"bucket":null}}]"#, "LinkSpec: ");
    let many = vec![r#"{"link":{}}"#; 65].join(",");
    query_refused(&format!("[{many}]"), "A query has at most 64 phases.");
}

fn phases(query: &str) -> Vec<Phase> {
    good(&format!(r#"{{"inputs":"b","query":{query}}}"#)).spec().phases.clone()
}

#[track_caller]
fn callee(fields: &str, expect: Callee) {
    let phases = phases(&format!(r#"[{{"map":{{{fields}}}}}]"#));
    let PhaseKind::Map(code) = &phases[0].kind else { panic!("no map") };
    assert_eq!(code.callee, expect, "{fields}");
}

#[test]
fn functions() {
    let source = Callee::Given(Function::Source("f".into()));
    let named = Callee::Given(Function::Named("n".into()));
    let stored = Callee::Stored(ObjectId::new(BucketId::untyped("b"), "k"));
    let js = r#""language":"javascript""#;
    callee(&format!(r#"{js},"source":"f""#), source.clone());
    callee(&format!(r#"{js},"name":"n""#), named.clone());
    callee(&format!(r#"{js},"bucket":"b","key":"k""#), stored.clone());
    callee(&format!(r#"{js},"name":"n","source":"f""#), source.clone());
    callee(&format!(r#"{js},"bucket":"b","key":"k","name":"n""#), named);
    callee(&format!(r#"{js},"source":null,"bucket":"b","key":"k""#), stored);
    callee(&format!(r#"{js},"source":"f","source":"g""#), source);
    let erlang = r#""language":"erlang""#;
    let builtin = Function::Erlang { module: "m".into(), function: "f".into() };
    callee(&format!(r#"{erlang},"module":"m","function":"f""#), Callee::Given(builtin));
    callee(&format!(r#"{erlang},"source":"fun(A) -> A end.""#), Callee::ErlangSource);
    callee(&format!(r#"{erlang},"bucket":"b","key":"k""#), Callee::ErlangSource);
}

#[test]
fn links() {
    let spec = |query: &str| match &phases(query)[0].kind {
        PhaseKind::Link(spec) => spec.clone(),
        other => panic!("{other:?}"),
    };
    let any = LinkSpec { bucket: None, tag: None };
    assert_eq!(spec(r#"[{"link":{}}]"#), any);
    assert_eq!(spec(r#"[{"link":{"bucket":"_","tag":"_"}}]"#), any);
    let both = LinkSpec { bucket: Some("b".into()), tag: Some("t".into()) };
    assert_eq!(spec(r#"[{"link":{"bucket":"b","tag":"t","keep":false}}]"#), both);
}

#[track_caller]
fn keeps(given: &[Option<bool>], expect: &[bool]) {
    let phase = |keep: &Option<bool>| match keep {
        None => r#"{"link":{}}"#.to_owned(),
        Some(keep) => format!(r#"{{"link":{{"keep":{keep}}}}}"#),
    };
    let query = format!("[{}]", given.iter().map(phase).collect::<Vec<_>>().join(","));
    let kept: Vec<bool> = phases(&query).iter().map(|phase| phase.keep).collect();
    assert_eq!(kept, expect);
}

#[test]
fn kept_phases() {
    keeps(&[None], &[true]);
    keeps(&[None, None, None], &[false, false, true]);
    keeps(&[Some(true), None], &[true, true]);
    keeps(&[Some(true), Some(false)], &[true, false]);
    keeps(&[Some(false)], &[false]);
    keeps(&[None, Some(false)], &[false, false]);
    assert_eq!(good(r#"{"inputs":"b","query":[]}"#).kept_phases(), 1);
    let two = r#"{"inputs":"b","query":[{"link":{"keep":true}},{"link":{}}]}"#;
    assert_eq!(good(two).kept_phases(), 2);
}

#[track_caller]
fn timeouts(value: &str, millis: u64) {
    let query = good(&format!(r#"{{"inputs":"b","query":[],"timeout":{value}}}"#));
    assert_eq!(query.timeout().as_millis(), u128::from(millis), "{value}");
}

#[test]
fn time_limits() {
    assert_eq!(good(r#"{"inputs":"b","query":[]}"#).timeout(), Duration::from_millis(60_000));
    timeouts("1", 1);
    timeouts("2500.5", 2_500);
    timeouts("1e3", 1_000);
    timeouts("1e300", 24 * 3600 * 1000);
    timeouts("null", 60_000);
    for wrong in ["0", "-5", "-0.5", "\"100\"", "true", "[]", "{}"] {
        let body = format!(r#"{{"inputs":"b","query":[],"timeout":{wrong}}}"#);
        let expect = format!("\"timeout\" is a number of milliseconds above zero, not: {wrong}");
        part_refused(&body, "timeout", &expect);
    }
}

fn code(arg: &str) -> Code {
    let phases = phases(&format!(r#"[{{"reduce":{{"language":"javascript","name":"f"{arg}}}}}]"#));
    match &phases[0].kind {
        PhaseKind::Reduce(code) => code.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn timing(arg: &str, expect: ReduceTiming) {
    assert_eq!(code(&format!(r#","arg":{arg}"#)).timing(), expect, "{arg}");
}

#[test]
fn arguments_and_reduce_timing() {
    assert_eq!(code("").arg, None);
    assert_eq!(code(r#","arg":null"#).arg, Some(JsonText("null".into())));
    assert_eq!(code("").timing(), ReduceTiming::Adaptive);
    for arg in ["null", "7", "[]", "{}", r#""reduce_phase_only_1""#, r#"{"x":1}"#] {
        timing(arg, ReduceTiming::Adaptive);
    }
    timing(r#"{"reduce_phase_batch_size":100}"#, ReduceTiming::Every(100));
    for size in ["0", "1", "-3", "0.5"] {
        timing(&format!(r#"{{"reduce_phase_batch_size":{size}}}"#), ReduceTiming::Every(1));
    }
    timing(r#"{"reduce_phase_batch_size":2.5}"#, ReduceTiming::Every(3));
    timing(r#"{"reduce_phase_batch_size":1e30}"#, ReduceTiming::Every(u32::MAX));
    for size in ["\"10\"", "null", "true", "[]"] {
        timing(&format!(r#"{{"reduce_phase_batch_size":{size}}}"#), ReduceTiming::AtEnd);
    }
    timing(r#"{"reduce_phase_only_1":true,"reduce_phase_batch_size":5}"#, ReduceTiming::AtEnd);
    timing(r#"{"reduce_phase_only_1":false}"#, ReduceTiming::Every(20));
    assert_eq!(code(r#","arg":{"do_prereduce":true}"#).wants_prereduce(), Some(true));
    assert_eq!(code(r#","arg":{"do_prereduce":1}"#).wants_prereduce(), None);
    assert_eq!(code(r#","arg":["do_prereduce"]"#).wants_prereduce(), None);
}

#[test]
fn unknown_fields_are_ignored() {
    let query = good(
        r#"{"x":[1],"inputs":"b","inputs":7,"query":[{"map":{"language":"erlang","module":"m",
            "function":"f","zork":{}}}],"timeout":5,"timeout":6}"#,
    );
    assert_eq!(query.timeout(), Duration::from_millis(5));
    assert_eq!(query.spec().phases.len(), 1);
}
