//! Inputs that lie within objects, or are made.

use super::super::{Inputs, parse};
use super::good;

#[test]
fn sources_are_read() {
    for (inputs, expect) in [
        (r#"{"lines":[["b","k"],["b","l"]]}"#, "lines of 2 listed objects"),
        (r#"{"lines":{"gzip":{"bucket":"b","prefix":"x"}}}"#, "lines of gzip of objects of b"),
        (
            r#"{"csv":{"zip":["t","b"]},"header":true,"separator":";"}"#,
            "csv of zip of objects of t/b",
        ),
        (r#"{"records":{"base64":"b"},"on_missing":"fail"}"#, "records of base64 of objects of b"),
        (r#"{"random":{"count":5}}"#, "5 of random"),
        (r#"{"random":{"count":5,"min":-3,"max":3,"seed":0}}"#, "5 of random"),
        (r#"{"range":{"end":10,"step":3}}"#, "4 of range"),
        (r#"{"items":[]}"#, "0 of items"),
        (r#"{"sample":"b","limit":3}"#, "the first 3 of objects of b"),
        (r#"{"sample":{"sample":"b","limit":3},"limit":5}"#, "the first 3 of objects of b"),
        (r#"{"sample":"b","fraction":0.5}"#, "sample of objects of b"),
        (r#"{"concat":["b",{"concat":[{"items":[1]}]}]}"#, "objects of b, then 1 of items"),
        (r#"{"concat":[]}"#, "0 of items"),
        (
            r#"{"lines":{"concat":["b",{"concat":[]}]}}"#,
            "lines of objects of b, then lines of 0 of items",
        ),
        (r#"{"lines":{"concat":["b","c"]}}"#, "lines of objects of b, then lines of objects of c"),
        (
            r#"{"fields":{"module":"mapring","function":"sequence","arg":[1,3]}}"#,
            "fields of 3 of range",
        ),
        (r#"{"lines":{"job":"j1"}}"#, "lines of what the job \"j1\" gave"),
        (r#"{"buckets":{}}"#, "buckets of default that begin with \"\""),
        (r#"{"bucket_types":{"prefix":"t"}}"#, "bucket types that begin with \"t\""),
        (
            r#"{"reader":{"source":"({})"},"params":null,"on_missing":"fail"}"#,
            "what a reader gives",
        ),
        (
            r#"{"lines":{"concat":["b",{"reader":{"language":"javascript","name":"f"}}]}}"#,
            "lines of objects of b, then lines of what a reader gives",
        ),
        (
            r#"{"sample":{"reader":{"bucket":"code","key":"k"}},"limit":3}"#,
            "the first 3 of what a reader gives",
        ),
    ] {
        let query = good(&format!(r#"{{"inputs":{inputs},"query":[]}}"#));
        let Inputs::Source(source) = &query.spec().inputs else { panic!("{inputs}") };
        assert_eq!(source.words(), expect, "{inputs}");
    }
}

#[test]
fn sources_that_are_none() {
    let deep = format!("{}\"b\"{}", r#"{"gzip":"#.repeat(9), "}".repeat(9));
    let many = format!(r#"{{"concat":[{}"b"]}}"#, r#""b","#.repeat(1_001));
    for (inputs, place, says) in [
        (r#"{"lines":7}"#, ".lines", "Unrecognized format of \"inputs\" field"),
        (r#"{"lines":[]}"#, ".lines", "No inputs were given"),
        (r#"{"lines":{"zip":{"bucket":7}}}"#, ".lines.zip.bucket", "Unrecognized format"),
        (r#"{"lines":"b","encoding":"klingon"}"#, ".encoding", "\"encoding\" cannot be this"),
        (r#"{"lines":"b","encoding":8}"#, ".encoding", "\"encoding\" is a text"),
        (r#"{"lines":"b","separator":""}"#, ".separator", "\"separator\" cannot be this"),
        (r#"{"lines":"b","keep_cr":1}"#, ".keep_cr", "\"keep_cr\" is true or false"),
        (r#"{"lines":"b","keepcr":true}"#, ".keepcr", "Beside \"lines\" there may be \"encoding\""),
        (r#"{"lines":"b","header":true}"#, ".header", "Beside \"lines\" there may be"),
        (r#"{"lines":"b","on_missing":"maybe"}"#, ".on_missing", "\"on_missing\" is \"skip\""),
        (r#"{"lines":{"bucket":"b","keys_only":true}}"#, "", "\"lines\" reads objects"),
        (r#"{"lines":"b","zip":"b"}"#, "", "Inputs are \"lines\" or \"zip\", not both"),
        (r#"{"csv":"b","separator":"ab"}"#, ".separator", "\"separator\" cannot be this"),
        (r#"{"random":{}}"#, ".random.count", "\"count\" is missing"),
        (r#"{"random":{"count":"1000"}}"#, ".random.count", "\"count\" is a whole number above 0"),
        (r#"{"random":{"count":-1}}"#, ".random.count", "\"count\" is a whole number above 0"),
        (r#"{"random":{"count":0}}"#, ".random.count", "\"count\" is a whole number above 0"),
        (
            r#"{"random":{"count":5,"string_length":1.5}}"#,
            ".random.string_length",
            "\"string_length\"",
        ),
        (
            r#"{"random":{"count":5,"string_length":0}}"#,
            ".random.string_length",
            "\"string_length\"",
        ),
        (
            r#"{"random":{"count":5,"seed":-1}}"#,
            ".random.seed",
            "\"seed\" is a whole number from 0",
        ),
        (r#"{"random":{"count":5,"min":3,"max":1}}"#, ".random.max", "\"max\" cannot be this"),
        (r#"{"random":{"count":5,"min":3}}"#, ".random.max", "\"max\" is missing"),
        (r#"{"random":{"count":5,"size":3}}"#, ".random.size", "There may be \"count\""),
        (r#"{"range":{"start":1}}"#, ".range.end", "\"end\" is missing"),
        (r#"{"range":{"end":1,"step":0}}"#, ".range.step", "\"step\" cannot be this"),
        (r#"{"items":{"a":1}}"#, ".items", "\"items\" is a list"),
        (r#"{"concat":{}}"#, ".concat", "\"concat\" is a list of inputs"),
        (r#"{"concat":["b",{"lines":1}]}"#, ".concat[1].lines", "Unrecognized format"),
        (&many, ".concat", "There are more than 1000 inputs"),
        (&deep, "", "Inputs are nested deeper than 8 forms"),
        (r#"{"sample":"b"}"#, "", "A sample has a \"limit\" or a \"fraction\""),
        (r#"{"sample":"b","limit":0}"#, ".limit", "\"limit\" is a whole number above 0"),
        (r#"{"sample":"b","fraction":1.5}"#, ".fraction", "\"fraction\" is a number from 0 to 1"),
        (r#"{"sample":{"concat":["b","c"]},"limit":3}"#, ".limit", "A sample with a \"limit\""),
        (
            r#"{"lines":{"sample":"b","limit":3}}"#,
            "",
            "A sample with a \"limit\" is not taken apart",
        ),
        (r#"{"job":""}"#, ".job", "\"job\" is the id of a job"),
        (r#"{"lines":{"job":7}}"#, ".lines.job", "\"job\" is the id of a job"),
        (r#"{"job":"x","limit":1}"#, ".limit", "Beside \"job\" there may be nothing"),
        (r#"{"buckets":{"type":7}}"#, ".buckets.type", "\"type\" is a text"),
        (r#"{"bucket_types":[]}"#, ".bucket_types", "Here is an object"),
        (r#"{"reader":"f"}"#, ".reader", "The code of a reader is an object with \"source\""),
        (r#"{"reader":{}}"#, ".reader", "The code of a reader is an object with \"source\""),
        (r#"{"reader":{"source":5}}"#, ".reader.source", "\"source\" is a text"),
        (
            r#"{"reader":{"bucket":"b"}}"#,
            ".reader",
            "The code of a reader is an object with \"source\"",
        ),
        (
            r#"{"reader":{"source":"f","language":"erlang"}}"#,
            ".reader.language",
            "The \"language\" of a reader is \"javascript\"",
        ),
        (r#"{"reader":{"source":"f","arg":1}}"#, ".reader.arg", "The code of a reader is"),
        (r#"{"reader":{"source":"f"},"shards":2}"#, ".shards", "Beside \"reader\" there may be"),
        (r#"{"reader":{"source":"f"},"on_missing":1}"#, ".on_missing", "\"on_missing\" is"),
        (r#"{"line":"b"}"#, "", "Unrecognized format of \"inputs\" field"),
    ] {
        let body = format!(r#"{{"inputs":{inputs},"query":[]}}"#);
        let Err(refusal) = parse(body.as_bytes()) else { panic!("{inputs} is taken") };
        assert!(
            refusal.place.starts_with(&format!("inputs{place}")),
            "{inputs}: {}",
            refusal.place
        );
        assert!(refusal.message.starts_with(says), "{inputs}: {refusal}");
    }
}
