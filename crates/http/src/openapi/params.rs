//! Parameters that many operations have.

use mapring_types::limits as shared;

use super::operation::Op;
use super::schema::{Schema, either, number_within, text, word};

/// How many replicas.
fn quorum() -> Schema {
    let words = word(&["one", "quorum", "all", "default"], "");
    either([number_within(0, u64::from(u32::MAX), None, ""), words], "")
}

/// `true`, `false`, or what the bucket says.
fn choice() -> Schema {
    word(&["true", "false", "default"], "")
}

impl Op {
    /// The parameters of a read of an object.
    pub(super) fn reads_object(self) -> Self {
        self.query("r", quorum(), "Replicas that must answer.")
            .query("pr", quorum(), "Primary replicas that must answer.")
            .query(
                "basic_quorum",
                choice(),
                "Whether it may fail as soon as a majority has answered.",
            )
            .query("notfound_ok", choice(), "Whether a replica that lacks the object counts.")
            .of_object()
    }

    /// … of a write …
    pub(super) fn writes_object(self) -> Self {
        self.query("w", quorum(), "Replicas that must take the write.")
            .query("dw", quorum(), "Replicas that must store it.")
            .query("pw", quorum(), "Primary replicas that must take it.")
            .syncs()
            .of_object()
    }

    /// … and of a deletion.
    pub(super) fn deletes_object(self) -> Self {
        self.query("r", quorum(), "Replicas that must answer the read before it.")
            .query("pr", quorum(), "Primary replicas that must.")
            .query("w", quorum(), "Replicas that must take it.")
            .query("dw", quorum(), "Replicas that must store it.")
            .query("pw", quorum(), "Primary replicas that must take it.")
            .query("rw", quorum(), "`r` and `w`, where those are not given.")
            .syncs()
            .of_object()
    }

    fn syncs(self) -> Self {
        let words = word(&["default", "backend", "one", "all"], "");
        self.query("sync_on_write", words, "Which replicas are fsynced before the answer.")
    }

    fn of_object(self) -> Self {
        self.query("node_confirms", quorum(), "Distinct nodes that must answer, or take it.")
            .query("asis", choice(), "Is checked, and has no effect.")
            .timeout(shared::REQUEST_TIMEOUT.as_millis())
    }

    /// It may take so many milliseconds, or as many as are given.
    pub(super) fn timeout(self, usual_ms: u128) -> Self {
        let longest = millis(shared::MAX_TIMEOUT.as_millis());
        let schema = number_within(0, longest, Some(millis(usual_ms)), "");
        self.query("timeout", schema, "The most milliseconds that it may take.")
    }

    /// It is asked for again with what a page ended with.
    pub(super) fn in_pages(self, most: u64, usual: u64) -> Self {
        let count = number_within(1, most, Some(usual), "");
        self.query("count", count, "How many a page has at most.").query(
            "cursor",
            text(""),
            "The `cursor` of the page before.",
        )
    }
}

fn millis(given: u128) -> u64 {
    u64::try_from(given).unwrap_or(u64::MAX)
}
