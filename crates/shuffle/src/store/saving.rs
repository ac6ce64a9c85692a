//! Queries that outlive the program: how they are saved, and found again.

use std::time::Duration;

use mapring_types::Result;

use super::content::Contents;
use super::{Query, Store};
use crate::limits::SPILL_BYTES;

impl Query {
    /// Removes its files, whoever still has its contents.
    pub(super) fn remove_files(&self) {
        self.contents.lock().files().remove();
    }
}

impl Store {
    /// Saves a query: what is whole of it when this is called is there at the next start, unless the query
    /// is removed before. Costs nothing when nothing has changed since it was saved last. Does nothing in
    /// a store that keeps nothing, or when nothing of the query is here.
    ///
    /// # Errors
    /// `Storage` when files are full or fail. What was saved before still is then.
    pub fn save(&self, query: u64) -> Result<()> {
        let queries = self.0.queries.lock();
        let found = queries.get(&query).map(|known| (known.contents.clone(), known.saving.clone()));
        drop(queries);
        let Some((contents, saving)) = found.filter(|_| self.0.directory.keeps()) else {
            return Ok(());
        };
        let _alone = saving.lock();
        let Some(unsaved) = contents.lock().unsaved() else { return Ok(()) };
        // The others come in between.
        let mut unsaved = unsaved.into_iter().peekable();
        while unsaved.peek().is_some() {
            contents.lock().write_out(&mut unsaved, SPILL_BYTES)?;
        }
        let mut locked = contents.lock();
        let Some((index, writer)) = locked.index(query) else { return Ok(()) };
        let named = locked.space().take_named();
        drop(locked);
        let written = index.encode().and_then(|index| writer.write(&index));
        let published = written.and_then(|()| contents.lock().files().publish(&writer));
        let saved = published.and_then(|()| writer.sync_names());
        let mut locked = contents.lock();
        for (at, length) in named {
            match saved {
                Ok(()) => locked.space().give_back(at, length),
                Err(_) => locked.space().give_back_named(at, length),
            }
        }
        if saved.is_err() {
            locked.is_unsaved();
        }
        saved
    }

    /// Takes what was saved before the program began.
    pub(super) fn find(&self, touched: Duration) {
        let found = match self.0.directory.found() {
            Ok(found) => found,
            Err(error) => {
                return tracing::warn!(%error, "saved pairs cannot be looked for");
            }
        };
        for found in found {
            let (query, segments) = (found.index.query, found.index.segments.len());
            match Contents::found(self.0.budget.clone(), found) {
                Ok(contents) => {
                    tracing::info!(
                        query = format_args!("{query:x}"),
                        segments,
                        "saved pairs are here"
                    );
                    self.0.queries.lock().insert(query, Query::new(contents, touched));
                }
                Err(error) => {
                    let query = format_args!("{query:x}");
                    tracing::warn!(%error, query, "saved pairs find no room, and are removed");
                }
            }
        }
    }
}
