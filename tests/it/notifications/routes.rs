//! Which channels an alert concerns: routes, asked when it opens and when it gets worse (decision 5).

use stalker_db::channels::{Channel, put_configured};
use stalker_db::routes::Route;
use stalker_tests::receiver::Receiver;

use super::*;

/// Each matcher, lists and globs, what ends the search, and what nobody configured.
#[tokio::test]
async fn the_first_route_that_matches_decides() {
    let table = Table::new().await;
    let oncall = || Route {
        channels: vec!["oncall".to_owned()],
        ..Route::default()
    };
    let mail = || Route {
        channels: vec!["mail".to_owned()],
        ..Route::default()
    };
    let list = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect());
    let check = async |routes: &[Route], expected: &[&str]| table.check(routes, expected).await;

    // the alerts: db1 (role db): disk critical, priority 1; web_1 (roles web, edge): load warning, priority 2; web_1 itself
    check(
        &[],
        &["db1/disk all all", "web_1/load all all", "web_1/ all all"],
    )
    .await;
    check(
        &[oncall()],
        &[
            "db1/disk oncall 1",
            "web_1/load oncall 1",
            "web_1/ oncall 1",
        ],
    )
    .await;
    check(
        &[
            Route {
                hosts: list(&["db?"]),
                ..oncall()
            },
            mail(),
        ],
        &["db1/disk oncall 1", "web_1/load mail 2", "web_1/ mail 2"],
    )
    .await;
    check(
        &[
            Route {
                hosts: list(&["db*"]),
                continues: true,
                ..oncall()
            },
            mail(),
        ],
        &[
            "db1/disk mail 2 oncall 1",
            "web_1/load mail 2",
            "web_1/ mail 2",
        ],
    )
    .await;
    // _ and % are only characters
    check(
        &[Route {
            hosts: list(&["web%", "web?", "w_b_1"]),
            ..oncall()
        }],
        &[],
    )
    .await;
    check(
        &[Route {
            hosts: list(&["web_1"]),
            ..oncall()
        }],
        &["web_1/load oncall 1", "web_1/ oncall 1"],
    )
    .await;
    check(
        &[Route {
            roles: list(&["nothing", "ed*"]),
            ..oncall()
        }],
        &["web_1/load oncall 1", "web_1/ oncall 1"],
    )
    .await;
    check(
        &[Route {
            checks: list(&["disk"]),
            ..oncall()
        }],
        &["db1/disk oncall 1"],
    )
    .await;
    check(
        &[Route {
            checks: list(&["*"]),
            ..oncall()
        }],
        &[
            "db1/disk oncall 1",
            "web_1/load oncall 1",
            "web_1/ oncall 1",
        ],
    )
    .await;
    check(
        &[Route {
            kinds: list(&["http"]),
            ..oncall()
        }],
        &[],
    )
    .await;
    check(
        &[Route {
            kinds: list(&["agent"]),
            ..oncall()
        }],
        &[
            "db1/disk oncall 1",
            "web_1/load oncall 1",
            "web_1/ oncall 1",
        ],
    )
    .await;
    check(
        &[Route {
            priorities: Some(vec![1]),
            ..oncall()
        }],
        &["db1/disk oncall 1", "web_1/ oncall 1"],
    )
    .await;
    check(
        &[Route {
            statuses: list(&["critical", "unreachable"]),
            ..oncall()
        }],
        &["db1/disk oncall 1", "web_1/ oncall 1"],
    )
    .await;
    // all of a route must match
    check(
        &[Route {
            hosts: list(&["db1"]),
            statuses: list(&["warning"]),
            ..oncall()
        }],
        &[],
    )
    .await;
    // the second is not reached, the third is no more
    check(
        &[
            Route {
                continues: true,
                ..oncall()
            },
            mail(),
            Route {
                channels: vec!["sms".to_owned()],
                ..Route::default()
            },
        ],
        &[
            "db1/disk mail 2 oncall 1",
            "web_1/load mail 2 oncall 1",
            "web_1/ mail 2 oncall 1",
        ],
    )
    .await;
}

/// A warning concerns one channel. Critical, it concerns another one as well, and nobody is told again; both hear its end.
#[tokio::test]
async fn a_worse_alert_concerns_further_channels() {
    let (mail, oncall) = (Receiver::start().await, Receiver::start().await);
    let stage = Stage::start(|i| {
        i.channel("mail", mail.url()).channel("oncall", oncall.url()).set(
            "routes",
            routes(r#"[{ match = { status = "critical" }, channels = ["oncall"], continue = true }, { channels = ["mail"] }]"#),
        )
    })
    .await;
    stage.agent.answer("check_a", 1, "WARNING - filling");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger accepted 1"]).await;
    stage.fail("check_a");
    stage
        .told(&["trigger accepted 1", "trigger accepted 1"])
        .await;
    // better, and worse again: nothing new
    stage.agent.answer("check_a", 1, "WARNING - filling");
    stage.seen("check_a", "warning").await;
    stage.fail("check_a");
    stage.seen("check_a", "critical").await;
    stage
        .stays_told(&["trigger accepted 1", "trigger accepted 1"])
        .await;

    stage.recover("check_a");
    for receiver in [&mail, &oncall] {
        let told = receiver.settled(2, QUIET).await;
        assert_eq!(
            [told[0].text("event_type"), told[1].text("event_type")],
            ["trigger", "resolve"]
        );
    }
    let why = rows(
        stage.pool(),
        "select concat_ws(': ', channel, why) from alert_targets order by 1",
    )
    .await;
    assert_eq!(why, ["mail: route 2", "oncall: route 1"]);
}

/// Edited routes hold for new alerts. Those that are open are told nothing new until somebody says so; who was told
/// hears the end.
#[tokio::test]
async fn edited_routes_change_open_alerts_only_when_reapplied() {
    let (mail, oncall) = (Receiver::start().await, Receiver::start().await);
    let mut stage = Stage::start(|i| {
        i.channel("mail", mail.url())
            .channel("oncall", oncall.url())
            .set("routes", routes(r#"[{ channels = ["mail"] }]"#))
    })
    .await;
    stage.fail("check_a");
    stage.register(&["check_a"]).await;
    stage.told(&["trigger accepted 1"]).await;

    stage
        .restart(|i| i.set("routes", routes(r#"[{ channels = ["oncall"] }]"#)))
        .await;
    stage.stays_told(&["trigger accepted 1"]).await;
    assert!(oncall.received().is_empty());

    let said = stage.stalkerd(&["routes", "reapply"]).await;
    assert!(said.contains("1 further channels; 0 that"), "{said}");
    stage
        .told(&["trigger accepted 1", "trigger accepted 1"])
        .await;
    let said = stage.stalkerd(&["routes", "reapply"]).await;
    assert!(said.contains("0 further channels; 0 that"), "{said}");

    stage.recover("check_a");
    for receiver in [&mail, &oncall] {
        let told = receiver.settled(2, QUIET).await;
        assert_eq!(told[1].text("event_type"), "resolve");
    }
}

pub(super) fn routes(list: &str) -> toml::Value {
    let table: toml::Table = format!("routes = {list}")
        .parse()
        .expect("a list of routes");
    table["routes"].clone()
}

/// Three alerts, and the rule that says whom they concern.
struct Table {
    database: TestDatabase,
}

impl Table {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        for sql in [
            "insert into hosts (hostname, ip, roles) values ('db1', '127.0.0.1', '{db}'), ('web_1', '127.0.0.1', '{web,edge}')",
            "insert into checks (host_id, name, declared_interval_s, declared_follow_up_s) select host_id, case hostname when 'db1' then 'disk' else 'load' end, 60, 60 from hosts",
            "insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status)
             select 'check', host_id, check_id, hostname, name, case name when 'disk' then 1 else 2 end, case name when 'disk' then 2 else 1 end
             from checks join hosts using (host_id) order by check_id",
            "insert into alerts (kind, host_id, hostname, priority) select 'host', host_id, hostname, 1 from hosts where hostname = 'web_1'",
        ] {
            sqlx::query(sql).execute(database.pool()).await.expect("the tables are as expected");
        }
        Self { database }
    }

    /// `host/check` and the channels with their routes, of the alerts that concern anybody.
    async fn check(&self, routes: &[Route], expected: &[&str]) {
        let names: &[&str] = if routes.is_empty() {
            &["all"]
        } else {
            &["mail", "oncall", "sms"]
        };
        let channel = |name: &&str| Channel {
            name: (*name).to_owned(),
            provider: "http".to_owned(),
            prefix: String::new(),
            stable_keys: false,
            repeat_s: 60,
            fallback: None,
            settings_id: String::new(),
            part_of: None,
            address: String::new(),
            takes_acknowledge: false,
        };
        let channels: Vec<Channel> = names.iter().map(channel).collect();
        put_configured(self.database.pool(), &channels, routes)
            .await
            .expect("they can be put");
        let found = rows(
            self.database.pool(),
            "select a.hostname || '/' || a.check_name || ' ' || string_agg(r.channel || ' ' || regexp_replace(r.why, 'route |no routes: every channel', case when r.why like 'no%' then 'all' else '' end), ' ' order by r.channel)
             from alerts a cross join lateral routed(a) r group by a.alert_id order by a.alert_id",
        )
        .await;
        assert_eq!(found, expected, "by {routes:?}");
    }
}
