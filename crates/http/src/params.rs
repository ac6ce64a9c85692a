//! Query parameters and their checks (facts R15 to R17).

use std::time::Duration;

use mapring_types::{Quorum, limits};

use crate::reply::{Reply, Stop};
use crate::route::decode_text;

/// The parameters of a request line. Of a parameter given twice, the first counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// Parameters that all requests for an object share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObjectParams {
    pub(crate) r: Quorum,
    pub(crate) w: Quorum,
    pub(crate) dw: Quorum,
    pub(crate) pr: Quorum,
    pub(crate) pw: Quorum,
    pub(crate) rw: Quorum,
    pub(crate) basic_quorum: Option<bool>,
    pub(crate) notfound_ok: Option<bool>,
    pub(crate) timeout: Option<Duration>,
}

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

    /// Whether a parameter is given and says `true`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// The timeout, cut to the longest allowed.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Stop> {
        let Some(text) = self.get("timeout") else { return Ok(None) };
        let millis: u64 = text
            .parse()
            .map_err(|_| Reply::bad_request(format!("Bad timeout value \"{text}\"\n")))?;
        Ok(Some(Duration::from_millis(millis).min(limits::MAX_TIMEOUT)))
    }

    fn quorum(&self, name: &str) -> Result<Quorum, Stop> {
        let Some(text) = self.get(name) else { return Ok(Quorum::Default) };
        Quorum::parse(text).ok_or_else(|| {
            Reply::bad_request(format!(
                "{name} query parameter must be an integer or one of the following words: \
                 'one', 'quorum' or 'all'\n"
            ))
            .into()
        })
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Stop> {
        match self.get(name) {
            None | Some("default") => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => {
                let text = format!("{name} query parameter must be true or false\n");
                Err(Reply::bad_request(text).into())
            }
        }
    }

    /// Reads and checks what concerns objects, in Riak's order.
    pub(crate) fn object(&self) -> Result<ObjectParams, Stop> {
        let timeout = self.timeout()?;
        let params = ObjectParams {
            r: self.quorum("r")?,
            w: self.quorum("w")?,
            dw: self.quorum("dw")?,
            rw: self.quorum("rw")?,
            pw: self.quorum("pw")?,
            pr: self.quorum("pr")?,
            basic_quorum: self.flag("basic_quorum")?,
            notfound_ok: self.flag("notfound_ok")?,
            timeout,
        };
        self.flag("asis")?;
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(query: &str, text: &str) {
        let stop = Params::parse(Some(query)).object().unwrap_err();
        assert_eq!((stop.status(), stop.text()), (400, text.to_owned()), "{query}");
    }

    #[test]
    fn values_are_read() {
        let params = Params::parse(Some("r=2&w=all&dw=default&pr=one&rw=quorum&r=9&&timeout=50"));
        let object = params.object().unwrap();
        assert_eq!(object.r, Quorum::Count(2));
        assert_eq!(object.w, Quorum::All);
        assert_eq!(object.dw, Quorum::Default);
        assert_eq!(object.pr, Quorum::One);
        assert_eq!(object.rw, Quorum::Majority);
        assert_eq!(object.timeout, Some(Duration::from_millis(50)));
        let params = Params::parse(Some("notfound_ok=false&basic_quorum=default&asis=true&x"));
        let object = params.object().unwrap();
        assert_eq!((object.notfound_ok, object.basic_quorum), (Some(false), None));
        assert_eq!(params.get("x"), Some(""));
        assert_eq!(Params::parse(None).object().unwrap(), ObjectParams::default());
    }

    #[test]
    fn wrong_values_are_named() {
        refused(
            "r=-1",
            "r query parameter must be an integer or one of the following words: 'one', 'quorum' \
             or 'all'\n",
        );
        refused(
            "pw=evil",
            "pw query parameter must be an integer or one of the following words: 'one', \
             'quorum' or 'all'\n",
        );
        refused("notfound_ok=maybe", "notfound_ok query parameter must be true or false\n");
        refused("asis=1", "asis query parameter must be true or false\n");
        refused("timeout=asdasdasd&r=x", "Bad timeout value \"asdasdasd\"\n");
        refused("timeout=-1", "Bad timeout value \"-1\"\n");
    }
}
