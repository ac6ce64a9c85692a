//! Bucket properties: Riak's names, forms and defaults.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::limits;
use crate::quorum::Quorum;

/// The properties of a bucket or bucket type, as the coordinator uses them, plus those that are
/// only kept and shown.
#[derive(Debug, Clone, PartialEq)]
pub struct BucketProps {
    /// Number of replicas.
    pub n_val: u32,
    /// Whether concurrent writes are kept as siblings.
    pub allow_mult: bool,
    /// Whether causality is ignored and the newest time wins.
    pub last_write_wins: bool,
    /// Default of `r`.
    pub r: Quorum,
    /// Default of `w`.
    pub w: Quorum,
    /// Default of `dw`.
    pub dw: Quorum,
    /// Default of `rw`.
    pub rw: Quorum,
    /// Default of `pr`.
    pub pr: Quorum,
    /// Default of `pw`.
    pub pw: Quorum,
    /// Whether a read gives up as soon as a majority reported not-found.
    pub basic_quorum: bool,
    /// Whether a missing replica counts as an answer.
    pub notfound_ok: bool,
    /// All other properties as JSON, by name. Shared: every request looks at its bucket's properties,
    /// and none at these.
    pub other: Arc<Map<String, Value>>,
}

/// What all buckets have in common of what is only kept and shown.
static OTHER: LazyLock<Arc<Map<String, Value>>> = LazyLock::new(|| {
    let other = json!({
        "big_vclock": 50,
        "chash_keyfun": {"mod": "riak_core_util", "fun": "chash_std_keyfun"},
        "dvv_enabled": false,
        "linkfun": {"mod": "riak_kv_wm_link_walker", "fun": "mapreduce_linkfun"},
        "old_vclock": 86400,
        "postcommit": [],
        "precommit": [],
        "small_vclock": 50,
        "write_once": false,
        "young_vclock": 20,
    });
    Arc::new(other.as_object().cloned().unwrap_or_default())
});

/// The words of the data types that there are.
pub const DATATYPES: [&str; 5] = ["counter", "set", "map", "gset", "hll"];

/// The precision of HyperLogLogs where a bucket does not say.
pub const HLL_PRECISION: u8 = 14;

/// Which properties were refused, and why in one word each.
pub type PropErrors = BTreeMap<String, String>;

/// A set of changed properties, checked: names and JSON values, as kept in the cluster's metadata.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PropChanges(pub Map<String, Value>);

impl Default for BucketProps {
    /// The defaults of untyped buckets.
    fn default() -> Self {
        Self {
            n_val: 3,
            allow_mult: false,
            last_write_wins: false,
            r: Quorum::Majority,
            w: Quorum::Majority,
            dw: Quorum::Majority,
            rw: Quorum::Majority,
            pr: Quorum::Count(0),
            pw: Quorum::Count(0),
            basic_quorum: false,
            notfound_ok: true,
            other: OTHER.clone(),
        }
    }
}

impl BucketProps {
    /// The defaults of created bucket types: siblings are kept.
    pub fn typed() -> Self {
        let mut props = Self { allow_mult: true, ..Self::default() };
        Arc::make_mut(&mut props.other).insert("dvv_enabled".into(), true.into());
        props
    }

    /// Which data type the objects of the bucket are, by its word; `None` for ordinary ones.
    pub fn datatype(&self) -> Option<&str> {
        self.other.get("datatype")?.as_str()
    }

    /// The precision of new HyperLogLogs.
    pub fn hll_precision(&self) -> u8 {
        let given = self.other.get("hll_precision").and_then(Value::as_u64);
        given.and_then(|given| u8::try_from(given).ok()).unwrap_or(HLL_PRECISION)
    }

    /// These properties with `changes` laid over them. Changes must have passed [`check`].
    #[must_use]
    pub fn with(mut self, changes: &PropChanges) -> Self {
        for (name, value) in &changes.0 {
            self.set(name, value);
        }
        self
    }

    fn set(&mut self, name: &str, value: &Value) {
        let flag = value.as_bool().unwrap_or_default();
        let quorum = Quorum::from_json(value).unwrap_or_default();
        match name {
            "n_val" => {
                self.n_val = value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(3);
            }
            "allow_mult" => self.allow_mult = flag,
            "last_write_wins" => self.last_write_wins = flag,
            "basic_quorum" => self.basic_quorum = flag,
            "notfound_ok" => self.notfound_ok = flag,
            "r" => self.r = quorum,
            "w" => self.w = quorum,
            "dw" => self.dw = quorum,
            "rw" => self.rw = quorum,
            "pr" => self.pr = quorum,
            "pw" => self.pw = quorum,
            other => {
                Arc::make_mut(&mut self.other).insert(other.to_owned(), value.clone());
            }
        }
    }

    /// All properties as the value of `"props"`, `name` first.
    pub fn to_json(&self, name: &str) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("name".into(), name.into());
        let mut sorted: BTreeMap<String, Value> =
            self.other.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in [
            ("n_val", Value::from(self.n_val)),
            ("allow_mult", self.allow_mult.into()),
            ("last_write_wins", self.last_write_wins.into()),
            ("basic_quorum", self.basic_quorum.into()),
            ("notfound_ok", self.notfound_ok.into()),
            ("r", self.r.to_json()),
            ("w", self.w.to_json()),
            ("dw", self.dw.to_json()),
            ("rw", self.rw.to_json()),
            ("pr", self.pr.to_json()),
            ("pw", self.pw.to_json()),
        ] {
            sorted.insert(name.to_owned(), value);
        }
        out.extend(sorted);
        out
    }
}

/// The form that a property must have.
enum Form {
    Boolean,
    Positive,
    Count,
    Precision,
    Quorum,
    Hooks,
    Text,
    Any,
}

fn form(name: &str) -> Form {
    match name {
        "allow_mult" | "last_write_wins" | "basic_quorum" | "notfound_ok" | "dvv_enabled"
        | "write_once" | "search" | "consistent" => Form::Boolean,
        "n_val" => Form::Positive,
        "old_vclock" | "young_vclock" | "big_vclock" | "small_vclock" | "node_confirms" => {
            Form::Count
        }
        "hll_precision" => Form::Precision,
        "r" | "w" | "dw" | "rw" | "pr" | "pw" => Form::Quorum,
        "precommit" | "postcommit" => Form::Hooks,
        "backend" | "search_index" | "datatype" | "sync_on_write" => Form::Text,
        _ => Form::Any,
    }
}

/// Checks a client's `"props"` object. `name` is ignored, as Riak does. One bad property refuses
/// all.
///
/// # Errors
/// The refused properties with Riak's word for each (`not_boolean`, `not_integer`, …).
pub fn check(props: &Map<String, Value>) -> Result<PropChanges, PropErrors> {
    let mut changes = Map::new();
    let mut errors = PropErrors::new();
    for (name, value) in props {
        if name == "name" {
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

fn check_one(name: &str, value: &Value) -> Result<Value, &'static str> {
    match form(name) {
        Form::Boolean => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(word) if word == "true" => Ok(true.into()),
            Value::String(word) if word == "false" => Ok(false.into()),
            _ => Err("not_boolean"),
        },
        Form::Positive => {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or("not_integer")?;
            let known = limits::N_VAL.contains(&number);
            if known { Ok(value.clone()) } else { Err("out_of_range") }
        }
        Form::Precision => {
            let number = value.as_u64().and_then(|n| u8::try_from(n).ok()).ok_or("not_integer")?;
            let known = limits::HLL_PRECISION.contains(&number);
            if known { Ok(value.clone()) } else { Err("out_of_range") }
        }
        Form::Count => value.as_u64().map(Value::from).ok_or("not_integer"),
        Form::Quorum => Quorum::from_json(value).map(Quorum::to_json).ok_or("not_valid_quorum"),
        Form::Hooks => match value {
            Value::Array(hooks) if hooks.iter().all(Value::is_object) => Ok(value.clone()),
            _ => Err("not_list_of_hooks"),
        },
        Form::Text => value.as_str().map(Value::from).ok_or("not_string"),
        Form::Any => Ok(value.clone()),
    }
}

/// What becomes of a property on which nothing acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheeded {
    /// Whoever sets it relies on it: it is refused, for this reason.
    Refused(&'static str),
    /// It is stored and shown.
    Stored,
}

/// Whether nothing acts on a property with this value, which has passed [`check`]. Values that say no
/// more than what is so anyway are heeded: clients write back all the properties that they have read,
/// here or from Riak.
pub fn unheeded(name: &str, value: &Value) -> Option<Unheeded> {
    let refused = |why| Some(Unheeded::Refused(why));
    match (name, value) {
        ("n_val" | "allow_mult" | "last_write_wins" | "basic_quorum" | "notfound_ok", _)
        | ("r" | "w" | "dw" | "rw" | "pr" | "pw", _)
        // Values always carry what tells siblings apart.
        | ("dvv_enabled" | "claimant", _)
        | ("search" | "consistent" | "repl", Value::Bool(false))
        | ("active", Value::Bool(true)) => None,
        ("search_index", Value::String(none)) if none == "_dont_index_" => None,
        ("sync_on_write", Value::String(word)) if word == "backend" || word == "default" => None,
        ("node_confirms", Value::Number(number)) if number.as_u64() == Some(0) => None,
        // What is none of them is refused where a bucket type is created.
        ("datatype" | "hll_precision", _) => None,
        _ if OTHER.get(name) == Some(value) => None,
        ("precommit" | "postcommit", _) => refused("hooks are not run here"),
        ("consistent", _) => refused("strong consistency is not offered"),
        _ => Some(Unheeded::Stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn good_changes_are_normalised() {
        let changes =
            check(&object(json!({"name": "b", "allow_mult": "true", "r": 2, "w": "all"}))).unwrap();
        let props = BucketProps::default().with(&changes);
        assert!(props.allow_mult);
        assert_eq!(props.r, Quorum::Count(2));
        assert_eq!(props.w, Quorum::All);
        assert_eq!(props.to_json("b")["name"], "b");
        assert_eq!(props.to_json("b")["r"], 2);
    }

    #[test]
    fn what_nobody_acts_on_is_known() {
        let unheeded = |name: &str, value: Value| unheeded(name, &value);
        for props in [BucketProps::default(), BucketProps::typed()] {
            for (name, value) in props.to_json("b").into_iter().filter(|(name, _)| name != "name") {
                assert_eq!(unheeded(&name, value), None, "{name} written back");
            }
        }
        let hook = json!([{"mod": "m", "fun": "f"}]);
        for (name, value) in
            [("precommit", hook.clone()), ("postcommit", hook), ("consistent", json!(true))]
        {
            assert!(matches!(unheeded(name, value), Some(Unheeded::Refused(_))), "{name}");
        }
        for (name, value) in
            [("backend", json!("x")), ("big_vclock", json!(10)), ("zork", json!(1))]
        {
            assert_eq!(unheeded(name, value), Some(Unheeded::Stored), "{name}");
        }
    }

    #[track_caller]
    fn refused(props: Value, word: &str) {
        let errors = check(&object(props.clone())).unwrap_err();
        assert_eq!(errors.values().collect::<Vec<_>>(), [word], "{props}");
    }

    #[test]
    fn bad_changes_are_named() {
        refused(json!({"n_val": "3", "allow_mult": true}), "not_integer");
        refused(json!({"n_val": 0}), "out_of_range");
        refused(json!({"allow_mult": "maybe"}), "not_boolean");
        refused(json!({"r": "some"}), "not_valid_quorum");
        refused(json!({"r": "2"}), "not_valid_quorum");
        refused(json!({"precommit": [1]}), "not_list_of_hooks");
        refused(json!({"hll_precision": "14"}), "not_integer");
        refused(json!({"hll_precision": 3}), "out_of_range");
        refused(json!({"hll_precision": 17}), "out_of_range");
        refused(json!({"datatype": true}), "not_string");
    }
}
