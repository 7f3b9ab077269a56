//! How much a target takes: a bucket of tokens that everybody shares who sends with the same key.

use stalker_db::notifications::{self, Rate, SecretIds};
use stalker_tests::fixture::{Past, add_checks};
use stalker_tests::stage::{PAGER, Stage, http_channel};

use super::*;
use crate::model::clock;

/// Leads where the pager does, with the same key.
const TWIN: &str = "twin";
/// Without a rate.
const CHAT: &str = "chat";
const PER_MINUTE: f64 = 60.0;
/// A tenth of what a minute takes.
const BURST: f64 = 6.0;
const CHECKS: usize = 20;
/// The clock moves a thousand times slower than ours, but it moves.
const DRIFT_S: f64 = 0.5;
/// In a burst a trigger waits so long for a flood.
const HOLD_S: i64 = 11;

/// Two workers tell two channels with one key: in no time more than a full bucket and what it fills by, and yet no less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_shared_by_all_who_have_its_key() {
    let mut stage = stage().await;
    let checks = stage.hosts_with(CHECKS / 5, 5).await;
    stage.fail(&checks);
    stage.run(&checks).await;
    clock::push(stage.pool(), HOLD_S).await;
    // without a rate all are told at once
    let told = async || stage.receivers[CHAT].accepted().len();
    until_seen("the chat is told", PATIENCE, told, |n| *n == CHECKS).await;

    let mut steps = 0;
    for seconds in [1, 2, 1, 5, 3].into_iter().cycle() {
        until_empty(&stage).await;
        if waiting(&stage).await == 0 {
            break;
        }
        clock::push(stage.pool(), seconds).await;
        steps += seconds;
        assert!(steps < 60, "they are told much later than they could be");
    }
    let times = sent(&stage).await;
    assert_eq!(times.len(), 2 * CHECKS);
    never_too_many(&times);
    assert_eq!(stage.receivers[PAGER].received().len(), 2 * CHECKS);

    // after a rest the bucket is full, and not fuller
    clock::push(stage.pool(), 300).await;
    stage.recover(&checks);
    stage.run(&checks).await;
    until_empty(&stage).await;
    let times = sent(&stage).await;
    let after = times.len() - 2 * CHECKS;
    assert_eq!(after as f64, BURST, "sent at once after a rest");
    never_too_many(&times);
    let buckets = "select count(*) from send_rates";
    assert_eq!(stage.count(buckets).await, 1, "the chat has none");
}

/// Receivers count each key for itself: the less urgent does not take the place of the urgent.
#[tokio::test]
async fn each_key_has_its_own_bucket() {
    let database = TestDatabase::new().await;
    add_checks(database.pool(), "web1", 6, 3600, Past::Healthy).await;
    sqlx::raw_sql("insert into channels (name, provider, repeat_s) values ('pager', 'pagerduty', 3600);
             insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status)
                 select 'check', 1, n, 'web1', 'check_' || n, 1 + n % 2, 2 from generate_series(1, 6) n;
             insert into alert_targets (alert_id, channel, why) select alert_id, 'pager', '' from alerts;
             insert into notifications (alert_id, channel, kind, dedup_key) select alert_id, 'pager', 'trigger', alert_id from alerts;").execute(database.pool()).await.expect("the tables are as expected");
    let ids = SecretIds {
        of_today: [Some("one".to_owned()), Some("two".to_owned())],
        known: vec!["one".to_owned(), "two".to_owned()],
    };
    let rate = Rate {
        key: "pagerduty".to_owned(),
        per_s: 1e-9,
        burst: 2.0,
    };
    let claim = async |lease: i64| {
        let taken =
            notifications::claim_due(database.pool(), "pager", &ids, Some(&rate), 10, lease, 60)
                .await;
        let taken = taken.expect("the database answers");
        taken
            .iter()
            .map(|n| (n.priority, n.secret_id.clone().unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    let mut taken = claim(1).await;
    taken.sort_unstable();
    let [one, two] = [(1, "one".to_owned()), (2, "two".to_owned())];
    assert_eq!(taken, [one.clone(), one, two.clone(), two]);
    assert_eq!(claim(2).await, []);
    let written = async || {
        rows(
            database.pool(),
            "select xmin::text from send_rates order by rate_key",
        )
        .await
    };
    let before = written().await;
    assert_eq!(before.len(), 2);
    assert_eq!(claim(3).await, []);
    // asked often, and has nothing: that is no reason to write. A lock is not seen in xmin.
    assert_eq!(written().await, before);
}

async fn stage() -> Stage {
    let mut stage = Stage::direct(&[PAGER, CHAT], |config| {
        config.thresholds.alert_threshold = 1;
    })
    .await;
    stage.workers.remove(0).stop().await;
    clock::slow_down(stage.pool()).await;
    for name in [PAGER, TWIN] {
        let mut channel = http_channel(stage.receivers[PAGER].url());
        channel.rate_per_minute = Some(PER_MINUTE);
        stage.config.channels.insert(name.to_owned(), channel);
    }
    stage.start_worker();
    stage.start_worker();
    let known = async || stage.count("select count(*) from channels").await;
    until_seen("the channels are known", PATIENCE, known, |n| *n == 3).await;
    stage
}

/// Of the two channels.
async fn waiting(stage: &Stage) -> i64 {
    let waiting = "select count(*) from notifications where channel <> 'chat' and state in ('pending', 'sending')";
    stage.count(waiting).await
}

/// Waits until all tokens are spent, or nothing is left to be told.
async fn until_empty(stage: &Stage) {
    let seen = async || -> (i64, i64, f64) {
        sqlx::query_as(
            "select count(*) filter (where state = 'sending'), count(*),
                    coalesce((select tokens + extract(epoch from now() - refilled_at)::float8 * $1 / 60 from send_rates), 1)
             from notifications where channel <> 'chat' and state in ('pending', 'sending')",
        )
        .bind(PER_MINUTE)
        .fetch_one(stage.pool())
        .await
        .expect("the tables are as expected")
    };
    let is_done =
        |(sending, left, tokens): &(i64, i64, f64)| *sending == 0 && (*left == 0 || *tokens < 1.0);
    until_seen("the bucket is empty", PATIENCE, seen, is_done).await;
}

/// When the two channels were told, in seconds of the stage.
async fn sent(stage: &Stage) -> Vec<f64> {
    sqlx::query_scalar(
        "select extract(epoch from began_at)::float8 from attempts join notifications using (notification_id)
         where channel <> 'chat' order by 1",
    )
    .fetch_all(stage.pool())
    .await
    .expect("the tables are as expected")
}

fn never_too_many(times: &[f64]) {
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            let (n, window) = ((last - first + 1) as f64, to - from);
            let most = BURST + (window + DRIFT_S) * PER_MINUTE / 60.0;
            assert!(n <= most, "{n} in {window} s: {times:?}");
        }
    }
}
