//! Reading what the units of a lane work on.

use std::collections::VecDeque;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::{TryStreamExt, stream};
use mapring_kv::{FoldRequest, Page};
use mapring_ring::Partition;
use mapring_script::MapInput;
use mapring_types::{ObjectId, Record, Result};
use tokio::time::Instant;

use super::lane::Lane;
use super::living::{living, readable};
use super::page::Pager;
use super::refine::Refining;
use crate::grammar::Consistency;
use crate::limits;
use crate::unit::{self, BatchInput, Work};

impl Lane {
    /// Whether objects of a scan are read for their values. Of what is given without them only the bytes
    /// that a condition looked at were asked for.
    pub(super) fn reads_values(&self) -> bool {
        self.refining.as_ref().is_none_or(Refining::reads_bodies)
    }

    pub(super) async fn read_page(
        &self,
        request: FoldRequest,
        pager: &mut Pager<'_>,
    ) -> Result<Page> {
        let _read = self.node.permits.read(self.terms.is_some()).await?;
        let began = Instant::now();
        let page = self.node.objects.fold_page(request).await?;
        let cost = pager.cost();
        cost.read_us += unit::micros(began.elapsed());
        cost.looked_at += page.looked_at;
        Ok(page)
    }

    /// Reads the first of the named objects. Unless the query wants tombstones, an object that is one
    /// is as good as missing.
    pub(super) async fn read_inputs(
        &self,
        inputs: &[BatchInput],
        pager: &mut Pager<'_>,
    ) -> Result<VecDeque<MapInput>> {
        let began = Instant::now();
        let mut found = match self.request.options.consistency {
            Consistency::One => self.read(inputs).await?,
            several => self.read_merged(inputs, several).await?,
        };
        let cost = pager.cost();
        cost.read_us += unit::micros(began.elapsed());
        cost.looked_at += found.len() as u64;
        for MapInput { id, record, .. } in &mut found {
            if let Some(read) = record.take() {
                *record = self.living(id, read)?;
            }
        }
        Ok(found.into())
    }

    /// See [`living`].
    pub(super) fn living(&self, id: &ObjectId, record: Record) -> Result<Option<Record>> {
        let record = readable(id, record)?;
        match self.request.options.tombstones {
            true => Ok(Some(record)),
            false => living(id, record, matches!(self.request.work, Work::Map(_))),
        }
    }

    /// Reads each of the named objects from a majority of its replicas, or from all.
    async fn read_merged(
        &self,
        inputs: &[BatchInput],
        consistency: Consistency,
    ) -> Result<Vec<MapInput>> {
        let reads = inputs.iter().map(|input| async move {
            let object = match has_name(input) {
                true if consistency == Consistency::All => {
                    self.node.objects.read_all(&input.id).await?
                }
                true => self.node.objects.read_quorum(&input.id).await?,
                false => None,
            };
            // Without a value there is no object.
            let object = object.filter(|object| !object.siblings.is_empty());
            Ok(MapInput { record: object.as_ref().map(Record::encode), ..without_object(input) })
        });
        let reads: Vec<BoxFuture<'_, Result<MapInput>>> =
            reads.map(|read| Box::pin(read) as BoxFuture<'_, _>).collect();
        let mut reads = stream::iter(reads).buffered(limits::READS_OF_OTHERS);
        let (mut found, mut total) = (Vec::new(), 0);
        while total < limits::READ_BYTES
            && let Some(input) = reads.try_next().await?
        {
            total += bytes(&input);
            found.push(input);
        }
        Ok(found)
    }

    /// Reads the first of the named objects, up to [`limits::READ_BYTES`]; one that its vnode here
    /// lacks is looked for on the other primaries.
    async fn read(&self, inputs: &[BatchInput]) -> Result<Vec<MapInput>> {
        let named: Vec<(usize, &BatchInput)> =
            inputs.iter().enumerate().filter(|(_, input)| has_name(input)).collect();
        let names = named.iter().map(|(_, input)| (input.vnode, input.id.clone())).collect();
        let records = {
            let _read = self.node.permits.read(self.terms.is_some()).await?;
            self.node.objects.read_local(names, limits::READ_BYTES).await?
        };
        let mut end = named.get(records.len()).map_or(inputs.len(), |(at, _)| *at);
        let mut found: Vec<MapInput> = inputs.iter().take(end).map(without_object).collect();
        let mut looked_for: Vec<BoxFuture<'_, Result<_>>> = Vec::with_capacity(records.len());
        for ((at, input), record) in named.into_iter().zip(records) {
            looked_for.push(Box::pin(async move {
                Ok(match record {
                    Some(record) => (at, Some(record)),
                    None => (at, self.look_at_others(input.vnode, &input.id).await?),
                })
            }));
        }
        let mut looked_for = stream::iter(looked_for).buffered(limits::READS_OF_OTHERS);
        let mut total = 0;
        while let Some((at, record)) = looked_for.try_next().await? {
            total += record.as_ref().map_or(0, Record::len);
            if let Some(input) = found.get_mut(at) {
                input.record = record;
            }
            if total >= limits::READ_BYTES {
                end = end.min(at + 1);
                break;
            }
        }
        found.truncate(end);
        Ok(found)
    }

    /// When a primary cannot be asked, a quorum decides whether the object exists.
    async fn look_at_others(&self, vnode: Partition, id: &ObjectId) -> Result<Option<Record>> {
        match self.node.objects.read_other_primaries(vnode, id).await {
            Ok(found) => Ok(found),
            Err(error) => {
                tracing::debug!(%error, %id, "asking a quorum instead");
                let object = self.node.objects.read_quorum(id).await?;
                let object = object.filter(|object| !object.siblings.is_empty());
                Ok(object.as_ref().map(Record::encode))
            }
        }
    }
}

/// Nothing can be stored under an empty name.
fn has_name(input: &BatchInput) -> bool {
    !input.id.key.is_empty() && !input.id.bucket.name.is_empty()
}

fn without_object(input: &BatchInput) -> MapInput {
    MapInput { id: input.id.clone(), keydata: input.keydata.clone(), record: None }
}

/// The bytes of an object.
pub(super) fn bytes(input: &MapInput) -> usize {
    input.record.as_ref().map_or(0, Record::len)
}
