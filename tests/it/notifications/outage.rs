//! A provider that is down for an hour while much happens: nothing is lost, everything comes in its order and soon, and no
//! other channel notices.

use std::collections::BTreeMap;
use std::time::Instant;

use stalker_db::notifications;
use stalker_tests::fixture::{Past, add_checks};
use stalker_tests::line::{Fault, Line};
use stalker_tests::rounds::rounds;
use stalker_tests::stage::{PAGER, Page, Stage, http_channel};

use super::*;
use crate::model::clock;

const CHAT: &str = "chat";
/// Each changes four times, but for the fifth of them that is still broken at the end: 1,007 transitions.
/// `make outage-long` has ten times as many.
const CHECKS: usize = 265;
/// The hour: fail, recover, fail, recover, each in so many steps.
const STEPS: usize = 3;
const STEP_S: i64 = 300;
/// In a burst a trigger waits so long for a flood.
const HOLD_S: i64 = 11;
/// How often it is looked whether the provider is told all that there is.
const LOOK_S: i64 = 3;
/// A full bucket is what a minute allows in so much of it.
const BUCKET_S: i64 = 6;
const LONG: Duration = Duration::from_secs(60);

/// For twenty minutes it refuses connections, for twenty it says that it is out of order, and for twenty it takes what
/// it is told and nobody learns of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_without_the_provider() {
    let per_minute = rounds(CHECKS) as f64 * 2.0;
    let mut line = Line::new().await;
    let mut stage = Stage::direct(&[PAGER, CHAT], |config| {
        config.thresholds.alert_threshold = 1;
        config.thresholds.flood_threshold = 1_000_000;
        let mut pager = http_channel(&line.url());
        pager.rate_per_minute = Some(per_minute);
        config.channels.insert(PAGER.to_owned(), pager);
    })
    .await;
    line.lead_to(stage.receivers[PAGER].url());
    clock::slow_down(stage.pool()).await;
    // no host has as many as would be a flood
    let checks = stage.hosts_with(rounds(CHECKS) / 5, 5).await;

    let faults = [Fault::Refuses, Fault::Answers(503), Fault::LosesAnswer];
    let parts: Vec<&[String]> = checks.chunks(checks.len().div_ceil(STEPS)).collect();
    let waves = [true, false, true, false];
    let (mut transitions, mut waits) = (0, Vec::new());
    for (wave, fails) in (0..).zip(waves) {
        for (n, part) in (0..).zip(&parts) {
            let step = wave * STEPS + n;
            line.becomes(faults[step * faults.len() / (STEPS * waves.len())])
                .await;
            let is_last = wave + 1 == waves.len();
            let part = &part[..part.len() * if is_last { 4 } else { 5 } / 5];
            if fails {
                stage.fail(part);
            } else {
                stage.recover(part);
            }
            let from = Instant::now();
            stage.run(part).await;
            transitions += part.len();
            said(&stage, CHAT, None).await;
            heard(&stage, from, &mut waits);
            clock::push(stage.pool(), HOLD_S).await;
            let from = Instant::now();
            said(&stage, CHAT, None).await;
            heard(&stage, from, &mut waits);
            said(&stage, PAGER, Some(per_minute)).await;
            clock::push(stage.pool(), STEP_S - HOLD_S).await;
        }
    }
    // all that is due is tried once more in vain: the next tries are minutes away
    for _ in 0..10 {
        clock::push(stage.pool(), BUCKET_S).await;
        said(&stage, PAGER, Some(per_minute)).await;
    }
    let accepted =
        "select count(*) from notifications where channel = 'pager' and state = 'accepted'";
    assert_eq!(stage.count(accepted).await, 0, "it was down");

    let waiting = "select count(*) from notifications where channel = 'pager' and state in ('pending', 'sending')";
    let owed = stage.count(waiting).await;
    let most = (owed as f64 / per_minute * 60.0) as i64 + 60;
    line.becomes(Fault::None).await;
    let mut took = 0;
    while stage.count(waiting).await > 0 {
        assert!(took < most, "{owed} were owed, and not sent in {most} s");
        clock::push(stage.pool(), LOOK_S).await;
        took += LOOK_S;
        said(&stage, PAGER, Some(per_minute)).await;
    }
    eprintln!(
        "{transitions} transitions; {owed} owed at the end, sent within {took} s, {most} allowed"
    );

    stage.recover(&checks);
    stage.run(&checks).await;
    said(&stage, CHAT, None).await;
    for _ in 0..10 {
        said(&stage, PAGER, Some(per_minute)).await;
        clock::push(stage.pool(), BUCKET_S).await;
    }
    assert_eq!(super::owed(stage.pool()).await, 0, "something is owed");
    let waiting = rows(
        stage.pool(),
        "select concat_ws(' ', channel, kind, state, attempts, reason) from notifications where state in ('pending', 'sending')",
    )
    .await;
    assert!(waiting.is_empty(), "{waiting:?}");
    nothing_is_lost(&stage).await;
    others_are_told_at_once(&stage, waits).await;
}

/// Notes how long after this moment, from which on it could be told, the chat heard what it had not heard before.
fn heard(stage: &Stage, from: Instant, waits: &mut Vec<Duration>) {
    let received = stage.receivers[CHAT].received();
    let new = &received[waits.len()..];
    waits.extend(
        new.iter()
            .map(|request| request.at.saturating_duration_since(from)),
    );
}

/// Waits until a channel is told all that can be told now: nothing is due, or its bucket is empty.
async fn said(stage: &Stage, channel: &str, per_minute: Option<f64>) {
    let seen = async || -> (i64, i64, f64) {
        sqlx::query_as(
            "select count(*) filter (where n.state = 'sending'),
                    count(*) filter (where n.state = 'pending' and n.next_attempt_at <= now() and not exists (
                        select from notifications b
                        where b.channel = n.channel and b.dedup_key = n.dedup_key and b.state in ('pending', 'sending')
                          and (b.alert_id, b.notification_id) < (n.alert_id, n.notification_id))),
                    coalesce((select tokens + extract(epoch from now() - refilled_at)::float8 * $2 / 60 from send_rates), 1)
             from notifications n where channel = $1 and state in ('pending', 'sending')",
        )
        .bind(channel)
        .bind(per_minute)
        .fetch_one(stage.pool())
        .await
        .expect("the tables are as expected")
    };
    let what = format!("{channel} is told what there is");
    let is_done = |(sending, due, tokens): &(i64, i64, f64)| {
        *sending == 0 && (*due == 0 || (per_minute.is_some() && *tokens < 1.0))
    };
    until_seen(&what, LONG, seen, is_done).await;
}

/// What became of each alert at the pager is one of few stories, and the receiver heard it in this order.
async fn nothing_is_lost(stage: &Stage) {
    // (key, what became of it, so many receivers' trigger)
    let stories: Vec<(String, String)> = sqlx::query_as(
        "select min(n.dedup_key),
                string_agg(concat_ws(' ', n.kind, n.state, case when n.may_have_arrived then 'there' else 'not there' end),
                           ', ' order by n.notification_id)
         from alerts a left join notifications n on n.alert_id = a.alert_id and n.channel = 'pager' group by a.alert_id",
    )
    .fetch_all(stage.pool())
    .await
    .expect("the tables are as expected");
    let mut heard: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    for page in stage.received() {
        if page.channel == PAGER {
            heard.entry(page.key.clone()).or_default().push(page);
        }
    }
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, story) in &stories {
        *told.entry(story).or_default() += 1;
        let pages = heard.remove(key).unwrap_or_default();
        let kinds: Vec<&str> = pages.iter().map(|page| page.kind.as_str()).collect();
        let triggers = kinds.iter().take_while(|kind| **kind == "trigger").count();
        assert!(
            kinds[triggers..].iter().all(|kind| *kind == "resolve"),
            "{key}: {kinds:?}"
        );
        let is_afterwards = pages
            .iter()
            .any(|page| page.text.contains("; it was down from "));
        match story.as_str() {
            // it recovered before anybody could hear of it
            "trigger dropped not there" | "trigger superseded not there" => {
                assert!(pages.is_empty(), "{key}: {pages:?}");
            }
            // it recovered when somebody might have heard of it
            "trigger superseded there, resolve accepted there" => {
                assert!(triggers < kinds.len() && is_afterwards, "{key}: {pages:?}");
            }
            "trigger accepted there, resolve accepted there" => {
                assert!(
                    triggers > 0 && triggers < kinds.len() && !is_afterwards,
                    "{key}: {pages:?}"
                );
            }
            story => panic!("{key}: {story}"),
        }
    }
    eprintln!("{told:#?}");
    assert!(heard.is_empty(), "of no alert: {heard:?}");
    for usual in [
        "trigger superseded not there",
        "trigger superseded there, resolve accepted there",
        "trigger accepted there, resolve accepted there",
    ] {
        assert!(told.contains_key(usual), "{usual} never happened: {told:?}");
    }
}

/// Each once, at its first try; and by our clock, which the stage's does not slow down, hardly later than it could be.
async fn others_are_told_at_once(stage: &Stage, mut waits: Vec<Duration>) {
    let (told, tries): (i64, i64) = sqlx::query_as(
        "select count(distinct n.notification_id), count(*)
         from notifications n join attempts t using (notification_id) where n.channel = 'chat' and n.state = 'accepted'",
    )
    .fetch_one(stage.pool())
    .await
    .expect("the tables are as expected");
    let alerts = stage.count("select count(*) from alerts").await;
    assert_eq!((told, tries), (2 * alerts, 2 * alerts));
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100];
    eprintln!("{CHAT}: {told} told, p99 {p99:?} of our clock after it could be told");
    // not a measure, but a channel that waited for the pager would be told in an hour
    assert!(p99 < PATIENCE, "{p99:?}");
}

/// All that the pager may have under way hangs, and the chat hears everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_hangs_delays_no_other() {
    let mut line = Line::new().await;
    let mut stage = Stage::direct(&[PAGER, CHAT], |config| {
        config.thresholds.alert_threshold = 1;
        let mut pager = http_channel(&line.url());
        pager.timeout_s = 60;
        config.channels.insert(PAGER.to_owned(), pager);
    })
    .await;
    line.lead_to(stage.receivers[PAGER].url());
    line.becomes(Fault::HoldsAnswer).await;
    let checks = stage.hosts_with(10, 5).await;
    stage.fail(&checks);
    stage.run(&checks).await;
    stage.database().advance(Duration::from_secs(11)).await;

    let told = async || stage.receivers[CHAT].accepted().len();
    until_seen("the chat is told", PATIENCE, told, |n| *n == checks.len()).await;
    let hanging =
        "select count(*) from notifications where channel = 'pager' and state = 'sending'";
    let hanging = async || stage.count(hanging).await;
    until_seen("the pager hangs", PATIENCE, hanging, |n| *n > 0).await;
    let over = "select count(*) from attempts join notifications using (notification_id) where channel = 'pager' and ended_at is not null";
    assert_eq!(stage.count(over).await, 0, "the pager hung all the time");
}

/// Once a receiver takes messages again, what was put off comes within 10 s; but not what it asked to be spared.
#[tokio::test]
async fn what_was_put_off_is_hurried() {
    let database = TestDatabase::new().await;
    add_checks(database.pool(), "web1", 5, 3600, Past::Healthy).await;
    sqlx::raw_sql(
        "insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600), ('chat', 'http', 3600);
         insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status)
             select 'check', 1, n, 'web1', 'check_' || n, 1, 2 from generate_series(1, 5) n;
         insert into notifications (alert_id, channel, kind, dedup_key, attempts, next_attempt_at, waits_until)
             values (1, 'pager', 'trigger', 'put off', 3, now() + interval '5 min', null),
                    (2, 'pager', 'trigger', 'soon', 1, now() + interval '5 s', null),
                    (3, 'pager', 'trigger', 'asked', 1, now() + interval '5 min', now() + interval '5 min'),
                    (4, 'pager', 'trigger', 'held in a burst', 0, now() + interval '11 s', null),
                    (5, 'chat', 'trigger', 'another', 3, now() + interval '5 min', null);",
    )
    .execute(database.pool())
    .await
    .expect("the tables are as expected");
    let hurried = notifications::hurry(database.pool(), "pager").await;
    assert_eq!(hurried.expect("the database answers"), 1);
    let soon = rows(
        database.pool(),
        "select dedup_key from notifications where next_attempt_at <= now() + interval '10 s' order by 1",
    )
    .await;
    assert_eq!(soon, ["put off", "soon"]);

    // one that is not taken itself is not tried all the time because others are
    let put_off = async || {
        let put_off = "update notifications set next_attempt_at = now() + interval '5 min' where dedup_key = 'put off'";
        sqlx::query(put_off)
            .execute(database.pool())
            .await
            .expect("the table is as expected");
        notifications::hurry(database.pool(), "pager")
            .await
            .expect("the database answers")
    };
    assert_eq!(put_off().await, 0);
    sqlx::query("update notifications set hurried_at = hurried_at - interval '10 min'")
        .execute(database.pool())
        .await
        .expect("the table is as expected");
    assert_eq!(put_off().await, 1);
}
