//! What there is on a terminal only: colours, its width, questions, and passwords that nobody sees.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::post;
use stalker_tests::terminal::Terminal;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::{Desk, Scene};

fn at(desk: &Desk, line: &str) -> Terminal {
    Terminal::start(&desk.shell(line), 24, 80)
}

#[tokio::test]
async fn colours_are_for_terminals() {
    let scene = Scene::with_alert().await;
    let desk = &scene.desk;
    let mut terminal = at(desk, "stalker checks list");
    terminal
        .wait_for("the list is drawn", |screen| screen.contains("LOAD OK"))
        .await;
    assert!(terminal.is_coloured("critical"));
    assert!(!terminal.is_coloured("check_disk"));
    drop(terminal);

    for line in [
        "NO_COLOR=1 stalker checks list",
        "stalker checks list --color never",
    ] {
        terminal = at(desk, line);
        terminal
            .wait_for("the list is drawn", |screen| screen.contains("LOAD OK"))
            .await;
        assert!(!terminal.is_coloured("critical"), "{line}");
    }
    let said = desk
        .runs_quietly("NO_COLOR=1 stalker checks show 1 --color always")
        .await;
    assert!(said.out.contains("\u{1b}["), "{said:?}");
}

/// Where no shell has said who works there, the system knows.
#[tokio::test]
async fn a_check_is_owned_by_whoever_works_there() {
    let scene = Scene::new().await;
    for (before, user) in [
        ("", "ann"),
        ("LOGNAME= USER=bob ", "bob"),
        ("env -u LOGNAME -u USER ", "$(id -un)"),
    ] {
        let line = format!(
            r#"[ "$({before}stalker checks own web1:check_load)" = "web1:check_load is owned by {user}" ]"#
        );
        let said = scene.desk.runs_quietly(&line).await;
        assert_eq!(said.code, 0, "{line}: {said:?}");
    }
}

/// What could not be written was not shown: a script that keeps it must know.
#[tokio::test]
async fn a_full_disk_is_told() {
    let scene = Scene::new().await;
    for line in [
        "stalker checks list >/dev/full",
        "stalker checks list -o json >/dev/full",
    ] {
        let said = scene.desk.runs_quietly(line).await;
        assert_ne!(said.code, 0, "{line}: {said:?}");
        assert!(said.err.contains("No space left"), "{line}: {said:?}");
    }
    // a reader that has seen enough is no failure
    let line = "set -o pipefail; stalker checks list -o json | true";
    assert_eq!(scene.desk.runs_quietly(line).await.code, 0);
}

#[tokio::test]
async fn a_list_is_as_wide_as_the_terminal() {
    let scene = Scene::new().await;
    let long = format!("LOAD OK {}", "very ".repeat(40));
    scene.becomes("web1", "check_load", 0, long.trim()).await;
    let terminal = at(&scene.desk, "stalker checks list");
    let screen = terminal
        .wait_for("the list is drawn", |screen| screen.contains("SQL OK"))
        .await;
    assert_eq!(screen.lines().count(), 4, "a line for each:\n{screen}");
    assert!(screen.contains('…'), "{screen}");
    assert!(screen.contains("check_load"), "{screen}");
}

#[tokio::test]
async fn what_destroys_is_asked_for() {
    let scene = Scene::new().await;
    let mut terminal = at(&scene.desk, "stalker checks delete web1:check_load");
    let asks = |screen: &str| screen.contains("Delete the check web1:check_load? [y/N]");
    terminal.wait_for("it asks", asks).await;
    terminal.type_text("n\r");
    assert_eq!(terminal.ended().await, 2);
    assert!(scene.api.check("web1", "check_load").await.is_some());

    let mut terminal = at(&scene.desk, "stalker checks delete web1:check_load");
    terminal.wait_for("it asks", asks).await;
    terminal.type_text("y\r");
    assert_eq!(terminal.ended().await, 0);
    assert!(scene.api.check("web1", "check_load").await.is_none());
}

#[tokio::test]
async fn a_password_is_typed_and_not_seen() {
    let scene = Scene::new().await;
    let mut terminal = at(&scene.desk, "stalker users create ben --role operator");
    terminal
        .wait_for("it asks", |screen| screen.contains("New password:"))
        .await;
    terminal.type_text("a password of ben\r");
    terminal
        .wait_for("it asks again", |screen| screen.contains("The same again:"))
        .await;
    terminal.type_text("a password of ben\r");
    let screen = terminal
        .wait_for("it is done", |screen| screen.contains("ben can sign in"))
        .await;
    assert!(!screen.contains("a password"), "{screen}");
    assert_eq!(terminal.ended().await, 0);

    let desk = Desk::new();
    let login = format!("stalker login {}", scene.api.url);
    let mut terminal = at(&desk, &login);
    terminal
        .wait_for("it asks who", |screen| screen.contains("User:"))
        .await;
    terminal.type_text("ben\r");
    terminal
        .wait_for("it asks", |screen| screen.contains("Password:"))
        .await;
    terminal.type_text("a password of ben\r");
    let screen = terminal
        .wait_for("it is done", |screen| screen.contains("signed in"))
        .await;
    assert!(!screen.contains("a password"), "{screen}");
    assert_eq!(terminal.ended().await, 0);
    let said = desk.runs_quietly("stalker users show").await;
    assert!(said.out.contains("operator"), "{said:?}");
}

#[tokio::test]
async fn whoever_waits_sees_how_far_it_is() {
    let released = Arc::new(Notify::new());
    let held = Arc::clone(&released);
    let suspend = move |Path(id): Path<String>| async move {
        if id == "2" {
            held.notified().await;
        }
        "{\"success\": true}"
    };
    let app = Router::new().route("/checks/id/{id}/suspended", post(suspend));
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let desk = Desk::with_key(&format!("http://{address}"), "key");
    // the end of what leads a session throws away what its terminal has not read yet, so that waits
    let line = "stalker checks suspend 1 2 3; code=$?; read -r; exit $code";
    let mut terminal = at(&desk, line);
    terminal
        .wait_for("it waits", |screen| screen == "1/3 2")
        .await;
    released.notify_one();
    let done = "1 is suspended\n2 is suspended\n3 is suspended";
    terminal
        .wait_for("the count is gone", |screen| screen == done)
        .await;
    terminal.type_text("\r");
    assert_eq!(terminal.ended().await, 0);
    server.abort();
}

#[tokio::test]
async fn a_note_is_written_in_an_editor() {
    let scene = Scene::new().await;
    let line = "STALKER_EDITOR='printf \"new\\ndisk\" >' stalker hosts note web1";
    assert_eq!(at(&scene.desk, line).ended().await, 0);
    let said = scene.desk.runs_quietly("stalker notes list web1").await;
    assert!(said.out.ends_with("  new\n  disk\n"), "{said:?}");
    let mut terminal = at(&scene.desk, "EDITOR=true stalker hosts note web1");
    assert_eq!(terminal.ended().await, 2, "nothing was written");
}
