//! Bad lines: a server that goes and comes back, one that is slow, one that is none, and one that does not know us.

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use stalker_tests::line::{Fault, Line};
use stalker_tests::terminal::Terminal;
use tokio::net::TcpListener;

use super::{Site, is_listed, select, selected};

#[tokio::test]
async fn a_lost_server_leaves_what_it_said_and_is_found_again() {
    let site = Site::in_trouble().await;
    let mut line = Line::new().await;
    line.lead_to(&site.api.url);
    let mut terminal = Terminal::start(&site.command(line.url().trim_end_matches('/')), 24, 80);
    terminal.wait_for("the list", is_listed).await;
    select(&mut terminal, "check_load").await;

    line.becomes(Fault::Refuses).await;
    let is_stale = |screen: &str| screen.contains("✗ no answer since");
    let screen = terminal.wait_for("that it is lost", is_stale).await;
    assert!(is_listed(&screen), "{screen}");
    assert!(terminal.is_coloured("✗ no answer"));
    // what cannot be done is said, and keys still move
    terminal.type_text("p");
    let is_said = |screen: &str| screen.contains("✘ web1.example.net/check_load: not done");
    terminal.wait_for("that nothing is done", is_said).await;
    terminal.type_text("k");
    let moved = |screen: &str| selected(screen).is_some_and(|line| line.contains("check_disk"));
    terminal.wait_for("the selection moves", moved).await;

    site.execute("update check_state set status = 0 where owner = 'bob'")
        .await;
    line.becomes(Fault::None).await;
    let is_back = |screen: &str| {
        is_listed(screen) && !screen.contains("✗ no answer") && !screen.contains("check_load ")
    };
    let screen = terminal.wait_for("it is found again", is_back).await;
    assert!(
        selected(&screen).is_some_and(|line| line.contains("check_disk")),
        "{screen}"
    );
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_is_found() {
    let mut site = Site::in_trouble().await;
    let line = Line::new().await;
    line.lead_to(&site.api.url);
    let terminal = Terminal::start(&site.command(line.url().trim_end_matches('/')), 20, 40);
    terminal.wait_for("the list", is_listed).await;
    site.component.process.kill();
    let is_stale = |screen: &str| is_listed(screen) && screen.contains("✗ no answer since");
    terminal.wait_for("that it is lost", is_stale).await;
    site.component = site.installation.start("api").await;
    line.lead_to(site.component.ready["api"].as_str().expect("its address"));
    let is_back = |screen: &str| is_listed(screen) && !screen.contains("✗ no answer");
    terminal.wait_for("it is found again", is_back).await;
}

#[tokio::test]
async fn keys_do_not_wait_for_a_server_that_hangs() {
    let site = Site::in_trouble().await;
    let mut line = Line::new().await;
    line.lead_to(&site.api.url);
    let mut terminal = Terminal::start(&site.command(line.url().trim_end_matches('/')), 24, 80);
    terminal.wait_for("the list", is_listed).await;
    line.becomes(Fault::HoldsAnswer).await;
    let is_asking = |screen: &str| screen.contains(['⠋', '⠙', '⠴', '⠦']);
    terminal.wait_for("that it is asking", is_asking).await;

    // what it waits for never comes: a key that waited for it would wait in vain
    for (keys, text) in [
        ("G", "edge7"),
        ("g", "FLOD"),
        ("j", "check_disk"),
        ("?", ""),
        ("q", "check_disk"),
    ] {
        terminal.type_text(keys);
        let is_there = |screen: &str| match text {
            "" => screen.contains("one line down, up"),
            text => selected(screen).is_some_and(|line| line.contains(text)),
        };
        terminal.wait_for("what the key does", is_there).await;
    }
    terminal.type_text("q");
    assert_eq!(
        terminal.ended().await,
        0,
        "nothing is waited for at the end"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let site = Site::in_trouble().await;
    let mut line = Line::new().await;
    line.becomes(Fault::Refuses).await;
    let terminal = Terminal::start(&site.command(line.url().trim_end_matches('/')), 24, 80);
    let is_trying = |screen: &str| screen.contains("✗ no answer yet, trying again");
    terminal.wait_for("that it tries", is_trying).await;
    line.lead_to(&site.api.url);
    line.becomes(Fault::None).await;
    terminal.wait_for("the list", is_listed).await;
}

#[tokio::test]
async fn what_cannot_work_ends_with_a_reason() {
    let site = Site::in_trouble().await;
    let mut command = site.command(&site.api.url);
    command.env("STALKER_API_KEY", "a key that nobody gave");
    let mut terminal = Terminal::start(&command, 24, 80);
    assert_eq!(terminal.ended().await, 3);
    let is_said = |screen: &str| screen.contains("stalker login");
    terminal.wait_for("what to do", is_said).await;
    assert!(!terminal.is_on_alternate_screen());

    // neither is a pipe a terminal
    let output = site.command(&site.api.url).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("terminal"), "{complaint}");
}

#[tokio::test]
async fn it_is_stalkly_too() {
    let site = Site::in_trouble().await;
    let stalkly = site.installation.home().join("stalkly");
    std::os::unix::fs::symlink(stalker_tests::executables::stalker(), &stalkly)
        .expect("a link can be made");
    let mut command = stalker_tests::process::command(&stalkly);
    command.args(["-r", "1", "-U", "zoe"]);
    site.surround(&mut command, &site.api.url);
    let mut terminal = Terminal::start(&command, 24, 80);
    terminal.wait_for("the list", is_listed).await;
    select(&mut terminal, "check_disk").await;
    terminal.type_text("o");
    site.until_check("web1.example.net/check_disk", "zoe owns it", |check| {
        check["owner"] == "zoe"
    })
    .await;
}

/// A key for some hosts shows these: of the whole, and of other clusters, it may not know.
#[tokio::test]
async fn a_key_for_some_hosts_shows_these() {
    let site = Site::in_trouble().await;
    site.execute("update hosts set roles = '{web}' where hostname = 'web1.example.net'")
        .await;
    let key = json!({"name": "web", "access": "viewer", "scope": ["web"]});
    let (_, made) = site.api.post("/keys", &key).await;
    let mut command = site.command(&site.api.url);
    command.env("STALKER_API_KEY", made["key"].as_str().expect("a key"));
    let terminal = Terminal::start(&command, 24, 80);
    let is_whole = |screen: &str| screen.contains("check_load") && screen.contains("failing");
    let screen = terminal.wait_for("its hosts", is_whole).await;
    assert!(!screen.contains("db1"), "{screen}");
    assert!(!screen.contains("cannot"), "{screen}");
}

/// A server of the original's has no alerts, and says nothing but a status of what it does not have.
#[tokio::test]
async fn a_server_of_the_originals_is_shown() {
    let site = Site::new().await;
    let check = json!({"id": "51f", "hostname": "old1", "check": "check_old", "status": false, "fail_count": 4, "out": "DISK FULL"});
    let app = Router::new()
        .route(
            "/checks/state/alerting",
            get(async move || Json(json!({"alerting": [check]}))),
        )
        .route(
            "/stats",
            get(async || Json(json!({"old": {"checks": 1, "failing": 1}}))),
        )
        .route(
            "/global/clusters",
            get(async || Json(json!({"clusters": {}}))),
        )
        .fallback(async || (StatusCode::NOT_FOUND, "<html>not found"));
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let terminal = Terminal::start(&site.command(&format!("http://{address}")), 24, 80);
    let is_whole = |screen: &str| screen.contains("old1") && screen.contains("DISK FULL");
    let screen = terminal.wait_for("its check", is_whole).await;
    assert!(screen.contains("old:"), "{screen}");
}

/// Over a line that takes its time keys are answered at once, and what comes piece by piece is shown when it is there.
#[tokio::test]
async fn a_slow_line_slows_nothing_but_the_news() {
    let site = Site::in_trouble().await;
    let mut line = Line::new().await;
    line.becomes(Fault::Trickles).await;
    line.lead_to(&site.api.url);
    let url = line.url();
    let mut terminal = Terminal::start(&site.command(url.trim_end_matches('/')), 24, 80);
    let is_asking = |screen: &str| screen.contains(['⠋', '⠙', '⠴', '⠦']) && !is_listed(screen);
    terminal.wait_for("that it is asking", is_asking).await;
    terminal.type_text("?");
    let is_help = |screen: &str| screen.contains("one line down, up");
    let screen = terminal
        .wait_for("the help, before the list", is_help)
        .await;
    assert!(!is_listed(&screen), "{screen}");
    terminal.type_text("q");
    terminal.wait_for("the list", is_listed).await;
}
