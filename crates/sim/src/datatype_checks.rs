//! Data types when all is well again: every node gives what it must, and all replicas have the same bytes.

use std::sync::Arc;

use mapring_datatypes::object;
use mapring_types::{Error, Object, Quorum, Result};

use crate::datatype_history::Sight;
use crate::history::Span;
use crate::node::{Host, Life};
use crate::world::World;
use crate::{buckets, datatype_clients, limits, replicas, sizes};

/// Reads every data type by way of every node, from all replicas, which repairs those that lack something;
/// then looks at their disks.
pub(crate) async fn check(world: &World) -> Result<()> {
    let keys = world.with_datatypes(|history| history.keys());
    if keys.is_empty() {
        return Ok(());
    }
    let lives: Vec<Arc<Life>> = world.hosts().filter_map(Host::life).collect();
    for life in &lives {
        for (key, kind) in &keys {
            let now = world.trace.now();
            let read =
                datatype_clients::read(world, life, (key.as_str(), *kind), Quorum::All, now).await;
            if let Err(error) = read {
                let node = life.name();
                world.trace.violation(format!("{key} cannot be read at {node} in peace: {error}"));
            }
        }
    }
    sizes::come_to_rest(world).await;
    for (key, kind) in &keys {
        let mut first: Option<Option<Object>> = None;
        for (vnode, node) in world.primaries(&buckets::datatype(key), limits::SHARED_N_VAL) {
            let stored =
                replicas::stored(world, world.host(node)?, vnode, &buckets::datatype(key))?;
            let found = stored.as_ref().map(|object| object::find(object, *kind)).transpose();
            let found = found.map_err(|error: Error| error.context(key))?.flatten();
            let now = world.trace.now();
            let (sight, span) = (Sight::of(found.as_ref()), Span { from: now, to: now });
            let place = format!("on disk at n{}, vnode {vnode}", node.0);
            world.check_datatypes(|history| {
                let faults = history.check(key, &sight, span);
                faults.into_iter().map(|fault| format!("{place}: {fault}")).collect()
            });
            match &first {
                Some(first) if *first != stored => {
                    world.trace.violation(format!("{place}: {key} differs from another replica"));
                }
                Some(_) => {}
                None => first = Some(stored),
            }
        }
    }
    Ok(())
}
