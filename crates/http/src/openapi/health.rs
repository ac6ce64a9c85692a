//! How a node is, and where its resources are.

use http::Method;
use mapring_api::figures::Figures;

use super::interface::Interface;
use super::operation::{EMPTY, Op};
use super::schema::{Member, NONE, any, by_name, flag, like, list, named, object, text, word};
use crate::reply::media;

pub(super) const TAG: &str = "health";

pub(super) fn describe(interface: &mut Interface) {
    let ping = Op::new(TAG, "ping", "Says that it answers")
        .gives(200, "`OK`.", [(media::HTML, text("`OK`."))], &[])
        .refuses(&[406]);
    interface.add(&Method::GET, &["/ping"], &ping);
    let resources = by_name(text("Its path."), "Names of resources, as Riak has them.");
    let root = Op::new(TAG, "listResources", "Tells where the resources are")
        .gives(
            200,
            "Their paths.",
            [(media::HTML, text("A list of links.")), (media::JSON, resources)],
            &[("Link", "A link to each.")],
        )
        .refuses(&[406]);
    interface.add(&Method::GET, &["/"], &root);
    let statistics = Op::new(TAG, "getStatistics", "Shows Riak's statistics of this node")
        .gives(
            200,
            "The statistics.",
            [
                (media::JSON, named("Statistics")),
                (media::TEXT, text("The same document, a line each.")),
            ],
            &[],
        )
        .refuses(&[406]);
    interface.add(&Method::GET, &["/stats"], &statistics);
    let metrics = Op::new(TAG, "getMetrics", "Shows metrics for Prometheus").gives(
        200,
        "Metrics.",
        [("text/plain; version=0.0.4", text("In its format."))],
        &[],
    );
    interface.add(&Method::GET, &["/metrics"], &metrics);
    for (id, path, summary, schema) in [
        (
            "isReady",
            "/admin/ready",
            "Says whether requests can be answered here, whatever their keys",
            "Ready",
        ),
        (
            "isLive",
            "/admin/live",
            "Says whether this node serves, whatever becomes of the others",
            "Live",
        ),
    ] {
        let told = || [(media::JSON, named(schema))];
        let told = Op::new(TAG, id, summary).gives(200, "Yes.", told(), &[]).gives(
            503,
            "No.",
            told(),
            &[],
        );
        interface.add(&Method::GET, &[path], &told);
    }
    let document = Op::new(TAG, "getInterface", "Gives this document")
        .gives(200, "An OpenAPI document.", [(media::JSON, any(""))], &[("ETag", "Its tag.")])
        .gives(304, "The client has it.", EMPTY, &[("ETag", "Its tag.")])
        .refuses(&[406]);
    interface.add(&Method::GET, &["/openapi.json"], &document);
}

pub(super) fn schemas() -> Vec<Member> {
    let lists = ["connected_nodes", "ring_members"].map(|name| (name, list(text(""), "")));
    let statistics = like(&Figures::default().document(), Vec::from(lists));
    let state = word(&["ok", "filling", "degraded", "unavailable", "alarm"], "");
    let ready = object(
        "",
        [("ready", flag("Whether they can.")), ("state", state)],
        [("why", text("Why they cannot."))],
    );
    vec![
        ("Statistics", statistics),
        ("Ready", ready),
        ("Live", object("", [("live", flag("Whether it does."))], NONE)),
    ]
}
