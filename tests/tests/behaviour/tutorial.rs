//! Riak's tutorial works as it is printed: three texts, and the count of their words.

use std::collections::BTreeMap;

use mapring_client::{NewObject, Place};
use serde_json::{Value, json};

use mapring_tests::harness::Cluster;

const TEXTS: [(&str, &str); 3] = [
    (
        "p1",
        "Alice was beginning to get very tired of sitting by her sister on the bank, and of \
         having nothing to do: once or twice she had peeped into the book her sister was reading, \
         but it had no pictures or conversations in it, \"and what is the use of a book,\" thought \
         Alice \"without pictures or conversation?\"",
    ),
    (
        "p2",
        "So she was considering in her own mind (as well as she could, for the hot day made her \
         feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be \
         worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit \
         with pink eyes ran close by her.",
    ),
    (
        "p5",
        "The rabbit-hole went straight on like a tunnel for some way, and then dipped suddenly \
         down, so suddenly that Alice had not a moment to think about stopping herself before she \
         found herself falling down a very deep well.",
    ),
];

/// The count as it should be, by means of this language.
fn expected() -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (_, text) in TEXTS {
        let text = text.to_lowercase();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| !word.is_empty()) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    counts
}

fn query() -> String {
    let map = "function(v) {
        var counts = {};
        v.values[0].data.toLowerCase().match(/\\w+/g).forEach(function(word) {
            counts[word] = (counts[word] || 0) + 1;
        });
        return [counts];
    }";
    let reduce = "function(list) {
        var total = {};
        list.forEach(function(counts) {
            for (var word in counts) total[word] = (total[word] || 0) + counts[word];
        });
        return [total];
    }";
    json!({
        "inputs": [["alice", "p1"], ["alice", "p2"], ["alice", "p5"]],
        "query": [
            {"map": {"language": "javascript", "source": map}},
            {"reduce": {"language": "javascript", "source": reduce}},
        ],
    })
    .to_string()
}

fn counts(results: &[Value]) -> BTreeMap<String, u64> {
    assert_eq!(results.len(), 1, "{results:?}");
    serde_json::from_value(results[0].clone()).unwrap()
}

#[tokio::test]
async fn words_are_counted_on_every_node_plain_and_chunked() {
    let cluster = Cluster::start(3).await;
    for (number, (key, text)) in TEXTS.into_iter().enumerate() {
        let object = NewObject {
            body: text.into(),
            content_type: "text/plain".into(),
            ..NewObject::default()
        };
        cluster.client(number).put(&Place::new("alice", key), object).await.unwrap();
    }
    for client in cluster.clients() {
        let answer = client.mapred(query()).await.unwrap();
        let answer: Vec<Value> = serde_json::from_slice(&answer).unwrap();
        assert_eq!(counts(&answer), expected());

        let mut parts = client.mapred_chunked(query()).await.unwrap();
        let mut results = Vec::new();
        while let Some(part) = parts.next().await.unwrap() {
            assert_eq!(part.phase, 1);
            results.extend(part.data.iter().map(|v| serde_json::from_str(v.get()).unwrap()));
        }
        assert_eq!(counts(&results), expected());
    }
}

/// Programs and data of Riak's days: trailing commas and raw tabs in what is posted and in what is
/// stored, dates as they were written then.
#[tokio::test]
async fn old_programs_and_their_data_are_read() {
    let cluster = Cluster::start(1).await;
    let body =
        "{\"at\":\t\"Fri May 20 12:00:00 +0000 2011\",\n\"note\": \"a\tb\", \"tags\": [1,],}";
    let object = NewObject {
        body: body.into(),
        content_type: "application/json".into(),
        ..NewObject::default()
    };
    let client = cluster.client(0);
    client.put(&Place::new("old", "k"), object).await.unwrap();
    let query = r#"{"inputs": [["old", "k"],],
        "query": [{"map": {"language": "javascript", "source": "function(v) {
            var value = JSON.parse(v.values[0].data), at = new Date(value.at);
            return [at.toJSON(), at.toLocaleDateString(), at.getHours(), at.getTimezoneOffset(),
                value.note, value.tags];
        }",},},],}"#;
    let answer = client.mapred(query.to_owned()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let expected = json!(["2011-05-20T12:00:00.000Z", "5/20/2011", 12, 0, "a\tb", [1]]);
    assert_eq!(answer, expected);
}
