//! `/metrics` and the table of it in the documents say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mapring_client::{NewObject, Place};
use mapring_tests::harness::{Cluster, Exchange, Node, eventually, holds, root};

/// The document, and how the table in it begins.
const DOCUMENT: &str = "docs/operations.md";
const HEAD: &str = "| metric | type | unit | labels | what it says | look closer when |";

/// Names end by what they count, where that is one of these.
const UNITS: [(&str, &str); 2] = [("seconds", "_seconds"), ("bytes", "_bytes")];

/// A row of the table.
struct Row {
    kind: String,
    unit: String,
    labels: BTreeSet<String>,
}

/// What stands between back quotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join(DOCUMENT)).unwrap();
    let lines = text.lines().skip_while(|line| *line != HEAD).skip(2);
    let mut rows = BTreeMap::new();
    for line in lines.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, unit, labels, says, closer] = cells[..] else { panic!("{line}") };
        assert!(!says.is_empty() && !closer.is_empty(), "{line}");
        let name = name.trim_matches('`').to_owned();
        // Names of labels stand before the parentheses with their values.
        let label = labels.split('(').next().unwrap_or_default();
        let labels = quoted(label).map(str::to_owned).collect();
        let row = Row { kind: kind.to_owned(), unit: unit.to_owned(), labels };
        assert!(rows.insert(name.clone(), row).is_none(), "{name} is there twice");
    }
    assert!(!rows.is_empty(), "{DOCUMENT} has no table of metrics");
    rows
}

/// What `/metrics` says, by name: the type, and the names of the labels of all its lines.
#[derive(Default)]
struct Shown {
    kinds: BTreeMap<String, String>,
    described: BTreeSet<String>,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Shown {
    async fn of(node: &Node) -> Self {
        let mut shown = Self::default();
        for line in Exchange::get(node, "/metrics").await.text().await.lines() {
            if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
            {
                shown.kinds.insert(name.to_owned(), kind.to_owned());
            } else if let Some(line) = line.strip_prefix("# HELP ") {
                let (name, help) = line.split_once(' ').unwrap_or((line, ""));
                assert!(!help.is_empty(), "{line}");
                shown.described.insert(name.to_owned());
            } else if let Some((name, rest)) = line.split_once('{') {
                let labels = rest.split('}').next().unwrap_or_default().split(',');
                let labels = labels.filter_map(|label| label.split_once('=')).map(|it| it.0);
                let own = labels.filter(|label| *label != "le").map(str::to_owned);
                shown.labels.entry(shown.base(name)).or_default().extend(own);
            }
        }
        shown
    }

    /// A histogram's lines have the name of the histogram and an ending.
    fn base(&self, name: &str) -> String {
        let ends = ["_bucket", "_sum", "_count"];
        let cut = ends.iter().find_map(|end| name.strip_suffix(end));
        cut.filter(|cut| self.kinds.contains_key(*cut)).unwrap_or(name).to_owned()
    }
}

/// Reads, writes, deletes, lists and asks, so that most of what can be counted is.
async fn use_node(node: &Node) {
    let object = |body: String| NewObject {
        body: body.into(),
        content_type: "text/plain".into(),
        ..NewObject::default()
    };
    for number in 0..20 {
        let place = Place::new("b", format!("k{number}"));
        node.client.put(&place, object(number.to_string())).await.unwrap();
        node.client.get(&place).await.unwrap();
    }
    let large = object("x".repeat(2 << 10));
    node.client.put(&Place::new("b", "large"), large).await.unwrap();
    node.client.delete(&Place::new("b", "k0")).await.unwrap();
    Exchange::get(node, "/buckets/b/keys?keys=true").await.text().await;
    let query = r#"{"inputs":"b","query":[
        {"map":{"language":"javascript","source":"function(v) { return [v.key.length]; }"}},
        {"reduce":{"language":"erlang","module":"riak_kv_mapreduce","function":"reduce_sum"}}]}"#;
    node.client.mapred(query).await.unwrap();
    let failing = r#"{"inputs":[["b","k1"]],"query":[
        {"map":{"language":"javascript","source":"function(v) { throw 'no'; }"}}]}"#;
    node.client.mapred(failing).await.unwrap_err();
}

#[tokio::test]
async fn the_table_of_metrics_is_what_metrics_says() {
    let table = table();
    let cluster = Cluster::start_with(1, &[("MAPRING__OBJECTS__WARN_OBJECT_SIZE", "1 KB")]).await;
    let node = &cluster.nodes[0];
    use_node(node).await;
    eventually("the graves to be counted", || async {
        let shown = Shown::of(node).await;
        holds(shown.kinds.contains_key("mapring_kv_graves"))
    })
    .await;
    let shown = Shown::of(node).await;
    for (name, kind) in &shown.kinds {
        let row = table.get(name).unwrap_or_else(|| panic!("{DOCUMENT} has no {name}"));
        assert_eq!(&row.kind, kind, "the type of {name}");
        assert!(shown.described.contains(name), "{name} is not described");
        if let Some(labels) = shown.labels.get(name) {
            assert_eq!(&row.labels, labels, "the labels of {name}");
        }
    }
    // What has not happened is not there; but it is in the code, described and set.
    let quoted = quoted_in_crates();
    for name in table.keys().filter(|name| !shown.kinds.contains_key(*name)) {
        let times = quoted.get(name).copied().unwrap_or(0);
        assert!(times >= 2, "{name} of {DOCUMENT} is {times} times in the code, not shown here");
    }
    let unseen = table.len() - shown.kinds.len();
    assert!(unseen <= table.len() / 3, "{unseen} of {} metrics were not seen", table.len());
}

/// How often each name stands between quotes in the sources of the program.
fn quoted_in_crates() -> BTreeMap<String, usize> {
    fn count(folder: &Path, into: &mut BTreeMap<String, usize>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                count(&path, into);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for name in text.split('"').filter(|text| text.starts_with("mapring_")) {
                    *into.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
    }
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).unwrap().flatten() {
        count(&entry.path().join("src"), &mut counts);
    }
    counts
}

/// The code has no metric that the table lacks: all names between quotes that are like one.
#[test]
fn every_metric_of_the_code_is_in_the_table() {
    let table = table();
    let word = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let names = quoted_in_crates().into_keys().filter(|name| name.chars().all(word));
    // Made up by tests, and a field of `/stats`.
    let others = |name: &String| !name.starts_with("mapring_test_") && name != "mapring_version";
    let unknown: Vec<_> = names.filter(others).filter(|name| !table.contains_key(name)).collect();
    assert!(unknown.is_empty(), "{DOCUMENT} has no {unknown:?}");
}

#[test]
fn names_end_by_type_and_unit() {
    for (name, row) in table() {
        let counts = name.ends_with("_total");
        assert_eq!(counts, row.kind == "counter", "{name} is a {}", row.kind);
        let stem = name.trim_end_matches("_total");
        for (unit, end) in UNITS {
            assert_eq!(row.unit == unit, stem.ends_with(end), "{name} in {}", row.unit);
        }
    }
}
