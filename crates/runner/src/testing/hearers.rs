//! Who hears of jobs, by requests over real connections and so in real time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::world::{World, map};
use crate::{JobsError, Naming, StartRequest, record};

/// Takes requests for as long as anybody asks, and answers each with the next status, then with 200.
async fn receiver(answers: Vec<u16>) -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    let mut answers = answers.into_iter();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let body = loop {
                let mut bytes = [0; 4_096];
                let count = stream.read(&mut bytes).await.unwrap();
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
                let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
                if let Ok(body) = serde_json::from_str(body) {
                    break body;
                }
            };
            let status = answers.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if tell.send((text.to_ascii_lowercase(), body)).is_err() {
                return;
            }
        }
    });
    (format!("http://127.0.0.1:{port}/"), told)
}

async fn next(told: &mut mpsc::UnboundedReceiver<(String, Value)>) -> (String, Value) {
    tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_end_of_a_job_is_told_whatever_it_is() {
    let world = World::start(1).await;
    world.fill("b", 8).await;
    for (function, result) in [("json", "success"), ("throw", "failed")] {
        let (url, mut told) = receiver(vec![503, 503]).await;
        let callback =
            format!(r#","callback":{{"url":"{url}"}},"retries":{{"shard":1,"slice":1}}"#);
        let id = world.start_job(0, &map(function, "b", &callback)).await;
        let mut deliveries = BTreeSet::new();
        // Twice it does not arrive.
        for _ in 0..3 {
            let (head, body) = next(&mut told).await;
            deliveries.insert(body["delivery"].as_str().unwrap().to_owned());
            assert!(head.contains(&format!("mapreduce-id: {}", id.to_ascii_lowercase())), "{head}");
            assert_eq!((&body["id"], &body["result_status"]), (&json!(id), &json!(result)));
            assert_eq!(body["name"], format!("{function} b"));
        }
        assert_eq!(deliveries.len(), 1, "it is known again: {deliveries:?}");
        world.ended(0, &id).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(told.try_recv().is_err(), "what has arrived is not sent again");
    }
}

#[tokio::test]
async fn hooks_are_told_of_what_is_under_way() {
    let world = World::start(1).await;
    world.fill("b", 60).await;
    let (url, mut told) = receiver(Vec::new()).await;
    let hook = json!({"url": url});
    let hooks = json!({"started": hook, "shard_done": hook, "done": hook});
    let id = world.start_job(0, &map("slow", "b", &format!(r#","hooks":{hooks}"#))).await;
    let mut words = Vec::new();
    // Those in passing may come behind the one that is waited for.
    while !["shard_done", "done"].iter().all(|word| words.iter().any(|told| told == word)) {
        let (_, body) = next(&mut told).await;
        assert_eq!(body["id"], json!(id));
        words.push(body["hook"].as_str().unwrap().to_owned());
    }
    assert_eq!(words[0], "started");
    assert_eq!(words.iter().filter(|word| *word == "started").count(), 1);
}

#[tokio::test]
async fn who_takes_a_job_over_tells_of_no_shard_that_is_known_to_be_told_of() {
    let mut world = World::start(3).await;
    world.fill("b", 400).await;
    let (url, mut told) = receiver(Vec::new()).await;
    let hook = json!({"url": url});
    let hooks = json!({"started": hook, "shard_done": hook, "done": hook});
    let more = format!(r#","slice_ms":200,"hooks":{hooks}"#);
    let id = world.start_job(0, &map("slow", "b", &more)).await;
    let known = loop {
        let stored = record::get(&world.store(1), &id).await.unwrap();
        assert!(stored.as_ref().is_none_or(|stored| stored.end.is_none()), "it has ended");
        match stored.map_or(0, |stored| stored.shards_told) {
            0 => tokio::time::sleep(Duration::from_millis(10)).await,
            known => break known,
        }
    };
    world.kill(0);
    let mut deliveries = BTreeMap::new();
    let mut note = |body: &Value| {
        let shard = body["shards_done"].as_u64()?;
        let delivery = body["delivery"].as_str().unwrap().to_owned();
        let first = deliveries.entry(shard).or_insert_with(|| delivery.clone());
        assert_eq!(*first, delivery, "shard {shard}");
        Some((shard, deliveries.len()))
    };
    while let Ok((_, body)) = told.try_recv() {
        note(&body);
    }
    let (mut is_done, mut noted) = (false, 0);
    while !(is_done && noted == 16) {
        let (_, body) = next(&mut told).await;
        match note(&body) {
            Some((shard, all)) => {
                assert!(shard > known, "{shard} is told again, {known} are known");
                noted = all;
            }
            None => {
                assert_eq!(body["hook"], "done");
                is_done = true;
            }
        }
    }
    assert_eq!(deliveries.keys().copied().collect::<Vec<_>>(), (1..=16).collect::<Vec<u64>>());
    assert_eq!(deliveries.values().collect::<BTreeSet<_>>().len(), 16);
    let detail = world.ended(1, &id).await;
    assert_eq!((detail.epoch, detail.result_status.as_deref()), (2, Some("success")));
}

#[tokio::test]
async fn a_later_job_of_an_id_tells_its_start_as_well() {
    let world = World::start(1).await;
    world.fill("b", 3).await;
    let (url, mut told) = receiver(Vec::new()).await;
    let hooks = format!(r#","hooks":{{"started":{{"url":"{url}"}}}}"#);
    for epoch in [1, 2] {
        let name = Naming::Id("j".into());
        let id = world.try_start(0, &map("json", "b", &hooks), name).await.unwrap();
        let (_, body) = next(&mut told).await;
        assert_eq!((&body["id"], &body["hook"]), (&json!("j"), &json!("started")));
        assert_eq!(world.ended(0, &id).await.epoch, epoch);
        world.jobs(0).remove(&id, false).await.unwrap();
    }
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn the_end_of_a_pipeline_is_told() {
    let world = World::start(1).await;
    let (url, mut told) = receiver(vec![503]).await;
    let body = json!({
        "name": "n", "steps": {"a": {"delay_ms": 1}}, "finally": {"callback": {"url": url}}
    });
    let (body, name) = (body.to_string().into(), Naming::Id("p".to_owned()));
    world.jobs(0).start_pipeline(StartRequest { body, name }).await.unwrap();
    for _ in 0..2 {
        let (_, mut body) = next(&mut told).await;
        let delivery = body["delivery"].take();
        let delivery = delivery.as_str().unwrap();
        assert!(delivery.starts_with("p/") && delivery.ends_with("/callback"), "{delivery}");
        let expect = json!({
            "id": "p", "name": "n", "status": "done", "result_status": "success",
            "abort_message": null, "delivery": null
        });
        assert_eq!(body, expect);
    }
}

/// A receiver that takes connections and says nothing.
async fn silent() -> (String, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
            let _ = tell.send(());
        }
    });
    (format!("http://127.0.0.1:{port}/"), told)
}

/// Waits until it is called, and until all nodes have learned of the end that it is told of.
async fn called(calls: &mut mpsc::UnboundedReceiver<()>) {
    tokio::time::timeout(Duration::from_secs(20), calls.recv()).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_receiver_that_is_silent_keeps_nothing_that_is_removed() {
    let world = World::start(3).await;
    world.fill("b", 3).await;
    let (url, mut calls) = silent().await;
    let callback = format!(r#","callback":{{"url":"{url}"}}"#);
    // Whoever is asked, the node that tells of the end is another one.
    let removed = world.start_job(0, &map("json", "b", &callback)).await;
    called(&mut calls).await;
    world.jobs(1).remove(&removed, false).await.unwrap();
    assert!(matches!(world.jobs(2).show(&removed).await, Err(JobsError::NotFound(..))));
    // An abort of what has ended ends that, too.
    let aborted = world.start_job(1, &map("json", "b", &callback)).await;
    called(&mut calls).await;
    let began = tokio::time::Instant::now();
    world.jobs(2).abort(&aborted, None).await.unwrap();
    let detail = world.ended(0, &aborted).await;
    assert_eq!(detail.result_status.as_deref(), Some("success"));
    assert!(began.elapsed() < Duration::from_secs(5));

    let body = json!({"steps": {"a": {"delay_ms": 1}}, "finally": {"callback": {"url": url}}});
    let (body, name) = (body.to_string().into(), Naming::Id("p".to_owned()));
    world.jobs(0).start_pipeline(StartRequest { body, name }).await.unwrap();
    called(&mut calls).await;
    world.jobs(2).remove_pipeline("p", false).await.unwrap();
    assert!(matches!(world.jobs(1).pipeline("p").await, Err(JobsError::NotFound(..))));
}

#[tokio::test]
async fn nobody_is_told_whom_the_operator_does_not_allow() {
    let world = World::start(1).await;
    let callback =
        r#","callback":{"url":"http://10.0.0.1/"},"hooks":{"done":{"url":"http://10.0.0.2/"}}"#;
    let refused = world.try_start(0, &map("json", "b", callback), Naming::New).await;
    let Err(JobsError::Invalid(invalid)) = refused else { panic!("it is taken") };
    let fields: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["callback.url", "hooks.done.url"]);
}
