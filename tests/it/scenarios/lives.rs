//! One alert from its beginning to its end, and what people and receivers do meanwhile.

use super::*;

/// A dead letter; the fallback is told instead, and of the end as well.
#[tokio::test]
async fn the_provider_refuses_one_alert() {
    let mut stage = Stage::with(&[PAGER, "mail"], |config| {
        config
            .channels
            .get_mut(PAGER)
            .expect("it is configured")
            .fallback = Some("mail".to_owned());
        config.routes = vec![route(PAGER)];
    })
    .await;
    stage.host("web1", &["check_a", "check_b"]).await;

    stage.receivers[PAGER].answer_next([400]);
    stage.fail(&["web1/check_a"]);
    stage.minutes(3).await;
    stage.pages(&["mail: trigger web1/check_a"]).await;
    stage.fail(&["web1/check_b"]);
    stage.minutes(3).await;
    stage.pages(&["trigger web1/check_b"]).await;
    let dead = "select count(*) from notifications where state = 'refused' and channel = 'pager'";
    assert_eq!(stage.count(dead).await, 1);
    assert_eq!(stage.count("select count(*) from owed").await, 0);

    stage.recover(&["web1/check_a", "web1/check_b"]);
    stage.minutes(1).await;
    stage
        .pages(&["mail: resolve web1/check_a", "resolve web1/check_b"])
        .await;
}

/// Those told of the warning are not told again, and all are told of the end.
#[tokio::test]
async fn a_worse_status_concerns_a_further_channel() {
    let mut stage = Stage::with(&[PAGER, "chat"], |config| {
        let critical = Match {
            status: Some(vec!["critical".to_owned()]),
            ..Match::default()
        };
        config.routes = vec![
            Route {
                matches: critical,
                channels: vec![PAGER.to_owned()],
                continues: true,
            },
            route("chat"),
        ];
    })
    .await;
    stage.host("web1", &["check_a"]).await;

    stage.answer(&["web1/check_a"], 1, "WARNING - slow");
    stage.minutes(5).await;
    stage.pages(&["chat: trigger web1/check_a"]).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(5).await;
    stage.pages(&["trigger web1/check_a"]).await;
    stage.answer(&["web1/check_a"], 1, "WARNING - slow");
    stage.minutes(5).await;
    stage.no_pages().await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage
        .pages(&["resolve web1/check_a", "chat: resolve web1/check_a"])
        .await;
}

/// Suspended, it is not repeated, and its end is seen when it runs again: at once.
#[tokio::test]
async fn a_check_with_an_open_alert_is_suspended_and_resumed() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a", "check_b"]).await;
    stage.fail(&["web1/check_a", "web1/check_b"]);
    stage.minutes(3).await;
    stage
        .pages(&["trigger web1/check_a", "trigger web1/check_b"])
        .await;

    stage.suspend("web1/check_a", true).await;
    stage.recover(&["web1/check_a"]);
    stage.rounds(7, 7 * HOUR).await;
    stage.pages(&["trigger web1/check_b"]).await; // two days later, again
    stage.suspend("web1/check_a", false).await;
    stage.pages(&["resolve web1/check_a"]).await;
    stage.recover(&["web1/check_b"]);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_b"]).await;
}

#[tokio::test]
async fn a_suspended_check_is_still_broken_when_it_is_resumed() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(2).await;
    stage.suspend("web1/check_a", true).await;
    stage.rounds(3, HOUR).await;
    stage.no_pages().await;
    stage.suspend("web1/check_a", false).await; // the third failure
    stage.pages(&["trigger web1/check_a"]).await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_a"]).await;
}

/// Its agent no longer names it; an hour later it does again, and it is as broken as before.
#[tokio::test]
async fn a_check_with_an_open_alert_is_removed_and_returns() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a", "check_b"]).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(3).await;
    stage.pages(&["trigger web1/check_a"]).await;
    stage.remove("web1/check_a").await;
    let end = stage.new_pages().await;
    let end: Vec<_> = end.iter().map(|page| page.text.as_str()).collect();
    assert_eq!(end, ["check_a on web1 was removed"]);

    stage.advance(HOUR).await;
    stage
        .register("web1", |r| {
            drop(r.checks.insert("check_a".to_owned(), check()))
        })
        .await;
    stage.pages(&["trigger web1/check_a"]).await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_a"]).await;
}

/// Workers and schedulers are killed, stopped and started: one problem is one trigger and one resolve.
#[tokio::test]
async fn replicas_come_and_go_during_one_problem() {
    let mut stage = Stage::new().await;
    stage.host("web1", &["check_a"]).await;
    stage.fail(&["web1/check_a"]);
    stage.minutes(3).await;
    stage.pages(&["trigger web1/check_a"]).await;
    for round in 0..10 {
        stage.start_worker();
        stage.start_scheduler();
        let (worker, scheduler) = (stage.workers.remove(0), stage.schedulers.remove(0));
        if round % 2 == 0 {
            worker.kill();
            scheduler.kill();
            // what they held is free when their leases have run out
            stage.database().advance(MINUTE).await;
        } else {
            worker.stop().await;
            scheduler.stop().await;
        }
        stage.run_all().await;
    }
    stage.no_pages().await;
    stage.recover(&["web1/check_a"]);
    stage.minutes(1).await;
    stage.pages(&["resolve web1/check_a"]).await;
}
