//! What a query's own code reads, as inputs of the phase.

use std::collections::BTreeMap;
use std::sync::Arc;

use mapring_kv::Cursor;
use mapring_readers::{Generated, Piece, Root, key_number};
use mapring_script::{FailureCause, JsonText, MapInput, PhaseFunction, Row, ScriptError};
use mapring_types::{BucketId, ObjectId, Record, Result, limits as common};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::outcome::UnitEnd;
use super::shards::{ShardRun, listed};
use crate::grammar::{Consistency, KeyInput};
use crate::parts::{Caller, strange};
use crate::shard::{ReaderPlace, ShardObject, ShardPlace, ValuePlace};
use crate::{json, keys, limits, unit};

/// A reader under way: where its last call began, and where it stood at its end.
pub(super) struct Reading {
    index: u32,
    /// Items that were done before the call, …
    done: u64,
    /// … and from where it read.
    state: String,
    skip: u64,
    /// The same of the next call; `None` at the end.
    next: Option<(u64, Next)>,
}

/// Where a reader goes on.
#[derive(Clone)]
struct Next {
    state: String,
    skip: u64,
}

/// How things stand after a call.
#[derive(Deserialize)]
struct Head<'h> {
    done: bool,
    #[serde(borrow)]
    state: Option<&'h RawValue>,
    #[serde(default)]
    skip: u64,
}

/// What a reader gave.
#[derive(Debug, PartialEq, Eq)]
enum ReadItem {
    /// Data, perhaps with a key.
    Data { key: Option<String>, json: String },
    /// The name of an object, and key data.
    Object(ObjectId, Option<JsonText>),
}

impl Reading {
    /// The place before the item of a number.
    pub(super) fn place(&self, item: u64, within: Option<ValuePlace>) -> Cursor {
        let place = match &self.next {
            Some((done, Next { state, skip })) if *done == item => {
                ReaderPlace { done: item, state: state.clone(), skip: *skip, within }
            }
            _ => {
                let skip = self.skip + item.saturating_sub(self.done);
                ReaderPlace { done: item, state: self.state.clone(), skip, within }
            }
        };
        place.to_cursor()
    }

    /// What functions get as key data with an item.
    pub(super) fn position(&self, item: u64) -> String {
        format!("{{\"shard\":{},\"index\":{item}}}", self.index)
    }

    /// What a sample goes by.
    fn number(&self, item: u64) -> u64 {
        (u64::from(self.index) << limits::READER_ITEMS_BITS) + item
    }
}

impl ShardRun<'_> {
    /// Works through what a reader gives, from a place on.
    pub(super) async fn reader(
        &mut self,
        function: &PhaseFunction,
        index: u32,
        start: ReaderPlace,
    ) -> Result<(), UnitEnd> {
        let function = Arc::new(function.clone());
        let ReaderPlace { mut done, mut state, mut skip, mut within } = start;
        loop {
            let (items, next) = self.ask(&function, index, &state, skip).await?;
            let after = done + items.len() as u64;
            let reached = next.clone().map(|next| (after, next));
            self.reading = Some(Reading { index, done, state, skip, next: reached });
            for (number, item) in (done..).zip(items) {
                if self.read_item(index, number, item, within.take()).await? {
                    return Ok(());
                }
            }
            let Some(next) = next else { return Ok(()) };
            (done, state, skip) = (after, next.state, next.skip);
        }
    }

    /// Has the reader read on: the items, and where to go on behind them.
    async fn ask(
        &mut self,
        function: &Arc<PhaseFunction>,
        index: u32,
        state: &str,
        skip: u64,
    ) -> Result<(Vec<Row>, Option<Next>), UnitEnd> {
        let permit = self.lane.permits.acquire().await?;
        let what = format!("the reader, shard {index}");
        let plain = self.left.filter(|_| self.shard.formats.is_empty());
        let items = plain.unwrap_or(u64::MAX).clamp(1, limits::CALL_INPUTS as u64);
        let asked = format!(
            "{{\"split\":false,\"shard\":{index},\"state\":{},\"skip\":{skip},\"items\":{items},\
             \"size\":{},\"ms\":{},\"kept\":{},\"state_most\":{}}}",
            json::string_literal(state),
            limits::CALL_BYTES,
            limits::READ_MS,
            limits::READERS_KEPT,
            limits::STATE_CHARACTERS,
        );
        let phase = usize::try_from(self.lane.request.phase).unwrap_or(usize::MAX);
        let began = Instant::now();
        let read = {
            let workers = self.lane.node.workers.as_ref();
            let context = self.pager.context();
            let caller = Caller { workers, query: self.lane.request.query, phase, context };
            caller.ask(function, &what, asked).await
        };
        let mut rows = read.map_err(|error| self.lane.failed(error, &[]))?.into_iter();
        self.pager.cost().read_us += unit::micros(began.elapsed());
        let head = rows.next().map(Row::into_text).unwrap_or_default();
        let head: Head<'_> =
            serde_json::from_str(&head).map_err(|_| self.lane.failed(strange(&what), &[]))?;
        let next = match (head.done, head.state) {
            (false, Some(state)) => Some(Next { state: state.get().to_owned(), skip: head.skip }),
            _ => None,
        };
        drop(permit);
        Ok((rows.collect(), next))
    }

    /// Takes an item, or what is taken out of it. Returns whether enough have come.
    async fn read_item(
        &mut self,
        index: u32,
        number: u64,
        item: Row,
        within: Option<ValuePlace>,
    ) -> Result<bool, UnitEnd> {
        let text = Row::into_text(item);
        let item = ReadItem::of(&text).map_err(|why| {
            let message = format!("the reader, shard {index}, item {number}: {why}");
            self.lane.failed(ScriptError::new(FailureCause::BadArgument, message), &[])
        })?;
        match item {
            ReadItem::Data { key, json } => {
                let sampled =
                    self.reading.as_ref().map_or(number, |reading| reading.number(number));
                let string: Option<String> = serde_json::from_str(&json).ok();
                let (is_json, data) = (string.is_none(), string.unwrap_or_else(|| json.clone()));
                let json = match &key {
                    Some(key) => format!("[{},{json}]", json::string_literal(key)),
                    None => json,
                };
                let made = Generated { text: data, is_json, json };
                let named = ("reader", key.clone().unwrap_or_else(|| format!("{index}-{number}")));
                let start = ShardPlace { root: number, within };
                self.made(number, sampled, named, made, &start).await
            }
            ReadItem::Object(id, keydata) => {
                let object = ShardObject { id, keydata, piece: Piece::Whole, write: None };
                self.named(number, &object, within).await?;
                Ok(self.left == Some(0))
            }
        }
    }

    /// Takes an object that a reader names, or what is taken out of it.
    async fn named(
        &mut self,
        number: u64,
        object: &ShardObject,
        within: Option<ValuePlace>,
    ) -> Result<(), UnitEnd> {
        let seed = self.shard.seed;
        let whole = Root { length: 0, number: key_number(&object.id.key), seed };
        if self.shard.formats.first().is_some_and(|lowest| lowest.leaves_out(&whole)) {
            return Ok(());
        }
        if !self.shard.is_plain() {
            return self.opened(number, object, within, whole).await;
        }
        let (id, keydata) = (object.id.clone(), object.keydata.clone());
        let input = if self.lists() {
            listed(&id, Row::into_text(keys::to_row(&KeyInput { id: id.clone(), keydata })?))
        } else {
            let Some(record) = self.record(&id).await? else { return self.miss(object).await };
            MapInput { id, keydata, record: Some(record) }
        };
        let place = self.place(number + 1, None);
        self.push(input, place);
        self.flush_if_full().await
    }

    /// An object as it is stored.
    async fn record(&mut self, id: &ObjectId) -> Result<Option<Record>, UnitEnd> {
        let began = Instant::now();
        let objects = &self.lane.node.objects;
        let found = match self.lane.request.options.consistency {
            Consistency::All => objects.read_all(id).await?,
            Consistency::One | Consistency::Quorum => objects.read_quorum(id).await?,
        };
        let found = found.filter(|object| !object.siblings.is_empty());
        let record = found.as_ref().map(Record::encode);
        let cost = self.pager.cost();
        cost.read_us += unit::micros(began.elapsed());
        cost.looked_at += 1;
        cost.read_bytes += record.as_ref().map_or(0, Record::len) as u64;
        Ok(record.map(|record| self.lane.living(id, record)).transpose()?.flatten())
    }
}

/// The members of an object that stands for something.
type Members<'m> = BTreeMap<String, &'m RawValue>;

impl ReadItem {
    /// `{"key":…,"value":…}`, `{"object":["bucket","key"]}`, or any other value.
    fn of(text: &str) -> Result<Self, String> {
        let data = |key, json: &str| Ok(Self::Data { key, json: json.to_owned() });
        let members: Members<'_> = match text.starts_with('{') {
            true => serde_json::from_str(text).unwrap_or_default(),
            false => Members::new(),
        };
        let member = |name: &str| members.get(name).map(|value| value.get());
        match (members.len(), member("key"), member("value"), member("object")) {
            (2, Some(key), Some(value), _) => {
                let key = serde_json::from_str(key).unwrap_or_else(|_| key.to_owned());
                data(Some(key), value)
            }
            (1, _, _, Some(name)) if name.starts_with('[') => Self::named(name),
            _ => data(None, text),
        }
    }

    fn named(name: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "an object is named as [\"bucket\",\"key\"], [\"bucket\",\"key\",keydata] or \
                 [\"bucket\",\"key\",keydata,\"type\"], not {}",
                mapring_types::quote(name)
            )
        };
        let parts: Vec<&RawValue> = serde_json::from_str(name).map_err(|_| wrong())?;
        let text = |part: &RawValue| -> Result<String, String> {
            let text: String = serde_json::from_str(part.get()).map_err(|_| wrong())?;
            let fits = (1..=common::KEY_BYTES).contains(&text.len());
            fits.then_some(text).ok_or_else(wrong)
        };
        let (bucket, key, keydata, bucket_type) = match *parts.as_slice() {
            [bucket, key] => (bucket, key, None, None),
            [bucket, key, keydata] => (bucket, key, Some(keydata), None),
            [bucket, key, keydata, bucket_type] => (bucket, key, Some(keydata), Some(bucket_type)),
            _ => return Err(wrong()),
        };
        let bucket = match bucket_type {
            None => BucketId::untyped(text(bucket)?),
            Some(given) => BucketId::typed(text(given)?, text(bucket)?),
        };
        let keydata = keydata.filter(|keydata| keydata.get() != "null");
        let keydata = keydata.map(|keydata| JsonText(keydata.get().to_owned()));
        Ok(Self::Object(ObjectId::new(bucket, text(key)?), keydata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &ReadItem) {
        assert_eq!(ReadItem::of(text).as_ref(), Ok(expect), "{text}");
    }

    fn data(key: Option<&str>, json: &str) -> ReadItem {
        ReadItem::Data { key: key.map(str::to_owned), json: json.to_owned() }
    }

    #[test]
    fn what_an_item_is() {
        for text in ["1", "\"a\"", "[1,2]", "null", "{}", r#"{"a":1}"#, r#"{"key":"k"}"#] {
            check(text, &data(None, text));
        }
        let more = r#"{"key":"k","value":1,"more":2}"#;
        check(more, &data(None, more));
        check(r#"{"object":"b"}"#, &data(None, r#"{"object":"b"}"#));
        check(r#"{"key":"k","value":[1]}"#, &data(Some("k"), "[1]"));
        check(r#"{"value":null,"key":7}"#, &data(Some("7"), "null"));
        let id = ObjectId::new(BucketId::untyped("b"), "k");
        check(r#"{"object":["b","k"]}"#, &ReadItem::Object(id.clone(), None));
        let keydata = Some(JsonText("[1]".to_owned()));
        check(r#"{"object":["b","k",[1]]}"#, &ReadItem::Object(id, keydata));
        let typed = ObjectId::new(BucketId::typed("t", "b"), "k");
        check(r#"{"object":["b","k",null,"t"]}"#, &ReadItem::Object(typed, None));
        for wrong in ["[]", "[\"b\"]", "[\"b\",5]", "[\"\",\"k\"]", "[\"b\",\"k\",1,2]"] {
            let why = ReadItem::of(&format!("{{\"object\":{wrong}}}")).unwrap_err();
            assert!(why.contains("an object is named as"), "{wrong}: {why}");
        }
    }
}
