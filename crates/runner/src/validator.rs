//! Functions that look at the parameters of a named job before it starts: one that throws refuses them, and
//! what one returns is taken in their place.

use serde_json::{Map, Value};

use crate::error::JobsError;
use crate::functions::{self, CallFailure};
use crate::limits;
use crate::runner::Runner;

/// Asks a function about parameters. Returns those to take.
///
/// # Errors
/// `Invalid` with what it throws, or why it is no function; `Node` where it cannot be called now.
pub(crate) async fn ask(
    runner: &Runner,
    code: &Value,
    params: Map<String, Value>,
) -> Result<Map<String, Value>, JobsError> {
    let node = (&runner.kv, &runner.mapred);
    let args = [Value::Object(params.clone())];
    let called = functions::call(node, code, &args, limits::VALIDATOR_TIME).await;
    let called = called.map_err(|failure| match failure {
        CallFailure::Function(why) => JobsError::invalid("params", why),
        CallFailure::Node(error) => JobsError::Node(error.context("the validator")),
    })?;
    match called.value {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(params),
        _ => {
            let message = "the validator gives no parameters: it returns an object, or nothing where \
                           they are good as they are";
            Err(JobsError::invalid("params", message))
        }
    }
}
