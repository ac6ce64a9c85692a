//! What is stored of a data type, and how an update is sent: a version, and what [`crate::codec`] writes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mapring_types::versioned::Nothing;
use mapring_types::{Release, Result, VersionVector, Versioned};

use crate::codec::{Reader, Writer, damaged};
use crate::counter::Counter;
use crate::deferred::{Deferred, Removal, Removed};
use crate::dotted::Dotted;
use crate::hll::Hll;
use crate::kind::{FieldKind, Kind};
use crate::limits;
use crate::map::{Content, Field, FieldName, Map};
use crate::op::{FieldOp, MapOp, Op, SetOp, Update};
use crate::register::{Assigned, Register};
use crate::set::Set;
use crate::state::{Datatype, Value};

/// Begins what is stored, so that it is not taken for what a client has stored under the same media type.
pub(crate) const MAGIC: &[u8; 4] = b"\xc3rdt";

impl Versioned for Datatype {
    const WHAT: &'static str = "a data type";
    const VERSION: u8 = 1;
    const SINCE: Release = Release::DATATYPES;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        read_state(Bytes::copy_from_slice(body))
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl Versioned for Update {
    const WHAT: &'static str = "an update of a data type";
    const VERSION: u8 = 1;
    const SINCE: Release = Release::DATATYPES;
    type Previous = Nothing;

    fn read(body: &[u8]) -> Result<Self> {
        read_update(Bytes::copy_from_slice(body))
    }

    fn migrate(previous: Nothing) -> Result<Self> {
        match previous {}
    }
}

impl Datatype {
    /// The body of an object's value.
    pub fn to_body(&self) -> Bytes {
        let mut to = Writer::default();
        to.raw(MAGIC);
        to.byte(Self::VERSION);
        to.byte(tag(self.kind()));
        to.clock(&self.clock);
        match &self.value {
            Value::Counter(counter) => to.counter(counter),
            Value::Set(set) => to.set(set),
            Value::Map(map) => to.map(map),
            Value::GSet(elements) => {
                to.count(elements.len());
                elements.iter().for_each(|element| to.bytes(element));
            }
            Value::Hll(hll) => to.hll(hll.as_ref()),
        }
        to.deferred(&self.deferred);
        to.finish()
    }

    /// What the body of an object's value is; `None` where it is none of these.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, `Unavailable` when a later release has written it.
    pub fn from_body(body: &Bytes) -> Result<Option<Self>> {
        match body.strip_prefix(MAGIC) {
            Some(rest) => Self::decode(rest).map(Some),
            None => Ok(None),
        }
    }
}

impl Update {
    /// As it is sent to its coordinator.
    pub fn encode(&self) -> Bytes {
        let mut to = Writer::default();
        to.byte(Self::VERSION);
        to.byte(tag(self.kind()));
        match &self.op {
            Op::Counter(by) => to.signed((*by).into()),
            Op::Set(ops) => to.set_ops(ops),
            Op::Map(ops) => to.map_ops(ops),
            Op::GSet(elements) => to.elements(elements),
            Op::Hll { precision, elements } => {
                to.byte(*precision);
                to.elements(elements);
            }
        }
        to.byte(self.context.is_some().into());
        if let Some(context) = &self.context {
            to.clock(context);
        }
        to.finish()
    }
}

fn tag(kind: Kind) -> u8 {
    match kind {
        Kind::Counter => 0,
        Kind::Set => 1,
        Kind::Map => 2,
        Kind::GSet => 3,
        Kind::Hll => 4,
    }
}

fn field_tag(kind: FieldKind) -> u8 {
    match kind {
        FieldKind::Counter => 0,
        FieldKind::Set => 1,
        FieldKind::Map => 2,
        FieldKind::Register => 3,
        FieldKind::Flag => 4,
    }
}

impl Writer {
    fn dots(&mut self, dots: &Dotted<()>) {
        self.count(dots.iter().len());
        dots.iter().for_each(|(dot, ())| self.dot(dot));
    }

    fn counter(&mut self, parts: &Counter) {
        self.count(parts.iter().len());
        for (dot, part) in parts.iter() {
            self.dot(dot);
            self.signed(*part);
        }
    }

    fn register(&mut self, values: &Register) {
        self.count(values.iter().len());
        for (dot, Assigned { at, value }) in values.iter() {
            self.dot(dot);
            self.number(*at);
            self.bytes(value);
        }
    }

    fn set(&mut self, Set(elements): &Set) {
        self.count(elements.len());
        for (element, dots) in elements {
            self.bytes(element);
            self.dots(dots);
        }
    }

    fn map(&mut self, Map(fields): &Map) {
        self.count(fields.len());
        for (name, Field { there, content }) in fields {
            self.name(name);
            self.dots(there);
            match content {
                Content::Counter(counter) => self.counter(counter),
                Content::Flag(dots) => self.dots(dots),
                Content::Map(map) => self.map(map),
                Content::Register(register) => self.register(register),
                Content::Set(set) => self.set(set),
            }
        }
    }

    /// Few registers that are not 0 are written one by one.
    fn hll(&mut self, hll: Option<&Hll>) {
        let Some(hll) = hll else { return self.byte(0) };
        self.byte(hll.precision());
        let used = hll.registers().iter().enumerate().filter(|(_, rank)| **rank > 0);
        let count = used.clone().count();
        if count * 3 >= hll.registers().len() {
            self.byte(1);
            return self.raw(hll.registers());
        }
        self.byte(0);
        self.count(count);
        for (at, rank) in used {
            self.count(at);
            self.byte(*rank);
        }
    }

    fn name(&mut self, FieldName { name, kind }: &FieldName) {
        self.byte(field_tag(*kind));
        self.bytes(name);
    }

    fn deferred(&mut self, Deferred(removals): &Deferred) {
        self.count(removals.len());
        for (seen, removals) in removals {
            self.entries(seen.iter().copied());
            self.count(removals.len());
            for Removal { within, what } in removals {
                self.count(within.len());
                within.iter().for_each(|name| self.name(name));
                match what {
                    Removed::Flag => self.byte(0),
                    Removed::Element(element) => {
                        self.byte(1);
                        self.bytes(element);
                    }
                    Removed::Field(name) => {
                        self.byte(2);
                        self.name(name);
                    }
                }
            }
        }
    }

    fn elements(&mut self, elements: &[Bytes]) {
        self.count(elements.len());
        elements.iter().for_each(|element| self.bytes(element));
    }

    fn set_ops(&mut self, ops: &[SetOp]) {
        self.count(ops.len());
        for op in ops {
            let (tag, element) = match op {
                SetOp::Add(element) => (0, element),
                SetOp::Remove(element) => (1, element),
            };
            self.byte(tag);
            self.bytes(element);
        }
    }

    fn map_ops(&mut self, ops: &[MapOp]) {
        self.count(ops.len());
        for op in ops {
            match op {
                MapOp::Remove(name) => {
                    self.byte(0);
                    self.name(name);
                }
                MapOp::Update(name, op) => {
                    self.byte(1);
                    self.name(name);
                    match op {
                        FieldOp::Counter(by) => self.signed((*by).into()),
                        FieldOp::Flag(yes) => self.byte((*yes).into()),
                        FieldOp::Map(ops) => self.map_ops(ops),
                        FieldOp::Register(value) => self.bytes(value),
                        FieldOp::Set(ops) => self.set_ops(ops),
                    }
                }
            }
        }
    }
}

fn read_state(bytes: Bytes) -> Result<Datatype> {
    let mut from = Reader::new(bytes);
    let tag = from.byte()?;
    from.clock()?;
    let value = match tag {
        0 => Value::Counter(from.counter()?),
        1 => Value::Set(from.set()?),
        2 => Value::Map(from.map(limits::DEPTH)?),
        3 => Value::GSet(from.keyed(|_| Ok(()))?.into_keys().collect()),
        4 => Value::Hll(from.hll()?),
        _ => return Err(damaged("is of no kind")),
    };
    let deferred = from.deferred()?;
    Ok(Datatype { value, deferred, clock: from.finish()? })
}

fn read_update(bytes: Bytes) -> Result<Update> {
    let mut from = Reader::new(bytes);
    let op = match from.byte()? {
        0 => Op::Counter(from.amount()?),
        1 => Op::Set(from.set_ops()?),
        2 => Op::Map(from.map_ops(limits::DEPTH)?),
        3 => Op::GSet(from.elements()?),
        4 => Op::Hll { precision: from.byte()?, elements: from.elements()? },
        _ => return Err(damaged("is of no kind")),
    };
    let has_context = from.flag()?;
    if has_context {
        from.clock()?;
    }
    let context: VersionVector = from.finish()?;
    Ok(Update { op, context: has_context.then_some(context) })
}

impl Reader {
    fn flag(&mut self) -> Result<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(damaged("has something else where it says yes or no")),
        }
    }

    fn amount(&mut self) -> Result<i64> {
        i64::try_from(self.signed()?).map_err(|_| damaged("has a number that is too large"))
    }

    /// Things by keys, in the order of these.
    fn keyed<T>(&mut self, read: impl Fn(&mut Self) -> Result<T>) -> Result<BTreeMap<Bytes, T>> {
        self.ordered(|from| Ok((from.bytes()?, read(from)?)))
    }

    fn ordered<K: Ord, T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<(K, T)>,
    ) -> Result<BTreeMap<K, T>> {
        let mut all = BTreeMap::new();
        for _ in 0..self.count()? {
            let (key, value) = read(self)?;
            if all.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(damaged("has entries out of order"));
            }
            all.insert(key, value);
        }
        Ok(all)
    }

    fn dotted<V>(&mut self, read: impl Fn(&mut Self) -> Result<V>) -> Result<Dotted<V>> {
        let all = self.ordered(|from| Ok((from.dot()?, read(from)?)))?;
        let mut dotted = Dotted::default();
        all.into_iter().for_each(|(dot, value)| dotted.insert(dot, value));
        Ok(dotted)
    }

    fn dots(&mut self) -> Result<Dotted<()>> {
        self.dotted(|_| Ok(()))
    }

    fn counter(&mut self) -> Result<Counter> {
        self.dotted(Self::signed)
    }

    fn register(&mut self) -> Result<Register> {
        let read = |from: &mut Self| Ok(Assigned { at: from.number()?, value: from.bytes()? });
        self.dotted(read)
    }

    fn set(&mut self) -> Result<Set> {
        self.keyed(Self::dots).map(Set)
    }

    fn map(&mut self, depth: usize) -> Result<Map> {
        let Some(below) = depth.checked_sub(1) else { return Err(damaged("is nested too deeply")) };
        let read = |from: &mut Self| {
            let name = from.name()?;
            let there = from.dots()?;
            let content = match name.kind {
                FieldKind::Counter => Content::Counter(from.counter()?),
                FieldKind::Flag => Content::Flag(from.dots()?),
                FieldKind::Map => Content::Map(from.map(below)?),
                FieldKind::Register => Content::Register(from.register()?),
                FieldKind::Set => Content::Set(from.set()?),
            };
            Ok((name, Field { there, content }))
        };
        self.ordered(read).map(Map)
    }

    fn hll(&mut self) -> Result<Option<Hll>> {
        let precision = self.byte()?;
        if precision == 0 {
            return Ok(None);
        }
        if !limits::PRECISION.contains(&precision) {
            return Err(damaged("has a precision that there is not"));
        }
        let mut registers = vec![0; 1 << precision];
        if self.flag()? {
            registers = self.raw(1 << precision)?.to_vec();
        } else {
            for _ in 0..self.count()? {
                let at = usize::try_from(self.number()?).unwrap_or(usize::MAX);
                let register = registers.get_mut(at);
                *register.ok_or_else(|| damaged("has a register that there is not"))? =
                    self.byte()?;
            }
        }
        let hll = Hll::from_registers(precision, registers);
        hll.map(Some).ok_or_else(|| damaged("has a rank that there is not"))
    }

    fn name(&mut self) -> Result<FieldName> {
        let tag = self.byte()?;
        let kind = FieldKind::ALL.into_iter().find(|kind| field_tag(*kind) == tag);
        let kind = kind.ok_or_else(|| damaged("has a field of no kind"))?;
        Ok(FieldName { name: self.bytes()?, kind })
    }

    fn deferred(&mut self) -> Result<Deferred> {
        let removals = |from: &mut Self| -> Result<BTreeSet<Removal>> {
            let all = from.ordered(|from| Ok((from.removal()?, ())))?;
            Ok(all.into_keys().collect())
        };
        self.ordered(|from| Ok((from.entries()?, removals(from)?))).map(Deferred)
    }

    fn removal(&mut self) -> Result<Removal> {
        let depth = self.count()?;
        if depth > limits::DEPTH {
            return Err(damaged("is nested too deeply"));
        }
        let within = (0..depth).map(|_| self.name()).collect::<Result<_>>()?;
        let what = match self.byte()? {
            0 => Removed::Flag,
            1 => Removed::Element(self.bytes()?),
            2 => Removed::Field(self.name()?),
            _ => return Err(damaged("removes nothing that there is")),
        };
        Ok(Removal { within, what })
    }

    fn elements(&mut self) -> Result<Vec<Bytes>> {
        let mut elements = Vec::new();
        for _ in 0..self.count()? {
            elements.push(self.bytes()?);
        }
        Ok(elements)
    }

    fn set_ops(&mut self) -> Result<Vec<SetOp>> {
        let mut ops = Vec::new();
        for _ in 0..self.count()? {
            let removes = self.flag()?;
            let element = self.bytes()?;
            ops.push(if removes { SetOp::Remove(element) } else { SetOp::Add(element) });
        }
        Ok(ops)
    }

    fn map_ops(&mut self, depth: usize) -> Result<Vec<MapOp>> {
        let Some(below) = depth.checked_sub(1) else { return Err(damaged("is nested too deeply")) };
        let mut ops = Vec::new();
        for _ in 0..self.count()? {
            let updates = self.flag()?;
            let name = self.name()?;
            if !updates {
                ops.push(MapOp::Remove(name));
                continue;
            }
            let op = match name.kind {
                FieldKind::Counter => FieldOp::Counter(self.amount()?),
                FieldKind::Flag => FieldOp::Flag(self.flag()?),
                FieldKind::Map => FieldOp::Map(self.map_ops(below)?),
                FieldKind::Register => FieldOp::Register(self.bytes()?),
                FieldKind::Set => FieldOp::Set(self.set_ops()?),
            };
            ops.push(MapOp::Update(name, op));
        }
        Ok(ops)
    }
}
