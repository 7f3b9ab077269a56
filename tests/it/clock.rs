//! Processes whose clock is wrong: nothing changes, because the database's decides (invariant 7).
//!
//! Debian's `faketime` gives a process another time of day and leaves its monotonic clock alone: a machine whose clock
//! was set wrongly.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, PgPool};
use stalker_tests::agent::Agent;
use stalker_tests::database::TestDatabase;
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{stays, until_seen};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
const PATIENCE: Duration = Duration::from_secs(30);
const LEASE_S: u32 = 7;
const CHECKS: usize = 10;
/// How long runs are counted, at one a second.
const COUNTED: Duration = Duration::from_secs(6);
/// Between a time stamp and the truth; a wrong clock is an hour off at least.
const CLOSE_S: i64 = 120;

#[tokio::test]
async fn an_hour_ahead_changes_nothing() {
    alone(HOUR_S).await;
}

#[tokio::test]
async fn an_hour_behind_changes_nothing() {
    alone(-HOUR_S).await;
}

#[tokio::test]
async fn a_day_ahead_changes_nothing() {
    alone(DAY_S).await;
}

#[tokio::test]
async fn a_day_behind_changes_nothing() {
    alone(-DAY_S).await;
}

/// Workers that disagree by two days, and one that is right, hand the same checks to each other.
#[tokio::test]
async fn workers_may_disagree() {
    let stage = Stage::start().await;
    let mut components = vec![
        stage.installation.start("scheduler").await,
        stage.installation.start("worker").await,
    ];
    for offset_s in [HOUR_S, -HOUR_S, DAY_S, -DAY_S] {
        components.push(stage.start_off("worker", offset_s).await);
    }
    stage.all_is_as_ever().await;
}

/// One worker and one scheduler, both off.
async fn alone(offset_s: i64) {
    let stage = Stage::start().await;
    let _scheduler = stage.start_off("scheduler", offset_s).await;
    let _worker = stage.start_off("worker", offset_s).await;
    stage.all_is_as_ever().await;
}

struct Stage {
    database: TestDatabase,
    installation: Installation,
    agent: Agent,
    receiver: Receiver,
    _api: Component,
}

impl Stage {
    async fn start() -> Self {
        let database = TestDatabase::new().await;
        let agent = Agent::start(CHECK_KEY).await;
        let receiver = Receiver::start().await;
        let installation = Installation::new(&database)
            .channel("pager", receiver.url())
            .set("worker.check_timeout", 1)
            .set("worker.lease", LEASE_S)
            .set("alerts.alert_threshold", 2);
        let api = installation.start("api").await;
        // so that leases are seen
        agent.delay(Duration::from_millis(200));
        let names: Vec<String> = (0..CHECKS).map(|i| format!("check_{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        api.api()
            .register_simulated(&agent, "web1", &names, 1)
            .await;
        Self {
            database,
            installation,
            agent,
            receiver,
            _api: api,
        }
    }

    /// Starts a component whose clock is off, and sees in its log that it is.
    async fn start_off(&self, subcommand: &str, offset_s: i64) -> Component {
        forget_the_dead();
        let (library, offset) = (library(), format!("{offset_s:+}"));
        let environment = [
            ("LD_PRELOAD", library.trim()),
            ("FAKETIME", &offset),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let component = self.installation.start_with(subcommand, &environment).await;
        let first_word = async || {
            let output = component.process.output();
            output.split_whitespace().next().map(str::to_owned)
        };
        let logged = until_seen("it logs", PATIENCE, first_word, Option::is_some).await;
        let off_s: i64 =
            sqlx::query_scalar("select extract(epoch from $1::text::timestamptz - now())::bigint")
                .bind(logged)
                .fetch_one(self.pool())
                .await
                .expect("a line of the log begins with the time");
        assert!(
            (off_s - offset_s).abs() < CLOSE_S,
            "its clock is off by {off_s} s instead of {offset_s} s"
        );
        component
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Runs on time, soft, hard, the page and its end, leases and times.
    async fn all_is_as_ever(&self) {
        self.runs_are_on_time().await;

        self.receiver.answer_next([503]);
        self.agent.answer("check_0", 2, "CRITICAL - broken");
        let state = async || {
            self.strings("select status || ' ' || hard from check_state join checks using (check_id) where name = 'check_0'").await
        };
        until_seen("it is hard", PATIENCE, state, |state| *state == ["2 true"]).await;
        self.are_accepted(&["trigger"]).await;
        self.agent.answer("check_0", 0, "OK - mended");
        self.are_accepted(&["trigger", "resolve"]).await;

        let history = "select status || case when hard then '!' else '' end from state_changes where check_name = 'check_0' order by change_id";
        assert_eq!(self.strings(history).await, ["0", "2", "2!", "0"]);
        let attempts = "select concat_ws(' ', kind, a.n, http_status) from attempts a join notifications using (notification_id) order by attempt_id";
        let attempts = async || self.strings(attempts).await;
        let wanted = ["trigger 1 503", "trigger 2 200", "resolve 1 200"];
        until_seen("it is written down", PATIENCE, attempts, |seen| {
            *seen == wanted
        })
        .await;
        // the first backoff
        let waited = "select extract(epoch from max(began_at) - min(ended_at))::bigint::text
                      from attempts join notifications using (notification_id) where kind = 'trigger'";
        let waited = self.strings(waited).await;
        let waited: i64 = waited[0].parse().expect("a number of seconds");
        assert!(waited >= 4, "tried again after {waited} s");
        self.times_are_right().await;
    }

    async fn runs_are_on_time(&self) {
        let all = async || self.agent.runs().len();
        until_seen("all run", PATIENCE, all, |n| *n == CHECKS).await;
        let (before, began) = (self.agent.runs(), Instant::now());
        let leases = "select case when leased_until < now() then 'over' else 'too long' end
                      from check_state where leased_until < now() or leased_until > now() + interval '8 s'";
        let odd = async || self.strings(leases).await;
        stays("leases are as set", COUNTED, odd, Vec::is_empty).await;
        let seconds = began.elapsed().as_secs() as usize;
        let runs: BTreeMap<_, _> = self
            .agent
            .runs()
            .into_iter()
            .map(|(check, n)| (check.clone(), n - before[&check]))
            .collect();
        // late ones are the load's; a wrong clock would make none, or very many
        let is_on_time = |n: &usize| (seconds / 2..=seconds + 2).contains(n);
        assert!(runs.values().all(is_on_time), "in {COUNTED:?}: {runs:?}");
    }

    async fn are_accepted(&self, kinds: &[&str]) {
        let accepted = async || {
            let accepted = self.receiver.accepted();
            accepted
                .iter()
                .map(|message| message.text("event_type").to_owned())
                .collect::<Vec<_>>()
        };
        until_seen("the pager is told", PATIENCE, accepted, |seen| {
            seen == kinds
        })
        .await;
    }

    /// Every time in every table is about now, but for those that lie ahead or are whole hours by their nature.
    async fn times_are_right(&self) {
        let columns = self.strings("
            select format('%I.%I', relname, attname) from pg_class join pg_attribute on attrelid = pg_class.oid
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
              and attnum > 0 and not attisdropped and atttypid = 'timestamptz'::regtype
              and relname not in ('_sqlx_migrations', 'duties') and attname not in ('expires_at', 'flap_until', 'rolled_until', 'hour')").await;
        assert!(columns.len() > 10, "{columns:?}");
        for column in columns {
            let (table, _) = column.split_once('.').expect("it was put together so");
            let sql = format!(
                "select max(abs(extract(epoch from {column} - now())))::bigint from {table}"
            );
            let furthest: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(self.pool())
                .await
                .expect("the column is there");
            assert!(
                furthest.is_none_or(|s| s < CLOSE_S),
                "{column} is {furthest:?} s from now"
            );
        }
        let now: i64 = sqlx::query_scalar("select extract(epoch from now())::bigint")
            .fetch_one(self.pool())
            .await
            .expect("it answers");
        for message in self.receiver.accepted() {
            for field in ["last", "next"] {
                let told = message.body["details"][field].as_i64().unwrap_or_default();
                assert!((told - now).abs() < CLOSE_S, "{field} of {message:?}");
            }
        }
    }

    async fn strings(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql)
            .fetch_all(self.pool())
            .await
            .expect("the database answers")
    }
}

/// A process that was killed leaves its shared memory behind, and the next one of its number would not start.
fn forget_the_dead() {
    let Ok(files) = fs::read_dir("/dev/shm") else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        let pid = ["faketime_shm_", "sem.faketime_sem_"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        if let Some(pid) = pid
            && !Path::new("/proc").join(pid).exists()
        {
            // another test may have been quicker
            let _ = fs::remove_file(file.path());
        }
    }
}

/// Where this system keeps what `faketime` loads into a process: the command itself knows.
fn library() -> String {
    let asked = Command::new("faketime")
        .args(["-m", "-f", "+0s", "printenv", "LD_PRELOAD"])
        .output();
    let told = asked.expect(
        "faketime is not installed: this test needs it, and `scripts/setup test` installs it",
    );
    assert!(
        told.status.success(),
        "faketime: {}",
        String::from_utf8_lossy(&told.stderr)
    );
    String::from_utf8(told.stdout).expect("a path of the system is text")
}
