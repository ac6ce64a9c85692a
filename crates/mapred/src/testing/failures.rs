//! What is told of functions that fail beyond what another attempt makes up for.

use mapring_script::FailureCause;
use mapring_types::BucketId;

use super::world::World;
use crate::failure::{FailedInput, Failure, FailureKind};

fn world() -> World {
    let world = World::new();
    world.fill(&BucketId::untyped("b"), 10);
    world
}

async fn fail(inputs: &str, query: &str) -> Failure {
    world().run(0, inputs, query).await.unwrap_err()
}

fn grouped(name: &str, members: &str) -> String {
    format!(
        r#"[{{"map":{{"language":"javascript","name":"remainder"}}}},
            {{"reduce":{{"language":"javascript","name":"{name}","group":true{members}}}}}]"#
    )
}

#[tokio::test(start_paused = true)]
async fn what_asked_for_another_attempt_is_named() {
    let map = r#"[{"map":{"language":"javascript","name":"again"}}]"#;
    for (inputs, what) in [
        (r#""b""#, "partition "),
        (r#"[["b","k6"],["b","k7"]]"#, "the input b/k"),
        (r#"{"sample":[["b","k7"]],"limit":3}"#, "the input b/k7"),
    ] {
        let failure = fail(inputs, map).await;
        assert_eq!(failure.kind, FailureKind::Function(FailureCause::Retry), "{failure:?}");
        assert!(failure.message.starts_with(what), "{failure:?}");
        let says = "could not be worked on in 8 tries, the last: not yet";
        assert!(failure.message.ends_with(says), "{failure:?}");
        let Some(FailedInput::Object { id, .. }) = &failure.input else { panic!("{failure:?}") };
        assert_eq!((id.to_string().as_str(), failure.phase), ("b/k7", Some(0)));
        assert!(failure.node.is_some() && failure.stack.is_some(), "{failure:?}");
    }
    let failure = fail(r#""b""#, &grouped("again", "")).await;
    assert_eq!(failure.kind, FailureKind::Function(FailureCause::Retry), "{failure:?}");
    assert_eq!(failure.phase, Some(1));
    let says = "of the groups could not be worked on in 8 tries, the last: not yet (key ";
    assert!(failure.message.contains(says), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_too_large_name_the_way_out() {
    let failure = fail(r#""b""#, &grouped("hoard", r#","partitions":1"#)).await;
    assert_eq!(failure.kind, FailureKind::Function(FailureCause::Memory), "{failure:?}");
    assert_eq!(failure.phase, Some(1));
    assert!(failure.message.starts_with("there is no memory: it got lists of values"), "{failure}");
    assert!(failure.message.contains(r#"of the key 9 has 1; with "values":"stream""#), "{failure}");
    let streamed = fail(r#""b""#, &grouped("hoard", r#","partitions":1,"values":"stream""#)).await;
    assert_eq!(streamed.message, "there is no memory");
}
