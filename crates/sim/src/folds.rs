//! Folds that merge a majority of replicas, asked for by way of any replica: also by one that lacks
//! writes, which queries do not turn to.

use mapring_engine::ScanDepth;
use mapring_kv::{FoldRequest, Selection};
use mapring_ring::{Partition, hash};
use mapring_types::{BucketId, Entropy, Error, IndexValue, Result};

use crate::buckets::{self, NUMBERS};
use crate::history::{Span, Whole};
use crate::limits;
use crate::node::Life;
use crate::random::Random;
use crate::shape::Shape;
use crate::world::World;

/// A fold of one home partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Chooses among the home partitions that the asked node has a replica of.
    choice: u64,
    /// The values that are wanted, by their index; `None` for all objects.
    range: Option<(u64, u64)>,
}

impl Merged {
    pub(crate) fn any(world: &World, random: &Random) -> Self {
        let values = world.values_so_far();
        let (one, other) = (random.below(values), random.below(values));
        let range = random.per_mille(500).then(|| (one.min(other), one.max(other)));
        Self { choice: random.below(1 << 16), range }
    }

    /// The home partition, and the vnode of the node that has a replica of it.
    fn slice(&self, world: &World, life: &Life) -> Result<(Partition, Partition)> {
        let view = life.kv.cluster().view();
        let size = view.plan().ring_size();
        let own = |home: Partition| {
            let replicas = view.plan().replicas(home).first(world.shape.n_val);
            let own = replicas.filter(|vnode| view.plan().owner(*vnode) == Some(life.node));
            own.map(move |vnode| (home, vnode))
        };
        let all: Vec<_> = size.partitions().flat_map(own).collect();
        let at = usize::try_from(self.choice).unwrap_or(0) % all.len().max(1);
        all.get(at).copied().ok_or_else(|| Error::unavailable("a node without partitions"))
    }

    /// The values of the live objects that are written strictly, after the number of the partition.
    pub(crate) async fn answer(&self, world: &World, life: &Life) -> Result<Vec<String>> {
        let (home, vnode) = self.slice(world, life)?;
        let term = |value: u64| IndexValue::Int(value.to_string());
        let selection = self.range.map_or(Selection::All, |(from, to)| Selection::Terms {
            field: "value_int".to_owned(),
            from: term(from),
            to: term(to),
        });
        let replicas = u32::try_from(Shape::majority(world.shape.n_val)).unwrap_or(1);
        let mut request = FoldRequest {
            vnode,
            home,
            bucket: BucketId::untyped(NUMBERS),
            selection,
            after: None,
            depth: ScanDepth::Records,
            most: 1 + usize::try_from(self.choice).unwrap_or(0) % limits::FOLDED,
            keep: None,
            refine: None,
            replicas,
            complete: false,
        };
        let mut values = vec![home.0.to_string()];
        loop {
            let page = life.kv.fold_page(request.clone()).await?;
            for item in page.items {
                let object = item.record.decode()?;
                let newest = object.newest().filter(|newest| !newest.deleted);
                let key = String::from_utf8_lossy(&item.id.key);
                if let Some(newest) = newest.filter(|_| buckets::strict(&key)) {
                    values.push(String::from_utf8_lossy(&newest.body).into_owned());
                }
            }
            match page.next {
                Some(next) if request.after.as_ref() < Some(&next) => request.after = Some(next),
                Some(_) => return Err(Error::corrupt("a fold does not go on")),
                None => return Ok(values),
            }
        }
    }

    /// Whoever reads a majority of primaries sees what a majority has acknowledged.
    pub(crate) fn check(&self, world: &World, answer: &[u64], span: Span) -> Vec<String> {
        let Some((home, values)) = answer.split_first() else { return Vec::new() };
        let size = world.ring_size();
        let of = |key: &str| {
            let id = buckets::number(key);
            buckets::strict(key) && u64::from(hash::home(size, &id.bucket, &id.key).0) == *home
        };
        world.look_back(|history| {
            let times = |key: &str| usize::from(of(key));
            match self.range {
                None => history.check_values(values, &times, Whole::All, span),
                Some((from, to)) => history.check_terms(values, &times, from..=to, span),
            }
        })
    }
}
