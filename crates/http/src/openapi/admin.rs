//! The cluster and what runs in it.

use http::Method;
use mapring_cluster::MetadataStatus;
use mapring_mapred::QueryList;

use super::interface::Interface;
use super::operation::{EMPTY, Op};
use super::schema::{
    Member, NONE, Schema, any, by_name, flag, integer, like, list, named, number, number_or_null,
    object, open_object, real, sample, text, text_or_null, word,
};
use crate::reply::media;

pub(super) const TAG: &str = "admin";

pub(super) fn describe(interface: &mut Interface) {
    let cluster = Op::new(TAG, "getCluster", "Shows the cluster as this node knows it")
        .shows("Members, who decides, which replicas lack what.", named("Cluster"));
    interface.add(&Method::GET, &["/admin/cluster"], &cluster);
    let choose = Op::new(TAG, "chooseMetadata", "Makes the metadata of a node that of all")
        .shows("What was done.", open_object("", [("node", text("The node."))], NONE))
        .refuses(&[400, 404, 409]);
    interface.add(&Method::POST, &["/admin/cluster/choose/{name}"], &choose);
    let removed = Op::new(TAG, "removeMember", "Removes a member that is down for good")
        .gives(204, "It is removed.", EMPTY, &[])
        .gives(409, "It is up, or owns partitions.", [(media::TEXT, text("Why."))], &[])
        .refuses(&[404]);
    interface.add(&Method::DELETE, &["/admin/members/{name}"], &removed);
    let repair = ["/admin/repair/{name}"];
    let shown = Op::new(TAG, "getRepair", "Shows how far a node is with filling itself")
        .shows("How far.", named("Repair"))
        .refuses(&[404]);
    interface.add(&Method::GET, &repair, &shown);
    let started = Op::new(TAG, "startRepair", "Has a node fill itself from the others")
        .gives(202, "It has begun.", [(media::JSON, named("Repair"))], &[])
        .refuses(&[404, 409]);
    interface.add(&Method::POST, &repair, &started);
    let queries = Op::new(TAG, "listQueries", "Lists the queries that run")
        .shows("The oldest of each member.", named("QueryList"));
    interface.add(&Method::GET, &["/admin/queries"], &queries);
    let query = ["/admin/queries/{name}"];
    let shown = Op::new(TAG, "getQuery", "Shows a query that runs")
        .shows("It.", named("RunningQuery"))
        .refuses(&[404]);
    interface.add(&Method::GET, &query, &shown);
    let ended =
        Op::new(TAG, "endQuery", "Ends a query").gives(204, "It ends.", EMPTY, &[]).refuses(&[404]);
    interface.add(&Method::DELETE, &query, &ended);
    let workers = Op::new(TAG, "listWorkers", "Shows what this node does in the background")
        .shows("Its workers.", named("Workers"));
    interface.add(&Method::GET, &["/admin/workers"], &workers);
    let throttle =
        object("", [("throttle", number("So many times as long as it works it rests."))], NONE);
    let throttled = Op::new(TAG, "throttleWorker", "Has a worker rest")
        .takes("How long.", [(media::JSON, throttle)])
        .shows("The worker.", named("Worker"))
        .refuses(&[400, 404, 415]);
    interface.add(&Method::PUT, &["/admin/workers/{name}"], &throttled);
}

pub(super) fn schemas() -> Vec<Member> {
    let workers = [
        ("node", text_or_null("This node.")),
        ("workers", list(named("Worker"), "By their names.")),
        ("sandbox", sandbox()),
    ];
    let queries = vec![
        ("queries", list(named("RunningQuery"), "The oldest first.")),
        ("unreachable", list(text(""), "Members that did not tell theirs.")),
    ];
    vec![
        ("Cluster", cluster()),
        ("Repair", repair()),
        ("QueryList", like(&sample(&QueryList::default()), queries)),
        ("RunningQuery", query()),
        ("Workers", object("", workers, NONE)),
        ("Worker", worker()),
    ]
}

fn cluster() -> Schema {
    let members = list(member(), "All members.");
    let voting = [
        ("decides", flag("Whether it can change.")),
        ("leader", text_or_null("Who leads.")),
        ("voters", list(text(""), "Who votes.")),
        ("changing", flag("Whether the voters are being changed.")),
    ];
    let repairs = [
        ("unsettled_writes", number("Own writes that have not settled.")),
        ("in_flight_writes", number("Writes of others that have not.")),
        ("read_repairs", number("Objects that reads have repaired.")),
        ("filling", list(named("Repair"), "Members that fill themselves.")),
    ];
    let metadata = like(
        &sample(&MetadataStatus::default()),
        vec![
            ("leader", text_or_null("Who leads.")),
            ("hash", text_or_null("Over all that was applied here.")),
            ("members", list(any(""), "What is known of each.")),
        ],
    );
    let always = [
        ("state", word(&["ok", "filling", "degraded", "unavailable", "alarm"], "")),
        ("summary", text("The same in a sentence.")),
        ("cluster", text("Its name.")),
        ("node", text_or_null("This node.")),
        ("id", text("Its identity.")),
        ("ready", flag("Whether any request can be answered here.")),
        ("ring_size", number("How many partitions there are.")),
        ("plan_version", number("The version of who owns what.")),
        ("sealed", flag("Whether the first members are settled.")),
        ("members", members),
        ("voting", object("Who decides about the metadata.", voting, NONE)),
        ("hints", list(hint(), "Who holds how much for whom.")),
        ("stale", list(stale(), "Replicas that are not used, and why.")),
        ("repairs", object("", repairs, NONE)),
        ("metadata", metadata),
    ];
    object("", always, NONE)
}

fn member() -> Schema {
    let always = [
        ("id", text("Its identity.")),
        ("name", text("Its name.")),
        ("status", text("As `valid` or `leaving`.")),
        ("zone", text_or_null("Its zone.")),
        ("votes", flag("Whether it votes.")),
        ("up", flag("Whether it is up.")),
        ("me", flag("Whether it is this node.")),
        ("cluster_address", text("Where other nodes find it.")),
        ("http_address", text_or_null("Where clients find it.")),
        ("partitions", number("How many it owns.")),
        ("share", real("Its share of them.")),
        ("incomplete", flag("Whether it still fills itself.")),
    ];
    object("", always, NONE)
}

fn hint() -> Schema {
    let always = [
        ("holder", text("Who holds them.")),
        ("for", text_or_null("For whom.")),
        ("vnodes", list(any(""), "Of which vnodes.")),
        ("objects", number_or_null("How many; null where the holder does not answer.")),
        ("at_least", flag("Whether there may be more.")),
        ("state", word(&["handing_over", "waiting"], "")),
    ];
    object("", always, NONE)
}

fn stale() -> Schema {
    let always = [
        ("node", text_or_null("Whose they are.")),
        ("vnodes", list(any(""), "Which.")),
        ("why", word(&["hints", "moving", "lost_data", "catching_up"], "")),
    ];
    object("", always, [("nodes", list(text(""), "Who has what it lacks, or has not told."))])
}

fn repair() -> Schema {
    let always = [
        ("node", text_or_null("The node.")),
        ("id", text("Its identity.")),
        ("complete", flag("Whether it lacks nothing that is known.")),
        ("lost", any("What it had lost.")),
        ("slices", number("Slices to fill.")),
        ("filled", number("Of these filled.")),
        ("compared", number("Objects that were compared.")),
        ("fetched", number("Objects that it got.")),
        ("given", number("Objects that it gave.")),
        ("removed", number("Objects that it removed.")),
        ("kept", number("Objects that no other has.")),
        ("kept_names", list(any(""), "The first of these.")),
        ("waits_for", any("For whom it waits.")),
    ];
    object("", always, NONE)
}

fn query() -> Schema {
    let always = [
        ("id", text("Its id.")),
        ("node", text("The node that coordinates it.")),
        ("state", word(&["waiting", "running"], "")),
        ("age_ms", number("Milliseconds since it was asked.")),
        ("timeout_ms", number("Milliseconds that it may take.")),
        ("inputs_done", number("Inputs that are done.")),
        ("phases", list(any(""), "In order.")),
        ("counters", by_name(integer(""), "What it has counted.")),
        ("query", text("The beginning of its text.")),
    ];
    object("", always, NONE)
}

fn sandbox() -> Schema {
    let layer = [
        ("layer", text("Its name.")),
        ("state", word(&["held", "not_needed", "missing"], "")),
        ("why", text_or_null("Why it is missing.")),
    ];
    let layers = list(object("", layer, NONE), "None before the first worker is ready.");
    let always =
        [("mode", word(&["on", "off", "required"], "What is asked for.")), ("layers", layers)];
    object("The jail of the processes that run functions.", always, NONE)
}

fn worker() -> Schema {
    let always = [
        ("name", text("Its name.")),
        ("state", any("What it does.")),
        ("status", text("What it says of itself.")),
        ("rounds", number("Rounds that are over.")),
        ("errors", number("Rounds that failed.")),
        ("last_error", text_or_null("The last error, unless a later round succeeded.")),
        ("last_round_seconds", real("How long the last round took.")),
        ("throttle", number("So many times as long as it works it rests.")),
    ];
    object("", always, NONE)
}
