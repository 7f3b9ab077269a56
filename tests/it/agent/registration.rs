//! What the server hears of the agent, and when.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::{Duration, Instant};

use serde_json::json;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{self, Installation};
use stalker_tests::until::{stays, until, until_seen};

/// For what has no promised time: a refused registration is tried again after a second, then two, …
const PATIENCE: Duration = Duration::from_secs(30);

use super::{CHANGE, Host, REGISTER_KEY, executable, names, with_key};

/// The body of wire.md, without what must not leave the host, until it is accepted.
#[tokio::test]
async fn agent_registers_until_it_is_heard() {
    let host = Host::new().await;
    host.configure(
        "roles = web, db\n[check_load]\ncmd = /bin/echo\nargs = -w 1,5\nenv = {'PASSWORD': 'secret-of-env'}\n\
         interval = 15\ntimeout = 7\nalert_threshold = 2\nflap_threshold = 3\nflap_window = 60\n[off]\ncmd = /bin/echo\nenabled = false\n",
    );
    host.server.answer_next([500, 412]);
    let agent = host.start().await;
    let registered = host.registered("it is heard", |_| true).await;
    assert_eq!(host.server.received().len(), 3);
    assert_eq!(registered.headers["x-register-key"], REGISTER_KEY);
    assert_eq!(registered.headers["content-type"], "application/json");
    let mut body = registered.body;
    let key = body["check_key"].take();
    let port: u16 = agent
        .url("")
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let load = json!({"cmd": "/bin/echo", "args": "-w 1,5", "interval": 15, "follow_up": 15, "priority": 1,
        "timeout": 7, "alert_threshold": 2, "flap_threshold": 3, "flap_window": 60});
    assert_eq!(
        body,
        json!({"hostname": "web1", "roles": ["web", "db"], "ip": "127.0.0.1", "port": port, "check_key": null,
            "agent_version": env!("CARGO_PKG_VERSION"), "cert_sha256": agent.ready["cert_sha256"],
            "checks": {"check_load": load}})
    );

    // The key that it made is the one that opens it, and nobody else can read it.
    let key = key.as_str().expect("a made key is sent over loopback");
    assert_eq!(key.len(), 64, "256 bits as hex");
    let called = agent
        .send(reqwest::Method::GET, "/check_load", key)
        .await
        .expect("the agent answers");
    assert_eq!(called.status().as_u16(), 200);
    for file in ["check_key", "certificate.pem"] {
        let mode = fs::metadata(host.path("state").join(file))
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let agent = {
        drop(agent);
        host.start().await
    };
    let again = host
        .registered("the same after a new start", |body| body["port"] != port)
        .await
        .body;
    assert_eq!(
        (&again["check_key"], &again["cert_sha256"]),
        (&json!(key), &agent.ready["cert_sha256"])
    );
}

/// Each kind of change is registered within 5 s: by inotify, without any signal.
#[tokio::test]
async fn agent_registers_changes() {
    let host = Host::new().await;
    host.script("check_a", "echo OK");
    host.configure(&with_key("[check_c]\ncmd = /bin/echo\n"));
    let _agent = host.start().await;
    host.registered("both checks", |body| names(body) == ["check_a", "check_c"])
        .await;
    let scripts = host.path("scripts");
    let now = async |what: &str, expected: &[&str], interval_s: i64| {
        let seen = async || {
            let last = host.server.accepted().pop()?.body;
            let is_so =
                names(&last) == expected && last["checks"]["check_a"]["interval"] == interval_s;
            is_so.then_some(())
        };
        until(what, CHANGE, seen).await;
    };
    host.script("check_b", "echo OK");
    now("a new script", &["check_a", "check_b", "check_c"], 300).await;
    fs::write(scripts.join("check_a.cfg"), "[default]\ninterval = 20\n").expect("written");
    now("a new interval", &["check_a", "check_b", "check_c"], 20).await;
    fs::remove_file(scripts.join("check_b")).expect("removed");
    now("a removed script", &["check_a", "check_c"], 20).await;
    host.configure(&with_key(
        "[check_c]\ncmd = /bin/echo\n[check_d]\ncmd = /bin/echo\n",
    ));
    now("a new section", &["check_a", "check_c", "check_d"], 20).await;

    // What is no change is no reason.
    let before = host.server.accepted().len();
    fs::write(scripts.join("README.txt"), "no script").expect("written");
    let count = async || host.server.accepted().len();
    stays(
        "nothing is registered",
        Duration::from_secs(3),
        count,
        |count| *count == before,
    )
    .await;
}

/// A script is offered when its writer is done, and never yields an error on the way; neither does one that is
/// rewritten in place.
#[tokio::test]
async fn agent_never_runs_half_a_script() {
    let host = Host::new().await;
    host.configure(&with_key(""));
    let agent = host.start().await;
    host.registered("nothing yet", |body| names(body).is_empty())
        .await;
    let path = host.path("scripts/check_new");
    let mut writer = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o755)
        .open(&path)
        .expect("opened");
    writer
        .write_all(b"#!/bin/sh\necho half; exit 2 #")
        .expect("written");
    let offers = async || {
        host.server
            .accepted()
            .iter()
            .any(|request| !names(&request.body).is_empty())
    };
    stays(
        "half a script is not offered",
        Duration::from_secs(4),
        offers,
        |offered| !offered,
    )
    .await;
    assert_eq!(agent.get("/check_new").await.status, 404);
    writer.write_all(b"\n").expect("written");
    drop(writer);
    let done = Instant::now();
    host.registered("the whole script", |body| names(body) == ["check_new"])
        .await;
    assert!(done.elapsed() < CHANGE, "{:?}", done.elapsed());
    assert_eq!(agent.run("check_new").await["out"], "half");

    let mut writer = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&path)
        .expect("opened");
    writer.write_all(b"#!/bin/sh\necho wh").expect("written");
    let write = async {
        // The call below must have met the open file; nothing can be seen of its waiting.
        let waiting = async || ();
        stays(
            "the file is open",
            Duration::from_millis(500),
            waiting,
            |()| true,
        )
        .await;
        writer.write_all(b"ole\n").expect("written");
        drop(writer);
    };
    let (result, ()) = tokio::join!(agent.run("check_new"), write);
    assert_eq!(
        (&result["status"], &result["out"]),
        (&json!(0), &json!("whole"))
    );
}

/// A configuration of the original's kind, word for word, with what a test must move in the environment.
#[tokio::test]
async fn agent_takes_the_originals_configuration() {
    let host = Host::new().await;
    let made = rcgen::generate_simple_self_signed(vec!["web1".to_owned()])
        .expect("a certificate can be made");
    fs::write(host.path("ssl.crt"), made.cert.pem()).expect("written");
    fs::write(host.path("ssl.key"), made.signing_key.serialize_pem()).expect("written");
    fs::write(host.path("check_x"), "#!/bin/sh\necho \"$CHECK_ENV $*\"\n").expect("written");
    executable(&host.path("check_x"));
    let text = include_str!("original.conf")
        .replace("/etc/stalker", &host.folder.path().display().to_string());
    fs::write(host.path("agent.conf"), text).expect("written");
    let state = host.path("state").display().to_string();
    let agent = host
        .start_with(&[
            ("STALKER_AGENT__MAIN__LISTEN_PORT", "0"),
            ("STALKER_AGENT__MAIN__MASTER_URL", host.server.url()),
            ("STALKER_AGENT__MAIN__STATE_DIR", &state),
        ])
        .await;
    let body = host.registered("it registers", |_| true).await.body;
    assert_eq!(names(&body), ["check_regex", "check_x"]);
    assert_eq!(body["roles"], json!(["server", "ubuntu"]));
    assert_eq!(
        (
            &body["checks"]["check_x"]["interval"],
            &body["checks"]["check_regex"]["interval"]
        ),
        (&json!(15), &json!(300))
    );
    let wildcard_says_nothing = &body["ip"];
    assert_eq!(wildcard_says_nothing, &json!(null));
    assert_eq!(agent.run("check_x").await["out"], "yes 100% -w 1;2");
    assert_eq!(agent.run("check_regex").await["out"], r"-r \d+ -C #5");
    let warned = async || {
        agent
            .process
            .output()
            .contains("[main] wsgi_log")
            .then_some(())
    };
    until("an unknown key is a warning", CHANGE, warned).await;
}

/// The first to register a name is given a token, keeps it to itself, and shows it from then on; nobody else can register by
/// that name until an admin releases it.
#[tokio::test]
async fn agent_shows_its_token() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database);
    let api = installation.start("api").await;
    let url = api.api().url;
    let settings = [
        ("STALKER_AGENT__MAIN__MASTER_URL", url.as_str()),
        ("STALKER_AGENT__MAIN__REGISTER_KEY", server::REGISTER_KEY),
    ];
    let shown = async || {
        let host: Option<(String, bool)> =
            sqlx::query_as("select ip, token_is_shown from hosts where hostname = 'web1'")
                .fetch_optional(database.pool())
                .await
                .expect("hosts can be read");
        host
    };
    let [host, twin] = [Host::new().await, Host::new().await];
    host.configure("ip = 127.0.0.1\n[check_a]\ncmd = /bin/echo\n");
    twin.configure("ip = 127.0.0.2\n[check_a]\ncmd = /bin/echo\n");
    let agent = host.start_with(&settings).await;
    until_seen("its token was shown", PATIENCE, shown, |host| {
        *host == Some(("127.0.0.1".to_owned(), true))
    })
    .await;
    let tokens = host.path("state/tokens.json");
    let mode = fs::metadata(&tokens)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = fs::read_to_string(&tokens).expect("it can be read");

    // it goes on with the same one, and under another name for a while does not lose it
    drop(agent);
    for (name, is_known) in [("web1", false), ("renamed", false), ("web1", true)] {
        sqlx::query("update hosts set registered_at = to_timestamp(0)")
            .execute(database.pool())
            .await
            .expect("hosts can be changed");
        let settings = [
            settings[0],
            settings[1],
            ("STALKER_AGENT__MAIN__HOSTNAME", name),
        ];
        let _agent = host.start_with(&settings).await;
        let registered = async || {
            sqlx::query_scalar::<_, bool>("select exists (select from hosts where hostname = $1 and token_is_shown and registered_at > to_timestamp(0))")
                .bind(name)
                .fetch_one(database.pool())
                .await
                .expect("hosts can be read")
        };
        until_seen(
            &format!("{name} registered ({is_known})"),
            PATIENCE,
            registered,
            |is_so| *is_so,
        )
        .await;
    }
    let tokens = fs::read_to_string(&tokens).expect("it can be read");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let name = format!("web1 at {url}");
    assert_eq!(value(&tokens)[&name], value(&kept)[&name]);

    // another machine that says it is web1
    let mut stranger = twin.start_with(&settings).await;
    let told = async || stranger.process.output().contains("403");
    until_seen("the stranger is refused", PATIENCE, told, |is_so| *is_so).await;
    assert_eq!(shown().await, Some(("127.0.0.1".to_owned(), true)));
    let (done, said) = installation.tool(&["hosts", "release", "web1"]).await;
    assert!(done, "{said}");
    until_seen("the name is its now", PATIENCE, shown, |host| {
        *host == Some(("127.0.0.2".to_owned(), true))
    })
    .await;
    stranger.terminate().await;
}
