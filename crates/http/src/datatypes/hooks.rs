//! Functions that a bucket has called before and after updates of data types (fact R400).

use bytes::Bytes;
use http::StatusCode;
use mapring_api::hooks::HookFailure;
use mapring_datatypes::{Kind, erlang, object};
use mapring_kv::NewValue;
use mapring_types::{BucketProps, Metadata, Object, ObjectId};

use super::off_reactor;
use crate::app::App;
use crate::reply::{Reply, Stop};

/// Asks the functions about an update: they get it as its client sent it, with the media type of the data
/// type. What they give does not matter, unless they refuse it.
///
/// # Errors
/// The answer for an update that is not made.
pub(super) async fn before(
    app: &App,
    props: &BucketProps,
    (id, kind): (&ObjectId, Kind),
    update: Bytes,
) -> Result<(), Stop> {
    let hooks = props.precommit();
    if hooks.is_empty() {
        return Ok(());
    }
    let content_type = kind.content_type().to_owned();
    let metadata = Metadata { content_type, ..Metadata::default() };
    let value = NewValue { metadata, body: update, deleted: false };
    app.hooks.before(&hooks, id, None, value).await.map(drop).map_err(refusal)
}

/// Has the functions called that want to know what was written: they get the value as JSON.
pub(super) async fn after(app: &App, props: &BucketProps, id: &ObjectId, written: &Object) {
    let hooks = props.postcommit();
    if hooks.is_empty() {
        return;
    }
    let mut written = written.clone();
    let shown = off_reactor(written.body_bytes(), move || {
        object::show(&mut written);
        written
    });
    // The update is made, whatever becomes of this.
    if let Ok(shown) = shown.await {
        app.hooks.after(hooks, id.clone(), shown).await;
    }
}

fn refusal(failure: HookFailure) -> Stop {
    let words = match failure {
        HookFailure::Aborted => "precommit_fail".to_owned(),
        HookFailure::Refused(words) => {
            format!("{{precommit_fail,{}}}", erlang::binary(words.as_bytes()))
        }
        HookFailure::Broken(error) => return Stop::from(error),
    };
    Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("Error:\n{words}\n")).into()
}
