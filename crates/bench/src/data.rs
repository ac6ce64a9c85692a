//! The objects that queries work on.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mapring_client::{Client, NewObject, Place};
use mapring_script::MapInput;
use mapring_types::{
    ActorId, BucketId, Dot, Metadata, Object, ObjectId, Record, Sibling, VersionVector,
};

use crate::machine;
use crate::outcome::Outcome;

/// Writes under way at once while objects are stored.
const WRITES: usize = 64;

/// Words that texts are made of, of the lengths that English words have.
const WORDS: [&str; 24] = [
    "the",
    "of",
    "and",
    "rabbit",
    "to",
    "in",
    "down",
    "was",
    "tired",
    "daisies",
    "said",
    "it",
    "Alice",
    "book",
    "very",
    "pictures",
    "conversation",
    "she",
    "well",
    "nothing",
    "sister",
    "considering",
    "hot",
    "trouble",
];

/// Words of each text.
pub(crate) const TEXT_WORDS: u64 = 120;

/// A JSON document of some 200 bytes.
pub(crate) fn document(number: u64) -> String {
    format!(
        r#"{{"id":"order-{number:08}","n":{number},"price":{}.{:02},"customer":{{"name":"Alice Liddell","city":"Oxford"}},"tags":["new","paid","by mail"],"open":{},"note":"to be left with the neighbour at number seven"}}"#,
        number % 900,
        number % 100,
        number.is_multiple_of(2)
    )
}

/// A text of [`TEXT_WORDS`] words.
pub(crate) fn text(number: u64) -> String {
    // Squares, so that neighbours differ and all words occur.
    let word = |at: u64| WORDS[((number + at * at) % WORDS.len() as u64) as usize];
    (0..TEXT_WORDS).map(word).collect::<Vec<_>>().join(" ")
}

/// Words of each page.
pub(crate) const PAGE_WORDS: u64 = 297;

/// Different words of a book: about those of the first quarter of the Bible of King James.
const VOCABULARY: f64 = 6_500.0;

/// A page of a book: some words come everywhere and most hardly ever, as Zipf found.
pub(crate) fn page(number: u64) -> String {
    prose(number, PAGE_WORDS)
}

/// As [`text`], with the words of a book.
pub(crate) fn essay(number: u64) -> String {
    prose(number, TEXT_WORDS)
}

/// A JSON document of some 200 bytes with a field `kN` for some N, which has N different values at
/// most.
pub(crate) fn keyed(number: u64) -> String {
    let key = |keys: u64| format!("k{:06}", number * 7_919 % keys);
    format!(
        r#"{{"id":"order-{number:08}","n":{number},"k10":"{}","k1000":"{}","k1000000":"{}","tags":["new","paid","by mail"],"open":{},"note":"to be left with the neighbour at number seven"}}"#,
        key(10),
        key(1_000),
        key(1_000_000),
        number.is_multiple_of(2)
    )
}

fn prose(number: u64, count: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut words = Vec::new();
    for _ in 0..count {
        // A generator of xorshift's kind is enough to draw words.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let chance = (state >> 11) as f64 / (1u64 << 53) as f64;
        words.push(word(VOCABULARY.powf(chance) as u64));
    }
    words.join(" ")
}

/// The word of a rank: the commonest are the shortest.
fn word(mut rank: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "a", "the", "of", "ba", "do", "ki", "lu", "me", "no", "ra", "si", "ta", "un", "ve", "wo",
        "ye",
    ];
    let mut word = String::new();
    while rank > 0 {
        word.push_str(SYLLABLES[(rank % 16) as usize]);
        rank /= 16;
    }
    word
}

/// A key of fixed length.
pub(crate) fn key(number: u64) -> String {
    format!("{number:09}")
}

/// A place in a bucket, for calls to which the key does not matter.
pub(crate) fn place(bucket: &str) -> Place {
    Place::new(bucket, "")
}

/// Stores objects in a bucket.
pub(crate) async fn store(
    client: &Client,
    bucket: &str,
    content_type: &str,
    count: u64,
    body: impl Fn(u64) -> String,
) -> Outcome {
    let put = |number: u64| {
        let object = NewObject {
            body: body(number).into(),
            content_type: content_type.to_owned(),
            ..NewObject::default()
        };
        async move { client.put(&Place::new(bucket, key(number)), object).await }
    };
    stream::iter(0..count).map(put).buffer_unordered(WRITES).try_collect::<()>().await?;
    Ok(())
}

/// The same objects as a node reads them from its store, for each core its share, in batches as
/// they go to a worker.
pub(crate) fn in_memory(
    bucket: &str,
    content_type: &str,
    count: u64,
    body: impl Fn(u64) -> String,
) -> Vec<Vec<Vec<MapInput>>> {
    /// As many as a node sends at once.
    const BATCH: usize = 250;
    let bucket = BucketId::untyped(bucket.to_owned());
    let input = |number: u64| MapInput {
        id: ObjectId::new(bucket.clone(), key(number)),
        keydata: None,
        record: Some(record(number, content_type, body(number).into())),
    };
    let inputs: Vec<MapInput> = (0..count).map(input).collect();
    let share = inputs.len().div_ceil(machine::cores()).max(1);
    let batches = |inputs: &[MapInput]| inputs.chunks(BATCH).map(<[_]>::to_vec).collect();
    inputs.chunks(share).map(batches).collect()
}

fn record(number: u64, content_type: &str, body: Bytes) -> Record {
    let dot = Dot { actor: ActorId(1), counter: number + 1 };
    let metadata = Metadata { content_type: content_type.to_owned(), ..Metadata::default() };
    let last_modified = 1_700_000_000_000_000 + number;
    let sibling = Sibling { dot, last_modified, deleted: false, metadata, body };
    let mut object = Object::default();
    object.update(&VersionVector::new(), sibling);
    Record::encode(&object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_the_sizes_that_are_told() {
        for number in [0, 7, 99_999] {
            let document = document(number);
            assert!((180..=220).contains(&document.len()), "{}: {document}", document.len());
            let parsed: serde_json::Value = serde_json::from_str(&document).unwrap();
            assert_eq!(parsed["n"], number);
            assert_eq!(text(number).split(' ').count() as u64, TEXT_WORDS);
            assert_eq!(essay(number).split(' ').count() as u64, TEXT_WORDS);
            let keyed = keyed(number);
            assert!((180..=230).contains(&keyed.len()), "{}: {keyed}", keyed.len());
            let parsed: serde_json::Value = serde_json::from_str(&keyed).unwrap();
            assert_eq!(parsed["k1000000"], format!("k{:06}", number * 7_919 % 1_000_000));
        }
    }

    #[test]
    fn a_book_has_few_words_often_and_many_seldom() {
        let mut counts = std::collections::BTreeMap::new();
        let pages: Vec<String> = (0..800).map(page).collect();
        for word in pages.iter().flat_map(|page| page.split(' ')) {
            *counts.entry(word).or_insert(0u64) += 1;
        }
        assert_eq!(counts.values().sum::<u64>(), 800 * PAGE_WORDS);
        assert!((5_500..6_600).contains(&counts.len()), "{}", counts.len());
        assert!(counts.values().max() > Some(&10_000), "{:?}", counts.values().max());
        let bytes = pages.iter().map(String::len).sum::<usize>() / pages.len();
        assert!((1_200..1_700).contains(&bytes), "{bytes}");
    }

    #[test]
    fn every_object_is_in_one_batch() {
        let shares = in_memory("b", "text/plain", 1_001, text);
        let inputs: usize = shares.iter().flatten().map(Vec::len).sum();
        assert_eq!((shares.len(), inputs), (machine::cores().min(1_001), 1_001));
    }
}
