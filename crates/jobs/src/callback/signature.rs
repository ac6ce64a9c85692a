//! The signature of a callback.
//!
//! The header is `Mapring-Signature: t=SECONDS,v1=HEX`. `SECONDS` is when the request was signed, in
//! seconds since 1970; `HEX` is the HMAC-SHA256, in lower-case hexadecimal digits, of the text
//! `SECONDS`, a full stop, and the bytes of the body, under the secret that sender and receiver share.
//! A receiver computes it anew, compares in constant time, and refuses what is older than some minutes,
//! so that nobody sends a request that he saw a second time.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "Mapring-Signature";

/// The value of the header for a body that is signed `seconds` after 1970 began.
pub fn signature(secret: &[u8], seconds: u64, body: &[u8]) -> String {
    // A key of any length is a key: longer ones are hashed, shorter ones padded.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(secret) else { unreachable!("any length") };
    hmac.update(format!("{seconds}.").as_bytes());
    hmac.update(body);
    let digits: String =
        hmac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={digits}")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What a receiver computes with Python's own library.
    const RECEIVER: &str = "import sys, hmac, hashlib\n\
        secret, t, body = (bytes.fromhex(a) for a in sys.argv[1:])\n\
        print(hmac.new(secret, t + b'.' + body, hashlib.sha256).hexdigest())";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_receiver_computes_the_same() {
        let long = [7u8; 200];
        for (secret, seconds, body) in [
            (&b"key"[..], 1_700_000_000u64, &b"{\"id\":\"1\"}"[..]),
            (b"", 0, b""),
            (&long, 5, &[0, 255, 10]),
        ] {
            let args = [secret, seconds.to_string().as_bytes(), body].map(hex);
            let python = Command::new("python3").args(["-c", RECEIVER]).args(args).output();
            let Ok(output) = python else {
                eprintln!("skipped: there is no python3");
                return;
            };
            let computed = String::from_utf8(output.stdout).unwrap();
            let expect = format!("t={seconds},v1={}", computed.trim());
            assert_eq!(signature(secret, seconds, body), expect);
            assert_eq!(expect.len(), format!("t={seconds},v1=").len() + 64);
        }
    }
}
