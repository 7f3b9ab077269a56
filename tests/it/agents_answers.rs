//! What an agent may answer, and what becomes of it (semantics.md, section 1 and decisions 3, 11 and 12). Whatever it
//! is, it is a result: nothing is lost, and no other check suffers.

mod connections;

use std::time::Duration;

use serde_json::{Value, json};
use stalker_tests::agent::Agent;
use stalker_tests::api::Api;
use stalker_tests::database::TestDatabase;
use stalker_tests::server::{CHECK_KEY, Component, Installation};
use stalker_tests::until::{until, until_seen};

const SOON: Duration = Duration::from_secs(30);

/// Each answer beside all others, so that one which harmed its batch would be seen.
#[tokio::test]
async fn every_answer_is_a_result() {
    let agent = Agent::start(CHECK_KEY).await;
    let wide = format!("{}|a=1", "ü".repeat(600));
    let scripts: [(&str, i32, &str, &str, &str); 12] = [
        ("exit_0", 0, "OK - fine", "ok", "OK - fine"),
        ("exit_1", 1, "WARNING - so so", "warning", "WARNING - so so"),
        ("exit_2", 2, "CRITICAL - bad", "critical", "CRITICAL - bad"),
        ("exit_3", 3, "UNKNOWN - what?", "unknown", "UNKNOWN - what?"),
        ("exit_4", 4, "four", "unknown", "four"),
        (
            "exit_126",
            126,
            "cannot execute",
            "unknown",
            "cannot execute",
        ),
        ("exit_137", 137, "killed", "unknown", "killed"),
        ("negative", -1, "below", "unknown", "below"),
        (
            "perfdata",
            0,
            "OK - load | load1=0.1;5;10 'l 5'=2\nmore | a=1\nb=2",
            "ok",
            "OK - load",
        ),
        ("empty", 0, "", "ok", "(No output returned from plugin)"),
        ("nul", 1, "a\0b", "warning", "a\u{FFFD}b"),
        ("wide", 0, &wide, "ok", &"ü".repeat(512)),
    ];
    let named = |name: &str, out: &[u8]| {
        [
            format!("{{\"{name}\": {{\"status\": 0, \"out\": \"").as_bytes(),
            out,
            b"\", \"err\": \"\"}}",
        ]
        .concat()
    };
    let raws: [(&str, u16, Vec<u8>, &str); 10] = [
        (
            "gone",
            404,
            b"No such check".to_vec(),
            "no such check (404)",
        ),
        (
            "broken",
            500,
            b"Error running check: no such file".to_vec(),
            "500: Error running check: no such file",
        ),
        ("moved", 302, Vec::new(), "302"),
        ("no_json", 200, b"{\"no_json\": ".to_vec(), "cannot be read"),
        (
            "html",
            200,
            b"<html>welcome</html>".to_vec(),
            "cannot be read",
        ),
        ("nothing", 200, Vec::new(), "cannot be read"),
        ("list", 200, b"[]".to_vec(), "cannot be read"),
        (
            "no_status",
            200,
            b"{\"no_status\": {\"out\": \"OK\"}}".to_vec(),
            "cannot be read",
        ),
        (
            "misnamed",
            200,
            named("another", b"OK"),
            "does not speak of misnamed",
        ),
        (
            "2_mib",
            200,
            named("2_mib", &vec![b'x'; 2 << 20]),
            "larger than 1048576 bytes",
        ),
    ];
    for (name, status, out, ..) in &scripts {
        agent.answer(name, *status, out);
    }
    for (name, status, body, _) in &raws {
        agent.answer_raw(name, *status, body.clone());
    }
    agent.answer_raw("bad_utf8", 200, named("bad_utf8", b"a\xFFb"));
    let names: Vec<&str> = scripts
        .iter()
        .map(|s| s.0)
        .chain(raws.iter().map(|r| r.0))
        .chain(["bad_utf8"])
        .collect();
    let stage = Stage::new().await;
    stage
        .api
        .register_simulated(&agent, "web1", &names, 2)
        .await;
    let checks = stage.results("web1", names.len()).await;

    let shown = |name: &str| {
        let check = checks
            .iter()
            .find(|check| check["check"] == name)
            .expect("it is registered");
        let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
        (text("state"), text("out"))
    };
    for (name, _, _, state, out) in scripts {
        assert_eq!(shown(name), (state.to_owned(), out.to_owned()), "{name}");
    }
    let measured = checks.iter().find(|check| check["check"] == "perfdata");
    let measured = measured.expect("it is registered");
    assert_eq!(measured["perfdata"], "load1=0.1;5;10 'l 5'=2");
    let lenient = ("ok".to_owned(), "a\u{FFFD}b".to_owned());
    assert_eq!(shown("bad_utf8"), lenient, "one bad byte loses only itself");
    for (name, _, _, out) in raws {
        let (state, shown) = shown(name);
        assert!(
            state == "unknown" && shown.contains(out),
            "{name}: {state}, {shown}"
        );
        assert!(!shown.contains("urlopen"), "{name} was an answer: {shown}");
    }
}

/// Silence: of an agent that ends its scripts in time it means that the agent is away; of another, that the script may be.
#[tokio::test]
async fn silence_depends_on_the_agent() {
    let agent = Agent::start(CHECK_KEY).await;
    agent.never_answer("check_a");
    let stage = Stage::new().await;
    for (hostname, version) in [("new1", json!("1")), ("old1", Value::Null)] {
        let check = json!({"args": "", "interval": 1, "follow_up": 1, "timeout": 1});
        let registration = json!({
            "hostname": hostname, "ip": "127.0.0.1", "port": agent.port(), "agent_version": version,
            "checks": {"check_a": check},
        });
        assert_eq!(stage.api.register(&registration).await.0, 200);
    }
    let (new, old) = tokio::join!(stage.results("new1", 1), stage.results("old1", 1));
    assert_eq!(
        new[0]["out"],
        "<urlopen error [Errno 110] no answer after 6 s>"
    );
    assert_eq!(old[0]["out"], "UNKNOWN: no answer after 6 s");
    assert_eq!(
        (&new[0]["state"], &old[0]["state"]),
        (&json!("unknown"), &json!("unknown"))
    );
    assert_eq!(new[0]["fail_count"], 0, "it says nothing about the check");
    assert_ne!(old[0]["fail_count"], 0);
}

/// Nobody listens; and then somebody does again.
#[tokio::test]
async fn refused_connection_is_unreachable() {
    let mut agent = Agent::start(CHECK_KEY).await;
    agent.stop().await;
    let stage = Stage::new().await;
    stage
        .api
        .register_simulated(&agent, "web1", &["check_a"], 1)
        .await;
    let check = &stage.results("web1", 1).await[0];
    assert_eq!(
        check["out"],
        "<urlopen error [Errno 111] Connection refused>"
    );
    assert_eq!(
        (&check["state"], &check["status"], &check["fail_count"]),
        (&json!("unknown"), &json!(false), &json!(0))
    );
    agent.start_again().await;
    stage.is_ok("web1", "check_a").await;
}

/// A name that is data on its way through a URL.
#[tokio::test]
async fn names_are_escaped() {
    let agent = Agent::start(CHECK_KEY).await;
    let names = [
        ("disk müll", "disk%20m%C3%BCll"),
        ("a?b#c%20d", "a%3Fb%23c%2520d"),
    ];
    for (name, path) in &names {
        agent.answer_raw(
            path,
            200,
            json!({*name: {"status": 0, "out": path}}).to_string(),
        );
    }
    let stage = Stage::new().await;
    let registered: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    stage
        .api
        .register_simulated(&agent, "web1", &registered, 1)
        .await;
    for (name, path) in &names {
        stage.is_ok("web1", name).await;
        assert!(agent.runs_of(path) > 0, "{:?}", agent.runs());
    }
}

struct Stage {
    database: TestDatabase,
    api: Api,
    _all: Component,
}

impl Stage {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        let all = Installation::new(&database).start("all").await;
        Self {
            database,
            api: all.api(),
            _all: all,
        }
    }

    /// Waits until all `n` checks of a host have a result.
    async fn results(&self, hostname: &str, n: usize) -> Vec<Value> {
        let path = format!("/checks/host/{hostname}");
        until("all have a result", SOON, async || {
            let body = self.api.read(&path).await;
            let checks = body["checks"].as_array().expect("a list").clone();
            (checks.len() == n && checks.iter().all(|check| check["last"] != 0)).then_some(checks)
        })
        .await
    }

    /// Rows of history.
    async fn changes(&self) -> i64 {
        sqlx::query_scalar("select count(*) from state_changes")
            .fetch_one(self.database.pool())
            .await
            .expect("the database answers")
    }

    async fn is_ok(&self, hostname: &str, name: &str) {
        let look = async || {
            self.api
                .check(hostname, name)
                .await
                .expect("it is registered")
        };
        until_seen("it is ok", SOON, look, |check| check["state"] == "ok").await;
    }
}
