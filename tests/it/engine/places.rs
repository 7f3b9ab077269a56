//! Rows are written where they were found: by key, each look would read all versions that somebody's snapshot keeps.

use super::*;

/// A run reads the grid's index to find its row, and no index to write it.
#[tokio::test]
async fn no_row_is_looked_up_by_key_to_be_written() {
    // few: the planner would like the index best where the table is small
    const CHECKS: i32 = 100;
    let database = TestDatabase::with_clock().await;
    add_checks(database.pool(), "host", CHECKS, 60, Past::None).await;
    let mut worker = Worker::new(&pools(&database)).await;
    let looked_up = "select sum(idx_scan)::bigint + (select seq_scan from pg_stat_user_tables where relname = 'check_state')
                     from pg_stat_user_indexes where indexrelname = 'check_state_pkey'";
    let mut seen = Vec::new();
    for round in 0..2 {
        // A connection tells the statistics what it did when it ends, else only now and then.
        worker.pools = pools(&database);
        database.advance(Duration::from_secs(60)).await;
        let runs;
        (worker, runs) = worker.drain().await;
        assert!(runs >= CHECKS as usize, "round {round}: {runs}");
        worker.pools.close().await;
        updates_seen(
            database.pool(),
            i64::from(round + 1) * 2 * i64::from(CHECKS),
        )
        .await;
        seen.push(count(database.pool(), looked_up).await);
    }
    assert_eq!(seen[0], seen[1], "in a round of {CHECKS} runs");
}

/// People press "run now" and take over alerts while checks run: the rows lie elsewhere then, and others where they lay.
#[tokio::test]
async fn what_was_rewritten_meanwhile_is_recorded_all_the_same() {
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    add_checks(pool, "host", BATCH, 60, Past::Healthy).await;
    let mut worker = Worker::new(&pools(&database)).await;
    database.advance(Duration::from_secs(60)).await;
    let taken = worker.claim().await;
    assert_eq!(taken.len(), BATCH as usize);
    for sql in [
        "update check_state set owner = 'somebody'",
        "vacuum check_state",
        "update check_state set rush_at = now() where check_id % 2 = 0",
        "vacuum check_state",
        "update check_state set lease = null, leased_until = null where check_id % 10 = 1",
        "update check_state set leased_until = now() - interval '1 s' where check_id % 10 = 3",
    ] {
        sqlx::query(sql)
            .execute(pool)
            .await
            .expect("the rows can be rewritten");
    }
    let in_places_of_others = taken.iter().map(|check| async {
        let there = "select check_id from check_state where ctid = $1::text::tid";
        let there: Option<i64> = sqlx::query_scalar(there)
            .bind(&check.place)
            .fetch_optional(pool)
            .await
            .expect("the database answers");
        there.is_some_and(|there| there != check.check_id)
    });
    let in_places_of_others = join_all(in_places_of_others).await;
    assert!(
        in_places_of_others.contains(&true),
        "places were taken by others"
    );

    let runs: Vec<Run> = taken
        .iter()
        .map(|check| run_of(check, answered(0)))
        .collect();
    let recorded = record(&worker.pools, &runs, &Thresholds::default()).await;
    let recorded = recorded.expect("the database answers").check_ids;
    let is_held = |check_id: i64| !matches!(check_id % 10, 1 | 3);
    let mut expected: Vec<i64> = taken.iter().map(|check| check.check_id).collect();
    expected.retain(|check_id| is_held(*check_id));
    expected.sort_unstable();
    assert_eq!(
        recorded, expected,
        "who holds a live lease records, and nobody else"
    );
    let wishes = "select count(*) from check_state where rush_at is not null";
    assert_eq!(
        count(pool, wishes).await,
        i64::from(BATCH / 2),
        "run now is not lost"
    );
}

/// Somebody edits a check while its outcome arrives: recording waits for him, and records then.
#[tokio::test]
async fn what_is_just_being_rewritten_is_waited_for() {
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    add_checks(pool, "host", 20, 60, Past::Healthy).await;
    let mut worker = Worker::new(&pools(&database)).await;
    database.advance(Duration::from_secs(60)).await;
    let taken = worker.claim().await;
    let runs: Vec<Run> = taken
        .iter()
        .map(|check| run_of(check, answered(0)))
        .collect();

    let mut edit = pool.begin().await.expect("the database answers");
    sqlx::query("update check_state set owner = 'somebody' where check_id in (3, 5)")
        .execute(&mut *edit)
        .await
        .expect("the rows can be edited");
    let pools = worker.pools.clone();
    let recording =
        tokio::spawn(async move { record(&pools, &runs, &Thresholds::default()).await });
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("it waits", Duration::from_secs(15), async || {
        (count(pool, waiting).await == 1).then_some(())
    })
    .await;
    edit.commit().await.expect("the database answers");
    let recorded = recording
        .await
        .expect("it does not panic")
        .expect("the database answers");
    assert_eq!(recorded.check_ids.len(), 20);
    let runs = "select count(*) from check_state where last_at is not null and lease is null";
    assert_eq!(count(pool, runs).await, 20);
}
