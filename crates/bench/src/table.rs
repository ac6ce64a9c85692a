//! The report in Markdown.

use std::fmt::Write as _;
use std::path::Path;

use crate::outcome::Outcome;
use crate::report::{Report, Row};

/// Between these lines of a document the table stands.
const MARKS: (&str, &str) = ("<!-- begin of the table -->", "<!-- end of the table -->");

/// The machine and the table, with the figures of an earlier run beside those of this one.
pub(crate) fn markdown(report: &Report, earlier: Option<&Report>) -> String {
    let mut text = format!(
        "{}.\nServers and load generator share these cores. Durability `process`.\n\n",
        report.machine
    );
    let mut line = |cells: &[&str]| {
        let _ = writeln!(text, "| {} |", cells.join(" | ")); // Writing to a text cannot fail.
    };
    let mut head =
        vec!["group", "what", "mapring", "bare", "ratio", "target", "met", "by the clock"];
    head.extend(earlier.map(|_| "before"));
    line(&head);
    line(&vec!["---"; head.len()]);
    for row in &report.rows {
        let mut cells = cells(row);
        cells.extend(earlier.map(|earlier| before(row, earlier)));
        line(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let (target, met) = match &row.target {
        Some((target, true)) => (target.clone(), "yes".to_owned()),
        Some((target, false)) => (target.clone(), "**no**".to_owned()),
        None => (String::new(), String::new()),
    };
    let base = row.base.as_ref().map(|(name, base)| format!("{} ({name})", digits(*base)));
    vec![
        row.group.clone(),
        row.what.clone(),
        format!("{} {}", digits(row.figure), row.unit),
        base.unwrap_or_default(),
        row.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        target,
        met,
        row.clock.clone(),
    ]
}

fn before(row: &Row, earlier: &Report) -> String {
    match earlier.figure(row) {
        Some(figure) => format!("{}: now × {:.2}", digits(figure), row.figure / figure),
        None => "not measured".to_owned(),
    }
}

/// A whole number, and thousands set apart.
pub(crate) fn whole(number: u64) -> String {
    let text = number.to_string();
    let groups: Vec<_> = text.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Three digits, and thousands set apart.
pub(crate) fn digits(number: f64) -> String {
    let magnitude = number.abs();
    let text = match magnitude {
        _ if !number.is_finite() => return "unknown".to_owned(),
        _ if magnitude >= 100.0 => format!("{number:.0}"),
        _ if magnitude >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    };
    let (sign, rest) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let whole = rest.split('.').next().unwrap_or_default();
    if whole.len() < 4 {
        return text;
    }
    let groups = whole.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(|group| String::from_utf8_lossy(group)).collect();
    format!("{sign}{}", groups.join(","))
}

/// That the document has a place for the table.
pub(crate) fn check(document: &Path) -> Outcome {
    let text = std::fs::read_to_string(document)?;
    around(&text).map(|_| ()).ok_or_else(|| {
        format!("{} lacks the lines {} and {}", document.display(), MARKS.0, MARKS.1).into()
    })
}

/// Puts the table there in place of what was there.
pub(crate) fn write(document: &Path, table: &str) -> Outcome {
    let text = std::fs::read_to_string(document)?;
    let (before, after) = around(&text).ok_or("the marks of the table have gone")?;
    let (begin, end) = MARKS;
    std::fs::write(document, format!("{before}{begin}\n{}\n{end}{after}", table.trim_end()))?;
    Ok(())
}

fn around(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, expected) in [
            (0.123, "0.12"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1_234.0, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-0.5, "-0.50"),
            (-12_345.0, "-12,345"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(digits(number), expected);
        }
        for (number, expected) in
            [(0, "0"), (10, "10"), (1_000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(whole(number), expected);
        }
    }

    #[test]
    fn the_table_stands_between_its_marks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("a\n{}\nold\n{}\nb\n", MARKS.0, MARKS.1)).unwrap();
        for table in ["new\n", "newer\n"] {
            check(file.path()).unwrap();
            write(file.path(), table).unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            assert_eq!(text, format!("a\n{}\n{table}{}\nb\n", MARKS.0, MARKS.1));
        }
        std::fs::write(file.path(), "nothing").unwrap();
        assert!(check(file.path()).is_err());
    }

    #[test]
    fn rows_tell_targets_and_what_was_before() {
        let row = Row::new("kv", "GET", 20.0, "µs").against("axum", 10.0).target("≥ 0.6", false);
        let mut report = Report { machine: "m".into(), rows: vec![row] };
        let earlier = report.clone();
        report.rows[0].figure = 10.0;
        let text = markdown(&report, Some(&earlier));
        let line =
            "| kv | GET | 10.0 µs | 10.0 (axum) | 1.00 | ≥ 0.6 | **no** |  | 20.0: now × 0.50 |";
        assert!(text.ends_with(&format!("{line}\n")), "{text}");
    }
}
