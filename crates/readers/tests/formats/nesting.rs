//! Formats over each other.

use mapring_readers::Format;

use crate::support::{lines, read, run, shown};
use crate::zip::{THREE, archive};

#[test]
fn archives_within_others() {
    let program = format!(
        "{THREE}\ninner = out.getvalue()\nout = io.BytesIO()\n\
         z = zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED)\n\
         z.writestr('a.zip', inner)\nz.writestr('b.zip', inner[:-1])\nz.writestr('c.zip', inner)\nz.close()"
    );
    let Some(nested) = archive(&program) else { return };
    let given = shown(read(&[Format::Zip, Format::Zip, lines()], &nested));
    assert_eq!(given.len(), 6 + 1 + 6);
    assert!(given[0].ends_with("\"offset\":0} archive 0 file 0 line 0"), "{}", given[0]);
    let error = &given[6];
    assert!(error.starts_with("!member \"b.zip\", byte "), "{error}");
    assert!(error.ends_with("there is no end record: this is no archive, or it is cut off"));
}

#[test]
fn base64_of_an_archive_of_tables() {
    let Some(inner) = archive(
        "out = io.BytesIO()\nz = zipfile.ZipFile(out, 'w')\n\
         z.writestr('t.csv', 'a,b\\r\\n1,2\\r\\n3,4\\r\\n')\nz.writestr('u.csv', 'a\\n\\n')\nz.close()",
    ) else {
        return;
    };
    let Some(text) = run("base64", &[], &inner) else { return };
    let table = Format::Csv { header: true, separator: None };
    let expect = [
        r#"{"member":"t.csv","index":0,"size":15,"offset":5,"line":2} {"a":"1","b":"2"}"#,
        r#"{"member":"t.csv","index":0,"size":15,"offset":10,"line":3} {"a":"3","b":"4"}"#,
        r#"{"member":"u.csv","index":1,"size":3,"offset":2,"line":2} {"a":""}"#,
    ];
    assert_eq!(shown(read(&[Format::Base64, Format::Zip, table], &text)), expect);
}

#[test]
fn records_of_lines_and_lines_of_fields() {
    let text = br#"{"x":"1\n2","y":"3"}"#;
    let expect = [
        r#"{"index":0,"offset":0} x=1"#,
        r#"{"index":0,"offset":2} x=2"#,
        r#"{"index":1,"offset":0} y=3"#,
    ];
    assert_eq!(shown(read(&[Format::Fields, lines()], text)), expect);
    let damaged = shown(read(&[lines(), Format::Fields], b"{\"a\":1}\nno\n{\"b\":2}\n"));
    assert_eq!(damaged.len(), 3);
    assert!(
        damaged[1].starts_with("!the line at byte 8, byte 0: here should be"),
        "{}",
        damaged[1]
    );
}

#[test]
fn records_within_other_documents_begin_at_their_first_byte() {
    let text = b"[\"a\",1]\n[\"b\",2]\n12345678901\n";
    let expect = [r#"{"offset":0} a=1"#, r#"{"offset":8} b=2"#, r#"{"offset":16} 12345678901"#];
    assert_eq!(shown(read(&[Format::Records], text)), expect);
    let Some(encoded) = run("base64", &[], text) else { return };
    assert_eq!(shown(read(&[Format::Base64, Format::Records], &encoded)), expect);
    let Some(packed) = run("gzip", &["-c"], text) else { return };
    assert_eq!(shown(read(&[Format::Gzip, Format::Records], &packed)), expect);
    // Lines are documents of their own, however short.
    let each = shown(read(&[lines(), Format::Records], text));
    let values: Vec<&str> = each.iter().filter_map(|item| item.split(' ').nth(1)).collect();
    assert_eq!(values, ["a=1", "b=2", "12345678901"]);
    let damaged = shown(read(&[lines(), Format::Records], b"[\"a\",1]\nbroken\n7\n"));
    assert_eq!(damaged.len(), 3);
    assert!(damaged[1].starts_with("!the line at byte 8"), "{}", damaged[1]);
}

#[test]
fn samples_are_the_same_in_pieces() {
    let text: String = (0..2_000).map(|number| format!("{number}\n")).collect();
    let formats = [lines(), Format::Sample { share: u64::MAX / 10, seed: Some(3) }];
    let whole = read(&formats, text.as_bytes());
    assert!((120..280).contains(&whole.len()), "{} of 2000", whole.len());
    let mut found = Vec::new();
    for piece in mapring_readers::split(text.len() as u64, 7) {
        found.extend(crate::support::read_piece(&formats, text.as_bytes(), &piece));
    }
    assert_eq!(found, whole);
    let other = [lines(), Format::Sample { share: u64::MAX / 10, seed: None }];
    assert_ne!(read(&other, text.as_bytes()), whole);
}
