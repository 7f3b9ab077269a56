//! Channels whose settings change while alerts are open (decision 8).

use stalker_tests::receiver::Receiver;

use super::*;

/// What was told with one key is resolved with that key, although another one is in use by then.
#[tokio::test]
async fn a_rotated_key_resolves_what_it_told() {
    let receiver = Receiver::start().await;
    let mut stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a", "check_b"]).await;
    stage.told(&["trigger accepted 1"]).await;

    let rotated = |i: Installation| {
        i.set("channels.pager.service_key", "the-new-key")
            .set("channels.pager.previous_keys", vec!["service-key-of-pager"])
    };
    stage.restart(rotated).await;
    stage.fail("check_b");
    stage
        .told(&["trigger accepted 1", "trigger accepted 1"])
        .await;
    stage.recover("check_a");
    stage.recover("check_b");
    let told = receiver.settled(4, QUIET).await;
    for (check, key) in [
        ("check_a", "service-key-of-pager"),
        ("check_b", "the-new-key"),
    ] {
        let keys: Vec<&str> = told
            .iter()
            .filter(|request| request.body["details"]["check"] == check)
            .map(|request| request.text("service_key"))
            .collect();
        assert_eq!(keys, [key, key], "{check}");
    }
}

/// A channel need not have a key. It is told at once, like any other.
#[tokio::test]
async fn a_channel_without_a_key_is_told_at_once() {
    let receiver = Receiver::start().await;
    let stage = Stage::start(|i| {
        i.set("channels.pager.provider", "http")
            .set("channels.pager.url", receiver.url())
    })
    .await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger accepted 1"]).await;
    stage.recover("check_a");
    stage
        .told(&["trigger accepted 1", "resolve accepted 1"])
        .await;
}

/// A key that is in use and was not listed: the log says so, and the resolve is tried with the one of today.
#[tokio::test]
async fn a_forgotten_key_is_named_in_the_log() {
    let receiver = Receiver::start().await;
    let mut stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger accepted 1"]).await;

    stage
        .restart(|i| i.set("channels.pager.service_key", "the-new-key"))
        .await;
    let log = async || stage.log();
    until_seen("the log names it", PATIENCE, log, |log| {
        log.contains("list that key under previous_keys")
    })
    .await;
    assert!(
        !stage.log().contains("service-key-of-pager"),
        "the key itself is in the log"
    );
    stage.recover("check_a");
    stage
        .told(&["trigger accepted 1", "resolve pending 0"])
        .await;
    // for a minute it is left to workers that have the key
    sqlx::query("update notifications set created_at = created_at - interval '1 minute'")
        .execute(stage.pool())
        .await
        .expect("the tables are as expected");
    let told = receiver.settled(2, QUIET).await;
    assert_eq!(told[1].text("service_key"), "the-new-key");
}

/// Refused, mended, and tried again: by hand, or because the channel's settings are others now.
#[tokio::test]
async fn a_dead_letter_is_tried_again() {
    let receiver = Receiver::start().await;
    receiver.answer_next([400, 403]);
    let mut stage = Stage::start(|i| i.channel("pager", receiver.url())).await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger refused 1"]).await;
    let id = rows(
        stage.pool(),
        "select notification_id::text from notifications",
    )
    .await
    .remove(0);
    let listed = stage.stalkerd(&["notifications", "list"]).await;
    assert!(
        listed.contains(&format!("{id}\tpager\ttrigger\t")) && listed.contains("refused\t1\t"),
        "{listed}"
    );

    // one of them is none: nothing is done
    let said = stage
        .stalkerd(&["notifications", "retry", &id, "999"])
        .await;
    assert!(
        said.contains("notification 999 is no dead letter"),
        "{said}"
    );
    stage.stays_told(&["trigger refused 1"]).await;
    let said = stage.stalkerd(&["notifications", "retry", &id]).await;
    assert!(said.contains("tried again: 1"), "{said}");
    stage.told(&["trigger refused 2"]).await;
    // the same settings: a restart is no reason
    stage.restart(|i| i).await;
    stage.stays_told(&["trigger refused 2"]).await;

    stage
        .restart(|i| i.set("channels.pager.service_key", "the-right-key"))
        .await;
    stage.told(&["trigger accepted 3"]).await;
    // whatever else is changed may be what was wrong
    receiver.answer_next([400]);
    stage.recover("check_a");
    stage
        .told(&["trigger accepted 3", "resolve refused 1"])
        .await;
    stage
        .restart(|i| i.set("channels.pager.prefix", "mended:"))
        .await;
    stage
        .told(&["trigger accepted 3", "resolve accepted 2"])
        .await;
    let said = stage.stalkerd(&["notifications", "retry", &id]).await;
    assert!(said.contains("is no dead letter"), "{said}");
}

/// What one channel does not take, another is told, and both hear the end of what they were told.
#[tokio::test]
async fn a_fallback_is_told_what_is_refused() {
    let (pager, sms) = (Receiver::start().await, Receiver::start().await);
    pager.answer_next([400]);
    let stage = Stage::start(|i| {
        i.channel("pager", pager.url())
            .set("channels.pager.fallback", "sms")
            .channel("sms", sms.url())
            .set(
                "routes",
                super::routes::routes(r#"[{ channels = ["pager"] }]"#),
            )
    })
    .await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage
        .told(&["trigger refused 1", "trigger accepted 1"])
        .await;
    stage.recover("check_a");
    stage
        .told(&[
            "trigger refused 1",
            "trigger accepted 1",
            "resolve accepted 1",
        ])
        .await;
    let told = sms.settled(2, QUIET).await;
    assert_eq!(told[1].text("event_type"), "resolve");
    assert_eq!(pager.received().len(), 1);
    let why = rows(
        stage.pool(),
        "select concat_ws(': ', channel, why) from alert_targets order by 1",
    )
    .await;
    assert_eq!(why, ["pager: route 1", "sms: fallback of pager"]);
}

/// A channel that fails is given up on after the third time, and still tried.
#[tokio::test]
async fn a_fallback_is_told_after_the_third_failure() {
    let (pager, sms) = (Receiver::start().await, Receiver::start().await);
    pager.answer_next([500, 500, 429, 500]);
    let stage = Stage::start(|i| {
        i.channel("pager", pager.url())
            .set("channels.pager.fallback", "sms")
            .channel("sms", sms.url())
            .set(
                "routes",
                super::routes::routes(r#"[{ channels = ["pager"] }]"#),
            )
    })
    .await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger pending 1"]).await;
    for attempts in 2..=3 {
        hurry(stage.pool()).await;
        stage.told(&[&format!("trigger pending {attempts}")]).await;
    }
    // a 429 says later, not no: it counts only once that was said for five minutes
    stage.stays_told(&["trigger pending 3"]).await;
    hurry(stage.pool()).await;
    stage
        .told(&["trigger pending 4", "trigger accepted 1"])
        .await;
    stage.recover("check_a");
    let end = [
        "trigger superseded 4",
        "trigger accepted 1",
        "resolve accepted 1",
        "resolve accepted 1",
    ];
    stage.told(&end).await;
    assert_eq!(sms.settled(2, QUIET).await.len(), 2);
}
