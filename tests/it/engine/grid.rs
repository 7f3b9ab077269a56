//! The grid over simulated days: each check is run once per interval, on its phase, whatever happens to it.
//!
//! Workers with cursors and slots of their own take turns with a sweep, people and agents in a time that stands still
//! between two steps, so that a seed repeats everything. They call the real statements; a reference beside them
//! (`reference.rs`), which never looks at the database, says of every run whether it may begin, whether it is late,
//! and what the sweep must find. Beside each event, "once per interval" means:
//!
//! - **Nothing happens**: one run for each point of the grid, begun at the first turn of a worker that has room. So many
//!   are recorded, and not one more or less: that is counted. A failing check whose retries are as far apart as its runs
//!   stays on its grid.
//! - **A long run**: the points that pass while it lasts, until it is recorded, pass with it.
//! - **Run now, or later**: one run more, out of turn, at the first turn from then on at which the check is free: a wish
//!   during a run is not lost. Until it runs, the grid waits for it; the points that pass until then, and a second wish,
//!   are served by the same run, and no other point is. The last wish counts.
//! - **Suspended and resumed**: nothing runs in between, but what had begun is recorded. Resuming is a wish to run now,
//!   also within one run. The points in between are void.
//! - **Edited**: the new grid holds from that moment, also for a run that has begun. A point of the old one at which no
//!   run has begun is void, unless the sweep had found it; a wish stands. The first point on an interval that no check
//!   had before may wait for the sweep, because workers read once a second which are in use.
//! - **Registered again, unchanged**: nothing.
//! - **Given back**, by a worker that stops: a wish to run now. The run that was given back is not recorded.
//! - **Died with**: when the lease has run out, the sweep makes it a wish, or a point of the grid comes first. The run may
//!   have happened twice; it is recorded once, and its late outcome refused.
//! - **Nobody works for a while**: what no window of the next worker reaches back to is found by the sweep, and is one run.

mod end;
mod people;
mod reference;
mod simulation;
mod worker;

use reference::{SECOND, Us};
use simulation::Simulation;

/// How a simulation goes.
#[derive(Debug, Clone, Copy)]
struct Pace {
    intervals_s: [i32; 2],
    /// One that only edits give, so that it comes into use and out of it.
    odd_interval_s: i32,
    checks_each: usize,
    lease_s: i32,
    lasts_s: i32,
    /// The longest time between two turns of a worker, µs.
    jump: Us,
    /// How often time goes straight to the next point instead.
    precise: f64,
    /// The longest time without any worker, µs.
    outage: Us,
    /// How often, per step, people and workers do something.
    people: f64,
    staff: f64,
}

/// Of every 1 s and 7 s check, by turns that are never further apart than an interval.
const QUICK: Pace = Pace {
    intervals_s: [1, 7],
    odd_interval_s: 11,
    checks_each: 6,
    lease_s: 3,
    lasts_s: 420,
    jump: SECOND * 3 / 4,
    precise: 0.0,
    outage: 0,
    people: 0.1,
    staff: 0.1,
};

/// Of every 5 min and every day, mostly by turns that are minutes apart.
const SLOW: Pace = Pace {
    intervals_s: [300, 86_400],
    odd_interval_s: 1000,
    checks_each: 4,
    lease_s: 30,
    lasts_s: 2 * 86_400,
    jump: 150 * SECOND,
    precise: 0.02,
    outage: 5 * SECOND,
    people: 0.1,
    staff: 0.03,
};

#[tokio::test]
async fn checks_of_seconds_run_once_per_interval() {
    Simulation::new(QUICK).await.run().await;
}

#[tokio::test]
async fn checks_of_minutes_and_days_run_once_per_interval() {
    Simulation::new(SLOW).await.run().await;
}

#[tokio::test]
#[ignore = "takes a minute: make grid-long"]
async fn checks_of_seconds_run_once_per_interval_for_an_hour() {
    let pace = Pace {
        lasts_s: 3600,
        ..QUICK
    };
    Simulation::new(pace).await.run().await;
}

#[tokio::test]
#[ignore = "takes a minute: make grid-long"]
async fn checks_of_minutes_and_days_run_once_per_interval_for_five_days() {
    let pace = Pace {
        lasts_s: 5 * 86_400,
        ..SLOW
    };
    Simulation::new(pace).await.run().await;
}
