//! Tables, held against Python's `csv`.

use mapring_readers::Format;

use crate::support::{Random, data, python, read, shown};

fn table(header: bool, separator: Option<&str>) -> Format {
    Format::Csv { header, separator: separator.map(str::to_owned) }
}

#[track_caller]
fn check(header: bool, text: &str, expect: &[&str]) {
    assert_eq!(shown(read(&[table(header, None)], text.as_bytes())), expect, "{text:?}");
}

#[test]
fn rows_where_they_begin() {
    let expect = [
        r#"{"offset":0,"line":1} ["a","b"]"#,
        r#"{"offset":5,"line":2} ["c,1","d\"e"]"#,
        r#"{"offset":19,"line":3} ["f\r\ng","h"]"#,
        r#"{"offset":29,"line":5} ["i","j"]"#,
    ];
    check(false, "a,b\r\n\"c,1\",\"d\"\"e\"\r\n\"f\r\ng\",h\r\ni,j", &expect);
    let expect =
        [r#"{"offset":4,"line":2} {"a":"1","b":"2"}"#, r#"{"offset":8,"line":3} {"a":"3","b":""}"#];
    check(true, "a,b\n1,2\n3,\n", &expect);
    check(true, "\u{feff}a,b\n1,2\n", &[r#"{"offset":7,"line":2} {"a":"1","b":"2"}"#]);
    check(true, "a,b\n", &[]);
    check(true, "", &[]);
    check(false, "a\rb\r", &[r#"{"offset":0,"line":1} ["a"]"#, r#"{"offset":2,"line":2} ["b"]"#]);
    let given = shown(read(&[table(false, Some(";"))], b"a;b,c\n"));
    assert_eq!(given, [r#"{"offset":0,"line":1} ["a","b,c"]"#]);
    for separator in ["", "ab", "é", "\n", "\""] {
        assert_eq!(table(false, Some(separator)).check().unwrap_err().field, "separator");
    }
}

#[test]
fn empty_lines_are_rows_of_tables_with_one_column() {
    let expect = [
        r#"{"offset":0,"line":1} ["a"]"#,
        r#"{"offset":3,"line":2} [""]"#,
        r#"{"offset":5,"line":3} ["b"]"#,
        r#"{"offset":8,"line":4} [""]"#,
        r#"{"offset":10,"line":5} [""]"#,
    ];
    check(false, "a\r\n\r\nb\r\n\r\n\r\n", &expect);
    check(
        true,
        "h\n\nx\n",
        &[r#"{"offset":2,"line":2} {"h":""}"#, r#"{"offset":3,"line":3} {"h":"x"}"#],
    );
    let two = [r#"{"offset":0,"line":1} ["a","b"]"#, r#"{"offset":5,"line":3} ["c","d"]"#];
    check(false, "a,b\n\nc,d\n", &two);
}

#[test]
fn damaged_tables() {
    let open = ["!byte 4: line 2: the quotes of a field are not closed"];
    check(true, "a,b\n\"1,2\n3,4\n", &open);
    let expect = [
        "!byte 4: line 2: a row of 1 fields under a header of 2",
        r#"{"offset":6,"line":3} {"a":"2","b":"3"}"#,
    ];
    check(true, "a,b\n1\n2,3\n", &expect);
    check(true, "a,b,a\n1,2,3\n", &["!byte 0: line 1: two columns are called \"a\""]);
    let given = shown(read(&[table(false, None)], b"a\n\xff\nb\n"));
    let expect = [
        r#"{"offset":0,"line":1} ["a"]"#,
        "!byte 2: line 2: the row is not UTF-8",
        r#"{"offset":4,"line":3} ["b"]"#,
    ];
    assert_eq!(given, expect);
}

#[test]
fn as_python_reads_them() {
    let program = "import csv, json, io\n\
        text = sys.stdin.buffer.read().decode()\n\
        rows = [json.dumps(row, separators=(',', ':'), ensure_ascii=False) for row in csv.reader(io.StringIO(text, newline='')) if row]\n\
        sys.stdout.buffer.write('\\n'.join(rows).encode())";
    let mut random = Random(1);
    for round in 0..12 {
        let ending = if round % 2 == 0 { "\r\n" } else { "\n" };
        let mut text = String::new();
        for _ in 0..200 {
            for column in 0..3 {
                if column > 0 {
                    text.push(',');
                }
                let length = random.below(4);
                let parts = ["a", "é", " ", "\"\"", ",", ending, "x,y"];
                let field: String = (0..length).map(|_| *random.pick(&parts)).collect();
                let plain = !field.contains(['"', ',', '\n', '\r']) && random.below(2) == 0;
                text.push_str(&if plain { field } else { format!("\"{field}\"") });
            }
            text.push_str(ending);
        }
        let Some(expect) = python(program, std::path::Path::new("/"), text.as_bytes()) else {
            return;
        };
        let found = data(read(&[table(false, None)], text.as_bytes())).join(&b'\n');
        assert_eq!(String::from_utf8(found).unwrap(), String::from_utf8(expect).unwrap());
    }
}
