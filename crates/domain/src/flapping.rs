//! Flapping: too many flips lately (semantics.md, decision 2). Memory changes at a flip only, and flapping ends by
//! itself, at a time that is known.

use chrono::{DateTime, TimeDelta, Utc};

/// The settings that decide about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlapPolicy {
    /// Flips within the window that begin it; at least 1.
    pub threshold: u32,
    /// Seconds in which flips are counted.
    pub window_s: u32,
    /// Seconds of it after which it is told.
    pub notify_after_s: u32,
}

/// What is remembered of a check's or host's flips.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flapping {
    /// The times of the last flips, oldest first, as many as the threshold.
    pub flips: Vec<DateTime<Utc>>,
    /// When it began, the last time that it did.
    pub since: Option<DateTime<Utc>>,
    /// When it ends, or ended.
    pub until: Option<DateTime<Utc>>,
}

impl Flapping {
    /// Whether it goes on at this time.
    #[must_use]
    pub fn is_on(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// Whether it goes on for so long that people should know.
    #[must_use]
    pub fn is_long(&self, now: DateTime<Utc>, policy: &FlapPolicy) -> bool {
        let long = seconds(policy.notify_after_s);
        self.is_on(now) && self.since.is_some_and(|since| now - since >= long)
    }

    /// What is remembered after a flip at this time. It begins with `threshold` flips within the window; it lasts
    /// until no more than half as many are left in it.
    #[must_use]
    pub fn flip(&self, now: DateTime<Utc>, policy: &FlapPolicy) -> Self {
        let (threshold, window) = (policy.threshold.max(1) as usize, seconds(policy.window_s));
        let mut flips = self.flips.clone();
        flips.push(now);
        // nothing older can decide
        flips.retain(|&at| now - at <= window);
        flips.drain(..flips.len().saturating_sub(threshold));

        if !self.is_on(now) && flips.len() < threshold {
            return Self {
                flips,
                since: None,
                until: None,
            };
        }
        // the latest but half the threshold: once that has left the window, half of them are in it
        let decisive = flips.len().checked_sub(threshold / 2 + 1);
        let until = decisive.map(|index| flips[index] + window);
        Self {
            flips,
            since: if self.is_on(now) {
                self.since
            } else {
                Some(now)
            },
            until: until.max(self.until),
        }
    }
}

fn seconds(seconds: u32) -> TimeDelta {
    TimeDelta::seconds(seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: FlapPolicy = FlapPolicy {
        threshold: 5,
        window_s: 100,
        notify_after_s: 300,
    };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + seconds(1_000_000) + TimeDelta::seconds(second)
    }

    /// Flips at these seconds; after each, until when it flaps (`-` if it does not), and `!` once it is to be told.
    fn check(policy: FlapPolicy, flips: &[i64], story: &str) {
        let mut flapping = Flapping::default();
        let mut told = Vec::new();
        for &second in flips {
            let now = at(second);
            flapping = flapping.flip(now, &policy);
            assert!(flapping.flips.len() <= policy.threshold as usize);
            let until = flapping.until.filter(|_| flapping.is_on(now));
            let long = if flapping.is_long(now, &policy) {
                "!"
            } else {
                ""
            };
            told.push(until.map_or("-".to_owned(), |until| {
                format!("{}{long}", (until - at(0)).num_seconds())
            }));
        }
        assert_eq!(told.join(" "), story, "after flips at {flips:?}");
    }

    #[test]
    fn begins_with_the_threshold_within_the_window() {
        check(POLICY, &[0, 10, 20, 30, 40], "- - - - 120");
        check(POLICY, &[0, 10, 20, 30, 100], "- - - - 120");
        check(POLICY, &[0, 10, 20, 30, 101], "- - - - -");
        check(POLICY, &[0, 10, 20, 30, 101, 102], "- - - - - 130");
    }

    #[test]
    fn lasts_until_half_of_them_are_left() {
        // three in the window keep it up: the last but two, and a window
        check(
            POLICY,
            &[0, 10, 20, 30, 40, 110, 129],
            "- - - - 120 130 140",
        );
        // at 120 it has ended, and four flips do not begin it again
        check(POLICY, &[0, 10, 20, 30, 40, 130], "- - - - 120 -");
        check(
            POLICY,
            &[0, 10, 20, 30, 40, 130, 131, 132, 133],
            "- - - - 120 - - - 231",
        );
    }

    #[test]
    fn is_told_when_it_is_long() {
        let flips: Vec<i64> = (0..20).map(|n| n * 20).collect();
        let story = "- - - - 140 160 180 200 220 240 260 280 300 320 340 360 380 400 420 440!";
        check(POLICY, &flips, story);
    }

    #[test]
    fn small_thresholds() {
        let one = FlapPolicy {
            threshold: 1,
            ..POLICY
        };
        check(one, &[0, 10], "100 110");
        let two = FlapPolicy {
            threshold: 2,
            ..POLICY
        };
        check(two, &[0, 10, 200], "- 100 -");
    }

    #[test]
    fn a_raised_threshold_ends_nothing_early() {
        let on = [0, 10, 20, 30, 40]
            .iter()
            .fold(Flapping::default(), |f, &s| f.flip(at(s), &POLICY));
        let raised = FlapPolicy {
            threshold: 20,
            ..POLICY
        };
        assert_eq!(on.flip(at(50), &raised).until, on.until);
    }
}
