//! The command: real programs, written by the test. Its exit codes are those of `sysexits.h` and of shells.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// Programs that write down what they are told.
pub(super) struct Programs(TempDir);

/// What a program was told.
pub(super) struct Told {
    pub(super) input: Value,
    pub(super) environment: BTreeMap<String, String>,
}

impl Programs {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// One that accepts resolves, and does `body` with everything else.
    pub(super) fn write(&self, name: &str, body: &str) -> Vec<String> {
        let folder = self.0.path().display();
        let script = format!(
            "#!/bin/sh\n\
             told={folder}/{name}.$STALKER_KIND\n\
             cat > $told.json\n\
             env -0 > $told.env\n\
             [ $STALKER_KIND = resolve ] && exit 0\n\
             {body}\n"
        );
        let path = self.file(name);
        fs::write(&path, script).expect("a program can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
        vec![path.display().to_string(), "$(first); second".to_owned()]
    }

    pub(super) fn told(&self, name: &str, kind: &str) -> Told {
        let read = |what: &str| {
            let path = self.file(&format!("{name}.{kind}.{what}"));
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let environment = read("env");
        let variables = environment.split_terminator('\0');
        Told {
            input: serde_json::from_str(&read("json")).expect("standard input is JSON"),
            environment: variables
                .filter_map(|variable| variable.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// A process that a program has started, and written down.
    fn started(&self, name: &str) -> Pid {
        let pid = fs::read_to_string(self.file(&format!("{name}.pid"))).expect("it is written");
        Pid::from_raw(pid.trim().parse().expect("a number"))
    }
}

/// A zombie has no command line.
fn is_alive(pid: Pid) -> bool {
    let command_line = Path::new("/proc").join(pid.to_string()).join("cmdline");
    fs::read(command_line).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn how_a_program_ends_is_its_answer() {
    let programs = Programs::new();
    let folder = programs.0.path().display().to_string();
    let outlives = format!("sleep 600 & echo $! > {folder}/outlives.pid; echo done");
    let hangs = format!("trap '' TERM; sleep 600 & echo $! > {folder}/hangs.pid; echo wait; wait");
    let cases: [(&'static str, &str, &'static str, &'static str); 10] = [
        (
            "accepts",
            r"printf 'a\000b\377c\n'; printf '%s\n' second >&2; printf '<%s>' $#",
            "accepted - may have arrived",
            "",
        ),
        (
            "fails_for_now",
            "echo no mail today; exit 75",
            "pending - may have arrived",
            "the command ended with code 75: no mail today",
        ),
        (
            "hangs",
            &hangs,
            "pending - may have arrived",
            "the command did not end within 1 s and was killed",
        ),
        (
            "is_killed",
            "kill -9 $$",
            "pending - may have arrived",
            "the command ended with signal 9",
        ),
        (
            "is_no_program",
            "exec /dev/null",
            "refused - lost",
            "the command ended with code 126",
        ),
        (
            "is_not_there",
            "exec /nowhere",
            "refused - lost",
            "the command ended with code 127",
        ),
        ("outlives", &outlives, "accepted - may have arrived", ""),
        (
            "refuses",
            "echo no such pager >&2; exit 1",
            "refused - lost",
            "the command ended with code 1: no such pager",
        ),
        (
            "says_much",
            "head -c 5000000 /dev/zero | tr '\\0' x; echo ä",
            "accepted - may have arrived",
            "",
        ),
        ("says_nothing", "exit 0", "accepted - may have arrived", ""),
    ];
    let stage = Stage::start(|mut installation| {
        installation = installation.set("api.public_url", "https://stalker.example");
        for (name, body, ..) in cases {
            installation = installation
                .set(&format!("channels.{name}.provider"), "command")
                .set(
                    &format!("channels.{name}.command"),
                    programs.write(name, body),
                );
        }
        installation.set("channels.hangs.timeout", 1)
    })
    .await;
    let outcomes = cases.map(|(name, _, outcome, why)| (name, outcome, why));
    play_on(&stage, &outcomes).await;

    shows_a_trigger(programs.told("accepts", "trigger"));
    let [trigger, resolve] =
        ["trigger", "resolve"].map(|kind| programs.told("accepts", kind).input);
    assert_eq!(resolve["kind"], "resolve");
    assert_eq!(resolve["dedup_key"], trigger["dedup_key"]);
    assert_ne!(resolve["id"], trigger["id"]);

    let said = async |channel: &str| -> String {
        sqlx::query_scalar(
            "select a.answer from attempts a join notifications using (notification_id)
             where channel = $1 and kind = 'trigger' order by attempt_id limit 1",
        )
        .bind(channel)
        .fetch_one(stage.pool())
        .await
        .expect("the answer is kept")
    };
    assert_eq!(said("accepts").await, "a\u{FFFD}b\u{FFFD}c\nsecond\n<1>");
    assert_eq!(said("says_much").await, "x".repeat(1024));
    assert_eq!(said("says_nothing").await, "");
    assert!(!is_alive(programs.started("hangs")), "its child lives on");
    let daemon = programs.started("outlives");
    assert!(is_alive(daemon), "what has ended in time is left alone");
    kill(daemon, Signal::SIGKILL).expect("it is ours");
}

fn shows_a_trigger(told: Told) {
    let Told { input, environment } = told;
    let page = "https://stalker.example/#/hosts/web1/checks/check_a";
    for (name, expected) in [
        ("kind", json!("trigger")),
        ("summary", json!("check_a on web1 is critical")),
        ("state", json!("critical")),
        ("host", json!("web1")),
        ("check", json!("check_a")),
        ("priority", json!(1)),
        ("output", json!("CRITICAL - broken")),
        ("fails", json!(2)),
        ("is_over", json!(false)),
        ("url", json!(page)),
        ("subject", json!("check_a on web1 is critical")),
    ] {
        assert_eq!(input[name], expected, "{name} of {input}");
    }
    let body = input["body"].as_str().unwrap_or_default();
    assert!(body.starts_with("CRITICAL - broken\nsince "), "{body}");
    for (name, expected) in [
        ("STALKER_KIND", "trigger"),
        ("STALKER_STATE", "critical"),
        ("STALKER_HOST", "web1"),
        ("STALKER_IP", "127.0.0.1"),
        ("STALKER_CHECK", "check_a"),
        ("STALKER_SUMMARY", "check_a on web1 is critical"),
        ("STALKER_OUTPUT", "CRITICAL - broken"),
        ("STALKER_PRIORITY", "1"),
        ("STALKER_SINCE", input["since"].as_str().unwrap_or_default()),
        ("STALKER_UNTIL", ""),
        ("STALKER_URL", page),
        ("STALKER_CHANNEL", "accepts"),
        (
            "STALKER_KEY",
            input["dedup_key"].as_str().unwrap_or_default(),
        ),
        ("STALKER_ID", input["id"].as_str().unwrap_or_default()),
    ] {
        assert_eq!(environment[name], expected, "{name}");
    }
    // PWD, OLDPWD, SHLVL and _ are the shell's own
    let others = environment.keys().filter(|name| {
        !name.starts_with("STALKER_")
            && !["PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str())
    });
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(
        !environment.contains_key("STALKER_HOME"),
        "the server's own"
    );
}
