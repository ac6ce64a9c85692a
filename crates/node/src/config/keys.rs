//! Every key, and how its value is read. The file, the environment and the documentation test all
//! walk this one table.

use std::time::Duration;

use mapring_engine::Durability;
use mapring_jobs::callback::Allowed;
use mapring_script::sandbox::Sandbox;
use mapring_types::limits;

use super::raw::{Raw, Refusal};
use super::sections::{Config, LogFormat};
use crate::limits as node;

/// One key of the configuration.
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    pub(super) set: fn(&mut Config, Raw<'_>) -> Result<(), Refusal>,
}

impl Key {
    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        let (section, name) = (self.section, self.name);
        format!("{PREFIX}{section}__{name}").to_ascii_uppercase()
    }
}

/// What every environment variable with a setting begins with.
pub(super) const PREFIX: &str = "MAPRING__";

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const HOUR: Duration = Duration::from_secs(3_600);

/// Builds a row: section, name, field, and how the value is read.
macro_rules! key {
    ($section:ident . $name:ident, |$raw:ident| $read:expr) => {
        Key {
            section: stringify!($section),
            name: stringify!($name),
            set: |config, $raw| {
                config.$section.$name = $read?;
                Ok(())
            },
        }
    };
}

/// All keys, in the order of `config/mapring.toml`.
pub const KEYS: &[Key] = &[
    key!(node.name, |raw| raw.name()),
    key!(node.zone, |raw| raw.name().map(Some)),
    key!(node.data_dir, |raw| raw.path()),
    key!(node.grace, |raw| raw.time(Duration::ZERO, HOUR)),
    key!(cluster.name, |raw| raw.name()),
    key!(cluster.ring_size, |raw| ring_size(raw)),
    key!(cluster.secret, |raw| raw.text().map(Some)),
    key!(cluster.secret_file, |raw| raw.path().map(Some)),
    key!(cluster.secret_also, |raw| secret_also(raw)),
    key!(cluster.listen, |raw| raw.address()),
    key!(cluster.advertise, |raw| raw.host_port().map(Some)),
    key!(cluster.join, |raw| raw.host_ports()),
    key!(http.listen, |raw| raw.address()),
    key!(http.advertise, |raw| raw.host_port().map(Some)),
    key!(http.secure_referer_check, |raw| raw.flag()),
    key!(http.gzip, |raw| raw.flag()),
    key!(storage.durability, |raw| raw.choice(&[
        ("none", Durability::None),
        ("process", Durability::Process),
        ("disk", Durability::Disk),
    ])),
    key!(storage.cache, |raw| raw.bytes(MB)),
    key!(storage.threads, |raw| raw.count(1, 1_024)),
    key!(storage.queue, |raw| raw.count(16, 1_000_000)),
    key!(storage.set_aside, |raw| raw.flag()),
    key!(storage.reap_after, |raw| reap_after(raw)),
    key!(storage.graves_kept, |raw| {
        raw.time(mapring_kv::limits::GRAVES_KEPT.0, 10 * 24 * 365 * HOUR)
    }),
    key!(objects.max_object_size, |raw| raw.bytes(KB)),
    key!(objects.warn_object_size, |raw| raw.bytes(KB)),
    key!(objects.max_siblings, |raw| raw.count(1, 10_000)),
    key!(objects.warn_siblings, |raw| raw.count(1, 10_000)),
    key!(objects.max_body_size, |raw| raw.bytes(KB)),
    key!(objects.whole_body_size, |raw| raw.bytes(KB)),
    key!(objects.body_time, |raw| raw.time(mapring_kv::limits::LEAST_BODY_TIME, 24 * HOUR)),
    key!(mapred.concurrent_queries, |raw| raw.count(1, 100_000)),
    key!(mapred.answer_memory, |raw| raw.bytes(KB)),
    key!(mapred.answer_disk, |raw| raw.bytes(0)),
    key!(mapred.shuffle_memory, |raw| raw.bytes(16 * MB)),
    key!(mapred.shuffle_disk, |raw| raw.bytes(0)),
    key!(jobs.concurrent, |raw| raw.count(1, 1_000)),
    key!(jobs.file, |raw| raw.path().map(Some)),
    key!(jobs.callback_allow, |raw| callback_allow(raw)),
    key!(jobs.callback_secret, |raw| raw.text().map(Some)),
    key!(script.workers, |raw| raw.count(1, 1_024)),
    key!(script.queue, |raw| raw.count(1, 1_000_000)),
    key!(script.call_time, |raw| raw.time(Duration::from_millis(10), HOUR)),
    key!(script.memory, |raw| raw.bytes(64 * MB)),
    key!(script.stack, |raw| raw.bytes(MB)),
    key!(script.result, |raw| raw.bytes(KB)),
    key!(script.sandbox, |raw| raw.choice(&[
        ("on", Sandbox::On),
        ("off", Sandbox::Off),
        ("required", Sandbox::Required),
    ])),
    key!(script.js_source_dir, |raw| raw.path().map(Some)),
    key!(log.format, |raw| raw.choice(&[("plain", LogFormat::Plain), ("json", LogFormat::Json)])),
    key!(log.level, |raw| level(raw)),
];

fn ring_size(raw: Raw<'_>) -> Result<u16, Refusal> {
    let (least, most) = (*limits::RING_SIZE.start(), *limits::RING_SIZE.end());
    let size = raw.integer(least.into(), most.into())?;
    if !size.is_power_of_two() {
        return Err(format!("{size} is not a power of two"));
    }
    u16::try_from(size).map_err(|_| format!("{size} is too large"))
}

fn secret_also(raw: Raw<'_>) -> Result<Vec<String>, Refusal> {
    let secrets = raw.texts()?;
    let most = node::SECRETS_ALSO;
    if secrets.len() > most {
        return Err(format!("{} secrets are more than {most}", secrets.len()));
    }
    Ok(secrets)
}

/// Riak's `delete_mode`: `keep`, `immediate` or a time.
fn reap_after(raw: Raw<'_>) -> Result<Option<Duration>, Refusal> {
    if let Ok(mode) = raw.choice(&[("keep", None), ("immediate", Some(Duration::ZERO))]) {
        return Ok(mode);
    }
    raw.time(Duration::ZERO, 24 * 365 * HOUR)
        .map(Some)
        .map_err(|why| format!("{why}, nor \"keep\" or \"immediate\""))
}

fn callback_allow(raw: Raw<'_>) -> Result<Allowed, Refusal> {
    Allowed::parse(&raw.texts()?).map_err(|invalid| invalid.to_string())
}

fn level(raw: Raw<'_>) -> Result<String, Refusal> {
    let level = raw.text()?;
    tracing_subscriber::EnvFilter::builder()
        .parse(&level)
        .map_err(|error| format!("{level:?} is not a log filter: {error}"))?;
    Ok(level)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use toml::de::DeTable;

    use super::*;

    const REFERENCE: &str = include_str!("../../../../config/mapring.toml");

    /// The reference with every `#key = value` line made active.
    fn activated() -> String {
        let is_key = |rest: &str| {
            let name = rest.split(" = ").next().unwrap_or_default();
            rest.contains(" = ") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        REFERENCE
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if is_key(rest) => rest,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Keys without a default, or whose default depends on the machine.
    const EXAMPLES: [&str; 14] = [
        "node.zone",
        "cluster.secret",
        "cluster.secret_file",
        "cluster.secret_also",
        "cluster.advertise",
        "cluster.join",
        "http.advertise",
        "storage.cache",
        "storage.threads",
        "jobs.file",
        "jobs.callback_allow",
        "jobs.callback_secret",
        "script.workers",
        "script.js_source_dir",
    ];

    #[test]
    fn reference_shows_every_key_with_its_default() {
        let text = activated();
        let table = DeTable::parse(&text).unwrap().into_inner();
        let mut shown = BTreeSet::new();
        for (section, keys) in &table {
            for (name, value) in keys.get_ref().as_table().unwrap() {
                let path = format!("{}.{}", section.get_ref(), name.get_ref());
                let key = KEYS.iter().find(|key| key.path() == path);
                let key = key.unwrap_or_else(|| panic!("{path} is no key"));
                let mut config = Config::default();
                (key.set)(&mut config, Raw::Toml(value.get_ref())).unwrap();
                let example = EXAMPLES.contains(&path.as_str());
                assert!(example || config == Config::default(), "{path} shows another value");
                shown.insert(path);
            }
        }
        assert_eq!(shown, KEYS.iter().map(Key::path).collect());
    }

    #[test]
    fn reference_explains_every_key() {
        let mut explained = false;
        for line in REFERENCE.lines() {
            let comment = line.starts_with("# ");
            let key = line.starts_with('#') && line.contains(" = ") && !comment;
            assert!(!key || explained, "no reason stands above {line}");
            explained = comment;
        }
    }

    #[test]
    fn variables_are_named_after_their_keys() {
        let names: BTreeSet<String> = KEYS.iter().map(Key::variable).collect();
        assert_eq!(names.len(), KEYS.len());
        assert!(names.contains("MAPRING__STORAGE__REAP_AFTER"));
    }
}
