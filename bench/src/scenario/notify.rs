//! `notify`: how long it takes until somebody is told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::{Bench, SECONDS, engine, progress};
use crate::child::Part;
use crate::lateness::Lateness;
use crate::load::{Agents, Answers, Load};
use crate::receiver::Heard;
use crate::report::Report;
use crate::system::{Setting, System};

/// So many alerts a second open, and as many close: fewer than make a burst, whose triggers wait on purpose
/// (semantics.md, decision 4).
const TROUBLE_EVERY_MS: u64 = 2500;
/// Until the first alerts are open, and then the first have closed.
const WARM_UP_S: u32 = 40;
/// What is told after this was told too late to be waited for.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let answers = Answers {
        trouble_every_ms: TROUBLE_EVERY_MS,
        ..Answers::default()
    };
    let agents = Agents::Simulated { after_ms: 0 };
    let load = bench.load(&Load {
        checks: 6000,
        slots: 200,
        agents,
        ..engine(answers)
    });
    let mut receiver = Part::start("receiver", &json!(null))?;
    let heard: Heard = receiver.ask().await?;
    // one host per check: several alerts of one host would be a flood
    let setting = Setting {
        channel: Some(heard.url),
        hosts: Some(load.checks),
        ..Setting::default()
    };
    let mut system = System::start(&bench.server_url, &load, &setting).await?;
    system.watch(WARM_UP_S, progress).await?;
    let pool = &system.database.pool.clone();
    let begin: i64 = now_ms(pool).await?;
    let watched = system.watch(bench.seconds(SECONDS), progress).await?;
    let end = now_ms(pool).await?;
    tokio::time::sleep(PATIENCE).await;
    let heard: Heard = receiver.ask().await?;
    let changes: Vec<(String, String, i64)> = sqlx::query_as(
        "select n.dedup_key, n.kind, floor(extract(epoch from case n.kind when 'resolve' then a.closed_at else a.opened_at end) * 1000)::bigint
         from notifications n join alerts a using (alert_id) where n.kind in ('trigger', 'resolve')",
    )
    .fetch_all(pool)
    .await?;
    system.stop(&bench.server_url).await?;
    receiver.stop().await?;

    let arrived: BTreeMap<(&str, &str), (i64, u64)> = heard
        .events
        .iter()
        .map(|event| {
            (
                (event.key.as_str(), event.kind.as_str()),
                (
                    i64::try_from(event.first_at_ms).unwrap_or(i64::MAX),
                    event.count,
                ),
            )
        })
        .collect();
    let mut told = Lateness::default();
    let (mut untold, mut doubled) = (0, 0);
    for (key, kind, at_ms) in changes
        .iter()
        .filter(|(_, _, at_ms)| (begin..end).contains(at_ms))
    {
        match arrived.get(&(key.as_str(), kind.as_str())) {
            Some((arrived_ms, count)) => {
                told.note(arrived_ms - at_ms);
                doubled += count - 1;
            }
            None => untold += 1,
        }
    }
    Ok(Report::of(&load, &watched)
        .with("told_ms", json!(told.quantiles()))
        .with("told", told.runs())
        .at_most(
            "from the change to its acceptance, p99 ms",
            1000.0,
            told.quantiles().p99.into(),
        )
        .must("everything was told", untold == 0 && told.runs() > 0)
        .must("nothing was told twice", doubled == 0))
}

async fn now_ms(pool: &sqlx::PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select floor(extract(epoch from now()) * 1000)::bigint")
        .fetch_one(pool)
        .await
}
