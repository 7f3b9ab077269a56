//! `stalkerd up`, as `make run` starts it: one command, everything on this machine, and nothing left afterwards.

mod command_line;
mod unprivileged;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::executables;
use stalker_tests::private_postgres::reachable_folder;
use stalker_tests::process::{Process, child_of, command, is_alive, signal};
use stalker_tests::server::Server;
use stalker_tests::until::{until, until_seen};

/// From the start until every check is ok.
const GREEN: Duration = Duration::from_secs(15);
/// From the signal until the process is gone.
const END: Duration = Duration::from_secs(25);
/// For what has no promised time, on two cores that several tests share.
const PATIENCE: Duration = Duration::from_secs(30);
/// What comes with us.
const CHECKS: [&str; 5] = [
    "check_disk",
    "check_example",
    "check_http",
    "check_load",
    "check_procs",
];

#[tokio::test]
async fn up_is_green_ends_whole_and_goes_on() {
    let home = reachable_folder();
    let began = Instant::now();
    let mut first = Server::up(home.path()).await;
    let api = first.api();
    let look = async || checks(&api).await;
    let left = GREEN.saturating_sub(began.elapsed());
    let before = until_seen("all checks are green", left, look, |checks| {
        checks.len() == CHECKS.len() && checks.iter().all(|check| check["state"] == "ok")
    })
    .await;
    let mut names: Vec<&str> = before
        .iter()
        .filter_map(|check| check["check"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, CHECKS);
    let keys: Vec<&String> = first.ready.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["agent", "api", "database", "pid"]);
    assert_eq!(first.ready["pid"], first.process.pid());
    let secrets = Secrets::read(home.path());
    secrets.are_ours_alone(home.path());
    let welcome = first.process.output();
    for word in [
        first.api().url.as_str(),
        "stalker checks list",
        "touch",
        "stalker-client.conf",
    ] {
        assert!(welcome.contains(word), "{word} is not in:\n{welcome}");
    }
    assert!(
        !secrets.0.iter().any(|secret| welcome.contains(secret)),
        "{welcome}"
    );
    // the first user, whose password is told this once
    let password = told_password(&welcome).expect("a password is told");
    assert_eq!(sign_in(&api.url, &password).await, 303, "{welcome}");

    // Something to find again.
    let host = before[0]["hostname"]
        .as_str()
        .expect("a check has a host")
        .to_owned();
    let log_path = format!("/state_log/{host}/check_example");
    fs::write(home.path().join("broken"), "").expect("the example can be broken");
    let log = until("the example fails", PATIENCE, async || {
        let log = api.read(&log_path).await["state_log"].as_array().cloned()?;
        (log.last()?["state"] == "critical").then_some(log)
    })
    .await;
    fs::remove_file(home.path().join("broken")).expect("the example can be mended");

    let family = Family::of(first.process.pid());
    assert_eq!(family.alive().len(), 3, "{family:?}");
    first.process.signal(Signal::SIGINT);
    let status = first.process.ended(END).await;
    assert!(status.success(), "{status}");
    assert_eq!(family.alive(), [0; 0]);
    assert!(
        !home.path().join("ready.json").exists(),
        "ready.json says that all of it runs"
    );

    let second = Server::up(home.path()).await;
    let api = second.api();
    let welcome = second.process.output();
    assert!(
        told_password(&welcome).is_none() && !welcome.contains(&password),
        "{welcome}"
    );
    assert_eq!(sign_in(&api.url, &password).await, 303);
    let ids = |checks: &[Value]| -> Vec<(Value, Value)> {
        let pair = |check: &Value| (check["check"].clone(), check["id"].clone());
        checks.iter().map(pair).collect()
    };
    assert_eq!(ids(&checks(&api).await), ids(&before));
    let log_after = api.read(&log_path).await["state_log"].as_array().cloned();
    assert!(
        log_after
            .as_ref()
            .is_some_and(|after| after.starts_with(&log)),
        "{log_after:?}"
    );
    assert_eq!(Secrets::read(home.path()), secrets);
}

/// What the welcome says about the first user.
fn told_password(welcome: &str) -> Option<String> {
    let (_, rest) = welcome.split_once("user admin, password ")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

async fn sign_in(url: &str, password: &str) -> u16 {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().expect("a client can be made");
    let form = [("username", "admin"), ("password", password)];
    let request = client.post(format!("{url}/signin")).header("origin", url);
    let answer = request.form(&form).send().await;
    answer.expect("the API answers").status().as_u16()
}

/// The private PostgreSQL dies: it is started again, and nobody above it ends.
#[tokio::test]
async fn up_outlives_its_database() {
    let home = reachable_folder();
    often(home.path());
    let mut up = Server::up(home.path()).await;
    let family = Family::of(up.process.pid());
    let server = family.postgres.expect("there is a private PostgreSQL");
    let url = up.ready["database"]
        .as_str()
        .expect("ready.json names it")
        .to_owned();
    let api = up.api();
    until("a check has run", PATIENCE, async || {
        checks(&api)
            .await
            .iter()
            .find(|check| !check["status"].is_null())
            .map(drop)
    })
    .await;

    signal(server, Signal::SIGKILL);
    let mut database = until("it accepts connections again", PATIENCE, async || {
        let supervisor = child_of(up.process.pid(), "stalker-postgres")?;
        child_of(supervisor, "postgres").filter(|pid| *pid != server)?;
        PgConnection::connect(&url).await.ok()
    })
    .await;
    let accepted_at: i64 = seconds(&mut database, "select extract(epoch from now())::bigint").await;
    let newest = "select coalesce(extract(epoch from max(last_at))::bigint, 0) from check_state";
    let what = "a result after that";
    let look = async || seconds(&mut database, newest).await;
    until_seen(what, Duration::from_secs(10), look, |at| *at > accepted_at).await;
    assert!(up.process.is_running(), "stalkerd has ended");
    assert_eq!(
        child_of(up.process.pid(), "stalker-agent"),
        family.agent,
        "the agent has ended"
    );
}

/// SIGKILL, in which nothing can be cleaned up: what it had started ends by itself, and the next start goes on.
#[tokio::test]
async fn up_killed_leaves_nothing() {
    let home = reachable_folder();
    let mut killed = Server::up(home.path()).await;
    let family = Family::of(killed.process.pid());
    assert_eq!(family.alive().len(), 3, "{family:?}");
    let api = killed.api();
    until_seen(
        "all are registered",
        PATIENCE,
        async || checks(&api).await,
        |checks| checks.len() == CHECKS.len(),
    )
    .await;
    killed.process.kill();
    let look = async || family.alive();
    until_seen("all of it has ended", END, look, Vec::is_empty).await;

    let next = Server::up(home.path()).await;
    assert_eq!(checks(&next.api()).await.len(), CHECKS.len());
}

/// A port that somebody else has, the API's or the agent's: an error that names it, and no half of a server.
#[tokio::test]
async fn up_names_a_taken_address() {
    let database = TestDatabase::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound listener has an address");
    let port = address.port().to_string();
    for (api, agent) in [
        (address.to_string().as_str(), "0"),
        ("127.0.0.1:0", port.as_str()),
    ] {
        let home = reachable_folder();
        let mut up = start(
            home.path(),
            &["--agent-port", agent],
            &[
                ("STALKER__API__LISTEN", api),
                ("DATABASE_URL", database.url()),
            ],
        );
        let status = up.ended(PATIENCE).await;
        let told = up.output();
        assert_eq!(status.code(), Some(1), "{told}");
        assert!(told.contains(&address.to_string()), "{told}");
        assert!(told.to_lowercase().contains("in use"), "{told}");
        assert!(!home.path().join("ready.json").exists());
    }
    // nobody was told a password, so there is nobody yet: the next start makes the first user
    let users: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(database.pool())
        .await
        .expect("users can be counted");
    assert_eq!(users, 0);
}

/// `DATABASE_URL` is somebody's database: it is used, and no other is made.
#[tokio::test]
async fn up_uses_the_database_that_is_named() {
    let (database, home) = (TestDatabase::new().await, reachable_folder());
    let mut up = start(
        home.path(),
        &["--agent-port", "0"],
        &[
            ("STALKER__API__LISTEN", "127.0.0.1:0"),
            ("DATABASE_URL", database.url()),
        ],
    );
    let names = async || {
        sqlx::query_scalar::<_, String>(
            "select name from checks join check_state using (check_id) where status = 0 order by name",
        )
        .fetch_all(database.pool())
        .await
        .expect("checks can be read")
    };
    until_seen("its checks are there, and run", PATIENCE, names, |names| {
        *names == CHECKS
    })
    .await;
    let ready: Value = serde_json::from_slice(
        &fs::read(home.path().join("ready.json")).expect("ready.json is written"),
    )
    .expect("it is JSON");
    assert_eq!(ready["database"], database.url());
    let family = Family::of(up.pid());
    assert_eq!((family.supervisor, family.postgres), (None, None));
    assert!(!home.path().join("pg").exists());
    assert!(up.terminate(END).await.success());
    assert_eq!(family.alive(), [0; 0]);
}

/// The processes that `stalkerd up` has started.
#[derive(Debug)]
struct Family {
    agent: Option<u32>,
    supervisor: Option<u32>,
    postgres: Option<u32>,
}

impl Family {
    fn of(stalkerd: u32) -> Self {
        let supervisor = child_of(stalkerd, "stalker-postgres");
        Self {
            agent: child_of(stalkerd, "stalker-agent"),
            supervisor,
            postgres: supervisor.and_then(|supervisor| child_of(supervisor, "postgres")),
        }
    }

    fn alive(&self) -> Vec<u32> {
        let all = [self.agent, self.supervisor, self.postgres];
        all.into_iter()
            .flatten()
            .filter(|pid| is_alive(*pid))
            .collect()
    }
}

/// Everything that `stalkerd up` made up.
#[derive(Debug, PartialEq, Eq)]
struct Secrets(Vec<String>);

impl Secrets {
    fn read(home: &Path) -> Self {
        let server = fs::read_to_string(home.join("stalkerd.toml")).expect("there are settings");
        let server: toml::Table = server.parse().expect("they are TOML");
        let text = |key: &str| server["api"][key].as_str().expect("it is set").to_owned();
        let check_key =
            fs::read_to_string(home.join("agent/check_key")).expect("the agent made one");
        let tokens = fs::read_to_string(home.join("agent/tokens.json")).expect("it was given one");
        let tokens: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&tokens).expect("they are JSON");
        let token = tokens.into_values().next_back().expect("it was given one");
        let secrets = vec![
            text("api_key"),
            text("register_key"),
            check_key.trim().to_owned(),
            token,
        ];
        // 256 bits in hex
        assert!(
            secrets.iter().all(|secret| secret.len() == 64),
            "{secrets:?}"
        );
        Self(secrets)
    }

    /// Expects that whatever file holds one of them is readable by its owner alone.
    fn are_ours_alone(&self, home: &Path) {
        let mut holders = 0;
        for file in files(home) {
            let text = fs::read(&file).expect("our own file can be read");
            let text = String::from_utf8_lossy(&text);
            if self.0.iter().any(|secret| text.contains(secret)) {
                let mode = fs::metadata(&file).expect("it is there").mode() & 0o777;
                assert_eq!(mode, 0o600, "{} is {mode:o}", file.display());
                holders += 1;
            }
        }
        assert_eq!(holders, 4, "the server's, the client's and the agent's two");
    }
}

/// The files below a home but for the database's, whose folder is closed.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten();
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() && !path.ends_with("pg") {
            files.append(&mut self::files(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

/// Puts a drop-in that runs every second into a home to be, so that a test need not wait for its next turn.
fn often(home: &Path) {
    let scripts = home.join("scripts");
    fs::create_dir(&scripts).expect("a folder can be made");
    let script = scripts.join("check_often");
    fs::write(&script, "#!/bin/sh\necho OK\n").expect("a script can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    fs::write(scripts.join("check_often.cfg"), "[default]\ninterval = 1\n").expect("so can a file");
}

fn start(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
    let mut up = command(&executables::stalkerd());
    up.arg("up").args(arguments).env("STALKER_HOME", home);
    up.envs(environment.iter().copied());
    Process::start("up", &mut up)
}

async fn checks(api: &Api) -> Vec<Value> {
    let answer = api.read("/checks/").await;
    answer["checks"].as_array().cloned().unwrap_or_default()
}

async fn seconds(database: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(database)
        .await
        .expect("the database answers")
}
