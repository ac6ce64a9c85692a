//! Values as the sources give them, and how settings are read from them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

/// A value before it is known what it should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// From a file, where values have types.
    Toml(&'a DeValue<'a>),
    /// From the environment or a flag.
    Text(&'a str),
}

/// What is wrong with a value, in words that follow the key's name.
pub(super) type Refusal = String;

impl Raw<'_> {
    /// The value as one shows it in a message.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Toml(DeValue::String(text)) => format!("{text:?}"),
            Self::Toml(DeValue::Integer(number)) => number.to_string(),
            Self::Toml(DeValue::Float(number)) => number.to_string(),
            Self::Toml(DeValue::Boolean(flag)) => flag.to_string(),
            Self::Toml(DeValue::Datetime(time)) => time.to_string(),
            Self::Toml(DeValue::Array(_)) => "a list".to_owned(),
            Self::Toml(DeValue::Table(_)) => "a table".to_owned(),
        }
    }

    fn is_not(&self, what: &str) -> Refusal {
        format!("{} is not {what}", self.shown())
    }

    fn str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(DeValue::String(text)) => Some(text),
            Self::Toml(_) => None,
        }
    }

    pub(super) fn text(self) -> Result<String, Refusal> {
        match self.str() {
            Some("") => Err("must not be empty".to_owned()),
            Some(text) => Ok(text.to_owned()),
            None => Err(self.is_not("a text")),
        }
    }

    /// A name that is safe in logs, tables and file names.
    pub(super) fn name(self) -> Result<String, Refusal> {
        let name = self.text()?;
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
        if name.len() <= 128 && name.chars().all(good) {
            Ok(name)
        } else {
            Err(self.is_not("a name of up to 128 letters, digits and -_.@"))
        }
    }

    pub(super) fn path(self) -> Result<PathBuf, Refusal> {
        self.text().map(PathBuf::from)
    }

    pub(super) fn flag(self) -> Result<bool, Refusal> {
        match self {
            Self::Toml(DeValue::Boolean(flag)) => Ok(*flag),
            Self::Text("true") => Ok(true),
            Self::Text("false") => Ok(false),
            _ => Err(self.is_not("true or false")),
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Toml(DeValue::Integer(number)) => {
                u64::from_str_radix(number.as_str(), number.radix()).ok()
            }
            Self::Toml(_) => None,
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(self, least: u64, most: u64) -> Result<u64, Refusal> {
        self.number()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.is_not(&format!("a whole number from {least} to {most}")))
    }

    /// As [`Raw::integer`], for counts in memory.
    pub(super) fn count(self, least: u64, most: u64) -> Result<usize, Refusal> {
        let number = self.integer(least, most)?;
        usize::try_from(number).map_err(|_| self.is_not("a number that this machine can count to"))
    }

    /// A size: a number of bytes, or a text such as `64 MB` (1024-based), at least `least` bytes.
    pub(super) fn bytes(self, least: u64) -> Result<u64, Refusal> {
        let bytes = match self.str() {
            Some(text) => parse_bytes(text),
            None => self.number(),
        };
        let bytes = bytes.ok_or_else(|| self.is_not("a size such as \"64 MB\""))?;
        if bytes < least {
            return Err(format!("{} is less than the least, {least} bytes", self.shown()));
        }
        Ok(bytes)
    }

    /// A time such as `500ms`, `5s`, `2m` or `1h`.
    pub(super) fn time(self, least: Duration, most: Duration) -> Result<Duration, Refusal> {
        let time = self
            .str()
            .and_then(parse_time)
            .ok_or_else(|| self.is_not("a time such as \"500ms\", \"5s\", \"2m\" or \"1h\""))?;
        if (least..=most).contains(&time) {
            Ok(time)
        } else {
            Err(format!("{} is not between {least:?} and {most:?}", self.shown()))
        }
    }

    /// An IP address with a port.
    pub(super) fn address(self) -> Result<SocketAddr, Refusal> {
        self.str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.is_not("an address of the form IP:PORT"))
    }

    /// A name or IP address with a port, to be resolved when it is used.
    pub(super) fn host_port(self) -> Result<String, Refusal> {
        match self.str() {
            Some(text) if is_host_port(text) => Ok(text.to_owned()),
            _ => Err(self.is_not("an address of the form HOST:PORT")),
        }
    }

    /// A list of `HOST:PORT`; outside of files separated by commas.
    pub(super) fn host_ports(self) -> Result<Vec<String>, Refusal> {
        self.list("a list of HOST:PORT", |item| item.host_port())
    }

    /// A list of texts; outside of files separated by commas.
    pub(super) fn texts(self) -> Result<Vec<String>, Refusal> {
        self.list("a list of texts", |item| item.text())
    }

    fn list(
        self,
        what: &str,
        item: impl Fn(Raw<'_>) -> Result<String, Refusal>,
    ) -> Result<Vec<String>, Refusal> {
        match self {
            Self::Toml(DeValue::Array(items)) => {
                items.iter().map(|value| item(Raw::Toml(value.get_ref()))).collect()
            }
            Self::Toml(_) => Err(self.is_not(what)),
            Self::Text(text) => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                texts.map(|text| item(Raw::Text(text))).collect()
            }
        }
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(self, choices: &[(&str, T)]) -> Result<T, Refusal> {
        let chosen = self.str().and_then(|text| choices.iter().find(|(word, _)| *word == text));
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.is_not(&format!("one of {}", words.join(", ")))
        })
    }
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let good_host = !host.is_empty() && (bracketed || !host.contains([':', '/', ' ']));
    good_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Splits `12 MB` into number and unit.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" | "kib" => 10,
        "mb" | "mib" => 20,
        "gb" | "gib" => 30,
        "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expect) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("17 b", Some(17)),
            ("2kb", Some(2_048)),
            ("64 MB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("99999999999 TB", None),
            ("1.5 GB", None),
            ("-1", None),
            ("MB", None),
            ("", None),
        ] {
            assert_eq!(parse_bytes(text), expect, "{text:?}");
        }
    }

    #[test]
    fn times() {
        for (text, expect) in [
            ("5s", Some(5_000)),
            ("500 ms", Some(500)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("5", None),
            ("s", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse_time(text), expect.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn host_ports() {
        for (text, expect) in [
            ("n1:8099", true),
            ("10.0.0.1:1", true),
            ("[::1]:8099", true),
            ("::1:8099", false),
            ("n1", false),
            (":8099", false),
            ("n1:0", false),
            ("n1:port", false),
            ("http://n1:80", false),
        ] {
            assert_eq!(is_host_port(text), expect, "{text:?}");
        }
    }

    #[test]
    fn lists_outside_of_files_are_separated_by_commas() {
        assert_eq!(Raw::Text("a:1, b:2,").host_ports().unwrap(), ["a:1", "b:2"]);
        assert!(Raw::Text("").host_ports().unwrap().is_empty());
        assert!(Raw::Text("a:1,b").host_ports().is_err());
    }
}
