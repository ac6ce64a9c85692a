//! Query parameters and their checks (facts R15 to R17).

use std::time::Duration;

use mapring_api::options::{self, ObjectOptions};

use crate::path::decode_text;
use crate::reply::Stop;

/// The parameters of a request line, or of a form. Of a parameter given twice, the first counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads what follows the `?`.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode_text(name), decode_text(value))
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Everything that is given, in its order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a parameter is given and says `true`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// The timeout, cut to the longest allowed.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Stop> {
        Ok(options::timeout(self.get("timeout"))?)
    }

    /// Reads and checks what concerns objects.
    pub(crate) fn object(&self) -> Result<ObjectOptions, Stop> {
        Ok(ObjectOptions::read(|name| self.get(name))?)
    }
}

#[cfg(test)]
mod tests {
    use mapring_types::Quorum;

    use super::*;
    use crate::path::encode_segment;

    #[test]
    fn fuzz_parameters() {
        mapring_fuzz::Corpus::of("parameters").run(|bytes| {
            let Ok(given) = std::str::from_utf8(bytes) else { return };
            let params = Params::parse(Some(given));
            assert!(params.all().count() <= given.len());
            let encoded = |text: &str| encode_segment(text.as_bytes());
            let pairs = params.all().map(|(name, value)| [encoded(name), encoded(value)].join("="));
            let written = pairs.collect::<Vec<_>>().join("&");
            let again = Params::parse(Some(&written));
            assert!(again.all().eq(params.all()), "{written}");
            for stop in [params.timeout().err(), params.object().err()].into_iter().flatten() {
                assert!(stop.status() == 400 && stop.text().ends_with('\n'), "{}", stop.text());
            }
        });
    }

    #[test]
    fn values_are_read() {
        let params = Params::parse(Some("r=2&rw=quorum&r=9&&timeout=50&x&y=a%20b"));
        let options = params.object().unwrap();
        assert_eq!((options.r, options.rw), (Quorum::Count(2), Quorum::Majority));
        assert_eq!(params.timeout().unwrap(), Some(Duration::from_millis(50)));
        assert_eq!(
            (params.get("x"), params.get("y"), params.get("z")),
            (Some(""), Some("a b"), None)
        );
        assert_eq!(Params::parse(None).object().unwrap(), ObjectOptions::default());
    }

    #[test]
    fn wrong_values_are_answered() {
        let stop = Params::parse(Some("notfound_ok=maybe")).object().unwrap_err();
        let text = "notfound_ok query parameter must be true or false\n";
        assert_eq!((stop.status(), stop.text()), (400, text.to_owned()));
        let stop = Params::parse(Some("timeout=soon")).timeout().unwrap_err();
        assert_eq!((stop.status(), stop.text()), (400, "Bad timeout value \"soon\"\n".to_owned()));
    }
}
