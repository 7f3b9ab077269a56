//! `stalker login`, `logout` and `context`: where servers and secrets are kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use stalker_tests::server::API_KEY;

use super::{Desk, Scene};

const FILE: &str = ".config/stalker/contexts.toml";

#[tokio::test]
async fn whoever_signs_in_has_a_context_and_a_session() {
    let scene = Scene::new().await;
    let url = &scene.api.url;
    scene
        .desk
        .runs_quietly(
            "stalker users create ben --role viewer --password-stdin <<<'a password of ben'",
        )
        .await;

    let desk = Desk::new();
    desk.runs("stalker hosts list").await;
    desk.runs("stalker context list").await;
    desk.runs(&format!(
        "stalker login {url} --user ben --password-stdin <<<'a wrong one'"
    ))
    .await;
    assert!(!desk.home().join(FILE).exists(), "nothing was kept");
    desk.runs(&format!(
        "stalker login {url} --user ben --name mine --password-stdin <<<'a password of ben'"
    ))
    .await;
    desk.runs("stalker hosts list").await;
    desk.runs("stalker users show me").await;
    desk.runs("stalker checks suspend web1:check_load").await;

    fs::write(desk.home().join("key"), format!("{API_KEY}\n")).expect("a file can be written");
    desk.runs(&format!("stalker login {url} --name admin --key-file key"))
        .await;
    desk.runs("stalker context list").await;
    desk.runs("stalker context list -o json").await;
    desk.runs("stalker checks suspend web1:check_load").await;
    desk.runs("stalker context use mine").await;
    desk.runs("stalker users show").await;
    desk.runs("stalker users show --context admin").await;
    desk.runs("stalker context use nope").await;

    let file = desk.home().join(FILE);
    let mode = |path: &std::path::Path| {
        let metadata = fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().expect("a folder")), 0o700);

    let session = cookie(&fs::read_to_string(&file).expect("it can be read"));
    desk.runs("stalker logout").await;
    desk.runs("stalker context list").await;
    desk.runs("stalker hosts list").await;
    let request = reqwest::Client::new().get(format!("{url}/stats"));
    let answer = request.header("cookie", session).send().await;
    assert_eq!(
        answer.expect("the API answers").status(),
        401,
        "the session is over at the server too"
    );
    desk.runs("stalker logout --context admin").await;
    desk.runs("stalker logout").await;
    desk.shows("whoever_signs_in_has_a_context_and_a_session");
}

/// The one that is in the file.
fn cookie(text: &str) -> String {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("session = "));
    line.expect("there is a session")
        .trim_matches('"')
        .to_owned()
}

#[tokio::test]
async fn a_key_is_verified_before_it_is_kept() {
    let scene = Scene::new().await;
    let url = &scene.api.url;
    let desk = Desk::new();
    desk.runs(&format!(
        "stalker login {url} --key-stdin <<<'no key of theirs'"
    ))
    .await;
    desk.runs(&format!("stalker login {url} --key-stdin </dev/null"))
        .await;
    desk.runs(&format!("stalker login {url} --key-file nowhere"))
        .await;
    desk.runs(&format!("stalker login {url} </dev/null")).await;
    desk.runs("stalker login stalker.example.net --key-stdin <<<key")
        .await;
    desk.runs(&format!("stalker login {url} --key secret"))
        .await;
    assert!(!desk.home().join(FILE).exists(), "nothing was kept");

    desk.runs(&format!("stalker login {url}/ --key-stdin <<<'{API_KEY}'"))
        .await;
    desk.runs("stalker hosts list").await;
    desk.runs("stalker context delete 127.0.0.1").await;
    fs::write(desk.home().join(FILE), "current = 'a'\nkey = \n").expect("it can be written");
    desk.runs("stalker hosts list").await;
    desk.shows("a_key_is_verified_before_it_is_kept");
}

/// A key for some hosts sees these, and opens a context as any other does.
#[tokio::test]
async fn a_key_for_some_hosts_is_a_key() {
    let scene = Scene::new().await;
    let key = json!({"name": "web", "access": "viewer", "scope": ["simulated"]});
    let (_, made) = scene.api.post("/keys", &key).await;
    let key = made["key"].as_str().expect("it is shown once");
    let desk = Desk::new();
    let login = format!("stalker login {} --key-stdin <<<{key}", scene.api.url);
    for line in [login.as_str(), "stalker checks list --limit 1"] {
        let said = desk.runs_quietly(line).await;
        assert_eq!(said.code, 0, "{line}: {said:?}");
    }
    let said = desk.runs_quietly("stalker stats").await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("limited to roles"), "{said:?}");
}

#[tokio::test]
async fn a_key_goes_to_no_other_server_than_its_own() {
    let scene = Scene::new().await;
    let url = &scene.api.url;
    let desk = Desk::new();
    desk.runs(&format!(
        "stalker login {url} --name mine --key-stdin <<<'{API_KEY}'"
    ))
    .await;
    // the same server by another address: the key was not given for it
    let other = url.replace("127.0.0.1", "localhost");
    let said = desk
        .runs_quietly(&format!("stalker hosts list --url {other}"))
        .await;
    assert_eq!(said.code, 3, "{said:?}");
    let said = desk
        .runs_quietly(&format!("stalker hosts list --url {url}"))
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    // a folder of somebody else's, with a server of theirs
    let trap = desk.home().join(".stalker");
    fs::create_dir(&trap).expect("a folder can be made");
    fs::write(
        trap.join("stalker-client.conf"),
        "stalkerweb_url=http://127.0.0.1:9\n",
    )
    .expect("a file can be written");
    desk.runs_quietly("stalker context delete mine").await;
    let said = desk
        .runs_quietly(&format!("STALKER_API_KEY={API_KEY} stalker hosts list"))
        .await;
    assert_eq!(said.code, 2, "{said:?}");
}
