//! `stalker top` as a person meets it: in a terminal, before a real server. What is done there is looked up in the server's
//! state, since a screen can say anything.

mod actions;
mod clusters;
mod lines;
mod moving;
mod screens;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::executables;
use stalker_tests::process::command;
use stalker_tests::server::{API_KEY, Component, Installation};
use stalker_tests::terminal::Terminal;
use stalker_tests::until::until_seen;

/// For what the server is to have taken in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server on which much is failing, and nothing that runs checks: nothing changes but by the test.
struct Site {
    api: Api,
    database: TestDatabase,
    component: Component,
    installation: Installation,
}

/// How a check is.
struct Failing {
    status: i16,
    out: &'static str,
    since_s: f64,
    fails: i32,
    /// More of its state, as SQL.
    more: &'static str,
}

impl Site {
    /// One on which nothing is failing.
    async fn new() -> Self {
        Self::beside(|installation| installation).await
    }

    /// One with further settings, such as other clusters.
    async fn beside(settings: impl FnOnce(Installation) -> Installation) -> Self {
        let database = TestDatabase::new().await;
        let installation = Installation::new(&database).set("api.cluster_id", "east");
        let installation = settings(installation);
        let component = installation.start("api").await;
        Self {
            api: component.api(),
            database,
            component,
            installation,
        }
    }

    /// One on which something of everything is failing.
    async fn in_trouble() -> Self {
        Self::in_trouble_beside(|installation| installation).await
    }

    /// As [`Site::in_trouble`], with further settings.
    async fn in_trouble_beside(settings: impl FnOnce(Installation) -> Installation) -> Self {
        let site = Self::beside(settings).await;
        site.register("web1.example.net", &["check_disk", "check_load"])
            .await;
        site.register("db1.example.net", &["check_backup", "check_replication"])
            .await;
        site.register("mail1.example.net", &["check_queue", "check_smtp"])
            .await;
        site.register(
            "edge7.example.net",
            &["check_disk", "check_load", "check_ntp"],
        )
        .await;
        site.register("edge8.example.net", &["check_disk"]).await;
        site.register("cache1.example.net", &["check_a", "check_b", "check_c"])
            .await;
        let failing = |status, out, since_s, fails, more| Failing {
            status,
            out,
            since_s,
            fails,
            more,
        };
        let unreachable = "<urlopen error [Errno 111] Connection refused>";
        for (check, how) in [
            (
                "web1.example.net/check_load",
                failing(
                    2,
                    "CRITICAL - load average: 24.11, 18.02, 9.77 is far too much for a machine of this size",
                    11_130.0,
                    5,
                    "owner = 'bob'",
                ),
            ),
            (
                "web1.example.net/check_disk",
                failing(1, "WARNING - /var 91% full", 150.0, 1, ""),
            ),
            (
                "db1.example.net/check_replication",
                failing(3, "UNKNOWN - no answer from the replica", 930.0, 3, ""),
            ),
            (
                "db1.example.net/check_backup",
                failing(
                    2,
                    "CRITICAL - last backup is 3 days old",
                    180_030.0,
                    9,
                    "suspended = true",
                ),
            ),
            (
                "mail1.example.net/check_queue",
                failing(
                    1,
                    "WARNING - 1200 mails wait",
                    1_830.0,
                    4,
                    "flap_until = now() + interval '1 hour'",
                ),
            ),
            (
                "edge7.example.net/check_disk",
                failing(2, unreachable, 3_750.0, 4, "unreachable = true"),
            ),
            (
                "edge7.example.net/check_load",
                failing(2, unreachable, 3_750.0, 4, "unreachable = true"),
            ),
            (
                "edge7.example.net/check_ntp",
                failing(2, unreachable, 3_750.0, 4, "unreachable = true"),
            ),
            (
                "edge8.example.net/check_disk",
                failing(2, unreachable, 630.0, 3, "unreachable = true"),
            ),
            (
                "cache1.example.net/check_a",
                failing(2, "CRITICAL - a", 330.0, 3, ""),
            ),
            (
                "cache1.example.net/check_b",
                failing(2, "CRITICAL - b", 330.0, 3, ""),
            ),
            (
                "cache1.example.net/check_c",
                failing(2, "CRITICAL - c", 330.0, 3, ""),
            ),
        ] {
            site.fail(check, &how).await;
        }
        site.execute(
            "insert into channels (name, provider, repeat_s) values ('pager', 'http', 3600);
             insert into alerts (kind, host_id, hostname, priority, opened_at, threshold, window_s)
                 select 'flood', host_id, hostname, 1, now() - interval '5 min 30 s', 2, 60 from hosts where hostname like 'cache1%';
             insert into alerts (kind, host_id, check_id, hostname, check_name, priority, status, fails, out, opened_at, parent_id)
                 select 'check', host_id, check_id, hostname, name, 1, status, fails, out, since,
                        (select alert_id from alerts where kind = 'flood' and hostname = h.hostname)
                 from checks c join check_state using (check_id) join hosts h using (host_id)
                 where fails >= 3 and not unreachable;
             insert into alerts (kind, host_id, hostname, priority, opened_at)
                 select 'host', host_id, hostname, 1, now() - interval '1 h' from hosts where hostname like 'edge%';
             insert into alert_targets (alert_id, channel, why) select alert_id, 'pager', 'route 1' from alerts where check_name = 'check_load';",
        )
        .await;
        site
    }

    async fn register(&self, hostname: &str, checks: &[&str]) {
        // so long an interval that nothing is overdue
        let check = json!({"args": "", "interval": 7200, "follow_up": 7200, "priority": 1});
        let checks: serde_json::Map<_, _> = checks
            .iter()
            .map(|name| ((*name).to_owned(), check.clone()))
            .collect();
        let registration = json!({"hostname": hostname, "ip": "127.0.0.1", "port": 1, "agent_version": "simulated",
                                  "roles": ["server"], "checks": checks});
        let (status, body) = self.api.register(&registration).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Lets a check, `HOST/NAME`, have failed.
    async fn fail(&self, check: &str, how: &Failing) {
        let more = if how.more.is_empty() {
            String::new()
        } else {
            format!(", {}", how.more)
        };
        let (host, name) = check.split_once('/').expect("HOST/NAME");
        let sql = format!(
            "update check_state set status = $1, out = $2, since = now() - make_interval(secs => $3), fails = $4, hard = $4 >= 3,
                 last_at = now() - interval '12 min 30 s', rush_at = now() + interval '5 min 30 s'{more}
             where check_id = (select check_id from checks join hosts using (host_id) where hostname = $5 and name = $6)"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(how.status)
            .bind(how.out)
            .bind(how.since_s)
            .bind(how.fails)
            .bind(host)
            .bind(name)
            .execute(self.pool())
            .await
            .expect("the tables are as expected");
        assert_eq!(done.rows_affected(), 1, "{check}");
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql)
            .execute(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// `stalker top`, as ann starts it.
    fn command(&self, url: &str) -> Command {
        let mut command = command(&executables::stalker());
        command.args(["top", "--refresh", "1", "--user", "ann"]);
        self.surround(&mut command, url);
        command
    }

    fn surround(&self, command: &mut Command, url: &str) {
        command
            .env("STALKER_URL", url)
            .env("STALKER_API_KEY", API_KEY);
        command.env("HOME", self.installation.home());
    }

    /// A terminal in which it shows what is failing.
    async fn open(&self, rows: u16, columns: u16) -> Terminal {
        let terminal = Terminal::start(&self.command(&self.api.url), rows, columns);
        drawn(&terminal, "the list", is_listed).await;
        terminal
    }

    /// The check `HOST/NAME` as the API shows it.
    async fn check(&self, check: &str) -> Value {
        let (host, name) = check.split_once('/').expect("HOST/NAME");
        self.api.check(host, name).await.unwrap_or_default()
    }

    /// Waits until the server knows it so.
    async fn until_check(&self, check: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
        until_seen(what, PATIENCE, async || self.check(check).await, is_so).await;
    }
}

/// Waits for a screen that is right, and that is drawn to its end: two looks see the same.
async fn drawn(terminal: &Terminal, what: &str, is_right: impl Fn(&str) -> bool) -> String {
    let before = RefCell::new(String::new());
    let is_whole = |screen: &str| is_right(screen) && before.replace(screen.to_owned()) == screen;
    terminal.wait_for(what, is_whole).await
}

fn is_listed(screen: &str) -> bool {
    screen.contains("failing,") && screen.contains("CRIT")
}

/// Moves to the line of the screen that holds `text`.
async fn select(terminal: &mut Terminal, text: &str) {
    loop {
        let screen = terminal.screen();
        let place = |is_it: &dyn Fn(&str) -> bool| screen.lines().position(is_it);
        let at = place(&|line| line.starts_with('›')).expect("a line is selected");
        let wanted = place(&|line| line.contains(text)).expect("it is on the screen");
        match wanted.cmp(&at) {
            Ordering::Equal => return,
            Ordering::Greater => terminal.type_text("j"),
            Ordering::Less => terminal.type_text("k"),
        }
        let before = selected(&screen).map(str::to_owned);
        terminal
            .wait_for("the selection moves", |screen| {
                selected(screen) != before.as_deref()
            })
            .await;
    }
}

fn selected(screen: &str) -> Option<&str> {
    screen.lines().find(|line| line.starts_with('›'))
}
