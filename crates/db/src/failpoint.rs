//! Places at which a test lets a process die or sleep: only in builds with `debug_assertions`.
//!
//! `STALKER_FAILPOINT=after-claim:kill@3,inside-record:sleep(200)` lets the process kill itself when it comes to the
//! first for the third time, and sleep for 200 ms each time that it comes to the second. A process reads it once.
//!
//! | action | what happens there |
//! |---|---|
//! | `kill` | SIGKILL to itself: nothing gets to clean up |
//! | `exit` | the process ends with status 1 |
//! | `sleep(MS)` | this task sleeps, the others go on |
//! | `pause` | this task never goes on |
//!
//! With `@N` only the N-th time counts, otherwise every time. Without `debug_assertions` neither the code nor the names
//! exist, and [`reach`] is nothing: `scripts/release-has-no-failpoints` looks.

/// A place where a process may be hit. It stands here, on the lowest floor that has one, for all that have some.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// Due checks were claimed, and none was run.
    AfterClaim,
    /// Outcomes are about to be recorded.
    BeforeRecord,
    /// Everything of a batch was written, and nothing committed.
    InsideRecord,
    /// A batch was committed, and nobody told.
    AfterRecord,
    /// A provider has accepted a notification, and nobody has written that down.
    AfterAccept,
}

#[cfg(debug_assertions)]
pub use armed::{arm, reach};

/// Reads `STALKER_FAILPOINT`; to be called before anything is reached.
#[cfg(not(debug_assertions))]
pub fn arm() {}

/// Does what is set for this place.
#[cfg(not(debug_assertions))]
pub async fn reach(_: Failpoint) {}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};

    use super::Failpoint;

    /// What is set. A global, since a place is reached wherever it lies, and gone from every build that is shipped.
    static TRAPS: OnceLock<Vec<Trap>> = OnceLock::new();

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Kill,
        Exit,
        Sleep(Duration),
        Pause,
    }

    struct Trap {
        place: Failpoint,
        action: Action,
        /// Which time alone counts.
        only: Option<u32>,
        reached: AtomicU32,
    }

    /// Reads `STALKER_FAILPOINT`; to be called before anything is reached.
    ///
    /// # Panics
    /// If it is not as above: a test that hits nothing would prove nothing.
    pub fn arm() {
        TRAPS.get_or_init(|| {
            #[expect(
                clippy::disallowed_methods,
                reason = "no setting of the product: it must not exist in one that is shipped"
            )]
            let text = std::env::var("STALKER_FAILPOINT").unwrap_or_default();
            parse(&text).unwrap_or_else(|why| panic!("STALKER_FAILPOINT={text}: {why}"))
        });
    }

    /// Does what is set for this place.
    pub async fn reach(place: Failpoint) {
        let traps = TRAPS.get().map_or(&[][..], Vec::as_slice);
        for trap in traps.iter().filter(|trap| trap.place == place) {
            let times = trap.reached.fetch_add(1, Ordering::Relaxed) + 1;
            if trap.only.is_none_or(|only| only == times) {
                trap.action.take().await;
            }
        }
    }

    impl Action {
        async fn take(self) {
            match self {
                Self::Kill => raise(Signal::SIGKILL).expect("a process may signal itself"),
                #[expect(clippy::disallowed_methods, reason = "a crash is what is asked for")]
                Self::Exit => std::process::exit(1),
                Self::Sleep(time) => tokio::time::sleep(time).await,
                Self::Pause => std::future::pending().await,
            }
        }
    }

    fn parse(text: &str) -> Result<Vec<Trap>, String> {
        let wanted = text.split(',').filter(|wanted| !wanted.is_empty());
        wanted
            .map(|wanted| {
                let (place, action) = wanted
                    .split_once(':')
                    .ok_or_else(|| format!("{wanted} is not place:action"))?;
                let (action, only) = match action.split_once('@') {
                    None => (action, None),
                    Some((action, only)) => match only.parse() {
                        Ok(only) if only > 0 => (action, Some(only)),
                        _ => return Err(format!("{only} is not a count from 1")),
                    },
                };
                Ok(Trap {
                    place: parse_place(place)?,
                    action: parse_action(action)?,
                    only,
                    reached: AtomicU32::new(0),
                })
            })
            .collect()
    }

    fn parse_place(name: &str) -> Result<Failpoint, String> {
        Ok(match name {
            "after-claim" => Failpoint::AfterClaim,
            "before-record" => Failpoint::BeforeRecord,
            "inside-record" => Failpoint::InsideRecord,
            "after-record" => Failpoint::AfterRecord,
            "after-accept" => Failpoint::AfterAccept,
            _ => return Err(format!("there is no failpoint {name}")),
        })
    }

    fn parse_action(text: &str) -> Result<Action, String> {
        let sleep = text
            .strip_prefix("sleep(")
            .and_then(|rest| rest.strip_suffix(')'));
        Ok(match (text, sleep.map(str::parse)) {
            ("kill", _) => Action::Kill,
            ("exit", _) => Action::Exit,
            ("pause", _) => Action::Pause,
            (_, Some(Ok(ms))) => Action::Sleep(Duration::from_millis(ms)),
            _ => return Err(format!("there is no action {text}")),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_set_is_understood_or_refused() {
            let set = |text| {
                parse(text).map(|traps| {
                    traps
                        .iter()
                        .map(|trap| (trap.action, trap.only))
                        .collect::<Vec<_>>()
                })
            };
            let both = set("after-claim:kill@3,inside-record:sleep(200)");
            let ms = Duration::from_millis(200);
            assert_eq!(
                both,
                Ok(vec![(Action::Kill, Some(3)), (Action::Sleep(ms), None)])
            );
            assert_eq!(set(""), Ok(vec![]));
            for wrong in [
                "after-claim",
                "after-claims:kill",
                "after-claim:die",
                "after-claim:kill@0",
                "after-claim:kill@x",
                "after-claim:sleep(x)",
            ] {
                assert!(set(wrong).is_err(), "{wrong}");
            }
        }
    }
}
