//! What the whole system is for, with nothing simulated but the receiver: an agent's real scripts, through Postgres,
//! become one message when something breaks and one when it is mended.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::executables;
use stalker_tests::process::{Process, command};
use stalker_tests::receiver::Receiver;
use stalker_tests::server::{Installation, REGISTER_KEY};
use stalker_tests::until::{until, until_seen};
use tempfile::TempDir;

/// From a check's registration until its first result is shown, whatever its interval.
const FIRST_RESULT: Duration = Duration::from_secs(10);
/// For what has no promised time, on two cores that several tests share.
const PATIENCE: Duration = Duration::from_secs(30);
const PLUGINS: &str = "/usr/lib/nagios/plugins";
const DAY_S: u32 = 86_400;

#[tokio::test]
async fn a_broken_script_is_told_once_and_its_repair_once() {
    let receiver = Receiver::start().await;
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database).channel("pager", receiver.url());
    // three processes, as they would be deployed
    let api = installation.start("api").await;
    let _scheduler = installation.start("scheduler").await;
    let _worker = installation.start("worker").await;
    let api = api.api();
    let host = Host::new(&api.url);
    let _agent = host.start_agent();

    results_of_real_plugins_appear(&api).await;
    let thresholds = "select count(*) from checks where name = 'check_dummy' and flap_threshold = 9 and flap_window_s = 90";
    let from_its_file = one(database.pool(), thresholds).await;
    assert_eq!(from_its_file, 1);

    receiver.answer_next([500]);
    host.breaks();
    let trigger = receiver.settled(1, Duration::ZERO).await.remove(0);
    assert_eq!(receiver.received().len(), 2, "refused once, then accepted");
    assert_eq!(trigger.text("event_type"), "trigger");
    assert_eq!(trigger.text("description"), "check_flag on web1 is DOWN");
    assert_eq!(
        trigger.body["details"]["out"],
        "CRITICAL - the flag is down"
    );
    let id = api
        .check("web1", "check_flag")
        .await
        .expect("it is registered")["id"]
        .clone();
    let alert: i64 = one(database.pool(), "select alert_id from alerts").await;
    let key = format!("web1:check_flag:{alert}");
    assert_eq!(trigger.text("incident_key"), key);

    // Time and opportunity for a second one.
    let runs = host.runs();
    until_seen(
        "ten more failing runs",
        PATIENCE,
        async || host.runs(),
        |n| *n >= runs + 10,
    )
    .await;
    sweeps(database.pool(), 2).await;
    assert_eq!(receiver.accepted().len(), 1);

    receiver.answer_next([500]);
    host.is_mended();
    let accepted = receiver.settled(2, Duration::from_secs(3)).await;
    let resolve = &accepted[1];
    assert_eq!(resolve.text("event_type"), "resolve");
    assert_eq!(resolve.text("incident_key"), key);
    assert_eq!(resolve.text("description"), "check_flag on web1 is UP");
    let keys: Vec<String> = receiver
        .received()
        .iter()
        .map(|r| r.text("incident_key").to_owned())
        .collect();
    assert_eq!(keys, [key.as_str(); 4], "each of them twice");
    assert_eq!(one(database.pool(), "select count(*) from owed").await, 0);
    assert_eq!(one(database.pool(), "select count(*) from alerts").await, 1);

    let log = api.read("/state_log/web1/check_flag").await;
    let log = log["state_log"].as_array().expect("a list");
    let story: Vec<Value> = log
        .iter()
        .map(|change| {
            json!([
                change["cid"],
                change["state"],
                change["status"],
                change["out"]
            ])
        })
        .collect();
    assert_eq!(
        story,
        [
            json!([id, "ok", true, "OK - the flag is up"]),
            // soft, and then hard
            json!([id, "critical", false, "CRITICAL - the flag is down"]),
            json!([id, "critical", false, "CRITICAL - the flag is down"]),
            json!([id, "ok", true, "OK - the flag is up"]),
        ]
    );
    assert!(log.is_sorted_by_key(|change| change["last"].as_i64()));
}

/// The plugins of the distribution, one of them with a day's interval: all have a result in time.
async fn results_of_real_plugins_appear(api: &Api) {
    let checks = async || api.read("/checks/").await["checks"].as_array().cloned();
    let registered = until("the checks are registered", PATIENCE, async || {
        checks().await.filter(|checks| checks.len() == 5)
    })
    .await;
    let began = Instant::now();
    let names: Vec<&Value> = registered.iter().map(|check| &check["check"]).collect();
    let shown = until_seen("all have a result", FIRST_RESULT, checks, |checks| {
        checks
            .iter()
            .flatten()
            .all(|check| !check["status"].is_null())
    })
    .await
    .unwrap_or_default();
    eprintln!("first results of {names:?} after {:?}", began.elapsed());
    let check = |name: &str| {
        let found = shown.iter().find(|check| check["check"] == name);
        found
            .cloned()
            .unwrap_or_else(|| panic!("{name} is not in {shown:?}"))
    };
    assert_eq!(check("check_load")["interval"], DAY_S);
    for (name, state, out) in [
        ("check_disk", "ok", "DISK OK"),
        ("check_dummy", "warning", "WARNING: as told"),
        ("check_flag", "ok", "OK - the flag is up"),
        ("check_load", "ok", "load average: "),
        ("check_tcp", "ok", "TCP OK"),
    ] {
        let shown = check(name);
        assert_eq!(shown["state"], state, "{shown}");
        assert!(
            shown["out"].as_str().is_some_and(|text| text.contains(out)),
            "{shown}"
        );
    }
}

/// A monitored host: configuration, a script of its own, and a flag that decides what that says.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new(api: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let host = Self { folder };
        let port = api.rsplit(':').next().expect("a URL has a port");
        let (scripts, state) = (host.path("scripts"), host.path("state"));
        fs::create_dir(&scripts).expect("a folder can be made");
        let configuration = format!(
            "[main]\nlisten_addr = 127.0.0.1\nlisten_port = 0\nmaster_url = {api}\nregister_key = {REGISTER_KEY}\n\
             hostname = web1\nscript_dir = {}\nstate_dir = {}\ndefault_interval = 30\n\
             [check_load]\ncmd = {PLUGINS}/check_load\nargs = -w 1000,1000,1000 -c 2000,2000,2000\ninterval = {DAY_S}\n\
             [check_disk]\ncmd = {PLUGINS}/check_disk\nargs = -w 0% -c 0% -p /\n\
             [check_tcp]\ncmd = {PLUGINS}/check_tcp\nargs = -H 127.0.0.1 -p {port}\n\
             [check_dummy]\ncmd = {PLUGINS}/check_dummy\nargs = 1 'as told'\ninterval = {DAY_S}\nflap_threshold = 9\nflap_window = 90\n",
            scripts.display(),
            state.display(),
        );
        fs::write(host.path("agent.conf"), configuration).expect("a file can be written");
        let cfg = "[default]\ninterval = 5\nfollow_up = 1\n";
        fs::write(scripts.join("check_flag.cfg"), cfg).expect("a file can be written");
        let script = format!(
            "#!/bin/sh\necho run >> {}\nif [ -e {} ]; then echo 'CRITICAL - the flag is down'; exit 2; fi\n\
             echo 'OK - the flag is up'\n",
            host.path("runs").display(),
            host.path("down").display(),
        );
        executable(&scripts.join("check_flag"), &script);
        host
    }

    fn start_agent(&self) -> Process {
        let mut agent = command(&executables::stalker_agent());
        agent.arg("--config").arg(self.path("agent.conf"));
        Process::start("agent", &mut agent)
    }

    fn breaks(&self) {
        fs::write(self.path("down"), "").expect("a file can be written");
    }

    fn is_mended(&self) {
        fs::remove_file(self.path("down")).expect("the file is there");
    }

    /// How often the script ran.
    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.path("runs")).unwrap_or_default();
        runs.lines().count()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("a script can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
}

/// Waits until the sweep was done so many times more.
async fn sweeps(pool: &PgPool, n: usize) {
    let last_at = async || -> i64 {
        let sql =
            "select (extract(epoch from last_at) * 1000)::bigint from duties where name = 'sweep'";
        one(pool, sql).await
    };
    for _ in 0..n {
        let before = last_at().await;
        until_seen("a sweep", PATIENCE, last_at, |at| *at > before).await;
    }
}

async fn one(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(pool)
        .await
        .expect("there is one row")
}
