//! Called as `stalker-client`: the lines that the original prints, written down by hand from its source.

use std::fs;

use serde_json::Value;
use stalker_tests::server::API_KEY;
use stalker_tests::terminal::Terminal;

use super::{Desk, Scene};

/// At a desk whose configuration is a file, as the original's was.
fn desk_with_file(url: &str) -> Desk {
    let desk = Desk::new();
    let file = desk.home().join("stalker-client.conf");
    let lines = format!("stalkerweb_url={url}/\nstalkerweb_api_key={API_KEY}\n");
    fs::write(&file, lines).expect("a file can be written");
    let file = file.display().to_string();
    desk.variable("stalker-client-conf", &file)
}

async fn prints(desk: &Desk, line: &str, expected: &[&str]) {
    let said = desk.runs_quietly(line).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}: {said:?}");
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines, expected, "{line}");
}

#[tokio::test]
async fn what_is_alerting_is_grouped_by_host() {
    let scene = Scene::new().await;
    let desk = desk_with_file(&scene.api.url);
    let none = ["=== Alerting ===", "=== Alerting - unreachable ===", ""];
    prints(&desk, "stalker-client", &none).await;

    scene
        .becomes("web1", "check_disk", 2, "DISK CRITICAL")
        .await;
    scene.becomes("db1", "check_sql", 1, "SQL WARNING").await;
    scene.becomes("web1", "check_load", 3, "LOAD UNKNOWN").await;
    let gone = "<urlopen error [Errno 111] Connection refused>";
    prints(
        &desk,
        "stalker-client --alerting",
        &[
            "=== Alerting ===",
            r#"  1 [] check_disk on web1 is alerting because "DISK CRITICAL""#,
            r#"  2 [] check_load on web1 is alerting because "LOAD UNKNOWN""#,
            r#"  3 [] check_sql on db1 is alerting because "SQL WARNING""#,
            "=== Alerting - unreachable ===",
            "",
        ],
    )
    .await;

    prints(&desk, "stalker-client -c 1 -U ben", &["1 claimed for ben"]).await;
    prints(
        &desk,
        "stalker-client -n web1 'new disk' --user ben",
        &["Posted note to web1 for ben"],
    )
    .await;
    scene.becomes("db1", "check_sql", 2, gone).await;
    prints(
        &desk,
        "stalker-client -a",
        &[
            "=== Alerting ===",
            r#"* 1 [ben] check_disk on web1 is alerting because "DISK CRITICAL""#,
            r#"* 2 [] check_load on web1 is alerting because "LOAD UNKNOWN""#,
            "=== Alerting - unreachable ===",
            "db1",
        ],
    )
    .await;
    // a note of last week marks nobody any more
    sqlx::query("update notes set at = now() - interval '8 days'")
        .execute(scene.database.pool())
        .await
        .expect("the tables are as expected");
    let said = desk.runs_quietly("stalker-client").await;
    assert!(said.out.contains("\n  1 [ben]"), "{said:?}");
}

#[tokio::test]
async fn checks_are_claimed_rechecked_and_listed() {
    let scene = Scene::new().await;
    let desk = desk_with_file(&scene.api.url);
    prints(&desk, "stalker-client --claim 1", &["1 claimed for ann"]).await;
    assert_eq!(scene.check("web1", "check_disk").await["owner"], "ann");
    prints(&desk, "stalker-client -u 1", &["claim on 1 released."]).await;
    assert_eq!(scene.check("web1", "check_disk").await["owner"], "");
    let runs = scene.agent.runs_of("check_load");
    prints(&desk, "stalker-client --recheck=2", &["2 set for recheck."]).await;
    stalker_tests::until::until("it runs", super::PATIENCE, async || {
        (scene.agent.runs_of("check_load") > runs).then_some(())
    })
    .await;
    prints(&desk, "stalker-client -p", &["=== Pending ==="]).await;
    prints(&desk, "stalker-client --suspended", &["=== Suspended ==="]).await;
    scene.desk.runs_quietly("stalker checks suspend 2").await;
    let suspended = r#"check_load on web1 is suspended. last output: "LOAD OK""#;
    prints(
        &desk,
        "stalker-client -s",
        &["=== Suspended ===", suspended],
    )
    .await;
    // long options may be short of letters, as they might be then
    prints(
        &desk,
        "stalker-client --susp",
        &["=== Suspended ===", suspended],
    )
    .await;

    let said = desk.runs_quietly("stalker-client -l web1").await;
    assert!(
        said.out.starts_with("{\n    \"checks\": [\n        {\n"),
        "{said:?}"
    );
    let document: Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!(document["checks"][1]["check"], "check_load");
    let said = desk.runs_quietly("stalker-client -s -v").await;
    let document: Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!(document["suspended"][0]["id"], "2");
}

#[tokio::test]
async fn histories_and_notes_are_printed() {
    let scene = Scene::new().await;
    let desk = desk_with_file(&scene.api.url);
    scene
        .becomes("web1", "check_disk", 2, "DISK CRITICAL")
        .await;
    let said = desk
        .runs_quietly("stalker-client --state-log web1:check_disk")
        .await;
    let lines: Vec<_> = said
        .out
        .lines()
        .map(|line| line.split("] ").collect::<Vec<_>>())
        .collect();
    assert_eq!(lines[0], ["## State Log for check_disk on web1 ##"]);
    assert_eq!(lines[1][1], "UP   - DISK OK");
    assert_eq!(lines[2][1], "DOWN - DISK CRITICAL");
    assert_eq!(lines[1][0].len(), "[2013-03-25 04:36:44".len(), "{said:?}");

    prints(
        &desk,
        "stalker-client -L web1",
        &["## Last 10 notes for web1 ##", "No notes yet..."],
    )
    .await;
    let editor = "STALKER_EDITOR='printf \"two\\nlines\" >' stalker-client --add-note web1";
    prints(&desk, editor, &["Posted note to web1 for ann"]).await;
    let said = desk.runs_quietly("stalker-client --list-notes web1").await;
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines[0], "## Last 10 notes for web1 ##");
    assert_eq!(lines[1], "####");
    assert!(lines[2].starts_with("# [web1] On 20"), "{said:?}");
    assert!(lines[2].ends_with(" by ann "), "{said:?}");
    assert_eq!(
        lines[3..],
        ["# Active alerts: check_disk", "####", "two", "lines", ""]
    );

    for (line, expected) in [
        (
            "EDITOR=false stalker-client -n web1",
            "Error on editor exit code 1\n",
        ),
        ("EDITOR=true stalker-client -n web1", "Abort, no message\n"),
        (
            "stalker-client -n nope text",
            "Error. No host with id nope\n",
        ),
        (
            "stalker-client -L nope",
            "Error. No such host or note history for nope\n",
        ),
        (
            "stalker-client --state-log nope:x",
            "Error. No check or check history for nope x\n",
        ),
        ("stalker-client --claim 99", "Error. No check with id 99\n"),
        (
            "stalker-client --unclaim 99",
            "Error. No check with id 99\n",
        ),
        (
            "stalker-client --recheck 99",
            "Error. No check with id 99\n",
        ),
        (
            "stalker-client --remove-check 99",
            "Error. No check with id 99\n",
        ),
        ("stalker-client --list nope", "Error. No checks for nope\n"),
        (
            "stalker-client --remove nope",
            "Looking up checks for nope...\nError. No checks for nope\nRemoving host...\nError. No host matching nope\n",
        ),
        (
            "env stalkerweb_api_key=wrong stalker-client -c 1",
            "Failed. Status: 403 Msg: Forbidden\n",
        ),
    ] {
        let said = desk.runs_quietly(line).await;
        assert_eq!(
            (said.code, said.out.as_str()),
            (1, expected),
            "{line}: {said:?}"
        );
    }
}

#[tokio::test]
async fn checks_and_hosts_are_removed() {
    let scene = Scene::new().await;
    let desk = desk_with_file(&scene.api.url);
    // of an option that is given twice, the last one
    prints(
        &desk,
        "stalker-client --remove-check 2 --remove-check 3",
        &["3 deleted."],
    )
    .await;
    let question = "Ok to remove all these checks? [y/n] ";
    let looked_up = [
        "Looking up checks for web1...",
        "[u'check_disk', u'check_load']",
    ];
    prints(
        &desk,
        "stalker-client --remove web1 <<<n",
        &[looked_up[0], looked_up[1], &format!("{question}Aborting.")],
    )
    .await;
    // a shell that outlives it, for its end may throw away what was not read yet
    let line = "stalker-client --remove web1; code=$?; read -r; exit $code";
    let mut terminal = Terminal::start(&desk.shell(line), 24, 80);
    terminal
        .wait_for("it asks", |screen| screen.ends_with(question.trim_end()))
        .await;
    terminal.type_text("Y\r");
    let screen = terminal
        .wait_for("it is done", |screen| screen.ends_with("web1 deleted."))
        .await;
    let expected = format!(
        "{}\n{}\n{question}Y\ncheck_disk deleted.\ncheck_load deleted.\nRemoving host...\nweb1 deleted.",
        looked_up[0], looked_up[1]
    );
    assert_eq!(screen, expected);
    terminal.type_text("\r");
    assert_eq!(terminal.ended().await, 0);
}

/// The original's own server says nothing but a status of what it does not have.
#[tokio::test]
async fn the_originals_server_is_understood() {
    let app = axum::Router::new()
        .fallback(async || (axum::http::StatusCode::NOT_FOUND, "<html>not found"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let desk = desk_with_file(&format!("http://{address}"));
    for (line, expected) in [
        ("stalker-client --recheck 99", "Error. No check with id 99"),
        ("stalker-client --list nope", "Error. No checks for nope"),
    ] {
        let said = desk.runs_quietly(line).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.contains(expected), "{said:?}");
    }
}

#[tokio::test]
async fn a_server_must_be_configured() {
    let desk = Desk::new().variable("stalker-client-conf", "/nowhere");
    for (line, expected) in [
        (
            "stalker-client",
            "No stalkerweb_url found in env nor in /nowhere\n",
        ),
        (
            "env stalkerweb_url=http://127.0.0.1:9 stalker-client",
            "No stalkerweb_api_key found in env nor in /nowhere\n",
        ),
    ] {
        let said = desk.runs_quietly(line).await;
        assert_eq!((said.code, said.out.as_str()), (1, expected), "{line}");
    }
    let said = desk
        .runs_quietly("env stalkerweb_url=http://127.0.0.1:9 stalkerweb_api_key=k stalker-client")
        .await;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("cannot reach"), "{said:?}");
    assert_eq!(desk.runs_quietly("stalker-client --nonsense").await.code, 2);
}
