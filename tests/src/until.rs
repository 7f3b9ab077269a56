//! Waiting for a state, and the only place of the tests that sleeps.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How often a state is looked at. Short against everything that is waited for, long against the cost of a look.
const STEP: Duration = Duration::from_millis(20);

/// Looks until `look` gives something, and returns that.
///
/// # Panics
/// At the deadline, with `what`.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            began.elapsed() < deadline,
            "waited {deadline:?} in vain: {what}"
        );
        tokio::time::sleep(STEP).await;
    }
}

/// Looks until what is seen is `good`, and returns it.
///
/// # Panics
/// At the deadline, with `what` and the last value that was seen.
pub async fn until_seen<T: Debug>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> T {
    let began = Instant::now();
    loop {
        let seen = look().await;
        if good(&seen) {
            return seen;
        }
        assert!(
            began.elapsed() < deadline,
            "waited {deadline:?} in vain: {what}; last seen: {seen:?}"
        );
        tokio::time::sleep(STEP).await;
    }
}

/// Keeps looking for `time` and expects to see nothing but what is `good`: that something does *not* happen cannot be
/// waited for. Returns what was seen last.
///
/// # Panics
/// As soon as something else is seen, with `what` and that value.
pub async fn stays<T: Debug>(
    what: &str,
    time: Duration,
    mut look: impl AsyncFnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> T {
    let began = Instant::now();
    loop {
        let seen = look().await;
        assert!(
            good(&seen),
            "did not stay, after {:?}: {what}; seen: {seen:?}",
            began.elapsed()
        );
        if began.elapsed() >= time {
            return seen;
        }
        tokio::time::sleep(STEP).await;
    }
}
