//! Documents as JSON values. A member that is there twice is refused: one of the two was not meant.

use std::fmt;

use mapring_mapred::json_text;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::problem::{Invalid, words};

/// Reads a document as people write it: what `/mapred` takes beside strict JSON is taken here too.
pub(crate) fn read(body: &[u8]) -> Result<Value, Invalid> {
    let text = json_text(body).map_err(|rejection| Invalid::one("", words(&rejection)))?;
    let mut json = serde_json::Deserializer::from_str(text.get());
    Once.deserialize(&mut json).map_err(|error| Invalid::one("", error.to_string()))
}

/// Reads a value whose objects have each member once.
struct Once;

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is too large"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Once)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object.next_value_seed(Once)?;
            if members.contains_key(&name) {
                let name = mapring_types::quote(&name);
                return Err(A::Error::custom(format!("the member \"{name}\" is there twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"x\n"],"b":{"c":{}},}"#;
        let expect = serde_json::json!({
            "a": [null, true, -1, u64::MAX, 1.5, "x\n"], "b": {"c": {}}
        });
        assert_eq!(read(text.as_bytes()), Ok(expect));
    }

    #[test]
    fn what_is_not_meant_is_refused() {
        for (text, said) in [
            ("", "there is no query"),
            ("{", "no JSON"),
            (r#"{"a":1,"b":{"c":1,"c":2}}"#, "the member \"c\" is there twice"),
            (r#"{"a":1e999}"#, "out of range"),
        ] {
            let refused = read(text.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains(said), "{text}: {refused}");
        }
    }
}
