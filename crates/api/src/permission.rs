//! Whether a caller may do what it asks for. Every request is asked about, whatever its protocol,
//! before anything of it is done; so users and grants have one place to come to.

use std::net::SocketAddr;

use bytes::Bytes;
use mapring_types::{BucketId, Result};

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Where its connection comes from.
    pub address: SocketAddr,
}

/// What a request needs to be permitted. Those that Riak has too are named as there, and mean the
/// same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// To read an object: `riak_kv.get`.
    Get,
    /// To write an object: `riak_kv.put`.
    Put,
    /// To delete an object: `riak_kv.delete`.
    Delete,
    /// To list the keys of a bucket: `riak_kv.list_keys`.
    ListKeys,
    /// To find keys by the indexes of a bucket: `riak_kv.index`.
    Index,
    /// To list the buckets of a type: `riak_kv.list_buckets`.
    ListBuckets,
    /// To run queries, and jobs, which are queries: to start, see, end and remove them, and to see what
    /// can be started by name. `riak_kv.mapreduce`.
    MapReduce,
    /// To see where the replicas of a key belong: `riak_kv.get_preflist`.
    GetPreferenceList,
    /// To read the properties of a bucket: `riak_core.get_bucket`.
    GetBucket,
    /// To change the properties of a bucket: `riak_core.set_bucket`.
    SetBucket,
    /// To read the properties of a bucket type: `riak_core.get_bucket_type`.
    GetBucketType,
    /// To create a bucket type or change its properties: `riak_core.set_bucket_type`.
    SetBucketType,
    /// To see how the node and its cluster are, and which queries run.
    Observe,
    /// To change the cluster, repair nodes, end the queries of others, say what jobs are started by name
    /// and by the clock, consent to steps of pipelines.
    Administer,
}

/// What a permission is needed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The cluster, or what lies in many buckets.
    Cluster,
    /// A bucket type.
    Type(&'a Bytes),
    /// A bucket, with all its objects.
    Bucket(&'a BucketId),
}

/// Decides. It is asked for every request, in the thread of its connection: it knows what it needs
/// by heart and never waits.
pub trait Permissions: Send + Sync + 'static {
    /// Whether `caller` has `permission` on `target`.
    ///
    /// # Errors
    /// `Forbidden`, with the reason, if it has not.
    fn check(&self, caller: &Caller, permission: Permission, target: Target<'_>) -> Result<()>;
}

/// Everyone may do everything, as in Riak without security: whoever reaches the port is trusted.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Permissions for AllowAll {
    fn check(&self, _: &Caller, _: Permission, _: Target<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_everything_is_allowed() {
        let caller = Caller { address: SocketAddr::from(([192, 0, 2, 1], 9)) };
        let (bucket, name) = (BucketId::untyped("b"), Bytes::from_static(b"t"));
        for target in [Target::Cluster, Target::Type(&name), Target::Bucket(&bucket)] {
            for permission in [Permission::Get, Permission::Administer] {
                assert!(AllowAll.check(&caller, permission, target).is_ok());
            }
        }
    }
}
