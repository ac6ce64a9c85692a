//! The sources of settings, one over the other, and the report of all their mistakes.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, PREFIX};
use super::mistakes::Mistake;
use super::raw::Raw;
use super::sections::Config;
use crate::limits;

/// A setting given on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag as the user knows it, e.g. `--http`.
    pub flag: &'static str,
    /// The key that it sets, e.g. `http.listen`.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

/// Where settings come from; later fields win.
#[derive(Debug, Clone, Default)]
pub struct Sources<'a> {
    /// A configuration file: its name and text.
    pub file: Option<(&'a Path, &'a str)>,
    /// Environment variables; those that do not begin with `MAPRING__` are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags.
    pub flags: Vec<Flag>,
}

/// Lays every source over `config`; what is wrong is left out and reported.
pub(super) fn apply(config: &mut Config, sources: &Sources<'_>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if let Some((path, text)) = sources.file {
        File { path, text }.apply(config, &mut mistakes);
    }
    apply_environment(config, &sources.environment, &mut mistakes);
    for Flag { flag, key, value } in &sources.flags {
        let known = KEYS.iter().find(|known| known.path() == *key);
        let done = known.map_or_else(
            || Err(format!("sets the unknown key {key}")),
            |known| (known.set)(config, Raw::Text(value)),
        );
        if let Err(what) = done {
            mistakes.push(Mistake { place: (*flag).to_owned(), what });
        }
    }
    mistakes
}

fn apply_environment(
    config: &mut Config,
    environment: &[(String, String)],
    mistakes: &mut Vec<Mistake>,
) {
    for (variable, value) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let done = match KEYS.iter().find(|key| key.variable() == *variable) {
            Some(key) => (key.set)(config, Raw::Text(value)),
            None => Err(unknown(&rest.to_ascii_lowercase().replacen("__", ".", 1), Key::path)),
        };
        if let Err(what) = done {
            mistakes.push(Mistake { place: variable.clone(), what });
        }
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn apply(&self, config: &mut Config, mistakes: &mut Vec<Mistake>) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let mut found: Vec<(usize, String)> = errors
            .iter()
            .map(|error| (error.span().unwrap_or_default().start, error.message().to_owned()))
            .collect();
        for (section, value) in table.get_ref().iter() {
            self.section(config, section, value, &mut found);
        }
        // In the order of the file, not of the parser.
        found.sort_by_key(|(at, _)| *at);
        found.dedup();
        let place = |at: usize| format!("{}:{}", self.path.display(), self.line(at));
        mistakes.extend(found.into_iter().map(|(at, what)| Mistake { place: place(at), what }));
    }

    fn section(
        &self,
        config: &mut Config,
        section: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        found: &mut Vec<(usize, String)>,
    ) {
        let (name, Range { start, .. }) = (section.get_ref().as_ref(), section.span());
        let known = KEYS.iter().any(|key| key.section == name);
        let Some(keys) = value.get_ref().as_table().filter(|_| known) else {
            let what = match KEYS.iter().find(|key| key.name == name) {
                _ if known => format!("{name} is a section: write [{name}]"),
                Some(key) => format!("{name} belongs in the section [{}]", key.section),
                None => unknown_section(name),
            };
            found.push((start, what));
            return;
        };
        for (key, value) in keys {
            let path = format!("{name}.{}", key.get_ref());
            match KEYS.iter().find(|known| known.path() == path) {
                None => found.push((key.span().start, unknown(&path, Key::path))),
                Some(known) => {
                    if let Err(why) = (known.set)(config, Raw::Toml(value.get_ref())) {
                        found.push((value.span().start, format!("{path}: {why}")));
                    }
                }
            }
        }
    }

    /// The line, from 1, of a place in the text.
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
    }
}

fn unknown_section(name: &str) -> String {
    let mut message = format!("there is no section [{name}]");
    if let Some(near) = nearest(name, KEYS.iter().map(|key| key.section.to_owned())) {
        message.push_str(&format!("; did you mean [{near}]?"));
    }
    message
}

fn unknown(name: &str, of: impl Fn(&Key) -> String) -> String {
    let mut message = format!("there is no key {name}");
    if let Some(near) = nearest(name, KEYS.iter().map(of)) {
        message.push_str(&format!("; did you mean {near}?"));
    }
    message
}

/// The name that differs least, if it differs by few letters.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|candidate| (distance(name, &candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= limits::NEAR_NAME)
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (b, cell) in right.bytes().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Mistakes;

    fn load(file: &str, environment: &[(&str, &str)], flags: &[Flag]) -> Result<Config, Mistakes> {
        Config::load(&Sources {
            file: Some((Path::new("m.toml"), file)),
            environment: environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            flags: flags.to_vec(),
        })
    }

    fn flag(flag: &'static str, key: &'static str, value: &str) -> Flag {
        Flag { flag, key, value: value.into() }
    }

    #[test]
    fn later_sources_win() {
        let file = "[node]\nname = 'file'\ngrace = '2s'\n[cluster]\njoin = ['a:1', 'b:2']\n";
        let environment = [("MAPRING__NODE__NAME", "env"), ("PATH", "/bin")];
        let config = load(file, &environment, &[flag("--node-name", "node.name", "flag")]).unwrap();
        assert_eq!(config.node.name, "flag");
        assert_eq!(config.node.grace, Duration::from_secs(2));
        assert_eq!(config.cluster.join, ["a:1", "b:2"]);
        assert_eq!(load(file, &environment, &[]).unwrap().node.name, "env");
        assert_eq!(load(file, &[], &[]).unwrap().node.name, "file");
        assert_eq!(load("", &[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn all_mistakes_are_reported_with_their_lines() {
        let file = "\
            # a comment\n\
            nmae = 'x'\n\
            ring_size = 64\n\
            [node]\n\
            nam = 'n1'\n\
            grace = 5\n\
            [storag]\n\
            cache = 1\n\
            [storage]\n\
            durability = 'always'\n\
            cache = '64 MB'\n\
            threads = 0\n\
            [cluster]\n\
            ring_size = 65\n\
            join = ['n1:8099', 'n2']\n\
            listen = 'localhost'\n";
        let error = load(
            file,
            &[("MAPRING__HTTP__LISTN", "x"), ("MAPRING__LOG__FORMAT", "xml")],
            &[flag("--http", "http.listen", "8098")],
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the configuration has 13 mistakes:\n  \
             m.toml:2: there is no section [nmae]; did you mean [node]?\n  \
             m.toml:3: ring_size belongs in the section [cluster]\n  \
             m.toml:5: there is no key node.nam; did you mean node.name?\n  \
             m.toml:6: node.grace: 5 is not a time such as \"500ms\", \"5s\", \"2m\" or \"1h\"\n  \
             m.toml:7: there is no section [storag]; did you mean [storage]?\n  \
             m.toml:10: storage.durability: \"always\" is not one of \"none\", \"process\", \
             \"disk\"\n  \
             m.toml:12: storage.threads: 0 is not a whole number from 1 to 1024\n  \
             m.toml:14: cluster.ring_size: 65 is not a power of two\n  \
             m.toml:15: cluster.join: \"n2\" is not an address of the form HOST:PORT\n  \
             m.toml:16: cluster.listen: \"localhost\" is not an address of the form IP:PORT\n  \
             MAPRING__HTTP__LISTN: there is no key http.listn; did you mean http.listen?\n  \
             MAPRING__LOG__FORMAT: \"xml\" is not one of \"plain\", \"json\"\n  \
             --http: \"8098\" is not an address of the form IP:PORT"
        );
    }

    #[test]
    fn syntax_errors_stand_beside_the_others() {
        let error = load("[node]\nname = \ngrce = '1s'\nname = 'a'\n", &[], &[]).unwrap_err();
        let lines: Vec<_> = error.0.iter().map(|mistake| mistake.place.as_str()).collect();
        assert!(lines.contains(&"m.toml:2"), "{error}");
        assert!(lines.contains(&"m.toml:3"), "{error}");
    }

    #[test]
    fn near_names_are_offered() {
        for (name, expect) in
            [("cachee", Some("cache")), ("kache", Some("cache")), ("zzzzzz", None)]
        {
            let found = nearest(name, ["cache".to_owned(), "threads".to_owned()].into_iter());
            assert_eq!(found.as_deref(), expect, "{name}");
        }
    }
}
