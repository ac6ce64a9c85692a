//! The node that the client talks to is killed: the client must see that the answer is not whole.

use super::query::{Form, Query};
use super::rig::Rig;
use super::{RUNS, SLOW};

#[tokio::test(flavor = "multi_thread")]
async fn dies_and_no_answer_looks_whole() {
    let mut rig = Rig::start("kill -9 of the client's node", 3, RUNS).await.with_load();
    let queries = Query::all(SLOW);
    rig.measure(&queries).await;
    let mut begun = 0;
    while rig.next_run() {
        let query = rig.draw(&queries);
        rig.change_some(&rig.everyone()).await;
        let node = rig.random.below(3);
        let asked = rig.ask_by_hand(node, query);
        rig.wait_midst(query).await;
        let in_flight = rig.units_in_flight().await;
        let over = asked.is_finished();
        rig.note_of(node, "is killed");
        rig.cluster.nodes[node].kill().await;
        let answer = asked.await.unwrap();
        if !over {
            let (status, text) = (answer.status, answer.text());
            assert!(!answer.whole, "{query:?} looks answered: {status} {text}");
            let end = text.trim_end();
            assert!(
                query.form != Form::Parts || !end.ends_with("--"),
                "{query:?} looks ended: {text}"
            );
            begun += usize::from(!text.is_empty());
            if in_flight > 0 {
                rig.count(0);
            }
        }
        rig.cluster.nodes[node].spawn();
        rig.recover().await;
    }
    eprintln!("{begun} of the answers had begun");
    rig.finish().await;
}
