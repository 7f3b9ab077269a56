//! Each filter of a list finds its index: what a page costs is what it shows, however much there is.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use sqlx::types::chrono::Utc;
use stalker_db::alerts::list as alerts;
use stalker_db::notifications::list as notifications;
use stalker_db::{audit, checks, hosts};
use stalker_tests::database::TestDatabase;

/// Some hundred hosts with what one in a hundred of them has, and statistics that say so.
const MANY: &str = "
    insert into hosts (hostname, ip, roles) select 'host' || i, '10.0.' || i / 250 || '.' || i % 250, case when i % 100 = 0 then '{rare}' else '{common}' end::text[]
        from generate_series(1, 500) i;
    insert into checks (host_id, name, declared_interval_s, declared_follow_up_s)
        select host_id, case when n = 1 and host_id % 100 = 0 then 'rare' else 'check' || n end, 300, 300 from hosts, generate_series(1, 100) n;
    insert into check_state (check_id, interval_s, phase_ms, due_at, status, owner, suspended)
        select check_id, 300, 0, now() + interval '1 hour', case when check_id % 1000 = 0 then 2 else 0 end,
               case when check_id % 5000 = 0 then 'ann' else '' end, check_id % 2000 = 0 from checks;
    insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600), ('rare', 'http', 3600);
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, opened_at, closed_at, close_reason, is_settled)
        select 'check', k.host_id, k.check_id, h.hostname, k.name, 1, 1 + k.check_id % 2, now() - interval '1 day' * (k.check_id % 1000),
               case when k.check_id % 1000 > 0 then now() end, case when k.check_id % 1000 > 0 then 'recovered' end, k.check_id % 1000 > 0
        from checks k join hosts h using (host_id);
    insert into suppressions (alert_id, reason) select alert_id, 'flapping' from alerts where closed_at is null;
    insert into notifications (alert_id, channel, kind, dedup_key, state, settled_at)
        select alert_id, case when alert_id % 1000 = 0 then 'rare' else 'pager' end, 'trigger', alert_id::text,
               case when alert_id % 1000 = 0 then 'refused' else 'accepted' end, now() from alerts;
    insert into audit (actor_kind, actor, address, action, subject)
        select 'user', case when i % 1000 = 0 then 'rare' else 'ann' end, '', case when i % 1000 = 0 then 'rare' else 'set_owner' end,
               case when i % 1000 = 0 then 'rare' else 'check ' || i % 7 end from generate_series(1, 50000) i;
    vacuum analyze;";

#[tokio::test]
async fn a_filtered_page_reads_what_it_shows() {
    let database = TestDatabase::new().await;
    for statement in MANY
        .split_inclusive(';')
        .filter(|statement| !statement.trim().is_empty())
    {
        // vacuum stands alone
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(database.pool())
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    // one connection, so that it can be asked what it has read
    let pool = &PgPoolOptions::new()
        .max_connections(1)
        .connect(database.url())
        .await
        .expect("the database answers");
    let some = |text: &str| Some(text.to_owned());
    let mut pages = Vec::new();
    for (name, which) in [
        ("all", checks::Which::default()),
        (
            "role, rare",
            checks::Which {
                role: some("rare"),
                ..Default::default()
            },
        ),
        (
            "role, common",
            checks::Which {
                role: some("common"),
                ..Default::default()
            },
        ),
        (
            "name, rare",
            checks::Which {
                name: some("rare"),
                ..Default::default()
            },
        ),
        (
            "name, common",
            checks::Which {
                name: some("check7"),
                ..Default::default()
            },
        ),
        (
            "status",
            checks::Which {
                status: Some(2),
                state: checks::State::Failing,
                ..Default::default()
            },
        ),
        (
            "owner",
            checks::Which {
                owner: some("ann"),
                ..Default::default()
            },
        ),
        (
            "host",
            checks::Which {
                host_id: Some(77),
                ..Default::default()
            },
        ),
        (
            "failing",
            checks::Which {
                state: checks::State::Failing,
                ..Default::default()
            },
        ),
        (
            "suspended",
            checks::Which {
                state: checks::State::Suspended,
                ..Default::default()
            },
        ),
        (
            "scope",
            checks::Which {
                scope: Some(vec!["rare".to_owned()]),
                ..Default::default()
            },
        ),
    ] {
        for after in [0, 49_000] {
            let before = read(pool).await;
            checks::page(pool, &which, after, 100)
                .await
                .expect("a page can be read");
            pages.push((
                format!("checks by {name} after {after}"),
                read(pool).await - before,
            ));
        }
    }
    for (name, which) in [
        ("all", alerts::Which::default()),
        (
            "open",
            alerts::Which {
                is_open: Some(true),
                ..Default::default()
            },
        ),
        (
            "host",
            alerts::Which {
                hostname: some("host77"),
                ..Default::default()
            },
        ),
        (
            "role, rare",
            alerts::Which {
                role: some("rare"),
                ..Default::default()
            },
        ),
        (
            "check",
            alerts::Which {
                check_name: some("rare"),
                ..Default::default()
            },
        ),
        (
            "status",
            alerts::Which {
                status: Some(2),
                ..Default::default()
            },
        ),
        (
            "owner",
            alerts::Which {
                owner: some("ann"),
                ..Default::default()
            },
        ),
        (
            "suppression",
            alerts::Which {
                suppression: some("flapping"),
                ..Default::default()
            },
        ),
        (
            "no suppression",
            alerts::Which {
                suppression: some("maintenance"),
                ..Default::default()
            },
        ),
        (
            "time",
            alerts::Which {
                from: Some(Utc::now() - Duration::from_secs(3600)),
                ..Default::default()
            },
        ),
    ] {
        let before = read(pool).await;
        alerts::page(pool, &which, 0, 100)
            .await
            .expect("a page can be read");
        pages.push((format!("alerts by {name}"), read(pool).await - before));
    }
    for (name, which) in [
        ("all", notifications::Which::default()),
        (
            "alert",
            notifications::Which {
                alert_id: Some(77),
                ..Default::default()
            },
        ),
        (
            "state",
            notifications::Which {
                state: some("refused"),
                ..Default::default()
            },
        ),
        (
            "channel",
            notifications::Which {
                channel: some("rare"),
                ..Default::default()
            },
        ),
        (
            "host",
            notifications::Which {
                hostname: some("host77"),
                ..Default::default()
            },
        ),
    ] {
        let before = read(pool).await;
        notifications::page(pool, &which, 0, 100)
            .await
            .expect("a page can be read");
        pages.push((
            format!("notifications by {name}"),
            read(pool).await - before,
        ));
    }
    for (name, which) in [
        (
            "actor",
            audit::Which {
                actor: some("rare"),
                ..Default::default()
            },
        ),
        (
            "action",
            audit::Which {
                action: some("rare"),
                ..Default::default()
            },
        ),
        (
            "subject",
            audit::Which {
                subject: some("rare"),
                ..Default::default()
            },
        ),
    ] {
        let before = read(pool).await;
        audit::page(pool, &which, 0, 100)
            .await
            .expect("a page can be read");
        pages.push((format!("audit by {name}"), read(pool).await - before));
    }
    let before = read(pool).await;
    hosts::beginning_with(pool, "host4", None, 100)
        .await
        .expect("hosts can be found");
    pages.push((
        "hosts by their beginning".to_owned(),
        read(pool).await - before,
    ));
    // Each shown row is looked up in a handful of tables; of what one in a hundred has, a hundred times as many may be passed
    // over. To read a table whole would be 50,000.
    let dear: Vec<_> = pages.iter().filter(|(_, rows)| *rows > 12_500).collect();
    assert!(
        dear.is_empty(),
        "rows that were read for 100 of 50,000: {dear:?}"
    );
}

/// Rows of the large tables that this connection has read so far, by index or one after the other.
async fn read(pool: &PgPool) -> i64 {
    for statement in ["select pg_stat_force_next_flush()", "select 1"] {
        sqlx::query(statement)
            .execute(pool)
            .await
            .expect("the database answers");
    }
    sqlx::query_scalar(
        "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint from pg_stat_user_tables
         where relname in ('hosts', 'checks', 'check_state', 'alerts', 'notifications', 'suppressions', 'audit')",
    )
    .fetch_one(pool)
    .await
    .expect("counters can be read")
}
