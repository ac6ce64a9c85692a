//! Walks along links (facts R300 to R304): from an object to those that it links to, to those that these
//! link to, and so on, with the objects of the steps that are kept as documents within documents.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{ALLOW, CONTENT_TYPE, EXPIRES};
use http::{Method, StatusCode};
use mapring_kv::{GetOptions, ObjectPart};
use mapring_types::{BucketId, Error, ErrorKind, Object, ObjectId, Sibling, limits as shared};
use tokio::time::timeout;

use super::content;
use crate::app::{App, Request};
use crate::body::Growing;
use crate::path::{Style, decode_segment, object_path};
use crate::reply::{Reply, Stop, VARY_ENCODING, media};
use crate::{decision, limits, multipart};

/// What most who come to a walk have to know.
const SLASH: &str = "A slash that belongs to the key is written as %2F.\n";

/// Which links are followed from the objects of the step before. `None` stands for all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    bucket: Option<Bytes>,
    tag: Option<Bytes>,
    /// Whether its objects are in the answer.
    keep: bool,
}

/// A link as a step sees it: bucket, key, tag.
type Triple = (Bytes, Bytes, Bytes);

/// `GET …/keys/K/<bucket>,<tag>,<keep>/…`.
pub(super) async fn get(app: &App, request: &Request) -> Result<Reply, Stop> {
    let (steps, origin) = begin(app, request).await?;
    let boundary = multipart::random_name(app.node.entropy.as_ref());
    // Riak writes a space here, as with siblings.
    let content_type = format!("{}; boundary={boundary}", media::MULTIPART);
    let reply = if request.method == Method::HEAD {
        Reply::new(StatusCode::OK, &content_type, Bytes::new())
    } else {
        let frames = Frames::new(app, style(request), boundary);
        let walk = walk(app, steps, origin, frames);
        let framed = match timeout(shared::REQUEST_TIMEOUT, walk).await {
            Ok(framed) => framed?,
            Err(_) => return Err(Error::timeout("the walk did not end in time").into()),
        };
        let Frames { heads, siblings, end, held, .. } = framed;
        content::framed(app, &siblings, (heads, end), vec![held.into_share()])?
            .into_reply(&content_type)
    };
    let expires = app.node.clock.now_micros() / 1_000_000 + limits::WALK_FRESH.as_secs();
    let expires = UNIX_EPOCH.checked_add(Duration::from_secs(expires)).unwrap_or(UNIX_EPOCH);
    Ok(reply.header(EXPIRES, httpdate::fmt_http_date(expires)).vary(VARY_ENCODING))
}

/// `POST` there: nothing is done. It has browsers forget what they had of the walk.
pub(super) async fn post(app: &App, request: &Request) -> Result<Reply, Stop> {
    begin(app, request).await?;
    let reply = Reply::empty(StatusCode::NO_CONTENT).header(CONTENT_TYPE, media::MULTIPART);
    Ok(reply.vary(VARY_ENCODING))
}

/// Any other method there: mostly of a key whose slash is not escaped.
pub(super) fn wrong_method(request: &Request, allow: &'static str) -> Stop {
    let page = decision::wrong_method(&request.method, allow);
    if page.status() != StatusCode::METHOD_NOT_ALLOWED {
        return page.into();
    }
    Reply::text(page.status(), SLASH).header(ALLOW, allow).into()
}

/// What is checked before a walk, in Riak's order, and where it begins.
async fn begin(app: &App, request: &Request) -> Result<(Vec<Step>, Object), Stop> {
    let steps = read_steps(&request.names.steps).ok_or_else(|| {
        Reply::bad_request(format!(
            "Invalid link walk query submitted. Valid link walk query format is: \
             /riak/some_bucket/some_key/<bucket>,<riaktag>,0|1/...\n{SLASH}"
        ))
    })?;
    request.check_origin(app)?;
    if request.names.bucket.bucket_type != mapring_types::name::DEFAULT_TYPE {
        let text = "Link-walking is not allowed on keys stored in bucket-types.";
        return Err(Reply::text(StatusCode::FORBIDDEN, text).into());
    }
    decision::representation(&request.headers, &[media::MULTIPART])?;
    match read(app, &request.object()).await? {
        Some((origin, _)) => Ok((steps, origin)),
        None => Err(Reply::page(StatusCode::NOT_FOUND).vary(VARY_ENCODING).into()),
    }
}

/// Reads the steps of a path as they stand there; `None` if one is not written as it must be.
fn read_steps(given: &[Bytes]) -> Option<Vec<Step>> {
    let mut steps = Vec::with_capacity(given.len());
    for (at, step) in given.iter().enumerate() {
        let is_last = at + 1 == given.len();
        steps.push(read_step(step, is_last)?);
    }
    // Of a walk that keeps nothing the end is meant.
    if !steps.iter().any(|step| step.keep)
        && let Some(last) = steps.last_mut()
    {
        last.keep = true;
    }
    Some(steps)
}

fn read_step(step: &[u8], is_last: bool) -> Option<Step> {
    let text = std::str::from_utf8(step).ok()?;
    // Some clients escape the commas too; in a name they always are.
    let decoded = String::from_utf8_lossy(&decode_segment(text)).into_owned();
    let (words, escaped) = match words(text) {
        Some(words) => (words, true),
        None => (self::words(&decoded)?, false),
    };
    let name = |word: &str| match word {
        "_" => None,
        word if escaped => Some(decode_segment(word)),
        word => Some(Bytes::copy_from_slice(word.as_bytes())),
    };
    let [bucket, tag, keep] = words;
    let keep = match keep {
        "1" => true,
        "0" => false,
        _ => is_last,
    };
    Some(Step { bucket: name(bucket), tag: name(tag), keep })
}

fn words(text: &str) -> Option<[&str; 3]> {
    let words: Vec<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
    words.try_into().ok()
}

/// How the answer writes paths: links know no bucket types.
fn style(request: &Request) -> Style {
    match request.names.style {
        Style::Old => Style::Old,
        Style::New | Style::Typed => Style::New,
    }
}

async fn walk<'a>(
    app: &'a App,
    steps: Vec<Step>,
    origin: Object,
    mut frames: Frames<'a>,
) -> Result<Frames<'a>, Stop> {
    let mut links = Links::default();
    links.add(&origin)?;
    for (at, step) in steps.iter().enumerate() {
        let is_last = at + 1 == steps.len();
        let followed = links.matching(step);
        links = Links::default();
        if step.keep {
            frames.open();
        }
        let ids = followed.into_iter().map(|(bucket, key, _)| {
            let id = ObjectId::new(BucketId::untyped(bucket), key);
            async move { Ok::<_, Stop>((read(app, &id).await?, id)) }
        });
        let mut objects = stream::iter(ids).buffered(limits::WALK_READS);
        while let Some((object, id)) = objects.try_next().await? {
            // What a link leads to need not be there.
            let Some((object, whole)) = object else { continue };
            if !is_last {
                links.add(&object)?;
            }
            if step.keep {
                frames.add(object, &id, whole).await?;
            }
        }
        if step.keep {
            frames.close();
        }
    }
    frames.finish();
    Ok(frames)
}

/// Reads an object, and says whether with its bytes: not where it is too large to be read whole. Nothing
/// of one that is deleted.
async fn read(app: &App, id: &ObjectId) -> Result<Option<(Object, bool)>, Stop> {
    let options = GetOptions::default();
    let (found, whole) = match app.objects.get(id, &options).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            (app.objects.get_part(id, &options, ObjectPart::Heads).await?, false)
        }
        found => (found?, true),
    };
    let live = found.filter(|object| !object.is_tombstone());
    Ok(live.map(|object| (object, whole)))
}

/// The links of the objects of a step, of all their values.
#[derive(Default)]
struct Links(BTreeSet<Triple>);

impl Links {
    fn add(&mut self, object: &Object) -> Result<(), Stop> {
        let all = object.siblings.iter().flat_map(|sibling| &sibling.metadata.links);
        self.0.extend(all.map(|link| (link.bucket.clone(), link.key.clone(), link.tag.clone())));
        if self.0.len() > limits::WALK_LINKS {
            let text = format!("the objects of a step have more than {} links", limits::WALK_LINKS);
            return Err(Error::new(ErrorKind::TooLarge, text).into());
        }
        Ok(())
    }

    fn matching(self, step: &Step) -> Vec<Triple> {
        let is = |wanted: &Option<Bytes>, name: &Bytes| wanted.as_ref().is_none_or(|w| w == name);
        let follows = |(bucket, _, tag): &Triple| is(&step.bucket, bucket) && is(&step.tag, tag);
        self.0.into_iter().filter(follows).collect()
    }
}

/// The answer as it grows: values, and what stands before each of them.
struct Frames<'a> {
    app: &'a App,
    style: Style,
    outer: String,
    inner: String,
    /// What stands before the next value.
    text: BytesMut,
    heads: Vec<Bytes>,
    siblings: Vec<Sibling>,
    end: Bytes,
    /// Of the memory for bodies.
    held: Growing,
}

impl<'a> Frames<'a> {
    fn new(app: &'a App, style: Style, outer: String) -> Self {
        let (text, end) = (BytesMut::new(), Bytes::new());
        let (heads, siblings, inner) = (Vec::new(), Vec::new(), String::new());
        let held = Growing::new(&app.bodies);
        Self { app, style, outer, inner, text, heads, siblings, end, held }
    }

    /// Begins the part of a step.
    fn open(&mut self) {
        self.inner = multipart::random_name(self.app.node.entropy.as_ref());
        let (outer, inner) = (&self.outer, &self.inner);
        let head = format!("\r\n--{outer}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n");
        self.text.put_slice(head.as_bytes());
    }

    /// Adds an object to the part of a step: one of its values, with the tags of the others.
    async fn add(&mut self, mut object: Object, id: &ObjectId, whole: bool) -> Result<(), Stop> {
        let Some(shown) = object.siblings.iter().position(|sibling| !sibling.deleted) else {
            return Ok(());
        };
        let mut sibling = object.siblings.remove(shown);
        let path = object_path(id, self.style);
        let vtag = sibling.vtag();
        let mut head = format!("X-Riak-Vclock: {}\r\n", object.clock.to_header());
        if object.siblings.is_empty() {
            head.push_str(&format!("Location: {path}\r\n"));
        } else {
            let others: Vec<String> = object.siblings.iter().map(Sibling::vtag).collect();
            head.push_str(&format!("Location: {path}?vtag={vtag}\r\n"));
            head.push_str(&format!("X-Riak-Sibling-VTags: {}\r\n", others.join(",")));
        }
        if !whole && sibling.metadata.blocks.is_none() {
            let (options, part) = (GetOptions::default(), ObjectPart::Value(vtag.clone()));
            let found = self.app.objects.get_part(id, &options, part).await?;
            let mut values = found.into_iter().flat_map(|object| object.siblings);
            sibling = values.find(|value| value.vtag() == vtag).unwrap_or(sibling);
        }
        self.held.add(sibling.body.len())?;
        self.text.put_slice(format!("\r\n--{}\r\n{head}", self.inner).as_bytes());
        multipart::sibling_headers(&mut self.text, &sibling, &id.bucket, self.style);
        self.held.add(self.text.len())?;
        self.heads.push(self.text.split().freeze());
        self.siblings.push(sibling);
        Ok(())
    }

    /// Ends the part of a step.
    fn close(&mut self) {
        multipart::close(&mut self.text, &self.inner);
    }

    /// Ends the answer.
    fn finish(&mut self) {
        multipart::close(&mut self.text, &self.outer);
        self.end = self.text.split().freeze();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(bucket: Option<&'static str>, tag: Option<&'static str>, keep: bool) -> Step {
        Step { bucket: bucket.map(Bytes::from), tag: tag.map(Bytes::from), keep }
    }

    #[track_caller]
    fn check(path: &[&'static str], expect: Option<&[Step]>) {
        let given: Vec<Bytes> = path.iter().map(|step| Bytes::from(*step)).collect();
        assert_eq!(read_steps(&given).as_deref(), expect, "{path:?}");
    }

    #[test]
    fn steps_have_a_bucket_a_tag_and_whether_they_are_kept() {
        check(&["_,_,1"], Some(&[step(None, None, true)]));
        check(&["b,t,_"], Some(&[step(Some("b"), Some("t"), true)]));
        check(&["b+c,t%2Cu,x"], Some(&[step(Some("b c"), Some("t,u"), true)]));
        check(&["b%2C_%2C1"], Some(&[step(Some("b"), None, true)]));
        check(&["%5F,_,1"], Some(&[step(Some("_"), None, true)]));
        let (first, last) = (step(Some("a"), None, false), step(Some("b"), None, true));
        check(&["a,_,_", "b,_,_"], Some(&[first.clone(), last.clone()]));
        check(&["a,_,0", "b,_,1"], Some(&[first, last.clone()]));
        check(
            &["a,_,1", "b,_,0"],
            Some(&[step(Some("a"), None, true), step(Some("b"), None, false)]),
        );
        // What Riak keeps of a single step, and where it fails with several.
        check(&["b,_,0"], Some(std::slice::from_ref(&last)));
        check(&["a,_,0", "b,_,0"], Some(&[step(Some("a"), None, false), last]));
        for wrong in [&["b"][..], &["b,t"], &["b,,1"], &["b,t,1,2"], &["_,_,1", "x"], &[","]] {
            check(wrong, None);
        }
    }
}
