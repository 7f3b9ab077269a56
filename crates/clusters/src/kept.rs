//! What a cluster said last: asked for once, however many want to know; and kept for when it does not answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

/// An answer that is kept. Copies are the same.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    inner: Arc<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    /// Of what is true there: what was asked for in an earlier one is not true any more.
    generation: AtomicU64,
    slot: Mutex<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    /// The last good answer, and when it was asked for.
    good: Option<(Arc<T>, Instant)>,
    /// How the last question ended.
    ended: Option<Ended>,
    /// The question that is being asked.
    asking: Option<Shared<BoxFuture<'static, ()>>>,
}

#[derive(Debug, Clone)]
struct Ended {
    at: Instant,
    /// Of when it was asked.
    generation: u64,
    /// Why it had no good answer.
    error: Option<Arc<str>>,
}

/// What is known just now.
#[derive(Debug, Clone)]
pub struct Look<T> {
    /// The last good answer, and how old it is; none if there never was one.
    pub good: Option<(Arc<T>, Duration)>,
    /// Why there is none that is newer.
    pub error: Option<Arc<str>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                generation: AtomicU64::new(0),
                slot: Mutex::new(Slot {
                    good: None,
                    ended: None,
                    asking: None,
                }),
            }),
        }
    }
}

impl<T: Send + Sync + 'static> Kept<T> {
    /// What is known, asked for by `ask` if it is older than `ttl`; if the last question failed, than `patience`. Whoever
    /// comes while something is asked waits for that answer. The question goes on when whoever asked it goes away.
    pub(crate) async fn look<Answer>(
        &self,
        ttl: Duration,
        patience: Duration,
        ask: impl Fn() -> Answer,
    ) -> Look<T>
    where
        Answer: Future<Output = Result<T, String>> + Send + 'static,
    {
        let came = (Instant::now(), self.inner.generation());
        loop {
            let asking = {
                let mut slot = self.inner.lock();
                // one that is over and was not settled never will be
                let asking = slot.asking.as_ref();
                match asking.filter(|asking| asking.peek().is_none()) {
                    Some(asking) => asking.clone(),
                    None if self.inner.is_known(&slot, came, ttl, patience) => {
                        return slot.shown();
                    }
                    None => {
                        let asking = self.inner.clone().begin(ask());
                        slot.asking = Some(asking.clone());
                        asking
                    }
                }
            };
            asking.await;
        }
    }

    /// What is known is not true any more, though it may still be the last that is known. Waits for nobody.
    pub(crate) fn expire(&self) {
        self.inner.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T: Send + Sync + 'static> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether somebody who came then may take what is known: it was asked for in their presence, however much has changed
    /// since, so that nobody waits for ever; or it is true still, and young enough.
    fn is_known(
        &self,
        slot: &Slot<T>,
        (came_at, came_in): (Instant, u64),
        ttl: Duration,
        patience: Duration,
    ) -> bool {
        slot.ended.as_ref().is_some_and(|ended| {
            let good_for = match ended.error {
                None => ttl,
                Some(_) => patience,
            };
            let is_theirs = ended.generation >= came_in && ended.at >= came_at;
            let is_young = ended.generation == self.generation() && ended.at.elapsed() < good_for;
            is_theirs || is_young
        })
    }

    /// Asks, whoever waits for it.
    fn begin(
        self: Arc<Self>,
        answer: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Shared<BoxFuture<'static, ()>> {
        let generation = self.generation();
        let asked_at = Instant::now();
        let asking = tokio::spawn(answer);
        let settled = tokio::spawn(async move {
            let answer = asking.await;
            let answer = answer.unwrap_or_else(|_| Err("it could not be asked".to_owned()));
            let mut slot = self.lock();
            let error = match answer {
                Ok(answer) => {
                    slot.good = Some((Arc::new(answer), asked_at));
                    None
                }
                Err(error) => Some(error.into()),
            };
            slot.ended = Some(Ended {
                at: Instant::now(),
                generation,
                error,
            });
            slot.asking = None;
        });
        settled.map(drop).boxed().shared()
    }
}

impl<T> Slot<T> {
    fn shown(&self) -> Look<T> {
        let good = self.good.as_ref();
        Look {
            good: good.map(|(answer, asked_at)| (Arc::clone(answer), asked_at.elapsed())),
            error: self.ended.as_ref().and_then(|ended| ended.error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use futures::future::{join_all, pending};
    use tokio::sync::Semaphore;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// A question that counts how often it is asked, and is answered when the test says so.
    #[derive(Default)]
    struct Asked {
        times: AtomicU32,
        answers: Option<Semaphore>,
    }

    #[tokio::test]
    async fn many_who_come_while_it_is_asked_ask_nothing_even_if_nothing_is_kept() {
        for fails in [false, true] {
            let kept = Kept::default();
            let asked = Arc::new(Asked {
                answers: Some(Semaphore::new(0)),
                ..Asked::default()
            });
            let ask = || {
                let asked = Arc::clone(&asked);
                async move {
                    asked.times.fetch_add(1, Ordering::SeqCst);
                    let answers = asked.answers.as_ref().expect("it is given");
                    answers.acquire().await.expect("it is open").forget();
                    if fails { Err("away".to_owned()) } else { Ok(7) }
                }
            };
            let looks = (0..100).map(|_| kept.look(Duration::ZERO, Duration::ZERO, ask));
            let answer = async {
                // each has begun to look by then, for they are polled in their order
                tokio::task::yield_now().await;
                let answers = asked.answers.as_ref().expect("it is given");
                answers.add_permits(1);
            };
            let (looks, ()) = tokio::join!(join_all(looks), answer);
            for look in looks {
                assert_eq!(look.good.is_none(), fails);
                assert_eq!(look.error.is_some(), fails);
            }
            assert_eq!(asked.times.load(Ordering::SeqCst), 1);
        }
    }

    /// The number of an answer, and why there is no newer one.
    async fn told(
        kept: &Kept<u32>,
        patience: Duration,
        answer: Result<u32, &'static str>,
    ) -> (Option<u32>, Option<String>) {
        let ask = || async move { answer.map_err(str::to_owned) };
        let look = kept.look(LONG, patience, ask).await;
        let error = look.error.map(|error| error.to_string());
        (look.good.map(|(n, _)| *n), error)
    }

    #[tokio::test]
    async fn the_last_good_answer_is_kept() {
        let kept = Kept::default();
        let away = || Some("away".to_owned());
        let now = Duration::ZERO;
        assert_eq!(told(&kept, now, Err("away")).await, (None, away()));
        assert_eq!(told(&kept, now, Ok(1)).await, (Some(1), None));
        let still = told(&kept, now, Ok(2)).await;
        assert_eq!(still, (Some(1), None), "it is good for an hour");
        kept.expire();
        assert_eq!(told(&kept, LONG, Err("away")).await, (Some(1), away()));
        let still = told(&kept, LONG, Ok(3)).await;
        assert_eq!(still, (Some(1), away()), "not asked again yet");
        assert_eq!(told(&kept, now, Ok(4)).await, (Some(4), None));
    }

    /// What was asked before something was changed may not know of it.
    #[tokio::test]
    async fn an_answer_from_before_a_change_is_not_taken_for_one_from_after() {
        let kept = Arc::new(Kept::default());
        let answers = Arc::new(Semaphore::new(0));
        let times = Arc::new(AtomicU32::new(0));
        let look = async || {
            let ask = || {
                let (answers, times) = (Arc::clone(&answers), Arc::clone(&times));
                async move {
                    let n = times.fetch_add(1, Ordering::SeqCst);
                    answers.acquire().await.expect("it is open").forget();
                    Ok(n)
                }
            };
            kept.look(LONG, LONG, ask).await.good.map(|(n, _)| *n)
        };
        let change = async {
            tokio::task::yield_now().await;
            kept.expire();
            answers.add_permits(2);
            look().await
        };
        let (_, after) = tokio::join!(look(), change);
        assert_eq!(after, Some(1));
    }

    /// Somebody who changes one thing after the other keeps nobody waiting.
    #[tokio::test]
    async fn changes_without_end_keep_nobody_waiting() {
        let kept = Arc::new(Kept::default());
        let times = AtomicU32::new(0);
        let ask = || {
            let (n, kept) = (times.fetch_add(1, Ordering::SeqCst), Arc::clone(&kept));
            async move {
                kept.expire();
                Ok(n)
            }
        };
        let look = kept.look(LONG, LONG, ask).await;
        assert_eq!(look.good.map(|(n, _)| *n), Some(0));
        assert_eq!(times.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn whoever_asks_may_go_away_and_a_question_that_breaks_is_asked_again() {
        let kept: Kept<u32> = Kept::default();
        let gone = kept.look(LONG, LONG, || async { Ok(5) });
        assert!(gone.now_or_never().is_none(), "it is asked by another task");
        let look = kept.look(LONG, LONG, pending).await;
        assert_eq!(
            look.good.map(|(n, _)| *n),
            Some(5),
            "it was asked all the same"
        );
        kept.expire();
        let broken = kept.look(LONG, Duration::ZERO, || async { panic!("a test") });
        let broken = broken.await;
        assert_eq!(broken.good.map(|(n, _)| *n), Some(5));
        assert_eq!(broken.error.as_deref(), Some("it could not be asked"));
        let look = kept.look(LONG, Duration::ZERO, || async { Ok(6) }).await;
        assert_eq!(look.good.map(|(n, _)| *n), Some(6));
    }
}
