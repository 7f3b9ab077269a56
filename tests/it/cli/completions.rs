//! What the shell offers.

use std::time::{Duration, Instant};

use super::{Desk, Scene};

/// What bash would ask, and what it is offered.
async fn offered(desk: &Desk, words: &str) -> Vec<String> {
    let index = words.split(' ').count() - 1;
    let typed = words.split(' ').map(|word| format!("'{word}'"));
    let typed: Vec<_> = typed.collect();
    let line = format!(
        "COMPLETE=bash _CLAP_COMPLETE_INDEX={index} stalker -- {}",
        typed.join(" ")
    );
    let said = desk.runs_quietly(&line).await;
    assert_eq!(said.err, "", "nothing is said in the middle of a line");
    said.out.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn names_are_offered_as_the_server_knows_them() {
    let scene = Scene::new().await;
    let desk = &scene.desk;
    assert_eq!(offered(desk, "stalker hosts show w").await, ["web1"]);
    assert_eq!(offered(desk, "stalker hosts show nope").await, [""; 0]);
    assert_eq!(offered(desk, "stalker checks list --host d").await, ["db1"]);
    assert_eq!(offered(desk, "stalker checks run w").await, ["web1/"]);
    assert_eq!(
        offered(desk, "stalker checks run web1/").await,
        ["web1/check_disk", "web1/check_load"]
    );
    assert_eq!(
        offered(desk, "stalker checks own web1:check_l").await,
        ["web1:check_load"]
    );
    assert_eq!(offered(desk, "stalker channels test p").await, ["pager"]);
    assert_eq!(offered(desk, "stalker maint").await, ["maintenances"]);
    assert_eq!(
        offered(desk, "stalker checks list --output y").await,
        ["yaml"]
    );

    desk.runs_quietly(&format!(
        "stalker login {} --name mine --key-stdin <<<$STALKER_API_KEY",
        scene.api.url
    ))
    .await;
    assert_eq!(offered(desk, "stalker context use m").await, ["mine"]);
    assert_eq!(
        offered(desk, "stalker hosts list --context m").await,
        ["mine"]
    );
}

#[tokio::test]
async fn bash_completes() {
    let scene = Scene::new().await;
    // as at its prompt: the script is sourced, and asked through the function that it has registered
    let script = "source <(COMPLETE=bash stalker)
        COMP_WORDS=(stalker hosts show w); COMP_CWORD=3; COMP_TYPE=9
        f=$(complete -p stalker | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f stalker w show; echo \"${COMPREPLY[@]}\"";
    let said = scene.desk.runs_quietly(script).await;
    assert_eq!(said.out.trim(), "web1", "{said:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_is_away() {
    let desk = Desk::with_key("http://127.0.0.1:9", "key");
    assert_eq!(offered(&desk, "stalker hosts show w").await, [""; 0]);
    assert_eq!(offered(&Desk::new(), "stalker hosts show w").await, [""; 0]);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    let desk = Desk::with_key(&format!("http://{address}"), "key");
    let began = Instant::now();
    assert_eq!(offered(&desk, "stalker checks run w").await, [""; 0]);
    assert!(began.elapsed() < Duration::from_secs(5), "it hangs");
}
