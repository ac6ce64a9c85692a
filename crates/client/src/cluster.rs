//! The state of the cluster.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use crate::connection::Client;
use crate::error::{Error, Result};
use crate::limits;
use crate::object::escape;

/// The cluster as one node sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClusterStatus {
    /// `ok`, `filling`, `degraded`, `alarm` or `unavailable`.
    #[serde(default)]
    pub state: String,
    /// One line, the state first.
    #[serde(default)]
    pub summary: String,
    /// The cluster's name.
    #[serde(alias = "cluster_name")]
    pub cluster: String,
    /// The number of partitions.
    pub ring_size: u16,
    /// The version of the ownership plan.
    pub plan_version: u64,
    /// Whether data may have arrived: nodes that join now own nothing by themselves.
    pub sealed: bool,
    /// All members.
    pub members: Vec<MemberStatus>,
    /// Who decides about members, bucket properties and bucket types.
    #[serde(default)]
    pub voting: Voting,
    /// Objects that members hold for others which missed them.
    #[serde(default)]
    pub hints: Vec<Hints>,
    /// Replicas that queries do not use.
    #[serde(default, alias = "unfit")]
    pub stale: Vec<Stale>,
    /// What is under way to make replicas complete.
    #[serde(default)]
    pub repairs: Repairs,
    /// How far the nodes have come with the metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

/// How far the nodes have come with the cluster's metadata, as one of them knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// Whether it has a leader that works.
    pub has_leader: bool,
    /// The name of that leader.
    pub leader: Option<String>,
    /// Whether what was decided is held by no node that answers: an operator has to choose whose
    /// history goes on.
    pub needs_choice: bool,
    /// The term of the last decision applied on the answering node.
    pub term: u64,
    /// The place of that decision in the log.
    pub index: u64,
    /// The hash over everything applied there.
    pub hash: Option<String>,
    /// The nodes of which something is known.
    pub members: Vec<MetadataMember>,
}

/// One node in [`Metadata`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MetadataMember {
    /// Its name.
    pub name: String,
    /// The last entry of its log when it was last heard of.
    pub index: Option<u64>,
    /// The term of that entry.
    pub term: Option<u64>,
    /// When it is behind its own past: the last entry that it once had.
    pub once: Option<u64>,
    /// The term of that entry.
    pub once_term: Option<u64>,
    /// The names of the nodes that remember it.
    pub remembered_by: Vec<String>,
    /// The entry at which it was seen to have applied other decisions than the answering node.
    pub differs_at: Option<u64>,
}

/// What became of [`Client::choose`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Chosen {
    /// The node whose metadata all have now.
    pub node: String,
    /// The last entry of its log.
    pub index: u64,
    /// The entry at which the log goes on.
    pub continues_at: u64,
    /// The nodes that were reached.
    pub nodes: Vec<Follower>,
    /// The names of those that were not.
    pub missing: Vec<String>,
}

/// A node that has taken another one's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Follower {
    /// Its name.
    pub node: String,
    /// The first and the last entry that it has dropped.
    pub dropped: Option<(u64, u64)>,
}

/// The group that decides about the metadata, as the answering node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Voting {
    /// Whether it can decide anything now: it has a leader and a majority.
    pub decides: bool,
    /// Its leader.
    pub leader: Option<String>,
    /// Who votes.
    pub voters: Vec<String>,
    /// Whether the voters are being changed.
    pub changing: bool,
}

/// What one member holds for another.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Hints {
    /// The member that holds it.
    pub holder: String,
    /// The member that it is for; `None` when nobody owns the vnodes.
    #[serde(rename = "for")]
    pub owner: Option<String>,
    /// The vnodes that lack it.
    pub vnodes: Vec<u16>,
    /// How many objects; `None` when the holder did not say.
    pub objects: Option<u64>,
    /// Whether there are more objects than were counted.
    pub at_least: bool,
    /// `handing_over` or `waiting`.
    pub state: String,
}

/// Vnodes of a member that are known to lack writes, or may.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Stale {
    /// The member.
    pub node: Option<String>,
    /// Its vnodes.
    pub vnodes: Vec<u16>,
    /// `hints`, `moving`, `lost_data` or `catching_up`.
    pub why: String,
    /// The members that hold what they lack, or have not said yet that they hold nothing.
    #[serde(default)]
    pub nodes: Vec<String>,
}

/// What the answering node does to make replicas complete.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Repairs {
    /// Own writes on their way to replicas or hints.
    pub unsettled_writes: u64,
    /// Writes of other coordinators that are not known to have settled.
    #[serde(default, alias = "witnessed_writes")]
    pub in_flight_writes: u64,
    /// Replicas being brought up to date after reads.
    pub read_repairs: u64,
    /// Nodes that have lost data and are filling themselves from the others.
    #[serde(default)]
    pub filling: Vec<Repair>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MemberStatus {
    /// Its permanent identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `valid` or `joining`.
    pub status: String,
    /// What it may fail together with, where its operator says so.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether it votes about the metadata.
    #[serde(default)]
    pub votes: bool,
    /// Whether it seems to be reachable.
    pub up: bool,
    /// `host:port` of the cluster listener.
    pub cluster_address: String,
    /// `host:port` of the public interface.
    pub http_address: String,
    /// The partitions that it owns.
    pub partitions: u64,
    /// Their share of the ring, 0 to 1.
    pub share: f64,
    /// Whether it has lost data and is not yet filled again.
    #[serde(default)]
    pub incomplete: bool,
}

/// How far a node is with filling itself again from the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Repair {
    /// Its name.
    pub node: String,
    /// Whether it lacks nothing.
    pub complete: bool,
    /// What was found to be missing.
    pub lost: Option<String>,
    /// Parts that have to be filled.
    pub slices: u64,
    /// Parts that lack nothing any more.
    pub filled: u64,
    /// Objects that were compared.
    pub compared: u64,
    /// Objects that were fetched.
    pub fetched: u64,
    /// Objects that were given to others.
    #[serde(default)]
    pub given: u64,
    /// Objects that were removed, since another node proves that they were deleted.
    #[serde(default)]
    pub removed: u64,
    /// Objects that nobody else knew, nor that they were deleted: kept.
    #[serde(default)]
    pub kept: u64,
    /// The names of the first of these.
    #[serde(default)]
    pub kept_names: Vec<String>,
    /// Why it does not go on at present.
    pub waits_for: Option<String>,
}

impl ClusterStatus {
    /// How many members that are up own a part of the ring.
    pub fn shared_by(&self) -> usize {
        self.members.iter().filter(|member| member.up && member.partitions > 0).count()
    }
}

/// A bucket type.
#[derive(Debug, Clone, Deserialize)]
pub struct BucketType {
    /// Its name.
    pub name: String,
    /// `active`, or `created` while it is not in use yet.
    pub status: String,
    /// Its properties as JSON, by name.
    pub props: serde_json::Map<String, serde_json::Value>,
}

/// The names of bucket types.
#[derive(Debug, Clone, Deserialize)]
pub struct BucketTypeList {
    /// All of them.
    pub bucket_types: Vec<String>,
    /// Those that are not in use yet. Nodes of earlier releases do not tell: they have none.
    #[serde(default)]
    pub inactive: Vec<String>,
}

fn type_path(name: &str) -> String {
    format!("/admin/bucket-types/{}", escape(name))
}

impl Client {
    /// The cluster as this node sees it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn cluster(&self) -> Result<ClusterStatus> {
        serde_json::from_slice(&self.cluster_json().await?).map_err(Error::form)
    }

    /// As [`Client::cluster`], as the node wrote it.
    ///
    /// # Errors
    /// As for any request.
    pub async fn cluster_json(&self) -> Result<Bytes> {
        let path = "/admin/cluster";
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        answer.expect(&[StatusCode::OK]).await?.body.collect(limits::ANSWER_BYTES).await
    }

    /// Makes the metadata as a node has it, by its name, that of all.
    ///
    /// # Errors
    /// As for any request; 400 when there is a leader, or no such member, 503 when it, or a majority
    /// of the nodes that vote, is not reached.
    pub async fn choose(&self, node: &str) -> Result<Chosen> {
        let path = format!("/admin/cluster/choose/{}", escape(node));
        let answer = self.send(Method::POST, &path, HeaderMap::new(), Bytes::new()).await?;
        let body = answer.expect(&[StatusCode::OK]).await?.body;
        let bytes = body.collect(limits::ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(Error::form)
    }

    /// Has a node, by its name, fill itself again from the others.
    ///
    /// # Errors
    /// As for any request; 404 for a name that no member has.
    pub async fn start_repair(&self, node: &str) -> Result<()> {
        let path = format!("/admin/repair/{}", escape(node));
        let answer = self.send(Method::POST, &path, HeaderMap::new(), Bytes::new()).await?;
        let body = answer.expect(&[StatusCode::ACCEPTED]).await?.body;
        body.collect(limits::ANSWER_BYTES).await?;
        Ok(())
    }

    /// How far a node is with that, as the answering node wrote it.
    ///
    /// # Errors
    /// As for any request; 503 while the node cannot be asked.
    pub async fn repair_json(&self, node: &str) -> Result<Bytes> {
        let path = format!("/admin/repair/{}", escape(node));
        let answer = self.send(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
        answer.expect(&[StatusCode::OK]).await?.body.collect(limits::ANSWER_BYTES).await
    }

    /// As [`Client::repair_json`], read.
    ///
    /// # Errors
    /// As [`Client::repair_json`].
    pub async fn repair(&self, node: &str) -> Result<Repair> {
        serde_json::from_slice(&self.repair_json(node).await?).map_err(Error::form)
    }

    /// Creates a bucket type with `props`, a JSON object of the form `{"props": {…}}`, or with the
    /// defaults when empty. Gives what the node warns of: properties on which nothing acts.
    ///
    /// # Errors
    /// As for any request; 400 names the refused properties, 409 a type that exists with others.
    pub async fn create_bucket_type(
        &self,
        name: &str,
        props: impl Into<Bytes>,
    ) -> Result<Option<String>> {
        self.write_bucket_type(Method::PUT, &type_path(name), props.into()).await
    }

    /// Changes a bucket type; `props` as for [`Client::create_bucket_type`]. Returns the server's warning, if
    /// it gave one.
    ///
    /// # Errors
    /// As for any request; 400 names the refused properties, 404 a type that does not exist.
    pub async fn update_bucket_type(
        &self,
        name: &str,
        props: impl Into<Bytes>,
    ) -> Result<Option<String>> {
        self.write_bucket_type(Method::POST, &type_path(name), props.into()).await
    }

    /// Has a bucket type that was created with `"active":false` be in use from now on.
    ///
    /// # Errors
    /// As for any request; 404 names a type that does not exist.
    pub async fn activate_bucket_type(&self, name: &str) -> Result<()> {
        let path = format!("{}/activate", type_path(name));
        self.write_bucket_type(Method::POST, &path, Bytes::new()).await.map(drop)
    }

    /// Gives a bucket type the properties of a new one, but for those that cannot change.
    ///
    /// # Errors
    /// As for any request; 404 names a type that does not exist.
    pub async fn reset_bucket_type(&self, name: &str) -> Result<()> {
        let path = format!("{}/reset", type_path(name));
        self.write_bucket_type(Method::POST, &path, Bytes::new()).await.map(drop)
    }

    async fn write_bucket_type(
        &self,
        method: Method,
        path: &str,
        props: Bytes,
    ) -> Result<Option<String>> {
        let answer = self.send(method, path, HeaderMap::new(), props).await?;
        let answer = answer.expect(&[StatusCode::NO_CONTENT]).await?;
        let warning = answer.header("warning").and_then(|text| Some(text.split_once(' ')?.1));
        let warning = warning.map(str::to_owned);
        answer.body.collect(limits::ERROR_BYTES).await?;
        Ok(warning)
    }

    /// A bucket type with its properties.
    ///
    /// # Errors
    /// As for any request; 404 names a type that does not exist.
    pub async fn bucket_type(&self, name: &str) -> Result<BucketType> {
        let path = type_path(name);
        let answer = self.send(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
        let body = answer.expect(&[StatusCode::OK]).await?.body;
        let bytes = body.collect(limits::ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(Error::form)
    }

    /// The names of all bucket types.
    ///
    /// # Errors
    /// As for any request.
    pub async fn bucket_types(&self) -> Result<Vec<String>> {
        Ok(self.bucket_type_list().await?.bucket_types)
    }

    /// The names of all bucket types, and of those that are not in use yet.
    ///
    /// # Errors
    /// As for any request.
    pub async fn bucket_type_list(&self) -> Result<BucketTypeList> {
        let path = "/admin/bucket-types";
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        let body = answer.expect(&[StatusCode::OK]).await?.body;
        let bytes = body.collect(limits::ANSWER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(Error::form)
    }

    /// What the node counts, as the text that Prometheus reads.
    ///
    /// # Errors
    /// As for any request.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.send(Method::GET, "/metrics", HeaderMap::new(), Bytes::new()).await?;
        let body = answer.expect(&[StatusCode::OK]).await?.body;
        let bytes = body.collect(limits::ANSWER_BYTES).await?;
        String::from_utf8(bytes.into()).map_err(Error::form)
    }

    /// Has a member removed, by its name or identity, that is down for good and owns nothing.
    ///
    /// # Errors
    /// As for any request; 404 for who is no member, 409 for one that is up or owns partitions, 503
    /// while the metadata cannot be changed.
    pub async fn forget(&self, node: &str) -> Result<()> {
        let path = format!("/admin/members/{}", escape(node));
        let answer = self.send(Method::DELETE, &path, HeaderMap::new(), Bytes::new()).await?;
        answer.expect(&[StatusCode::NO_CONTENT]).await?.body.collect(limits::ERROR_BYTES).await?;
        Ok(())
    }

    /// Whether the node serves, and requests with the default quorums can be met for every key;
    /// `false` also while it starts or stops.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn is_ready(&self) -> Result<bool> {
        Ok(self.why_not_ready().await?.is_none())
    }

    /// As [`Client::is_ready`], with the reason where it is not; `None` where it is.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn why_not_ready(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Answer {
            why: String,
        }
        let refusal = self.refusal("/admin/ready").await?;
        Ok(refusal.map(|text| match serde_json::from_str::<Answer>(&text) {
            Ok(answer) => answer.why,
            Err(_) => text,
        }))
    }

    /// Whether the node itself serves, whatever becomes of the others; `false` while it starts or
    /// stops.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn is_live(&self) -> Result<bool> {
        Ok(self.refusal("/admin/live").await?.is_none())
    }

    /// The text with which a question is answered by 503; `None` for 200.
    async fn refusal(&self, path: &str) -> Result<Option<String>> {
        let answer = self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        match answer.expect(&[StatusCode::OK]).await {
            Ok(answer) => {
                answer.body.collect(limits::ERROR_BYTES).await?;
                Ok(None)
            }
            Err(Error::Status { status: 503, text }) => Ok(Some(text)),
            Err(error) => Err(error),
        }
    }
}
