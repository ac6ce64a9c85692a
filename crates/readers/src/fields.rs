//! Each field of a JSON object as a document, under its name as the key.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::cursor::{OVER, Places};
use crate::documents::{Documents, Position, stop};
use crate::error::Pull;
use crate::held::Held;

/// The layer.
pub(crate) struct Fields {
    inner: Held,
    open: bool,
    over: bool,
    from: u64,
    fields: Vec<(String, String)>,
    next: usize,
    taken: usize,
}

impl Fields {
    pub(crate) fn new(inner: Box<dyn Documents>) -> Self {
        Self {
            inner: Held::new(inner),
            open: false,
            over: false,
            from: 0,
            fields: Vec::new(),
            next: 0,
            taken: 0,
        }
    }

    fn open(&mut self) -> Pull<bool> {
        if !self.inner.next()? {
            return Ok(false);
        }
        let from = std::mem::take(&mut self.from);
        (self.open, self.over, self.next) = (true, from == OVER, 0);
        self.fields.clear();
        if self.over {
            return Ok(true);
        }
        match read(self.inner.bytes()) {
            Ok(fields) => self.fields = fields,
            Err(error) => {
                self.over = true;
                let message = format!("here should be a JSON object: {error}");
                return stop(&self.inner, 0, message);
            }
        }
        self.next = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(true)
    }

    fn current(&self) -> Option<&(String, String)> {
        self.fields.get(self.next.checked_sub(1)?)
    }
}

impl Documents for Fields {
    fn below(&self) -> Option<&dyn Documents> {
        Some(&self.inner)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Documents> {
        Some(&mut self.inner)
    }

    fn next(&mut self) -> Pull<bool> {
        self.taken = 0;
        loop {
            if !self.open && !self.open()? {
                return Ok(false);
            }
            if !self.over && self.next < self.fields.len() {
                self.next += 1;
                return Ok(true);
            }
            self.open = false;
        }
    }

    fn fill(&mut self) -> Pull<bool> {
        Ok(!self.bytes().is_empty())
    }

    fn bytes(&self) -> &[u8] {
        self.current().map_or(&[], |(_, value)| &value.as_bytes()[self.taken..])
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }

    fn at(&self) -> u64 {
        self.taken as u64
    }

    fn names(&self, within: &mut Vec<String>) {
        self.inner.names(within);
        if let Some((name, _)) = self.current() {
            within.push(format!("field {}", crate::documents::quoted(name)));
        }
    }

    fn position(&self, position: &mut Position) {
        self.inner.position(position);
        position.number("index", self.next.saturating_sub(1) as u64);
    }

    fn key(&self) -> Option<&str> {
        self.current().map(|(name, _)| name.as_str())
    }

    fn place(&self, places: &mut Vec<u64>) {
        self.inner.place(places);
        places.push(self.next as u64);
    }

    fn place_after(&self, places: &mut Vec<u64>) {
        if self.open {
            self.inner.place(places);
            places.push(if self.over { OVER } else { self.next as u64 + 1 });
        } else {
            self.inner.place_after(places);
            places.push(self.from);
        }
    }

    fn resume(&mut self, places: &mut Places) {
        self.inner.resume(places);
        self.from = places.take().unwrap_or(0);
    }
}

/// The fields in their order: texts as they are, other values as JSON.
fn read(bytes: &[u8]) -> serde_json::Result<Vec<(String, String)>> {
    let whole: &RawValue = serde_json::from_slice(bytes)?;
    serde_json::Deserializer::from_str(whole.get()).deserialize_map(FieldVisitor)
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            let text = serde_json::from_str(value.get());
            fields.push((name, text.unwrap_or_else(|_| value.get().to_owned())));
        }
        Ok(fields)
    }
}
