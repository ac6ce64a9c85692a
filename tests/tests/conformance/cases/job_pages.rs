//! JO-23: what pages of lists of jobs show.

use crate::case::Topic;
use crate::check::Check;
use crate::wire::Request;

use super::groups::ages;
use super::jobs::{document, ends_in, removed, start};

/// The newest first. Each job has ended before the next one begins.
pub(super) fn rows(t: &mut Topic) {
    let body = document(r#""myInput""#, &ages(), r#""name":"pages""#);
    let case = start(t, "pages of a list", "jo-23-a", &body);
    ends_in(case, "jo-23-a", "success").check(Check::WordsAt("/elapsed", "00:0".into()));
    for id in ["jo-23-b", "jo-23-c"] {
        case.then_send("PUT", &format!("/jobs/{id}"), body.clone()).status(202);
        ends_in(case, id, "success");
    }
    case.then_at_last("/jobs?name=pages&count=2")
        .ok()
        .at("/jobs/0/id", r#""jo-23-c""#)
        .at("/jobs/0/name", r#""pages""#)
        .at("/jobs/0/active", "false")
        .at("/jobs/0/state", r#""done""#)
        .at("/jobs/0/result_status", r#""success""#)
        .at("/jobs/0/active_shards", "0")
        .check(Check::WordsAt("/jobs/0/elapsed", "00:0".into()))
        .at("/jobs/1/id", r#""jo-23-b""#)
        .at("/jobs/2", "null")
        // The place of the last one, …
        .check(Check::WordsAt("/cursor", ".jo-23-b".into()));
    case.then_at_last("/jobs?name=pages&count=3")
        .ok()
        .at("/jobs/2/id", r#""jo-23-a""#)
        .at("/cursor", "null");
    // … here of one that is later than all, and of one that is earlier.
    case.then(Request::new("GET", "/jobs?name=pages&count=1&cursor=0000000000000000.x"))
        .ok()
        .at("/jobs/0/id", r#""jo-23-c""#);
    case.then(Request::new("GET", "/jobs?name=pages&cursor=ffffffffffffffff.x"))
        .gives(r#"{"jobs":[],"cursor":null}"#);
    case.then(Request::new("GET", "/jobs?name=pages&state=failed")).ok().at("/jobs", "[]");
    case.then(Request::new("GET", "/jobs?cursor=nonsense")).refuses("cursor");
    for id in ["jo-23-a", "jo-23-b", "jo-23-c"] {
        removed(case, id);
    }
}
