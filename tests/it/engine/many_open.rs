//! Tens of thousands of open alerts: what looks at them all the time costs what can have changed, not what is open.

use std::time::{Duration, Instant};

use sqlx::Acquire as _;
use stalker_db::alerts::{self, Changes, Problem};
use stalker_db::notifications::{SecretIds, claim_due};
use stalker_domain::thresholds::Thresholds;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::Installation;
use stalker_tests::until::until_seen;

const PATIENCE: Duration = Duration::from_secs(60);

/// 40,000 members of a flood that nobody was told of yet, and 10,000 alerts whose checks were suspended while their
/// triggers waited.
const SEED: &str = "
    insert into channels (name, provider, repeat_s) values ('pager', 'http', 86400);
    insert into hosts (hostname, ip) select 'host' || n, '127.0.0.1' from generate_series(1, 500) n;
    insert into checks (host_id, name, declared_interval_s, declared_follow_up_s) select host_id, n, 60, 60 from hosts, generate_series(1, 100) n;
    insert into check_state (check_id, interval_s, phase_ms, due_at, status, hard, fails, suspended)
    select check_id, 60, 0, now() + interval '1 day', 2, true, 3, name::int <= 20 from checks;
    insert into alerts (kind, priority, threshold, window_s) values ('flood', 1, 100, 120);
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, opened_at, counted_at, parent_id)
    select 'check', h.host_id, k.check_id, h.hostname, k.name, 1, 2, now() - interval '1 hour', now() - interval '1 hour',
           case when not s.suspended then f.alert_id end
    from alerts f, checks k join hosts h using (host_id) join check_state s using (check_id);
    insert into alert_targets (alert_id, channel, why) select alert_id, 'pager', 'no routes' from alerts;
    insert into notifications (alert_id, channel, kind, dedup_key)
    select alert_id, 'pager', 'trigger', alert_id from alerts where kind = 'check' and parent_id is null;
    analyze";

#[tokio::test]
async fn what_nobody_is_told_of_is_not_looked_at_each_time() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sqlx::raw_sql(SEED)
        .execute(pool)
        .await
        .expect("the rows can be made");
    let _scheduler = Installation::new(&database).start("scheduler").await;
    let held = async || {
        sqlx::query_scalar::<_, i64>("select count(*) from notifications where is_held")
            .fetch_one(pool)
            .await
            .expect("the notifications can be counted")
    };
    until_seen("what is suppressed is marked", PATIENCE, held, |n| {
        *n == 10_000
    })
    .await;

    let claim = async |lease| {
        let began = Instant::now();
        let claimed = claim_due(pool, "pager", &SecretIds::default(), None, 10, lease, 30).await;
        let claimed = claimed.expect("the database answers");
        (claimed.len(), began.elapsed())
    };
    let flood = until_seen(
        "the flood is told",
        PATIENCE,
        async || claim(1).await,
        |c| c.0 > 0,
    )
    .await;
    assert_eq!(flood.0, 1, "of all that waits, one may be sent");
    let mut fastest = Duration::MAX;
    for lease in 2..7 {
        let (claimed, took) = claim(lease).await;
        assert_eq!(claimed, 0);
        fastest = fastest.min(took);
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");

    // the fastest of the duty's rounds: others work on this machine too
    let duty = async || {
        sqlx::query_scalar::<_, Option<i32>>("select last_ms from duties where name = 'owed'")
            .fetch_one(pool)
            .await
            .expect("the duty is there")
    };
    until_seen("a round in which nothing changed", PATIENCE, duty, |ms| {
        ms.is_some_and(|ms| ms < 150)
    })
    .await;
}

/// Statistics of before the flood, which know of no member.
const FLOOD: &str = "
    alter table alerts set (autovacuum_enabled = false);
    insert into hosts (hostname, ip) select 'host' || n, '127.0.0.1' from generate_series(1, 40) n;
    insert into checks (host_id, name, declared_interval_s, declared_follow_up_s) select host_id, n, 60, 60 from hosts, generate_series(1, 100) n;
    insert into check_state (check_id, interval_s, phase_ms, due_at, status) select check_id, 60, 0, now() + interval '1 day', 2 from checks;
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, opened_at, closed_at, close_reason, is_settled)
    select 'check', h.host_id, k.check_id, h.hostname, k.name, 1, to_timestamp(i), to_timestamp(i), 'recovered', true
    from generate_series(1, 5) i, checks k join hosts h using (host_id);
    analyze;
    insert into alerts (kind, priority, threshold, window_s, takes_in) values ('flood', 1, 100, 120, true);
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, counted_at, parent_id)
    select 'check', h.host_id, k.check_id, h.hostname, k.name, 1, now(), f.alert_id
    from alerts f, checks k join hosts h using (host_id) where f.takes_in and k.check_id % 4 <> 0;";

#[tokio::test]
async fn whoever_joins_a_flood_does_not_read_all_that_has_joined() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sqlx::raw_sql(FLOOD)
        .execute(pool)
        .await
        .expect("the rows can be made");
    let opens: Vec<i64> = sqlx::query_scalar(
        "select check_id from checks where check_id % 4 = 0 order by check_id limit 200",
    )
    .fetch_all(pool)
    .await
    .expect("there are checks");
    let problem = |check_id: &i64| Problem {
        check_id: *check_id,
        status: 2,
        fails: 3,
        out: "CRITICAL",
        is_of_flapping: false,
    };
    let changes = Changes {
        opens: opens.iter().map(problem).collect(),
        ..Changes::default()
    };
    let read = async || {
        sqlx::query_scalar::<_, i64>(
            "select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'alerts'",
        )
        .fetch_one(pool)
        .await
        .expect("what was read is counted")
    };
    let mut conn = pool.acquire().await.expect("the database answers");
    let told = "select pg_stat_force_next_flush()";
    sqlx::query(told)
        .execute(&mut *conn)
        .await
        .expect("it counts");
    let before = read().await;
    let mut tx = conn.begin().await.expect("the database answers");
    alerts::apply(&mut tx, &changes, &Thresholds::default())
        .await
        .expect("alerts open");
    tx.commit().await.expect("the database answers");
    sqlx::query(told)
        .execute(&mut *conn)
        .await
        .expect("it counts");
    let after = until_seen("it is counted", PATIENCE, read, |n| *n > before + 200).await;
    let members: i64 =
        sqlx::query_scalar("select count(*) from alerts where parent_id is not null")
            .fetch_one(pool)
            .await
            .expect("members can be counted");
    assert_eq!(members, 3200);
    // 157,000: some for each that joins, and all members for each host; it was two millions where what is open was read for
    // each of 200, and twenty where all members were
    assert!(after - before < 400_000, "{} entries", after - before);
}
