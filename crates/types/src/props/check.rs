//! What the value of a property must be, in Riak's words where it is not.

use serde_json::{Map, Value};

use super::hook::Hook;
use super::{BucketProps, DATATYPES, PropChanges, PropErrors};
use crate::limits;
use crate::quorum::{Quorum, SyncOnWrite};

/// The form that a property must have.
enum Form {
    Boolean,
    NVal,
    Positive,
    Count,
    /// A quorum that is at least one replica.
    Quorum,
    /// A quorum that may be none.
    OptionalQuorum,
    Sync,
    Hooks,
    Precision,
    Text,
    Any,
}

fn form(name: &str) -> Form {
    match name {
        "allow_mult" | "last_write_wins" | "basic_quorum" | "notfound_ok" | "stat_tracked"
        | "dvv_enabled" | "write_once" | "search" | "consistent" | "active" => Form::Boolean,
        "n_val" => Form::NVal,
        "old_vclock" | "big_vclock" | "small_vclock" => Form::Positive,
        "young_vclock" => Form::Count,
        "r" | "w" | "rw" => Form::Quorum,
        "dw" | "pr" | "pw" | "node_confirms" => Form::OptionalQuorum,
        "sync_on_write" => Form::Sync,
        "precommit" | "postcommit" => Form::Hooks,
        "hll_precision" => Form::Precision,
        "backend" | "search_index" | "datatype" => Form::Text,
        _ => Form::Any,
    }
}

/// Checks a client's `"props"` object. `name` is ignored, and so is who claims a type. One bad property
/// refuses all.
///
/// # Errors
/// The refused properties with Riak's word for each (`not_boolean`, `not_integer`, …): fact R275.
pub fn check(props: &Map<String, Value>) -> Result<PropChanges, PropErrors> {
    let mut changes = Map::new();
    let mut errors = PropErrors::new();
    for (name, value) in props {
        if name == "name" || name == "claimant" {
            continue;
        }
        match check_one(name, value) {
            Ok(value) => {
                changes.insert(name.clone(), value);
            }
            Err(word) => {
                errors.insert(name.clone(), word.to_owned());
            }
        }
    }
    if errors.is_empty() { Ok(PropChanges(changes)) } else { Err(errors) }
}

/// As [`check`], of a bucket type that is to be created.
///
/// # Errors
/// As [`check`], and what does not go together.
pub fn check_new(props: &Map<String, Value>) -> Result<PropChanges, PropErrors> {
    let changes = check(props)?;
    let props = BucketProps::typed().with(&changes);
    let mut errors = together(&props);
    errors.extend(unfit_for_datatype(&props));
    if errors.is_empty() { Ok(changes) } else { Err(errors) }
}

/// What is wrong with the properties of a new bucket type for the data type that it is to have (fact R202).
fn unfit_for_datatype(props: &BucketProps) -> PropErrors {
    let mut errors = PropErrors::new();
    let Some(word) = props.datatype() else { return errors };
    if !DATATYPES.contains(&word) {
        let text = format!("{word} not supported for bucket datatype property");
        errors.insert("datatype".to_owned(), text);
    }
    if !props.allow_mult {
        let text = "Data Type buckets must be allow_mult=true";
        errors.insert("allow_mult".to_owned(), text.to_owned());
    }
    if props.last_write_wins {
        let text = "Data Type buckets must be last_write_wins=false";
        errors.insert("last_write_wins".to_owned(), text.to_owned());
    }
    errors
}

/// What of properties does not go together: fact R276.
pub(super) fn together(props: &BucketProps) -> PropErrors {
    let mut errors = PropErrors::new();
    if props.last_write_wins && props.other.get("dvv_enabled") == Some(&Value::Bool(true)) {
        let text = "If last_write_wins is true, dvv_enabled must be false";
        errors.insert("dvv_enabled".to_owned(), text.to_owned());
    }
    errors
}

/// A boolean as Riak takes it: also as text in any case, and as a number that is above zero or not.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) if word.eq_ignore_ascii_case("true") => Some(true),
        Value::String(word) if word.eq_ignore_ascii_case("false") => Some(false),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            Some(number.as_i64().is_none_or(|number| number > 0))
        }
        _ => None,
    }
}

fn check_one(name: &str, value: &Value) -> Result<Value, &'static str> {
    match form(name) {
        Form::Boolean => boolean(value).map(Value::from).ok_or("not_boolean"),
        Form::NVal => {
            let number = value.as_u64().filter(|number| *number > 0).ok_or("not_integer")?;
            let known = u32::try_from(number).is_ok_and(|n_val| limits::N_VAL.contains(&n_val));
            if known { Ok(value.clone()) } else { Err("out_of_range") }
        }
        Form::Positive => {
            let number = value.as_u64().filter(|number| *number > 0);
            number.map(Value::from).ok_or("not_integer")
        }
        Form::Count => value.as_u64().map(Value::from).ok_or("not_integer"),
        Form::Quorum => {
            let quorum = Quorum::from_json(value).filter(|quorum| *quorum != Quorum::Count(0));
            quorum.map(Quorum::to_json).ok_or("not_valid_quorum")
        }
        Form::OptionalQuorum => {
            Quorum::from_json(value).map(Quorum::to_json).ok_or("not_valid_quorum")
        }
        Form::Sync => {
            let sync = value.as_str().and_then(SyncOnWrite::parse);
            sync.map(|sync| sync.word().into()).ok_or("not_valid_sync_param")
        }
        Form::Hooks => match value {
            Value::Array(hooks) if hooks.len() > limits::HOOKS => Err("too_many_hooks"),
            Value::Array(hooks) if hooks.iter().all(Hook::is_known_form) => Ok(value.clone()),
            // As Riak takes it for none.
            Value::String(word) if word == "none" => Ok(Value::Array(Vec::new())),
            _ => Err("not_list_of_hooks"),
        },
        Form::Precision => match value.as_u64() {
            Some(given)
                if u8::try_from(given).is_ok_and(|p| limits::HLL_PRECISION.contains(&p)) =>
            {
                Ok(value.clone())
            }
            _ => Err(super::fixed::PRECISION),
        },
        Form::Text => value.as_str().map(Value::from).ok_or("not_string"),
        Form::Any => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[track_caller]
    fn refused(props: Value, word: &str) {
        let errors = check(&object(props.clone())).unwrap_err();
        assert_eq!(errors.values().collect::<Vec<_>>(), [word], "{props}");
    }

    #[test]
    fn bad_changes_are_named() {
        refused(json!({"n_val": "3", "allow_mult": true}), "not_integer");
        for bad in [json!(0), json!(-1), json!(2.5), json!(null), json!([3])] {
            refused(json!({ "n_val": bad }), "not_integer");
            refused(json!({ "big_vclock": bad }), "not_integer");
        }
        refused(json!({"n_val": 65}), "out_of_range");
        for bad in [json!("maybe"), json!(1.5), json!(null), json!({})] {
            refused(json!({ "allow_mult": bad }), "not_boolean");
        }
        for bad in [json!("some"), json!("2"), json!(0), json!(-1), json!(true)] {
            refused(json!({ "r": bad }), "not_valid_quorum");
        }
        refused(json!({"dw": -1}), "not_valid_quorum");
        refused(json!({"node_confirms": "many"}), "not_valid_quorum");
        refused(json!({"sync_on_write": "sometimes"}), "not_valid_sync_param");
        refused(json!({"sync_on_write": true}), "not_valid_sync_param");
        refused(json!({"precommit": [1]}), "not_list_of_hooks");
        refused(json!({"precommit": [{"zork": 1}]}), "not_list_of_hooks");
        refused(json!({"postcommit": "x"}), "not_list_of_hooks");
        refused(json!({"hll_precision": 17}), super::super::fixed::PRECISION);
        refused(json!({"hll_precision": 3}), super::super::fixed::PRECISION);
    }

    #[test]
    fn values_are_taken_in_all_their_forms() {
        for (given, expect) in [
            (json!({"allow_mult": "TRUE"}), json!({"allow_mult": true})),
            (json!({"allow_mult": 0}), json!({"allow_mult": false})),
            (json!({"allow_mult": 7}), json!({"allow_mult": true})),
            (json!({"allow_mult": -7}), json!({"allow_mult": false})),
            (json!({"dw": 0, "pw": 0, "r": 10}), json!({"dw": 0, "pw": 0, "r": 10})),
            (json!({"name": 1, "claimant": 2}), json!({})),
            (json!({"sync_on_write": "default"}), json!({"sync_on_write": "backend"})),
            (json!({"precommit": "none"}), json!({"precommit": []})),
            (json!({"precommit": [{"name": "f"}]}), json!({"precommit": [{"name": "f"}]})),
        ] {
            assert_eq!(Value::Object(check(&object(given)).unwrap().0), expect);
        }
    }

    #[test]
    fn a_new_type_hangs_together() {
        let errors = check_new(&object(json!({"last_write_wins": true}))).unwrap_err();
        assert!(errors["dvv_enabled"].starts_with("If last_write_wins is true"), "{errors:?}");
        let both = json!({"last_write_wins": true, "dvv_enabled": false});
        assert!(check_new(&object(both)).is_ok());
    }
}
