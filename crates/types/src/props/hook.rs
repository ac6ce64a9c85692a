//! Hooks: functions that a bucket has called at each write (fact R279).

use serde_json::Value;

/// A function in JavaScript that is called before or after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Where it is.
    pub code: HookCode,
    /// Its second argument as JSON, where it has one.
    pub arg: Option<String>,
}

/// Where the function of a hook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookCode {
    /// A path to a function that workers have, such as `Checks.json`: Riak's form.
    Named(String),
    /// An expression that gives a function.
    Source(String),
    /// The value of an object is such an expression.
    Stored {
        /// Its bucket, of the type `default`.
        bucket: String,
        /// Its key.
        key: String,
    },
}

impl Hook {
    /// Reads a hook: `{"name":F}`, `{"source":S}` or `{"bucket":B,"key":K}`, with or without `"arg"` and
    /// `"language":"javascript"`. `None` of any other, such as one in Erlang.
    pub fn read(hook: &Value) -> Option<Self> {
        let text = |name: &str| hook.get(name).and_then(Value::as_str).map(str::to_owned);
        if hook.get("language").is_some_and(|language| language != "javascript") {
            return None;
        }
        let code = if let Some(name) = text("name") {
            HookCode::Named(Some(name).filter(|name| is_path(name))?)
        } else if let Some(source) = text("source") {
            HookCode::Source(source)
        } else {
            HookCode::Stored { bucket: text("bucket")?, key: text("key")? }
        };
        Some(Self { code, arg: hook.get("arg").map(Value::to_string) })
    }

    /// Whether this is a hook, of those that run here or those that Riak has.
    pub(super) fn is_known_form(hook: &Value) -> bool {
        let is_text = |name: &str| hook.get(name).is_some_and(Value::is_string);
        Self::read(hook).is_some() || (is_text("mod") && is_text("fun"))
    }

    /// What it is called in messages.
    pub fn title(&self) -> String {
        match &self.code {
            HookCode::Named(name) => name.clone(),
            HookCode::Source(_) => "a source".to_owned(),
            HookCode::Stored { bucket, key } => format!("{bucket}/{key}"),
        }
    }
}

/// Whether a text is a name of JavaScript, or several with points between them.
fn is_path(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    name.split('.').all(|part| {
        part.chars().all(is_letter) && part.chars().next().is_some_and(|first| !first.is_numeric())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hooks_are_read() {
        let named = |name: &str| HookCode::Named(name.into());
        let stored = || HookCode::Stored { bucket: "b".into(), key: "k".into() };
        for (hook, code) in [
            (json!({"name": "Checks.json"}), Some(named("Checks.json"))),
            (json!({"name": "$f_1", "language": "javascript"}), Some(named("$f_1"))),
            (json!({"source": "x => x"}), Some(HookCode::Source("x => x".into()))),
            (json!({"bucket": "b", "key": "k"}), Some(stored())),
            (json!({"bucket": "b"}), None),
            (json!({"name": "f(); g"}), None),
            (json!({"name": "1f"}), None),
            (json!({"name": ""}), None),
            (json!({"name": "a..b"}), None),
            (json!({"name": "f", "language": "erlang"}), None),
            (json!({"mod": "m", "fun": "f"}), None),
            (json!("f"), None),
            (json!(null), None),
        ] {
            assert_eq!(Hook::read(&hook).map(|hook| hook.code), code, "{hook}");
        }
        let hook = Hook::read(&json!({"name": "f", "arg": {"a": 1}})).unwrap();
        assert_eq!((hook.arg.as_deref(), hook.title().as_str()), (Some(r#"{"a":1}"#), "f"));
        assert!(Hook::is_known_form(&json!({"mod": "m", "fun": "f"})));
        assert!(!Hook::is_known_form(&json!({"mod": "m"})));
    }
}
