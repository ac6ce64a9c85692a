//! How an operation is done, under the dot of its write.

use mapring_types::{Dot, Error, ErrorKind, Result, VersionVector};

use crate::deferred::{Deferred, Removal, Removed};
use crate::erlang;
use crate::hll::Hll;
use crate::limits;
use crate::map::{Content, FieldName, Map};
use crate::op::{FieldOp, MapOp, Op, SetOp, Update};
use crate::set::Set;
use crate::state::{Datatype, Value};

impl Datatype {
    /// Applies an operation. `dot` names the write, and is the same for nothing else that was ever done to
    /// this object; `now` is when it was asked for, in microseconds since the Unix epoch. After an error the
    /// state is to be thrown away.
    ///
    /// # Errors
    /// `Precondition`, in Riak's words, where something that is not there is removed without a context;
    /// `TooLarge` where there would be more than [`limits::ENTRIES`]; `Invalid` for an operation on another
    /// kind.
    ///
    /// # Panics
    /// When the dot was seen before: what it adds would count as removed.
    pub fn apply(&mut self, update: &Update, dot: Dot, now: u64) -> Result<()> {
        let seen = update.context.as_ref();
        let old = self.clock.covers(dot) || seen.is_some_and(|seen| seen.covers(dot));
        assert!(!old || mapring_types::failpoint!(ReusedDot), "the dot {dot:?} was given before");
        let before = self.count();
        let mut doing = Doing {
            dot,
            now,
            seen,
            is_ahead: seen.is_some_and(|seen| !self.clock.dominates(seen)),
            deferred: &mut self.deferred,
            within: Vec::new(),
        };
        let mut has_dots = true;
        match (&mut self.value, &update.op) {
            (Value::Counter(counter), Op::Counter(by)) => counter.add(dot, *by),
            (Value::Set(set), Op::Set(ops)) => doing.set(set, ops)?,
            (Value::Map(map), Op::Map(ops)) => doing.map(map, ops)?,
            (Value::GSet(elements), Op::GSet(new)) => {
                elements.extend(new.iter().cloned());
                has_dots = false;
            }
            (Value::Hll(hll), Op::Hll { precision, elements }) => {
                let hll = hll.get_or_insert_with(|| Hll::new(*precision));
                hll.reduce(*precision);
                elements.iter().for_each(|element| hll.add(element));
                has_dots = false;
            }
            (_, _) => {
                let (op, kind) = (update.kind().word(), self.kind().word());
                return Err(Error::invalid(format!("an operation on a {op} is none on a {kind}")));
            }
        }
        if has_dots {
            self.clock.add(dot);
        }
        let after = self.count();
        if after > limits::ENTRIES && after > before {
            let text = format!("a data type of {after} entries: at most {}", limits::ENTRIES);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(())
    }
}

/// An operation under way.
struct Doing<'a> {
    dot: Dot,
    now: u64,
    /// What removals may remove, where the client says so.
    seen: Option<&'a VersionVector>,
    /// Whether that is more than is known here.
    is_ahead: bool,
    deferred: &'a mut Deferred,
    /// The fields on the way to where it is now.
    within: Vec<FieldName>,
}

impl Doing<'_> {
    fn set(&mut self, set: &mut Set, ops: &[SetOp]) -> Result<()> {
        for op in ops {
            match (op, self.seen) {
                (SetOp::Add(element), _) => set.add(self.dot, element),
                (SetOp::Remove(element), Some(seen)) => {
                    set.remove_seen(element, seen);
                    self.defer(Removed::Element(element.clone()));
                }
                (SetOp::Remove(element), None) if set.remove(element) => {}
                (SetOp::Remove(element), None) => {
                    return Err(not_present(&erlang::binary(element)));
                }
            }
        }
        Ok(())
    }

    fn map(&mut self, map: &mut Map, ops: &[MapOp]) -> Result<()> {
        for op in ops {
            match (op, self.seen) {
                (MapOp::Update(name, op), _) => self.field(map, name, op)?,
                (MapOp::Remove(name), Some(seen)) => {
                    map.remove_seen(name, seen);
                    self.defer(Removed::Field(name.clone()));
                }
                (MapOp::Remove(name), None) if map.0.remove(name).is_some() => {}
                (MapOp::Remove(name), None) => {
                    let field =
                        format!("{{{},{}}}", erlang::binary(&name.name), name.kind.module());
                    return Err(not_present(&field));
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, map: &mut Map, name: &FieldName, op: &FieldOp) -> Result<()> {
        // What is removed of a field that is not there does not make one.
        if !map.0.contains_key(name) && op.only_removes() {
            let mut none = Content::new(name.kind);
            return self.content(&mut none, name, op);
        }
        self.content(map.updated(name, self.dot), name, op)
    }

    fn content(&mut self, content: &mut Content, name: &FieldName, op: &FieldOp) -> Result<()> {
        self.within.push(name.clone());
        match (content, op) {
            (Content::Counter(counter), FieldOp::Counter(by)) => counter.add(self.dot, *by),
            (Content::Flag(dots), FieldOp::Flag(true)) => dots.replace(self.dot, ()),
            (Content::Flag(dots), FieldOp::Flag(false)) => match self.seen {
                Some(seen) => {
                    dots.retain(|dot| !seen.covers(dot));
                    self.defer(Removed::Flag);
                }
                None => dots.clear(),
            },
            (Content::Map(map), FieldOp::Map(ops)) => self.map(map, ops)?,
            (Content::Register(register), FieldOp::Register(value)) => {
                register.assign(self.dot, self.now, value.clone());
            }
            (Content::Set(set), FieldOp::Set(ops)) => self.set(set, ops)?,
            (_, _) => {
                let kind = name.kind.word();
                return Err(Error::invalid(format!("an operation does not fit a field of {kind}")));
            }
        }
        self.within.pop();
        Ok(())
    }

    /// What the client may have seen and is not known here is removed when it comes.
    fn defer(&mut self, what: Removed) {
        if let Some(seen) = self.seen.filter(|_| self.is_ahead) {
            self.deferred.add(seen, Removal { within: self.within.clone(), what });
        }
    }
}

/// The refusal of a removal, as clients of Riak know it (fact R208).
fn not_present(what: &str) -> Error {
    Error::new(ErrorKind::Precondition, format!("{{precondition,{{not_present,{what}}}}}"))
}
