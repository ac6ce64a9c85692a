//! Names in paths, and options in query strings.

use mapring_api::options::ObjectOptions;
use mapring_fuzz::Corpus;
use mapring_http::path::{decode_segment, decode_text, encode_segment};
use mapring_types::ErrorKind;
use mapring_types::limits::MAX_TIMEOUT;

use crate::{halves, text};

#[test]
fn fuzz_segments() {
    Corpus::of("segments").run(|bytes| {
        let written = encode_segment(bytes);
        assert_eq!(decode_segment(&written), bytes, "any bytes are a name");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+%".contains(&byte);
        assert!(written.bytes().all(plain), "{written}");
        let Some(given) = text(bytes) else { return };
        let name = decode_segment(given);
        assert!(name.len() <= given.len());
        assert_eq!(decode_segment(&encode_segment(&name)), name);
        assert_eq!(decode_text(given), String::from_utf8_lossy(&name));
    });
}

/// The name of an option, a line end, and its value.
#[test]
fn fuzz_options() {
    Corpus::of("options").run(|bytes| {
        let Some((name, value)) = text(bytes).map(halves) else { return };
        let read = || ObjectOptions::read(|wanted| (wanted == name).then_some(value));
        match read() {
            Ok(options) => {
                assert_eq!(Some(&options), read().ok().as_ref());
                assert!(options.timeout.is_none_or(|timeout| timeout <= MAX_TIMEOUT));
                // Whether there are so many replicas is asked later, and answered.
                for n_val in [1, 3] {
                    let _ = options.check_read(n_val);
                    let _ = options.check_write(n_val);
                    let _ = options.check_deletion(n_val);
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(error.message().contains(name), "{error} names {name}");
            }
        }
    });
}
