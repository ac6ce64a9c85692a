//! Functions that are objects: methods that begin and end shards and slices, and a state that goes
//! from one call of a shard to the next.

use boa_engine::{JsObject, JsString, js_string};

use super::batch::{self, Way};
use super::query::{Callable, QueryContext, Role};
use super::returned::null;
use super::write::{WriteError, Writer};
use super::{build, errors};
use crate::{Handled, JsonText, Row, ScriptError, Span};

impl QueryContext {
    /// The method of an object that is the function, and the object's state as it is now.
    pub(super) fn method(
        &mut self,
        object: &JsObject,
        role: Role,
    ) -> Result<Option<(JsObject, JsonText)>, ScriptError> {
        for name in role.methods() {
            let method = object.get(JsString::from(*name), &mut self.context);
            let method = method.map_err(|error| errors::thrown(&error, &mut self.context))?;
            if let Some(method) = method.as_callable() {
                return Ok(Some((method, self.state(object)?)));
            }
        }
        Ok(None)
    }

    /// Begins a batch of calls of a function that is an object: its state is that of the shard, and what
    /// begins begins. `None` for any other function.
    pub(super) fn begin_batch(
        &mut self,
        callable: &Callable,
    ) -> Result<Option<Vec<Row>>, ScriptError> {
        let Some((object, initial)) = &callable.handler else { return Ok(None) };
        let stage = self.entered().stage.clone();
        let state = stage.state.as_ref().unwrap_or(initial);
        let state = self.read(&state.0)?;
        object.insert_property(js_string!("state"), build::plain(state));
        let mut rows = Vec::new();
        if stage.begins == Some(Span::Shard) {
            rows.extend(self.hook(callable, object, "begin_shard")?);
        }
        if stage.begins.is_some() {
            rows.extend(self.hook(callable, object, "begin_slice")?);
        }
        Ok(Some(rows))
    }

    /// Ends a batch: what ends ends, if all inputs were taken.
    pub(super) fn end_batch(
        &mut self,
        callable: &Callable,
        begun: Option<Vec<Row>>,
        all: bool,
    ) -> Result<Option<Handled>, ScriptError> {
        let (Some((object, _)), Some(begun)) = (&callable.handler, begun) else { return Ok(None) };
        let ends = self.entered().stage.ends.filter(|_| all);
        let mut rest = Vec::new();
        if ends.is_some() {
            rest.extend(self.hook(callable, object, "end_slice")?);
        }
        if ends == Some(Span::Shard) {
            rest.extend(self.hook(callable, object, "end_shard")?);
        }
        let state = self.state(object)?;
        Ok(Some(Handled { state, ended: ends.is_some(), begun, rest }))
    }

    /// Calls a method, if there is one; what it gives stands among the results.
    fn hook(
        &mut self,
        callable: &Callable,
        object: &JsObject,
        name: &str,
    ) -> Result<Vec<Row>, ScriptError> {
        let shard = self.entered().shard.to_le_bytes();
        let seed = batch::seed(self.entered().seed, [name.as_bytes(), &shard[..]]);
        self.guarded(seed, |this| {
            let method = object.get(JsString::from(name), &mut this.context);
            let method = method.map_err(|error| this.threw(&error, callable))?;
            let Some(method) = method.as_callable() else { return Ok(Vec::new()) };
            let value = method.call(&object.clone().into(), &[], &mut this.context);
            let value = value.map_err(|error| this.threw(&error, callable))?;
            match batch::way() {
                Way::None | Way::Rows => this.rows(&value, callable, true),
                Way::Keys(_) | Way::Strings(_) => {
                    this.take_pairs(&value, callable).map(|()| Vec::new())
                }
            }
        })
    }

    fn state(&mut self, object: &JsObject) -> Result<JsonText, ScriptError> {
        let Self { context, stringify, result_bytes, .. } = self;
        let state = object.get(js_string!("state"), context).map_err(WriteError::from);
        let written =
            state.and_then(|state| Writer::new(context, stringify, *result_bytes).text(&state));
        match written {
            Ok(text) => Ok(JsonText(text.unwrap_or_else(null))),
            Err(error) => {
                let failure = errors::writing(error, *result_bytes, context);
                let message = format!("the state of the function: {}", failure.message);
                Err(ScriptError { message, ..failure })
            }
        }
    }
}
