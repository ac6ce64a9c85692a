//! Functions that a bucket has called before and after its writes (fact R279).

use http::{Method, StatusCode};
use mapring_api::hooks::HookFailure;
use mapring_kv::{GetOptions, NewValue, ObjectPart};
use mapring_types::props::Hook;
use mapring_types::{BucketProps, Object, ObjectId, VersionVector};

use crate::app::App;
use crate::reply::{Reply, Stop, VARY_ENCODING};

/// What is to be written in place of `value`.
///
/// # Errors
/// The answer for a write that is not made.
pub(super) async fn before(
    app: &App,
    method: &Method,
    hooks: &[Hook],
    (id, context): (&ObjectId, Option<&VersionVector>),
    value: NewValue,
) -> Result<NewValue, Stop> {
    if hooks.is_empty() {
        return Ok(value);
    }
    let outcome = app.hooks.before(hooks, id, context, value).await;
    outcome.map_err(|failure| refusal(method, failure).vary(VARY_ENCODING))
}

/// Has the functions called that want to know what was written.
pub(super) async fn after(app: &App, props: &BucketProps, id: &ObjectId, written: &Object) {
    let hooks = props.postcommit();
    if !hooks.is_empty() {
        app.hooks.after(hooks, id.clone(), written.clone()).await;
    }
}

/// Refuses a value that no function can look at, because it is never held whole.
///
/// # Errors
/// 403, where there are such functions.
pub(super) fn refuse_stream(hooks: &[Hook], most: usize) -> Result<(), Stop> {
    if hooks.is_empty() {
        return Ok(());
    }
    let text = format!("a value of more than {most} bytes cannot be given to a pre-commit hook\n");
    Err(Stop::from(Reply::text(StatusCode::FORBIDDEN, text)).vary(VARY_ENCODING))
}

/// Asks the functions of a bucket about a deletion, as about any other write: its value is marked as
/// deleted. Gives what is there, for those that are called afterwards; `None` where nothing is.
///
/// # Errors
/// As [`before`], and those of a read.
pub(super) async fn before_deletion(
    app: &App,
    hooks: &[Hook],
    (id, context): (&ObjectId, Option<&VersionVector>),
    options: &GetOptions,
) -> Result<Option<Object>, Stop> {
    let found = app.objects.get_part(id, options, ObjectPart::Heads).await?;
    let Some(found) = found.filter(|object| !object.is_tombstone()) else { return Ok(None) };
    let context = context.unwrap_or(&found.clock);
    let value = NewValue { deleted: true, ..NewValue::default() };
    before(app, &Method::DELETE, hooks, (id, Some(context)), value).await?;
    Ok(Some(found))
}

fn refusal(method: &Method, failure: HookFailure) -> Stop {
    let words = match failure {
        HookFailure::Aborted => format!("{method} aborted by pre-commit hook."),
        HookFailure::Refused(words) => words,
        HookFailure::Broken(error) => return Stop::from(error),
    };
    Reply::text(StatusCode::FORBIDDEN, words).into()
}
