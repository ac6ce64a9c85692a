use std::process::Command;

use chrono::DateTime;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::*;

fn schedule(cron: &str, zone: &str) -> Schedule {
    let body = json!({"cron": cron, "time_zone": zone, "job": {"inputs": "b", "query": []}});
    let made = Schedule::parse(body.to_string().as_bytes());
    made.unwrap_or_else(|invalid| panic!("{cron} {zone}: {invalid}"))
}

fn millis(time: &str) -> u64 {
    time.parse::<Timestamp>().unwrap().as_millisecond().try_into().unwrap()
}

fn shown(run: u64) -> String {
    Timestamp::from_millisecond(run.try_into().unwrap()).unwrap().to_string()
}

/// The runs after a time.
#[track_caller]
fn check(cron: &str, zone: &str, after: &str, expect: &[&str]) {
    let runs = schedule(cron, zone).next_runs(millis(after), expect.len());
    let runs: Vec<_> = runs.into_iter().map(shown).collect();
    assert_eq!(runs, expect, "{cron} {zone} after {after}");
}

const BERLIN: &str = "Europe/Berlin";
/// The evening before clocks go from 02:00 to 03:00, at 01:00 UTC.
const SHORT: &str = "2024-03-30T20:00:00Z";
/// The evening before clocks go from 03:00 back to 02:00, at 01:00 UTC.
const LONG: &str = "2024-10-26T20:00:00Z";

#[test]
fn fixed_times_run_once_on_the_day_that_is_short() {
    // Before, within, at the end of and after the hour that does not come.
    check("30 1 * * *", BERLIN, SHORT, &["2024-03-31T00:30:00Z", "2024-03-31T23:30:00Z"]);
    check("30 2 * * *", BERLIN, SHORT, &["2024-03-31T01:00:00Z", "2024-04-01T00:30:00Z"]);
    check("0 2 * * *", BERLIN, SHORT, &["2024-03-31T01:00:00Z", "2024-04-01T00:00:00Z"]);
    check("0 3 * * *", BERLIN, SHORT, &["2024-03-31T01:00:00Z", "2024-04-01T01:00:00Z"]);
    check("30 3 * * *", BERLIN, SHORT, &["2024-03-31T01:30:00Z", "2024-04-01T01:30:00Z"]);
    check("30 2,14 * * *", BERLIN, SHORT, &["2024-03-31T01:00:00Z", "2024-03-31T12:30:00Z"]);
    check("0-59 2 * * *", BERLIN, SHORT, &["2024-03-31T01:00:00Z", "2024-04-01T00:00:00Z"]);
    check("0 2,3 * * *", BERLIN, SHORT, &["2024-03-31T01:00:00Z", "2024-04-01T00:00:00Z"]);
}

#[test]
fn fixed_times_run_once_on_the_day_that_is_long() {
    check("30 1 * * *", BERLIN, LONG, &["2024-10-26T23:30:00Z", "2024-10-28T00:30:00Z"]);
    check("30 2 * * *", BERLIN, LONG, &["2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z"]);
    check("0 3 * * *", BERLIN, LONG, &["2024-10-27T02:00:00Z", "2024-10-28T02:00:00Z"]);
    check("30 2,14 * * *", BERLIN, LONG, &["2024-10-27T00:30:00Z", "2024-10-27T13:30:00Z"]);
    // Asked between the two, the next is of another day.
    check("30 2 * * *", BERLIN, "2024-10-27T00:45:00Z", &["2024-10-28T01:30:00Z"]);
    check("30 2 * * *", BERLIN, "2024-10-27T01:15:00Z", &["2024-10-28T01:30:00Z"]);
}

#[test]
fn intervals_go_on_as_time_does() {
    let half_hours = ["2024-03-31T00:30:00Z", "2024-03-31T01:00:00Z", "2024-03-31T01:30:00Z"];
    check("*/30 * * * *", BERLIN, "2024-03-31T00:00:00Z", &half_hours);
    check(
        "30 * * * *",
        BERLIN,
        "2024-03-31T00:00:00Z",
        &["2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z", "2024-03-31T02:30:00Z"],
    );
    check("*/30 2 * * *", BERLIN, SHORT, &["2024-04-01T00:00:00Z", "2024-04-01T00:30:00Z"]);
    check(
        "*/30 2 * * *",
        BERLIN,
        LONG,
        &[
            "2024-10-27T00:00:00Z",
            "2024-10-27T00:30:00Z",
            "2024-10-27T01:00:00Z",
            "2024-10-27T01:30:00Z",
            "2024-10-28T01:00:00Z",
        ],
    );
    check(
        "30 * * * *",
        BERLIN,
        "2024-10-26T23:40:00Z",
        &["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z", "2024-10-27T02:30:00Z"],
    );
}

#[test]
fn odd_clocks_are_followed() {
    // Half an hour.
    check(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2024-10-05T00:00:00Z",
        &["2024-10-05T15:30:00Z", "2024-10-06T15:15:00Z"],
    );
    // Set back to midnight: the first hour of the day comes twice.
    check(
        "30 23 * * *",
        "America/Havana",
        "2024-11-02T12:00:00Z",
        &["2024-11-03T03:30:00Z", "2024-11-04T04:30:00Z"],
    );
    check(
        "30 0 * * *",
        "America/Havana",
        "2024-11-02T12:00:00Z",
        &["2024-11-03T04:30:00Z", "2024-11-04T05:30:00Z"],
    );
    // Set forward at midnight: 00:00 does not come.
    check(
        "0 0 * * *",
        "America/Havana",
        "2024-03-09T12:00:00Z",
        &["2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z"],
    );
    // A whole day that did not come.
    check(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        &["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"],
    );
    check("0 3 * * *", "UTC", "2024-03-31T02:59:59.999Z", &["2024-03-31T03:00:00Z"]);
    check("0 3 * * *", "UTC", "2024-03-31T03:00:00Z", &["2024-04-01T03:00:00Z"]);
    check("0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", &["2104-02-29T00:00:00Z"]);
    check("0 0 29 2 */7", "UTC", "2024-03-01T00:00:00Z", &["2032-02-29T00:00:00Z"]);
    check("@monthly", "Asia/Kolkata", "2024-01-15T00:00:00Z", &["2024-01-31T18:30:00Z"]);
    assert!(schedule("* * * * *", "UTC").next_runs(u64::MAX, 5).is_empty());
    assert!(schedule("* * * * *", "UTC").next_runs(253_402_207_200_000, 5).len() <= 5);
}

#[test]
fn missed_runs_are_made_up_for_by_policy() {
    let due = |missed: &str, last: &str, now: &str| {
        let body = json!({"cron": "0 * * * *", "missed": missed,
            "job": {"config": "x"}});
        let schedule = Schedule::parse(body.to_string().as_bytes()).unwrap();
        let runs = schedule.due(millis(last), millis(now));
        runs.into_iter().map(|run| shown(run)[11..16].to_owned()).collect::<Vec<_>>()
    };
    let (last, now) = ("2024-01-01T00:00:00Z", "2024-01-01T03:30:00Z");
    assert_eq!(due("once", last, now), ["03:00"]);
    assert_eq!(due("all", last, now), ["01:00", "02:00", "03:00"]);
    assert_eq!(due("skip", last, now), [""; 0]);
    assert_eq!(due("skip", last, "2024-01-01T03:00:59Z"), ["03:00"]);
    for missed in ["once", "all", "skip"] {
        assert_eq!(due(missed, last, "2024-01-01T01:00:00Z"), ["01:00"]);
        assert_eq!(due(missed, last, "2024-01-01T00:59:59Z"), [""; 0]);
        assert_eq!(due(missed, now, last), [""; 0]);
    }
    assert_eq!(due("once", "2000-01-01T00:00:00Z", now), ["03:00"]);
    assert_eq!(due("all", "2000-01-01T00:00:00Z", now).len(), limits::RUNS_AHEAD);
    let rare = json!({"cron": "0 0 29 2 *", "job": {"config": "x"}});
    let rare = Schedule::parse(rare.to_string().as_bytes()).unwrap();
    let due = rare.due(0, millis("2027-01-01T00:00:00Z"));
    assert_eq!(due, [millis("2024-02-29T00:00:00Z")]);
}

#[test]
fn wrong_schedules_are_named() {
    for (body, fields) in [
        ("{}", vec!["cron", "job"]),
        (r#"{"cron":"*/90 * * * *","job":{"config":"x"}}"#, vec!["cron"]),
        (r#"{"cron":5,"job":{"config":"x"}}"#, vec!["cron"]),
        (r#"{"cron":"@daily","time_zone":"Mars/Olympus","job":{"config":"x"}}"#, vec!["time_zone"]),
        (
            r#"{"cron":"@daily","overlap":"maybe","missed":1,"job":{"inputs":"b"},"at":1}"#,
            vec!["at", "overlap", "missed", "job.query"],
        ),
    ] {
        let invalid = Schedule::parse(body.as_bytes()).unwrap_err();
        let found: Vec<_> = invalid.problems().iter().map(|p| p.field.as_str()).collect();
        assert_eq!(found, fields, "{body}: {invalid}");
    }
    let usual = schedule("0 3 * * *", "UTC");
    assert_eq!((usual.overlap, usual.missed), (Overlap::Skip, Missed::Once));
}

/// A field at random, which every cron reads alike.
fn some_field(random: &mut StdRng, first: u32, last: u32) -> String {
    match random.random_range(0..5) {
        0 | 1 => "*".to_owned(),
        2 => format!("*/{}", random.random_range(1..=(last - first) / 2)),
        3 => random.random_range(first..=last).to_string(),
        _ => {
            let from = random.random_range(first..last);
            format!("{from}-{},{first}", random.random_range(from..=last))
        }
    }
}

fn some_cron(random: &mut StdRng) -> String {
    let mut fields =
        [(0, 59), (0, 23), (1, 28), (1, 12), (0, 6)].map(|(a, b)| some_field(random, a, b));
    // What two fields of days mean is told by the rule, of which there are several.
    let star = if random.random_bool(0.5) { 2 } else { 4 };
    fields[star] = "*".to_owned();
    fields.join(" ")
}

#[test]
fn runs_in_utc_are_those_of_another_library() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..300 {
        let cron = some_cron(&mut random);
        let other: croner::Cron = cron.parse().unwrap();
        let after = random.random_range(0..4_000_000_000_000u64);
        let mut at = DateTime::from_timestamp_millis(after.try_into().unwrap()).unwrap();
        for run in schedule(&cron, "UTC").next_runs(after, 20) {
            at = other.find_next_occurrence(&at, false).unwrap();
            let expect: u64 = at.timestamp_millis().try_into().unwrap();
            assert_eq!(shown(run), shown(expect), "{cron} after {after}, seed {seed}");
        }
    }
}

/// Vixie cron's rule, minute by minute, over a zone's clock as Python has it.
const ORACLE: &str = r#"
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
zone = ZoneInfo(sys.argv[1]); start = int(sys.argv[2]); hours = int(sys.argv[3])
def local(minute):
    instant = datetime.fromtimestamp(start + minute * 60, timezone.utc)
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)
locals = [(minute, local(minute)) for minute in range(-12 * 60, hours * 60)]
def numbers(field, first, last):
    found = set()
    for item in field.split(','):
        span, _, step = item.partition('/')
        a, b = (first, last) if span == '*' else (int(span.split('-')[0]), int(span.split('-')[-1]))
        found |= set(range(a, b + 1, int(step or 1)))
    return found
for line in sys.stdin:
    fields = line.split()
    sets = [numbers(f, a, b) for f, (a, b) in zip(fields, [(0,59),(0,23),(1,31),(1,12),(0,6)])]
    def matches(local):
        day = local.isoweekday() % 7
        return (local.minute in sets[0] and local.hour in sets[1] and local.day in sets[2]
                and local.month in sets[3] and day in sets[4])
    fixed = not fields[0].startswith('*') and not fields[1].startswith('*')
    runs = []; highest = None
    for minute, local in locals:
        if fixed:
            shown = []
            if highest is None: highest = local - timedelta(minutes=1)
            while highest < local:
                highest += timedelta(minutes=1)
                shown.append(highest)
        else:
            shown = [local]
        if minute > 0 and any(matches(time) for time in shown):
            runs.append(start + minute * 60)
    print(' '.join(map(str, runs)))
"#;

#[test]
fn nights_when_clocks_are_set_are_those_of_vixie_cron() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let hours = 60;
    for (zone, night) in [
        (BERLIN, "2024-03-30T00:00:00Z"),
        (BERLIN, "2024-10-26T00:00:00Z"),
        ("America/Havana", "2024-03-09T12:00:00Z"),
        ("America/Havana", "2024-11-02T12:00:00Z"),
        ("Australia/Lord_Howe", "2024-10-05T00:00:00Z"),
        ("Australia/Lord_Howe", "2024-04-06T00:00:00Z"),
        ("Antarctica/Casey", "2010-03-04T00:00:00Z"),
    ] {
        let mut crons: Vec<_> = (0..5).map(|_| some_cron(&mut random)).collect();
        crons.extend((0..5).map(|_| {
            let hour = random.random_range(0..4);
            format!("{} {hour},{} * * *", random.random_range(0..60), 23 - hour)
        }));
        let start = millis(night) / 1_000;
        let script = format!("import io\nsys_stdin = io.StringIO('''{}''')\n", crons.join("\n"));
        let code = format!("{script}{}", ORACLE.replace("sys.stdin", "sys_stdin"));
        let args = [code, zone.to_owned(), start.to_string(), hours.to_string()];
        let output = Command::new("python3").arg("-c").args(args).output();
        let Some(output) = output.ok().filter(|output| output.status.success()) else {
            eprintln!("skipped: python3 has no zoneinfo with this zone");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), crons.len());
        let end = (start + hours * 3_600) * 1_000;
        for (cron, line) in crons.iter().zip(text.lines()) {
            let made = schedule(cron, zone);
            let runs: Vec<_> = made.runs(start * 1_000).take_while(|run| *run < end).collect();
            let seconds = line.split_ascii_whitespace().map(|run| run.parse::<u64>().unwrap());
            let expect: Vec<_> = seconds.map(|run| shown(run * 1_000)).collect();
            let runs: Vec<_> = runs.into_iter().map(shown).collect();
            assert_eq!(runs, expect, "{cron} in {zone}, seed {seed}");
        }
    }
}
