//! `stalkerd up` by a user who is not root.

use stalker_tests::executables;
use stalker_tests::server::Server;
use stalker_tests::unprivileged::Unprivileged;
use stalker_tests::until::until;

use super::{END, Family, PATIENCE, checks, often};

/// PostgreSQL, server and agent all run as that user, and a check is ok.
#[tokio::test]
async fn up_needs_no_root() {
    let account = Unprivileged::with(&[
        executables::stalkerd(),
        executables::stalker_agent(),
        executables::stalker_postgres(),
    ]);
    let home = account.folder();
    often(home.path());
    account.give(&home.path().join("scripts"));

    let mut start = account.command("stalkerd", home.path());
    let mut up = Server::up_by(&mut start, home.path()).await;
    let family = Family::of(up.process.pid());
    let processes = family.alive();
    assert_eq!(processes.len(), 3, "{family:?}");
    for pid in processes.into_iter().chain([up.process.pid()]) {
        account.runs(pid);
    }
    let api = up.api();
    until("a check is ok", PATIENCE, async || {
        let checks = checks(&api).await;
        let mut often = checks
            .iter()
            .filter(|check| check["check"] == "check_often");
        often.find(|check| check["state"] == "ok").map(drop)
    })
    .await;
    assert!(up.process.terminate(END).await.success());
    assert_eq!(family.alive(), [0; 0]);
}
