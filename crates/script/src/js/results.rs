//! What functions return: lists, what gives items one after another, and what stands for neither.

use boa_engine::{Context, JsError, JsObject, JsString, JsSymbol, JsValue, js_string};

use super::batch;
use super::errors::{other, thrown, writing};
use super::plain::{Plain, Weighed};
use super::query::{Callable, QueryContext};
use super::returned::{ItemError, Returned, kind, null};
use super::write::{WriteError, Writer, length};
use crate::{FailureCause, Row, ScriptError};

impl QueryContext {
    /// Runs a call of user code with all that belongs to it. What it asked for, such as `fail`, counts
    /// for more than what became of it.
    pub(super) fn guarded<T>(
        &mut self,
        seed: u64,
        call: impl FnOnce(&mut Self) -> Result<T, ScriptError>,
    ) -> Result<T, ScriptError> {
        batch::begin_call(seed);
        let result = call(self);
        match batch::end_call() {
            Some((cause, message)) => {
                let stack = result.err().and_then(|error| error.stack);
                Err(ScriptError { stack, ..ScriptError::new(cause, message) })
            }
            None => result,
        }
    }

    /// What a function returned. Nothing is a failure (fact R73), unless it may be, or the function has
    /// given something in another way.
    pub(super) fn returned(
        &mut self,
        value: &JsValue,
        may_be_nothing: bool,
    ) -> Result<Returned, ScriptError> {
        if value.is_undefined() {
            return match may_be_nothing || batch::is_touched() {
                true => Ok(Returned::Nothing),
                false => Err(ScriptError::new(FailureCause::NotAList, NOTHING)),
            };
        }
        let value = self.represent(value)?;
        let Some(object) = value.as_object() else { return Ok(Returned::Other(value)) };
        if object.is_array() {
            return Ok(Returned::List(object));
        }
        if is_iterator(&object, &mut self.context)
            .map_err(|error| thrown(&error, &mut self.context))?
        {
            return Ok(Returned::Iterator(object));
        }
        Ok(Returned::Other(value))
    }

    /// The results of a map call as text: what it emitted, and the items of what it returned.
    pub(super) fn rows(
        &mut self,
        value: &JsValue,
        callable: &Callable,
        may_be_nothing: bool,
    ) -> Result<Vec<Row>, ScriptError> {
        let returned = self.returned(value, may_be_nothing).map_err(of_a_map)?;
        if let Returned::Other(value) = &returned {
            return Err(self.not_listed(value)?);
        }
        self.rows_of(&returned, callable)
    }

    /// The failure of a function that returned this in place of a list.
    pub(super) fn not_listed(&mut self, value: &JsValue) -> Result<ScriptError, ScriptError> {
        Ok(self.returned_error(value)?.unwrap_or_else(|| not_a_list(value)))
    }

    /// The items of what a function returned, and what it emitted, as text.
    pub(super) fn rows_of(
        &mut self,
        returned: &Returned,
        callable: &Callable,
    ) -> Result<Vec<Row>, ScriptError> {
        let Self { context, stringify, result_bytes, .. } = self;
        let mut left = *result_bytes;
        let taken = admit(returned, left, context).and_then(|()| {
            returned.each(context, |item, context| {
                let mut writer = Writer::new(context, stringify, left);
                let text = writer.text(&item)?.unwrap_or_else(null);
                left = writer.left();
                batch::push_row(Row::value(text));
                Ok(())
            })
        });
        taken.map_err(|error| self.failed(error, callable))?;
        Ok(batch::take_rows())
    }

    /// As [`QueryContext::rows`]; gives the results as they are for a reduce in this context.
    pub(super) fn values(
        &mut self,
        value: &JsValue,
        callable: &Callable,
    ) -> Result<Vec<Weighed>, ScriptError> {
        let returned = self.returned(value, false).map_err(of_a_map)?;
        self.values_of(returned, callable)
    }

    pub(super) fn values_of(
        &mut self,
        returned: Returned,
        callable: &Callable,
    ) -> Result<Vec<Weighed>, ScriptError> {
        let mut values = match returned {
            Returned::Nothing => Vec::new(),
            Returned::List(array) => self.plain(|plain| plain.result(&array))?,
            Returned::Other(value) => {
                return Err(self.not_listed(&value)?);
            }
            returned @ Returned::Iterator(_) => {
                let (mut items, mut left) = (Vec::new(), self.result_bytes);
                let Self { context, stringify, .. } = self;
                let taken = returned.each(context, |item, context| {
                    let mut plain = Plain::new(context, stringify, left);
                    items.push(plain.item(&item)?);
                    left = plain.left();
                    Ok(())
                });
                taken.map_err(|error| self.failed(error, callable))?;
                items
            }
        };
        let emitted = batch::take_rows();
        if !emitted.is_empty() {
            let mut all = self.read_items(&emitted)?;
            all.append(&mut values);
            values = all;
        }
        Ok(values)
    }

    /// The members of an object in place of a list, each a pair, unless it tells of an error.
    pub(super) fn members(
        &mut self,
        value: &JsValue,
        callable: &Callable,
    ) -> Result<Vec<Weighed>, ScriptError> {
        match self.returned(value, false)? {
            Returned::Other(value) => {
                if let Some(error) = self.returned_error(&value)? {
                    return Err(error);
                }
                match value.as_object().filter(JsObject::is_ordinary) {
                    Some(object) => self.plain(|plain| plain.pairs(&object)),
                    None => {
                        let error = not_a_list(&value);
                        let message = format!("{}: {NEEDS_GROUP}", error.message);
                        Err(ScriptError { message, ..error })
                    }
                }
            }
            returned => self.values_of(returned, callable),
        }
    }

    /// A failure while items were taken.
    pub(super) fn failed(&mut self, error: ItemError, callable: &Callable) -> ScriptError {
        match error {
            ItemError::Thrown(error) => self.threw(&error, callable),
            ItemError::Write(error) => writing(error, self.result_bytes, &mut self.context),
            ItemError::Other(error) => error,
        }
    }

    /// What stands for a value in JSON.
    fn represent(&mut self, value: &JsValue) -> Result<JsValue, ScriptError> {
        let mut writer = Writer::new(&mut self.context, &self.stringify, self.result_bytes);
        let value = writer.represent(&JsString::default(), value).map_err(WriteError::from);
        value.map_err(|error| writing(error, self.result_bytes, &mut self.context))
    }

    /// An object with `lineno` is taken for an error (fact R73): Riak's VMs tell theirs so.
    pub(super) fn returned_error(
        &mut self,
        value: &JsValue,
    ) -> Result<Option<ScriptError>, ScriptError> {
        let Some(object) = value.as_object().filter(|object| !object.is_array()) else {
            return Ok(None);
        };
        let context = &mut self.context;
        let is_error = object
            .has_own_property(js_string!("lineno"), context)
            .and_then(|own| Ok(own && !object.get(js_string!("lineno"), context)?.is_undefined()));
        match is_error {
            Ok(true) => Ok(Some(ScriptError::new(FailureCause::Thrown, other(value, context)))),
            Ok(false) => Ok(None),
            Err(error) => Err(thrown(&error, context)),
        }
    }
}

/// What a function that returns nothing fails with, as in Riak (fact R73).
const NOTHING: &str = "Expression returned undefined";

/// What is likely to be missing where a reduce returns a single value.
const NEEDS_GROUP: &str = "a reduce that is called for each key needs \"group\":true";

/// The failure of a map that returned nothing, with what it might do.
fn of_a_map(error: ScriptError) -> ScriptError {
    if error.message != NOTHING {
        return error;
    }
    let message = format!("{NOTHING}: a map returns a list, or calls emit, put, del or count");
    ScriptError { message, ..error }
}

/// Refuses a list that is too long whatever is in it.
fn admit(returned: &Returned, most: u64, context: &mut Context) -> Result<(), ItemError> {
    match returned {
        Returned::List(array) if length(array, context)? > most => Err(WriteError::Size.into()),
        _ => Ok(()),
    }
}

/// Whether an object gives items one after another, as generators do: it has `next`, and is its own
/// iterator or has one.
fn is_iterator(object: &JsObject, context: &mut Context) -> Result<bool, JsError> {
    let is_function = |value: JsValue| value.as_object().is_some_and(|object| object.is_callable());
    Ok(is_function(object.get(JsSymbol::iterator(), context)?)
        && is_function(object.get(js_string!("next"), context)?))
}

pub(super) fn not_a_list(value: &JsValue) -> ScriptError {
    let message = format!("non_list_result: the function returned {}, not a list", kind(value));
    ScriptError::new(FailureCause::NotAList, message)
}
