//! What a cluster said last: asked for once, however many want to know; and kept for when it does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// An answer that is kept.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    slot: Mutex<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    /// The last good answer, and when it was asked for.
    good: Option<(Arc<T>, Instant)>,
    /// When the last question ended, however it did.
    ended_at: Option<Instant>,
    /// Why the last question had no good answer.
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
            slot: Mutex::new(Slot {
                good: None,
                ended_at: None,
                error: None,
            }),
        }
    }
}

impl<T> Kept<T> {
    /// What is known, asked for by `ask` if it is older than `ttl`; if the last question failed, than `patience`. Whoever
    /// comes while somebody asks waits for that answer, and asks nothing.
    pub(crate) async fn look(
        &self,
        ttl: Duration,
        patience: Duration,
        ask: impl AsyncFnOnce() -> Result<T, String>,
    ) -> Look<T> {
        let came_at = Instant::now();
        let mut slot = self.slot.lock().await;
        let good_for = match slot.error {
            None => ttl,
            Some(_) => patience,
        };
        let is_known = slot
            .ended_at
            .is_some_and(|ended_at| ended_at >= came_at || ended_at.elapsed() < good_for);
        if !is_known {
            let asked_at = Instant::now();
            // if whoever asks goes away, the next one asks
            match ask().await {
                Ok(answer) => {
                    slot.good = Some((Arc::new(answer), asked_at));
                    slot.error = None;
                }
                Err(error) => slot.error = Some(error.into()),
            }
            slot.ended_at = Some(Instant::now());
        }
        let good = slot.good.as_ref();
        Look {
            good: good.map(|(answer, asked_at)| (Arc::clone(answer), asked_at.elapsed())),
            error: slot.error.clone(),
        }
    }

    /// What is known is not true any more, though it may still be the last that is known.
    pub(crate) async fn expire(&self) {
        self.slot.lock().await.ended_at = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::{Barrier, Notify};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn many_who_come_while_one_asks_ask_nothing_even_if_nothing_is_kept() {
        for fails in [false, true] {
            let (kept, asked) = (Arc::new(Kept::default()), Arc::new(AtomicU32::new(0)));
            let (all_here, answered) = (Arc::new(Barrier::new(101)), Arc::new(Notify::new()));
            let looks: Vec<_> = (0..100)
                .map(|_| {
                    let (kept, asked) = (Arc::clone(&kept), Arc::clone(&asked));
                    let (all_here, answered) = (Arc::clone(&all_here), Arc::clone(&answered));
                    tokio::spawn(async move {
                        let look = kept.look(Duration::ZERO, Duration::ZERO, async || {
                            asked.fetch_add(1, Ordering::Relaxed);
                            answered.notified().await;
                            if fails { Err("away".to_owned()) } else { Ok(7) }
                        });
                        tokio::join!(look, all_here.wait()).0
                    })
                })
                .collect();
            // each has begun to look by then
            all_here.wait().await;
            answered.notify_one();
            for look in looks {
                let look = look.await.expect("it does not panic");
                assert_eq!(look.good.is_none(), fails);
                assert_eq!(look.error.is_some(), fails);
            }
            assert_eq!(asked.load(Ordering::Relaxed), 1);
        }
    }

    #[tokio::test]
    async fn the_last_good_answer_is_kept() {
        let kept = Kept::default();
        let told = |look: Look<u32>| {
            (
                look.good.map(|(n, _)| *n),
                look.error.map(|e| e.to_string()),
            )
        };
        let away = || Err("away".to_owned());
        assert_eq!(
            told(kept.look(LONG, Duration::ZERO, async || away()).await),
            (None, Some("away".to_owned()))
        );
        assert_eq!(
            told(kept.look(LONG, Duration::ZERO, async || Ok(1)).await),
            (Some(1), None)
        );
        assert_eq!(
            told(kept.look(LONG, Duration::ZERO, async || Ok(2)).await),
            (Some(1), None),
            "it is good for an hour"
        );
        kept.expire().await;
        assert_eq!(
            told(kept.look(LONG, LONG, async || away()).await),
            (Some(1), Some("away".to_owned()))
        );
        assert_eq!(
            told(kept.look(LONG, LONG, async || Ok(3)).await),
            (Some(1), Some("away".to_owned())),
            "not asked again yet"
        );
        assert_eq!(
            told(kept.look(LONG, Duration::ZERO, async || Ok(4)).await),
            (Some(4), None)
        );
    }

    #[tokio::test]
    async fn whoever_asks_may_go_away() {
        let kept: Kept<u32> = Kept::default();
        let gone = kept.look(LONG, LONG, std::future::pending);
        assert!(
            tokio::time::timeout(Duration::from_millis(10), gone)
                .await
                .is_err()
        );
        let look = kept.look(LONG, LONG, async || Ok(5)).await;
        assert_eq!(look.good.map(|(n, _)| *n), Some(5));
    }
}
