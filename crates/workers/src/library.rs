//! Users' own files of functions, on their way from a directory into the workers.
//!
//! The node looks at the directory once a second and reads it anew when something has changed. Each
//! worker gets what was read last before its next call. A library that a worker does not survive is
//! given to no other: queries that need nothing of it go on.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::SystemTime;

use mapring_script::library::{Library, SourceFile};
use mapring_script::limits::{LIBRARY_BYTES, LIBRARY_FILES};
use mapring_script::{FailureCause, ScriptError};
use parking_lot::Mutex;

use crate::limits;

/// What a directory held at some time.
#[derive(Debug)]
pub(crate) struct Edition {
    /// From 1; 0 for none, which new workers have.
    pub(crate) number: u64,
    pub(crate) library: Library,
    /// Whether the log has been told what a worker finds wrong with it.
    told: AtomicBool,
    /// Workers that have ended over it.
    ended: AtomicU32,
}

/// The files of a node.
pub(crate) struct Libraries {
    current: Mutex<Arc<Edition>>,
}

impl Default for Libraries {
    fn default() -> Self {
        Self { current: Mutex::new(Arc::new(Edition::new(0, Library::default()))) }
    }
}

impl Edition {
    fn new(number: u64, library: Library) -> Self {
        Self { number, library, told: AtomicBool::new(false), ended: AtomicU32::new(0) }
    }

    /// Tells the operator what is wrong, once.
    pub(crate) fn tell(&self, complaints: &[String]) {
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let files = self.library.files.len();
        tracing::info!(files, "the functions of script.js_source_dir are in use");
        for complaint in complaints {
            tracing::error!(complaint, "a file of script.js_source_dir cannot be used");
        }
    }
}

impl Libraries {
    /// Reads the directory for the first time; gives its state.
    pub(crate) async fn read(&self, directory: &Path) -> Option<DirectoryState> {
        self.look(directory, None).await.map(|(state, _)| state)
    }

    /// Waits until the directory has changed and has been read anew; gives its state.
    pub(crate) async fn change(
        &self,
        directory: &Path,
        mut state: Option<DirectoryState>,
    ) -> Option<DirectoryState> {
        loop {
            tokio::time::sleep(limits::LIBRARY_POLL).await;
            let (next, changed) = self.look(directory, state).await?;
            state = Some(next);
            if changed {
                return state;
            }
        }
    }

    /// Reads the directory unless it is as it was; gives its state, and whether it was read.
    async fn look(
        &self,
        directory: &Path,
        before: Option<DirectoryState>,
    ) -> Option<(DirectoryState, bool)> {
        let directory = directory.to_path_buf();
        let look = move || {
            let state = DirectoryState::of(&directory);
            let changed = before.as_ref() != Some(&state);
            let library = changed.then(|| read(&directory, &state));
            (state, library)
        };
        let (state, library) = tokio::task::spawn_blocking(look).await.ok()?;
        let changed = library.is_some();
        if let Some(library) = library {
            self.replace(library);
        }
        Some((state, changed))
    }

    fn replace(&self, library: Library) {
        let mut current = self.current.lock();
        *current = Arc::new(Edition::new(current.number + 1, library));
    }

    /// What the directory held last.
    pub(crate) fn current(&self) -> Arc<Edition> {
        Arc::clone(&self.current.lock())
    }

    /// A worker ended over the files.
    pub(crate) fn blame(&self, edition: &Arc<Edition>, error: &ScriptError) {
        let ended = edition.ended.fetch_add(1, Ordering::Relaxed) + 1;
        if error.cause == FailureCause::Worker && ended < limits::LIBRARY_DEATHS {
            return;
        }
        let mut current = self.current.lock();
        if !Arc::ptr_eq(&current, edition) {
            return;
        }
        let complaint = format!("all files are left out: {}", error.message);
        let mut complaints = edition.library.complaints.clone();
        complaints.push(complaint);
        let library = Library { files: Vec::new(), complaints };
        *current = Arc::new(Edition::new(current.number + 1, library));
    }
}

/// What a directory looks like from outside: it is read anew when that changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DirectoryState {
    /// Each file's name, size and time of change, by name.
    Files(Vec<(OsString, u64, Option<SystemTime>)>),
    /// It cannot be looked at.
    Unreadable(String),
}

impl DirectoryState {
    fn of(directory: &Path) -> Self {
        let list = || -> io::Result<Vec<_>> {
            let mut files = Vec::new();
            for entry in std::fs::read_dir(directory)? {
                let path = entry?.path();
                if path.extension().is_none_or(|extension| extension != "js") {
                    continue;
                }
                // What is behind a link counts. A file that has just gone is no file.
                let Ok(facts) = std::fs::metadata(&path) else { continue };
                if let (true, Some(name)) = (facts.is_file(), path.file_name()) {
                    files.push((name.to_owned(), facts.len(), facts.modified().ok()));
                }
            }
            files.sort();
            Ok(files)
        };
        match list() {
            Ok(files) => Self::Files(files),
            Err(error) => {
                Self::Unreadable(format!("{} cannot be read: {error}", directory.display()))
            }
        }
    }
}

/// Reads the files, in the order of their names.
fn read(directory: &Path, state: &DirectoryState) -> Library {
    let mut library = Library::default();
    let files = match state {
        DirectoryState::Files(files) => files,
        DirectoryState::Unreadable(why) => {
            library.complaints.push(why.clone());
            return library;
        }
    };
    let mut bytes = 0;
    for (name, size, _) in files {
        let shown = name.to_string_lossy().into_owned();
        if library.files.len() >= LIBRARY_FILES || bytes + size > LIBRARY_BYTES {
            let rest = format!(
                "{shown} and what follows is left out: more than {LIBRARY_FILES} files or \
                 {LIBRARY_BYTES} bytes"
            );
            library.complaints.push(rest);
            break;
        }
        match read_text(&directory.join(name), LIBRARY_BYTES - bytes) {
            Ok(text) => {
                bytes += text.len() as u64;
                library.files.push(SourceFile { name: shown, text });
            }
            Err(error) => library.complaints.push(format!("{shown} cannot be read: {error}")),
        }
    }
    library
}

/// A text of at most so many bytes.
fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    // It may have grown since.
    io::Read::read_to_end(&mut io::Read::take(file, most), &mut bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    String::from_utf8(bytes.to_vec())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(library: &Library) -> Vec<&str> {
        library.files.iter().map(|file| file.name.as_str()).collect()
    }

    fn library_of(directory: &Path) -> Library {
        read(directory, &DirectoryState::of(directory))
    }

    #[test]
    fn files_come_in_the_order_of_their_names_and_within_bounds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(library_of(path), Library::default());
        for (name, text) in
            [("b.js", "2"), ("a.js", "\u{feff}1"), ("c.txt", "3"), ("d.js.bak", "4")]
        {
            std::fs::write(path.join(name), text).unwrap();
        }
        std::fs::create_dir(path.join("e.js")).unwrap();
        std::fs::write(path.join("f.js"), b"\xff").unwrap();
        let library = library_of(path);
        assert_eq!(names(&library), ["a.js", "b.js"]);
        assert_eq!(library.files[0].text, "1");
        assert_eq!(library.complaints, ["f.js cannot be read: it is not UTF-8"]);
        let most = usize::try_from(LIBRARY_BYTES).unwrap();
        std::fs::write(path.join("aa.js"), vec![b' '; most]).unwrap();
        let library = library_of(path);
        assert_eq!(names(&library), ["a.js"]);
        assert!(library.complaints[0].starts_with("aa.js and what follows"), "{library:?}");
    }

    #[test]
    fn changes_show() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut states = vec![DirectoryState::of(&path.join("none")), DirectoryState::of(path)];
        std::fs::write(path.join("a.js"), "1").unwrap();
        states.push(DirectoryState::of(path));
        assert_eq!(DirectoryState::of(path), states[2]);
        std::fs::write(path.join("a.js"), "12").unwrap();
        states.push(DirectoryState::of(path));
        std::fs::rename(path.join("a.js"), path.join("b.js")).unwrap();
        states.push(DirectoryState::of(path));
        assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{states:?}");
        let complaints = read(path, &states[0]).complaints;
        assert!(complaints[0].contains("cannot be read"), "{complaints:?}");
    }
}
