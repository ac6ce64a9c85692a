//! The options of a request for an object: quorums in Riak's words, flags, a timeout.

use std::time::Duration;

use mapring_kv::{DeleteOptions, GetOptions, PutOptions};
use mapring_types::{Error, Quorum, Result, SyncOnWrite, VersionVector, limits};

/// Options that all requests for an object share, under Riak's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Replicas that must answer a read.
    pub r: Quorum,
    /// Replicas that must take a write.
    pub w: Quorum,
    /// Replicas that must store a write durably.
    pub dw: Quorum,
    /// Primary replicas that must answer a read.
    pub pr: Quorum,
    /// Primary replicas that must take a write.
    pub pw: Quorum,
    /// Distinct nodes that must answer a read, or take a write (Riak 3.0).
    pub node_confirms: Quorum,
    /// Which replicas of a write are fsynced before it is acknowledged (Riak 3.0).
    pub sync_on_write: Option<SyncOnWrite>,
    /// What a deletion asks for where it gives neither `r` nor `w`.
    pub rw: Quorum,
    /// Whether a read may fail as soon as a majority has answered.
    pub basic_quorum: Option<bool>,
    /// Whether "not found" counts as an answer.
    pub notfound_ok: Option<bool>,
    /// How long the request may take.
    pub timeout: Option<Duration>,
}

impl ObjectOptions {
    /// Reads and checks the options in Riak's order; `given` has the text of those that are given.
    ///
    /// # Errors
    /// `Invalid`, in Riak's words: for a wrong timeout, or else a line for each option that is wrong
    /// (fact R265).
    pub fn read<'a>(given: impl Fn(&str) -> Option<&'a str>) -> Result<Self> {
        let timeout = timeout(given("timeout"))?;
        let mut wrong: Vec<String> = Vec::new();
        let mut quorum = |name: &str| kept(quorum(name, given(name)), &mut wrong);
        let [r, w, dw, rw, pw, node_confirms, pr] =
            ["r", "w", "dw", "rw", "pw", "node_confirms", "pr"].map(&mut quorum);
        let sync_on_write = kept(sync(given("sync_on_write")), &mut wrong);
        let mut flag = |name: &str| kept(flag(name, given(name)), &mut wrong);
        // Clients of old send the last; there is nothing that it could change.
        let [basic_quorum, notfound_ok, _asis] =
            ["basic_quorum", "notfound_ok", "asis"].map(&mut flag);
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong.join("\n")));
        }
        Ok(Self {
            r,
            w,
            dw,
            pr,
            pw,
            node_confirms,
            sync_on_write,
            rw,
            basic_quorum,
            notfound_ok,
            timeout,
        })
    }

    /// How an object is read, in a bucket of `n_val` replicas.
    ///
    /// # Errors
    /// `Invalid` if a quorum of the read asks for more replicas than there are.
    pub fn check_read(&self, n_val: u32) -> Result<()> {
        check(n_val, &[self.r, self.pr, self.node_confirms])
    }

    /// As [`ObjectOptions::check_read`], for a write.
    ///
    /// # Errors
    /// As [`ObjectOptions::check_read`].
    pub fn check_write(&self, n_val: u32) -> Result<()> {
        check(n_val, &[self.r, self.w, self.dw, self.pr, self.pw, self.node_confirms])
    }

    /// As [`ObjectOptions::check_read`], for a deletion.
    ///
    /// # Errors
    /// As [`ObjectOptions::check_read`].
    pub fn check_deletion(&self, n_val: u32) -> Result<()> {
        let Self { r, pr, w, dw, pw, rw, node_confirms, .. } = *self;
        check(n_val, &[r, pr, w, dw, pw, rw, node_confirms])
    }

    /// How an object is read.
    pub fn reading(&self) -> GetOptions {
        let Self { r, pr, node_confirms, basic_quorum, notfound_ok, timeout, .. } = *self;
        GetOptions { r, pr, node_confirms, basic_quorum, notfound_ok, timeout }
    }

    /// How an object is written; `unchanged` is the clock that it must still have.
    pub fn writing(&self, unchanged: Option<VersionVector>) -> PutOptions {
        let Self { w, dw, pw, node_confirms, sync_on_write, timeout, .. } = *self;
        PutOptions { w, dw, pw, node_confirms, sync_on_write, timeout, unchanged }
    }

    /// How an object is deleted; `unchanged` is the clock that it must still have.
    pub fn deleting(&self, unchanged: Option<VersionVector>) -> DeleteOptions {
        let Self { r, pr, w, dw, pw, node_confirms, sync_on_write, rw, timeout, .. } = *self;
        DeleteOptions { r, pr, w, dw, pw, node_confirms, sync_on_write, rw, timeout, unchanged }
    }
}

/// Reads a timeout in milliseconds, cut to the longest allowed.
///
/// # Errors
/// `Invalid` for what is no number.
pub fn timeout(given: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = given else { return Ok(None) };
    let millis: u64 =
        text.parse().map_err(|_| Error::invalid(format!("Bad timeout value \"{text}\"")))?;
    Ok(Some(Duration::from_millis(millis).min(limits::MAX_TIMEOUT)))
}

/// The option, or the default of one that is wrong: that is noted.
fn kept<T: Default>(read: Result<T>, wrong: &mut Vec<String>) -> T {
    read.unwrap_or_else(|error| {
        wrong.push(error.message().to_owned());
        T::default()
    })
}

/// In any case, as Riak reads it.
fn sync(given: Option<&str>) -> Result<Option<SyncOnWrite>> {
    let Some(text) = given else { return Ok(None) };
    let word = text.to_ascii_lowercase();
    if word == "default" {
        return Ok(None);
    }
    SyncOnWrite::parse(&word).map(Some).ok_or_else(|| {
        Error::invalid(
            "sync_on_write query parameter must be one of the following words: \
             [default,backend,one,all]",
        )
    })
}

fn quorum(name: &str, given: Option<&str>) -> Result<Quorum> {
    let Some(text) = given else { return Ok(Quorum::Default) };
    Quorum::parse(text).ok_or_else(|| {
        Error::invalid(format!(
            "{name} query parameter must be an integer or one of the following words: 'one', \
             'quorum' or 'all'"
        ))
    })
}

fn flag(name: &str, given: Option<&str>) -> Result<Option<bool>> {
    let given = given.map(str::to_ascii_lowercase);
    match given.as_deref() {
        None | Some("default") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Error::invalid(format!("{name} query parameter must be true or false"))),
    }
}

fn check(n_val: u32, quorums: &[Quorum]) -> Result<()> {
    let too_high = |quorum: &Quorum| matches!(quorum, Quorum::Count(count) if *count > n_val);
    if quorums.iter().any(too_high) {
        let text = format!("Specified w/dw/pw values invalid for bucket n value of {n_val}");
        return Err(Error::invalid(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mapring_types::ErrorKind;

    use super::*;

    fn read(pairs: &[(&str, &'static str)]) -> Result<ObjectOptions> {
        ObjectOptions::read(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
        })
    }

    #[track_caller]
    fn refused(pairs: &[(&str, &'static str)], text: &str) {
        let error = read(pairs).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, text), "{pairs:?}");
    }

    #[test]
    fn values_are_read() {
        let options = read(&[
            ("r", "2"),
            ("w", "all"),
            ("dw", "default"),
            ("pr", "one"),
            ("rw", "quorum"),
            ("timeout", "50"),
        ])
        .unwrap();
        assert_eq!(options.r, Quorum::Count(2));
        assert_eq!(options.w, Quorum::All);
        assert_eq!(options.dw, Quorum::Default);
        assert_eq!(options.pr, Quorum::One);
        assert_eq!(options.rw, Quorum::Majority);
        assert_eq!(options.timeout, Some(Duration::from_millis(50)));
        let more = [("node_confirms", "2"), ("sync_on_write", "ALL"), ("basic_quorum", "True")];
        let options = read(&more).unwrap();
        assert_eq!(options.node_confirms, Quorum::Count(2));
        assert_eq!(options.sync_on_write, Some(SyncOnWrite::All));
        assert_eq!(options.basic_quorum, Some(true));
        assert_eq!(read(&[("sync_on_write", "default")]).unwrap(), ObjectOptions::default());
        let flags = [("notfound_ok", "false"), ("basic_quorum", "default"), ("asis", "true")];
        let options = read(&flags).unwrap();
        assert_eq!((options.notfound_ok, options.basic_quorum), (Some(false), None));
        assert_eq!(read(&[]).unwrap(), ObjectOptions::default());
        let longest = read(&[("timeout", "99999999999999")]).unwrap();
        assert_eq!(longest.timeout, Some(limits::MAX_TIMEOUT));
    }

    #[test]
    fn wrong_values_are_named() {
        let words = "must be an integer or one of the following words: 'one', 'quorum' or 'all'";
        refused(&[("r", "-1")], &format!("r query parameter {words}"));
        refused(&[("pw", "evil")], &format!("pw query parameter {words}"));
        let flag = "query parameter must be true or false";
        refused(&[("notfound_ok", "maybe")], &format!("notfound_ok {flag}"));
        refused(&[("asis", "1")], &format!("asis {flag}"));
        refused(&[("timeout", "asdasdasd"), ("r", "x")], "Bad timeout value \"asdasdasd\"");
        refused(&[("timeout", "-1")], "Bad timeout value \"-1\"");
        refused(&[("node_confirms", "x")], &format!("node_confirms query parameter {words}"));
        let sync = "sync_on_write query parameter must be one of the following words: \
                    [default,backend,one,all]";
        refused(&[("sync_on_write", "quorum")], sync);
        // All of them at once, in Riak's order.
        let all = [("asis", "1"), ("pr", "x"), ("sync_on_write", ""), ("r", "x")];
        let lines =
            format!("r query parameter {words}\npr query parameter {words}\n{sync}\nasis {flag}");
        refused(&all, &lines);
    }

    #[test]
    fn no_quorum_asks_for_more_replicas_than_there_are() {
        for (name, read_fails, write_fails, deletion_fails) in [
            ("r", true, true, true),
            ("pr", true, true, true),
            ("w", false, true, true),
            ("dw", false, true, true),
            ("pw", false, true, true),
            ("rw", false, false, true),
            ("node_confirms", true, true, true),
        ] {
            let options = read(&[(name, "3")]).unwrap();
            for check in [
                ObjectOptions::check_read,
                ObjectOptions::check_write,
                ObjectOptions::check_deletion,
            ] {
                assert!(check(&options, 3).is_ok(), "{name}");
            }
            assert_eq!(options.check_read(2).is_err(), read_fails, "{name}");
            assert_eq!(options.check_write(2).is_err(), write_fails, "{name}");
            assert_eq!(options.check_deletion(2).is_err(), deletion_fails, "{name}");
        }
        let words = read(&[("r", "all"), ("w", "quorum")]).unwrap();
        assert!(words.check_deletion(1).is_ok());
    }
}
