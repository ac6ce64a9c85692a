//! Runs: the pairs of one page of one unit, sorted, handed out as groups, and written as segments.
//!
//! Pairs stay where they came; what is sorted are places of 32 bytes that have the beginnings of the
//! keys in them, so that few comparisons look at the pairs themselves.

use std::cmp::Ordering;
use std::num::NonZeroU32;

use mapring_types::{Error, ErrorKind, Result};

use crate::groups::{Builder, Groups};
use crate::key;
use crate::limits::ORDER_BYTES;
use crate::pairs::Pairs;
use crate::segment::{Summary, Writer};

/// Collects the pairs of a page.
#[derive(Debug)]
pub struct Run {
    partitions: NonZeroU32,
    blocks: Vec<Block>,
    places: Vec<Place>,
    bytes: usize,
    ordered: bool,
}

/// The pairs of one call of a worker.
#[derive(Debug)]
struct Block {
    pairs: Pairs,
    /// The orders of its inputs; empty when these stand in their order.
    orders: Vec<Box<[u8]>>,
}

/// Where a pair is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// See [`key::head`].
    head: u128,
    partition: u32,
    /// Length of the key.
    key: u32,
    block: u32,
    /// In the block.
    at: u32,
}

impl Run {
    /// A run for so many partitions.
    pub fn new(partitions: NonZeroU32) -> Self {
        Self { partitions, blocks: Vec::new(), places: Vec::new(), bytes: 0, ordered: false }
    }

    /// Adds the pairs of one call. `orders` has for each input of the call where its values stand
    /// among those of the run; it is empty when that is the order in which they come.
    ///
    /// # Errors
    /// `Corrupt` when the pairs are not as they must be, or of an input that has no order;
    /// `TooLarge` for what is longer than its limit. Nothing of them is added then.
    pub fn push(&mut self, pairs: Pairs, orders: Vec<Box<[u8]>>) -> Result<()> {
        let before = self.places.len();
        let added = self.read(&pairs, &orders);
        if let Err(error) = added {
            self.places.truncate(before);
            return Err(error);
        }
        self.ordered |= !orders.is_empty();
        self.bytes += pairs.bytes() + orders.iter().map(|order| order.len() + 16).sum::<usize>();
        self.blocks.push(Block { pairs, orders });
        Ok(())
    }

    fn read(&mut self, pairs: &Pairs, orders: &[Box<[u8]>]) -> Result<()> {
        if let Some(order) = orders.iter().find(|order| order.len() > ORDER_BYTES) {
            let words = format!("an order has {} bytes, more than {ORDER_BYTES}", order.len());
            return Err(Error::new(ErrorKind::TooLarge, words));
        }
        let too_many = || Error::new(ErrorKind::TooLarge, "a run has too many pairs");
        let block = u32::try_from(self.blocks.len()).map_err(|_| too_many())?;
        let length = u32::try_from(pairs.bytes()).map_err(|_| too_many())?;
        let mut all = pairs.iter();
        loop {
            let at = length - all.bytes_left() as u32;
            let Some(pair) = all.next() else { return Ok(()) };
            let pair = pair?;
            if !orders.is_empty() && pair.input as usize >= orders.len() {
                let words = format!("a pair of input {} of {}", pair.input, orders.len());
                return Err(Error::corrupt(words));
            }
            self.places.push(Place {
                head: key::head(pair.key),
                partition: key::partition(pair.key, self.partitions),
                key: pair.key.len() as u32,
                block,
                at,
            });
        }
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.places.len()
    }

    /// Bytes of memory that it takes; sorting takes half as many again for the places.
    pub fn bytes(&self) -> usize {
        self.bytes + self.places.len() * size_of::<Place>()
    }

    /// Sorts the pairs by partition, key and order; where all are equal they stay as they came.
    pub fn sort(mut self) -> Sorted {
        let mut places = std::mem::take(&mut self.places);
        places.sort_by(|one, other| {
            let order = (one.partition, one.head).cmp(&(other.partition, other.head));
            let order = order.then_with(|| self.rest(one, other));
            if self.ordered { order.then_with(|| self.orders(one, other)) } else { order }
        });
        self.places = places;
        Sorted { run: self, next: 0, begun: false }
    }

    /// Compares keys with the same head.
    fn rest(&self, one: &Place, other: &Place) -> Ordering {
        if key::is_in_head(one.key.min(other.key) as usize) {
            return Ordering::Equal;
        }
        self.pair(one).0.cmp(self.pair(other).0)
    }

    fn orders(&self, one: &Place, other: &Place) -> Ordering {
        self.order(one).cmp(self.order(other))
    }

    /// Key and value.
    fn pair(&self, place: &Place) -> (&[u8], &[u8]) {
        let (_, key, value) = self.blocks[place.block as usize].pairs.at(place.at);
        (key, value)
    }

    fn order(&self, place: &Place) -> &[u8] {
        let block = &self.blocks[place.block as usize];
        if block.orders.is_empty() {
            return &[];
        }
        let (input, ..) = block.pairs.at(place.at);
        &block.orders[input as usize]
    }
}

/// A run that is sorted: gives its groups.
#[derive(Debug)]
pub struct Sorted {
    run: Run,
    next: usize,
    /// The next pair belongs to the last group that was given.
    begun: bool,
}

/// Groups of a run, and the partition of each.
#[derive(Debug)]
pub struct RunGroups {
    /// The groups.
    pub groups: Groups,
    /// As many partitions.
    pub partitions: Vec<u32>,
}

impl Sorted {
    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.run.pairs()
    }

    /// How many keys they have.
    pub fn keys(&self) -> usize {
        let new = |pair: &&[Place]| {
            pair[0].head != pair[1].head || self.run.rest(&pair[0], &pair[1]).is_ne()
        };
        let more = self.run.places.windows(2).filter(new).count();
        more + usize::from(self.run.pairs() > 0)
    }

    /// The keys from the pair of a number on, each once, in the order of the pairs: about so many, or so
    /// many bytes of them. And the number of the pair behind them, which is that of all pairs at the end.
    pub fn keys_from(&self, pair: usize, max_keys: usize, max_bytes: usize) -> (Vec<&[u8]>, usize) {
        let (mut keys, mut bytes, mut next) = (Vec::new(), 0, pair);
        while let Some(place) = self.run.places.get(next)
            && keys.len() < max_keys
            && bytes < max_bytes
        {
            let (key, _) = self.run.pair(place);
            bytes += key.len();
            keys.push(key);
            let same =
                |other: &&Place| place.head == other.head && self.run.rest(place, other).is_eq();
            next += self.run.places[next..].iter().take_while(same).count();
        }
        (keys, next)
    }

    /// The same pairs in the partitions that are given, one for each key in the order of
    /// [`Sorted::keys_from`].
    ///
    /// # Errors
    /// `Internal` when these are not as many as keys, or one is none of the run's.
    pub fn spread(self, partitions: &[u32]) -> Result<Self> {
        let Self { mut run, .. } = self;
        let mut places = std::mem::take(&mut run.places);
        let (mut given, mut at) = (partitions.iter(), 0);
        while at < places.len() {
            let Some(&partition) = given.next().filter(|given| **given < run.partitions.get())
            else {
                return Err(Error::internal(
                    "the partitions of a run's keys are not as they must be",
                ));
            };
            let first = places[at];
            let same = |other: &&Place| first.head == other.head && run.rest(&first, other).is_eq();
            let count = places[at..].iter().take_while(same).count();
            places[at..at + count].iter_mut().for_each(|place| place.partition = partition);
            at += count;
        }
        if given.next().is_some() {
            return Err(Error::internal("there are more partitions than keys of a run"));
        }
        run.places = places;
        Ok(run.sort())
    }

    /// The next groups, by partition and key, with up to about so many values and bytes; `None` when
    /// there are no more. The last group may go on in the next batch.
    pub fn next_groups(&mut self, max_values: usize, max_bytes: usize) -> Option<RunGroups> {
        let (mut builder, mut partitions) = (Builder::default(), Vec::new());
        while let Some(place) = self.run.places.get(self.next) {
            if builder.is_full(max_values, max_bytes) {
                break;
            }
            let (key, value) = self.run.pair(place);
            builder.begin(key, self.run.order(place), !self.begun);
            builder.value(value);
            partitions.push(place.partition);
            self.next += 1;
            self.begun = false;
            while let Some(next) = self.run.places.get(self.next)
                && place.head == next.head
                && self.run.rest(place, next).is_eq()
            {
                if builder.is_full(max_values, max_bytes) {
                    self.begun = true;
                    break;
                }
                builder.value(self.run.pair(next).1);
                self.next += 1;
            }
            builder.end(!self.begun);
        }
        let groups = builder.finish();
        (!groups.is_empty()).then_some(RunGroups { groups, partitions })
    }

    /// Writes what has not been given as groups, as it is: values that nobody combines.
    ///
    /// # Errors
    /// As [`RunWriter::push`].
    pub fn write(self, writer: &mut RunWriter) -> Result<()> {
        for place in &self.run.places[self.next..] {
            let (key, value) = self.run.pair(place);
            writer.push(place.partition, key, self.run.order(place), value)?;
        }
        Ok(())
    }
}

/// Writes the segments of a run, a partition after the other.
#[derive(Debug)]
pub struct RunWriter {
    prefix: Vec<u8>,
    current: Option<(u32, Writer<Vec<u8>>)>,
    segments: Vec<RunSegment>,
}

/// One partition's segment of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSegment {
    /// The partition.
    pub partition: u32,
    /// The segment.
    pub bytes: Vec<u8>,
    /// What it has.
    pub summary: Summary,
}

impl RunWriter {
    /// For segments all of whose orders begin with `prefix`.
    pub fn new(prefix: &[u8]) -> Self {
        Self { prefix: prefix.to_vec(), current: None, segments: Vec::new() }
    }

    /// Adds a value. Partitions ascend, in them keys, and of each the orders.
    ///
    /// # Errors
    /// `Internal` when they do not; `TooLarge` for what is longer than its limit.
    pub fn push(&mut self, partition: u32, key: &[u8], order: &[u8], value: &[u8]) -> Result<()> {
        match &mut self.current {
            Some((current, writer)) if *current == partition => {
                return writer.push(key, order, value);
            }
            Some((current, _)) if *current > partition => {
                return Err(Error::internal("the partitions of a run do not ascend"));
            }
            _ => self.end_segment()?,
        }
        let mut writer = Writer::new(Vec::new(), &self.prefix)?;
        writer.push(key, order, value)?;
        self.current = Some((partition, writer));
        Ok(())
    }

    /// The segments, those of partitions that have no pairs not among them.
    ///
    /// # Errors
    /// As [`RunWriter::push`].
    pub fn finish(mut self) -> Result<Vec<RunSegment>> {
        self.end_segment()?;
        Ok(self.segments)
    }

    fn end_segment(&mut self) -> Result<()> {
        if let Some((partition, writer)) = self.current.take() {
            let (bytes, summary) = writer.finish()?;
            self.segments.push(RunSegment { partition, bytes, summary });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::limits::VALUE_BYTES;
    use crate::segment::{Memory, Reader};

    fn key(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        key::encode(json, &mut out).unwrap();
        out
    }

    fn pairs(of: &[(u32, &str, &str)]) -> Pairs {
        let mut pairs = Pairs::new();
        for (input, json, value) in of {
            pairs.push(*input, &key(json), value).unwrap();
        }
        pairs
    }

    fn run(partitions: u32) -> Run {
        Run::new(NonZeroU32::new(partitions).unwrap())
    }

    #[test]
    fn keys_are_spread_as_given() {
        let mut run = run(4);
        for number in 0..200 {
            let (key, value) = (format!("\"key {}\"", number % 17), number.to_string());
            run.push(pairs(&[(0, &key, &value)]), Vec::new()).unwrap();
        }
        let sorted = run.sort();
        let (mut chosen, mut at) = (Vec::new(), 0);
        while at < sorted.pairs() {
            let (keys, next) = sorted.keys_from(at, 5, 1 << 20);
            assert!((1..=5).contains(&keys.len()) && next > at);
            let length = |key: &&[u8]| key::decode(key).unwrap().len() as u32 % 4;
            chosen.extend(keys.iter().map(length));
            at = next;
        }
        assert_eq!(chosen.len(), 17);
        let mut spread = sorted.spread(&chosen).unwrap();
        let (mut seen, mut values, mut last) = (0, 0, None);
        while let Some(batch) = spread.next_groups(7, 1 << 20) {
            for (group, partition) in batch.groups.iter().zip(&batch.partitions) {
                let group = group.unwrap();
                let key = key::decode(group.key).unwrap();
                assert_eq!(*partition, key.len() as u32 % 4, "{key}");
                if group.first {
                    let here = Some((*partition, group.key.to_vec()));
                    assert!(last < here);
                    (seen, last) = (seen + 1, here);
                }
                values += group.count;
            }
        }
        assert_eq!((seen, values), (17, 200));
    }

    #[test]
    fn partitions_are_those_of_the_keys() {
        let sorted = || {
            let mut run = run(2);
            run.push(pairs(&[(0, "1", "1"), (0, "2", "2"), (0, "1", "3")]), Vec::new()).unwrap();
            run.sort()
        };
        assert!(sorted().spread(&[1, 0]).is_ok());
        for wrong in [&[][..], &[1], &[1, 0, 1], &[1, 2]] {
            assert!(sorted().spread(wrong).is_err(), "{wrong:?}");
        }
    }

    /// Each part of a group: its partition, key, order, whether it begins and ends, its values.
    type Part = (u32, String, Vec<u8>, bool, bool, Vec<String>);

    fn batches(sorted: &mut Sorted, values: usize, bytes: usize) -> Vec<Vec<Part>> {
        let mut all = Vec::new();
        while let Some(batch) = sorted.next_groups(values, bytes) {
            let groups = batch.groups.iter().zip(&batch.partitions).map(|(group, partition)| {
                let group = group.unwrap();
                let values: Vec<_> = group.values.map(|value| value.unwrap().to_owned()).collect();
                assert_eq!(values.len(), group.count as usize);
                let key = key::decode(group.key).unwrap();
                (*partition, key, group.order.to_vec(), group.first, group.last, values)
            });
            all.push(groups.collect());
        }
        all
    }

    /// Keys and values of a segment.
    fn records(segment: &RunSegment) -> Vec<(String, Vec<u8>, String)> {
        let mut reader = Reader::open(Arc::new(Memory(segment.bytes.clone()))).unwrap();
        let mut records = Vec::new();
        while reader.advance().unwrap() {
            let value = String::from_utf8(reader.value().to_vec()).unwrap();
            records.push((key::decode(reader.key()).unwrap(), reader.order().to_vec(), value));
        }
        records
    }

    #[test]
    fn groups_come_in_key_order_and_values_as_they_came() {
        let mut run = run(1);
        run.push(pairs(&[(0, "\"b\"", "1"), (0, "2", "2"), (1, "\"b\"", "3")]), vec![]).unwrap();
        run.push(pairs(&[(0, "2.0", "4"), (0, "\"a\"", "5"), (0, "\"b\"", "6")]), vec![]).unwrap();
        assert_eq!(run.pairs(), 6);
        let part = |key: &str, first, last, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            (0, key.to_owned(), Vec::new(), first, last, values)
        };
        assert_eq!(
            batches(&mut run.sort(), 3, 1_000),
            [
                vec![part("2", true, true, &["2", "4"]), part("\"a\"", true, true, &["5"])],
                vec![part("\"b\"", true, true, &["1", "3", "6"])],
            ]
        );
    }

    #[test]
    fn a_group_that_is_larger_than_a_batch_comes_in_parts() {
        for (values, bytes) in [(3, 1_000), (1_000, 30)] {
            let mut run = run(7);
            let many: Vec<_> = (0..10).map(|number| (number, "\"k\"", "12345")).collect();
            run.push(pairs(&many), vec![]).unwrap();
            let all = batches(&mut run.sort(), values, bytes);
            assert!(all.len() >= 4, "{all:?}");
            let parts: Vec<_> = all.iter().flatten().collect();
            assert_eq!(parts.iter().map(|part| part.5.len()).sum::<usize>(), 10);
            for (number, part) in parts.iter().enumerate() {
                assert_eq!(part.3, number == 0, "only the first part is first");
                assert_eq!(part.4, number + 1 == parts.len(), "only the last part is last");
            }
        }
    }

    #[test]
    fn orders_of_inputs_stand_above_their_coming() {
        let mut run = run(1);
        let orders = |of: &[&[u8]]| of.iter().map(|order| Box::from(*order)).collect();
        let first = pairs(&[(0, "1", "a"), (1, "1", "b"), (0, "1", "c")]);
        run.push(first, orders(&[&[5], &[2]])).unwrap();
        run.push(pairs(&[(0, "1", "d")]), orders(&[&[3]])).unwrap();
        let mut writer = RunWriter::new(&[9]);
        run.sort().write(&mut writer).unwrap();
        let segments = writer.finish().unwrap();
        let of: Vec<_> = records(&segments[0]).into_iter().map(|(_, o, v)| (o, v)).collect();
        let expect = [([9, 2], "b"), ([9, 3], "d"), ([9, 5], "a"), ([9, 5], "c")];
        assert_eq!(of, expect.map(|(order, value)| (order.to_vec(), value.to_owned())));
    }

    #[test]
    fn pairs_that_are_not_as_they_must_be_leave_nothing() {
        let mut run = run(4);
        run.push(pairs(&[(0, "1", "a")]), vec![]).unwrap();
        let bytes = run.bytes();
        let error = run.push(pairs(&[(0, "1", "a"), (2, "1", "b")]), vec![Box::from([]); 2]);
        assert_eq!(error.unwrap_err().to_string(), "a pair of input 2 of 2");
        let long: Box<[u8]> = vec![0; ORDER_BYTES + 1].into();
        let error = run.push(pairs(&[(0, "1", "a")]), vec![long]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let mut damaged = postcard::to_allocvec(&pairs(&[(0, "1", "a"), (0, "1", "b")])).unwrap();
        let last = damaged.len() - 1;
        damaged[last] = 0xff;
        let damaged: Pairs = postcard::from_bytes(&damaged).unwrap();
        assert_eq!(run.push(damaged, vec![]).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!((run.pairs(), run.bytes()), (1, bytes));
        assert!(VALUE_BYTES > bytes);
    }

    #[test]
    fn what_a_writer_gets_ascends() {
        let mut writer = RunWriter::new(b"");
        writer.push(3, &key("1"), b"", b"").unwrap();
        assert!(writer.push(2, &key("1"), b"", b"").is_err());
        assert!(writer.push(3, &key("0"), b"", b"").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn groups_and_segments_have_what_was_put_in(
            blocks in proptest::collection::vec(
                proptest::collection::vec((0u32..30, "[a-z]{0,3}"), 0..40), 0..5),
            long in 0usize..30,
            partitions in 1u32..9,
            values in 1usize..50,
            bytes in 1usize..500,
        ) {
            let key_of = |number: u32| format!("\"{}{number}\"", "x".repeat(long));
            let build = || {
                let mut run = run(partitions);
                for block in &blocks {
                    let keys: Vec<_> = block.iter().map(|(key, _)| key_of(*key)).collect();
                    let all: Vec<_> =
                        block.iter().zip(&keys).map(|((_, v), key)| (0, &**key, &**v)).collect();
                    run.push(pairs(&all), vec![]).unwrap();
                }
                run.sort()
            };
            let mut expect: Vec<(u32, Vec<u8>, String)> = blocks
                .iter()
                .flatten()
                .map(|(number, value)| {
                    let key = key(&key_of(*number));
                    let partitions = NonZeroU32::new(partitions).unwrap();
                    (key::partition(&key, partitions), key, value.clone())
                })
                .collect();
            expect.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));

            let mut found = Vec::new();
            let mut open = None;
            for part in batches(&mut build(), values, bytes).into_iter().flatten() {
                let key = key(&part.1);
                prop_assert_eq!(part.3, open.is_none(), "a group begins where none is open");
                prop_assert!(open.as_ref().is_none_or(|open| *open == key));
                open = (!part.4).then(|| key.clone());
                found.extend(part.5.into_iter().map(|value| (part.0, key.clone(), value)));
            }
            prop_assert_eq!(&found, &expect);
            let keys: std::collections::BTreeSet<_> = expect.iter().map(|pair| &pair.1).collect();
            prop_assert_eq!((build().keys(), build().pairs()), (keys.len(), expect.len()));

            let mut writer = RunWriter::new(b"");
            build().write(&mut writer).unwrap();
            let mut found = Vec::new();
            for segment in writer.finish().unwrap() {
                for (text, _, value) in records(&segment) {
                    found.push((segment.partition, key(&text), value));
                }
            }
            prop_assert_eq!(&found, &expect);
        }
    }
}
