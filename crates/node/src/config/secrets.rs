//! The secrets of the cluster, from the settings or from their file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use mapring_types::{Error, Result, Secrets};

use super::Config;
use crate::limits;

impl Config {
    /// The secrets of the cluster; none where none is set.
    ///
    /// # Errors
    /// `Invalid`, naming the file that cannot be read, is too large, says nothing or too much.
    pub fn secrets(&self) -> Result<Secrets> {
        let cluster = &self.cluster;
        match &cluster.secret_file {
            Some(path) => of_file(path),
            None => {
                let signs = cluster.secret.clone().unwrap_or_default();
                Ok(Secrets::new(signs, cluster.secret_also.clone()))
            }
        }
    }
}

fn of_file(path: &Path) -> Result<Secrets> {
    let wrong =
        |what: String| Error::invalid(format!("cluster.secret_file: {} {what}", path.display()));
    let mut text = String::new();
    // One byte more than may be there, to tell what is too large.
    let read = File::open(path)
        .and_then(|file| file.take(limits::SECRET_FILE_BYTES + 1).read_to_string(&mut text));
    read.map_err(|error| wrong("cannot be read".to_owned()).with_source(error))?;
    if text.len() as u64 > limits::SECRET_FILE_BYTES {
        return Err(wrong(format!("is larger than {} bytes", limits::SECRET_FILE_BYTES)));
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from);
    let Some(signs) = lines.next() else { return Err(wrong("has no line".to_owned())) };
    let also: Vec<String> = lines.collect();
    if also.len() > limits::SECRETS_ALSO {
        let most = limits::SECRETS_ALSO + 1;
        return Err(wrong(format!("has more than {most} lines")));
    }
    Ok(Secrets::new(signs, also))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_settings_have_them_or_a_file() {
        let mut config = Config::default();
        assert!(config.secrets().unwrap().is_empty());
        config.cluster.secret = Some("new".into());
        config.cluster.secret_also = vec!["old".into()];
        let expected = Secrets::new("new", vec!["old".into()]);
        assert_eq!(config.secrets().unwrap(), expected);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let mut config = Config::default();
        config.cluster.secret_file = Some(path.clone());
        let said = |text: Option<&str>| {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            config.secrets().map_err(|error| error.message().to_owned())
        };
        for (text, words) in [
            (None, "cannot be read"),
            (Some("\n \n"), "has no line"),
            (Some("1\n2\n3\n4\n5\n6\n"), "has more than 5 lines"),
            (Some("x".repeat(4_097).as_str()), "is larger than 4096 bytes"),
        ] {
            let error = said(text).unwrap_err();
            assert!(error.ends_with(words) && error.contains("/secret "), "{error}");
        }
        assert_eq!(said(Some("new\n\n old \n")).unwrap(), expected);
    }
}
