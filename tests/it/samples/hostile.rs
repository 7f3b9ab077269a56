//! What comes from hosts is data, and may be anything.

use std::fmt::Write;

use stalker_db::samples::roll_up_next;
use stalker_tests::stage::Stage;

use super::*;

#[tokio::test]
async fn any_text_and_any_number_does_no_harm() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a", "check_b"]).await;
    let long = "l".repeat(255);
    let out = format!(
        "OK | nan=nan inf=inf huge=1e308 low=-1e308 more=1e999 'it''s | {long}'=1 '); drop table samples; --'=2 '\\N\t\u{1f4a5}'=3 nul\0=4 \
         t=5;{long};a\\,b"
    );
    stage.answer(&["web1/check_a"], 0, &out);
    stage.answer(&["web1/check_b"], 0, "OK | b=1");
    stage.run_all().await;
    let expected = [
        "); drop table samples; --=2",
        "\\N\t\u{1f4a5}=3",
        "b=1",
        "nul\u{fffd}=4",
    ];
    let values = async || {
        rows(
            stage.pool(),
            "select label || '=' || value from samples join series using (series_id) order by label collate \"C\"",
        )
        .await
    };
    until_seen("what can be kept is kept", PATIENCE, values, |values| {
        *values == expected
    })
    .await;
    // and it can be added up
    stage.advance(HOUR).await;
    while roll_up_next(stage.pool()).await.expect("hours can be made") {}
}

#[tokio::test]
async fn a_check_has_a_thousand_series_at_most() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    for run in 0..5 {
        let mut out = "OK |".to_owned();
        for i in 0..300 {
            write!(out, " l{run}_{i}=1").expect("a text grows");
        }
        stage.answer(&["web1/check_a"], 0, &out);
        stage.run_all().await;
    }
    stage.answer(&["web1/check_a"], 0, "OK | l0_0=2 further=2");
    stage.run_all().await;
    stage.workers.remove(0).stop().await;
    assert_eq!(stage.count("select count(*) from series").await, 1000);
    // 256 of each of the first three, what there is room for of the fourth, none of the fifth; and one that is known
    assert_eq!(stage.count("select count(*) from samples").await, 1001);
}
