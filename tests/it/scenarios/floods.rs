//! Many problems at once: one page that stands for them. What is recorded together decides who is told before it is
//! seen that these are many, so most of these stages record what they run in one transaction.

use super::*;

/// Long enough for a burst's triggers, which wait to see whether a flood speaks for them.
const HOLD: Duration = Duration::from_secs(11);

fn triggers(checks: &[String]) -> Vec<String> {
    checks
        .iter()
        .map(|check| format!("trigger {check}"))
        .collect()
}

fn resolves(checks: &[String]) -> Vec<String> {
    checks
        .iter()
        .map(|check| format!("resolve {check}"))
        .collect()
}

/// No host has more than 5, so this is nothing of a host's. Ten are told before it is seen what happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_checks_fail_and_990_return() {
    let mut stage = Stage::direct(&[PAGER], |_| {}).await;
    let checks = stage.hosts_with(200, 5).await;
    let (first, rest) = checks.split_at(10);
    stage.record_concurrently(4, 60);

    stage.fail(&checks);
    stage.rounds(2, MINUTE / 3).await;
    stage.advance(MINUTE / 3).await;
    stage.run(first).await;
    stage.pages(&triggers(first)).await;
    stage.run_all().await;
    stage.advance(HOLD).await;
    let told = stage.new_pages().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].to_string(), "trigger flood");
    assert!(
        told[0]
            .text
            .starts_with("a flood of alerts: 990 are DOWN: "),
        "{}",
        told[0].text
    );

    stage.recover(rest);
    for part in rest.chunks(330) {
        stage.advance(MINUTE / 3).await;
        stage.run(part).await;
        stage.settle().await;
    }
    stage.minutes(2).await; // until then it would have taken in what comes next
    stage.pages(&["resolve flood"]).await;
    stage.recover(first);
    stage.minutes(1).await;
    stage.pages(&resolves(first)).await;
}

/// Over the whole way. What is told before the sixth alert depends on what is recorded together; the rest is one page.
#[tokio::test]
async fn sixty_checks_stay_broken_for_a_day() {
    let mut stage = Stage::new().await;
    stage.host_with("web1", 61).await;
    stage.host("web2", &["check_a"]).await;
    let (_, sixty): (Vec<String>, Vec<String>) = stage
        .checks_of("web1")
        .into_iter()
        .partition(|check| check == "web1/check_61");

    stage.fail(&sixty);
    stage.minutes(4).await;
    let told = stage.new_pages().await;
    let (flood, early): (Vec<String>, Vec<String>) = told
        .iter()
        .map(ToString::to_string)
        .partition(|page| page == "trigger flood of web1");
    assert_eq!(flood.len(), 1, "{told:?}");
    assert!(early.len() <= 5, "{early:?}");

    stage.rounds(2, 2 * HOUR).await;
    stage.no_pages().await;
    stage.fail(&["web1/check_61", "web2/check_a"]);
    stage.minutes(3).await;
    stage
        .pages(&["trigger web1/check_61", "trigger web2/check_a"])
        .await;
    stage.rounds(5, 4 * HOUR).await;
    stage.no_pages().await;

    stage.recover(&sixty);
    stage.recover(&["web1/check_61", "web2/check_a"]);
    stage.minutes(2).await;
    let mut ends: Vec<String> = early
        .iter()
        .map(|page| page.replace("trigger", "resolve"))
        .collect();
    ends.extend(
        [
            "resolve flood of web1",
            "resolve web1/check_61",
            "resolve web2/check_a",
        ]
        .map(str::to_owned),
    );
    stage.pages(&ends).await;
}

/// One returns whole. Of the other two checks stay broken, and stand alone once no other recovers.
#[tokio::test]
async fn floods_of_two_hosts() {
    let mut stage = Stage::direct(&[PAGER], |_| {}).await;
    let checks = stage.hosts_with(2, 8).await;
    let (web1, web2) = checks.split_at(8);

    stage.fail(&checks);
    stage.minutes(3).await;
    stage.advance(HOLD).await;
    stage
        .pages(&["trigger flood of web1", "trigger flood of web2"])
        .await;
    stage.minutes(5).await;
    stage.recover(web1);
    stage.recover(&web2[..6]);
    stage.minutes(1).await;
    stage.pages(&["resolve flood of web1"]).await;
    stage.minutes(2).await;
    stage
        .pages(&[
            "resolve flood of web2",
            "trigger web2/check_7",
            "trigger web2/check_8",
        ])
        .await;
    stage.recover(web2);
    stage.minutes(1).await;
    stage
        .pages(&["resolve web2/check_7", "resolve web2/check_8"])
        .await;
}

/// The old one no longer takes in when the second wave comes, and neither knows of the other.
#[tokio::test]
async fn a_second_flood_beside_an_old_one() {
    let mut stage = Stage::direct(&[PAGER], |c| c.thresholds.flood_threshold = 20).await;
    let checks = stage.hosts_with(13, 5).await;
    let (old, new) = (&checks[..30], &checks[30..60]);
    let alone = &checks[60..61];

    stage.fail(old);
    stage.minutes(3).await;
    stage.advance(HOLD).await;
    let first = stage.new_pages().await;
    stage.minutes(10).await;
    stage.fail(alone);
    stage.minutes(3).await;
    stage.pages(&triggers(alone)).await;
    stage.minutes(5).await;
    stage.fail(new);
    stage.minutes(3).await;
    stage.advance(HOLD).await;
    let second = stage.new_pages().await;
    for (flood, name) in [(&first, "web1,"), (&second, "web7,")] {
        assert_eq!(flood.len(), 1, "{flood:?}");
        assert_eq!(flood[0].to_string(), "trigger flood");
        let text = &flood[0].text;
        assert!(
            text.contains("30 are DOWN: check_1 on ") && text.contains(name),
            "{text}"
        );
    }
    assert_ne!(first[0].key, second[0].key);

    stage.recover(old);
    stage.minutes(5).await;
    let end = stage.new_pages().await;
    assert_eq!(end.len(), 1, "{end:?}");
    assert_eq!(
        (end[0].kind.as_str(), &end[0].key),
        ("resolve", &first[0].key)
    );
    stage.recover(&checks);
    stage.minutes(5).await;
    stage.pages(&["resolve flood", &resolves(alone)[0]]).await;
}

/// Hosts in maintenance are no part of it. What is still broken there when that ends stands alone.
#[tokio::test]
async fn a_flood_during_maintenance_of_half_its_hosts() {
    let mut stage = Stage::direct(&[PAGER], |c| c.thresholds.flood_threshold = 20).await;
    let checks = stage.hosts_with(12, 5).await;
    let (kept_up, worked_on) = checks.split_at(30);
    let at_work = ["web7", "web8", "web9", "web1?"];

    stage.maintain(&at_work, HOUR).await;
    stage.fail(&checks);
    stage.minutes(3).await;
    stage.advance(HOLD).await;
    let told = stage.new_pages().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].text.starts_with("a flood of alerts: 30 are DOWN: "),
        "{}",
        told[0].text
    );
    stage.recover(&worked_on[3..]);
    stage.minutes(5).await;
    stage.no_pages().await;

    stage.advance(HOUR).await;
    stage.pages(&triggers(&worked_on[..3])).await;
    stage.recover(kept_up);
    stage.minutes(5).await;
    stage.pages(&["resolve flood"]).await;
    stage.recover(worked_on);
    stage.minutes(1).await;
    stage.pages(&resolves(&worked_on[..3])).await;
}

/// A maintenance ends, and half of everything is still broken: that is one page and not forty.
#[tokio::test]
async fn a_maintenance_ends_on_many_broken_checks() {
    let mut stage = Stage::direct(&[PAGER], |c| c.thresholds.flood_threshold = 20).await;
    let checks = stage.hosts_with(8, 5).await;
    stage.maintain(&["*"], HOUR).await;
    stage.fail(&checks);
    stage.minutes(5).await;
    stage.no_pages().await;

    stage.advance(HOUR).await; // without a run
    stage.no_pages().await; // it is held, as in any burst
    stage.advance(HOLD).await;
    let told = stage.new_pages().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].text.starts_with("a flood of alerts: 40 are DOWN: "),
        "{}",
        told[0].text
    );
    stage.recover(&checks[1..]);
    stage.minutes(10).await;
    stage
        .pages(&["resolve flood", &triggers(&checks[..1])[0]])
        .await;
    stage.recover(&checks);
    stage.minutes(1).await;
    stage.pages(&resolves(&checks[..1])).await;
}

/// Nobody was told of it, so nobody is told of its end; the flood lasts.
#[tokio::test]
async fn a_check_is_removed_while_it_is_a_member() {
    let mut stage = Stage::direct(&[PAGER], |_| {}).await;
    let checks = stage.hosts_with(1, 8).await;
    stage.fail(&checks);
    stage.minutes(3).await;
    stage.advance(HOLD).await;
    stage.pages(&["trigger flood of web1"]).await;

    stage.remove("web1/check_8").await;
    stage.minutes(5).await;
    stage.no_pages().await;
    let closed =
        "select count(*) from alerts where close_reason = 'removed' and check_name = 'check_8'";
    assert_eq!(stage.count(closed).await, 1);
    stage.recover(&checks);
    stage.minutes(2).await;
    stage.pages(&["resolve flood of web1"]).await;
}

/// A flood concerns whom its members concern, and each channel reads of its own.
#[tokio::test]
async fn each_channel_is_told_of_its_own_members() {
    let mut stage = Stage::direct(&[PAGER, "chat"], |config| {
        let of_one = Match {
            check: Some(vec!["check_1".to_owned()]),
            ..Match::default()
        };
        config.routes = vec![
            Route {
                matches: of_one,
                channels: vec!["chat".to_owned()],
                continues: true,
            },
            route(PAGER),
        ];
    })
    .await;
    let checks = stage.hosts_with(1, 8).await;
    stage.fail(&checks);
    stage.minutes(3).await;
    stage.advance(HOLD).await;
    let mut told = stage.new_pages().await;
    told.sort_by(|a, b| a.channel.cmp(&b.channel));
    let told: Vec<_> = told
        .iter()
        .map(|page| (page.channel.as_str(), page.text.as_str()))
        .collect();
    let all = "check_1 on web1, check_2 on web1, check_3 on web1, check_4 on web1, check_5 on web1, \
               check_6 on web1, check_7 on web1, check_8 on web1";
    let expected = [
        (
            "chat",
            "a flood of alerts on web1: 1 is DOWN: check_1 on web1".to_owned(),
        ),
        (
            "pager",
            format!("a flood of alerts on web1: 8 are DOWN: {all}"),
        ),
    ];
    assert_eq!(
        told,
        expected
            .each_ref()
            .map(|(channel, text)| (*channel, text.as_str()))
    );

    stage.recover(&checks);
    stage.minutes(2).await;
    stage
        .pages(&["resolve flood of web1", "chat: resolve flood of web1"])
        .await;
}
