//! What may not change of a bucket or a bucket type that exists (facts R31, R277).

use serde_json::Value;

use super::check::together;
use super::{BucketProps, PropChanges, PropErrors};

/// What is said of a precision that cannot be.
pub(super) const PRECISION: &str =
    "hll_precision is an integer from 4 to 16, and can be made smaller but never larger";

/// What it is that has properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// A bucket of the type `default`.
    UntypedBucket,
    /// A bucket of a type that was created.
    TypedBucket,
    /// A bucket type.
    Type,
}

/// Whether what has the properties `present` may be changed so.
///
/// # Errors
/// The properties that may not, each with the reason, in Riak's words where it has some.
pub fn check_update(
    present: &BucketProps,
    changes: &PropChanges,
    existing: Existing,
) -> Result<(), PropErrors> {
    let after = present.clone().with(changes);
    let mut errors = together(&after);
    errors.extend(needed_by_datatype(present, &after));
    for (name, new) in &changes.0 {
        if let Some(text) = fixed(present, name, new, existing) {
            errors.insert(name.clone(), text);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What data types need of the properties of what exists, and would be taken from them (fact R202).
fn needed_by_datatype(present: &BucketProps, after: &BucketProps) -> PropErrors {
    let mut errors = PropErrors::new();
    if present.datatype().is_none() {
        return errors;
    }
    if present.allow_mult && !after.allow_mult {
        let text = "Cannot change datatype bucket from allow_mult=true";
        errors.insert("allow_mult".to_owned(), text.to_owned());
    }
    if !present.last_write_wins && after.last_write_wins {
        let text = "Cannot change datatype bucket from last_write_wins=false";
        errors.insert("last_write_wins".to_owned(), text.to_owned());
    }
    errors
}

/// Why a property cannot become `new`.
fn fixed(present: &BucketProps, name: &str, new: &Value, existing: Existing) -> Option<String> {
    let now = present.other.get(name);
    let is_set = now == Some(&Value::Bool(true));
    let same = now == Some(new) || (*new == Value::Bool(false) && !is_set && name != "active");
    match name {
        _ if same => None,
        "datatype" => Some("Cannot update datatype on existing bucket".to_owned()),
        "consistent" => Some("cannot update consistent property".to_owned()),
        "write_once" if is_set => {
            Some("Cannot modify write_once property once set to true".to_owned())
        }
        "write_once" if existing == Existing::UntypedBucket => {
            Some("cannot update write_once property".to_owned())
        }
        "write_once" => Some("Cannot set existing bucket type to `write_once`".to_owned()),
        "hll_precision" => {
            // What is there was counted with the lower one.
            let grows = new.as_u64() > Some(u64::from(present.hll_precision()));
            let counts = now.is_some() || present.datatype().is_some();
            (counts && grows).then(|| PRECISION.to_owned())
        }
        "active" => {
            let ends = *new == Value::Bool(false) && present.is_active();
            (ends && existing == Existing::Type)
                .then(|| "a bucket type that is active stays so".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(value: Value) -> PropChanges {
        PropChanges(value.as_object().cloned().unwrap())
    }

    #[track_caller]
    fn check(present: Value, new: Value, existing: Existing, expect: Value) {
        let base = match existing {
            Existing::UntypedBucket => BucketProps::default(),
            _ => BucketProps::typed(),
        };
        let errors = check_update(&base.with(&changes(present)), &changes(new), existing);
        assert_eq!(json!(errors.err().unwrap_or_default()), expect);
    }

    #[test]
    fn what_cannot_change_is_named() {
        use Existing::{Type, TypedBucket, UntypedBucket};
        check(json!({}), json!({"n_val": 2, "write_once": false}), UntypedBucket, json!({}));
        let text = "cannot update write_once property";
        check(json!({}), json!({"write_once": true}), UntypedBucket, json!({ "write_once": text }));
        let text = "Cannot set existing bucket type to `write_once`";
        check(json!({}), json!({"write_once": true}), Type, json!({ "write_once": text }));
        let once = json!({"write_once": true});
        check(once.clone(), once.clone(), TypedBucket, json!({}));
        let text = "Cannot modify write_once property once set to true";
        check(once, json!({"write_once": false}), TypedBucket, json!({ "write_once": text }));
        let text = "cannot update consistent property";
        check(json!({}), json!({"consistent": true}), Type, json!({ "consistent": text }));
        check(json!({}), json!({"consistent": false}), Type, json!({}));
        let map = json!({"datatype": "map"});
        let text = "Cannot update datatype on existing bucket";
        check(map.clone(), json!({"datatype": "set"}), Type, json!({ "datatype": text }));
        let text = "Cannot update datatype on existing bucket";
        check(json!({}), map.clone(), UntypedBucket, json!({ "datatype": text }));
        check(map.clone(), map, TypedBucket, json!({}));
        let twelve = json!({"hll_precision": 12});
        check(twelve.clone(), json!({"hll_precision": 11}), Type, json!({}));
        check(twelve.clone(), twelve.clone(), Type, json!({}));
        let expect = json!({ "hll_precision": PRECISION });
        check(twelve, json!({"hll_precision": 13}), Type, expect);
        check(json!({"active": false}), json!({"active": true}), Type, json!({}));
        let expect = json!({"active": "a bucket type that is active stays so"});
        check(json!({}), json!({"active": false}), Type, expect);
        let text = "If last_write_wins is true, dvv_enabled must be false";
        check(json!({}), json!({"last_write_wins": true}), Type, json!({ "dvv_enabled": text }));
        check(json!({}), json!({"last_write_wins": true}), UntypedBucket, json!({}));
    }
}
