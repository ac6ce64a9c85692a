#!/usr/bin/env bash
# tokio's watch channel wakes those who wait for a change in another order in every run, also where all
# else is deterministic: one thread, paused time, no randomness of the program's own. Notify and
# broadcast wake in the order in which they began to wait.
#
# A small program has 64 tasks wait, changes the value once, and prints whether they woke in order; it is
# run several times. Needs cargo (1.85 or later) and access to the crates; takes half a minute.
#
# Ends with 0 while it behaves so, and with another status when that changes.
set -euo pipefail

TOKIO=1.54.1

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<END
[package]
name = "waking"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
tokio = { version = "=$TOKIO", features = ["rt", "sync", "time", "test-util"] }

[profile.dev]
debug = false

[workspace]
END

cat >"$folder/src/main.rs" <<'END'
//! Prints in which order 64 tasks are woken by one change: as a checksum, and whether it is theirs.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::{Notify, broadcast, watch};
use tokio::task::LocalSet;

const TASKS: u64 = 64;

type Woken = Rc<RefCell<Vec<u64>>>;

fn told(name: &str, woken: &Woken) {
    let order = woken.take();
    assert_eq!(order.len() as u64, TASKS);
    let in_order = order.iter().copied().eq(0..TASKS);
    let sum = order.iter().fold(7u64, |sum, task| sum.wrapping_mul(31).wrapping_add(*task));
    println!("{name} {} {sum:016x}", if in_order { "in-order" } else { "shuffled" });
}

async fn settle() {
    for _ in 0..TASKS {
        tokio::task::yield_now().await;
    }
}

async fn all() {
    let woken = Woken::default();

    let sender = watch::Sender::new(0);
    for task in 0..TASKS {
        let (mut receiver, woken) = (sender.subscribe(), woken.clone());
        tokio::task::spawn_local(async move {
            receiver.changed().await.expect("the sender is there");
            woken.borrow_mut().push(task);
        });
    }
    settle().await;
    sender.send_replace(1);
    settle().await;
    told("watch", &woken);

    let notify = Rc::new(Notify::new());
    for task in 0..TASKS {
        let (notify, woken) = (notify.clone(), woken.clone());
        tokio::task::spawn_local(async move {
            notify.notified().await;
            woken.borrow_mut().push(task);
        });
    }
    settle().await;
    notify.notify_waiters();
    settle().await;
    told("notify", &woken);

    let sender = broadcast::Sender::new(4);
    for task in 0..TASKS {
        let (mut receiver, woken) = (sender.subscribe(), woken.clone());
        tokio::task::spawn_local(async move {
            receiver.recv().await.expect("a value");
            woken.borrow_mut().push(task);
        });
    }
    settle().await;
    sender.send(1).expect("there are receivers");
    settle().await;
    told("broadcast", &woken);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, all());
}
END

(cd "$folder" && cargo build --quiet)
runs=8
found=$(for ((run = 0; run < runs; run++)); do "$folder/target/debug/waking"; done)
printf '%s\n' "$found" | sort | uniq -c

orders() {
  grep "^$1 " <<<"$found" | sort -u | wc -l
}

# Seen with tokio 1.54.1 and rustc 1.95.0: eight runs, eight orders by watch, one by each of the others.
#
# Why: a watch spreads those who wait over eight lists, so that many threads do not meet at one lock, and
# each that waits takes a list by chance, from a generator that is seeded anew with each thread. The seed can
# only be set on a runtime built with tokio_unstable.
#
# Why it matters: a simulation of a cluster from a seed runs on such a runtime just so that the same seed
# is the same run. With two or more that wait on one watch it is not: mapring's simulation had seeds that
# parted now and then. Who waits in numbers there waits on a Notify now, and runs are compared with
# themselves (mapring-sim --twice).
shuffled=$(grep -c '^watch shuffled' <<<"$found" || true)
if ((shuffled < runs || $(orders watch) < 2)) || grep -q '^\(notify\|broadcast\) shuffled' <<<"$found"; then
  echo "this has changed: watch woke in the order of those who wait, or others did not" >&2
  exit 1
fi
