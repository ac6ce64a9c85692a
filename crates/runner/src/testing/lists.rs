//! Lists of jobs.

use super::world::{World, map};
use crate::{JobsError, ListRequest};

async fn all(world: &World, at: usize, request: ListRequest) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = ListRequest { cursor, ..request.clone() };
        let list = world.jobs(at).list(page).await.unwrap();
        assert!(list.jobs.len() <= request.count.unwrap_or(50));
        found.extend(list.jobs.into_iter().map(|job| job.id));
        cursor = list.cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_are_listed_newest_first_page_by_page() {
    let world = World::start(3).await;
    world.fill("b", 3).await;
    let mut ids = Vec::new();
    for number in 0..23 {
        let more = match number % 5 {
            4 => r#","delay_ms":3600000"#,
            _ => "",
        };
        let name = if number % 2 == 0 { "json" } else { "throw" };
        let bucket = if number % 3 == 0 { "b" } else { "none" };
        ids.push(world.start_job(number % 3, &map(name, bucket, more)).await);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for (number, id) in ids.iter().enumerate() {
        if number % 5 != 4 {
            world.ended(0, id).await;
        }
    }
    ids.reverse();
    let state = |state: &str, count| ListRequest {
        state: Some(state.to_owned()),
        count: Some(count),
        ..ListRequest::default()
    };
    let (active, done): (Vec<_>, Vec<_>) = {
        let delayed = |at: &usize| (22 - at) % 5 == 4;
        let numbers: (Vec<usize>, Vec<usize>) = (0..23).partition(delayed);
        let named = |numbers: Vec<usize>| numbers.into_iter().map(|at| ids[at].clone()).collect();
        (named(numbers.0), named(numbers.1))
    };
    for count in [1, 4, 50] {
        for at in 0..3 {
            let everything = ListRequest { count: Some(count), ..ListRequest::default() };
            assert_eq!(all(&world, at, everything).await, ids, "{count} a page");
        }
        assert_eq!(all(&world, 1, state("active", count)).await, active);
        assert_eq!(all(&world, 1, state("waiting", count)).await, active);
        assert_eq!(all(&world, 2, state("done", count)).await, done);
        assert_eq!(all(&world, 2, state("success", count)).await, done);
        assert!(all(&world, 2, state("failed", count)).await.is_empty());
        let named = ListRequest {
            name: Some("json b".into()),
            count: Some(count),
            ..ListRequest::default()
        };
        let expect: Vec<_> =
            (0..23).filter(|at| (22 - at) % 6 == 0).map(|at| ids[at].clone()).collect();
        assert_eq!(all(&world, 0, named).await, expect);
    }
    let list = world.jobs(0).list(state("done", 1)).await.unwrap();
    assert_eq!(list.jobs[0].state, "done");
    let cursor = ListRequest { cursor: Some("x".into()), ..state("", 1) };
    for request in [state("nothing", 1), cursor, state("", 0), state("", 1_001)] {
        let wrong = world.jobs(0).list(request).await;
        assert!(matches!(wrong, Err(JobsError::Invalid(_))), "{wrong:?}");
    }
}
