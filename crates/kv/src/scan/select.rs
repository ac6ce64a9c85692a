//! Selections read from one replica: all objects of a bucket, a range of keys, a range of an index.
//!
//! Each page ends where so many entries have been looked at ([`Bounds`]), so that a test that
//! refuses everything, or an index of nothing but stale entries, still gives pages.

use std::ops::ControlFlow;

use bytes::Bytes;
use mapring_engine::{ScanDepth, ScanRange, StoreKey, TermPlace, TermRange, Visitor};
use mapring_net::calls;
use mapring_ring::Partition;
use mapring_types::limits::{PAGE_BYTES, PAGE_INPUTS};
use mapring_types::{BucketId, Error, IndexValue, ObjectId, Record, Result, VersionVector};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::limits;
use crate::peer::wire::SERVICE;
use crate::resolution::Resolution;
use crate::scan::fold::{Cursor, FoldRequest, Item, KeyTest, Page, Selection};
use crate::storage::objects::Core;

/// A part of what lies in one vnode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) vnode: Partition,
    pub(crate) home: Partition,
    pub(crate) bucket: BucketId,
    pub(crate) selection: Selection,
    /// Start strictly after this place.
    pub(crate) after: Option<Cursor>,
    /// End with this place; `None` where the selection ends.
    pub(crate) upto: Option<Cursor>,
}

calls!(SERVICE; AskClocks = 23 => Clocks);

/// Asks for a page of names and clocks at the places of a selection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AskClocks {
    pub(crate) part: Part,
    /// Objects in it at most.
    pub(crate) most: u64,
}

/// What ends a page beside its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Entries looked at, wanted or not.
    entries: u64,
    /// Bytes of records; one may be larger.
    bytes: usize,
}

impl Bounds {
    pub(crate) const PAGE: Self = Self { entries: limits::FOLD_PAGE_ENTRIES, bytes: PAGE_BYTES };
    /// Of a page that is read in the caller's thread.
    pub(crate) const SHORT: Self =
        Self { entries: limits::FOLD_SHORT_ENTRIES, bytes: limits::SHORT_BYTES };
}

/// An object at a place of a selection, as its replica has it.
pub(crate) struct Met {
    pub(crate) cursor: Cursor,
    pub(crate) id: ObjectId,
    /// The term, of an index.
    pub(crate) term: Option<IndexValue>,
    /// Whether it is as readers of the bucket are to see it, siblings or not: it has one value, and
    /// that has the term.
    pub(crate) alone: bool,
    pub(crate) record: Record,
}

/// How far a page has come.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Where to go on; `None` when nothing is left.
    pub(crate) next: Option<Cursor>,
    pub(crate) looked_at: u64,
}

/// Names and clocks at the places of a selection, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clocks {
    pub(crate) items: Vec<(Cursor, VersionVector)>,
    /// Where to go on; `None` when nothing is left.
    pub(crate) next: Option<Cursor>,
}

impl Part {
    /// What a request wants of its own vnode.
    pub(crate) fn of(request: &FoldRequest) -> Self {
        Self {
            vnode: request.vnode,
            home: request.home,
            bucket: request.bucket.clone(),
            selection: request.selection.clone(),
            after: request.after.clone(),
            upto: None,
        }
    }

    /// The object, and the term of an index, at a place.
    ///
    /// # Errors
    /// `Invalid` for a place of another kind of selection.
    pub(crate) fn at(&self, cursor: &Cursor) -> Result<(ObjectId, Option<IndexValue>)> {
        let (key, term) = self.selection.at(cursor)?;
        Ok((ObjectId::new(self.bucket.clone(), key), term))
    }

    /// An object of the selection as readers of its bucket are to see it; `None` where they do not
    /// see the value that has the term.
    pub(crate) fn shown(
        &self,
        record: Record,
        term: Option<&IndexValue>,
        resolution: Resolution,
        depth: ScanDepth,
    ) -> Result<Option<Record>> {
        let record = resolution.resolve_record(record, depth)?;
        match (&self.selection, term) {
            (Selection::Terms { field, .. }, Some(term)) if !resolution.keeps_all() => {
                let has = Record::decode_without_bodies(&record.head)?.has_term(field, term);
                Ok((has || mapring_types::failpoint!(StaleEntryTrusted)).then_some(record))
            }
            _ => Ok(Some(record)),
        }
    }

    /// Gives `take` the objects at the places of the part, in order, until it says that it has
    /// enough; of those that `keep` refuses nothing is read. Of an index, entries that no value of
    /// their object has are removed and not given.
    pub(crate) fn walk(
        &self,
        core: &Core,
        keep: Option<&KeyTest>,
        depth: ScanDepth,
        entries: u64,
        take: &mut dyn FnMut(Met) -> Result<bool>,
    ) -> Result<End> {
        let walk = Walk::new(self, keep, entries, take);
        match &self.selection {
            Selection::All => self.walk_keys(core, (None, None), depth, walk),
            Selection::Keys { from, to } => {
                let bounds = (Some(from.clone()), Some(to.clone()));
                self.walk_keys(core, bounds, depth, walk)
            }
            Selection::KeysFrom { from } => {
                self.walk_keys(core, (Some(from.clone()), None), depth, walk)
            }
            Selection::Terms { field, from, to } => {
                let range = TermRange {
                    home: self.home.0,
                    bucket: self.bucket.clone(),
                    field: field.clone(),
                    from: from.clone(),
                    to: to.clone(),
                    after: self.after.as_ref().map(Cursor::term_place).transpose()?,
                };
                self.walk_terms(core, &range, depth, walk)
            }
        }
    }

    fn walk_keys(
        &self,
        core: &Core,
        (from, mut to): (Option<Bytes>, Option<Bytes>),
        depth: ScanDepth,
        mut walk: Walk<'_>,
    ) -> Result<End> {
        if let Some(upto) = &self.upto {
            let upto = upto.place();
            to = Some(to.map_or_else(|| upto.clone(), |to| to.min(upto.clone())));
        }
        let after = self.after.as_ref().map(|after| after.place().clone());
        let after = after.map(|key| ObjectId::new(self.bucket.clone(), key));
        let range = ScanRange { from, to, ..ScanRange::bucket(self.home.0, self.bucket.clone()) };
        core.engine.walk(self.vnode.0, &range.after(after), depth, &mut walk)?;
        walk.end()
    }

    fn walk_terms(
        &self,
        core: &Core,
        range: &TermRange,
        depth: ScanDepth,
        mut walk: Walk<'_>,
    ) -> Result<End> {
        let mut stale = Vec::new();
        let mut visit = |place: TermPlace| -> Result<ControlFlow<()>> {
            let cursor = place.to_bytes();
            match walk.look(&cursor, &place.key) {
                ControlFlow::Continue(true) => {}
                ControlFlow::Continue(false) => return Ok(ControlFlow::Continue(())),
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
            let id = ObjectId::new(self.bucket.clone(), place.key);
            let at = StoreKey { home: self.home.0, id };
            let record = core.engine.read(self.vnode.0, &at, depth)?;
            let object = record.as_ref().map(|record| Record::decode_without_bodies(&record.head));
            let object = object.transpose().map_err(|error| error.context(&at.id))?;
            match (record, object) {
                (Some(record), Some(object))
                    if object.has_term(&range.field, &place.term)
                        || mapring_types::failpoint!(StaleEntryTrusted) =>
                {
                    let alone = object.siblings.len() == 1;
                    let (cursor, id, term) = (Cursor::new(cursor), at.id, Some(place.term));
                    Ok(walk.take(Met { cursor, id, term, alone, record }))
                }
                _ => {
                    if stale.len() < limits::FOLD_SWEEPS {
                        stale.push((at, (range.field.clone(), place.term)));
                    }
                    Ok(ControlFlow::Continue(()))
                }
            }
        };
        let mut failure = None;
        core.engine.scan_terms(self.vnode.0, range, &mut |place| {
            visit(place).unwrap_or_else(|error| {
                failure = Some(error);
                ControlFlow::Break(())
            })
        })?;
        failure.map_or(Ok(()), Err)?;
        for (at, entry) in stale {
            // It does no harm where it is: a reader needs no room on a full disk.
            if let Err(error) = core.sweep(self.vnode, &at, entry) {
                tracing::debug!(%error, "a stale index entry stays");
                break;
            }
        }
        walk.end()
    }
}

/// A walk under way.
struct Walk<'a> {
    part: &'a Part,
    keep: Option<&'a KeyTest>,
    /// The most entries to be looked at.
    entries: u64,
    take: &'a mut dyn FnMut(Met) -> Result<bool>,
    looked_at: u64,
    /// The place that was looked at last, if any was; of most places no copy is needed any longer.
    last: Vec<u8>,
    full: bool,
    failure: Option<Error>,
    began: Instant,
}

impl<'a> Walk<'a> {
    fn new(
        part: &'a Part,
        keep: Option<&'a KeyTest>,
        entries: u64,
        take: &'a mut dyn FnMut(Met) -> Result<bool>,
    ) -> Self {
        Self {
            part,
            keep,
            entries,
            take,
            looked_at: 0,
            last: Vec::new(),
            full: false,
            failure: None,
            began: Instant::now(),
        }
    }

    /// Looks at a place: whether its object is to be read; `Break` where the page ends before it.
    fn look(&mut self, place: &[u8], key: &[u8]) -> ControlFlow<(), bool> {
        if self.part.upto.as_ref().is_some_and(|upto| place > upto.place()) {
            return ControlFlow::Break(());
        }
        // A test may take long for each key: whoever waits for the page may have gone.
        let late = self.keep.is_some()
            && self.looked_at > 0
            && self.began.elapsed() >= limits::FOLD_TEST_TIME;
        if self.looked_at >= self.entries || late {
            self.full = true;
            return ControlFlow::Break(());
        }
        self.looked_at += 1;
        self.last.clear();
        self.last.extend_from_slice(place);
        match self.keep.map_or(Ok(true), |keep| keep(key)) {
            Ok(wanted) => ControlFlow::Continue(wanted),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn take(&mut self, met: Met) -> ControlFlow<()> {
        match (self.take)(met) {
            Ok(full) => self.full = full,
            Err(error) => self.failure = Some(error),
        }
        if self.full || self.failure.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn end(self) -> Result<End> {
        let Self { full, last, looked_at, failure, .. } = self;
        failure.map_or(Ok(()), Err)?;
        // Only what was looked at can fill a page.
        Ok(End { next: full.then(|| Cursor::new(last)), looked_at })
    }
}

impl Visitor for Walk<'_> {
    fn wants(&mut self, key: &StoreKey) -> ControlFlow<(), bool> {
        self.look(&key.id.key, &key.id.key)
    }

    fn visit(&mut self, key: StoreKey, record: Record) -> ControlFlow<()> {
        let cursor = Cursor::new(key.id.key.clone());
        self.take(Met { cursor, id: key.id, term: None, alone: false, record })
    }
}

/// A page of one replica alone: see [`crate::Kv::fold_page`].
pub(crate) fn page(
    core: &Core,
    request: &FoldRequest,
    resolution: Resolution,
    bounds: Bounds,
) -> Result<Page> {
    let part = Part::of(request);
    let mut page = Page::default();
    let end = objects(core, &part, request, bounds, &mut |met| {
        let Met { cursor, id, term, alone, record } = met;
        page.read_bytes += record.len() as u64;
        let shown = if alone {
            Some(record)
        } else {
            part.shown(record, term.as_ref(), resolution, request.depth)?
        };
        let shown = match (shown, &request.refine) {
            (Some(record), Some(refine)) => refine(&id, term.as_ref(), record)?,
            (shown, _) => shown,
        };
        if let Some(record) = shown {
            page.items.push(Item { cursor, id, record });
        }
        Ok(())
    })?;
    Ok(Page { next: end.next, looked_at: end.looked_at, ..page })
}

/// Gives the objects of a part that make a page, as the replica has them.
pub(crate) fn objects(
    core: &Core,
    part: &Part,
    request: &FoldRequest,
    bounds: Bounds,
    take: &mut dyn FnMut(Met) -> Result<()>,
) -> Result<End> {
    let most = request.most.clamp(1, PAGE_INPUTS);
    let (mut count, mut bytes) = (0, 0);
    let (keep, depth) = (request.keep.as_ref(), request.depth);
    part.walk(core, keep, depth, bounds.entries, &mut |met| {
        count += 1;
        bytes += met.record.len();
        take(met)?;
        Ok(count >= most || bytes >= bounds.bytes)
    })
}

/// A page of names and clocks of a part, of at most `most` objects.
pub(crate) fn clocks(core: &Core, part: &Part, most: usize) -> Result<Clocks> {
    let mut page = Clocks::default();
    let mut bytes = 0;
    let most = most.clamp(1, limits::REPAIR_PAGE);
    let entries = limits::FOLD_PAGE_ENTRIES;
    let end = part.walk(core, None, ScanDepth::Heads, entries, &mut |met| {
        let object = Record::decode_without_bodies(&met.record.head)
            .map_err(|error| error.context(&met.id))?;
        bytes += met.cursor.place().len() + 16 * object.clock.len() + 16;
        page.items.push((met.cursor, object.clock));
        Ok(page.items.len() >= most || bytes >= limits::REPAIR_PAGE_BYTES)
    })?;
    Ok(Clocks { next: end.next, ..page })
}
