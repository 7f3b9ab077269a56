//! `notify`: how long it takes until somebody is told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;

use super::{Bench, engine, progress};
use crate::lateness::Lateness;
use crate::load::{Agents, Answers, Load, Trouble};
use crate::receiver::{self, Event, Heard};
use crate::report::Report;
use crate::system::{Setting, System};

/// A check begins to fail every so many ms, so that an alert opens as often, and another closes. Fewer than make a burst,
/// whose triggers wait on purpose (more than 10 in 10 s), or a flood (100 in 120 s): semantics.md, decision 4.
const TROUBLE_EVERY_MS: u64 = 2500;
/// Until the first alerts are open, and then the first have closed.
const WARM_UP_S: u32 = 40;
/// Long enough for 100 changes, without which there is no p99.
const SECONDS: u32 = 150;
const ENOUGH: f64 = 100.0;
/// What is told after this was told too late to be waited for.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Report> {
    let agents = Agents::Simulated { after_ms: 0 };
    let mut load = bench.load(&Load {
        checks: 6000,
        slots: 200,
        connections: 20,
        agents,
        ..engine(Answers::default())
    });
    load.answers.trouble = Some(Trouble {
        every_ms: TROUBLE_EVERY_MS,
        checks: load.checks.into(),
    });
    let (mut receiver, url) = receiver::start().await?;
    // one host per check: several alerts of one host would be a flood
    let setting = Setting {
        channel: Some(url),
        hosts: Some(load.checks),
        ..Setting::default()
    };
    let mut system = System::start(&bench.server, &load, &setting).await?;
    system.watch(WARM_UP_S, progress).await?;
    let watched = system.watch(bench.seconds(SECONDS), progress).await?;
    tokio::time::sleep(PATIENCE).await;
    let heard: Heard = receiver.ask().await?;
    let changes = changes(&system.database.pool, watched.between_ms).await?;
    system.finish(&bench.server, &load, &watched).await?;
    receiver.stop().await?;

    let told = Told::of(changes, &heard.events);
    Ok(Report::of(&load, &watched)
        .with("told_ms", json!(told.after.quantiles()))
        .with("told", told.after.runs())
        .with("untold", told.untold)
        .with("told_twice", told.doubled)
        .with("not_told_by_the_rules", json!(told.by_the_rules))
        .note(format!("not told, by the rules: {:?}", told.by_the_rules))
        .keeps_up(&load, &watched)
        .at_least("changes told", ENOUGH, told.after.runs() as f64)
        .at_most(
            "from the change to its acceptance, p99 ms",
            1000.0,
            told.after.p99(),
        )
        .must("everything was told", told.untold == 0)
        .must("nothing was told twice", told.doubled == 0))
}

/// An alert that opened or closed, and what became of a notification of it.
#[derive(Debug, sqlx::FromRow)]
struct Change {
    /// `trigger` or `resolve`.
    kind: String,
    /// The database's Unix time.
    at_ms: i64,
    /// Of a flood, which is told instead.
    is_member: bool,
    /// None: there is no notification.
    dedup_key: Option<String>,
    state: Option<String>,
    reason: Option<String>,
}

/// It begins with the alerts, so that one without a notification is seen.
async fn changes(pool: &PgPool, (from_ms, until_ms): (i64, i64)) -> sqlx::Result<Vec<Change>> {
    sqlx::query_as(
        "select c.kind, floor(extract(epoch from c.at) * 1000)::bigint as at_ms, c.is_member, n.dedup_key, n.state, n.reason
         from (select alert_id, 'trigger' as kind, opened_at as at, parent_id is not null as is_member from alerts
               union all
               -- nobody is owed the end of what nobody was told
               select alert_id, 'resolve', closed_at, parent_id is not null from alerts a
               where closed_at is not null
                 and exists (select from notifications t where t.alert_id = a.alert_id and t.kind = 'trigger' and t.may_have_arrived)) c
         left join notifications n using (alert_id, kind)
         where c.at >= timestamptz 'epoch' + $1 * interval '1 ms' and c.at < timestamptz 'epoch' + $2 * interval '1 ms'",
    )
    .bind(from_ms)
    .bind(until_ms)
    .fetch_all(pool)
    .await
}

/// What became of all changes.
#[derive(Debug, Default)]
struct Told {
    /// How long after the change.
    after: Lateness,
    untold: u64,
    doubled: u64,
    /// How many were kept back on purpose, by their reason.
    by_the_rules: BTreeMap<String, u64>,
}

impl Told {
    fn of(changes: Vec<Change>, events: &[Event]) -> Self {
        let arrived: BTreeMap<_, &Event> = events
            .iter()
            .map(|event| ((event.key.as_str(), event.kind.as_str()), event))
            .collect();
        let mut told = Self::default();
        for change in changes {
            let rule = match (change.state.as_deref(), change.reason) {
                (Some(state @ ("dropped" | "superseded")), reason) => {
                    Some(format!("{state}: {}", reason.unwrap_or_default()))
                }
                (None, _) if change.is_member => Some("member of a flood".to_owned()),
                _ => None,
            };
            if let Some(rule) = rule {
                *told.by_the_rules.entry(rule).or_default() += 1;
                continue;
            }
            let key = change.dedup_key.as_deref().unwrap_or_default();
            match arrived.get(&(key, change.kind.as_str())) {
                Some(event) => {
                    let at_ms = i64::try_from(event.first_at_ms).unwrap_or(i64::MAX);
                    told.after.note(at_ms - change.at_ms);
                    told.doubled += event.count - 1;
                }
                None => told.untold += 1,
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_heard_is_untold() {
        let change = |key: Option<&str>, state: Option<&str>, is_member| Change {
            kind: "trigger".to_owned(),
            at_ms: 1000,
            is_member,
            dedup_key: key.map(str::to_owned),
            state: state.map(str::to_owned),
            reason: state.map(|_| "flood".to_owned()),
        };
        let event = Event {
            key: "heard".to_owned(),
            kind: "trigger".to_owned(),
            first_at_ms: 1020,
            count: 2,
        };
        let changes = vec![
            change(Some("heard"), Some("accepted"), false),
            change(Some("lost"), Some("accepted"), false),
            change(None, None, false),
            change(None, None, true),
            change(Some("held"), Some("dropped"), false),
        ];
        let told = Told::of(changes, &[event]);
        assert_eq!((told.after.runs(), told.after.max()), (1, 20.0));
        assert_eq!((told.untold, told.doubled), (2, 1));
        let rules: Vec<_> = told.by_the_rules.into_iter().collect();
        assert_eq!(
            rules,
            [
                ("dropped: flood".to_owned(), 1),
                ("member of a flood".to_owned(), 1)
            ]
        );
    }
}
