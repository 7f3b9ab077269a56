//! The model: random stories on the real path, compared after every event with a pure reference of the rules.
//!
//! Postgres, schedulers, workers, agents and receivers are real (see [`stalker_tests::stage`]); several of each run at
//! once, and are restarted and killed. A failing story shrinks to the least that fails, and is printed with its seed:
//! `STALKER_TEST_SEED` plays the same again. `make model-long` plays twenty times as many.

pub(crate) mod clock;
mod play;
mod reference;
mod restarts;
mod rules;
mod steps;

use std::sync::{Mutex, PoisonError};
use std::thread;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rand::Rng;
use reference::Happened;
use stalker_tests::rounds::rounds;
use stalker_tests::seed;
use tokio::runtime::Builder;

/// Of each opening, one after the other; the openings at the same time, for most of the time is waiting.
const CASES: usize = 2;
/// A story that fails is tried with less, so often and for so many milliseconds.
const SHRINKS: u32 = 150;
const SHRINKS_MS: u32 = 60_000;

#[test]
fn whatever_happens() {
    let mut random = seed::random();
    let cases = u32::try_from(rounds(CASES)).expect("nobody waits for so many");
    let happened = Mutex::new(Vec::new());
    let seeds: Vec<[u8; 32]> = (0..steps::OPENINGS).map(|_| random.random()).collect();
    let failures: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..)
            .zip(&seeds)
            .map(|(opening, seed)| {
                let happened = &happened;
                scope.spawn(move || stories(opening, seed, cases, happened))
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
    is_about_something(&happened);
}

fn stories(
    opening: usize,
    seed: &[u8; 32],
    cases: u32,
    happened: &Mutex<Vec<Happened>>,
) -> Result<(), String> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: SHRINKS,
        max_shrink_time: SHRINKS_MS,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, seed));
    let played = runner.run(&steps::cases(opening), |case| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let told = runtime
            .block_on(play::play(&case))
            .map_err(TestCaseError::fail)?;
        happened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(told);
        Ok(())
    });
    played.map_err(|error| match error {
        TestError::Fail(why, case) => format!("{why}\n{case:#?}"),
        TestError::Abort(why) => why.to_string(),
    })
}

/// The stories are none in which nothing happens.
fn is_about_something(happened: &[Happened]) {
    let in_cases = |what: &str, count: fn(&Happened) -> usize| {
        let cases = happened
            .iter()
            .filter(|happened| count(happened) > 0)
            .count();
        let times: usize = happened.iter().map(count).sum();
        eprintln!("{what}: {times} in {cases} of {} cases", happened.len());
        cases
    };
    let seldom = [
        in_cases("repeats", |h| h.repeats),
        in_cases("flapping that is told", |h| h.flapping_told),
        in_cases("told to the fallback", |h| h.to_fallback),
        in_cases("handed back by a flood", |h| h.handed_back),
    ];
    let often = [
        in_cases("alerts", |h| h.alerts),
        in_cases("triggers", |h| h.triggers),
        in_cases("resolves", |h| h.resolves),
        in_cases("floods of a host", |h| h.host_floods),
        in_cases("floods overall", |h| h.floods_overall),
        in_cases("members of floods", |h| h.joined),
        in_cases("hosts down", |h| h.hosts_down),
        in_cases("flapping", |h| h.flapping),
        in_cases("alerts in maintenance", |h| h.in_maintenance),
        in_cases("alerts of what was removed", |h| h.removed),
        in_cases("dead letters", |h| h.dead_letters),
    ];
    assert!(
        often.iter().all(|cases| *cases > 0),
        "something never happened: {often:?}, {seldom:?}"
    );
}
