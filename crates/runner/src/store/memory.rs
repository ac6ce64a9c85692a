//! A store in memory, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mapring_types::{Error, Result};
use parking_lot::Mutex;

use super::{Entry, ListQuery, Listed, MayReplace, Shelf, Store};

/// See the module. Cheap to share.
#[derive(Default)]
pub(crate) struct MemoryStore {
    things: Mutex<BTreeMap<(Shelf, String), (Bytes, Entry)>>,
    /// Whether nothing can be reached.
    pub(crate) is_away: Mutex<bool>,
}

impl MemoryStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The keys of a shelf.
    pub(crate) fn keys(&self, shelf: Shelf) -> Vec<String> {
        let things = self.things.lock();
        things.keys().filter(|(of, _)| *of == shelf).map(|(_, key)| key.clone()).collect()
    }

    fn reach(&self) -> Result<()> {
        match *self.is_away.lock() {
            true => Err(Error::unavailable("the store is away")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, shelf: Shelf, key: &str) -> Result<Option<Bytes>> {
        self.reach()?;
        let things = self.things.lock();
        Ok(things.get(&(shelf, key.to_owned())).map(|(value, _)| value.clone()))
    }

    async fn put(&self, shelf: Shelf, key: &str, value: Bytes, entry: Entry) -> Result<()> {
        self.reach()?;
        self.things.lock().insert((shelf, key.to_owned()), (value, entry));
        Ok(())
    }

    async fn replace(
        &self,
        shelf: Shelf,
        key: &str,
        value: Bytes,
        entry: Entry,
        may: &MayReplace<'_>,
    ) -> Result<()> {
        self.reach()?;
        let (mut things, place) = (self.things.lock(), (shelf, key.to_owned()));
        may(things.get(&place).map(|(value, _)| value))?;
        things.insert(place, (value, entry));
        Ok(())
    }

    async fn remove(&self, shelf: Shelf, key: &str) -> Result<bool> {
        self.reach()?;
        Ok(self.things.lock().remove(&(shelf, key.to_owned())).is_some())
    }

    async fn written_ms(&self, shelf: Shelf, key: &str) -> Result<Option<u64>> {
        self.reach()?;
        // All that it has is as old as can be.
        Ok(self.things.lock().contains_key(&(shelf, key.to_owned())).then_some(0))
    }

    async fn remove_older(&self, shelf: Shelf, key: &str, before_ms: u64) -> Result<bool> {
        if before_ms == 0 { Ok(false) } else { self.remove(shelf, key).await }
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>> {
        self.reach()?;
        let things = self.things.lock();
        let mut found = Vec::new();
        for ((shelf, key), (value, entry)) in things.iter() {
            let of_field = entry.terms.iter().filter(|(field, _)| Some(*field) == query.field);
            let mut terms: Vec<String> = of_field.map(|(_, term)| term.clone()).collect();
            if query.field.is_none() {
                terms.push(key.clone());
            }
            let wanted = |term: &String| {
                let place = (term.clone(), key.clone());
                *shelf == query.shelf
                    && (&query.from..=&query.to).contains(&term)
                    && query.after.as_ref().is_none_or(|after| place > *after)
            };
            found.extend(terms.into_iter().filter(wanted).map(|term| Listed {
                term,
                key: key.clone(),
                value: if query.brief { entry.brief.clone() } else { value.clone() },
            }));
        }
        found.sort();
        found.truncate(query.most);
        Ok(found)
    }
}
