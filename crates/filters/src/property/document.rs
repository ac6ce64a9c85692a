//! The parts of a JSON text that conditions are about.
//!
//! The whole text is read once, since only a text that is JSON to its end has parts, and of several
//! members with one name the last counts, as for functions. Nothing of it is kept but where the wanted
//! parts lie; however deep it is nested, no more than a path's names are followed.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as _, Deserializer as _};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::constant;

/// The parts that are wanted, by the names that lead to them.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// The conditions that are about this part, by number.
    conditions: Vec<usize>,
    below: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    /// The element of a list that it means as well.
    element: Option<usize>,
    paths: Paths,
}

impl Paths {
    /// Wants the part at the end of `names` for a condition.
    pub(super) fn add(&mut self, names: &[String], condition: usize) {
        let Some((name, names)) = names.split_first() else {
            return self.conditions.push(condition);
        };
        let known = self.below.iter_mut().position(|step| step.name == *name);
        let at = known.unwrap_or_else(|| {
            let element = name.parse().ok().filter(|at: &usize| at.to_string() == *name);
            let (name, paths) = (name.clone(), Self::default());
            self.below.push(Step { name, element, paths });
            self.below.len() - 1
        });
        if let Some(step) = self.below.get_mut(at) {
            step.paths.add(names, condition);
        }
    }

    /// Gives `met` the parts of a text with the conditions that are about them; nothing of a text that
    /// is no JSON.
    pub(super) fn walk<'d>(&self, json: &'d str, met: &mut dyn FnMut(usize, &'d str)) {
        // All that can go wrong is that it is no JSON.
        let _ = self.read(json.trim_matches([' ', '\t', '\n', '\r']), met);
    }

    fn read<'d>(
        &self,
        json: &'d str,
        met: &mut dyn FnMut(usize, &'d str),
    ) -> serde_json::Result<()> {
        let mut reader = Deserializer::from_str(json);
        let parts = match json.as_bytes().first() {
            Some(b'{') if !self.below.is_empty() => reader.deserialize_map(Parts(&self.below))?,
            Some(b'[') if !self.below.is_empty() => reader.deserialize_seq(Parts(&self.below))?,
            _ => <&RawValue>::deserialize(&mut reader).map(|_| Vec::new())?,
        };
        reader.end()?;
        self.meet(json, met);
        for (step, part) in self.below.iter().zip(parts) {
            match part {
                Some(part) if step.paths.below.is_empty() => step.paths.meet(part, met),
                Some(part) => step.paths.read(part, met)?,
                None => {}
            }
        }
        Ok(())
    }

    fn meet<'d>(&self, part: &'d str, met: &mut dyn FnMut(usize, &'d str)) {
        self.conditions.iter().for_each(|condition| met(*condition, part));
    }
}

/// Finds the parts that steps lead to.
struct Parts<'s>(&'s [Step]);

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = vec![None; self.0.len()];
        while let Some(name) = map.next_key::<&RawValue>()? {
            // A name with half a surrogate is none that a query has.
            let name = constant::text(name.get());
            let wanted = |step: &Step| name.as_deref() == Some(step.name.as_bytes());
            match parts.get_mut(self.0.iter().position(wanted).unwrap_or(usize::MAX)) {
                Some(part) => *part = Some(map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(parts)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut parts = vec![None; self.0.len()];
        for at in 0.. {
            let wanted = |step: &Step| step.element == Some(at);
            match parts.get_mut(self.0.iter().position(wanted).unwrap_or(usize::MAX)) {
                Some(part) => match list.next_element::<&RawValue>()? {
                    Some(element) => *part = Some(element.get()),
                    None => break,
                },
                None if list.next_element::<IgnoredAny>()?.is_none() => break,
                None => {}
            }
        }
        Ok(parts)
    }
}
