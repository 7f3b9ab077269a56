//! A database of before there were samples.

use std::borrow::Cow;

use sqlx::migrate::Migrator;
use stalker_db::MIGRATOR;
use stalker_db::partitions::{self, Partitioned};
use stalker_tests::database::TestDatabase;

use super::*;

#[tokio::test]
async fn history_survives_and_its_partitions_go_on() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    execute(pool, "drop schema public cascade; create schema public").await;
    let before = MIGRATOR.iter().filter(|migration| migration.version <= 8);
    let before = Migrator {
        migrations: Cow::Owned(before.cloned().collect()),
        ..Migrator::DEFAULT
    };
    before
        .run(pool)
        .await
        .expect("the migrations of before run");
    execute(
        pool,
        "insert into state_changes (check_id, hostname, check_name, at, unreachable, hard, out, owner)
         select 1, 'web1', 'check_a', at, false, false, '', '' from unnest(array[now() - interval '5 days', now()]) as at",
    )
    .await;

    stalker_db::migrate(pool).await.expect("the new ones run");
    assert!(stalker_db::is_migrated(pool).await.expect("an answer"));
    let all = [
        Partitioned::StateChanges,
        Partitioned::Samples,
        Partitioned::SampleHours,
    ];
    for partitioned in all {
        partitions::make_ahead(pool, partitioned)
            .await
            .expect("made ahead");
        partitions::drop_old(pool, partitioned, 10)
            .await
            .expect("nothing is old");
    }
    assert_eq!(
        rows(pool, "select check_name from state_changes")
            .await
            .len(),
        2
    );
    partitions::drop_old(pool, Partitioned::StateChanges, 2)
        .await
        .expect("something is old");
    assert_eq!(
        rows(pool, "select check_name from state_changes")
            .await
            .len(),
        1
    );
}
