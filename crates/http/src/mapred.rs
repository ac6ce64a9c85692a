//! `/mapred`: queries, plain and chunked (facts R37 to R40, R66 to R73).
//!
//! A client that goes away ends its query: hyper sees the end of the connection also while nothing
//! is written, and drops the future that waits for the answer or the stream of parts. (Not so when
//! the client has sent its next request already: hyper then looks no further, and the query ends
//! with the first write that fails, or by its timeout.)

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _, stream};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use mapring_api::backend::{ParsedQuery, Watched};
use mapring_api::mapred::{self as said, Refusal};
use mapring_api::meaning::Class;
use mapring_mapred::{Failure, PhaseResults, Rejection, Results, Row};

use crate::app::{App, Request};
use crate::body::Share;
use crate::events::{self, Form};
use crate::reply::{Reply, Stop, media};
use crate::{decision, limits, lines, multipart};

/// What a part has besides its results, about.
const PART_HEAD_BYTES: usize = 256;

/// What is said to those who do not send a query.
const USAGE: &str = "MapReduce queries are sent here with POST, as a JSON document:\n\
    {\"inputs\": INPUTS, \"query\": [PHASE, ...], \"timeout\": MILLISECONDS}\n\
    INPUTS is a bucket, [TYPE, BUCKET], a list of [BUCKET, KEY] or [BUCKET, KEY, DATA], or an\n\
    object with \"bucket\" and \"index\" or \"key_filters\";\n\
    each PHASE is {\"map\": ...}, {\"reduce\": ...} or {\"link\": ...}.\n\
    With ?chunked=true the results of phases are sent as they come.\n";

/// `/mapred` for those who do not send a query.
pub(crate) async fn usage() -> Result<Reply, Stop> {
    Err(Reply::bad_request(USAGE).into())
}

/// `POST /mapred`.
pub(crate) async fn run(app: &App, request: &mut Request) -> Result<Reply, Stop> {
    let held = app.unless_over(request.read(app)).await?;
    if held.bytes.is_empty() {
        return Err(Reply::bad_request(USAGE).into());
    }
    let parsed = match app.unless_over(parse(app, &held.bytes)).await? {
        Err(rejection) if !rejection.is_late() => return Err(refusal(rejection)),
        parsed => parsed,
    };
    // A query has about the size of its text, for as long as it runs.
    let share = held.into_share();
    request.check_origin(app)?;
    decision::query_body(&request.headers).map_err(Stop::on_a_page)?;
    // Riak asks for JSON to be acceptable even where it answers in parts.
    let offered = [media::JSON, media::LINES, media::EVENTS];
    let chosen = decision::representation(&request.headers, &offered)?;
    let query = parsed.map_err(refusal)?;
    if query.wants_plan() {
        let planned = async { query.explain().await.map_err(refusal) };
        return Ok(match app.unless_over(planned).await? {
            Ok(plan) => Reply::json(StatusCode::OK, plan),
            Err(failure) => failed(&failure),
        });
    }
    let form = match chosen {
        media::LINES => Some(Form::Lines),
        media::EVENTS => Some(Form::Events),
        _ => None,
    };
    if form.is_some() || request.params.is_true("chunked") {
        let (results, watched) = query.stream().await.map_err(refusal)?;
        let id = watched.id();
        let reply = match form {
            Some(form) => events::answer(form, results, watched, share),
            None => chunked(app, results, Some(watched), share),
        };
        return Ok(reply.named(QUERY_ID, id.clone()).named(JOB_ID, id));
    }
    if query.streams_lines() {
        let (results, watched) = query.stream().await.map_err(refusal)?;
        let reply = lines::answer(results, share).await;
        let reply = reply.unwrap_or_else(|failure| failed(&failure));
        return Ok(reply.named(QUERY_ID, watched.id()).named(JOB_ID, watched.id()));
    }
    let (answer, watched) = query.answer().await.map_err(refusal)?;
    drop(share);
    let reply = match answer {
        Ok(answer) => {
            let content_type = if answer.is_lines { media::LINES } else { media::JSON };
            Reply::new(StatusCode::OK, content_type, Body::from_stream(answer.body))
                .header(CONTENT_LENGTH, answer.length.to_string())
        }
        Err(failure) => failed(&failure),
    };
    let reply = reply.named(QUERY_ID, watched.id()).named(JOB_ID, watched.id());
    Ok(tell_skipped(reply, watched.as_ref()))
}

/// The header with the id under which a query is listed and can be ended.
const QUERY_ID: &str = "X-Query-Id";

/// The same id, under which clients of jobs look for it.
const JOB_ID: &str = "X-Job-Id";

/// A plain answer has the form that Riak's clients know: what was left out of it stands in headers.
fn tell_skipped(reply: Reply, watched: &dyn Watched) -> Reply {
    let count = watched.skipped_count();
    if count == 0 {
        return reply;
    }
    let mut list = String::from("[");
    for failure in watched.take_skipped() {
        let skipped = said::skipped(&failure);
        if list.len() + skipped.len() > limits::SKIPPED_HEADER_BYTES {
            break;
        }
        list.push_str(if list.len() > 1 { "," } else { "" });
        list.push_str(&skipped);
    }
    list.push(']');
    reply.named("X-Query-Skipped", count.to_string()).named("X-Query-Skipped-Inputs", list)
}

/// A query, or what is wrong with it.
type Parsed = Result<Box<dyn ParsedQuery>, Rejection>;

async fn parse(app: &App, body: &Bytes) -> Result<Parsed, Stop> {
    if body.len() <= limits::PARSE_INLINE_BYTES {
        return Ok(app.queries.parse(body));
    }
    let (queries, body) = (app.queries.clone(), body.clone());
    let parsed = tokio::task::spawn_blocking(move || queries.parse(&body)).await;
    let parsed = parsed.map_err(|error| {
        let error = mapring_types::Error::internal("cannot read the query").with_source(error);
        Reply::from_error(&error)
    })?;
    Ok(parsed)
}

/// The answer to a query that failed.
pub(crate) fn failed(failure: &Failure) -> Reply {
    // A client or proxy that gets this asks another node.
    let status = match said::class(failure) {
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Precondition => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Reply::json(status, said::failure(failure))
}

fn refusal(rejection: Rejection) -> Stop {
    let Refusal { class, json, body } = said::refusal(&rejection);
    match (class, json) {
        (Class::Invalid, false) => Reply::bad_request(body).into(),
        (Class::Invalid, true) => Reply::json(StatusCode::BAD_REQUEST, body).into(),
        _ => Reply::json(StatusCode::INTERNAL_SERVER_ERROR, body).into(),
    }
}

/// Results in parts, as they come; those of a query that runs with what else there is to tell of it.
pub(crate) fn chunked(
    app: &App,
    results: Results,
    watched: Option<Arc<dyn Watched>>,
    share: Share,
) -> Reply {
    let boundary = multipart::random_name(app.node.entropy.as_ref());
    // No space here: Riak writes none, and some clients split at ";boundary=".
    let content_type = format!("{};boundary={boundary}", media::MULTIPART);
    let state = Some((results, boundary, watched, share));
    let pieces = stream::unfold(state, |state| async move {
        let (mut results, boundary, watched, share) = state?;
        let (piece, more) = next_piece(&mut results, &boundary, watched.as_deref()).await;
        Some((Ok::<_, Infallible>(piece), more.then_some((results, boundary, watched, share))))
    });
    Reply::new(StatusCode::OK, &content_type, Body::from_stream(pieces))
}

/// Waits for a result and takes along what is ready besides. Says whether there will be more.
async fn next_piece(
    results: &mut Results,
    boundary: &str,
    watched: Option<&dyn Watched>,
) -> (Bytes, bool) {
    let mut piece = Piece { out: BytesMut::new(), boundary, open: None };
    let mut next = results.next().await;
    loop {
        match next {
            None => {
                piece.close_part();
                if let Some(watched) = watched {
                    piece.add_extras(watched);
                }
                multipart::close(&mut piece.out, boundary);
                return (piece.out.freeze(), false);
            }
            // After an error neither a part nor the end is marked: that is how clients know it.
            Some(Err(failure)) => {
                piece.close_part();
                piece.out.put_slice(said::failure(&failure).as_bytes());
                return (piece.out.freeze(), false);
            }
            Some(Ok(result)) => piece.add(&result),
        }
        if piece.out.len() < limits::FLUSH_BYTES
            && let Some(ready) = results.next().now_or_never()
        {
            next = ready;
        } else if piece.out.is_empty() {
            next = results.next().await;
        } else {
            piece.close_part();
            return (piece.out.freeze(), true);
        }
    }
}

/// Some parts that leave together.
struct Piece<'a> {
    out: BytesMut,
    boundary: &'a str,
    /// The part under construction.
    open: Option<OpenPart>,
}

/// A part under construction.
#[derive(Debug)]
struct OpenPart {
    phase: usize,
    /// Where its values are, if they are pairs: they become the members of an object if no name comes
    /// twice, which is known at the end.
    pairs: Option<Vec<Range<usize>>>,
    /// Where its values begin.
    start: usize,
}

impl Piece<'_> {
    fn add(&mut self, results: &PhaseResults) {
        // Growing step by step would take twice the memory.
        let text: usize = results.values.iter().map(|row| row.bytes() + 1).sum();
        self.out.reserve(text + PART_HEAD_BYTES);
        for row in &results.values {
            let is_pair = matches!(row, Row::Pair(_));
            let fits = |part: &OpenPart| {
                part.phase == results.phase
                    && part.pairs.is_some() == is_pair
                    && self.out.len() - part.start < limits::PART_BYTES
            };
            if self.open.as_ref().is_some_and(fits) {
                self.out.put_u8(b',');
            } else {
                self.begin_part(results.phase, is_pair);
            }
            let text = row.text().as_bytes();
            if let Some(pairs) = self.open.as_mut().and_then(|open| open.pairs.as_mut()) {
                pairs.push(self.out.len()..self.out.len() + text.len());
            }
            self.out.put_slice(text);
        }
    }

    fn begin_part(&mut self, phase: usize, pairs: bool) {
        self.close_part();
        multipart::open_part(&mut self.out, self.boundary);
        self.out.put_slice(format!("{{\"phase\":{phase},\"data\":[").as_bytes());
        let pairs = pairs.then(Vec::new);
        self.open = Some(OpenPart { phase, pairs, start: self.out.len() });
    }

    /// What the client asked for beside results, in parts that are results without any data for
    /// whoever does not know them.
    fn add_extras(&mut self, watched: &dyn Watched) {
        let skipped = watched.take_skipped();
        if !skipped.is_empty() {
            let list: Vec<String> = skipped.iter().map(said::skipped).collect();
            let count = watched.skipped_count();
            let list = list.join(",");
            self.extra(&format!("\"skipped\":[{list}],\"skipped_count\":{count}"));
        }
        if let Some(profile) = watched.profile() {
            self.extra(&format!("\"profile\":{profile}"));
        }
    }

    fn extra(&mut self, members: &str) {
        multipart::open_part(&mut self.out, self.boundary);
        self.out.put_slice(format!("{{\"phase\":0,\"data\":[],{members}}}").as_bytes());
    }

    fn close_part(&mut self) {
        let Some(part) = self.open.take() else { return };
        if let Some(members) = part.pairs.and_then(|pairs| self.as_object(&pairs)) {
            self.out.truncate(part.start - 1);
            self.out.put_slice(format!("{{{members}}}}}").as_bytes());
        } else {
            self.out.put_slice(b"]}");
        }
    }

    /// The members of the object that pairs are written as, where they can be.
    fn as_object(&self, pairs: &[Range<usize>]) -> Option<String> {
        let text = |pair: &Range<usize>| std::str::from_utf8(self.out.get(pair.clone())?).ok();
        let member = |pair| text(pair)?.strip_prefix('{')?.strip_suffix('}');
        let members = || pairs.iter().map(member);
        let one_object = mapring_mapred::is_one_object(members());
        one_object.then(|| members().flatten().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use mapring_mapred::{Failure, FailureKind};

    use super::*;
    use crate::tests::fake::Unwatched;

    fn result(phase: usize, values: &[&str]) -> Result<PhaseResults, Failure> {
        let values = values.iter().map(|&value| Row::value(value)).collect();
        Ok(PhaseResults::new(phase, values))
    }

    async fn pieces(results: Vec<Result<PhaseResults, Failure>>) -> Vec<String> {
        let mut results = stream::iter(results).boxed();
        let mut pieces = Vec::new();
        loop {
            let (piece, more) = next_piece(&mut results, "X", Some(&Unwatched::default())).await;
            pieces.push(String::from_utf8(piece.to_vec()).unwrap());
            if !more {
                return pieces;
            }
        }
    }

    fn part(json: &str) -> String {
        format!("\r\n--X\r\nContent-Type: application/json\r\n\r\n{json}")
    }

    #[tokio::test]
    async fn what_is_ready_leaves_together() {
        let results = vec![
            result(0, &["1", "\"a\""]),
            result(0, &["2"]),
            result(1, &[]),
            result(1, &["{}"]),
            result(0, &["3"]),
        ];
        let expect = [
            part(r#"{"phase":0,"data":[1,"a",2]}"#),
            part(r#"{"phase":1,"data":[{}]}"#),
            part(r#"{"phase":0,"data":[3]}"#),
            "\r\n--X--\r\n".into(),
        ];
        assert_eq!(pieces(results).await, [expect.concat()]);
        assert_eq!(pieces(vec![]).await, ["\r\n--X--\r\n"]);
        assert_eq!(pieces(vec![result(0, &[])]).await, ["\r\n--X--\r\n"]);
    }

    #[tokio::test]
    async fn a_failure_is_bare_json_at_the_end() {
        let failure = || Err(Failure::new(FailureKind::Ended, "x").in_phase(1));
        assert_eq!(pieces(vec![failure()]).await, [r#"{"phase":1,"error":"x"}"#]);
        let expect = part(r#"{"phase":0,"data":[1]}"#) + r#"{"phase":1,"error":"x"}"#;
        assert_eq!(pieces(vec![result(0, &["1"]), failure()]).await, [expect]);
    }

    #[tokio::test]
    async fn pairs_are_members_of_an_object() {
        let pair = |name: &str, value: &str| Row::pair(&format!("\"{name}\""), value);
        let (one, two) = (pair("a", "1"), pair("b", "[2]"));
        let result =
            |rows: &[&Row]| Ok(PhaseResults::new(0, rows.iter().copied().cloned().collect()));
        let results = vec![result(&[&one, &two, &Row::value("3")]), result(&[&two])];
        let expect = part(r#"{"phase":0,"data":{"a":1,"b":[2]}}"#)
            + &part(r#"{"phase":0,"data":[3]}"#)
            + &part(r#"{"phase":0,"data":{"b":[2]}}"#)
            + "\r\n--X--\r\n";
        assert_eq!(pieces(results).await, [expect]);
        // But no name comes twice in one.
        let results = vec![result(&[&one, &two]), result(&[&one])];
        let expect = part(r#"{"phase":0,"data":[{"a":1},{"b":[2]},{"a":1}]}"#) + "\r\n--X--\r\n";
        assert_eq!(pieces(results).await, [expect]);
    }

    #[tokio::test]
    async fn extras_are_parts_without_data() {
        let skipped = |phase| Failure::new(FailureKind::Ended, "x").in_phase(phase);
        let watched = Unwatched::with(vec![skipped(1), skipped(2)], Some("[7]"));
        let mut results = stream::iter([result(0, &["1"])]).boxed();
        let (piece, more) = next_piece(&mut results, "X", Some(&watched)).await;
        let expect = part(r#"{"phase":0,"data":[1]}"#)
            + &part(concat!(
                r#"{"phase":0,"data":[],"skipped":[{"phase":1,"error":"x"},"#,
                r#"{"phase":2,"error":"x"}],"skipped_count":2}"#
            ))
            + &part(r#"{"phase":0,"data":[],"profile":[7]}"#)
            + "\r\n--X--\r\n";
        assert_eq!((std::str::from_utf8(&piece).unwrap(), more), (expect.as_str(), false));
    }

    #[tokio::test]
    async fn parts_and_pieces_are_bounded() {
        let value = format!("\"{}\"", "x".repeat(limits::PART_BYTES / 2));
        let results: Vec<_> = (0..20).map(|_| result(0, &[&value, &value])).collect();
        let pieces = pieces(results).await;
        assert!(pieces.len() > 4, "{}", pieces.len());
        let most = limits::FLUSH_BYTES + 2 * limits::PART_BYTES + 1_000;
        assert!(pieces.iter().all(|piece| piece.len() < most));
        let text = pieces.concat();
        assert_eq!(text.matches(&value).count(), 40);
        for part in text.split("\r\n--X").filter(|part| part.contains("data")) {
            let json = part.rsplit("\r\n").next().unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok());
            assert!(json.len() < 2 * limits::PART_BYTES);
        }
    }

    #[tokio::test]
    async fn results_leave_when_nothing_else_is_ready() {
        let first = stream::iter([result(0, &["1"])]);
        let mut results = first.chain(stream::pending()).boxed();
        let (piece, more) = next_piece(&mut results, "X", Some(&Unwatched::default())).await;
        assert_eq!((&piece[..], more), (part(r#"{"phase":0,"data":[1]}"#).as_bytes(), true));
        assert!(
            next_piece(&mut results, "X", Some(&Unwatched::default())).now_or_never().is_none()
        );
    }
}
