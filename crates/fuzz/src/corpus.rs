//! The inputs that a target begins with.

use std::fs;
use std::path::{Path, PathBuf};

use crate::damage::{Input, Recipe};
use crate::limits;
use crate::watch::Watch;

/// The end of the name of a file with an input in each line.
const LINES: &str = "lines";

/// Inputs that are kept, of one target. The small ones that people write lie in a folder; others
/// are made by the writers whose readers are tested.
pub struct Corpus {
    name: &'static str,
    samples: Vec<Sample>,
}

struct Sample {
    /// Where it comes from.
    origin: String,
    bytes: Vec<u8>,
}

impl Corpus {
    /// What is kept under a name in `crates/fuzz/corpus`: each file is an input, and each line of a file
    /// that ends in `.lines`.
    ///
    /// # Panics
    /// Where there is no such folder.
    pub fn of(name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        Self::made(name).and_files(&folder)
    }

    /// A target without such a folder.
    pub fn made(name: &'static str) -> Self {
        Self { name, samples: Vec::new() }
    }

    /// Adds the files of a folder.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn and_files(mut self, folder: &Path) -> Self {
        let read = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut paths: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
        // So that a seed means the same wherever it is run.
        paths.sort();
        for path in paths.iter().filter(|path| path.is_file()) {
            let bytes = fs::read(path).unwrap();
            let origin = path.display().to_string();
            if path.extension().is_some_and(|end| end == LINES) {
                let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let sample = |line: &[u8]| Sample { origin: origin.clone(), bytes: line.to_vec() };
                self.samples.extend(lines.map(sample));
            } else {
                self.samples.push(Sample { origin, bytes });
            }
        }
        self
    }

    /// Adds an input.
    #[must_use]
    pub fn and(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        let origin = format!("made, the {}th", self.samples.len());
        self.samples.push(Sample { origin, bytes: bytes.into() });
        self
    }

    /// The inputs.
    pub fn into_inputs(self) -> Vec<Vec<u8>> {
        self.samples.into_iter().map(|sample| sample.bytes).collect()
    }

    /// Runs a check on all that is kept, then on what is made of it.
    ///
    /// # Panics
    /// Where the check does, and where nothing is kept.
    pub fn run(self, check: fn(&[u8])) {
        let Self { name, samples } = self;
        assert!(!samples.is_empty(), "nothing is kept for {name}");
        let watch = Watch::start(name);
        for Sample { origin, bytes } in &samples {
            let told = Told(origin);
            watch.over(bytes, check);
            drop(told);
        }
        let samples: Vec<Vec<u8>> = samples.into_iter().map(|sample| sample.bytes).collect();
        bolero::check!(name = name)
            .with_type::<Recipe>()
            .map(move |recipe: Recipe| Input::of(&samples, &recipe))
            .with_iterations(limits::INPUTS)
            .with_test_time(limits::TIME)
            .for_each(move |input: &Input| watch.over(input.bytes(), check));
    }
}

/// Says where an input comes from, when its check fails.
struct Told<'a>(&'a str);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input is kept: {}", self.0);
        }
    }
}
