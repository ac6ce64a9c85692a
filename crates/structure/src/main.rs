//! Prints the structure of the crates in a folder, `crates` without an argument: a row a crate, then
//! the circles, the long functions and files, and the types whose methods stand in several files. See
//! [`mapring_structure`].

use std::io::Write as _;
use std::path::PathBuf;

use mapring_structure::{LONG_FUNCTION, Structure};

/// Files of more lines than this, tests aside, are worth a look.
const LONG_FILE: usize = 500;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("crates"), PathBuf::from);
    let mut crates: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        crates.push(entry?.path());
    }
    crates.sort();
    let mut out = std::io::stdout().lock();
    let head = ["crate", "files", "lines", "arrows", "circles", "in them", "functions", "long"];
    for name in head {
        write!(out, "{name:>10}")?;
    }
    writeln!(out, "{:>10}{:>14}", "asserts", "a 1,000 lines")?;
    let mut notes = Vec::new();
    let mut sums = [0; 8];
    for path in crates {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let structure = Structure::read(&path);
        let figures = figures(&structure);
        row(&mut out, &name, &figures)?;
        sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        notes.extend(remarks(&structure).into_iter().map(|remark| format!("{name}: {remark}")));
    }
    row(&mut out, "all", &sums)?;
    for note in notes {
        writeln!(out, "{note}")?;
    }
    Ok(())
}

/// Files, lines, arrows, circles of more than two files, files in them, functions, long ones, asserts.
fn figures(structure: &Structure) -> [usize; 8] {
    let circles: Vec<usize> =
        structure.circles().iter().map(|circle| circle.len()).filter(|files| *files > 2).collect();
    let files = structure.files.values();
    [
        structure.files.len(),
        files.clone().map(|file| file.lines).sum(),
        structure.arrows(),
        circles.len(),
        circles.iter().sum(),
        files.clone().map(|file| file.functions).sum(),
        files.clone().map(|file| file.long.len()).sum(),
        files.map(|file| file.asserts).sum(),
    ]
}

fn row(out: &mut impl std::io::Write, name: &str, figures: &[usize; 8]) -> std::io::Result<()> {
    write!(out, "{name:>10}")?;
    for figure in figures {
        write!(out, "{figure:>10}")?;
    }
    // Of less than a line there is no crate.
    let [_, lines, .., asserts] = figures;
    writeln!(out, "{:>14.1}", *asserts as f64 * 1000.0 / (*lines).max(1) as f64)
}

fn remarks(structure: &Structure) -> Vec<String> {
    let mut remarks = Vec::new();
    for circle in structure.circles() {
        let files: Vec<&str> = circle.iter().map(String::as_str).collect();
        remarks.push(format!("a circle of {}: {}", files.len(), files.join(", ")));
    }
    for (path, file) in &structure.files {
        if file.lines > LONG_FILE {
            remarks.push(format!("{path} has {} lines", file.lines));
        }
        for (function, lines) in &file.long {
            remarks.push(format!("{path}: {function} has {lines} of {LONG_FUNCTION} lines"));
        }
    }
    for (name, files) in &structure.scattered {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        remarks.push(format!("methods of {name} in {}", files.join(", ")));
    }
    remarks
}
