//! Answers of `/mapred` that tell more than results: JSON lines (`application/x-ndjson`) and
//! server-sent events (`text/event-stream`).
//!
//! Both tell the same, each a JSON object: `query` (its id) first, then `results`, `progress` about
//! every second and `skipped` as they come, and at the end `profile` if it was asked for, and `done`
//! or `error`. Lines carry the objects alone; events also name them. The results of a job are told
//! likewise: `job`, `results`, and `done` or `error`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _, stream};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use mapring_api::backend::Watched;
use mapring_api::mapred as said;
use mapring_mapred::{PhaseResults, QueryReport, Results};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::body::Share;
use crate::limits;
use crate::listing::ascii;
use crate::reply::{Reply, media};

/// How the objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Form {
    /// What means nothing, and only shows that the connection is alive.
    pub(crate) fn nothing(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Lines => b"\n",
            Self::Events => b":\n\n",
        })
    }
}

/// The answer to a query in one of these forms.
pub(crate) fn answer(
    form: Form,
    results: Results,
    watched: Arc<dyn Watched>,
    share: Share,
) -> Reply {
    told(form, results, Source::Query(watched), share)
}

/// The results that are kept of a job in one of these forms.
pub(crate) fn kept(form: Form, job: &str, results: Results, share: Share) -> Reply {
    told(form, results, Source::Job(job.to_owned()), share)
}

fn told(form: Form, results: Results, source: Source, share: Share) -> Reply {
    let teller = Teller { form, results, source, told: Instant::now(), begun: false, sent: 0 };
    let pieces = stream::unfold(Some((teller, share)), |state| async move {
        let (mut teller, share) = state?;
        let (piece, more) = teller.next_piece().await;
        Some((Ok::<_, Infallible>(piece), more.then_some((teller, share))))
    });
    let content_type = match form {
        Form::Lines => media::LINES,
        Form::Events => media::EVENTS,
    };
    Reply::new(StatusCode::OK, content_type, Body::from_stream(pieces))
        .header(CACHE_CONTROL, "no-store")
}

/// Where results come from.
enum Source {
    /// From a query that runs.
    Query(Arc<dyn Watched>),
    /// From what is kept of the job of that id.
    Job(String),
}

/// Tells what a query does, or what a job gave.
struct Teller {
    form: Form,
    results: Results,
    source: Source,
    /// When progress was last told.
    told: Instant,
    begun: bool,
    /// Results sent.
    sent: u64,
}

impl Teller {
    /// Waits for something to tell and takes along what is ready besides. Says whether there will be
    /// more.
    async fn next_piece(&mut self) -> (Bytes, bool) {
        let mut out = BytesMut::new();
        if !self.begun {
            self.begun = true;
            let (name, id) = match &self.source {
                Source::Query(watched) => ("query", watched.id()),
                Source::Job(id) => ("job", id.clone()),
            };
            self.write(&mut out, name, &ascii(&json!({ name: id }).to_string()));
            return (out.freeze(), true);
        }
        let next = tokio::select! {
            biased;
            () = sleep_until(self.told + limits::PROGRESS_EVERY) => {
                self.told = Instant::now();
                self.progress(&mut out);
                self.skipped(&mut out);
                return (out.freeze(), true);
            }
            next = self.results.next() => next,
        };
        let mut next = Some(next);
        while let Some(event) = next.take() {
            match event {
                Some(Ok(results)) => self.results(&mut out, &results),
                Some(Err(failure)) => {
                    self.skipped(&mut out);
                    self.write(&mut out, "error", &said::failure(&failure));
                    return (out.freeze(), false);
                }
                None => {
                    self.end(&mut out);
                    return (out.freeze(), false);
                }
            }
            if out.len() < limits::FLUSH_BYTES {
                next = self.results.next().now_or_never();
            }
        }
        self.skipped(&mut out);
        (out.freeze(), true)
    }

    fn results(&mut self, out: &mut BytesMut, results: &PhaseResults) {
        self.sent += results.values.len() as u64;
        let bytes: usize = results.values.iter().map(|row| row.bytes() + 1).sum();
        let mut text = String::with_capacity(bytes + 32);
        text.push_str(&format!("{{\"phase\":{},\"data\":[", results.phase));
        for (at, row) in results.values.iter().enumerate() {
            text.push_str(if at > 0 { "," } else { "" });
            text.push_str(row.text());
        }
        text.push_str("]}");
        self.write(out, "results", &text);
    }

    fn progress(&self, out: &mut BytesMut) {
        let Source::Query(watched) = &self.source else {
            out.put_slice(&self.form.nothing());
            return;
        };
        let QueryReport { state, age_ms, inputs_done, phases, .. } = watched.report();
        let progress = json!({
            "state": state, "age_ms": age_ms, "inputs_done": inputs_done, "phases": phases,
        });
        self.write(out, "progress", &ascii(&json!({ "progress": progress }).to_string()));
    }

    fn skipped(&self, out: &mut BytesMut) {
        let Source::Query(watched) = &self.source else { return };
        let skipped = watched.take_skipped();
        if !skipped.is_empty() {
            let list: Vec<String> = skipped.iter().map(said::skipped).collect();
            let count = watched.skipped_count();
            let text = format!("{{\"skipped\":[{}],\"skipped_count\":{count}}}", list.join(","));
            self.write(out, "skipped", &text);
        }
    }

    fn end(&self, out: &mut BytesMut) {
        let Source::Query(watched) = &self.source else {
            let done = json!({ "results": self.sent });
            return self.write(out, "done", &json!({ "done": done }).to_string());
        };
        self.skipped(out);
        if let Some(profile) = watched.profile() {
            self.write(out, "profile", &format!("{{\"profile\":{profile}}}"));
        }
        let QueryReport { age_ms, inputs_done, .. } = watched.report();
        let done = json!({
            "age_ms": age_ms,
            "inputs_done": inputs_done,
            "results": self.sent,
            "skipped": watched.skipped_count(),
        });
        self.write(out, "done", &json!({ "done": done }).to_string());
    }

    /// JSON written without white space has no line ends: it fits into a line as it is.
    fn write(&self, out: &mut BytesMut, name: &str, json: &str) {
        match self.form {
            Form::Lines => {
                out.put_slice(json.as_bytes());
                out.put_slice(b"\n");
            }
            Form::Events => {
                out.put_slice(format!("event: {name}\ndata: ").as_bytes());
                out.put_slice(json.as_bytes());
                out.put_slice(b"\n\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mapring_mapred::{Failure, FailureKind, Row};

    use super::*;
    use crate::tests::fake::Unwatched;

    fn result(phase: usize, values: &[&str]) -> Result<PhaseResults, Failure> {
        let values = values.iter().map(|&value| Row::value(value)).collect();
        Ok(PhaseResults::new(phase, values))
    }

    async fn told(
        form: Form,
        results: Vec<Result<PhaseResults, Failure>>,
        watched: Unwatched,
    ) -> String {
        tell(form, results, Source::Query(Arc::new(watched))).await
    }

    async fn tell(
        form: Form,
        results: Vec<Result<PhaseResults, Failure>>,
        source: Source,
    ) -> String {
        let (results, told) = (stream::iter(results).boxed(), Instant::now());
        let mut teller = Teller { form, results, source, told, begun: false, sent: 0 };
        let mut text = String::new();
        loop {
            let (piece, more) = teller.next_piece().await;
            text.push_str(std::str::from_utf8(&piece).unwrap());
            if !more {
                return text;
            }
        }
    }

    #[tokio::test]
    async fn lines() {
        let results = vec![result(0, &["1", "\"a\""]), result(1, &["[]"])];
        let skipped = Failure::new(FailureKind::Ended, "x").in_phase(0);
        let watched = Unwatched::with(vec![skipped], Some("[7]"));
        let expect = [
            r#"{"query":"1-0000000000000002"}"#,
            r#"{"phase":0,"data":[1,"a"]}"#,
            r#"{"phase":1,"data":[[]]}"#,
            r#"{"skipped":[{"phase":0,"error":"x"}],"skipped_count":1}"#,
            r#"{"profile":[7]}"#,
            r#"{"done":{"age_ms":0,"inputs_done":0,"results":3,"skipped":1}}"#,
            "",
        ];
        assert_eq!(told(Form::Lines, results, watched).await, expect.join("\n"));
    }

    #[tokio::test]
    async fn events() {
        let failure = Failure::new(FailureKind::Timeout, "late");
        let results = vec![result(0, &["1"]), Err(failure)];
        let expect = [
            "event: query\ndata: {\"query\":\"1-0000000000000002\"}\n\n",
            "event: results\ndata: {\"phase\":0,\"data\":[1]}\n\n",
            "event: error\ndata: {\"error\":\"timeout\"}\n\n",
        ];
        assert_eq!(told(Form::Events, results, Unwatched::default()).await, expect.concat());
    }

    #[tokio::test]
    async fn results_of_jobs() {
        let results = vec![result(1, &["1", "2"])];
        let lines = tell(Form::Lines, results, Source::Job("é".into())).await;
        let expect =
            [r#"{"job":"\u00e9"}"#, r#"{"phase":1,"data":[1,2]}"#, r#"{"done":{"results":2}}"#, ""];
        assert_eq!(lines, expect.join("\n"));
        let results = vec![Err(Failure::new(FailureKind::Stopping, "x"))];
        let events = tell(Form::Events, results, Source::Job("j".into())).await;
        assert!(events.ends_with("event: error\ndata: {\"error\":\"x\"}\n\n"), "{events}");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_told_while_nothing_comes() {
        let query = || Source::Query(Arc::new(Unwatched::default()));
        for (source, expect) in [(query(), "{\"progress\":{"), (Source::Job("j".into()), "\n")] {
            let (results, told) = (stream::pending().boxed(), Instant::now());
            let form = Form::Lines;
            let mut teller = Teller { form, results, source, told, begun: true, sent: 0 };
            for _ in 0..3 {
                let (piece, more) = teller.next_piece().await;
                assert!(more && piece.starts_with(expect.as_bytes()), "{piece:?}");
            }
            assert_eq!(told.elapsed(), 3 * limits::PROGRESS_EVERY);
        }
    }
}
