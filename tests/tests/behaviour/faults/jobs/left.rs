//! What is left of jobs on the disks of nodes: nothing, once they are removed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use mapring_engine::{Engine as _, ScanDepth, ScanRange, SledConfig, SledEngine};
use mapring_types::Record;

use super::super::rig::Rig;

/// The bucket type of what is kept of jobs, which no client can name.
const JOBS: &[u8] = b"\xffjobs";

/// Partitions of the ring, as is usual.
const PARTITIONS: u16 = 64;

/// Stops all nodes, and looks at what they have stored.
pub(super) async fn nothing(rig: &mut Rig) {
    for node in &mut rig.cluster.nodes {
        node.stop().await;
    }
    for node in &rig.cluster.nodes {
        let name = &node.settings.name;
        let (kept, removed) = of_jobs(&node.data_dir().join("store"));
        assert!(kept.is_empty(), "{name} still has {kept:#?}");
        eprintln!("{name} has nothing left of jobs but {removed} marks of what was removed");
    }
}

/// What a node has of jobs, by bucket and key, and how many marks of what was removed.
fn of_jobs(store: &Path) -> (BTreeMap<String, Vec<u16>>, usize) {
    let engine = SledEngine::open(store, SledConfig::default()).unwrap();
    let (mut kept, mut removed) = (BTreeMap::<String, Vec<u16>>::new(), 0);
    // What lies beside the vnodes has other forms.
    for vnode in engine.vnodes().into_iter().filter(|vnode| *vnode < PARTITIONS) {
        for home in 0..PARTITIONS {
            let range = ScanRange::home(home);
            let mut visit = |key: mapring_engine::StoreKey, record: Record| {
                if key.id.bucket.bucket_type == JOBS {
                    let object = Record::decode_without_bodies(&record.head).unwrap();
                    if object.is_tombstone() {
                        removed += 1;
                    } else {
                        let name = key.id.to_string();
                        kept.entry(name).or_default().push(vnode);
                    }
                }
                ControlFlow::Continue(())
            };
            engine.scan(vnode, &range, ScanDepth::Heads, &mut visit).unwrap();
        }
    }
    (kept, removed)
}
