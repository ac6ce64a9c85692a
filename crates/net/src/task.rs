//! Tasks that belong to a node.
//!
//! What a node does in the background is spawned with [`spawn`]. In a live node that is tokio's own
//! `spawn`; in a simulation, where many nodes share a process, a [`Gate`] can make one of them stand
//! still as a stopped process does, with all tasks that it has spawned.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

tokio::task_local! {
    /// The gate of the node that the present task belongs to.
    static GATE: Arc<Gate>;
}

/// Spawns a task of the node that the present task belongs to.
pub fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match GATE.try_with(Arc::clone) {
        Ok(gate) => tokio::spawn(async move { gate.run(work).await }),
        Err(_) => tokio::spawn(work),
    }
}

/// Does work in the caller's own task, which costs less than another one; should the caller be dropped
/// before it is done, a task of its own goes on with it.
pub fn to_the_end<F>(work: F) -> impl Future<Output = F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    ToTheEnd { work: Some(Box::pin(work)), gate: GATE.try_with(Arc::clone).ok() }
}

/// Lets what else can run in this thread run first. Unlike tokio's own `yield_now` it leaves the task
/// where other threads can take it, should one that runs before it not come to an end.
pub(crate) async fn after_others() {
    let mut first = true;
    poll_fn(|context| {
        if !std::mem::take(&mut first) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

struct ToTheEnd<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    gate: Option<Arc<Gate>>,
}

impl<F: Future<Output: Send> + Send + 'static> Future for ToTheEnd<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let output = ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for ToTheEnd<F> {
    fn drop(&mut self) {
        // What has panicked cannot go on. Without a runtime the node is gone.
        if !std::thread::panicking()
            && let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            match self.gate.take() {
                Some(gate) => drop(runtime.spawn(async move { gate.run(work).await })),
                None => drop(runtime.spawn(work)),
            }
        }
    }
}

/// What a simulated node's work goes through. While it is closed nothing of it runs; timers that
/// end meanwhile are noticed when it opens.
#[derive(Debug, Default)]
pub struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// In the order in which they came.
    waiting: Vec<Waker>,
}

impl Gate {
    /// A gate that stands open.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets nothing run from now on.
    pub fn close(&self) {
        self.0.lock().closed = true;
    }

    /// Lets everything run again, first come, first served.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.0.lock();
            state.closed = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether nothing runs.
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Runs work of the node, and what it spawns, while the gate is open.
    pub async fn run<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.holds(context) {
                return Poll::Pending;
            }
            GATE.sync_scope(self.clone(), || work.as_mut().poll(context))
        })
        .await
    }

    fn holds(&self, context: &Context<'_>) -> bool {
        let mut state = self.0.lock();
        if state.closed && !state.waiting.iter().any(|known| known.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        state.closed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_holds_up_what_runs_and_what_was_spawned() {
        let gate = Gate::new();
        let start = Instant::now();
        let node = gate.clone();
        let work = tokio::spawn(async move {
            let spawned = async { spawn(async { sleep(SECOND).await }).await };
            node.run(spawned).await.map(|()| start.elapsed())
        });
        sleep(SECOND / 2).await;
        gate.close();
        sleep(10 * SECOND).await;
        assert!(gate.is_closed() && !work.is_finished());
        gate.open();
        assert_eq!(work.await.unwrap().unwrap(), SECOND / 2 + 10 * SECOND);
    }

    #[tokio::test]
    async fn without_a_gate_it_is_a_task_like_any_other() {
        assert_eq!(spawn(async { 7 }).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_when_its_caller_is_dropped() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let work = |number: u32| {
            let sender = sender.clone();
            to_the_end(async move {
                sleep(SECOND).await;
                let _ = sender.send(number);
                number
            })
        };
        assert_eq!((work(1).await, receiver.try_recv()), (1, Ok(1)));
        assert!(tokio::time::timeout(SECOND / 2, work(2)).await.is_err());
        assert_eq!(receiver.recv().await, Some(2));
        let gate = Gate::new();
        let held = gate.run(async { tokio::time::timeout(SECOND / 2, work(3)).await });
        assert!(held.await.is_err());
        gate.close();
        sleep(10 * SECOND).await;
        assert!(receiver.try_recv().is_err(), "the node stands still");
        gate.open();
        assert_eq!(receiver.recv().await, Some(3));
    }
}
