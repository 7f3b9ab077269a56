//! `stalkerd doctor`: well when all is well, and every question shown to find what was broken by hand.

use futures::{StreamExt, stream};
use stalker_tests::agent::Agent;
use stalker_tests::fixture::{Past, add_checks};
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{CHECK_KEY, Installation};
use stalker_tests::until::until_seen;

use super::*;

/// Two checks, the first with an open alert that was told; and one of the second that is over, and resolved.
const WELL: &str = "
    update duties set due_at = now() + interval '1 hour';
    insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600), ('mail', 'http', 3600);
    update check_state set hard = true, status = 2, fails = 3 where check_id = 1;
    insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, opened_at)
        values ('check', 1, 1, 'web1', 'check_1', 1, 2, now() - interval '1 hour'), ('check', 1, 2, 'web1', 'check_2', 1, 2, now() - interval '1 hour');
    update alerts set closed_at = now() - interval '5 min', close_reason = 'recovered' where alert_id = 2;
    insert into alert_targets (alert_id, channel, why) values (1, 'pager', 'route 1'), (2, 'pager', 'route 1');
    insert into notifications (alert_id, channel, kind, dedup_key, state, attempts, created_at, settled_at, may_have_arrived)
        values (1, 'pager', 'trigger', 'a', 'accepted', 1, now() - interval '1 hour', now() - interval '59 min', true),
               (2, 'pager', 'trigger', 'b', 'accepted', 1, now() - interval '1 hour', now() - interval '59 min', true),
               (2, 'pager', 'resolve', 'b', 'accepted', 1, now() - interval '5 min', now() - interval '4 min', true);
    insert into attempts (notification_id, n, began_at, ended_at, may_have_arrived)
        select notification_id, 1, settled_at, settled_at, true from notifications;";

/// And a flood that is open with the alert as its member.
const FLOOD: &str = "
    insert into alerts (kind, host_id, hostname, priority, threshold, window_s, takes_in) values ('flood', 1, 'web1', 1, 1, 60, false);
    insert into alert_targets (alert_id, channel, why) values (3, 'pager', 'target of a member');
    update alerts set parent_id = 3 where alert_id = 1;";

/// A database on which no component runs, with what `damage` did to it.
async fn damaged(damage: &'static str) -> TestDatabase {
    let database = TestDatabase::new().await;
    add_checks(database.pool(), "web1", 2, 3600, Past::Healthy).await;
    execute(database.pool(), WELL).await;
    execute(database.pool(), damage).await;
    database
}

/// What the doctor calls broken, and whether it failed.
async fn broken(database: &TestDatabase) -> (Vec<String>, String) {
    let (succeeded, said) = run(database, &["doctor"]).await;
    let broken: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("BROKEN  "))
        .map(str::to_owned)
        .collect();
    assert_eq!(succeeded, broken.is_empty(), "{said}");
    (broken, said)
}

#[tokio::test]
async fn an_empty_database_is_well() {
    let (broken, said) = broken(&TestDatabase::new().await).await;
    assert!(broken.is_empty(), "{said}");
    assert!(said.contains("owed now: nothing"), "{said}");
}

#[tokio::test]
async fn every_damage_is_found_and_nothing_else() {
    let damages = [
        ("", ""),
        (
            "update check_state set due_at = now() - interval '5 min', last_at = now() - interval '2 min'",
            "workers run what is due",
        ),
        (
            "update duties set due_at = now() - interval '5 min' where name = 'sweep'",
            "schedulers do their duties",
        ),
        (
            "update duties set last_error = 'no room' where name = 'sweep'",
            "schedulers do their duties",
        ),
        (
            "update check_state set lease = 1, leased_until = now() - interval '5 min'",
            "no check's lease is older than allowed",
        ),
        (
            "update check_state set lease = 1, leased_until = now() + interval '2 hours'",
            "no check's lease is older than allowed",
        ),
        (
            "update notifications set state = 'sending', settled_at = null, leased_until = now() - interval '5 min' where notification_id = 1",
            "no notification's lease is older than allowed",
        ),
        (
            "update notifications set state = 'sending', settled_at = null, leased_until = now() + interval '2 hours' where notification_id = 1",
            "no notification's lease is older than allowed",
        ),
        (
            "update notifications set state = 'pending', settled_at = null, next_attempt_at = now() - interval '5 min' where notification_id = 1",
            "notifications are sent when they are due",
        ),
        (
            "delete from notifications where kind = 'resolve'",
            "what is over is resolved within a minute",
        ),
        (
            "update notifications set state = 'pending', settled_at = null where kind = 'resolve'",
            "what is over is resolved within a minute",
        ),
        // a channel that takes one after the other has a queue
        (
            "update notifications set state = 'pending', settled_at = null, next_attempt_at = now() - interval '5 min' where notification_id = 1;
             update notifications set settled_at = now() where kind = 'resolve'",
            "",
        ),
        (
            "update channels set disabled_at = now(), disabled_why = 'HTTP 410' where name = 'mail'",
            "no channel is disabled",
        ),
        // one cause is one finding: nothing is sent there, neither a trigger nor a resolve
        (
            "update channels set disabled_at = now(), disabled_why = 'HTTP 410' where name = 'pager';
             update notifications set state = 'pending', settled_at = null, next_attempt_at = now() - interval '5 min' where notification_id in (1, 3)",
            "no channel is disabled",
        ),
        (
            "update channels set disabled_at = now(), disabled_why = 'HTTP 410', retired_at = now() where name = 'mail'",
            "",
        ),
        (
            "update notifications set dedup_key = 'b'; update notifications set settled_at = now() where notification_id = 1",
            "notifications of a key are sent in their order",
        ),
        (
            "update notifications set settled_at = now() where notification_id = 2",
            "notifications of a key are sent in their order",
        ),
        (
            "update check_state set hard = true",
            "a check is hard exactly while its alert is open",
        ),
        (
            "update check_state set hard = false",
            "a check is hard exactly while its alert is open",
        ),
        (
            "update check_state set removed = true, hard = false",
            "every open alert has its check, host or cluster",
        ),
        (
            "delete from check_state where check_id = 1",
            "every open alert has its check, host or cluster",
        ),
        (
            "insert into alerts (kind, host_id, hostname, priority) values ('host', 7, 'gone', 1)",
            "every open alert has its check, host or cluster",
        ),
        (
            "insert into alerts (kind, hostname, priority) values ('cluster', 'gone', 1)",
            "every open alert has its check, host or cluster",
        ),
        // it has an alert, which is told
        (
            "insert into clusters (cluster, failing_since, error) values ('west', now(), 'no answer')",
            "",
        ),
        (
            "insert into clusters (cluster, answered_at, error) values ('west', now(), 'HTTP 403')",
            "other clusters let our key in, and are called what they call themselves",
        ),
    ];
    let disagree = "floods agree with their members";
    let floods = [
        ("", ""),
        ("update alerts set parent_id = null", disagree),
        (
            "update alerts set closed_at = now(), close_reason = 'over', is_settled = true where kind = 'flood'",
            disagree,
        ),
        (
            "update alerts set priority = 2 where kind = 'flood'",
            disagree,
        ),
        (
            "insert into alert_targets (alert_id, channel, why) values (1, 'mail', 'route 2')",
            disagree,
        ),
        // few members are open, and the others recover just now: it waits for these few as well
        (
            "update alerts set threshold = 2 where kind = 'flood';
             update alerts set parent_id = 3, closed_at = now() - interval '30 s' where alert_id = 2",
            "",
        ),
        (
            "update alerts set threshold = 2 where kind = 'flood';
             update alerts set parent_id = 3, closed_at = now() - interval '70 s' where alert_id = 2",
            disagree,
        ),
    ];
    let without = damages.map(|(damage, expected)| ("", damage, expected));
    let with = floods.map(|(damage, expected)| (FLOOD, damage, expected));
    stream::iter(without.into_iter().chain(with))
        .map(|(flood, damage, expected)| finds(flood, damage, expected))
        .buffer_unordered(4)
        .collect::<()>()
        .await;
}

async fn finds(flood: &'static str, damage: &'static str, expected: &str) {
    let database = damaged(flood).await;
    execute(database.pool(), damage).await;
    let (found, said) = broken(&database).await;
    let expected: Vec<&str> = Some(expected)
        .into_iter()
        .filter(|e| !e.is_empty())
        .collect();
    assert_eq!(found, expected, "{damage}\n{said}");
    let remedies = said.lines().filter(|line| line.contains("        -> "));
    assert_eq!(remedies.count(), expected.len(), "{said}");
    // what it says may be run as it stands; a lease that ran out is not one for it
    let remedy = said.split('`').find(|words| words.starts_with("update "));
    if let Some(remedy) = remedy.filter(|_| !damage.contains("leased_until = now() -")) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(remedy))
            .execute(database.pool())
            .await
            .unwrap_or_else(|error| panic!("{remedy}: {error}"));
        let (found, said) = broken(&database).await;
        assert!(found.is_empty(), "{damage}\n{remedy}\n{said}");
    }
}

/// One check and one notification are leased for too long, and two checks and two notifications for as long as may be:
/// the remedies are for the former.
#[tokio::test]
async fn a_remedy_is_for_what_was_found() {
    let database = damaged(
        "update check_state set lease = 1, leased_until = now() + case check_id when 1 then interval '2 hours' else interval '20 s' end;
         update notifications set state = 'sending', settled_at = null, lease = 1,
             leased_until = now() + case notification_id when 2 then interval '2 hours' else interval '20 s' end;
         insert into alerts (kind, host_id, hostname, priority) values ('host', 7, 'gone', 1), ('host', 1, 'web1', 1), ('host', 8, 'gone', 1);",
    )
    .await;
    let (_, said) = broken(&database).await;
    for remedy in [
        "leased_until > now() and check_id in (1)`",
        "leased_until > now() and notification_id in (2)`",
        "closed_at is null and alert_id in (3, 5)`",
    ] {
        assert!(said.contains(remedy), "{remedy}\n{said}");
    }
}

/// Somebody else's transaction: a minute is too long to wait here, so the question is asked with another time.
#[tokio::test]
async fn a_transaction_that_is_held_open_is_named() {
    let database = TestDatabase::new().await;
    let ask = async || {
        stalker_db::doctor::old_snapshots(database.pool(), 0)
            .await
            .expect("it can be asked")
    };
    assert!(ask().await.is_empty());
    let mut held = database.pool().begin().await.expect("one can be begun");
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut *held)
        .await
        .expect("it has a process");
    let found = ask().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].id, i64::from(pid));
    assert!(found[0].what.contains(&format!("process {pid} of user")));
    held.rollback().await.expect("it can be ended");
    assert!(ask().await.is_empty());
}

/// With everything running: while a problem is told, when it is over, and in a maintenance.
#[tokio::test]
async fn what_runs_is_well() {
    let pager = Receiver::start().await;
    let database = TestDatabase::new().await;
    let all = Installation::new(&database)
        .set("alerts.alert_threshold", 1)
        .channel("pager", pager.url())
        .start("all")
        .await;
    let agent = Agent::start(CHECK_KEY).await;
    let checks = ["check_a", "check_b"];
    agent.answer("check_a", 2, "CRITICAL - broken");
    all.api()
        .register_simulated(&agent, "web1", &checks, 1)
        .await;
    let told = async || pager.accepted().len();
    until_seen("it is told", PATIENCE, told, |n| *n == 1).await;
    let well = async || {
        let said = stalkerd(&database, &["doctor"]).await;
        assert!(!said.contains("BROKEN"), "{said}");
        assert!(said.contains("owed now: nothing"), "{said}");
    };
    well().await;

    let add = [
        "maintenance",
        "add",
        "--check",
        "check_b",
        "--for",
        "1h",
        "--reason",
        "x",
    ];
    stalkerd(&database, &add).await;
    agent.answer("check_a", 0, "OK");
    agent.answer("check_b", 1, "WARNING");
    until_seen("it is resolved", PATIENCE, told, |n| *n == 2).await;
    well().await;
}
