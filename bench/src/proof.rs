//! That what was counted were runs: begun, answered and recorded. A figure that counts something else is none.

use anyhow::ensure;
use sqlx::PgPool;

use crate::load::{Agents, Load};
use crate::system::Watched;

/// PostgreSQL's counters come late, by a second or more: what is shorter can only be judged roughly.
const LONG_ENOUGH_S: f64 = 20.0;
/// What is later may also be written by the sweep that finds it, in ms.
const SWEPT_FROM: f64 = 1000.0;

pub(crate) async fn that_these_were_runs(
    pool: &PgPool,
    load: &Load,
    watched: &Watched,
) -> anyhow::Result<()> {
    ensure!(watched.runs() > 0, "no check ran");
    every_run_was_recorded(watched)?;
    connections_were_kept(watched)?;
    every_answer_was_as_meant(pool, load).await
}

/// A run is two updates of `check_state`: it is claimed, and it is recorded.
fn every_run_was_recorded(watched: &Watched) -> anyhow::Result<()> {
    let updates = watched.updates_per_run();
    let is_exact = watched.took.as_secs_f64() >= LONG_ENOUGH_S;
    let least = if is_exact { 1.9 } else { 1.0 };
    ensure!(
        updates >= least,
        "{} runs began, but PostgreSQL counts {updates:.2} updates for each instead of 2: not all were recorded",
        watched.runs()
    );
    let is_swept = watched.lateness.p99() >= SWEPT_FROM;
    ensure!(
        updates <= 2.2 || is_swept || !is_exact,
        "PostgreSQL counts {updates:.2} updates for each of {} runs instead of 2: something else writes",
        watched.runs()
    );
    Ok(())
}

fn connections_were_kept(watched: &Watched) -> anyhow::Result<()> {
    let Some(asked) = watched.asked else {
        return Ok(());
    };
    ensure!(
        asked.connections * 20 < asked.requests,
        "{} connections were opened for {} requests: they were not kept",
        asked.connections,
        asked.requests
    );
    Ok(())
}

async fn every_answer_was_as_meant(pool: &PgPool, load: &Load) -> anyhow::Result<()> {
    let (unreachable, failing, never): (i64, i64, i64) = sqlx::query_as(
        "select count(*) filter (where unreachable), count(*) filter (where status <> 0), count(*) filter (where last_at is null)
         from check_state",
    )
    .fetch_one(pool)
    .await?;
    ensure!(
        unreachable == 0,
        "the agents of {unreachable} checks were not reached, so this measured something else"
    );
    ensure!(
        failing == 0 || load.answers.can_fail(),
        "{failing} checks failed, so this measured something else"
    );
    // who offers more than can be done waits for some: but a real agent must have run each of its scripts
    ensure!(
        never == 0 || load.agents != Agents::Elsewhere,
        "{never} checks never ran, so this measured something else"
    );
    Ok(())
}
