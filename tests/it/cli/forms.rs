//! The forms of an answer: for people, for programs, for those who watch.

use serde_json::Value;
use stalker_tests::process::Process;
use stalker_tests::until::until;

use super::{PATIENCE, Scene};

#[tokio::test]
async fn an_answer_has_the_form_that_was_asked_for() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    desk.runs("stalker checks list --host db1 --output wide")
        .await;
    desk.runs("stalker checks list --host db1 --output json")
        .await;
    desk.runs("stalker checks list --host db1 -o yaml").await;
    desk.runs("stalker hosts list -o json | head -c 1").await;
    desk.runs("stalker checks run db1:check_sql -o json").await;
    desk.shows("an_answer_has_the_form_that_was_asked_for");

    let said = desk.runs_quietly("stalker checks list -o json").await;
    let document: Value = serde_json::from_str(&said.out).expect("it is JSON");
    let checks = document["checks"].as_array().expect("a list");
    assert_eq!(checks.len(), 3, "{document}");

    let said = desk
        .runs_quietly("stalker checks list --name check_disk")
        .await;
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert_eq!(lines[0].find("OUTPUT"), lines[1].find("DISK"), "{said:?}");
    assert!(
        !said.out.contains('\u{1b}'),
        "no colours without a terminal"
    );
}

#[tokio::test]
async fn what_a_host_says_cannot_steer_a_terminal() {
    let scene = Scene::new().await;
    let evil = "OK \u{1b}[2J\u{7}\u{202e}gnp \u{9b}2J";
    scene.becomes("web1", "check_load", 0, evil).await;
    for (line, is_shown) in [
        ("stalker checks list", true),
        ("stalker checks show web1:check_load", true),
        ("stalker hosts show web1", true),
        ("stalker checks run 'web1:\u{1b}[2J'", true),
        // the server shows it as an escape
        ("stalker notes add 'no\u{1b}[2Jhost' text", false),
    ] {
        let said = scene.desk.runs_quietly(line).await;
        let text = format!("{}{}", said.out, said.err);
        let is_evil = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(is_evil), "{line}: {text:?}");
        assert_eq!(text.contains('\u{fffd}'), is_shown, "{line}: {text:?}");
    }
    for form in ["json", "yaml"] {
        let line = format!("stalker checks list -o {form}");
        let said = scene.desk.runs_quietly(&line).await;
        let is_evil = |c: char| c.is_control() && c != '\n';
        assert!(
            !said.out.contains(is_evil),
            "{form} escapes it: {}",
            said.out
        );
        assert!(!said.out.contains('\u{202e}'), "{form}: {}", said.out);
        if form == "json" {
            let document: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
            let checks = document["checks"].as_array().expect("a list");
            assert!(
                checks.iter().any(|check| check["out"] == evil),
                "{document}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_watches_sees_it_change() {
    let scene = Scene::new().await;
    let line = "exec stalker checks list --name check_load --watch=1";
    let watching = Process::start("watch", &mut scene.desk.shell(line));
    let sees = async |text: &str| {
        let seen = async || watching.output().contains(text).then_some(());
        until("it is seen", PATIENCE, seen).await;
    };
    sees("LOAD OK").await;
    scene
        .becomes("web1", "check_load", 2, "LOAD CRITICAL")
        .await;
    sees("LOAD CRITICAL").await;
    drop(watching);

    let said = scene
        .desk
        .runs_quietly("stalker checks suspend web1:check_load --watch")
        .await;
    assert_eq!(said.out.lines().count(), 1, "what is done is done once");
    let said = scene
        .desk
        .runs_quietly("stalker checks list --watch=1 | head -1")
        .await;
    assert_eq!(said.code, 0, "it ends when nobody reads it: {said:?}");
}
