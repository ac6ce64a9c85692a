//! Faults that are aimed at jobs: of a node that owns one, for long enough that another takes it over.

use std::time::Duration;

use mapring_types::{Entropy, NodeId, Result};
use tokio::time::{Instant, sleep};

use crate::faults::Event;
use crate::limits;
use crate::node::seat;
use crate::partitions::Cut;
use crate::random::Random;
use crate::world::World;

/// Lets some happen, one after the other, all of which end before the clients do.
pub(crate) async fn suffer(world: &World, random: Random, end: Instant) -> Result<()> {
    let Some(ledger) = &world.ledger else { return Ok(()) };
    let last = end - Duration::from_millis(limits::LAST_WORDS_MS + limits::AIMED_MS.end);
    for _ in 0..random.below(limits::AIMED + 1) {
        let at = Instant::now() + Duration::from_millis(random.within(limits::BEFORE_AIMED_MS));
        let owner = loop {
            sleep(limits::AIM_TICK).await;
            if Instant::now() >= last {
                return Ok(());
            }
            let owner = random.choose(&ledger.owners()).copied();
            if let Some(owner) = owner.filter(|_| Instant::now() >= at) {
                break seat(owner);
            }
        };
        let (begin, ends) = fault(world, &random, owner);
        world.suffer(begin).await?;
        sleep(Duration::from_millis(random.within(limits::AIMED_MS))).await;
        world.suffer(ends).await?;
    }
    Ok(())
}

fn fault(world: &World, random: &Random, one: NodeId) -> (Event, Event) {
    match random.below(4) {
        0 => (Event::Crash(one), Event::Restart(one)),
        1 => (Event::CrashWriting(one), Event::Restart(one)),
        2 => (Event::Pause(one), Event::Resume(one)),
        _ => {
            let silent = random.per_mille(500);
            let others = (1..=world.shape.nodes).map(NodeId).filter(|other| *other != one);
            let cuts: Vec<Cut> =
                others.map(|other| Cut { one, other, silent, one_way: false }).collect();
            (Event::Cut(cuts.clone()), Event::Mend(cuts))
        }
    }
}
