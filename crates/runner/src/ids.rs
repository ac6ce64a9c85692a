//! Ids of jobs, and the hashes by which their documents are told apart.

use mapring_types::Entropy;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::JobsError;
use crate::limits;

/// The digits of ids: Crockford's base 32, which no two letters of look alike.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new id, in the form of a ULID: 48 bits of the time in milliseconds, then 80 random bits. Later ones
/// are greater.
pub(crate) fn new_id(now_ms: u64, entropy: &dyn Entropy) -> String {
    let random = (u128::from(entropy.next_u64()) << 16) | u128::from(entropy.below(1 << 16));
    let number = (u128::from(now_ms) << 80) | random;
    let digit = |place: u32| {
        let at = usize::try_from((number >> (5 * place)) & 31).unwrap_or(0);
        char::from(DIGITS.get(at).copied().unwrap_or(b'0'))
    };
    (0..26).rev().map(digit).collect()
}

/// The id that follows from any text: the same from the same.
pub(crate) fn id_of_key(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    let hex = hash.iter().take(16).map(|byte| format!("{byte:02x}"));
    format!("k{}", hex.collect::<String>())
}

/// Checks an id that is given: it stands in paths.
///
/// # Errors
/// `Invalid`, with what it may be.
pub(crate) fn check(id: &str) -> Result<(), JobsError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let good = (1..=limits::ID_BYTES).contains(&id.len()) && id.bytes().all(plain);
    // A path that names itself, or what is above it.
    if good && id.bytes().any(|byte| byte != b'.') {
        return Ok(());
    }
    let most = limits::ID_BYTES;
    let message = format!("is 1 to {most} of the letters A to Z, a to z, 0 to 9 and - . _ ~");
    Err(JobsError::invalid("id", message))
}

/// The hash of a JSON value, whatever the order of its members.
pub(crate) fn digest(value: &Value) -> u64 {
    let mut hash = Sha256::new();
    feed(value, &mut hash);
    let bytes: [u8; 8] = hash.finalize().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(bytes)
}

fn feed(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            hash.update(b"{");
            for (name, value) in members {
                hash.update(Value::from(name.as_str()).to_string());
                hash.update(b":");
                feed(value, hash);
            }
            hash.update(b"}");
        }
        Value::Array(list) => {
            hash.update(b"[");
            for value in list {
                feed(value, hash);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        other => hash.update(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Counted(std::sync::atomic::AtomicU64);

    impl Entropy for Counted {
        fn next_u64(&self) -> u64 {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        }
    }

    #[test]
    fn later_ids_are_greater() {
        let entropy = Counted(u64::MAX.wrapping_sub(1).into());
        let ids: Vec<String> = [0, 1, 1_700_000_000_000, (1 << 48) - 1]
            .iter()
            .map(|ms| new_id(*ms, &entropy))
            .collect();
        assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 26), "{ids:?}");
        assert!(ids.iter().all(|id| check(id).is_ok()));
        assert_eq!(&ids[2][..10], "01HF7YAT00");
    }

    #[test]
    fn ids_are_plain() {
        let long = "x".repeat(limits::ID_BYTES + 1);
        for id in ["", ".", "..", "a/b", "a b", "é", "a%20", long.as_str()] {
            assert!(check(id).is_err(), "{id}");
        }
        assert!(["a", "A-1_2.3~", &long[1..]].iter().all(|id| check(id).is_ok()));
        assert_ne!(id_of_key("a"), id_of_key("b"));
        assert!(check(&id_of_key("any text\n")).is_ok());
    }

    #[test]
    fn the_order_of_members_is_no_difference() {
        let one = json!({"a": 1, "b": [1, {"c": null, "d": "x"}]});
        let same = json!({"b": [1, {"d": "x", "c": null}], "a": 1});
        assert_eq!(digest(&one), digest(&same));
        for other in [
            json!({"a": 1, "b": [{"c": null, "d": "x"}, 1]}),
            json!({"a": 1}),
            json!({"a": "1", "b": [1, {"c": null, "d": "x"}]}),
            json!([["a", "b"]]),
            json!([["a"], "b"]),
        ] {
            assert_ne!(digest(&one), digest(&other), "{other}");
        }
        assert_ne!(digest(&json!([["a"], "b"])), digest(&json!([["a", "b"]])));
    }
}
