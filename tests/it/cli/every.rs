//! What holds for every command: it knows the filters of its route, and whatever is wrong with the server, it ends with the code
//! that scripts rely on, and says what to do next.

use axum::Router;
use axum::http::StatusCode;
use serde_json::Value;
use stalker_tests::server::API_KEY;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Desk, Scene};

/// Every command that asks a server, as somebody would type it.
const COMMANDS: [&str; 47] = [
    "alerts list",
    "alerts show 1",
    "audit list",
    "channels list",
    "channels routes",
    "channels test pager",
    "checks delete 1 --yes",
    "checks disown 1",
    "checks history 1",
    "checks list",
    "checks override reset 1",
    "checks override set 1 --interval 60",
    "checks override show 1",
    "checks own 1 --as ann",
    "checks reschedule 1 --in 1h",
    "checks resume 1",
    "checks run 1",
    "checks samples 1",
    "checks show 1",
    "checks suspend 1",
    "clusters list",
    "hosts delete web1 --yes",
    "hosts list",
    "hosts note web1 text",
    "hosts notes web1",
    "hosts pin reset web1 --yes",
    "hosts pin show web1",
    "hosts release web1 --yes",
    "hosts show web1",
    "keys create k --access viewer",
    "keys list",
    "keys revoke 1 --yes",
    "maintenances add --host a --for 1h --reason r",
    "maintenances change 1 --for 1h",
    "maintenances end 1 --yes",
    "maintenances list",
    "maintenances show 1",
    "notes add web1 text",
    "notes list web1",
    "notifications list",
    "notifications retry 1",
    "replicas list",
    "sessions end 1",
    "sessions list",
    "stats",
    "users delete ann --yes",
    "users list",
];
/// Of users, those that take a password; and what asks no server, or has tests of its own.
const OTHERS: [&str; 10] = [
    "context delete",
    "context list",
    "context use",
    "login",
    "logout",
    "top",
    "users change",
    "users create",
    "users passwd",
    "users show",
];

/// The commands that `stalker --help` tells of, down to those that have none below them.
async fn told_of(desk: &Desk, command: String) -> Vec<String> {
    let said = desk
        .runs_quietly(&format!("stalker {command} --help"))
        .await;
    let (_, below) = said.out.split_once("Commands:\n").unwrap_or_default();
    let below = below.lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> = below
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    if names.is_empty() {
        return vec![command];
    }
    let mut all = Vec::new();
    for name in names {
        let command = format!("{command} {name}").trim().to_owned();
        all.extend(Box::pin(told_of(desk, command)).await);
    }
    all
}

#[tokio::test]
async fn every_command_is_tried_here() {
    for command in told_of(&Desk::new(), String::new()).await {
        let is_tried = COMMANDS.iter().any(|line| {
            let rest = line.strip_prefix(&command);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        assert!(
            is_tried || OTHERS.contains(&command.as_str()),
            "{command} is tried nowhere"
        );
    }
}

/// A server that says this to whatever comes, and closes.
async fn server(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8192];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(says.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn every_command_says_what_is_wrong_with_the_server_and_what_to_do() {
    let scene = Scene::new().await;
    let half = server("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"checks\": [").await;
    let wordless = Router::new().fallback(async || (StatusCode::NOT_FOUND, "<html>not found"));
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let elsewhere = format!(
        "http://{}",
        listener.local_addr().expect("it has an address")
    );
    tokio::spawn(async move { axum::serve(listener, wordless).await });
    let servers = [
        ("a wrong key", scene.api.url.as_str(), "no key of theirs", 3),
        ("nobody there", "http://127.0.0.1:1", API_KEY, 4),
        ("half an answer", half.as_str(), API_KEY, 4),
        ("something else", elsewhere.as_str(), API_KEY, 4),
    ];
    let mut wrong = Vec::new();
    for (what, url, key, code) in servers {
        let desk = Desk::with_key(url, key);
        for command in COMMANDS {
            let said = desk.runs_quietly(&format!("stalker {command}")).await;
            // a line that says what, and one that says what to do
            let is_told = said.err.lines().count() >= 2 && said.err.contains("\n  ");
            if said.code != code || !is_told {
                wrong.push(format!("{what}: stalker {command}: {said:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the API calls something, and what people do.
type Renamed = (&'static str, &'static str);
/// Each list of the API, the command that asks for it, and the options whose names are others than those of the API's parameters.
const LISTS: [(&str, &str, &[Renamed]); 12] = [
    (
        "/alerts",
        "alerts list",
        // open ones unless something else is said
        &[("open", "past"), ("check", "name")],
    ),
    ("/audit", "audit list", &[]),
    ("/checks", "checks list", &[("check", "name")]),
    ("/checks/state/{state}", "checks list", &[]),
    ("/global/{cluster}/checks/host/{host}", "checks list", &[]),
    ("/hosts", "hosts list", &[]),
    ("/keys", "keys list", &[]),
    ("/maintenances", "maintenances list", &[]),
    ("/notifications", "notifications list", &[]),
    ("/notes/{host}", "notes list", &[]),
    ("/samples/{id}", "checks samples", &[]),
    ("/user", "users list", &[]),
];

#[tokio::test]
async fn every_filter_of_the_api_is_an_option() {
    let scene = Scene::new().await;
    let document: Value = scene.api.read("/openapi.json").await;
    let mut wrong = Vec::new();
    for (path, command, renamed) in LISTS {
        let help = scene
            .desk
            .runs_quietly(&format!("stalker {command} --help"))
            .await;
        let parameters = document["paths"][path]["get"]["parameters"].as_array();
        let parameters = parameters.unwrap_or_else(|| panic!("{path} is a list"));
        for parameter in parameters.iter().filter(|p| p["in"] == "query") {
            let name = parameter["name"].as_str().expect("it has a name");
            let renamed = renamed.iter().find(|(theirs, _)| *theirs == name);
            let option = renamed.map_or(name, |(_, ours)| ours);
            if !help.out.contains(&format!("--{option}")) {
                wrong.push(format!("{command} has no --{option} for {path}?{name}="));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
