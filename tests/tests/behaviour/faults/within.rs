//! A node that is not asked is killed, stopped or cut off while a query reads what lies within objects,
//! or is made.

use std::time::Instant;

use mapring_client::{NewObject, Place};
use serde_json::{Value, json};

use super::cut::networked;
use super::grouped::{Fault, comes, goes};
use super::rig::Rig;
use super::{PROMISED, RUNS_OF_FIVE, SLACK};

/// Lines of the text: enough that its bytes lie in several blocks.
const LINES: u64 = 300_000;

/// Remainders, which are the keys.
const KEYS: u64 = 97;

/// Inputs that hold the numbers below [`LINES`].
fn inputs() -> [Value; 3] {
    [
        json!({"lines": [["texts", "numbers"]]}),
        json!({"concat": [{"range": {"end": LINES / 2}}, {"records": [["texts", "half"]]}]}),
        json!({"lines": {"bucket": "small"}}),
    ]
}

/// How many numbers have each remainder, and their sum.
fn expected() -> Value {
    let of = |rest: u64| (0..LINES).filter(move |number| number % KEYS == rest);
    let group = |rest| json!([rest, [of(rest).count(), of(rest).sum::<u64>()]]);
    (0..KEYS).map(group).collect()
}

fn lines(from: u64, until: u64) -> String {
    (from..until).map(|number| format!("{number}\n")).collect()
}

async fn fill(rig: &Rig) {
    let put = async |bucket: &str, key: &str, text: String| {
        let content_type = "text/plain".to_owned();
        let object = NewObject { body: text.into(), content_type, ..NewObject::default() };
        rig.cluster.client(0).put(&Place::new(bucket, key), object).await.unwrap();
    };
    put("texts", "numbers", lines(0, LINES)).await;
    put("texts", "half", lines(LINES / 2, LINES)).await;
    let share = LINES / 50;
    for part in 0..50 {
        put("small", &format!("part{part}"), lines(part * share, (part + 1) * share)).await;
    }
}

async fn during(fault: Fault) {
    let kind = format!("{fault:?} while objects are taken apart");
    let (network, mut rig) = match fault {
        Fault::Cut => {
            let Some((network, cluster)) = networked(3).await else { return };
            (Some(network), Rig::with(cluster, &kind, RUNS_OF_FIVE).await)
        }
        Fault::Kill | Fault::Pause => (None, Rig::start(&kind, 3, RUNS_OF_FIVE).await),
    };
    fill(&rig).await;
    let map = format!("function(v) {{ var n = Number(v.values[0].data); emit(n % {KEYS}, n); }}");
    let sum = "function(k, vs) { return [[k, [vs.length, vs.reduce((a, b) => a + b, 0)]]]; }";
    let query = |inputs: &Value| {
        let query = json!({"inputs": inputs, "timeout": 60_000, "shards": 24, "query": [
            {"map": {"language": "javascript", "source": map}},
            {"reduce": {"language": "javascript", "group": true, "source": sum}},
        ]});
        query.to_string()
    };
    let expected = expected();
    let mut usual = Vec::new();
    for inputs in inputs() {
        let began = Instant::now();
        let answer = rig.cluster.client(0).mapred(query(&inputs)).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), expected, "{inputs}");
        usual.push(began.elapsed());
    }
    while rig.next_run() {
        let (client, victim) = rig.client_and_victim();
        let which = rig.random.below(usual.len());
        let inputs = &inputs()[which];
        let when = usual[which].mul_f64(rig.random.fraction());
        let before = rig.units_rerun(client).await;
        let (asking, body) = (rig.cluster.client(client).clone(), query(inputs));
        let asked = tokio::spawn(async move {
            let began = Instant::now();
            (asking.mapred(body).await, began.elapsed())
        });
        // The moment of the fault is what is drawn; nothing waits for it.
        tokio::time::sleep(when).await;
        rig.note_of(victim, &format!("is to meet it after {when:?}: {inputs}"));
        let how = comes(&mut rig, network.as_ref(), fault, victim).await;
        let met = !asked.is_finished();
        let (answer, took) = asked.await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
        assert_eq!(answer, expected, "{inputs}");
        let late = took.saturating_sub(usual[which]);
        // Those that are left do the work of all; a holder that is silent costs the time to store, and
        // then the lease.
        assert!(late <= 3 * PROMISED + SLACK + 2 * usual[which], "{inputs} was late by {late:?}");
        if met {
            let reruns = rig.units_rerun(client).await - before;
            rig.count(reruns);
        }
        goes(&mut rig, network.as_ref(), fault, victim, how);
        rig.recover().await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_objects_are_taken_apart() {
    during(Fault::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_objects_are_taken_apart() {
    during(Fault::Pause).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_while_objects_are_taken_apart() {
    during(Fault::Cut).await;
}
