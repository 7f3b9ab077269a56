//! What is done on the screen is done on the server, and what is refused is said.

use serde_json::{Value, json};
use stalker_tests::api::Api;
use stalker_tests::executables;
use stalker_tests::process::command;
use stalker_tests::terminal::Terminal;
use stalker_tests::until::until_seen;

use super::{PATIENCE, Site, is_listed, select};

const LOAD: &str = "web1.example.net/check_load";
const DISK: &str = "web1.example.net/check_disk";

/// Waits for the line that tells what became of it.
async fn told(terminal: &Terminal, text: &str) {
    terminal
        .wait_for(text, |screen| screen.contains(text))
        .await;
}

/// The checks of a host that are in a state, by their names.
async fn names(api: &Api, state: &str, host: &str) -> Vec<String> {
    let checks = api.read(&format!("/checks/state/{state}")).await;
    let checks = checks[state].as_array().expect("a list").clone();
    let of_host = checks.iter().filter(|check| check["hostname"] == host);
    of_host
        .filter_map(|check| check["check"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_check_is_owned_disowned_rechecked_suspended_and_resumed() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    select(&mut terminal, "check_load").await;

    terminal.type_text("o");
    told(&terminal, "✔ web1.example.net/check_load: owned by ann").await;
    site.until_check(LOAD, "ann owns it", |check| check["owner"] == "ann")
        .await;
    told(&terminal, " ann ").await;

    terminal.type_text("d");
    told(&terminal, "owned by nobody").await;
    site.until_check(LOAD, "nobody owns it", |check| check["owner"] == "")
        .await;

    let before = site.check(LOAD).await["next"].as_i64().expect("a time");
    terminal.type_text("c");
    told(&terminal, "to be rechecked now").await;
    site.until_check(LOAD, "it is due", |check| {
        check["next"].as_i64() < Some(before)
    })
    .await;

    terminal.type_text("p");
    told(&terminal, "check_load: suspended").await;
    site.until_check(LOAD, "it is suspended", |check| check["suspended"] == true)
        .await;

    terminal.type_text("u");
    told(&terminal, "check_load: resumed").await;
    site.until_check(LOAD, "it runs again", |check| check["suspended"] == false)
        .await;
    assert_eq!(
        site.check(DISK).await["owner"],
        "",
        "the other check is left alone"
    );
}

#[tokio::test]
async fn capitals_act_on_all_of_the_host() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    select(&mut terminal, "check_load").await;
    terminal.type_text("O");
    told(&terminal, "✔ web1.example.net: 2 checks owned by ann").await;
    for check in [LOAD, DISK] {
        site.until_check(check, "ann owns it", |check| check["owner"] == "ann")
            .await;
    }
    let others = site.check("db1.example.net/check_replication").await;
    assert_eq!(others["owner"], "");

    // the line of a host that cannot be reached stands for all its checks
    select(&mut terminal, "edge7").await;
    terminal.type_text("p");
    told(&terminal, "✔ edge7.example.net: 3 checks suspended").await;
    let suspended = names(&site.api, "suspended", "edge7.example.net").await;
    assert_eq!(suspended, ["check_disk", "check_load", "check_ntp"]);

    select(&mut terminal, "edge8").await;
    terminal.type_text("C");
    told(&terminal, "✔ edge8.example.net: to be rechecked now").await;
    // what is well is of the host too; nobody need own it
    select(&mut terminal, "check_queue").await;
    terminal.type_text("O");
    told(&terminal, "✔ mail1.example.net: owned by ann").await;
    let smtp = site.check("mail1.example.net/check_smtp").await;
    assert_eq!(
        (&smtp["owner"], &smtp["suspended"]),
        (&json!(""), &json!(false))
    );
    terminal.type_text("P");
    told(&terminal, "✔ mail1.example.net: 2 checks suspended").await;
    let suspended = names(&site.api, "suspended", "mail1.example.net").await;
    assert_eq!(suspended, ["check_queue", "check_smtp"]);
    terminal.type_text("U");
    told(&terminal, "✔ mail1.example.net: 2 checks resumed").await;
    assert!(
        names(&site.api, "suspended", "mail1.example.net")
            .await
            .is_empty()
    );
}

/// A key is nobody: then it is whoever works here, and who is signed in otherwise.
#[tokio::test]
async fn whoever_works_here_owns_what_they_own() {
    let site = Site::in_trouble().await;
    let mut command = command(&executables::stalker());
    command.args(["top", "--refresh", "1"]);
    site.surround(&mut command, &site.api.url);
    command.env("LOGNAME", "zoe");
    let mut terminal = Terminal::start(&command, 24, 80);
    terminal.wait_for("the list", is_listed).await;
    select(&mut terminal, "check_load").await;
    terminal.type_text("o");
    told(&terminal, "✔ web1.example.net/check_load: owned by zoe").await;
    site.until_check(LOAD, "zoe owns it", |check| check["owner"] == "zoe")
        .await;
}

#[tokio::test]
async fn notes_are_written_and_shown() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    select(&mut terminal, "check_load").await;
    terminal.type_text("n");
    told(&terminal, "note about web1.example.net").await;
    terminal.type_text("never mind\u{1b}");
    terminal
        .wait_for("it is closed", |screen| !screen.contains("note about"))
        .await;

    terminal.type_text("n");
    told(&terminal, "note about web1.example.net").await;
    // what is pasted is text, also where it looks like keys
    terminal.type_text("disk ordered, \u{1b}[200~X y\nq\u{1b}[201~ by mail\r");
    told(&terminal, "✔ web1.example.net: noted").await;
    let notes = site.api.read("/notes/web1.example.net").await;
    let [note] = notes["notes"].as_array().expect("a list").as_slice() else {
        panic!("one note: {notes}");
    };
    assert_eq!(note["note"], "disk ordered, X y q by mail");
    assert_eq!(note["user"], "ann");

    terminal.type_text("\r");
    let shown = |screen: &str| screen.contains("ann  disk ordered");
    terminal.wait_for("the note in the details", shown).await;
}

#[tokio::test]
async fn maintenances_are_declared_with_how_long_and_why() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    let declared = async || {
        let answer = site.api.read("/maintenances").await;
        answer["maintenances"].as_array().expect("a list").clone()
    };
    select(&mut terminal, "check_load").await;
    terminal.type_text("m");
    told(&terminal, "maintenance of web1.example.net/check_load").await;
    // Ctrl-U empties the field
    terminal.type_text("\u{15}soon\r");
    told(&terminal, "✘ how long").await;
    terminal.type_text("\u{15}2h\r\r");
    told(&terminal, "✘ who is not told will want to know why").await;
    assert_eq!(declared().await, [Value::Null; 0]);
    terminal.type_text("new disks\r");
    told(
        &terminal,
        "✔ web1.example.net/check_load: in maintenance (1 check)",
    )
    .await;
    let [maintenance] = <[Value; 1]>::try_from(declared().await).expect("one maintenance");
    assert_eq!(maintenance["hosts"], json!(["web1.example.net"]));
    assert_eq!(maintenance["checks"], json!(["check_load"]));
    assert_eq!(maintenance["reason"], "new disks");
    let time = |name: &str| maintenance[name].as_i64().expect("a time");
    assert_eq!(time("ends") - time("starts"), 7200);
    site.until_check(LOAD, "it is maintained", |check| {
        check["in_maintenance"] == true
    })
    .await;

    terminal.type_text("M");
    told(&terminal, "maintenance of all of web1.example.net").await;
    terminal.type_text("\rmove\r");
    told(&terminal, "in maintenance (2 checks)").await;
    let all = declared().await;
    let host = all
        .iter()
        .find(|maintenance| maintenance["reason"] == "move");
    assert_eq!(host.expect("it is declared")["checks"], Value::Null);
}

#[tokio::test]
async fn only_what_is_confirmed_is_removed() {
    let site = Site::in_trouble().await;
    let mut terminal = site.open(24, 80).await;
    select(&mut terminal, "check_load").await;
    terminal.type_text("x");
    told(&terminal, "Remove the check: web1.example.net/check_load?").await;
    terminal.type_text("\r");
    told(&terminal, "nothing was removed").await;
    assert_ne!(site.check(LOAD).await, Value::Null);

    terminal.type_text("x");
    told(&terminal, "Remove the check").await;
    terminal.type_text("y");
    told(&terminal, "✔ web1.example.net/check_load: removed").await;
    assert_eq!(site.check(LOAD).await, Value::Null);
    let gone = |screen: &str| is_listed(screen) && !screen.contains("check_load ");
    terminal.wait_for("it is gone from the list", gone).await;

    select(&mut terminal, "edge7").await;
    terminal.type_text("x");
    told(&terminal, "X removes it").await;
    terminal.type_text("X");
    told(
        &terminal,
        "Remove the host with all its checks: edge7.example.net?",
    )
    .await;
    terminal.type_text("n");
    told(&terminal, "nothing was removed").await;
    assert_eq!(site.api.get("/hosts/edge7.example.net").await.0, 200);
    terminal.type_text("X");
    told(&terminal, "Remove the host").await;
    terminal.type_text("y");
    told(
        &terminal,
        "✔ edge7.example.net: removed, with all its checks",
    )
    .await;
    let look = async || site.api.get("/hosts/edge7.example.net").await.0;
    until_seen("the host is gone", PATIENCE, look, |status| *status == 404).await;
    assert_eq!(site.api.get("/hosts/web1.example.net").await.0, 200);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let site = Site::in_trouble().await;
    let key = "key of somebody who only looks";
    sqlx::query("insert into api_keys (name, hash, access) values ('viewer', sha256(convert_to($1, 'utf8')), 'viewer')")
        .bind(key)
        .execute(site.pool())
        .await
        .expect("a key can be added");
    let mut command = site.command(&site.api.url);
    command.env("STALKER_API_KEY", key);
    let mut terminal = Terminal::start(&command, 24, 80);
    terminal.wait_for("the list", is_listed).await;
    select(&mut terminal, "check_load").await;
    terminal.type_text("p");
    let words = terminal
        .wait_for("the refusal", |screen| screen.contains("✘"))
        .await;
    let refusal = "✘ web1.example.net/check_load: refused: your access does not allow this";
    assert!(words.contains(refusal), "{words}");
    assert_eq!(site.check(LOAD).await["suspended"], false);

    // a check that somebody else has removed meanwhile
    let mut terminal = site.open(24, 80).await;
    select(&mut terminal, "check_load").await;
    terminal.type_text("x");
    told(&terminal, "Remove the check").await;
    let id = site.check(LOAD).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(site.api.delete(&format!("/checks/id/{id}")).await.0, 200);
    terminal.type_text("y");
    told(&terminal, "✘ web1.example.net/check_load: refused: ").await;
}
