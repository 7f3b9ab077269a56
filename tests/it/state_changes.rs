//! History's partitions: made ahead, filled from the default one, dropped when they are old.

use std::time::Duration;

use stalker_db::partitions::{self, Partitioned};
use stalker_tests::database::TestDatabase;

const HISTORY: Partitioned = Partitioned::StateChanges;
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn days_are_made_ahead_and_dropped_when_old() {
    let database = TestDatabase::with_clock().await;
    let pool = database.pool();
    let insert = "insert into state_changes (check_id, hostname, check_name, at, unreachable, hard, out, owner)
                  values (1, 'web1', 'check_a', now(), false, false, '', '')";
    let where_they_are = "select tableoid::regclass::text from state_changes order by at";
    let partition = "select 'state_changes_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')";
    let text = async |sql: &'static str| -> Vec<String> {
        let found = sqlx::query_scalar(sql).fetch_all(pool).await;
        found.expect("the database answers")
    };

    // 30 days in which no scheduler ran: nothing is refused, and the rows move once there is a place for them
    sqlx::query(insert)
        .execute(pool)
        .await
        .expect("today has a partition");
    let first_day = text(partition).await;
    database.advance(30 * DAY).await;
    sqlx::query(insert)
        .execute(pool)
        .await
        .expect("the default one takes it");
    let thirtieth_day = text(partition).await;
    let waiting = vec![first_day[0].clone(), "state_changes_default".to_owned()];
    assert_eq!(text(where_they_are).await, waiting);
    for _ in 0..2 {
        partitions::make_ahead(pool, HISTORY)
            .await
            .expect("made, and made again");
    }
    let placed = vec![first_day[0].clone(), thirtieth_day[0].clone()];
    assert_eq!(text(where_they_are).await, placed);

    // what is older than 29 days goes, and nothing else
    assert!(
        partitions::drop_old(pool, HISTORY, 29)
            .await
            .expect("dropped")
            >= 1
    );
    assert_eq!(text(where_they_are).await, thirtieth_day);
    assert_eq!(
        partitions::drop_old(pool, HISTORY, 29)
            .await
            .expect("nothing is left to drop"),
        0
    );
}
