//! Upgrades of a database that is in use: a schema of an earlier version, with what it held.

use stalker_db::{MIGRATOR, floods};
use stalker_domain::thresholds::Thresholds;
use stalker_tests::database::TestDatabase;

/// The migrations of 0005 knew no floods. Alerts that are open since then were told long ago, and are no news.
#[tokio::test]
async fn alerts_of_before_floods_make_none() {
    let database = TestDatabase::new().await;
    let run = async |sql: &'static str| {
        sqlx::raw_sql(sql)
            .execute(database.pool())
            .await
            .expect(sql);
    };
    run("drop schema public cascade; create schema public").await;
    MIGRATOR
        .run_to(5, database.pool())
        .await
        .expect("an earlier version migrates");
    run(
        "insert into hosts (hostname, ip) values ('web1', '127.0.0.1');
         insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, opened_at)
         select 'check', h.host_id, n, h.hostname, 'check' || n, 1, 2, now() - interval '1 day' from hosts h, generate_series(1, 200) n",
    )
    .await;
    stalker_db::migrate(database.pool())
        .await
        .expect("this version migrates an earlier one");

    floods::count_freed(database.pool(), &Thresholds::default())
        .await
        .expect("the database answers");
    let (floods, counted): (i64, i64) = sqlx::query_as(
        "select count(*) filter (where kind = 'flood'), count(*) filter (where counted_at = opened_at) from alerts",
    )
    .fetch_one(database.pool())
    .await
    .expect("the alerts can be counted");
    assert_eq!((floods, counted), (0, 200));
}
