//! A lane whose source is told what to say, and tells what was given back.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

/// Its first claim is answered when it is told to be; it never has anything more.
struct Told {
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    jobs: Vec<i64>,
    unstarted: Arc<Mutex<Vec<Taken>>>,
}

impl Source for Told {
    type Job = i64;

    async fn claim(&mut self, free: usize) -> anyhow::Result<Vec<i64>> {
        assert!(self.jobs.len() <= free, "asked for {free}");
        self.asked.notify_one();
        self.answer.notified().await;
        Ok(std::mem::take(&mut self.jobs))
    }

    fn taken(job: &i64) -> Taken {
        (*job, 7)
    }

    async fn rest(&self) {
        std::future::pending().await
    }

    async fn give_back_unstarted(&self, jobs: Vec<Taken>) {
        self.unstarted.lock().expect("not poisoned").extend(jobs);
    }

    async fn give_back_running(&self, jobs: Vec<Taken>) {
        panic!("nothing runs: {jobs:?}");
    }
}

/// The signal to stop comes while a claim is under way: what it takes is given back at once, and never started.
#[tokio::test]
async fn what_was_claimed_too_late_is_given_back() {
    let (asked, answer) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let unstarted = Arc::<Mutex<Vec<Taken>>>::default();
    let source = Told {
        asked: asked.clone(),
        answer: answer.clone(),
        jobs: vec![1, 2, 3],
        unstarted: unstarted.clone(),
    };
    let shutdown = CancellationToken::new();
    let started = Arc::new(AtomicUsize::new(0));
    let handler = {
        let started = started.clone();
        move |_: Held<i64>| {
            started.fetch_add(1, Ordering::SeqCst);
            std::future::ready(())
        }
    };
    let lane = work("lane", source, 10, DRAIN, shutdown.clone(), handler);
    let signal = async {
        asked.notified().await;
        shutdown.cancel();
        answer.notify_one();
    };
    let (ended, ()) = tokio::join!(lane, signal);
    ended.expect("a lane ends well");
    assert_eq!(
        *unstarted.lock().expect("not poisoned"),
        [(1, 7), (2, 7), (3, 7)]
    );
    assert_eq!(started.load(Ordering::SeqCst), 0);
}

/// It always has more, and notes how many it was asked for, and when.
struct Endless {
    asked: Arc<Mutex<Vec<(Instant, usize)>>>,
}

const CLAIM_TAKES: Duration = Duration::from_millis(5);

impl Source for Endless {
    type Job = i64;

    async fn claim(&mut self, free: usize) -> anyhow::Result<Vec<i64>> {
        let now = Instant::now();
        self.asked.lock().expect("not poisoned").push((now, free));
        tokio::time::sleep(CLAIM_TAKES).await;
        Ok((0..free as i64).collect())
    }

    fn taken(job: &i64) -> Taken {
        (*job, 7)
    }

    async fn rest(&self) {
        panic!("it has more");
    }

    async fn give_back_unstarted(&self, _: Vec<Taken>) {}

    async fn give_back_running(&self, _: Vec<Taken>) {}
}

/// While all slots are busy they come free one by one: a claim waits until there are some, but not for long.
#[tokio::test(start_paused = true)]
async fn claims_of_a_busy_lane_are_few() {
    const SLOTS: usize = 100;
    let asked = Arc::<Mutex<Vec<(Instant, usize)>>>::default();
    let source = Endless {
        asked: asked.clone(),
    };
    let shutdown = CancellationToken::new();
    let handler = |held: Held<i64>| async move {
        tokio::time::sleep(Duration::from_millis(50 + held.job.unsigned_abs())).await;
        drop(held);
    };
    let lane = work("lane", source, SLOTS, DRAIN, shutdown.clone(), handler);
    let end = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(lane, end);
    ended.expect("a lane ends well");
    let asked = asked.lock().expect("not poisoned");
    assert!(asked.len() > 50, "{} claims", asked.len());
    for pair in asked.windows(2) {
        let [(before, _), (at, free)] = pair else {
            continue;
        };
        let waited = at.duration_since(*before);
        assert!(
            *free >= SLOTS / 4 || waited >= CLAIM_TAKES + LONGEST_PAUSE,
            "asked for {free} after {waited:?}"
        );
        assert!(
            waited < Duration::from_millis(100),
            "asked for {free} after {waited:?}"
        );
    }
}
