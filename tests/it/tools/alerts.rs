//! `stalkerd alerts`: the stories of an alert that was told, of one that was not, and of one that nobody took.

use stalker_tests::agent::Agent;
use stalker_tests::api::Api;
use stalker_tests::fixture::{Past, add_checks};
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::until_seen;

use super::*;

const CHECK: &str = "check_a";

struct Stage {
    database: TestDatabase,
    api: Api,
    agent: Agent,
    _all: Component,
}

impl Stage {
    async fn start(configure: impl FnOnce(Installation) -> Installation) -> Self {
        let database = TestDatabase::new().await;
        let all = configure(Installation::new(&database).set("alerts.alert_threshold", 1))
            .start("all")
            .await;
        Self {
            api: all.api(),
            agent: Agent::start(CHECK_KEY).await,
            _all: all,
            database,
        }
    }

    async fn fail(&self) {
        self.agent.answer(CHECK, 2, "CRITICAL - \u{1b}[31mbroken");
        self.api
            .register_simulated(&self.agent, "web1", &[CHECK], 1)
            .await;
    }

    /// Waits until the story of alert 1, but for its times, is this: of each event the beginning.
    async fn story(&self, expected: &[&str]) {
        let look = async || {
            let (_, said) = run(&self.database, &["alerts", "explain", "1"]).await;
            let rows = table(&said);
            rows.iter()
                .map(|row| row.get(1..).unwrap_or_default().join(" "))
                .collect::<Vec<_>>()
        };
        until_seen(&format!("{expected:#?}"), PATIENCE, look, |story| {
            story.len() == expected.len()
                && story
                    .iter()
                    .zip(expected)
                    .all(|(line, begin)| line.starts_with(begin))
        })
        .await;
    }
}

const OPENED: &str =
    "- opened check check_a on web1, priority 1, critical: CRITICAL - \\u{1b}[31mbroken";

#[tokio::test]
async fn a_told_alert() {
    let pager = Receiver::start().await;
    let stage = Stage::start(|i| i.channel("pager", pager.url())).await;
    stage.fail().await;
    let told = [
        OPENED,
        "pager target no routes: every channel",
        "pager owed trigger 1",
        "pager attempt trigger 1, attempt 1: accepted, HTTP 200, ",
    ];
    stage
        .story(&[&told[..], &["pager waits repeat due at 20"]].concat())
        .await;
    let listed = stalkerd(&stage.database, &["alerts"]).await;
    let listed = &table(&listed)[0];
    assert_eq!(listed[..5], ["1", "check", "web1", CHECK, "critical"]);
    assert_eq!(listed[6..], ["-", "-"]);

    stage.agent.answer(CHECK, 0, "OK");
    let end = [
        "- changed ok: OK",
        "pager owed resolve 1",
        "- closed recovered",
        "pager attempt resolve 1, attempt 1: accepted, HTTP 200, ",
    ];
    stage.story(&[&told[..], &end].concat()).await;
    let listed = stalkerd(&stage.database, &["alerts", "list"]).await;
    assert!(table(&listed).is_empty(), "{listed}");
}

#[tokio::test]
async fn an_alert_in_maintenance() {
    let pager = Receiver::start().await;
    let stage = Stage::start(|i| i.channel("pager", pager.url())).await;
    let add = [
        "maintenance",
        "add",
        "--host",
        "web*",
        "--for",
        "1h",
        "--author",
        "ann",
        "--reason",
        "new disks",
    ];
    stalkerd(&stage.database, &add).await;
    stage.fail().await;
    let words = "maintenance 1 by ann until 20";
    let suppressed = [
        OPENED,
        "pager target no routes: every channel",
        &format!("- suppressed {words}"),
    ];
    stage
        .story(
            &[
                &suppressed[..],
                &[&format!("pager waits suppressed: {words}")],
            ]
            .concat(),
        )
        .await;
    let listed = stalkerd(&stage.database, &["alerts"]).await;
    assert_eq!(table(&listed)[0][6], "maintenance");

    stalkerd(&stage.database, &["maintenance", "end", "1"]).await;
    let look = async || {
        let told = stalkerd(&stage.database, &["alerts", "explain", "1"]).await;
        let mut events: Vec<String> = table(&told).iter().map(|row| row[2].to_owned()).collect();
        // the same duty does both, one after the other
        events[3..].sort();
        events
    };
    until_seen("it is told at the end", PATIENCE, look, |events| {
        *events
            == [
                "opened",
                "target",
                "suppressed",
                "attempt",
                "not suppressed",
                "owed",
                "waits",
            ]
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter() {
    let (pager, mail) = tokio::join!(Receiver::start(), Receiver::start());
    pager.answer_next([400]);
    let stage = Stage::start(|i| {
        i.channel("pager", pager.url())
            .channel("mail", mail.url())
            .set("channels.pager.fallback", "mail")
            .set(
                "routes",
                vec![toml::Value::Table(toml::toml! { channels = ["pager"] })],
            )
    })
    .await;
    stage.fail().await;
    stage
        .story(&[
            OPENED,
            "pager target route 1",
            "pager owed trigger 1",
            "pager attempt trigger 1, attempt 1: ",
            "mail target fallback of pager",
            "mail owed trigger 1",
            "pager refused trigger 1: ",
            "mail attempt trigger 1, attempt 1: accepted, HTTP 200, ",
            "mail waits repeat due at 20",
            "pager waits repeat due at 20",
        ])
        .await;
    let said = stalkerd(&stage.database, &["doctor"]).await;
    let dead = said.lines().last().unwrap_or_default();
    assert!(
        dead.contains("notification 1 of alert 1, pager: trigger 1 was refused"),
        "{said}"
    );
    let said = refused(&stage.database, &["alerts", "explain", "7"]).await;
    assert!(
        said.contains("there is no alert 7") && said.lines().count() == 1,
        "{said}"
    );
}

#[tokio::test]
async fn an_alert_that_concerns_nobody() {
    let stage = Stage::start(|i| i).await;
    stage.fail().await;
    stage
        .story(&[OPENED, "- waits no target: no channel is configured"])
        .await;
}

#[tokio::test]
async fn a_channel_that_no_route_leads_to() {
    let (pager, mail) = tokio::join!(Receiver::start(), Receiver::start());
    let stage = Stage::start(|i| {
        i.channel("pager", pager.url())
            .channel("mail", mail.url())
            .set(
                "routes",
                vec![toml::Value::Table(toml::toml! { channels = ["pager"] })],
            )
    })
    .await;
    stage.fail().await;
    let told = [
        OPENED,
        "pager target route 1",
        "pager owed trigger 1",
        "pager attempt trigger 1, attempt 1: accepted, HTTP 200, ",
    ];
    let now = [
        "mail not a target no route leads there",
        "pager waits repeat due at 20",
    ];
    stage.story(&[&told[..], &now].concat()).await;

    // of what is over it is no news, and of a channel that is gone neither
    stage.agent.answer(CHECK, 0, "OK");
    let end = [
        "- changed ok: OK",
        "pager owed resolve 1",
        "- closed recovered",
        "pager attempt resolve 1, attempt 1: accepted, HTTP 200, ",
    ];
    stage.story(&[&told[..], &end].concat()).await;
}

/// Told by hand, since a real flood takes a minute to end: one member was handed back, one is held, one flaps.
#[tokio::test]
async fn alerts_of_a_flood() {
    let database = TestDatabase::new().await;
    add_checks(database.pool(), "web1", 3, 300, Past::Healthy).await;
    execute(
        database.pool(),
        "insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600);
         insert into alerts (kind, host_id, hostname, priority, threshold, window_s, takes_in, closed_at, close_reason)
             values ('flood', 1, 'web1', 1, 5, 60, false, now(), 'over'), ('flood', 1, 'web1', 1, 5, 60, true, null, null);
         insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, parent_id)
             values ('check', 1, 1, 'web1', 'check_1', 1, 2, null), ('check', 1, 2, 'web1', 'check_2', 1, 2, 2), ('check', 1, 3, 'web1', 'check_3', 1, 2, null);
         insert into suppressions (alert_id, reason, began_at, ended_at)
             select alert_id, 'flood', opened_at, case when alert_id = 3 then (select closed_at from alerts where alert_id = 1) end
             from alerts where alert_id in (3, 4);
         insert into alert_targets (alert_id, channel, why) select alert_id, 'pager', 'route 1' from alerts where kind = 'check';
         update check_state set flap_until = '2999-01-01T00:00:00Z' where check_id = 3;
         update check_state set owner = 'ann' where check_id = 1;",
    )
    .await;
    let story = async |id: &'static str| {
        let said = stalkerd(&database, &["alerts", "explain", id]).await;
        let told = table(&said);
        let told = told.iter().map(|row| row[2..].join(" "));
        told.collect::<Vec<_>>().join("\n")
    };
    let handed_back = story("3").await;
    assert!(
        handed_back.contains("suppressed flood: alert 1 stands for this one"),
        "{handed_back}"
    );
    assert!(
        handed_back.ends_with("waits trigger is owed; the scheduler adds it within a second"),
        "{handed_back}"
    );
    let held = story("4").await;
    assert!(
        held.ends_with("waits suppressed: flood: alert 2 stands for this one"),
        "{held}"
    );
    let flaps = story("5").await;
    assert!(
        flaps.ends_with("waits suppressed: flapping until 2999-01-01T00:00:00Z"),
        "{flaps}"
    );
    let flood = story("2").await;
    assert!(
        flood.contains("opened flood of web1, priority 1, 1 open members"),
        "{flood}"
    );

    execute(
        database.pool(),
        "insert into notifications (alert_id, channel, kind, dedup_key, state, attempts, settled_at) values (3, 'pager', 'trigger', 'a', 'accepted', 1, now());
         insert into notifications (alert_id, channel, kind, dedup_key) values (4, 'pager', 'trigger', 'b'), (5, 'pager', 'trigger', 'b');
         update alerts set parent_id = null; update check_state set flap_until = null;",
    )
    .await;
    let owned = story("3").await;
    assert!(
        owned.ends_with("waits no repeat while it is owned by ann"),
        "{owned}"
    );
    let next = story("4").await;
    assert!(
        next.contains("waits next attempt of trigger 1 at 20"),
        "{next}"
    );
    let behind = story("5").await;
    assert!(
        behind.ends_with("waits trigger 1 waits for the end of notification 2, of the same key"),
        "{behind}"
    );
}
