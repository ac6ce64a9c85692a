//! Bucket properties: Riak's names, forms and defaults.
//!
//! What a client may set is looked at in `check`, what of it has no effect in `heed`, and what may not
//! change any more in `fixed`.

mod check;
mod fixed;
mod heed;
mod hook;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::quorum::{Quorum, SyncOnWrite};

pub use check::{check, check_new};
pub use fixed::{Existing, check_update};
pub use heed::{Unheeded, unheeded};
pub use hook::{Hook, HookCode};

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
    /// Distinct nodes that must take a write, or answer a read.
    pub node_confirms: Quorum,
    /// Which replicas of a write are on disk before it is acknowledged.
    pub sync_on_write: SyncOnWrite,
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
            node_confirms: Quorum::Count(0),
            sync_on_write: SyncOnWrite::Backend,
            other: OTHER.clone(),
        }
    }
}

impl BucketProps {
    /// The defaults of created bucket types: siblings are kept.
    pub fn typed() -> Self {
        let mut props = Self { allow_mult: true, ..Self::default() };
        let other = Arc::make_mut(&mut props.other);
        other.insert("dvv_enabled".into(), true.into());
        // Riak shows it of a type only where it was set.
        other.shift_remove("write_once");
        other.insert("active".into(), true.into());
        props
    }

    /// Whether a bucket type can be used: not from its creation on where that said so.
    pub fn is_active(&self) -> bool {
        self.other.get("active") != Some(&Value::Bool(false))
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

    /// The functions that are called before each write, in their order.
    pub fn precommit(&self) -> Vec<Hook> {
        self.hooks("precommit")
    }

    /// The functions that are called after each write, in their order.
    pub fn postcommit(&self) -> Vec<Hook> {
        self.hooks("postcommit")
    }

    fn hooks(&self, name: &str) -> Vec<Hook> {
        let hooks = self.other.get(name).and_then(Value::as_array);
        hooks.into_iter().flatten().filter_map(Hook::read).collect()
    }

    /// What a bucket type is set to where it is reset: a property that has no default stays, as in
    /// Riak.
    pub fn reset(set: &PropChanges) -> PropChanges {
        let defaults = Self::typed().to_json("");
        let kept = ["name", "active"];
        let names = set.0.keys().filter(|name| !kept.contains(&name.as_str()));
        let back = names.filter_map(|name| Some((name.clone(), defaults.get(name)?.clone())));
        PropChanges(back.collect())
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
            "node_confirms" => self.node_confirms = quorum,
            "sync_on_write" => {
                self.sync_on_write =
                    value.as_str().and_then(SyncOnWrite::parse).unwrap_or_default();
            }
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
            ("node_confirms", self.node_confirms.to_json()),
            ("sync_on_write", self.sync_on_write.word().into()),
        ] {
            sorted.insert(name.to_owned(), value);
        }
        out.extend(sorted);
        out
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
        let changes = json!({"name": "b", "allow_mult": "true", "r": 2, "w": "all",
                             "node_confirms": 2, "sync_on_write": "all"});
        let changes = check(&object(changes)).unwrap();
        let props = BucketProps::default().with(&changes);
        assert!(props.allow_mult);
        assert_eq!((props.r, props.w), (Quorum::Count(2), Quorum::All));
        assert_eq!(props.node_confirms, Quorum::Count(2));
        assert_eq!(props.sync_on_write, SyncOnWrite::All);
        let shown = props.to_json("b");
        assert_eq!((&shown["name"], &shown["r"]), (&json!("b"), &json!(2)));
        assert_eq!((&shown["node_confirms"], &shown["sync_on_write"]), (&json!(2), &json!("all")));
    }

    /// Fact R274.
    #[test]
    fn what_is_shown_of_a_type_is_what_riak_shows() {
        let shown = BucketProps::default().to_json("b");
        assert_eq!(
            (&shown["node_confirms"], &shown["sync_on_write"]),
            (&json!(0), &json!("backend"))
        );
        assert!(shown.contains_key("write_once") && !shown.contains_key("active"));
        let typed = BucketProps::typed().to_json("b");
        assert_eq!((&typed["active"], typed.get("write_once")), (&json!(true), None));
    }

    #[test]
    fn a_type_is_active_unless_it_says_no() {
        let with =
            |active| BucketProps::typed().with(&PropChanges(object(json!({"active": active}))));
        assert!(BucketProps::typed().is_active() && with(true).is_active());
        assert!(!with(false).is_active());
    }

    #[test]
    fn a_reset_takes_back_what_has_a_default() {
        let set = json!({"n_val": 5, "allow_mult": false, "backend": "x", "active": false});
        let back = BucketProps::reset(&PropChanges(object(set)));
        assert_eq!(Value::Object(back.0), json!({"n_val": 3, "allow_mult": true}));
    }

    #[test]
    fn hooks_are_found() {
        let hooks = json!({"precommit": [{"name": "f"}, {"mod": "m", "fun": "f"}]});
        let props = BucketProps::default().with(&PropChanges(object(hooks)));
        let named = Hook { code: HookCode::Named("f".into()), arg: None };
        assert_eq!((props.precommit(), props.postcommit()), (vec![named], vec![]));
    }
}
