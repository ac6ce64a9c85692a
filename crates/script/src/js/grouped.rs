//! Calls of functions that give pairs, combine and reduce groups.

use boa_engine::builtins::promise::Promise;
use boa_engine::object::builtins::JsArray;
use boa_engine::{JsObject, JsValue};
use mapring_shuffle::key;
use mapring_types::Object;

use super::query::{Callable, QueryContext};
use super::returned::{Returned, kind};
use super::write::{WriteError, Writer};
use super::{batch, emit, errors, stream};
use crate::groups::unfit;
use crate::{
    CombineMode, Combiner, FailureCause, JsonText, MapInput, PhaseFunction, Row, ScriptError,
};

impl QueryContext {
    /// Calls a map function on a stored object whose results are grouped.
    pub(super) fn map_to_pairs(
        &mut self,
        callable: &Callable,
        input: &MapInput,
        object: &Object,
        function: &PhaseFunction,
    ) -> Result<(), ScriptError> {
        self.guarded(self.seed(input), |this| {
            let value = this.call_map(callable, input, object, function)?;
            this.take_pairs(&value, callable)
        })
    }

    /// Takes what a function returned where its results are grouped.
    pub(super) fn take_pairs(
        &mut self,
        value: &JsValue,
        callable: &Callable,
    ) -> Result<(), ScriptError> {
        let returned = self.returned(value, true)?;
        if let Returned::Other(value) = &returned {
            return Err(self.not_listed(value)?);
        }
        let way = batch::way();
        let Self { context, stringify, .. } = self;
        let taken =
            returned.each(context, |item, context| emit::take(way, &item, stringify, context));
        taken.map_err(|error| self.failed(error, callable))
    }

    /// Calls a combiner: gives the values that stand for `fresh` and `old`, with what they weigh.
    pub(super) fn combine_values(
        &mut self,
        callable: &Callable,
        combiner: &Combiner,
        key: &[u8],
        mut fresh: Vec<JsValue>,
        mut old: Vec<JsValue>,
    ) -> Result<(Vec<JsValue>, u64), ScriptError> {
        let most = usize::try_from(combiner.batch.max(1)).unwrap_or(usize::MAX);
        let name = self.read(&key::decode(key).map_err(unfit)?)?;
        let arg = self.argument(combiner.function.arg.as_ref())?;
        let mut weighs = 0;
        while !fresh.is_empty() {
            let rest = fresh.split_off(most.min(fresh.len()));
            let fresh_list =
                JsArray::from_iter(std::mem::replace(&mut fresh, rest), &mut self.context);
            let old_list = JsArray::from_iter(old.iter().cloned(), &mut self.context);
            let args = [name.clone(), fresh_list.into(), old_list.into(), arg.clone()];
            batch::count_combined();
            let combined = self.guarded(self.seed_of_key(key), |this| {
                let value = this.call(callable, &args)?;
                this.combined(&value, callable)
            })?;
            let weight: u64 = combined.iter().map(|(_, weight)| weight).sum();
            let values = combined.into_iter().map(|(item, _)| item.value);
            match combiner.mode {
                CombineMode::Replace => {
                    weighs = weight;
                    old = values.collect();
                }
                CombineMode::Append => {
                    weighs += weight;
                    old.extend(values);
                }
            }
        }
        Ok((old, weighs))
    }

    /// The list that a combiner has to give.
    fn combined(
        &mut self,
        value: &JsValue,
        callable: &Callable,
    ) -> Result<Vec<super::plain::Weighed>, ScriptError> {
        match self.returned(value, true)? {
            returned @ (Returned::List(_) | Returned::Iterator(_)) => {
                self.values_of(returned, callable)
            }
            other => {
                let what = match &other {
                    Returned::Other(value) => kind(value),
                    _ => "undefined",
                };
                let message = format!(
                    "the combiner returned {what}: combine must return a list, or be a generator"
                );
                Err(ScriptError::new(FailureCause::NotAList, message))
            }
        }
    }

    /// Reads values of a group.
    pub(super) fn read_values(&mut self, values: &[JsonText]) -> Result<Vec<JsValue>, ScriptError> {
        values.iter().map(|value| self.read(&value.0)).collect()
    }

    /// Writes values of a group.
    pub(super) fn write_values(
        &mut self,
        values: &[JsValue],
    ) -> Result<Vec<JsonText>, ScriptError> {
        let Self { context, stringify, result_bytes, .. } = self;
        let mut writer = Writer::new(context, stringify, *result_bytes);
        let texts = values
            .iter()
            .map(|value| Ok(JsonText(writer.text(value)?.unwrap_or_else(super::returned::null))));
        let texts: Result<Vec<_>, WriteError> = texts.collect();
        texts.map_err(|error| errors::writing(error, self.result_bytes, &mut self.context))
    }

    /// Calls a grouped reduce function: a list's items are the results; any other value but nothing is
    /// that of the key.
    pub(super) fn reduce_group(
        &mut self,
        callable: &Callable,
        function: &PhaseFunction,
        key: &[u8],
        values: GroupValues,
    ) -> Result<Vec<Row>, ScriptError> {
        let key_text = key::decode(key).map_err(unfit)?;
        let name = self.read(&key_text)?;
        let arg = self.argument(function.arg.as_ref())?;
        let values = match values {
            GroupValues::Read(values) => JsArray::from_iter(values, &mut self.context).into(),
            GroupValues::Streamed => stream::iterator(&mut self.context),
        };
        self.guarded(self.seed_of_key(key), |this| {
            let value = this.call(callable, &[name, values, arg])?;
            match this.returned(&value, true)? {
                Returned::Other(value) if value.is_null() => {}
                Returned::Other(value) => {
                    let row = this.result_of_key(&key_text, &value)?;
                    batch::push_row(row);
                }
                returned => return this.rows_of(&returned, callable),
            }
            Ok(batch::take_rows())
        })
    }

    fn result_of_key(&mut self, key: &str, value: &JsValue) -> Result<Row, ScriptError> {
        let is_promise = value.as_object().is_some_and(|object: JsObject| object.is::<Promise>());
        let mut writer = Writer::new(&mut self.context, &self.stringify, self.result_bytes);
        let text = if is_promise { Ok(None) } else { writer.text(value) };
        match text {
            Ok(Some(text)) => Ok(Row::value(format!("[{key},{text}]"))),
            Ok(None) => {
                let message = format!("the function returned {}, which has no JSON", kind(value));
                Err(ScriptError::new(FailureCause::NotJson, message))
            }
            Err(error) => Err(errors::writing(error, self.result_bytes, &mut self.context)),
        }
    }
}

/// How the values of a group come to a reduce function.
pub(super) enum GroupValues {
    /// As an array.
    Read(Vec<JsValue>),
    /// As an iterator over what [`stream`] has.
    Streamed,
}
