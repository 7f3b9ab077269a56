//! Samples that cannot be written delay no alert and lose no state.

use stalker_tests::stage::Stage;

use super::*;

#[tokio::test]
async fn alerts_do_not_wait_for_samples() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a", "check_b"]).await;
    let checks = ["web1/check_a", "web1/check_b"];
    stage.answer(&checks, 0, "OK | a=1 b=1");
    stage.run_all().await;
    until_seen(
        "samples",
        PATIENCE,
        async || stage.count("select count(*) from samples").await,
        |n| *n == 4,
    )
    .await;

    // somebody holds the tables, as long as this lasts
    let mut tx = stage.pool().begin().await.expect("a transaction begins");
    sqlx::query("lock table samples, series in access exclusive mode")
        .execute(&mut *tx)
        .await
        .expect("it is free");
    stage.answer(&checks[..1], 2, "CRITICAL | a=2 new=2");
    for _ in 0..3 {
        stage.run_all().await;
    }
    stage.pages(&["trigger web1/check_a"]).await;
    tx.rollback().await.expect("it is given back");
    // nothing of it was lost, for it did not last long
    let late = "select count(*) from samples join series using (series_id) where label = 'new'";
    until_seen(
        "late samples",
        PATIENCE,
        async || stage.count(late).await,
        |n| *n == 3,
    )
    .await;

    // the table is not even there: an error that no patience mends
    execute(stage.pool(), "alter table samples rename to elsewhere").await;
    stage.answer(&checks[..1], 0, "OK | a=3");
    stage.run_all().await;
    stage.pages(&["resolve web1/check_a"]).await;
    execute(stage.pool(), "alter table elsewhere rename to samples").await;
    let changes =
        "select count(*) from state_changes where check_name = 'check_a' and (hard or status = 0)";
    assert!(stage.count(changes).await >= 2);
    stage.answer(&checks, 0, "OK | a=4");
    stage.run_all().await;
    let after = "select count(*) from samples where value = 4";
    until_seen(
        "samples again",
        PATIENCE,
        async || stage.count(after).await,
        |n| *n == 2,
    )
    .await;
}
