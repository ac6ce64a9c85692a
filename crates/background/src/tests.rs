use tokio::sync::mpsc;

use super::*;

/// Does what it is told: a result a round, and for each as many seconds.
struct Told {
    rounds: mpsc::UnboundedReceiver<(u64, Result<Next>)>,
    next: Option<(u64, Result<Next>)>,
}

#[async_trait]
impl Worker for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    async fn round(&mut self, context: &Context) -> Result<Next> {
        let Some((seconds, outcome)) = self.next.take() else { return Ok(Next::Wait) };
        context.say(format!("works for {seconds} s"));
        sleep(Duration::from_secs(seconds)).await;
        outcome
    }

    async fn wait(&mut self) {
        self.next = self.rounds.recv().await;
    }
}

struct Bench {
    workers: Workers,
    tell: mpsc::UnboundedSender<(u64, Result<Next>)>,
}

impl Bench {
    fn new() -> Self {
        let (tell, rounds) = mpsc::unbounded_channel();
        let workers = Workers::default();
        workers.spawn(Told { rounds, next: None });
        Self { workers, tell }
    }

    fn tell(&self, seconds: u64, outcome: Result<Next>) {
        self.tell.send((seconds, outcome)).unwrap();
    }

    fn status(&self) -> Status {
        let [status] = self.workers.list().try_into().unwrap();
        status
    }

    /// Time is the test's own, so that this waits for a condition.
    async fn reaches(&self, state: State) -> Status {
        for _ in 0..1_000 {
            if self.status().state == state {
                return self.status();
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("it is never {state:?}: {:?}", self.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_says_what_it_does_and_how_it_went() {
    let bench = Bench::new();
    while bench.status().rounds == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    let idle = bench.reaches(State::Idle).await;
    assert_eq!((idle.rounds, idle.status.as_str()), (1, ""));
    bench.tell(5, Err(Error::unavailable("nobody\nis there")));
    let busy = bench.reaches(State::Busy).await;
    assert_eq!(busy.status, "works for 5 s");
    let idle = bench.reaches(State::Idle).await;
    assert_eq!((idle.rounds, idle.errors), (2, 1));
    assert_eq!(idle.last_error.as_deref(), Some("nobody is there"));
    assert_eq!(idle.last_round_seconds, 5.0);
    bench.tell(0, Ok(Next::Wait));
    while bench.status().rounds < 3 {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bench.status().last_error, None, "a later round succeeded");
    bench.tell(0, Ok(Next::End));
    bench.reaches(State::Ended).await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_worker_rests_for_a_multiple_of_its_work() {
    let bench = Bench::new();
    assert_eq!(bench.workers.throttle("told", 3).unwrap().throttle, 3);
    bench.tell(10, Ok(Next::Wait));
    bench.reaches(State::Throttled).await;
    let began = Instant::now();
    bench.reaches(State::Idle).await;
    assert_eq!(began.elapsed().as_secs(), 30);
    // Never longer than the bound, and not at all once it is told so.
    bench.workers.throttle("told", limits::MOST_THROTTLE).unwrap();
    bench.tell(10, Ok(Next::Wait));
    bench.reaches(State::Throttled).await;
    let began = Instant::now();
    bench.reaches(State::Idle).await;
    assert!(began.elapsed() <= limits::LONGEST_REST);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_of_a_worker_and_bounded() {
    let bench = Bench::new();
    let wrong = bench.workers.throttle("other", 1).unwrap_err();
    assert_eq!(wrong.to_string(), "there is no worker other");
    let wrong = bench.workers.throttle("told", 101).unwrap_err();
    assert_eq!(wrong.to_string(), "a throttle is at most 100, not 101");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_waits_and_rests_at_once_and_rounds_at_their_end() {
    for (throttle, at) in [(0, State::Busy), (100, State::Throttled), (0, State::Idle)] {
        let bench = Bench::new();
        bench.workers.throttle("told", throttle).unwrap();
        if at != State::Idle {
            bench.tell(7, Ok(Next::Wait));
        }
        bench.reaches(at).await;
        let began = Instant::now();
        bench.workers.stop();
        bench.reaches(State::Ended).await;
        let most = if at == State::Busy { 8 } else { 1 };
        assert!(began.elapsed().as_secs() <= most, "stopped while {at:?}: {:?}", began.elapsed());
    }
}

/// Breaks in its first round.
struct Breaks;

#[async_trait]
impl Worker for Breaks {
    fn name(&self) -> &'static str {
        "breaks"
    }

    async fn round(&mut self, _: &Context) -> Result<Next> {
        panic!("as it is told to");
    }

    async fn wait(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_shown_and_does_no_harm_to_others() {
    let bench = Bench::new();
    bench.workers.spawn(Breaks);
    while bench.workers.list()[0].state != State::Broken {
        sleep(Duration::from_millis(100)).await;
    }
    bench.tell(1, Ok(Next::Wait));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.workers.list()[1].rounds, 2);
}

#[test]
fn lines_are_bounded_and_single() {
    assert_eq!(cut("a\nb".to_owned()), "a b");
    let long = "ä".repeat(limits::STATUS_BYTES);
    assert!(cut(long.clone()).len() <= limits::STATUS_BYTES);
    assert!(long.starts_with(&cut(long.clone())));
}
