//! Whatever the routes and fallbacks are, and whatever happens to receivers, channels and workers: once all is mended
//! nothing is owed, whoever had to be told was told, and whoever may have heard of a problem has heard of its end.
//!
//! A failing case shrinks, and is printed with its seed: `STALKER_TEST_SEED` plays the same again. `make model-long` plays
//! twenty times as many. What suppresses, and when exactly something is told, is the model's ([`crate::model`]).

mod play;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rand::Rng;
use stalker_tests::line::Fault;
use stalker_tests::rounds::rounds;
use stalker_tests::seed;
use stalker_worker::config::{Match, Route};
use tokio::runtime::Builder;

/// So many at the same time, for most of the time is waiting; and so many one after the other.
const LANES: usize = 4;
const CASES: usize = 2;
/// A case that fails is tried with less, so often and for so many milliseconds.
const SHRINKS: u32 = 60;
const SHRINKS_MS: u32 = 60_000;

const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];
const HOSTS: [&str; 3] = ["web1", "web2", "db1"];
/// Of each host: `check_1` and so on, of priority 1, 2 and 0.
const PRIORITIES: [u8; 3] = [1, 2, 0];

/// Which alerts concern whom, and what happens.
#[derive(Debug, Clone)]
struct Case {
    /// Of each channel but the last, the number of the next in the chain; always a later one.
    fallbacks: Vec<Option<usize>>,
    routes: Vec<Way>,
    steps: Vec<Step>,
}

/// A route, in few words.
#[derive(Debug, Clone)]
struct Way {
    host: Option<&'static str>,
    check: Option<&'static str>,
    priority: Option<u8>,
    channels: Vec<&'static str>,
    continues: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Break(Vec<usize>),
    Mend(Vec<usize>),
    /// What the next requests to this channel are answered with.
    Answers(&'static str, Vec<u16>),
    /// What happens on the way to it.
    Way(&'static str, Fault),
    /// As if its receiver had said that it is gone for good.
    Disable(&'static str),
    /// Every worker dies in the middle of what the checks' failing brings.
    BreakAndKill(Vec<usize>),
    Wait(u64),
}

/// What came of a case, to see that cases are about something.
#[derive(Debug, Clone, Copy)]
struct Happened {
    alerts: i64,
    told: i64,
    told_by_fallback: i64,
    refused: i64,
    failed: i64,
    perhaps_arrived: i64,
    killed_with: i64,
}

#[test]
fn nothing_is_owed_in_the_end() {
    let mut random = seed::random();
    let seeds: Vec<[u8; 32]> = (0..LANES).map(|_| random.random()).collect();
    let happened = Mutex::new(Vec::new());
    let failures: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = seeds
            .iter()
            .enumerate()
            .map(|(n, seed)| {
                let happened = &happened;
                scope.spawn(move || lane(n, seed, happened))
            })
            .collect();
        lanes
            .into_iter()
            .filter_map(|lane| lane.join().expect("a lane ends").err())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let happened = happened
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let in_cases = |what: &str, count: fn(&Happened) -> i64| {
        let times: i64 = happened.iter().map(count).sum();
        let cases = happened.iter().filter(|case| count(case) > 0).count();
        eprintln!("{what}: {times} in {cases} of {} cases", happened.len());
        cases
    };
    let often = [
        in_cases("told to a fallback", |case| case.told_by_fallback),
        in_cases("refused", |case| case.refused),
        in_cases("under way when its sender was killed", |case| {
            case.killed_with
        }),
        in_cases("alerts", |case| case.alerts),
        in_cases("told", |case| case.told),
        in_cases("failures", |case| case.failed),
        in_cases("failures behind which a message may have arrived", |case| {
            case.perhaps_arrived
        }),
    ];
    assert!(
        often.iter().all(|cases| *cases > 0),
        "something never happened: {often:?}"
    );
}

fn lane(n: usize, seed: &[u8; 32], happened: &Mutex<Vec<Happened>>) -> Result<(), String> {
    let config = Config {
        cases: u32::try_from(rounds(CASES)).expect("nobody waits for so many"),
        failure_persistence: None,
        max_shrink_iters: SHRINKS,
        max_shrink_time: SHRINKS_MS,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, seed));
    let played = runner.run(&cases(n), |case| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let what = runtime
            .block_on(play::play(&case))
            .map_err(TestCaseError::fail)?;
        happened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(what);
        Ok(())
    });
    played.map_err(|error| match error {
        TestError::Fail(why, case) => format!("{why}\n{case:#?}"),
        TestError::Abort(why) => why.to_string(),
    })
}

/// Cases that begin in one of [`LANES`] ways: so nothing that matters is left to luck.
fn cases(opening: usize) -> impl Strategy<Value = Case> {
    let fallbacks: Vec<_> = (1..CHANNELS.len())
        .map(|later| {
            prop_oneof![1 => Just(None), 3 => (later..CHANNELS.len()).prop_map(Some)].boxed()
        })
        .collect();
    // with the last problem everything is mended but itself: it must be told
    let last = checks().prop_map(Step::Break);
    (fallbacks, vec(ways(), 0..5), vec(steps(), 4..8), last).prop_map(
        move |(fallbacks, routes, steps, last)| Case {
            fallbacks,
            routes,
            steps: self::opening(opening)
                .into_iter()
                .chain(steps)
                .chain([last])
                .collect(),
        },
    )
}

fn opening(n: usize) -> Vec<Step> {
    let all = || (0..all_checks().len()).collect();
    let all_ways = |fault| {
        CHANNELS
            .map(|channel| Step::Way(channel, fault))
            .into_iter()
    };
    match n {
        // refused for good, and every fallback in turn
        0 => all_ways(Fault::Answers(400))
            .chain([Step::Break(all())])
            .collect(),
        // thrice failed: the fallback's
        1 => all_ways(Fault::Answers(500))
            .chain([Step::Break(all()), Step::Wait(20), Step::Wait(60)])
            .collect(),
        // taken, and nobody knows; over before anybody does
        2 => all_ways(Fault::LosesAnswer)
            .chain([Step::Break(all()), Step::Mend(all())])
            .collect(),
        _ => vec![Step::Disable("a"), Step::BreakAndKill(all())],
    }
}

fn checks() -> impl Strategy<Value = Vec<usize>> {
    let all = HOSTS.len() * PRIORITIES.len();
    subsequence((0..all).collect::<Vec<_>>(), 1..=all)
}

fn ways() -> impl Strategy<Value = Way> {
    let host = prop_oneof![2 => Just(None), 1 => Just(Some("web*")), 1 => Just(Some("db1"))];
    let check =
        prop_oneof![3 => Just(None), 1 => Just(Some("check_1")), 1 => Just(Some("check_*"))];
    let priority = prop_oneof![3 => Just(None), 1 => Just(Some(1)), 1 => Just(Some(2))];
    let channels = subsequence(CHANNELS.to_vec(), 1..3);
    (host, check, priority, channels, any::<bool>()).prop_map(
        |(host, check, priority, channels, continues)| Way {
            host,
            check,
            priority,
            channels,
            continues,
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let channel = || (0..CHANNELS.len()).prop_map(|n| CHANNELS[n]);
    let answers = vec(
        prop_oneof![Just(200_u16), Just(400), Just(429), Just(500)],
        1..5,
    );
    let fault = prop_oneof![
        2 => Just(Fault::None),
        2 => Just(Fault::Refuses),
        2 => Just(Fault::LosesAnswer),
        1 => Just(Fault::Answers(500)),
        1 => Just(Fault::Answers(400)),
        1 => Just(Fault::Answers(429)),
    ];
    prop_oneof![
        3 => checks().prop_map(Step::Break),
        3 => checks().prop_map(Step::Mend),
        3 => (channel(), answers).prop_map(|(channel, answers)| Step::Answers(channel, answers)),
        4 => (channel(), fault).prop_map(|(channel, fault)| Step::Way(channel, fault)),
        1 => channel().prop_map(Step::Disable),
        2 => checks().prop_map(Step::BreakAndKill),
        3 => prop_oneof![Just(20), Just(60), Just(340)].prop_map(Step::Wait),
    ]
}

impl Case {
    /// The channels that an alert of this check concerns from the beginning: the rule of routes, said once more.
    fn concerned(&self, hostname: &str, check: &str, priority: u8) -> BTreeSet<&'static str> {
        if self.routes.is_empty() {
            return CHANNELS.into();
        }
        let mut concerned = BTreeSet::new();
        for way in &self.routes {
            if matches(way.host, hostname)
                && matches(way.check, check)
                && way.priority.is_none_or(|only| only == priority)
            {
                concerned.extend(&way.channels);
                if !way.continues {
                    break;
                }
            }
        }
        concerned
    }

    fn fallback(&self, channel: &str) -> Option<&'static str> {
        let n = CHANNELS.iter().position(|name| *name == channel)?;
        Some(CHANNELS[(*self.fallbacks.get(n)?)?])
    }

    fn routes(&self) -> Vec<Route> {
        let one = |text: &str| vec![text.to_owned()];
        let route = |way: &Way| Route {
            matches: Match {
                host: way.host.map(one),
                check: way.check.map(one),
                priority: way.priority.map(|priority| vec![priority.into()]),
                ..Match::default()
            },
            channels: way.channels.iter().map(|name| (*name).to_owned()).collect(),
            continues: way.continues,
        };
        self.routes.iter().map(route).collect()
    }
}

fn matches(pattern: Option<&str>, text: &str) -> bool {
    match pattern.map(|pattern| pattern.split_once('*').ok_or(pattern)) {
        None => true,
        Some(Ok((beginning, _))) => text.starts_with(beginning),
        Some(Err(whole)) => text == whole,
    }
}

/// All checks as `HOST/NAME`, in the order of their numbers.
fn all_checks() -> Vec<String> {
    let of_host = |host: &&str| -> Vec<String> {
        (1..=PRIORITIES.len())
            .map(|n| format!("{host}/check_{n}"))
            .collect()
    };
    HOSTS.iter().flat_map(of_host).collect()
}

/// Of each channel and key, what a receiver took, in its order.
type Heard = BTreeMap<(String, String), Vec<String>>;
